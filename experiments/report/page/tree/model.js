// What the tree holds: columns and what is worked out from them, the filter, the colours. Every part of the tree's
// section is given this one object; only these functions change what is worked out.

import { treeScarStarts, treeBits } from "./agent.js";
import { treeBlend, treeChannels, treeColouring, treeTally } from "./colour.js";
import { treeLayout, treeSelect, treeTopology } from "./layout.js";
import { mix } from "../base/theme.js";
import { many, number, words } from "../base/dom.js";

/** What the tree may show: [key, label of the list, words of the sentence]. */
export const TREE_SHOWS = [
  ["lines", "Champions and the living", "champions and living agents"],
  ["living", "The living", "living agents"],
  ["champions", "Champions", "agents that were champions"],
  ["all", "All that ever lived", "agents"],
];

/** The filter that leaves nobody out. */
export const TREE_ALL = { show: "all", species: null, from: null, to: null };

/** How rows are ordered: [key, label]. */
export const TREE_ORDERS = [
  ["ladder", "by size"],
  ["birth", "by birth"],
];

/**
 * The tree of a report.
 * @param {object} facts @param {object} columns "tree" @param {object|null} scars columns "scars" @param {object} theme
 */
export function treeModel(facts, columns, scars, theme) {
  const last = facts.tree.last;
  const topology = treeTopology(columns, last);
  const holders = [];
  const former = [];
  for (let i = 0; i < columns.length; i++) {
    if (columns.holds[i]) holders.push(i);
    else if (columns.won[i]) former.push(i);
  }
  holders.sort((a, b) => treeBits(columns.holds[a])[0] - treeBits(columns.holds[b])[0] || a - b);
  const tree = {
    facts,
    columns,
    scars: scars ?? { length: 0 },
    scarStarts: treeScarStarts(scars, columns.length),
    topology,
    last,
    holders,
    champions: [...holders, ...former.reverse()],
    filter: { show: "lines", species: null, from: null, to: null },
    order: "ladder",
    by: "species",
    lit: null,
    hovered: -1,
    pinned: -1,
    pointer: null,
    labels: [],
    theme,
  };
  tree.colourOf = (row) => tree.hues[tree.colouring.bins[row]];
  return tree;
}

/** Work out rows anew after a change of filter or order. */
export function treeRefilter(tree) {
  tree.selected = treeSelect(tree.columns, tree.topology, tree.filter);
  tree.layout = treeLayout(tree.topology, tree.selected.mask, tree.order);
  treeRecolour(tree);
}

/** Work out colours anew after a change of colouring, of the category set off, or of the theme. */
export function treeRecolour(tree) {
  if (tree.colouring?.by !== tree.by) tree.colouring = treeColouring(tree.by, tree.columns, tree.topology, tree.facts);
  const { colouring, theme, lit } = tree;
  tree.hues = colouring.kinds.map((kind) => kind.colour(theme));
  // Many thin lines in full colour shout; they stand back a little, so that champions' lines stand out.
  const calm = tree.hues.map((hue, bin) => mix(hue, theme.page, lit === null ? 0.22 : lit === bin ? 0 : 0.84));
  tree.paint = treeBlend(tree.layout, colouring.bins, calm.map(treeChannels));
  tree.tally = treeTally(tree.layout, colouring);
}

/** Why nobody is shown, in words: generations the wrong way round, or too narrow a filter. */
export function treeNobody({ filter: { from, to }, last }) {
  if (from !== null && to !== null && from > to)
    return `The first generation, ${from}, comes after the last, ${to}: exchange them.`;
  if (from !== null && from > last) return `The last generation on record is ${last}.`;
  return "Nobody matches: widen the filter.";
}

/** What is shown, in words. */
export function treeWords(tree) {
  const { facts, filter, selected, columns } = tree;
  const total = facts.tree.born_total ?? columns.length;
  const [, , what] = TREE_SHOWS.find(([key]) => key === filter.show);
  if (!selected.kept) return `0 of ${many(total, "agent")}. ${treeNobody(tree)}`;
  const all = selected.matched === columns.length;
  const limits = [];
  if (filter.species !== null) limits.push(`of species ${words(facts.species[filter.species])}`);
  if (filter.from !== null || filter.to !== null)
    limits.push(`in generations ${filter.from ?? 0} to ${filter.to ?? tree.last}`);
  const ancestors = selected.kept - selected.matched;
  const matched = all ? "all that ever lived" : [number(selected.matched), what, ...limits].join(" ");
  const besides = ancestors ? `, and ${many(ancestors, "ancestor")} of theirs` : "";
  return `${number(selected.kept)} of ${many(total, "agent")}: ${matched}${besides}.`;
}

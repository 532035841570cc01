// What the colours of the tree's lines mean: each row of the columns gets a bin, each bin a label and a colour of the
// theme. Subtrees drawn as one get the mean of their agents' colours.

import { TREE_FITNESS_IS, TREE_TRUST_IS } from "./agent.js";
import { treeNone } from "./layout.js";
import { treePacked } from "./raster.js";
import { number, signed, words } from "../base/dom.js";
import { mix, REGIME_GLYPHS } from "../base/theme.js";

const STEPS = 63;

/** What lines can be coloured by: [key, label]. */
export const TREE_COLOURINGS = [
  ["species", "species"],
  ["regime", "regime won by its line"],
  ["fitness", "fitness"],
  ["trust", "trust"],
  ["scars", "scars"],
];

/**
 * Bins of a colouring.
 * @param {string} by a key of `TREE_COLOURINGS`
 * @param {object} columns the columns "tree"
 * @param {object} topology of `treeTopology`
 * @param {object} facts of the report
 * @returns {object} `bins` by row; `kinds`: [{label, glyph, colour(theme)}] by bin; where the colouring is of a
 *   quantity, `scale`: {low, high, text(value), label, steps}: bins 0 … steps − 1 are low … high, and the last bin is
 *   "none".
 */
export function treeColouring(by, columns, topology, facts) {
  if (by === "regime") return treeByRegime(topology, facts);
  if (by === "scars") return treeByScars(columns);
  if (by === "fitness") return treeByFitness(columns, facts);
  if (by === "trust") return treeByTrust(columns);
  return {
    by,
    bins: columns.species,
    kinds: facts.species.map((name, i) => ({
      label: words(name),
      glyph: null,
      colour: (theme) => theme.species[i % theme.species.length],
    })),
    scale: null,
  };
}

function treeByRegime(topology, facts) {
  const names = facts.regimes;
  const several = names.length;
  const bins = new Uint8Array(topology.n);
  for (let i = 0; i < bins.length; i++) {
    const bits = topology.line[i];
    if (bits === 0) bins[i] = several + 1;
    else bins[i] = bits & (bits - 1) ? several : 31 - Math.clz32(bits);
  }
  const kinds = names.map((name, r) => ({
    label: name === "all" ? "all regimes" : words(name),
    glyph: REGIME_GLYPHS[r],
    colour: (theme) => theme.regime[r],
  }));
  kinds.push({ label: "several of them", glyph: "✚", colour: (theme) => theme.ink });
  kinds.push({ label: "none", glyph: null, colour: (theme) => mix(theme.faint, theme.page, 0.4) });
  return { by: "regime", bins, kinds, scale: null };
}

function treeByScars(columns) {
  const bins = new Uint8Array(columns.length);
  for (let i = 0; i < bins.length; i++) {
    const k = columns.scars[i];
    bins[i] = k < 3 ? k : k < 5 ? 3 : 4;
  }
  const kinds = ["none", "1 scar", "2 scars", "3–4 scars", "5 or more"].map((label, i) => ({
    label,
    glyph: null,
    colour: (theme) => (i === 0 ? theme.faint : theme.sequential(0.2 + 0.2 * i)),
  }));
  return { by: "scars", bins, kinds, scale: null };
}

/** The code below which a share of those that have one lies. */
function treeQuantile(codes, none, share) {
  const counts = new Int32Array(none + 1);
  for (const code of codes) counts[code]++;
  let left = share * (codes.length - counts[none]);
  for (let code = 0; code < none; code++) {
    left -= counts[code];
    if (left < 0) return code;
  }
  return Math.max(0, none - 1);
}

function treeScaled(codes, none, value, low, high) {
  const bins = new Uint8Array(codes.length).fill(STEPS);
  const span = high - low || 1;
  for (let i = 0; i < codes.length; i++) {
    if (codes[i] === none) continue;
    bins[i] = Math.min(STEPS - 1, Math.max(0, Math.floor((STEPS * (value(codes[i]) - low)) / span)));
  }
  return bins;
}

const treeUnknown = { label: "not known", glyph: null, colour: (theme) => theme.faint };

function treeByFitness(columns, facts) {
  const { low, step } = facts.tree.fitness;
  const none = treeNone(columns.fitness);
  const value = (code) => low + step * code;
  const [least, most] = [0.02, 0.98].map((share) => value(treeQuantile(columns.fitness, none, share)));
  const far = Math.max(Math.abs(least), Math.abs(most), step) || 1;
  const kinds = Array.from({ length: STEPS }, (_, i) => {
    const t = (2 * (i + 0.5)) / STEPS - 1;
    // The middle of the scale is the page's own colour; lines keep away from it.
    return { label: "", glyph: null, colour: (theme) => theme.diverging(Math.sign(t) * (0.35 + 0.65 * Math.abs(t))) };
  });
  const digits = far < 0.1 ? 3 : far < 1 ? 2 : far < 20 ? 1 : 0;
  const scale = {
    low: -far,
    high: far,
    middle: 0,
    steps: STEPS,
    text: (v) => signed(v, v === 0 ? 0 : digits),
    label: `fitness, ${TREE_FITNESS_IS} (${facts.tree.unit ?? "bp/bar"})`,
  };
  return {
    by: "fitness",
    bins: treeScaled(columns.fitness, none, value, -far, far),
    kinds: [...kinds, treeUnknown],
    scale,
  };
}

function treeByTrust(columns) {
  const value = (code) => code / 254;
  const high = Math.max(0.1, Math.ceil(10 * value(treeQuantile(columns.trust, 255, 0.99))) / 10);
  const kinds = Array.from({ length: STEPS }, (_, i) => ({
    label: "",
    glyph: null,
    colour: (theme) => theme.sequential(0.3 + (0.7 * i) / (STEPS - 1)),
  }));
  const scale = {
    low: 0,
    high,
    middle: high / 2,
    steps: STEPS,
    text: (v) => number(v, 2),
    label: `trust, ${TREE_TRUST_IS}`,
  };
  return { by: "trust", bins: treeScaled(columns.trust, 255, value, 0, high), kinds: [...kinds, treeUnknown], scale };
}

/** How many drawn agents each bin has. */
export function treeTally(layout, colouring) {
  const counts = new Int32Array(colouring.kinds.length);
  for (const i of layout.row) counts[colouring.bins[i]]++;
  return counts;
}

/** "#rrggbb" as three numbers. */
export function treeChannels(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

/**
 * Packed colours of each node's line and of its subtree as one.
 * @param {object} layout of `treeLayout`
 * @param {Uint8Array} bins by row of the columns
 * @param {Array<[number, number, number]>} palette red, green, blue of each bin
 * @returns {{lines: Uint32Array, bundles: Uint32Array}}
 */
export function treeBlend(layout, bins, palette) {
  const { n, row, parent, size } = layout;
  const lines = new Uint32Array(n);
  const bundles = new Uint32Array(n);
  const packed = Uint32Array.from(palette, ([red, green, blue]) => treePacked(red, green, blue));
  const sums = [0, 1, 2].map((c) => {
    const of = Float32Array.from(palette, (colour) => colour[c]);
    const sum = new Float32Array(n);
    for (let v = 0; v < n; v++) sum[v] = of[bins[row[v]]];
    for (let v = n - 1; v >= 0; v--) if (parent[v] >= 0) sum[parent[v]] += sum[v];
    return sum;
  });
  const [red, green, blue] = sums;
  for (let v = 0; v < n; v++) {
    lines[v] = packed[bins[row[v]]];
    bundles[v] = treePacked(red[v] / size[v], green[v] / size[v], blue[v] / size[v]);
  }
  return { lines, bundles };
}

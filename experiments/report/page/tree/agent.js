// One agent in words: what the card, the panel and the live region say of a row of the columns.

import { quantity } from "../base/data.js";
import { many, number, percent, signed, words } from "../base/dom.js";
import { originOf } from "../base/origins.js";
import { replicateWords } from "../base/replicate.js";
import { REGIME_GLYPHS } from "../base/theme.js";
import { treeNone } from "./layout.js";

/** What the tree's one number of an agent is: champions' panels have others, by regime and when they won. */
export const TREE_FITNESS_IS = "mean over its life in training";
export const TREE_TRUST_IS = "mean of the regimes after its last generation";

/** Bits as a list of their places. */
export function treeBits(bits) {
  const list = [];
  for (let r = 0; r < 8; r++) if (bits & (1 << r)) list.push(r);
  return list;
}

/** "bull trending", "all regimes". */
export function treeRegime(facts, r) {
  const name = facts.regimes[r] ?? `regime ${r}`;
  return name === "all" ? "all regimes" : words(name);
}

/** Regimes with their glyphs: "▲ bull trending, ★ all regimes". */
export function treeRegimes(facts, bits) {
  return treeBits(bits)
    .map((r) => `${REGIME_GLYPHS[r] ?? ""} ${treeRegime(facts, r)}`.trim())
    .join(", ");
}

/** Where each row's scars are in the columns "scars": those of row i are start[i] … start[i + 1]. */
export function treeScarStarts(scars, n) {
  const start = new Int32Array(n + 1);
  if (!scars) return start;
  for (let j = 0; j < scars.length; j++) start[scars.row[j] + 1]++;
  for (let i = 0; i < n; i++) start[i + 1] += start[i];
  return start;
}

/**
 * All that is on record of an agent.
 * @param {object} tree what `mountTree` holds: facts, columns, topology, scars, scarStarts
 * @param {number} row
 */
export function treeAgent(tree, row) {
  const { columns, topology, facts } = tree;
  const parent = topology.parent[row] === row ? null : topology.parent[row];
  const second = columns.second[row] === 0 ? null : row - columns.second[row];
  const strength =
    columns.strength && facts.tree.strength
      ? quantity(columns.strength[row], facts.tree.strength, treeNone(columns.strength))
      : null;
  return {
    row,
    id: columns.id[row],
    species: words(facts.species[columns.species[row]] ?? "?"),
    island: columns.island[row],
    replicate: facts.run?.islands ? replicateWords(facts, Math.floor(columns.island[row] / facts.run.islands)) : null,
    born: columns.born[row],
    died: topology.alive[row] ? null : topology.end[row] - 1,
    cause: topology.alive[row] ? null : words(facts.causes[columns.cause[row]] ?? "not known"),
    operator: words(facts.operators[columns.operator[row]] ?? "?"),
    strength: parent === null ? null : strength,
    parent: parent === null ? null : columns.id[parent],
    second: second === null ? null : columns.id[second],
    origin: parent === null ? originOf(facts, columns.id[row]) : null,
    fitness: facts.tree.fitness ? quantity(columns.fitness[row], facts.tree.fitness, treeNone(columns.fitness)) : null,
    trust: columns.trust[row] === 255 ? null : columns.trust[row] / 254,
    scars: columns.scars[row],
    won: columns.won[row],
    holds: columns.holds[row],
    // Where the tree was pruned, its own count misses those left out.
    below: columns.below ? columns.below[row] : topology.below[row],
    depth: topology.depth[row],
  };
}

/** The scars of a row: [{generation, regime, cause, severity}]. */
export function treeScarsOf(tree, row) {
  const { scars, scarStarts, facts } = tree;
  const list = [];
  for (let j = scarStarts[row]; j < scarStarts[row + 1]; j++) {
    list.push({
      generation: scars.generation[j],
      regime: scars.regime[j] < facts.regimes.length ? treeRegime(facts, scars.regime[j]) : null,
      cause: words(facts.causes[scars.cause[j]] ?? "scar"),
      severity: scars.severity[j] === 255 ? null : scars.severity[j] / 254,
    });
  }
  return list;
}

/**
 * How many scars a row had before a generation, such as that of the next birth on a line, and how many came later.
 * @param {object} tree what `mountTree` holds @param {number} row @param {number} generation
 * @returns {{before: number, later: number}}
 */
export function treeScarsBefore(tree, row, generation) {
  const { scars, scarStarts } = tree;
  let before = 0;
  for (let j = scarStarts[row]; j < scarStarts[row + 1]; j++) if (scars.generation[j] < generation) before++;
  return { before, later: scarStarts[row + 1] - scarStarts[row] - before };
}

/** "3", "255 or more". */
export function treeScarCount(count) {
  return count === 255 ? "255 or more" : number(count);
}

function founderWords(agent) {
  return agent.origin ? `none: a founder, from ${agent.origin}` : "none: a founder";
}

/** Rows of an agent's card: [label, text, what the number is of]. */
export function treeCardRows(tree, agent) {
  const { facts } = tree;
  const birth = [agent.operator, agent.strength === null ? null : `strength ${number(agent.strength, 3)}`];
  const parents = [agent.parent, agent.second ?? treeLostParent(tree, agent)].filter((id) => id !== null);
  return [
    ["Species", [agent.species, agent.replicate, `island ${agent.island}`].filter(Boolean).join(", ")],
    ["Lived", `generation ${agent.born} – ${agent.died === null ? "now (alive)" : `${agent.died} (${agent.cause})`}`],
    ["Birth", birth.filter(Boolean).join(", ")],
    [parents.length > 1 ? "Parents" : "Parent", parents.length ? parents.join(" and ") : founderWords(agent)],
    agent.fitness === null
      ? ["Fitness", "not known"]
      : ["Fitness", `${signed(agent.fitness, 3)} ${facts.tree.unit ?? "bp/bar"}`, TREE_FITNESS_IS],
    agent.trust === null ? ["Trust", "not known"] : ["Trust", number(agent.trust, 2), TREE_TRUST_IS],
    ["Scars", treeScarCount(agent.scars)],
    ["Won", agent.won ? treeRegimes(facts, agent.won) : "nothing"],
    ["Holds", agent.holds ? treeRegimes(facts, agent.holds) : null],
    ["Descendants", number(agent.below)],
    ["Depth", number(agent.depth)],
  ].filter(([, text]) => text !== null);
}

/** Words for the second parent of a crossing where the tree lacks it; null where nothing is lacking. */
function treeLostParent(tree, agent) {
  if (agent.operator !== "crossover" || agent.second !== null || agent.parent === null) return null;
  return tree.facts.tree.pruned ? "another parent, left out here" : "another parent, not on record";
}

/** The agent in one sentence, for the live region. */
export function treeSentence(tree, agent) {
  const parts = [
    `Agent ${agent.id}`,
    `${agent.species}, born in generation ${agent.born} by ${agent.operator}`,
    agent.died === null ? "alive" : `died in generation ${agent.died}, ${agent.cause}`,
    agent.fitness === null
      ? null
      : `fitness ${signed(agent.fitness, 3)} ${tree.facts.tree.unit ?? "bp/bar"}, ${TREE_FITNESS_IS}`,
    agent.won
      ? `won ${treeBits(agent.won)
          .map((r) => treeRegime(tree.facts, r))
          .join(", ")}`
      : null,
    agent.scars ? many(agent.scars, "scar") : null,
    `${many(agent.below, "descendant")}`,
  ];
  return `${parts.filter(Boolean).join("; ")}.`;
}

/** Severity in words. */
export function treeSeverity(severity) {
  return severity === null ? "" : `severity ${percent(severity, 0)}`;
}

// What of the tree the page's address keeps besides its window: the filter, the colours, the order, the pinned agent.

import { read, write } from "../base/address.js";
import { TREE_COLOURINGS } from "./colour.js";
import { TREE_ORDERS, TREE_SHOWS } from "./model.js";

/** Keep what is chosen in the address; what it would be anyway is left out. @param {object} tree of treeModel */
export function treeToAddress(tree) {
  const { show, species, from, to } = tree.filter;
  const unless = (value, usual) => (value === usual ? null : value);
  write("tree-show", unless(show, TREE_SHOWS[0][0]));
  write("tree-species", species === null ? null : tree.facts.species[species]);
  write("tree-from", from);
  write("tree-to", to);
  write("tree-colour", unless(tree.by, TREE_COLOURINGS[0][0]));
  write("tree-rows", unless(tree.order, TREE_ORDERS[0][0]));
  write("tree-agent", tree.pinned < 0 ? null : tree.columns.id[tree.pinned]);
}

/** Set the tree's filter, colours and order to what the address says. @param {object} tree of treeModel */
export function treeFromAddress(tree) {
  const known = (list, key) => (list.some(([one]) => one === key) ? key : list[0][0]);
  const whole = (key) => (/^\d+$/.test(read(key) ?? "") ? Number(read(key)) : null);
  const species = tree.facts.species.indexOf(read("tree-species") ?? "");
  tree.filter = {
    show: known(TREE_SHOWS, read("tree-show")),
    species: species < 0 ? null : species,
    from: whole("tree-from"),
    to: whole("tree-to"),
  };
  tree.by = known(TREE_COLOURINGS, read("tree-colour"));
  tree.order = known(TREE_ORDERS, read("tree-rows"));
  tree.lit = null;
}

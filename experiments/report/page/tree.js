// The lineage tree.

import { h } from "./dom.js";

/** Mounts the lineage tree. @param {HTMLElement} section @param {object} facts */
export function mountTree(section, facts) {
  section.append(h("p", { class: "absent" }, facts.tree ? "The lineage tree is not drawn by this version." : "There is no lineage to draw."));
}

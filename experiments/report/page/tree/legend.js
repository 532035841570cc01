// The legend: what each colour and each mark means, with numbers. A category is a button that sets it off from the
// rest.

import { h, number } from "../base/dom.js";
import { treeShape } from "./marks.js";

/**
 * The legend's place.
 * @param {(bin: number|null) => void} light called with the category to set off, null for none
 */
export function treeLegend(light) {
  const element = h("div", { class: "tree-legend" });
  return {
    element,
    /**
     * @param {object} tree what `mountTree` holds; `tree.colouring`, `tree.tally`, `tree.lit`, `tree.theme`
     */
    show(tree) {
      const { colouring, tally, lit, theme, facts } = tree;
      const parts = colouring.scale
        ? [treeRamp(colouring, theme)]
        : colouring.kinds.map((kind, bin) => (tally[bin] ? treeChip(kind, bin, tally[bin], lit, theme, light) : null));
      const focused = element.contains(document.activeElement) ? document.activeElement.dataset.bin : null;
      element.replaceChildren(
        h("div", { class: "chips", role: "group", "aria-label": "Set off a category" }, parts),
        treeShapes(facts),
      );
      if (focused !== null && focused !== undefined) element.querySelector(`[data-bin="${focused}"]`)?.focus();
    },
  };
}

function treeChip(kind, bin, count, lit, theme, light) {
  const on = lit === bin;
  const swatch = h("i", { class: "tree-swatch", "aria-hidden": "true", style: { background: kind.colour(theme) } });
  return h(
    "button",
    {
      type: "button",
      class: "tree-chip",
      "data-bin": bin,
      "aria-pressed": String(on),
      onclick: () => light(on ? null : bin),
    },
    swatch,
    kind.glyph ? h("span", { "aria-hidden": "true" }, kind.glyph) : null,
    h("span", null, kind.label),
    h("span", { class: "tree-count" }, number(count)),
  );
}

function treeRamp(colouring, theme) {
  const { scale, kinds } = colouring;
  const canvas = h("canvas", { width: scale.steps, height: 1, "aria-hidden": "true" });
  const pen = canvas.getContext("2d");
  for (let i = 0; i < scale.steps; i++) {
    pen.fillStyle = kinds[i].colour(theme);
    pen.fillRect(i, 0, 1, 1);
  }
  const swatch = h("i", {
    class: "tree-swatch",
    "aria-hidden": "true",
    style: { background: kinds[scale.steps].colour(theme) },
  });
  return h(
    "figure",
    { class: "tree-ramp" },
    h("figcaption", null, scale.label),
    canvas,
    h(
      "div",
      { class: "tree-ends" },
      h("span", null, scale.text(scale.low)),
      h("span", null, scale.text(scale.middle)),
      h("span", null, scale.text(scale.high)),
    ),
    h("span", { class: "tree-unknown" }, swatch, "not known"),
  );
}

function treeShapes(facts) {
  const shapes = facts.operators.map((name) =>
    h("span", null, h("i", { class: `tree-shape ${treeShape(name)}`, "aria-hidden": "true" }), name),
  );
  return h(
    "p",
    { class: "tree-shapes small" },
    shapes,
    h("span", null, h("i", { class: "tree-cross", "aria-hidden": "true" }, "×"), "scar"),
    facts.operators.includes("crossover")
      ? h("span", null, h("i", { class: "tree-dash", "aria-hidden": "true" }), "to the second parent")
      : null,
  );
}

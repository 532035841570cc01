// The controls above the tree: what is shown, how it is coloured and ordered, zoom, and the keys in words.

import { h, selector, words } from "../base/dom.js";
import { TREE_COLOURINGS } from "./colour.js";
import { TREE_ORDERS, TREE_SHOWS } from "./model.js";

/**
 * Lists and fields for the filter, the colours and the order.
 * @param {object} tree of treeModel
 * @param {{filter: (change: object) => void, colour: (by: string) => void, order: (order: string) => void}} hands
 * @returns {{element: HTMLElement, update: () => void}} `update` sets them to what the tree holds
 */
export function treeControls(tree, hands) {
  const { facts } = tree;
  const species = [["", "all"], ...facts.species.map((name, i) => [String(i), words(name)])];
  const show = selector({
    label: "Show",
    options: TREE_SHOWS.map(([key, label]) => [key, label]),
    value: tree.filter.show,
    choose: (value) => hands.filter({ show: value }),
  });
  const kind = selector({
    label: "Species",
    options: species,
    value: "",
    choose: (value) => hands.filter({ species: value === "" ? null : Number(value) }),
  });
  const colour = selector({ label: "Colour by", options: TREE_COLOURINGS, value: tree.by, choose: hands.colour });
  const order = selector({ label: "Rows", options: TREE_ORDERS, value: tree.order, choose: hands.order });
  const whole = (field) => (/^\d+$/.test(field.value.trim()) ? Number(field.value) : null);
  const limit = (label, placeholder) =>
    h("input", {
      type: "number",
      min: 0,
      max: tree.last,
      step: 1,
      "aria-label": label,
      placeholder,
      onchange: () => hands.filter({ from: whole(from), to: whole(to) }),
    });
  const from = limit("First generation", "0");
  const to = limit("Last generation", String(tree.last));
  const generations = h(
    "span",
    { class: "selector tree-generations", role: "group", "aria-label": "Generations" },
    h("span", null, "Generations"),
    from,
    h("span", { "aria-hidden": "true" }, "–"),
    to,
  );
  const set = (label, value) => {
    label.querySelector("select").value = value;
  };
  return {
    element: h(
      "div",
      { class: "controls tree-controls" },
      show,
      facts.species.length > 1 ? kind : null,
      generations,
      colour,
      order,
    ),
    update() {
      set(show, tree.filter.show);
      set(kind, tree.filter.species === null ? "" : String(tree.filter.species));
      set(colour, tree.by);
      set(order, tree.order);
      from.value = tree.filter.from ?? "";
      to.value = tree.filter.to ?? "";
      const wrong = tree.filter.from !== null && tree.filter.to !== null && tree.filter.from > tree.filter.to;
      for (const field of [from, to]) field.setAttribute("aria-invalid", String(wrong));
    },
  };
}

/** Buttons that zoom. @param {(timeFactor: number|null, rowFactor: number) => void} zoom @param {() => void} fit */
export function treeZoomButtons(zoom, fit) {
  const button = (label, sign, act) =>
    h("button", { type: "button", "aria-label": label, title: label, onclick: act }, sign);
  return h(
    "div",
    { class: "tree-zoom", role: "group", "aria-label": "Zoom" },
    button("Zoom out", "−", () => zoom(null, 0.5)),
    button("Zoom in", "+", () => zoom(null, 2)),
    button("Fewer generations", "↔+", () => zoom(1.6, 1)),
    button("More generations", "↔−", () => zoom(0.625, 1)),
    button("Fewer rows", "↕+", () => zoom(1, 2)),
    button("More rows", "↕−", () => zoom(1, 0.5)),
    button("Show the whole tree", "Fit", fit),
  );
}

/** The keys and gestures in words. */
export function treeKeys() {
  const rows = [
    ["↑", "to the parent"],
    ["↓", "to the first child"],
    ["← →", "to the siblings"],
    ["n, p", "next and previous champion"],
    ["Enter", "pin the agent under the pointer or in focus, and trace its line"],
    ["Esc", "release it"],
    ["+ −", "zoom"],
    ["[ ]", "more or fewer generations"],
    ["{ }", "more or fewer rows"],
    ["Shift with an arrow", "move the window"],
    ["0", "the whole tree"],
    ["/", "find an agent by its id"],
    ["Wheel, pinch", "zoom; with Shift generations alone, with Alt rows alone"],
    ["Drag", "move the window"],
    ["Double click", "come close to an agent's descendants"],
  ];
  return h(
    "details",
    { class: "tree-keys" },
    h("summary", null, "Keys and gestures"),
    h(
      "dl",
      null,
      rows.map(([key, text]) => [
        h(
          "dt",
          null,
          key.split(", ").map((one, i) => [i ? ", " : null, h("kbd", null, one)]),
        ),
        h("dd", null, text),
      ]),
    ),
  );
}

// Finding an agent: a field for its id, and buttons that go from champion to champion.

import { h } from "../base/dom.js";

/** The row of an id; -1 where the tree has none. Ids rise with the rows in most runs, but need not. */
export function treeRowOf(columns, id) {
  if (!Number.isInteger(id) || id < 0 || id > 0xffffffff) return -1;
  let a = 0;
  let b = columns.length;
  while (a < b) {
    const m = (a + b) >> 1;
    if (columns.id[m] < id) a = m + 1;
    else b = m;
  }
  return columns.id[a] === id ? a : columns.id.indexOf(id);
}

/**
 * The search field and the champions' buttons.
 * @param {{find: (id: number) => string, champion: (step: number) => void, champions: number}} hands `find` says in
 *   words what came of it
 */
export function treeSearch(hands) {
  const field = h("input", {
    type: "search",
    id: "tree-search",
    inputmode: "numeric",
    placeholder: "agent's id",
    size: 10,
    autocomplete: "off",
    spellcheck: "false",
  });
  const said = h("p", { class: "readout tree-said", role: "status" });
  const form = h(
    "form",
    {
      class: "tree-search",
      role: "search",
      novalidate: true,
      "aria-label": "Find an agent",
      onsubmit: (event) => event.preventDefault(),
    },
    h("label", { for: "tree-search", class: "hidden" }, "Find an agent by id"),
    field,
    h("button", { type: "submit" }, "Find"),
  );
  form.addEventListener("submit", () => {
    const text = field.value.trim();
    said.replaceChildren(
      /^\d+$/.test(text)
        ? hands.find(Number(text))
        : text
          ? `An id is a whole number; “${text}” is none.`
          : "Type the id of an agent.",
    );
  });
  const step = (way, label, sign) =>
    h(
      "button",
      {
        type: "button",
        "aria-label": label,
        title: label,
        disabled: hands.champions === 0,
        onclick: () => hands.champion(way),
      },
      sign,
    );
  const champions = h(
    "div",
    { class: "tree-champions", role: "group", "aria-label": "Champions" },
    step(-1, "Previous champion", "‹"),
    h("span", null, "champion"),
    step(1, "Next champion", "›"),
  );
  return { form, champions, said, field, say: (...words) => said.replaceChildren(...words) };
}

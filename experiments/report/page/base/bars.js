// Bars with their numbers: a table of names, bars from a common zero and values, in ink that paper shows too.

import { h, svg } from "./dom.js";

const BAR_HEIGHT = 12;

/**
 * Bars over one another. A row that has no `value` but `head` alone is a heading; a `value` of null has no bar.
 * @param {string} label what they are of
 * @param {Array<{head?: string|Node, name?: string|Node, value?: number|null, text?: string, class?: string}>} rows
 * @param {[string, string]} heads of the names and of the numbers
 */
export function barTable(label, rows, heads) {
  const values = rows.map((row) => row.value).filter(Number.isFinite);
  const low = Math.min(0, ...values);
  const high = Math.max(0, ...values);
  const share = (value) => ((value - low) / (high - low || 1)) * 100;
  const body = rows.map((row) =>
    row.head
      ? h("tr", { class: "group" }, h("th", { scope: "rowgroup", colspan: 3 }, row.head))
      : h(
          "tr",
          null,
          h("th", { scope: "row" }, row.name),
          h("td", { class: "bar" }, oneBar(row, share)),
          h("td", { class: "n" }, row.text),
        ),
  );
  return h(
    "table",
    { class: "bars" },
    h("caption", { class: "hidden" }, label),
    h(
      "thead",
      { class: "hidden" },
      h(
        "tr",
        null,
        [heads[0], "bar", heads[1]].map((text) => h("th", { scope: "col" }, text)),
      ),
    ),
    h("tbody", null, body),
  );
}

function oneBar({ value, class: name = "" }, share) {
  const zero = share(0);
  const to = Number.isFinite(value) ? share(value) : zero;
  const sign = value < 0 ? "loss" : "gain";
  return svg(
    "svg",
    { viewBox: `0 0 100 ${BAR_HEIGHT}`, preserveAspectRatio: "none", height: BAR_HEIGHT, "aria-hidden": "true" },
    svg("rect", {
      class: `${sign} ${name}`,
      x: Math.min(zero, to),
      width: Math.abs(to - zero),
      y: 1,
      height: BAR_HEIGHT - 2,
    }),
    svg("path", { class: "zero", d: `M${zero},0 V${BAR_HEIGHT}`, "vector-effect": "non-scaling-stroke" }),
  );
}

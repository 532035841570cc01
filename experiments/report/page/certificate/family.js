// The family that was judged: a row each, of which the one that is chosen is shown in full below.

import { h, number, signed, percent } from "../base/dom.js";
import { VERDICTS, memberClass, memberGlyph, memberName } from "./words.js";

/**
 * The table: its own `mark(place)` presses one.
 * @param {object[]} family @param {object} facts @param {(place: number) => void} choose
 */
export function familyTable(family, facts, choose) {
  const heads = ["verdict", "return", "Sharpe", "drawdown", "trades", "days", "than flat", "than the same exposure"];
  const buttons = family.map((one, i) =>
    h("button", { type: "button", class: "member", "aria-pressed": "false", onclick: () => choose(i) }, [
      h("span", { class: "glyph", "aria-hidden": "true" }, memberGlyph(one)),
      memberName(one),
    ]),
  );
  const rows = family.map((one, i) => {
    const own = one.metrics["1"];
    const cell = (label, value, more = "") => h("td", { class: `n ${more}`, "data-label": label }, value);
    return h(
      "tr",
      { class: memberClass(one), onclick: (event) => event.target.closest("a, button") ?? choose(i) },
      h("th", { scope: "row" }, buttons[i], agent(one, facts)),
      h("td", { class: `said ${one.verdict}`, "data-label": "verdict" }, verdictWords(one.verdict)),
      cell("return", percent(own.total_return)),
      cell("Sharpe", signed(own.sharpe)),
      cell("drawdown", percent(own.max_drawdown === null ? null : Math.abs(own.max_drawdown))),
      cell("trades", number(one.trades)),
      cell("days", number(one.days)),
      cell("better than flat", against(one.against.flat), "wide"),
      cell("better than the same exposure", against(one.against.matched), "wide"),
    );
  });
  const table = h(
    "table",
    null,
    h("caption", { class: "hidden" }, "The family judged on the holdout"),
    h(
      "thead",
      null,
      h(
        "tr",
        { class: "parts" },
        h("td", { colspan: 7 }),
        h("th", { scope: "colgroup", colspan: 2 }, "Better, beyond luck"),
      ),
      h(
        "tr",
        null,
        h("th", { scope: "col" }, "Member"),
        heads.map((name, i) => h("th", { scope: "col", class: i ? "n" : null }, name)),
      ),
    ),
    h("tbody", null, rows),
  );
  return {
    element: h("div", { class: "family" }, table),
    mark(place) {
      buttons.forEach((button, i) => {
        button.setAttribute("aria-pressed", String(i === place));
        rows[i].classList.toggle("chosen", i === place);
      });
    },
  };
}

function agent(one, facts) {
  if (one.member === "router") return h("small", null, "each bar to its regime’s champion");
  if (one.id === null || one.id === undefined) return h("small", null, "nobody");
  const show = (event) => {
    event.preventDefault();
    document.dispatchEvent(new CustomEvent("show-champion", { detail: one.id }));
  };
  const known = (facts.champions ?? []).some((champion) => champion.id === one.id);
  return h(
    "small",
    null,
    known ? h("a", { href: "#champions", onclick: show }, String(one.id)) : String(one.id),
    one.species ? ` ${one.species}` : "",
  );
}

/** A verdict with its sign. @param {string} verdict */
export function verdictWords(verdict) {
  return [h("span", { class: "sign", "aria-hidden": "true" }, VERDICTS[verdict].sign), VERDICTS[verdict].word];
}

function against(test) {
  const word = test?.rejected ? "yes" : "no";
  return h("span", null, h("b", { class: word }, word), " ", h("small", null, `t ${signed(test?.statistic)}`));
}

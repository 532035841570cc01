// What the record is made of: returns by regime, what costs took, and what more of them would leave.

import { h, capital, percent, signed, words } from "../base/dom.js";
import { REGIME_GLYPHS } from "../base/theme.js";
import { barTable } from "../base/bars.js";
import { memberName } from "./words.js";

/**
 * Returns in each regime, of its champion, of the all-rounder and of the router.
 * @param {object[]} family @param {object} facts
 */
export function regimeBars(family, facts) {
  const wide = family.filter((one) => one.member === "all" || one.member === "router");
  const rows = facts.regimes.slice(0, -1).flatMap((name, regime) => {
    const champion = family.find((one) => one.regime === regime);
    const among = [...(champion ? [[champion, "its champion"]] : []), ...wide.map((one) => [one, memberName(one)])];
    const bars = among.map(([one, text]) => {
      const value = one.by_regime[name] ?? null;
      return { name: text, value, text: value === null ? "–" : `${signed(value * 100, 1)} %` };
    });
    const glyph = h("span", { class: `glyph regime-${regime}`, "aria-hidden": "true" }, REGIME_GLYPHS[regime]);
    return [{ head: h("span", null, glyph, capital(words(name))) }, ...bars];
  });
  return barTable("Return on the holdout by regime", rows, ["member", "return"]);
}

/** Returns at several times the costs, and the costs by kind. @param {object} one the member */
export function costBars(one) {
  const times = Object.keys(one.metrics).toSorted((a, b) => a - b);
  const returns = times.map((cost) => {
    const { total_return: value, sharpe } = one.metrics[cost];
    return {
      name: `${cost} × costs`,
      value,
      text: value === null ? "–" : `${signed(value * 100, 1)} %, Sharpe ${signed(sharpe)}`,
    };
  });
  const paid = Object.entries(one.costs).toSorted(([, a], [, b]) => b - a);
  return [
    barTable("Return at several times the costs", [{ head: "Return if costs were" }, ...returns], ["costs", "return"]),
    barTable(
      "Costs by kind",
      [
        { head: "What costs took of the capital at the start" },
        ...paid.map(([name, value]) => ({ name: words(name), value, text: percent(value, 2), class: "plain" })),
      ],
      ["kind", "share"],
    ),
  ];
}

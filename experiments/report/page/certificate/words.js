// Words of the certificate: its members, its verdicts, the rules that they decide by.

import { capital, number, regimeName } from "../base/dom.js";
import { REGIME_GLYPHS } from "../base/theme.js";

const ROUTER = "⇄";

/** Verdicts: their sign, what is said of a member, what stands large over all. */
export const VERDICTS = {
  pass: { sign: "✓", word: "passed", large: "Passed" },
  fail: { sign: "✕", word: "failed", large: "Failed" },
  insufficient: { sign: "?", word: "too little to judge", large: "Too little to judge" },
};

/** Ways to decide together. */
export const ENSEMBLES = { alone: "alone", mean: "mean of all", trust: "weighed by trust", stacked: "stacked" };

/** "bull trending", "all regimes", "router". @param {{member: string}} one */
export function memberName(one) {
  return regimeName(one.member);
}

/** "the champion of bull trending", "the all-rounder", "the router". @param {{member: string}} one */
export function memberTitle(one) {
  if (one.member === "all") return "the all-rounder";
  return one.regime === null ? `the ${one.member}` : `the champion of ${memberName(one)}`;
}

/** Clauses of the certificate as sentences. @param {string[]} clauses */
export function sentences(clauses) {
  return clauses.map((one) => `${capital(one)}.`).join(" ");
}

/** Its glyph. @param {{regime: number|null}} one */
export function memberGlyph(one) {
  return one.regime === null ? ROUTER : REGIME_GLYPHS[one.regime];
}

/** The class that gives it its colour. @param {{regime: number|null}} one */
export function memberClass(one) {
  return one.regime === null ? "" : `regime-${one.regime}`;
}

/**
 * A rule in words: "mean of all, look-back 100, 4 bars averaged, threshold 0.3"; the plain one is "as bred".
 * @param {{ensemble: string, lookback: number|null, average: number, threshold: number}|null} rule
 */
export function ruleWords(rule) {
  if (!rule || isPlain(rule)) return "as bred";
  return [
    ENSEMBLES[rule.ensemble] ?? String(rule.ensemble),
    rule.lookback ? `look-back ${number(rule.lookback)}` : "look-back as bred",
    rule.average > 1 ? `${number(rule.average)} bars averaged` : null,
    rule.threshold > 0 ? `threshold ${number(rule.threshold, 1)}` : null,
  ]
    .filter(Boolean)
    .join(", ");
}

function isPlain({ ensemble, lookback, average, threshold }) {
  return ensemble === "alone" && !lookback && average === 1 && !threshold;
}

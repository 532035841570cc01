// The numbers behind the verdict, with a sentence on what each means. None of them decides: the verdict alone does.

import { h, number, percent, signed, table, words, capital } from "../base/dom.js";
import { numbers } from "../base/chart.js";
import { memberName } from "./words.js";

const PAPERS = { 2012: "2012/2014", 2025: "2025" };
const BOTH = (values, format) => Object.entries(PAPERS).map(([year, name]) => [format(values?.[year]), name]);

/** The member's numbers as cards. @param {object} certificate @param {object} one the member */
export function behind(certificate, one) {
  const { spa, minimum_backtest: backtest } = certificate;
  const days = (value) => (value === null || value === undefined ? "–" : `${number(value)} days`);
  const lone = (text) => [[text, null]];
  const chance = (one) => [
    `${percent(one?.p_consistent, 2)}`,
    one && `${percent(one.p_lower, 2)} to ${percent(one.p_upper, 2)}`,
  ];
  const least = one.detectable_sharpe;
  const known = least === null ? "" : `This holdout could tell ${number(least, 2)} or more from luck.`;
  const cards = [
    [
      "Sharpe ratio of a year",
      lone(signed(one.sharpe.year)),
      ["Return for each unit of swing.", known].join(" ").trim(),
    ],
    [
      "Probabilistic Sharpe ratio",
      BOTH(one.sharpe.probabilistic, (value) => percent(value)),
      "How sure the record makes it that the true ratio is above 0, given its length, skew and fat tails.",
    ],
    [
      "Deflated Sharpe ratio",
      BOTH(one.sharpe.deflated, (value) => percent(value)),
      "The same, but above the best that luck alone would show among the family and the openings of these bars.",
    ],
    [
      "Minimum track record",
      BOTH(one.sharpe.minimum_track_record, days),
      "How long such a record must last until one may be 95 % sure that its ratio is above 0.",
    ],
    [
      "Minimum backtest",
      lone(days(backtest)),
      "Within so many days, the best of as many lucky trials as validation saw shows a yearly Sharpe ratio of 1.",
    ],
    [
      "Chance of luck, against flat",
      [chance(spa.flat)],
      "Test of superior predictive ability: how often the best of the family would do as well if none had an edge.",
    ],
    [
      "Chance of luck, same exposure",
      [chance(spa.matched)],
      "The same, against holding what each of them usually holds.",
    ],
  ];
  return h(
    "dl",
    { class: "behind" },
    cards.map(([name, values, text]) =>
      h(
        "div",
        null,
        h("dt", null, name),
        h(
          "dd",
          { class: "values" },
          values.map(([value, note]) => h("span", null, value, note && h("small", null, note))),
        ),
        h("dd", null, text),
      ),
    ),
  );
}

/** What was tried on each part of the data, and what luck alone would show there. @param {object} certificate */
export function trials({ trials: parts, why, holdout, family }) {
  const year = (value) => (Number.isFinite(value) ? number(value * Math.sqrt(holdout.days_per_year), 2) : "–");
  const rows = ["training", "validation", "holdout"]
    .filter((part) => parts[part])
    .map((part) => {
      const { raw, effective, expected_maximum: luck, record, member, deflated } = parts[part];
      const own = family.find((one) => one.member === member);
      return [
        capital(part),
        number(raw),
        effective === null ? "–" : number(effective, effective < 100 ? 1 : 0),
        year(luck),
        year(record),
        own ? memberName(own) : "–",
        ...Object.keys(PAPERS).map((paper) => percent(deflated?.[paper])),
      ];
    });
  const deflated = Object.values(PAPERS).map((name) => `deflated, ${name}`);
  const heads = ["record", "trials", "different ones", "best by luck", "best member", "who", ...deflated];
  const unknown = Object.entries(why).filter(([name]) => name.startsWith("trials"));
  return [
    h(
      "div",
      { class: "sideways", tabindex: 0, role: "region", "aria-label": "Trials" },
      table([heads, ...rows], {
        caption: "Sharpe ratios of a year; deflated: how sure it is that the best is above luck",
      }),
    ),
    ...unknown.map(([name, reason]) => h("p", { class: "small" }, `${capital(name.slice(7))}: ${reason}.`)),
  ];
}

/**
 * All metrics at several times the costs, each with its formula; months; openings; conventions.
 * @param {object} certificate @param {object} one the member @param {string} name
 */
export function everything(certificate, one, name) {
  const times = Object.keys(one.metrics).toSorted((a, b) => a - b);
  const metrics = () => [
    ["metric", ...times.map((cost) => `${cost} × costs`), "how it is worked out"],
    ...Object.keys(one.metrics["1"]).map((key) => [
      capital(words(key)),
      ...times.map((cost) => number(one.metrics[cost][key], 4)),
      certificate.conventions[key] ?? "–",
    ]),
  ];
  const months = () => [["month", "return"], ...one.by_month.map(([month, value]) => [month, percent(value, 2)])];
  const openings = () => [
    ["opened", "by run", "opening", "judged at"],
    ...certificate.openings.map((opening) => [
      String(opening.time).slice(0, 16).replace("T", " "),
      String(opening.run_id),
      number(opening.opening),
      percent(opening.level, 2),
    ]),
  ];
  const read = () => [
    ["what", "how it is to be read"],
    ...Object.entries(certificate.conventions)
      .filter(([key]) => !(key in one.metrics["1"]))
      .map(([key, text]) => [capital(words(key)), text]),
  ];
  return [
    numbers(metrics, `metrics of ${name}`, "All metrics"),
    numbers(months, `months of ${name}`, "Months"),
    numbers(openings, "openings of these bars", `Openings of these bars (${number(certificate.openings.length)})`),
    numbers(read, "conventions", "Conventions"),
  ];
}

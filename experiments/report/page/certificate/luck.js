// The Sharpe ratio of a record among those that the best of as many lucky trials would show: of training, of validation
// or of the holdout.

import { h, number, percent, many, segmented } from "../base/dom.js";
import { histogram } from "../base/histogram.js";

const RECORDS = { training: "Training", validation: "Validation", holdout: "Holdout" };

/** Mounts the plot. Returns what has to be removed with it. @param {HTMLElement} place @param {object} certificate */
export function mountLuck(place, { luck, why }) {
  const known = Object.keys(RECORDS).filter((name) => luck?.records?.[name]);
  if (!known.length) {
    const reason = Object.entries(why).find(([name]) => name.startsWith("trials"))?.[1];
    place.append(h("p", { class: "absent" }, `Unknown: ${reason ?? "nobody traded enough to tell"}.`));
    return { remove() {} };
  }
  const lead = h("p", { class: "lead" });
  const figure = h("div");
  let one = null;
  const draw = (name) => {
    one?.remove();
    figure.replaceChildren();
    const { edges, counts, of, observed, expected } = luck.records[name];
    const total = counts.reduce((sum, count) => sum + count, 0);
    const better = counts.reduce((sum, count, i) => sum + (edges[i] >= observed ? count : 0), 0);
    lead.textContent =
      `Sharpe ratios of the best of ${number(Math.round(of))} players who have no edge, on as many days ` +
      `(${number(expected, 2)} on average), beside this run’s best.`;
    one = histogram(figure, {
      label: `Sharpe ratios of the best of ${many(Math.round(of), "lucky trial")} on ${name}`,
      edges,
      counts,
      mark: observed,
      marked: `This run’s best: ${number(observed, 2)}. Of the lucky, ${percent(better / total)} are better`,
      axis: "Sharpe ratio of a year",
      colours: (colours) => [colours.faint, colours.negative],
    });
  };
  const choice = segmented({
    label: "Record",
    options: known.map((name) => [name, RECORDS[name]]),
    value: luck.record,
    choose: draw,
  });
  if (known.length > 1) place.querySelector("h3").after(choice);
  place.append(lead, figure);
  draw(known.includes(luck.record) ? luck.record : known[0]);
  return { remove: () => one?.remove() };
}

// Learning curves: what the best and the middle of each species made of training in each regime, when validation found
// a better champion, and what the population was like meanwhile.

import { h, svg, signed, number, compact, words, capital } from "../base/dom.js";
import { REGIME_GLYPHS, SPECIES_DASHES } from "../base/theme.js";
import { read, write, onAddress } from "../base/address.js";
import { onReplicate, replicateChoice, replicateShown, replicateWords } from "../base/replicate.js";
import { panelSet } from "../base/panels.js";
import { reason } from "./summary.js";

const SERIES = {
  diversity: { title: "Diversity", note: "mean distance of genomes", format: (value) => number(value, 2) },
  epsilon: { title: "Exploration", note: "mean ε", format: (value) => number(value, 3) },
  trust: { title: "Trust", note: "mean reputation, 0 to 1", format: (value) => number(value, 2) },
  births: { title: "Births", note: "judged for the first time", format: compact, zero: true, whole: true },
  migrants: { title: "Migrants", note: "a generation", format: compact, zero: true, whole: true },
};
const CAUSE_DASHES = ["solid", [6, 3], [2, 2], [8, 2, 2, 2]];

/** Mounts the learning curves. @param {HTMLElement} section @param {object} facts */
export function mountCurves(section, facts) {
  const curves = facts.curves;
  if (!curves?.generations?.length) {
    if (!reason(facts, "curves"))
      section.append(
        h("p", { class: "absent" }, "No generation has ended yet, so there is nothing to draw over time."),
      );
    return;
  }
  const every = curves.every > 1 ? ` A point stands for ${number(curves.every)} generations.` : "";
  const hidden = new Set(hiddenNow());
  section.append(
    h(
      "p",
      { class: "lead" },
      "Each regime’s training score in bp a bar: the best of a generation and its median, by species; ",
      `the steps are the champion’s archive score, its validation drawn toward the mean.${every}`,
    ),
  );
  const chips = h("div", { class: "chips", role: "group", "aria-label": "Lines shown" });
  const place = h("div");
  section.append(h("div", { class: "controls" }, replicateChoice(facts), chips), place);
  let set = null;
  const draw = (replicate) => {
    set?.remove();
    set = panelSet(place, { generations: curves.generations, panels: panelsOf(facts, replicate), hidden });
  };
  draw(replicateShown(facts));
  onReplicate(facts, draw);
  const present = speciesPresent(curves);
  const keys = [
    ["best", "best of training", { width: 2 }],
    ["median", "median of training", { width: 1, opacity: 0.7 }],
    ...(curves.archive?.length ? [["archive", "archive score, drawn toward the mean", { step: true }]] : []),
    ...(present.length > 1 ? present.map((i) => [`species-${i}`, facts.species[i], { dash: i }]) : []),
  ];
  for (const [key, text, style] of keys) {
    chips.append(
      h(
        "button",
        {
          type: "button",
          "data-key": key,
          "aria-pressed": String(!hidden.has(key)),
          onclick: (event) => {
            if (hidden.has(key)) hidden.delete(key);
            else hidden.add(key);
            event.currentTarget.setAttribute("aria-pressed", String(!hidden.has(key)));
            write("curves", [...hidden].join(","));
            set.update();
          },
        },
        sample(style),
        text,
      ),
    );
  }
  onAddress(() => {
    hidden.clear();
    for (const key of hiddenNow()) hidden.add(key);
    for (const chip of chips.children) chip.setAttribute("aria-pressed", String(!hidden.has(chip.dataset.key)));
    set.update();
  });
}

/** The panels of a replicate; all of them worked at one speed. */
function panelsOf(facts, replicate) {
  const { curves } = facts;
  const own = (lines) => (lines ?? []).filter((one) => (one.replicate ?? 0) === replicate);
  const mine = { ...curves };
  for (const name of ["fitness", "archive", "series", "deaths", "scars"]) mine[name] = own(curves[name]);
  return [
    ...regimePanels(facts, mine),
    ...seriesPanels(facts, mine),
    ...causePanels(mine),
    ...speedPanel(curves, replicateWords(facts, replicate) !== null),
  ];
}

function hiddenNow() {
  return (read("curves") ?? "").split(",").filter(Boolean);
}

function sample({ width = 1.5, opacity = 1, dash = 0, step = false, stroke = null }) {
  const dashes = stroke ?? SPECIES_DASHES[dash % SPECIES_DASHES.length];
  return svg(
    "svg",
    { width: 22, height: 10, viewBox: "0 0 22 10", "aria-hidden": "true" },
    svg("path", {
      d: step ? "M1,8 H9 V2 H21" : "M1,5 H21",
      fill: "none",
      stroke: "currentColor",
      "stroke-width": width,
      "stroke-opacity": opacity,
      "stroke-dasharray": Array.isArray(dashes) ? dashes.join(" ") : null,
    }),
  );
}

function speciesPresent(curves) {
  return [...new Set([...(curves.fitness ?? []), ...(curves.series ?? [])].map((one) => one.species))].sort(
    (a, b) => a - b,
  );
}

function regimePanels(facts, curves) {
  const several = speciesPresent(curves).length > 1;
  const order = [facts.regimes.length - 1, ...facts.regimes.keys()].slice(0, facts.regimes.length);
  return order.map((regime) => {
    const colour = (colours) => colours.regime[regime];
    const lines = (curves.fitness ?? [])
      .filter((one) => one.regime === regime)
      .flatMap((one) => {
        const name = several ? `${facts.species[one.species]} ` : "";
        const common = { colour, dash: SPECIES_DASHES[one.species % SPECIES_DASHES.length] };
        const keys = (kind) => [kind, `species-${one.species}`];
        return [
          {
            ...common,
            name: `${name}best`,
            group: "best",
            values: one.best,
            keys: keys("best"),
            width: 1.75,
            zero: true,
          },
          {
            ...common,
            name: `${name}median`,
            group: "median",
            values: one.median,
            keys: keys("median"),
            width: 1,
            opacity: 0.7,
          },
        ];
      });
    const steps = (curves.archive ?? [])
      .filter((one) => one.regime === regime)
      .map((one) => ({
        name: "archive score",
        group: "archive score",
        points: one.points,
        step: true,
        symbol: "circle",
        colour: (colours) => colours.ink,
        width: 1,
        opacity: 0.8,
        keys: ["archive"],
        z: 3,
      }));
    return {
      title: regime === facts.regimes.length - 1 ? "All regimes" : capital(words(facts.regimes[regime])),
      glyph: REGIME_GLYPHS[regime],
      class: `regime-${regime}`,
      note: "bp a bar",
      series: [...lines, ...steps],
      format: (value) => signed(value),
      axis: (value) => signed(value, 1),
    };
  });
}

function seriesPanels(facts, curves) {
  const several = speciesPresent(curves).length > 1;
  return Object.entries(SERIES)
    .map(([name, { title, note, format, axis, zero, whole }]) => ({
      title,
      note,
      format,
      axis,
      zero,
      whole,
      series: (curves.series ?? [])
        .filter((one) => one.name === name && one.values.some((value) => value !== null))
        .map((one) => ({
          name: several ? facts.species[one.species] : title.toLowerCase(),
          values: one.values,
          colour: (colours) => colours.species[one.species % 4],
          dash: SPECIES_DASHES[one.species % SPECIES_DASHES.length],
          keys: [`species-${one.species}`],
        })),
    }))
    .filter(
      (panel) =>
        panel.series.length &&
        !(
          panel.title === "Migrants" &&
          panel.series.every((one) => one.values.every((value) => value === one.values[0]))
        ),
    );
}

function causePanels(curves) {
  const present = (counts) => counts.filter(({ values }) => values.some(Boolean));
  const one = (title, counts) => ({
    title,
    note: "a generation: ",
    key: () =>
      present(counts).flatMap(({ cause }, i) => [
        h("span", { class: `cause-${i % 4}` }, sample({ stroke: CAUSE_DASHES[i % 4] })),
        ` ${words(cause)}  `,
      ]),
    format: compact,
    zero: true,
    whole: true,
    series: present(counts).map(({ cause, values }, i) => ({
      name: words(cause),
      values,
      colour: (colours) => colours.cause[i % 4],
      dash: CAUSE_DASHES[i % 4],
    })),
  });
  return [one("Deaths", curves.deaths), one("Scars", curves.scars)].filter((panel) => panel.series.length);
}

function speedPanel(curves, several) {
  if (!curves.speed?.some((value) => value !== null)) return [];
  return [
    {
      title: "Speed",
      note: `agent-bars a second${several ? ", all replicates together" : ""}`,
      format: compact,
      zero: true,
      series: [{ name: "agent-bars/s", short: "", values: curves.speed, colour: (colours) => colours.soft }],
    },
  ];
}

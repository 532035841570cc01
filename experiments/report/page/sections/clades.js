// Founder clades over time, as a Muller plot: how much of the population each founder's descendants were. Hues tell the
// species, shades alternate from clade to clade; the many small clades are pooled in grey.

import { h, number, percent, many, segmented } from "../base/dom.js";
import { mix } from "../base/theme.js";
import { read, write, onAddress } from "../base/address.js";
import { onReplicate, replicateChoice, replicateShown, replicateWords } from "../base/replicate.js";
import { chart, generationAxis, plainAxis } from "../base/chart.js";
import { reason } from "./summary.js";

/** Mounts the Muller plot. @param {HTMLElement} section @param {object} facts */
export function mountClades(section, facts) {
  const groups = facts.clades?.replicates ?? [];
  if (!groups.some((one) => one.clades.length) || !facts.clades.generations?.length) {
    if (!reason(facts, "clades")) section.append(h("p", { class: "absent" }, "There are no births to follow."));
    return;
  }
  const unitNow = () => (read("clades") === "count" ? "count" : "share");
  let unit = unitNow();
  let drawn = null;
  const units = segmented({
    label: "Height",
    options: [
      ["share", "Share"],
      ["count", "Count"],
    ],
    value: unit,
    choose: (value) => {
      write("clades", value === "count" ? value : null);
      drawn?.scale((unit = value));
    },
  });
  const lead = h("p", { class: "lead" });
  const key = h("span", { class: "clade-key" });
  const place = h("div");
  const draw = (replicate) => {
    drawn?.remove();
    drawn = null;
    const own = groups.find((one) => one.replicate === replicate);
    if (!own?.clades.length) {
      lead.textContent = `No birth of ${replicateWords(facts, replicate) ?? "this run"} is on record.`;
      return key.replaceChildren();
    }
    const clades = { ...own, generations: facts.clades.generations };
    lead.textContent = cladesWords(clades);
    key.replaceChildren(...(severalSpecies(clades) ? speciesKey(facts, clades) : []));
    drawn = drawClades(place, clades, facts, unit);
    return undefined;
  };
  section.append(lead, h("div", { class: "controls" }, replicateChoice(facts), units, key), place);
  draw(replicateShown(facts));
  onReplicate(facts, draw);
  onAddress(() => {
    units.set((unit = unitNow()));
    drawn?.scale(unit);
  });
}

function severalSpecies({ clades }) {
  return new Set(clades.map((one) => one.species).filter((one) => one !== null && one !== undefined)).size > 1;
}

function cladesWords(group) {
  const named = group.clades.filter((one) => !one.pooled);
  const living = named.filter((one) => one.alive > 0).length;
  return [
    `All agents alive, by the founder they descend from: ${many(named.length, "clade")} shown,`,
    `${number(living)} of them alive at the end.`,
    severalSpecies(group) ? "Hues tell the species; shades only tell neighbours apart." : "",
  ]
    .join(" ")
    .trim();
}

/** The plot of one replicate: `scale(unit)` changes its height, `remove()` takes it away. */
function drawClades(place, clades, facts, scaled) {
  const { generations } = clades;
  const order = ordered(clades);
  const totals = generations.map((_, t) => clades.counts.reduce((sum, counts) => sum + (counts[t] ?? 0), 0));
  const view = { unit: scaled, row: -1, time: generations.length - 1 };
  const reading = h("p", { class: "readout", "aria-live": "off" });
  const figure = h("figure", null, reading);
  place.append(figure);
  const name = (k) => {
    const clade = clades.clades[k];
    return clade.pooled
      ? `${number(clade.pooled)} small clades`
      : `Founder ${clade.id}${facts.species?.[clade.species] ? ` (${facts.species[clade.species]})` : ""}`;
  };
  const rest = () =>
    (reading.textContent =
      "Point at a clade, or walk with the arrow keys: left and right through time, up and down through clades.");
  const say = (k, t) => {
    const count = clades.counts[k][t];
    const clade = clades.clades[k];
    const ever = clade.size !== undefined && clade.size !== null ? `; ${number(clade.size)} descendants ever` : "";
    reading.replaceChildren(
      h("b", null, name(k)),
      `, generation ${number(generations[t])}: ${many(count, "agent")}, `,
      `${percent(totals[t] ? count / totals[t] : 0)}${ever}`,
    );
    return reading.textContent;
  };
  rest();
  const one = chart(figure, {
    label: `Muller plot of ${order.length} founder clades over generations ${generations[0]} to ${generations.at(-1)}`,
    height: (width) => (width < 560 ? 300 : 420),
    option: (colours, width) => cladesOption(facts, clades, order, totals, view.unit, colours, width),
    table: () => [
      ["generation", ...order.map(name)],
      ...generations.map((generation, t) => [String(generation), ...order.map((k) => clades.counts[k][t])]),
    ],
    ready: (instance) => {
      const zr = instance.getZr();
      zr.on("mousemove", (event) => {
        const at = [event.offsetX, event.offsetY];
        if (!instance.containPixel("grid", at)) return rest();
        const [generation, height] = instance.convertFromPixel({ gridIndex: 0 }, at);
        const t = nearestIndex(generations, generation);
        const row = rowAtHeight(clades, order, t, view.unit === "share" ? height * totals[t] : height);
        light(instance, row);
        if (row >= 0) say(order[row], t);
        else rest();
      });
      zr.on("globalout", () => {
        light(instance, -1);
        rest();
      });
    },
    reading: { count: () => generations.length, at: (t) => ((view.time = t), say(order[Math.max(0, view.row)], t)) },
  });
  const voice = figure.querySelector("[aria-live=polite]");
  one.element.addEventListener("keydown", (event) => {
    const by = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!by || !one.instance) return;
    event.preventDefault();
    view.row = Math.min(order.length - 1, Math.max(0, view.row + by));
    light(one.instance, view.row);
    voice.textContent = say(order[view.row], view.time);
  });
  one.element.addEventListener("blur", () => one.instance && light(one.instance, -1));
  return {
    scale(unit) {
      view.unit = unit;
      one.update();
    },
    remove() {
      one.remove();
      figure.remove();
    },
  };
}

/** Rows from the bottom up: pooled ones first, then by species, large clades first. */
function ordered({ clades }) {
  const rank = (one) => (one.pooled ? -1 : (one.species ?? 0));
  return [...clades.keys()].sort(
    (a, b) => rank(clades[a]) - rank(clades[b]) || (clades[b].size ?? 0) - (clades[a].size ?? 0),
  );
}

function nearestIndex(generations, generation) {
  const step =
    generations.length > 1 ? (generations[generations.length - 1] - generations[0]) / (generations.length - 1) : 1;
  return Math.min(generations.length - 1, Math.max(0, Math.round((generation - generations[0]) / step)));
}

function rowAtHeight(clades, order, t, height) {
  let below = 0;
  for (let row = 0; row < order.length; row++) {
    below += clades.counts[order[row]][t];
    if (height <= below) return height < 0 ? -1 : row;
  }
  return -1;
}

function light(instance, row) {
  if (instance.litRow === row) return;
  instance.litRow = row;
  instance.dispatchAction({ type: "downplay" });
  if (row >= 0) instance.dispatchAction({ type: "highlight", seriesIndex: row });
}

function shade(colours, clade, place) {
  if (clade.pooled) return colours.line;
  const hue = colours.species[(clade.species ?? 0) % 4];
  return mix(hue, colours.page, [0.1, 0.5, 0.28, 0.66, 0.4][place % 5]);
}

function cladesOption(facts, clades, order, totals, unit, colours, width) {
  const { generations } = clades;
  const share = unit === "share";
  const last = generations.length - 1;
  const whole = Math.max(...totals);
  const places = {};
  return {
    grid: { outerBoundsMode: "none", left: 52, right: width < 560 ? 10 : 108, top: 10, bottom: 26 },
    xAxis: generationAxis(colours, generations[0], generations[last], width < 560 ? 4 : 8),
    yAxis: plainAxis(colours, {
      min: 0,
      max: share ? 1 : undefined,
      interval: share ? 0.25 : undefined,
      splitNumber: 4,
      splitLine: { show: false },
      axisLabel: { formatter: (value) => (share ? `${Math.round(value * 100)} %` : number(value)) },
    }),
    series: order.map((k) => {
      const clade = clades.clades[k];
      const group = clade.pooled ? "pooled" : clade.species;
      const colour = shade(colours, clade, (places[group] = (places[group] ?? -1) + 1));
      const ending = clades.counts[k][last] / (totals[last] || 1);
      const tall = share ? ending : clades.counts[k][last] / whole;
      return {
        name: clade.pooled ? "pooled" : `founder ${clade.id}`,
        type: "line",
        stack: "all",
        symbol: "none",
        silent: true,
        data: generations.map((generation, t) => [
          generation,
          share ? (totals[t] ? clades.counts[k][t] / totals[t] : 0) : clades.counts[k][t],
        ]),
        lineStyle: { width: 0.5, color: colours.page, opacity: 1 },
        areaStyle: { color: colour, opacity: 1 },
        emphasis: {
          disabled: false,
          areaStyle: { color: colours.accent, opacity: 0.9 },
          lineStyle: { width: 0.5, color: colours.page },
        },
        endLabel: {
          show: width >= 560 && tall > 0.045,
          formatter: clade.pooled ? `${number(clade.pooled)} small` : `founder ${clade.id}`,
          color: colours.soft,
          fontSize: 11,
          distance: 6,
          offset: [0, (tall * (420 - 36)) / 2],
        },
      };
    }),
  };
}

function speciesKey(facts, { clades }) {
  const present = [...new Set(clades.filter((one) => !one.pooled).map((one) => one.species ?? 0))].sort();
  const keys = present.map((i) => [`species-${i % 4}`, facts.species?.[i] ?? ""]);
  if (clades.some((one) => one.pooled)) keys.push(["pooled", "pooled"]);
  return keys.map(([name, text]) => h("span", null, h("i", { class: name, "aria-hidden": "true" }), text));
}

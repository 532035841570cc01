// Small multiples over the generations: panels of one width and one axis, so that one crosshair runs through all of
// them and the figures under it stand in each panel's head, where they hide nothing.

import { h, number } from "./dom.js";
import { chart, crosshair, generationAxis, plainAxis } from "./chart.js";

const BESIDE = 3;
const GRID = { outerBoundsMode: "none", left: 46, right: 12, top: 8, bottom: 22 };

/**
 * A set of panels over the same generations.
 *
 * A panel: `{ title, note?, series, format(value), min?, zero? }`; a series: `{ name, values, colour(colours), dash?,
 * width?, opacity?, step?, symbol?, points?, keys? }`. `values` are one a generation; `points`, in their place, are
 * [generation, value, words]. Series of whose `keys` one is hidden are left out.
 * @param {HTMLElement} place @param {{generations: number[], panels: object[], hidden: Set<string>}} what
 * @returns {{update: () => void, remove: () => void}}
 */
export function panelSet(place, { generations, panels, hidden }) {
  const grid = h("div", { class: "panels" });
  const made = panels.map((panel) => onePanel(grid, panel));
  place.append(grid);
  let at = -1;

  function onePanel(parent, panel) {
    const reading = h("p", { class: "readout" });
    const figure = h(
      "figure",
      null,
      h(
        "figcaption",
        null,
        h(
          "h3",
          null,
          panel.glyph && h("span", { class: `glyph ${panel.class ?? ""}`, "aria-hidden": "true" }, panel.glyph),
          panel.title,
        ),
      ),
      reading,
    );
    parent.append(figure);
    const shown = () => panel.series.filter((one) => !one.keys?.some((key) => hidden.has(key)));
    const one = { panel, reading, shown };
    one.chart = chart(figure, {
      label: `${panel.title} over generations ${generations[0]} to ${generations[generations.length - 1]}`,
      height: 150,
      option: (colours) => panelOption(panel, shown(), generations, colours),
      table: () => tableOf(shown(), generations),
      ready: (instance) => {
        one.cross = crosshair(one.chart.element, GRID.top, GRID.bottom);
        follow(instance);
      },
      reading: {
        count: () => generations.length,
        at: (index) => {
          move(index);
          return `generation ${generations[index]}: ${shown()
            .map((series) => `${series.name} ${panel.format(valueAt(series, generations[index], index))}`)
            .join(", ")}`;
        },
      },
    });
    one.chart.element.addEventListener("blur", () => move(-1));
    return one;
  }

  function follow(instance) {
    const zr = instance.getZr();
    zr.on("mousemove", (event) => {
      if (!instance.containPixel("grid", [event.offsetX, event.offsetY])) return;
      const generation = instance.convertFromPixel({ xAxisIndex: 0 }, event.offsetX);
      const step = generations.length > 1 ? generations[1] - generations[0] : 1;
      move(Math.min(generations.length - 1, Math.max(0, Math.round((generation - generations[0]) / step))));
    });
    zr.on("globalout", () => move(-1));
  }

  function move(index) {
    if (index === at) return;
    at = index;
    for (const { panel, chart: one, reading, shown, cross } of made) {
      const generation = generations[index];
      reading.textContent = "";
      if (index >= 0) {
        reading.append(`${number(generation)}: `);
        reading.append(...figures(panel, shown(), generation, index));
      } else rest(panel, reading);
      cross?.(index < 0 ? null : one.instance.convertToPixel({ xAxisIndex: 0 }, generation));
    }
  }

  for (const { panel, reading } of made) rest(panel, reading);
  return {
    update() {
      for (const one of made) one.chart.update();
    },
    remove() {
      for (const one of made) one.chart.remove();
      grid.remove();
    },
  };
}

/** All lines by generation; steps with the agent that made each. */
function tableOf(shown, generations) {
  const cells = (series, generation, i) => {
    const value = valueAt(series, generation, i);
    return series.points ? [value, agentAt(series, generation)] : [value];
  };
  const heads = shown.flatMap((series) => (series.points ? [series.name, "agent"] : [series.name]));
  const rows = generations.map((generation, i) => [
    String(generation),
    ...shown.flatMap((series) => cells(series, generation, i)),
  ]);
  return [["generation", ...heads], ...rows];
}

function agentAt(series, generation) {
  const step = series.points.findLast(([when]) => when <= generation);
  return step ? String(step[2] ?? "–") : null;
}

/** What the lines say at a generation; those of one group side by side, in the order of the legend. */
function figures(panel, shown, generation, index) {
  const groups = new Map();
  for (const series of shown)
    groups.set(series.group ?? series.name, [...(groups.get(series.group ?? series.name) ?? []), series]);
  return [...groups].flatMap(([name, all], i) => [
    i ? " · " : "",
    `${all[0].short ?? name} `,
    h(
      "b",
      null,
      sideBySide(
        panel,
        all.map((series) => valueAt(series, generation, index)),
      ),
    ),
  ]);
}

/** Few values one by one, many as their span. */
function sideBySide(panel, values) {
  if (values.length <= BESIDE) return values.map(panel.format).join(" / ");
  const known = values.filter((value) => value !== null);
  return known.length ? `${panel.format(Math.min(...known))} … ${panel.format(Math.max(...known))}` : "–";
}

function rest(panel, reading) {
  reading.textContent = panel.note ?? "";
  if (panel.key) reading.append(...panel.key());
}

function valueAt(series, generation, index) {
  if (!series.points) return series.values[index] ?? null;
  let value = null;
  for (const [when, what] of series.points) {
    if (when > generation) break;
    value = what;
  }
  return value;
}

function panelOption(panel, series, generations, colours) {
  const last = generations[generations.length - 1];
  return {
    grid: GRID,
    xAxis: {
      ...generationAxis(colours, generations[0], last),
      axisLine: { show: true, onZero: false, lineStyle: { color: colours.line } },
    },
    yAxis: plainAxis(colours, {
      splitNumber: 3,
      minInterval: panel.whole ? 1 : undefined,
      scale: !panel.zero,
      min: panel.zero ? 0 : undefined,
      axisLabel: { formatter: (value) => panel.axis?.(value) ?? panel.format(value) },
    }),
    series: series.map((one) => lineOf(one, generations, last, colours, panel)),
  };
}

/** Steps as a line of their own corners, so that none is lost; only the first point of each step is marked. */
function cornersOf(points, last) {
  const corners = points.flatMap(([when, value], i) => [
    ...(i ? [{ value: [when, points[i - 1][1]], symbol: "none" }] : []),
    [when, value],
  ]);
  return points.length ? [...corners, { value: [last, points[points.length - 1][1]], symbol: "none" }] : corners;
}

function lineOf(one, generations, last, colours, panel) {
  const colour = one.colour(colours);
  const data = one.points
    ? cornersOf(one.points, last)
    : generations.map((generation, i) => [generation, one.values[i]]);
  return {
    type: "line",
    name: one.name,
    data,
    stack: panel.stack ? "all" : undefined,
    symbol: one.symbol ?? "none",
    showSymbol: Boolean(one.symbol),
    symbolSize: 5,
    sampling: one.points ? undefined : "lttb",
    silent: true,
    lineStyle: {
      color: colour,
      width: (one.width ?? 1.5) * (one.values?.length > 400 ? 0.7 : 1),
      type: one.dash ?? "solid",
      opacity: one.opacity ?? 1,
    },
    itemStyle: { color: colour },
    areaStyle: panel.stack ? { color: colour, opacity: 0.75 } : undefined,
    markLine: one.zero
      ? {
          silent: true,
          symbol: "none",
          label: { show: false },
          lineStyle: { color: colours.faint, width: 1, type: "solid" },
          data: [{ yAxis: 0 }],
        }
      : undefined,
    z: one.z ?? 2,
  };
}

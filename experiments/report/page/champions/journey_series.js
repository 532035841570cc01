// What of a journey stays the same at every zoom: equity against buy and hold, drawdown with scars, regimes, positions.

import { faded } from "../base/theme.js";
import { pairs, regimeRuns, positionRuns } from "./journey_bars.js";

/** The axis below all others, which alone has labels. */
export const LAST_AXIS = 4;

const BOXES = 6000;
const CROSS = "path://M0,1.6 L1.6,0 L5,3.4 L8.4,0 L10,1.6 L6.6,5 L10,8.4 L8.4,10 L5,6.6 L1.6,10 L0,8.4 L3.4,5 Z";

/** The parts of the way, validation shaded. */
export function shading(bars, colours, labelled) {
  const data = bars.parts.map(({ part, from, to }) => [
    {
      xAxis: from,
      name: part === "train" ? "training" : part,
      itemStyle: { color: part === "validation" ? faded(colours.accent, 0.06) : "transparent" },
    },
    { xAxis: to },
  ]);
  return {
    silent: true,
    label: { show: labelled, position: [4, -15], color: colours.soft, fontSize: 11 }, // above, where no line runs
    data,
  };
}

/** A line over the bars in one of the grids. */
export function journeyLine(id, grid, data, colour, more = {}) {
  return {
    id,
    type: "line",
    xAxisIndex: grid,
    yAxisIndex: grid,
    data,
    symbol: "none",
    showSymbol: false,
    sampling: "lttb",
    silent: true,
    lineStyle: { color: colour, width: 1.5, ...more.lineStyle },
    ...more.rest,
  };
}

/** Equity and buy and hold. */
export function equitySeries(bars, colours) {
  return bars.parts.flatMap((part, k) => [
    journeyLine(`hold-${k}`, 0, pairs(bars, "hold", part), colours.faint, {
      lineStyle: { width: 1.25 },
      rest: k ? {} : { markArea: shading(bars, colours, true) },
    }),
    journeyLine(`equity-${k}`, 0, pairs(bars, "equity", part), colours.accent, {
      lineStyle: { width: 1.75 },
      rest: {
        z: 3,
        markLine: k
          ? undefined
          : {
              silent: true,
              symbol: "none",
              label: { show: false },
              lineStyle: { color: colours.line, type: "solid" },
              data: [{ yAxis: 1 }],
            },
      },
    }),
  ]);
}

/** Drawdown, scars, regimes and positions. */
export function underSeries(bars, colours, scars) {
  const falls = bars.parts.map((part, k) =>
    journeyLine(`drawdown-${k}`, 1, pairs(bars, "drawdown", part), colours.negative, {
      lineStyle: { width: 1 },
      rest: {
        areaStyle: { color: colours.negative, opacity: 0.18, origin: "start" },
        markArea: k ? undefined : shading(bars, colours, false),
      },
    }),
  );
  const positions = positionSeries(bars, colours);
  const runs = regimeRuns(bars);
  const strip = {
    id: "regimes",
    type: "custom",
    xAxisIndex: 3,
    yAxisIndex: 3,
    silent: true,
    clip: true,
    data: runs,
    encode: { x: [0, 1], y: -1 },
    dimensions: ["from", "to", "regime"],
    renderItem: (params, api) => {
      const [left, top] = api.coord([api.value(0) - 0.5, 1]);
      const [right, bottom] = api.coord([api.value(1) + 0.5, 0]);
      const box = params.coordSys;
      const x = Math.max(left, box.x);
      const w = Math.min(right, box.x + box.width) - x;
      return w > 0
        ? {
            type: "rect",
            shape: { x, y: top, width: Math.max(w, 0.5), height: bottom - top },
            style: { fill: colours.regime[api.value(2)] ?? "none" },
          }
        : null;
    },
  };
  const wounds = {
    id: "scars",
    type: "scatter",
    xAxisIndex: 1,
    yAxisIndex: 1,
    silent: true,
    symbol: CROSS,
    symbolSize: 7,
    itemStyle: { color: colours.ink },
    data: scars.map(({ row }) => [row, bars.drawdown[row] || 0]),
  };
  return [...falls, ...positions, strip, wounds];
}

/** Positions as boxes above and below zero, one a stretch held; a line where they change too often for that. */
function positionSeries(bars, colours) {
  const held = positionRuns(bars);
  const back = {
    id: "positions-back",
    type: "line",
    xAxisIndex: 4,
    yAxisIndex: 4,
    silent: true,
    symbol: "none",
    data: [[0, 0]],
    markArea: shading(bars, colours, false),
  };
  if (held.length > BOXES) {
    return [
      back,
      ...bars.parts.map((part, k) =>
        journeyLine(`position-${k}`, 4, pairs(bars, "position", part), colours.soft, {
          lineStyle: { width: 0.75 },
          rest: { sampling: "minmax", areaStyle: { color: colours.soft, opacity: 0.25, origin: 0 } },
        }),
      ),
    ];
  }
  const boxes = {
    id: "positions",
    type: "custom",
    xAxisIndex: 4,
    yAxisIndex: 4,
    silent: true,
    clip: true,
    data: held,
    dimensions: ["from", "to", "position"],
    encode: { x: [0, 1], y: 2 },
    renderItem: (params, api) => {
      const value = api.value(2);
      const [left, zero] = api.coord([api.value(0), 0]);
      const [right, y] = api.coord([api.value(1) + 1, value]);
      const box = params.coordSys;
      const x = Math.max(left, box.x);
      const w = Math.min(right, box.x + box.width) - x;
      return w > 0
        ? {
            type: "rect",
            shape: { x, y: Math.min(y, zero), width: Math.max(w, 0.5), height: Math.abs(y - zero) },
            style: { fill: value > 0 ? colours.positive : colours.negative, opacity: 0.8 },
          }
        : null;
    },
  };
  return [back, boxes];
}

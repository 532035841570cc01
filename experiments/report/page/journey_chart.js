// How a journey is drawn: equity against buy and hold, drawdown, price (a line that becomes candles when few bars are in
// view) with trades, regimes and position, on one axis of bars.

import { signed, number, percent, stamp, day } from "./dom.js";
import { plainAxis } from "./chart.js";
import { faded } from "./theme.js";
import { pairs, regimeRuns, positionRuns, largestPosition, tradesWithin } from "./journey_bars.js";

/** At most so many bars are drawn as candles, and so many trades are marked. */
export const CANDLES = 320;
export const TRADES_MARKED = 240;

const BOXES = 6000;
const FINE = 14 * 24 * 60;
const ROOM = { outerBoundsMode: "none", left: 58, right: 14 };
const GRIDS = [
  { name: "equity", top: 28, height: 150 },
  { name: "drawdown", top: 216, height: 56 },
  { name: "price", top: 310, height: 210 },
  { name: "regime", top: 538, height: 8 },
  { name: "position", top: 584, height: 44 },
];
/** Room above the first grid and below the last. */
export const JOURNEY_ROOM = { top: 28, bottom: 64 };
export const JOURNEY_HEIGHT = 692;
const TITLES = { equity: "Equity, start = 1", drawdown: "Drawdown", price: "Price", regime: "Regime", position: "Position" };
const CROSS = "path://M0,1.6 L1.6,0 L5,3.4 L8.4,0 L10,1.6 L6.6,5 L10,8.4 L8.4,10 L5,6.6 L1.6,10 L0,8.4 L3.4,5 Z";

/**
 * The whole option.
 * @param {object} bars of `joinedBars`
 * @param {{start: number, end: number}} view rows in view
 * @param {{colours: object, scars: Array<{row: number}>, width: number}} how
 */
export function journeyOption(bars, view, { colours, scars, width }) {
  const narrow = width < 560;
  const steep = isSteep(bars);
  const axes = GRIDS.map(({ name }, i) => ({
    ...plainAxis(colours, {
      gridIndex: i,
      min: 0,
      max: bars.length - 1,
      minInterval: 1,
      splitNumber: narrow ? 3 : 7,
      splitLine: { show: false },
      axisLine: { show: name === "position", onZero: false, lineStyle: { color: colours.line } },
      axisLabel: { show: name === "position", alignMinLabel: "left", alignMaxLabel: "right", formatter: rowLabels(bars, priceMode(bars, view).fine) },
    }),
  }));
  return {
    grid: GRIDS.map(({ top, height }) => ({ ...ROOM, left: narrow ? 46 : ROOM.left, top, height })),
    title: GRIDS.map(({ name, top }) => ({ text: `${TITLES[name]}${name === "equity" && steep ? ", log scale" : ""}`, left: 0, top: name === "regime" ? top - 4 : top - 24, padding: 0, textStyle: { color: colours.soft, fontSize: 12, fontWeight: 500 } })),
    xAxis: axes,
    yAxis: yAxes(colours, Math.max(0.1, Math.ceil(largestPosition(bars) * 10) / 10), steep),
    dataZoom: [
      { type: "inside", id: "inside", xAxisIndex: [0, 1, 2, 3, 4], startValue: view.start, endValue: view.end, zoomOnMouseWheel: "ctrl", moveOnMouseMove: true, moveOnMouseWheel: false, minValueSpan: 20, filterMode: "weakFilter", throttle: 30 },
      {
        type: "slider", id: "slider", xAxisIndex: [0, 1, 2, 3, 4], startValue: view.start, endValue: view.end, minValueSpan: 20, filterMode: "weakFilter", throttle: 30,
        left: narrow ? 46 : ROOM.left, right: ROOM.right, bottom: 6, height: 22, showDetail: false, brushSelect: false, borderColor: "transparent", backgroundColor: colours.hair, fillerColor: faded(colours.accent, 0.14),
        handleStyle: { color: colours.surface, borderColor: colours.faint }, moveHandleSize: 0, emphasis: { handleStyle: { borderColor: colours.accent } },
        dataBackground: { lineStyle: { color: colours.faint, width: 0.5 }, areaStyle: { opacity: 0 } }, selectedDataBackground: { lineStyle: { color: colours.accent, width: 0.75 }, areaStyle: { opacity: 0 } },
      },
    ],
    series: [...equitySeries(bars, colours), ...underSeries(bars, colours, scars), ...priceChanges(bars, view, colours, null).changes.series],
  };
}

/** Whether equity or buy and hold spans so much that equal ratios should have equal heights. */
function isSteep(bars) {
  let low = Infinity;
  let high = 0;
  for (const name of ["equity", "hold"]) {
    for (const value of bars[name]) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return low > 0 && high / low > 3;
}

/** What stands under the axis of bars: days, or hours too where few days are in view. */
function rowLabels(bars, fine) {
  return (row) => {
    const time = bars.time[Math.round(row)];
    return Number.isFinite(time) ? (fine ? stamp(time).slice(5) : day(time)) : "";
  };
}

function yAxes(colours, size, steep) {
  const axis = (i, more) => plainAxis(colours, { gridIndex: i, scale: true, splitNumber: 3, ...more });
  return [
    axis(0, { ...(steep ? { type: "log", logBase: 2 } : {}), axisLabel: { formatter: (value) => number(value, 2), showMinLabel: false } }),
    axis(1, { inverse: true, min: 0, scale: false, splitNumber: 2, axisLabel: { formatter: (value) => `${Math.round(value * 100)} %` } }),
    axis(2, { splitNumber: 4, axisLabel: { formatter: priceWords, showMinLabel: false } }),
    axis(3, { min: 0, max: 1, axisLabel: { show: false }, splitLine: { show: false } }),
    axis(4, { scale: false, min: -size, max: size, interval: size, axisLabel: { formatter: (value) => signed(value, 1).replace(/\.0$/, "") } }),
  ];
}

/** A price with the digits its size wants. @param {number} value */
export function priceWords(value) {
  return number(value, Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 20 ? 2 : 4);
}

function shading(bars, colours, labelled) {
  const data = bars.parts.map(({ part, from, to }) => [
    { xAxis: from, name: part === "train" ? "training" : part, itemStyle: { color: part === "validation" ? faded(colours.accent, 0.06) : "transparent" } },
    { xAxis: to },
  ]);
  return { silent: true, label: { show: labelled, position: "insideTopLeft", color: colours.soft, fontSize: 11, distance: 4 }, data };
}

function line(id, grid, data, colour, more = {}) {
  return { id, type: "line", xAxisIndex: grid, yAxisIndex: grid, data, symbol: "none", showSymbol: false, sampling: "lttb", silent: true, lineStyle: { color: colour, width: 1.5, ...more.lineStyle }, ...more.rest };
}

function equitySeries(bars, colours) {
  return bars.parts.flatMap((part, k) => [
    line(`hold-${k}`, 0, pairs(bars, "hold", part), colours.faint, { lineStyle: { width: 1.25 }, rest: k ? {} : { markArea: shading(bars, colours, true) } }),
    line(`equity-${k}`, 0, pairs(bars, "equity", part), colours.accent, { lineStyle: { width: 1.75 }, rest: { z: 3, markLine: k ? undefined : { silent: true, symbol: "none", label: { show: false }, lineStyle: { color: colours.line, type: "solid" }, data: [{ yAxis: 1 }] } } }),
  ]);
}

function underSeries(bars, colours, scars) {
  const falls = bars.parts.map((part, k) => line(`drawdown-${k}`, 1, pairs(bars, "drawdown", part), colours.negative, { lineStyle: { width: 1 }, rest: { areaStyle: { color: colours.negative, opacity: 0.18, origin: "start" }, markArea: k ? undefined : shading(bars, colours, false) } }));
  const positions = positionSeries(bars, colours);
  const runs = regimeRuns(bars);
  const strip = {
    id: "regimes", type: "custom", xAxisIndex: 3, yAxisIndex: 3, silent: true, clip: true, data: runs, encode: { x: [0, 1], y: -1 }, dimensions: ["from", "to", "regime"],
    renderItem: (params, api) => {
      const [left, top] = api.coord([api.value(0) - 0.5, 1]);
      const [right, bottom] = api.coord([api.value(1) + 0.5, 0]);
      const box = params.coordSys;
      const x = Math.max(left, box.x);
      const w = Math.min(right, box.x + box.width) - x;
      return w > 0 ? { type: "rect", shape: { x, y: top, width: Math.max(w, 0.5), height: bottom - top }, style: { fill: colours.regime[api.value(2)] } } : null;
    },
  };
  const wounds = { id: "scars", type: "scatter", xAxisIndex: 1, yAxisIndex: 1, silent: true, symbol: CROSS, symbolSize: 7, itemStyle: { color: colours.ink }, data: scars.map(({ row }) => [row, bars.drawdown[row] || 0]) };
  return [...falls, ...positions, strip, wounds];
}

/** Positions as boxes above and below zero, one a stretch held; a line where they change too often for that. */
function positionSeries(bars, colours) {
  const held = positionRuns(bars);
  const back = { id: "positions-back", type: "line", xAxisIndex: 4, yAxisIndex: 4, silent: true, symbol: "none", data: [[0, 0]], markArea: shading(bars, colours, false) };
  if (held.length > BOXES) {
    return [back, ...bars.parts.map((part, k) => line(`position-${k}`, 4, pairs(bars, "position", part), colours.soft, { lineStyle: { width: 0.75 }, rest: { sampling: "minmax", areaStyle: { color: colours.soft, opacity: 0.25, origin: 0 } } }))];
  }
  const boxes = {
    id: "positions", type: "custom", xAxisIndex: 4, yAxisIndex: 4, silent: true, clip: true, data: held, dimensions: ["from", "to", "position"], encode: { x: [0, 1], y: 2 },
    renderItem: (params, api) => {
      const value = api.value(2);
      const [left, zero] = api.coord([api.value(0), 0]);
      const [right, y] = api.coord([api.value(1) + 1, value]);
      const box = params.coordSys;
      const x = Math.max(left, box.x);
      const w = Math.min(right, box.x + box.width) - x;
      return w > 0 ? { type: "rect", shape: { x, y: Math.min(y, zero), width: Math.max(w, 0.5), height: Math.abs(y - zero) }, style: { fill: value > 0 ? colours.positive : colours.negative, opacity: 0.8 } } : null;
    },
  };
  return [back, boxes];
}

/** What is drawn at a view: candles or a line, whether trades are marked, and whether labels tell hours. */
function priceMode(bars, view) {
  return { fine: bars.time[view.end] - bars.time[view.start] < FINE, candles: view.end - view.start <= CANDLES, trades: tradesWithin(bars, view.start, view.end).length <= TRADES_MARKED };
}

/**
 * What a new view changes of the option, and what is drawn then.
 * @param {object} bars @param {{start: number, end: number}} view @param {object} colours
 * @param {{candles: boolean, trades: boolean}|null} before what was drawn; null for nothing
 */
export function priceChanges(bars, view, colours, before) {
  const mode = priceMode(bars, view);
  const series = [];
  if (mode.candles !== before?.candles) series.push(...closeSeries(bars, mode.candles, colours));
  if (!before || mode.candles || before.candles) series.push(candleSeries(bars, view, mode.candles, colours));
  if (!before || mode.trades || before.trades) series.push(...tradeSeries(bars, view, mode.trades, colours));
  const labels = before && mode.fine !== before.fine ? { xAxis: GRIDS.map((_, i) => (i === GRIDS.length - 1 ? { axisLabel: { formatter: rowLabels(bars, mode.fine) } } : {})) } : {};
  return { mode, changes: { ...labels, ...(series.length ? { series } : {}) } };
}

function closeSeries(bars, candles, colours) {
  return bars.parts.map((part, k) => line(`close-${k}`, 2, candles ? [] : pairs(bars, "close", part), colours.soft, { lineStyle: { width: 1.1 }, rest: k ? {} : { markArea: shading(bars, colours, false) } }));
}

function candleSeries(bars, view, candles, colours) {
  const rows = [];
  for (let i = Math.max(0, view.start - 1); candles && i <= Math.min(bars.length - 1, view.end + 1); i++) {
    if (Number.isFinite(bars.close[i])) rows.push([i, bars.open[i], bars.close[i], bars.low[i], bars.high[i]]);
  }
  return { id: "candles", type: "candlestick", xAxisIndex: 2, yAxisIndex: 2, silent: true, barMaxWidth: 11, data: rows, itemStyle: { color: colours.page, color0: colours.faint, borderColor: colours.soft, borderColor0: colours.soft, borderWidth: 1 } };
}

function tradeSeries(bars, view, marked, colours) {
  const drawn = marked ? tradesWithin(bars, view.start, view.end) : [];
  const colour = (trade) => (trade.side > 0 ? colours.positive : colours.negative);
  const scatter = (id, more) => ({ id, type: "scatter", xAxisIndex: 2, yAxisIndex: 2, silent: true, z: 5, ...more });
  return [
    {
      id: "holding", type: "custom", xAxisIndex: 2, yAxisIndex: 2, silent: true, clip: true, z: 4, dimensions: ["entry", "exit", "from", "to"], encode: { x: [0, 1], y: [2, 3] },
      data: drawn.map((trade) => [trade.entry, trade.exit, trade.entryPrice, trade.exitPrice]),
      renderItem: (params, api) => {
        const trade = drawn[params.dataIndex];
        if (!trade) return null;
        const [x1, y1] = api.coord([trade.entry, trade.entryPrice]);
        const [x2, y2] = api.coord([trade.exit, trade.exitPrice]);
        return { type: "line", shape: { x1, y1, x2, y2 }, style: { stroke: colour(trade), lineWidth: 1.25, lineDash: trade.profit >= 0 ? null : [3, 3], fill: null } };
      },
    },
    scatter("entries", { data: drawn.map((trade) => ({ value: [trade.entry, trade.entryPrice], symbol: "triangle", symbolRotate: trade.side > 0 ? 0 : 180, symbolOffset: [0, trade.side > 0 ? 6 : -6], symbolSize: 9, itemStyle: { color: colour(trade) } })) }),
    scatter("exits", { symbol: "circle", symbolSize: 5, data: drawn.map((trade) => ({ value: [trade.exit, trade.exitPrice], itemStyle: { color: colours.page, borderColor: colour(trade), borderWidth: 1.5 } })) }),
  ];
}

/** A bar in words. @param {object} bars @param {number} row @param {object} facts */
export function barWords(bars, row, facts) {
  if (!Number.isFinite(bars.time[row])) return [];
  const position = bars.position[row];
  const regime = facts.regimes[bars.regime[row]];
  const said = [
    ["", `${stamp(bars.time[row])}`],
    ["close ", priceWords(bars.close[row])],
    ["equity ", number(bars.equity[row], 4)],
    ["hold ", number(bars.hold[row], 4)],
    ["drawdown ", percent(bars.drawdown[row])],
    ["", position > 0 ? `long ${number(position, 2)}` : position < 0 ? `short ${number(-position, 2)}` : "flat"],
  ];
  if (regime) said.push(["", regime.replaceAll("_", " ")]);
  const trade = bars.trades.find((one) => one.entry <= row && row < one.exit) ?? bars.trades.find((one) => one.exit === row);
  if (trade) said.push(["trade ", tradeWords(trade, facts)]);
  return said;
}

/** A trade in words. @param {object} trade @param {object} facts */
export function tradeWords(trade, facts) {
  const why = facts.reasons?.[trade.reason];
  return `${trade.side > 0 ? "long" : "short"}, ${signed(trade.profit * 100, 2)} % of equity${why ? `, closed by ${why.replaceAll("_", " ")}` : ""}`;
}

// How a journey is laid out: equity, drawdown, price, regime and position over one another, on one axis of bars.

import { number, signed } from "../base/dom.js";
import { plainAxis } from "../base/chart.js";
import { faded } from "../base/theme.js";
import { largestPosition } from "./journey_bars.js";
import { equitySeries, underSeries } from "./journey_series.js";
import { priceChanges, priceMode } from "./journey_price.js";
import { priceTick, rowLabels } from "./journey_words.js";

const ROOM = { outerBoundsMode: "none", left: 58, right: 30 };
const GRIDS = [
  { name: "equity", top: 42, height: 150 },
  { name: "drawdown", top: 230, height: 56 },
  { name: "price", top: 324, height: 210 },
  { name: "regime", top: 552, height: 8 },
  { name: "position", top: 598, height: 44 },
];

/** Room above the first grid and below the last. */
export const JOURNEY_ROOM = { top: 42, bottom: 64 };
export const JOURNEY_HEIGHT = 706;
/** Where equity or buy and hold spans more than this ratio, equal ratios have equal heights. */
const STEEP = 3;
const TITLES = {
  equity: "Equity, start = 1",
  drawdown: "Drawdown",
  price: "Price",
  regime: "Regime",
  position: "Position, × equity",
};

/**
 * The whole option.
 * @param {object} bars of `joinedBars`
 * @param {{start: number, end: number}} view rows in view
 * @param {{colours: object, scars: Array<{row: number}>, width: number}} how
 */
export function journeyOption(bars, view, { colours, scars, width }) {
  const narrow = width < 560;
  const range = equityRange(bars);
  const steep = range.high > STEEP * range.low && range.low > 0;
  const axes = GRIDS.map(({ name }, i) => ({
    ...plainAxis(colours, {
      gridIndex: i,
      min: 0,
      max: bars.length - 1,
      minInterval: 1,
      splitNumber: narrow ? 3 : 7,
      splitLine: { show: false },
      axisLine: { show: name === "position", onZero: false, lineStyle: { color: colours.line } },
      axisLabel: {
        show: name === "position",
        alignMinLabel: "left",
        alignMaxLabel: "right",
        formatter: rowLabels(bars, priceMode(bars, view).fine),
      },
    }),
  }));
  return {
    grid: GRIDS.map(({ top, height }) => ({ ...ROOM, left: narrow ? 46 : ROOM.left, top, height })),
    title: GRIDS.map(({ name, top }) => ({
      text: `${TITLES[name]}${name === "equity" && steep ? ", log scale" : ""}`,
      left: 0,
      top: name === "regime" ? top - 4 : name === "equity" ? 4 : top - 24,
      padding: 0,
      textStyle: { color: colours.soft, fontSize: 12, fontWeight: 500 },
    })),
    xAxis: axes,
    yAxis: yAxes(bars, colours, Math.max(0.1, Math.ceil(largestPosition(bars) * 10) / 10), steep ? range : null),
    dataZoom: [
      {
        type: "inside",
        id: "inside",
        xAxisIndex: [0, 1, 2, 3, 4],
        startValue: view.start,
        endValue: view.end,
        zoomOnMouseWheel: "ctrl",
        moveOnMouseMove: !matchMedia("(pointer: coarse)").matches, // a finger that moves scrolls the page
        moveOnMouseWheel: false,
        minValueSpan: 20,
        filterMode: "weakFilter",
        throttle: 30,
      },
      {
        type: "slider",
        id: "slider",
        xAxisIndex: [0, 1, 2, 3, 4],
        startValue: view.start,
        endValue: view.end,
        minValueSpan: 20,
        filterMode: "weakFilter",
        throttle: 30,
        left: narrow ? 46 : ROOM.left,
        right: ROOM.right,
        bottom: 6,
        height: 22,
        showDetail: false,
        brushSelect: false,
        borderColor: "transparent",
        backgroundColor: colours.hair,
        fillerColor: faded(colours.accent, 0.14),
        handleStyle: { color: colours.surface, borderColor: colours.faint },
        moveHandleSize: 0,
        emphasis: { handleStyle: { borderColor: colours.accent } },
        dataBackground: { lineStyle: { color: colours.faint, width: 0.5 }, areaStyle: { opacity: 0 } },
        selectedDataBackground: { lineStyle: { color: colours.accent, width: 0.75 }, areaStyle: { opacity: 0 } },
      },
    ],
    series: [
      ...equitySeries(bars, colours),
      ...underSeries(bars, colours, scars),
      ...priceChanges(bars, view, colours, null).changes.series,
    ],
  };
}

function equityRange(bars) {
  let low = Infinity;
  let high = 0;
  for (const name of ["equity", "hold"]) {
    for (const value of bars[name]) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return { low, high };
}

/** An axis of whole powers of two, at most five of them; the library's own choice leaves most of the height empty. */
function doublings({ low, high }) {
  const first = Math.floor(Math.log2(low));
  const last = Math.ceil(Math.log2(high));
  return { type: "log", logBase: 2, min: 2 ** first, max: 2 ** last, interval: Math.ceil((last - first) / 5) };
}

function yAxes(bars, colours, size, range) {
  const axis = (i, more) => plainAxis(colours, { gridIndex: i, scale: true, splitNumber: 3, ...more });
  return [
    axis(0, {
      ...(range ? doublings(range) : {}),
      axisLabel: { formatter: (value) => number(value, 2), showMinLabel: false },
    }),
    axis(1, {
      inverse: true,
      min: 0,
      scale: false,
      splitNumber: 2,
      axisLabel: { formatter: (value) => `${Math.round(value * 100)} %` },
    }),
    axis(2, { splitNumber: 4, axisLabel: { formatter: (value) => priceTick(value, bars), showMinLabel: false } }),
    axis(3, { min: 0, max: 1, axisLabel: { show: false }, splitLine: { show: false } }),
    axis(4, {
      scale: false,
      min: -size,
      max: size,
      interval: size,
      axisLabel: { formatter: (value) => signed(value, 1).replace(/\.0$/, "") },
    }),
  ];
}

// What of the price follows the zoom: a line that becomes candles where few bars are in view, and the trades in view.

import { pairs, tradesWithin } from "./journey_bars.js";
import { shading, journeyLine, LAST_AXIS } from "./journey_series.js";
import { rowLabels } from "./journey_words.js";

/** At most so many bars are drawn as candles, and so many trades are marked. */
export const CANDLES = 320;
export const TRADES_MARKED = 240;

const FINE = 14 * 24 * 60;

/** What is drawn at a view: candles or a line, whether trades are marked, and whether labels tell hours. */
export function priceMode(bars, view) {
  return {
    fine: bars.time[view.end] - bars.time[view.start] < FINE,
    candles: view.end - view.start <= CANDLES,
    trades: tradesWithin(bars, view.start, view.end).length <= TRADES_MARKED,
  };
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
  const labels =
    before && mode.fine !== before.fine
      ? {
          xAxis: Array.from({ length: LAST_AXIS + 1 }, (_, i) =>
            i === LAST_AXIS ? { axisLabel: { formatter: rowLabels(bars, mode.fine) } } : {},
          ),
        }
      : {};
  return { mode, changes: { ...labels, ...(series.length ? { series } : {}) } };
}

function closeSeries(bars, candles, colours) {
  return bars.parts.map((part, k) =>
    journeyLine(`close-${k}`, 2, candles ? [] : pairs(bars, "close", part), colours.soft, {
      lineStyle: { width: 1.1 },
      rest: k ? {} : { markArea: shading(bars, colours, false) },
    }),
  );
}

function candleSeries(bars, view, candles, colours) {
  const rows = [];
  for (let i = Math.max(0, view.start - 1); candles && i <= Math.min(bars.length - 1, view.end + 1); i++) {
    if (Number.isFinite(bars.close[i])) rows.push([i, bars.open[i], bars.close[i], bars.low[i], bars.high[i]]);
  }
  return {
    id: "candles",
    type: "candlestick",
    xAxisIndex: 2,
    yAxisIndex: 2,
    silent: true,
    barMaxWidth: 11,
    data: rows,
    itemStyle: {
      color: colours.page,
      color0: colours.faint,
      borderColor: colours.soft,
      borderColor0: colours.soft,
      borderWidth: 1,
    },
  };
}

function tradeSeries(bars, view, marked, colours) {
  const drawn = marked ? tradesWithin(bars, view.start, view.end) : [];
  const colour = (trade) => (trade.side > 0 ? colours.positive : colours.negative);
  const scatter = (id, more) => ({ id, type: "scatter", xAxisIndex: 2, yAxisIndex: 2, silent: true, z: 5, ...more });
  return [
    {
      id: "holding",
      type: "custom",
      xAxisIndex: 2,
      yAxisIndex: 2,
      silent: true,
      clip: true,
      z: 4,
      dimensions: ["entry", "exit", "from", "to"],
      encode: { x: [0, 1], y: [2, 3] },
      data: drawn.map((trade) => [trade.entry, trade.exit, trade.entryPrice, trade.exitPrice]),
      renderItem: (params, api) => {
        const trade = drawn[params.dataIndex];
        if (!trade) return null;
        const [x1, y1] = api.coord([trade.entry, trade.entryPrice]);
        const [x2, y2] = api.coord([trade.exit, trade.exitPrice]);
        return {
          type: "line",
          shape: { x1, y1, x2, y2 },
          style: { stroke: colour(trade), lineWidth: 1.25, lineDash: trade.profit >= 0 ? null : [3, 3], fill: null },
        };
      },
    },
    scatter("entries", {
      data: drawn.map((trade) => ({
        value: [trade.entry, trade.entryPrice],
        symbol: "triangle",
        symbolRotate: trade.side > 0 ? 0 : 180,
        symbolOffset: [0, trade.side > 0 ? 6 : -6],
        symbolSize: 9,
        itemStyle: { color: colour(trade) },
      })),
    }),
    scatter("exits", {
      symbol: "circle",
      symbolSize: 5,
      data: drawn.map((trade) => ({
        value: [trade.exit, trade.exitPrice],
        itemStyle: { color: colours.page, borderColor: colour(trade), borderWidth: 1.5 },
      })),
    }),
  ];
}

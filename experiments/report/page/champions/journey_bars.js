// A champion's journeys over one symbol as one row of bars: training, a gap, validation. Rows are the x axis, so nights
// and weekends take no room; their stamps are looked up.

import { columns } from "../base/data.js";

const LINES = ["open", "high", "low", "close", "equity", "hold", "drawdown", "position"];

/**
 * Journeys of one symbol, joined.
 * @param {object[]} journeys of one champion and one symbol
 * @returns {Promise<{length: number, digits: number, trades: object[],
 *   parts: Array<{part: string, from: number, to: number, every: number}>, time: Float64Array, regime: Int16Array,
 *   open: Float64Array, high: Float64Array, low: Float64Array, close: Float64Array, equity: Float64Array,
 *   hold: Float64Array, drawdown: Float64Array, position: Float64Array}>}
 */
export async function joinedBars(journeys) {
  const ordered = ["train", "validation"].flatMap((part) => journeys.filter((one) => one.part === part));
  const tables = await Promise.all(ordered.map((one) => columns(one.columns)));
  const deals = await Promise.all(ordered.map((one) => (one.trades ? columns(one.trades).catch(() => null) : null)));
  const rows = tables.reduce((sum, one) => sum + one.length, 0);
  const gap = ordered.length > 1 ? Math.max(2, Math.round(rows * 0.012)) : 0;
  const length = rows + gap * (ordered.length - 1);
  const bars = {
    length,
    parts: [],
    trades: [],
    time: new Float64Array(length).fill(NaN),
    regime: new Int16Array(length).fill(-1),
  };
  for (const name of LINES) bars[name] = new Float64Array(length).fill(NaN);
  let from = 0;
  ordered.forEach((journey, k) => {
    const part = tables[k];
    bars.time.set(part.time, from);
    if (part.regime) bars.regime.set(part.regime, from);
    for (const name of LINES) if (part[name]) bars[name].set(part[name], from);
    bars.parts.push({ part: journey.part, from, to: from + part.length - 1, every: journey.every ?? 1 });
    if (deals[k]) bars.trades.push(...tradesOf(deals[k], from));
    from += part.length + gap;
  });
  bars.digits = priceDigits(bars);
  return bars;
}

/** Digits after the point that tell a ten-thousandth of the way between the lowest price and the highest. */
export function priceDigits(bars) {
  let low = Infinity;
  let high = -Infinity;
  for (let i = 0; i < bars.length; i++) {
    if (bars.low[i] < low) low = bars.low[i];
    if (bars.high[i] > high) high = bars.high[i];
  }
  const range = high > low ? high - low : Math.abs(high);
  return Number.isFinite(range) && range > 0 ? Math.min(20, Math.max(0, 4 - Math.floor(Math.log10(range)))) : 4;
}

function tradesOf(table, from) {
  return Array.from({ length: table.length }, (_, i) => ({
    entry: from + table.entry[i],
    exit: from + table.exit[i],
    side: table.side[i],
    entryPrice: table.entry_price[i],
    exitPrice: table.exit_price[i],
    profit: table.profit[i],
    reason: table.reason ? table.reason[i] : null,
  }));
}

/** Runs of bars of one regime: [from, to, regime]. @param {{length: number, regime: Int16Array}} bars */
export function regimeRuns(bars) {
  const runs = [];
  for (let i = 0; i < bars.length; i++) {
    const regime = bars.regime[i];
    const last = runs[runs.length - 1];
    if (last && last[2] === regime && last[1] === i - 1) last[1] = i;
    else runs.push([i, i, regime]);
  }
  return runs.filter((run) => run[2] >= 0 && run[2] < 4);
}

/**
 * Stretches of one position: [from, to, mean position], flat ones left out. A position drifts a little with the price
 * and the equity; it is the same stretch until it changes its side or a twentieth of its size.
 * @param {{length: number, position: Float64Array}} bars
 */
export function positionRuns(bars) {
  const runs = [];
  let last = null;
  let start = 0;
  for (let i = 0; i < bars.length; i++) {
    const position = bars.position[i];
    if (
      last &&
      Math.sign(position) === Math.sign(start) &&
      Math.abs(position - start) <= 0.05 * Math.max(1, Math.abs(start))
    ) {
      last[2] += (position - last[2]) / (i - last[0] + 1);
      last[1] = i;
    } else {
      last = position && Number.isFinite(position) ? [i, i, position] : null;
      start = position;
      if (last) runs.push(last);
    }
  }
  return runs;
}

/** The largest position held, either way. */
export function largestPosition(bars) {
  let largest = 0;
  for (const position of bars.position) if (Math.abs(position) > largest) largest = Math.abs(position);
  return largest;
}

/** The row of a moment (minutes), or −1 where no part holds it. */
export function rowAt(bars, minutes) {
  for (const { from, to } of bars.parts) {
    if (!(minutes >= bars.time[from] && minutes <= bars.time[to])) continue;
    let low = from;
    let high = to;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (bars.time[middle] <= minutes) low = middle;
      else high = middle - 1;
    }
    return low;
  }
  return -1;
}

/** Pairs x, y of a column within a part, as ECharts takes them in bulk. */
export function pairs(bars, name, { from, to }) {
  const all = new Float64Array((to - from + 1) * 2);
  for (let i = from, at = 0; i <= to; i++) {
    all[at++] = i;
    all[at++] = bars[name][i];
  }
  return all;
}

/** Trades that touch the rows from … to. */
export function tradesWithin(bars, from, to) {
  return bars.trades.filter((trade) => trade.exit >= from && trade.entry <= to);
}

/**
 * The index of the trade to go to: the one beside `last` while that is in view, else the next from the middle of the
 * view; where everything is in view the first, or backwards the last.
 * @param {object} bars with trades @param {{start: number, end: number}} view @param {number} last −1 for none
 * @param {1|-1} by
 */
export function nextTrade(bars, { start, end }, last, by) {
  const count = bars.trades.length;
  if (end - start >= bars.length - 1) return by > 0 ? 0 : count - 1;
  const held = bars.trades[last];
  if (held && held.exit >= start && held.entry <= end) return (last + by + count) % count;
  const middle = (start + end) / 2;
  const later = bars.trades.findIndex((trade) => trade.entry >= middle);
  if (by > 0) return Math.max(0, later);
  return ((later < 0 ? count : later) - 1 + count) % count;
}

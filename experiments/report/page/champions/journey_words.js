// A bar, a trade and a price in words.

import { signed, number, percent, stamp, day } from "../base/dom.js";

/** What stands under the axis of bars: days, or hours too where few days are in view. */
export function rowLabels(bars, fine) {
  return (row) => {
    const time = bars.time[Math.round(row)];
    return Number.isFinite(time) ? (fine ? stamp(time).slice(5) : day(time)) : "";
  };
}

/** A price with the digits that these bars' prices want. @param {number} value @param {object} bars */
export function priceWords(value, bars) {
  return number(value, bars.digits);
}

/** A round price on an axis, without zeros at its end. @param {number} value @param {object} bars */
export function priceTick(value, bars) {
  const exact = Number(value.toFixed(bars.digits));
  let digits = bars.digits;
  while (digits > 0 && Number(value.toFixed(digits - 1)) === exact) digits--;
  return number(exact, digits);
}

/** A bar in words. @param {object} bars @param {number} row @param {object} facts */
export function barWords(bars, row, facts) {
  if (!Number.isFinite(bars.time[row])) return [];
  const position = bars.position[row];
  const regime = facts.regimes[bars.regime[row]];
  const said = [
    ["", `${stamp(bars.time[row])}`],
    ["close ", priceWords(bars.close[row], bars)],
    ["equity ", number(bars.equity[row], 4)],
    ["hold ", number(bars.hold[row], 4)],
    ["drawdown ", percent(bars.drawdown[row])],
    ["", position ? `${position > 0 ? "long" : "short"} ${number(Math.abs(position), 2)} × equity` : "flat"],
  ];
  if (regime) said.push(["", regime.replaceAll("_", " ")]);
  const trade =
    bars.trades.find((one) => one.entry <= row && row < one.exit) ?? bars.trades.find((one) => one.exit === row);
  if (trade) said.push(["trade ", tradeWords(trade, facts)]);
  return said;
}

/** A trade in words. @param {object} trade @param {object} facts */
export function tradeWords(trade, facts) {
  const why = facts.reasons?.[trade.reason];
  const side = trade.side > 0 ? "long" : "short";
  const end = why ? `, closed by ${why.replaceAll("_", " ")}` : "";
  return `${side}, ${signed(trade.profit * 100, 2)} % of equity${end}`;
}

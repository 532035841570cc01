// A champion on the bars: its equity beside buy and hold, its drawdown, and every trade, over training and validation.

import { h, svg, number, many, percent, signed, stamp, words, selector } from "../base/dom.js";
import { read, write, onAddress } from "../base/address.js";
import { chart, crosshair, numbers } from "../base/chart.js";
import { theme } from "../base/theme.js";
import { joinedBars, nextTrade, rowAt, tradesWithin } from "./journey_bars.js";
import { journeyOption, JOURNEY_HEIGHT, JOURNEY_ROOM } from "./journey_chart.js";
import { priceChanges, CANDLES, TRADES_MARKED } from "./journey_price.js";
import { barWords, tradeWords, priceWords } from "./journey_words.js";

/**
 * Mounts a champion's journey. Returns what has to be removed with it.
 * @param {HTMLElement} panel @param {object} champion @param {object} facts
 * @returns {Array<{remove: () => void}>}
 */
export function mountJourney(panel, champion, facts) {
  const journeys = champion.journeys ?? [];
  panel.append(h("h3", null, "On the bars"));
  if (!journeys.length) {
    panel.append(h("p", { class: "absent" }, "Its way over the bars could not be made again; see what is missing."));
    return [];
  }
  const symbols = [...new Set(journeys.map((one) => one.symbol))];
  const symbolNow = () => (symbols.includes(read("journey")) ? read("journey") : symbols[0]);
  let symbol = symbolNow();
  const place = h("div", { class: "journey" });
  const held = { chart: null, gone: false };
  const draw = async () => {
    held.chart?.remove();
    held.chart = null;
    place.replaceChildren(h("p", { class: "small" }, "Unpacking the bars …"));
    const wanted = symbol;
    try {
      const bars = await joinedBars(journeys.filter((one) => one.symbol === symbol));
      if (held.gone || wanted !== symbol) return;
      place.replaceChildren();
      held.chart = drawJourney(
        place,
        bars,
        journeys.filter((one) => one.symbol === symbol),
        champion,
        facts,
      );
    } catch (error) {
      place.replaceChildren(h("p", { class: "absent", role: "alert" }, `The bars cannot be read: ${error.message}`));
    }
  };
  if (symbols.length > 1) {
    const choose = (value) => {
      symbol = value;
      write("journey", value);
      write("bars", null);
      draw();
    };
    const list = selector({ label: "Symbol", options: symbols.map((one) => [one, one]), value: symbol, choose });
    panel.append(h("div", { class: "controls" }, list));
    held.forget = onAddress(() => {
      if (symbolNow() === symbol) return;
      list.set((symbol = symbolNow()));
      draw();
    });
  }
  panel.append(place);
  draw();
  return [{ remove: () => ((held.gone = true), held.forget?.(), held.chart?.remove()) }];
}

function drawJourney(place, bars, journeys, champion, facts) {
  const view = viewOf(bars);
  const whole = bars.length - 1;
  const parts = journeys.map((journey) => journey.part);
  const fine = matchMedia("(pointer: fine)").matches;
  // The brain that trades here has the scars it had when it won.
  const scars = (champion.scars ?? [])
    .filter((scar) => !scar.later)
    .map((scar) => ({ row: rowAt(bars, Date.parse(scar.time) / 60000) }))
    .filter(({ row }) => row >= 0);
  const reading = h("p", { class: "readout" });
  const voice = h("p", { class: "hidden", "aria-live": "polite" });
  const button = (label, text, act) =>
    h("button", { type: "button", "aria-label": label, title: label, onclick: act }, text);
  const buttons = h(
    "div",
    { class: "buttons", role: "group", "aria-label": "Zoom" },
    button("Zoom in", "+", () => zoom(0.5)),
    button("Zoom out", "−", () => zoom(2)),
    button("Earlier", "←", () => pan(-0.5)),
    button("Later", "→", () => pan(0.5)),
    button("Previous trade", "‹ trade", () => step(-1)),
    button("Next trade", "trade ›", () => step(1)),
    button("Everything", "All", () => go(0, whole)),
  );
  place.append(h("div", { class: "controls journey-head" }, journeyKey(scars.length), buttons), reading, voice);
  const figure = h("figure");
  place.append(figure);
  let drawn = null;
  const one = chart(figure, {
    label: `Agent ${champion.id}: equity, drawdown, price with trades, and position over ${parts.join(" and ")}`,
    height: JOURNEY_HEIGHT,
    option: (colours, width) => {
      drawn = priceChanges(bars, view, colours, null).mode;
      return journeyOption(bars, view, { colours, scars, width });
    },
    table: () => [
      ["time", "close", "equity", "hold", "drawdown", "position, × equity", "regime"],
      ...rowsIn(view).map((row) => [
        stamp(bars.time[row]),
        priceWords(bars.close[row], bars),
        number(bars.equity[row], 4),
        number(bars.hold[row], 4),
        percent(bars.drawdown[row], 2),
        signed(bars.position[row], 2),
        words(facts.regimes[bars.regime[row]] ?? "–"),
      ]),
    ],
    ready: (instance) => listen(instance),
  });
  figure.append(
    numbers(
      () => [
        ["entered", "left", "side", "entry", "exit", "profit, % of equity", "closed by"],
        ...tradesWithin(bars, view.start, view.end).map((trade) => [
          stamp(bars.time[trade.entry]),
          stamp(bars.time[trade.exit]),
          trade.side > 0 ? "long" : "short",
          priceWords(trade.entryPrice, bars),
          priceWords(trade.exitPrice, bars),
          signed(trade.profit * 100),
          words(facts.reasons?.[trade.reason] ?? "–"),
        ]),
      ],
      "trades in view",
      "Trades in view",
    ),
  );
  const note = [...new Set(journeys.map((journey) => journey.note).filter(Boolean))].join(" ");
  const coarse = bars.parts
    .filter(({ every }) => every > 1)
    .map(({ part, every }) => `${part === "train" ? "training" : part}: a point stands for ${number(every)} bars`);
  if (note || coarse.length) place.append(h("p", { class: "small" }, note || `${coarse.join("; ")}.`));
  one.element.tabIndex = 0;
  one.element.addEventListener("keydown", keys);
  one.element.addEventListener("wheel", leavePlain, { capture: true, passive: true });
  const forget = onAddress(() => {
    const { start, end } = viewOf(bars);
    if (start !== view.start || end !== view.end) go(start, end);
  });
  let pending = 0;
  let trade = -1;
  rest();

  function rowsIn({ start, end }) {
    return Array.from({ length: end - start + 1 }, (_, i) => start + i).filter((row) =>
      Number.isFinite(bars.time[row]),
    );
  }

  function rest() {
    const count = tradesWithin(bars, view.start, view.end).length;
    const bound = (row, by) => {
      let at = Math.min(whole, Math.max(0, row));
      while (at > 0 && at < whole && !Number.isFinite(bars.time[at])) at += by;
      return stamp(bars.time[at]).slice(0, 10);
    };
    const hint =
      count > TRADES_MARKED ? "; zoom in to see them" : view.end - view.start > CANDLES ? "; zoom in for candles" : "";
    reading.replaceChildren(
      h("b", null, `${bound(view.start, 1)} – ${bound(view.end, -1)}`),
      ` · ${many(count, "trade")}${hint}`,
      fine ? " · Ctrl + wheel zooms" : "",
    );
  }

  function say(row) {
    const said = barWords(bars, row, facts);
    if (said.length)
      reading.replaceChildren(...said.flatMap(([name, value], i) => [i ? " · " : "", name, h("b", null, value)]));
    else rest();
  }

  function listen(instance) {
    instance.on("datazoom", () => {
      if (!pending) pending = requestAnimationFrame(zoomed);
    });
    const cross = crosshair(one.element, JOURNEY_ROOM.top, JOURNEY_ROOM.bottom);
    const leave = () => {
      cross(null);
      rest();
    };
    const zr = instance.getZr();
    zr.on("mousemove", (event) => {
      const row = Math.round(instance.convertFromPixel({ xAxisIndex: 0 }, event.offsetX));
      if (row < view.start || row > view.end || event.offsetY > JOURNEY_HEIGHT - JOURNEY_ROOM.bottom) return leave();
      cross(event.offsetX);
      say(row);
    });
    zr.on("globalout", leave);
  }

  function zoomed() {
    pending = 0;
    if (!one.instance) return;
    const { startValue, endValue } = one.instance.getOption().dataZoom[0];
    view.start = Math.max(0, Math.round(startValue));
    view.end = Math.min(whole, Math.round(endValue));
    write("bars", view.start === 0 && view.end === whole ? null : `${view.start}-${view.end}`);
    const { mode, changes } = priceChanges(bars, view, theme(), drawn);
    drawn = mode;
    if (Object.keys(changes).length) one.instance.setOption(changes);
    rest();
  }

  function go(start, end) {
    const span = Math.min(whole, Math.max(20, end - start));
    const from = Math.round(Math.min(whole - span, Math.max(0, start)));
    if (!one.instance) one.show();
    if (!one.instance) return;
    Object.assign(view, { start: from, end: from + span });
    one.instance.dispatchAction({ type: "dataZoom", dataZoomId: "inside", startValue: from, endValue: from + span });
    voice.textContent = `bars ${stamp(bars.time[from])} to ${stamp(bars.time[from + span])}`;
  }

  function zoom(factor) {
    const middle = (view.start + view.end) / 2;
    const half = ((view.end - view.start) * factor) / 2;
    go(middle - half, middle + half);
  }

  function pan(share) {
    const by = (view.end - view.start) * share;
    go(view.start + by, view.end + by);
  }

  function step(by) {
    if (!bars.trades.length) return;
    trade = nextTrade(bars, view, trade, by);
    const deal = bars.trades[trade];
    const around = Math.max(60, (deal.exit - deal.entry) * 2);
    go(deal.entry - around, deal.exit + around);
    const place = `trade ${trade + 1} of ${bars.trades.length}`;
    voice.textContent = `${place}: ${stamp(bars.time[deal.entry])}, ${tradeWords(deal, facts)}`;
    requestAnimationFrame(() => requestAnimationFrame(() => say(deal.exit)));
  }

  function keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const acts = {
      ArrowLeft: () => pan(-0.2),
      ArrowRight: () => pan(0.2),
      "+": () => zoom(0.5),
      "=": () => zoom(0.5),
      "-": () => zoom(2),
      0: () => go(0, whole),
      Escape: () => go(0, whole),
      n: () => step(1),
      p: () => step(-1),
    };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }
  return { remove: () => (forget(), one.remove()) };
}

/** The library stops every turn of the wheel, also those it does nothing with: it hears none but those that zoom. */
function leavePlain(event) {
  if (!event.ctrlKey) event.stopPropagation();
}

function viewOf(bars) {
  const [start, end] = (read("bars") ?? "").split("-").map(Number);
  return Number.isInteger(start) && Number.isInteger(end) && start >= 0 && end > start && end < bars.length
    ? { start, end }
    : { start: 0, end: bars.length - 1 };
}

function journeyKey(scarred) {
  const sign = (name, ...shapes) =>
    h("span", null, svg("svg", { width: 22, height: 12, viewBox: "0 0 22 12", "aria-hidden": "true" }, shapes), name);
  const path = (name, d) => svg("path", { class: name, d });
  return h(
    "p",
    { class: "journey-key" },
    sign("agent", path("agent", "M1,6 H21")),
    sign("buy and hold", path("hold", "M1,6 H21")),
    sign("long", path("long", "M11,2 l4.5,8 h-9 Z")),
    sign("short", path("short", "M11,10 l4.5,-8 h-9 Z")),
    sign("exit", svg("circle", { class: "exit", cx: 11, cy: 6, r: 3 })),
    sign("lost", path("lost", "M1,6 H21")),
    scarred ? sign("scar", path("scar", "M7,2 l8,8 M15,2 l-8,8")) : null,
  );
}

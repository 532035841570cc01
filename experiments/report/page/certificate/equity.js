// Equity on the holdout: a member beside what its mean exposure alone would have earned, buy and hold, and flat.

import { h, svg, number, day } from "../base/dom.js";
import { columns } from "../base/data.js";
import { chart, crosshair, plainAxis } from "../base/chart.js";

const EQUITY_HEIGHT = 300;
const EQUITY_ROOM = { outerBoundsMode: "none", left: 52, right: 14, top: 12, bottom: 26 };
/** Where lines span more than this ratio, equal ratios have equal heights. */
const STEEP_EQUITY = 3;
const DAY_MINUTES = 1440;

/** Lines of a member: key, name, and how each is drawn. */
const EQUITY_LINES = [
  ["equity", "member", (colours) => ({ color: colours.accent, width: 2 })],
  ["matched", "same exposure", (colours) => ({ color: colours.ink, width: 1.25, type: [5, 4] })],
  ["hold", "buy and hold", (colours) => ({ color: colours.faint, width: 1.5 })],
];

/**
 * Mounts the plot; it is drawn once its columns are unpacked. Returns what has to be removed with it.
 * @param {HTMLElement} place @param {object} certificate @param {number} k the member's place @param {string} name
 */
export function mountEquity(place, certificate, k, name) {
  const reading = h("p", { class: "readout" });
  const figure = h("figure", { class: "equity" }, h("p", { class: "equity-key" }, equityKey(name)), reading);
  place.append(figure);
  let one = null;
  let gone = false;
  columns(certificate.columns).then(
    (all) => {
      if (gone) return;
      if (all[`equity-${k}`]) one = drawEquity(figure, reading, all, k, name);
      else reading.textContent = "Its days are not on record.";
    },
    (error) => (reading.textContent = `Its days cannot be unpacked: ${error.message}`),
  );
  return {
    remove() {
      gone = true;
      one?.remove();
      figure.remove();
    },
  };
}

function equityKey(name) {
  const sign = (label, text) =>
    h(
      "span",
      null,
      svg(
        "svg",
        { width: 22, height: 10, viewBox: "0 0 22 10", "aria-hidden": "true" },
        svg("path", { class: label, d: "M1,5 H21" }),
      ),
      text,
    );
  return EQUITY_LINES.map(([label, text]) => sign(label, label === "equity" ? name : text)).concat(
    sign("flat", "flat"),
  );
}

function drawEquity(figure, reading, all, k, name) {
  const series = EQUITY_LINES.map(([label, text, style]) => ({
    name: label === "equity" ? name : text,
    values: label === "hold" ? all.hold : all[`${label}-${k}`],
    style,
  })).filter(({ values }) => values);
  const dates = all.day;
  const when = (i) => day(dates[i] * DAY_MINUTES);
  const last = dates.length - 1;
  let cross = null;
  const say = (i) => {
    const values = series.map((line) => [line.name, h("b", null, number(line.values[i], 3))]);
    reading.replaceChildren(
      `${when(i)}: `,
      ...values.flatMap(([text, value], j) => [j ? " · " : "", `${text} `, value]),
    );
    return reading.textContent;
  };
  const rest = () => {
    say(last);
    reading.prepend("At the end, ");
    cross?.(null);
  };
  rest();
  const one = chart(figure, {
    label: `Equity on the holdout, ${when(0)} to ${when(last)}: ${name}, same exposure, buy and hold and flat`,
    height: (width) => (width < 560 ? 230 : EQUITY_HEIGHT),
    option: (colours, width) => equityOption(series, when, last, colours, width),
    table: () => [
      ["day", ...series.map((line) => line.name)],
      ...Array.from(dates, (_, i) => [when(i), ...series.map((line) => number(line.values[i], 4))]),
    ],
    ready: (instance) => {
      cross = crosshair(one.element, EQUITY_ROOM.top, EQUITY_ROOM.bottom);
      const zr = instance.getZr();
      zr.on("mousemove", (event) => {
        const i = Math.round(instance.convertFromPixel({ xAxisIndex: 0 }, event.offsetX));
        if (i < 0 || i > last) return rest();
        cross(event.offsetX);
        return say(i);
      });
      zr.on("globalout", rest);
    },
    reading: {
      count: () => dates.length,
      at: (i, instance) => (cross?.(instance.convertToPixel({ xAxisIndex: 0 }, i)), say(i)),
    },
  });
  one.element.addEventListener("blur", rest);
  return one;
}

function equityOption(series, when, last, colours, width) {
  const values = series.flatMap((line) => Array.from(line.values)).filter(Number.isFinite);
  const low = Math.min(1, ...values);
  const high = Math.max(1, ...values);
  const span = (Date.parse(when(last)) - Date.parse(when(0))) / 864e5;
  const steep = low > 0 && high > STEEP_EQUITY * low;
  return {
    grid: EQUITY_ROOM,
    xAxis: plainAxis(colours, {
      min: 0,
      max: Math.max(1, last),
      splitNumber: width < 560 ? 3 : 6,
      splitLine: { show: false },
      axisLine: { show: true, onZero: false, lineStyle: { color: colours.line } },
      axisLabel: {
        alignMinLabel: "left",
        alignMaxLabel: "right",
        formatter: (i) => (Number.isInteger(i) && i <= last ? when(i).slice(0, span > 250 ? 7 : 10) : ""),
      },
    }),
    yAxis: plainAxis(colours, {
      type: steep ? "log" : "value",
      scale: true,
      splitNumber: 4,
      axisLabel: { formatter: (value) => number(value, high - low < 0.05 ? 3 : 2) },
    }),
    series: series.toReversed().map((line, i) => ({
      type: "line",
      name: line.name,
      data: Array.from(line.values, (value, j) => [j, Number.isFinite(value) ? value : "-"]),
      symbol: "none",
      silent: true,
      sampling: "lttb",
      lineStyle: line.style(colours),
      z: 2 + i,
      markLine: i
        ? undefined
        : {
            silent: true,
            symbol: "none",
            label: { show: false },
            lineStyle: { color: colours.soft, width: 1, type: [1, 3] },
            data: [{ yAxis: 1 }],
          },
    })),
  };
}

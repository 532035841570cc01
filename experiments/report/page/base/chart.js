// One way to put an ECharts chart into the page: made when it comes near the window, drawn again when the colours or
// the width change, named for those who cannot see it, read bar by bar with the arrow keys, and with its numbers below.

import { h, number, table } from "./dom.js";
import { theme, onTheme, FONT } from "./theme.js";

const TABLE_ROWS = 400;
const liveCharts = new Set();
const nearWindow = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) if (entry.isIntersecting) entry.target.dispatchEvent(new CustomEvent("near"));
  },
  { rootMargin: "600px" },
);
const widths = new ResizeObserver((entries) => {
  for (const entry of entries) entry.target.dispatchEvent(new CustomEvent("sized"));
});

onTheme(() => {
  for (const one of liveCharts) one.update();
});
addEventListener("beforeprint", () => {
  for (const one of liveCharts) one.show();
});

/** What all charts have in common: no animation, the page's type and thin lines. @param {object} colours */
export function plainOption(colours) {
  return {
    animation: false,
    backgroundColor: "transparent",
    textStyle: { fontFamily: FONT, color: colours.soft, fontSize: 11 },
    aria: { enabled: false },
  };
}

/** An axis in the page's manner. @param {object} colours @param {object} more what differs */
export function plainAxis(colours, more = {}) {
  return {
    type: "value",
    axisLine: { show: false },
    axisTick: { show: false },
    splitLine: { lineStyle: { color: colours.hair, width: 1 } },
    ...more,
    axisLabel: { color: colours.soft, fontSize: 11, hideOverlap: true, ...more.axisLabel },
  };
}

/**
 * An axis of generations, its last one labelled where there is room.
 * @param {object} colours @param {number} first @param {number} last @param {number} labels about how many
 */
export function generationAxis(colours, first, last, labels = 4) {
  const rough = Math.max(1, (last - first) / labels);
  const size = 10 ** Math.floor(Math.log10(rough));
  const interval = size * [1, 2, 5, 10].find((one) => one * size >= rough * 0.99);
  const rest = (last - first) % interval;
  return plainAxis(colours, {
    min: first,
    max: Math.max(last, first + 1),
    interval,
    splitLine: { show: false },
    axisLabel: {
      alignMaxLabel: "right",
      showMaxLabel: rest === 0 || rest > interval * 0.55,
      formatter: (value) => number(value),
    },
  });
}

/** A tooltip drawn on the canvas (the page's policy allows no HTML of its own). @param {object} colours */
export function plainTooltip(colours, more = {}) {
  return {
    renderMode: "richText",
    confine: true,
    transitionDuration: 0,
    backgroundColor: colours.surface,
    borderColor: colours.line,
    borderWidth: 1,
    padding: [8, 10],
    textStyle: { color: colours.ink, fontSize: 12, fontFamily: FONT },
    ...more,
  };
}

/**
 * A disclosure with numbers as a table, made when it is opened; its own `refresh()` makes that of an open one anew.
 * @param {() => Array<Array>} rows the first row holds the heads
 * @param {string} label what the numbers are of
 * @param {string} title of the disclosure
 */
export function numbers(rows, label, title = "Numbers") {
  const body = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Numbers: ${label}` });
  const fill = () => {
    const all = rows();
    const count = all.length - 1;
    const every = Math.ceil(count / TABLE_ROWS);
    const shown = every > 1 ? all.filter((_, i) => i === 0 || (i - 1) % every === 0) : all;
    body.replaceChildren(
      table(shown, { caption: every > 1 ? `${label}: every ${every}th of ${number(count)} rows` : label }),
    );
  };
  const opener = h("summary", { onclick: () => details.open || fill() }, title);
  const details = h("details", { class: "numbers" }, opener, body);
  details.refresh = () => details.open && fill();
  // A click fills the table before it opens; whatever else opens it, such as a search of the browser's, a moment after.
  details.addEventListener("toggle", () => details.open && !body.hasChildNodes() && fill());
  return details;
}

/**
 * A chart in `element`.
 *
 * `option(colours, width)` gives ECharts its option; `table` the numbers below; `ready(instance)` is called once it
 * exists; `reading`, where given, lets the arrow keys walk: `{ count(), at(index, instance) }`, `at` returns the words
 * to say.
 * @param {HTMLElement} element
 * @param {{label: string, height?: number|((width: number) => number), option: Function, table?: Function,
 *   ready?: Function, reading?: object}} settings
 * @returns {{element: HTMLElement, instance: object|null, update: () => void, show: () => void, remove: () => void}}
 */
export function chart(element, { label, height = 240, option, table: rows = null, ready = null, reading = null }) {
  const canvas = h("div", { class: "canvas", role: "img", "aria-label": label, tabindex: reading ? 0 : null });
  const voice = reading ? h("p", { class: "hidden", "aria-live": "polite" }) : null;
  const tall = (width) => (typeof height === "function" ? height(width) : height);
  canvas.style.height = `${tall(element.clientWidth || 600)}px`;
  const below = rows ? numbers(rows, label) : null;
  element.append(canvas, ...(voice ? [voice] : []), ...(below ? [below] : []));

  const one = {
    element: canvas,
    instance: null,
    update() {
      below?.refresh();
      if (!one.instance) return;
      const width = canvas.clientWidth;
      canvas.style.height = `${tall(width)}px`;
      one.instance.resize();
      const colours = theme();
      one.instance.setOption({ ...plainOption(colours), ...option(colours, width) }, { notMerge: true });
    },
    show() {
      if (one.instance || !canvas.clientWidth) return;
      one.instance = echarts.init(canvas, null, { renderer: "canvas" });
      one.update();
      ready?.(one.instance);
    },
    remove() {
      nearWindow.unobserve(canvas);
      widths.unobserve(canvas);
      liveCharts.delete(one);
      one.instance?.dispose();
      one.instance = null;
    },
  };
  let width = 0;
  canvas.addEventListener("near", () => one.show());
  canvas.addEventListener("sized", () => {
    if (canvas.clientWidth === width) return;
    width = canvas.clientWidth;
    if (one.instance) one.update();
    else if (width) nearWindow.observe(canvas);
  });
  if (reading) walk(canvas, voice, one, reading);
  liveCharts.add(one);
  nearWindow.observe(canvas);
  widths.observe(canvas);
  return one;
}

/**
 * A thin upright line over a chart, moved without drawing the chart again.
 * @param {HTMLElement} canvas of a chart that exists
 * @param {number} top room above, pixels @param {number} bottom room below
 * @returns {(x: number|null) => void} null takes it away
 */
export function crosshair(canvas, top, bottom) {
  const line = h("div", { class: "crosshair", hidden: true, style: { top: `${top}px`, bottom: `${bottom}px` } });
  canvas.append(line);
  return (x) => {
    line.hidden = x === null;
    if (x !== null) line.style.transform = `translateX(${Math.round(x)}px)`;
  };
}

function walk(canvas, voice, one, reading) {
  let at = -1;
  canvas.addEventListener("keydown", (event) => {
    const count = reading.count();
    const leap = Math.max(1, Math.round(count / 20));
    const moves = {
      ArrowRight: at + 1,
      ArrowLeft: at - 1,
      PageDown: at + leap,
      PageUp: at - leap,
      Home: 0,
      End: count - 1,
    };
    if (!(event.key in moves) || !one.instance || !count) return;
    event.preventDefault();
    at = Math.min(count - 1, Math.max(0, moves[event.key]));
    voice.textContent = reading.at(at, one.instance);
  });
}

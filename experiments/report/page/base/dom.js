// Elements and numbers in words. No HTML strings: everything is made as nodes, so text is text.

const SVG = "http://www.w3.org/2000/svg";

function filled(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(key.replace(/^on/, ""), value);
    else if (key === "style") for (const [name, one] of Object.entries(value)) element.style.setProperty(name, one);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

/**
 * An element. Functions become listeners (`onclick`), `style` is an object of properties, null leaves an attribute out.
 * @param {string} tag @param {object|null} attributes @param {...(Node|string|number|null|Array)} children
 */
export function h(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

const DASH = "–";
const absent = (value) => value === null || value === undefined || Number.isNaN(value);

const FORMATS = new Map();

/** Formats are kept: to make one takes far longer than to use it. */
function grouped(value, digits, signDisplay = "auto") {
  const key = `${digits} ${signDisplay}`;
  if (!FORMATS.has(key))
    FORMATS.set(
      key,
      new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits, signDisplay }),
    );
  return FORMATS.get(key).format(value).replace("-", "−");
}

/** 1234.5 → "1,234.5"; null → "–". @param {number|null} value @param {number} digits */
export function number(value, digits = 0) {
  return absent(value) ? DASH : grouped(value, digits);
}

/** +0.32, −0.05. */
export function signed(value, digits = 2) {
  return absent(value) ? DASH : grouped(value, digits, "exceptZero");
}

/** 0.123 → "12.3 %". */
export function percent(value, digits = 1) {
  return absent(value) ? DASH : `${grouped(value * 100, digits)} %`;
}

/** 11235000 → "11.2 M". */
export function compact(value) {
  if (absent(value)) return DASH;
  for (const [size, unit] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e4, "k"],
  ]) {
    if (Math.abs(value) >= size) return `${grouped(value / (unit === "k" ? 1e3 : size), 1)} ${unit}`;
  }
  return grouped(value, Number.isInteger(value) ? 0 : Math.abs(value) < 1 ? 3 : 1);
}

/** Seconds in words: "1 h 12 min". */
export function duration(seconds) {
  if (absent(seconds)) return DASH;
  if (seconds < 10) return `${grouped(seconds, 1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.round(hours / 24)} days`;
}

/** A moment, UTC: "2018-03-19 19:00". @param {number|string|null} when minutes since the epoch, or an ISO stamp */
export function stamp(when) {
  if (absent(when) || when === "") return DASH;
  const date = typeof when === "number" ? new Date(when * 60000) : new Date(when);
  return Number.isNaN(date.getTime()) ? String(when) : date.toISOString().slice(0, 16).replace("T", " ");
}

/** Its day alone: "2018-03-19". */
export function day(when) {
  return stamp(when).slice(0, 10);
}

/** "bull_trending" → "bull trending". */
export function words(name) {
  return String(name).replaceAll("_", " ");
}

/** A regime's name in words: "bull trending", "all regimes". */
export function regimeName(name) {
  return name === "all" ? "all regimes" : words(name);
}

/** Its first letter made a capital. */
export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** 1 agent, 2 agents. */
export function many(count, one, more = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : more}`;
}

/**
 * Buttons of which one is pressed. Calls `choose(value)`; its own `set(value)` presses one without a call.
 * @param {{label: string, options: Array<[string, string]>, value: string, choose: (value: string) => void}} settings
 */
export function segmented({ label, options, value, choose }) {
  const buttons = options.map(([key, text]) =>
    h(
      "button",
      { type: "button", "aria-pressed": String(key === value), onclick: () => pick(key), "data-value": key },
      text,
    ),
  );
  const set = (key) => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.value === key));
  };
  function pick(key) {
    set(key);
    choose(key);
  }
  return Object.assign(h("div", { class: "segmented", role: "group", "aria-label": label }, buttons), { set });
}

/**
 * A labelled list to choose from. Calls `choose(value)`; its own `set(value)` shows one without a call.
 * @param {{label: string, options: Array<[string, string]>, value: string, choose: (value: string) => void}} settings
 */
export function selector({ label, options, value, choose }) {
  const list = h("select", { "aria-label": label, onchange: (event) => choose(event.target.value) });
  for (const [key, text] of options) list.append(h("option", { value: key, selected: key === value }, text));
  const set = (key) => {
    list.value = key;
  };
  return Object.assign(h("label", { class: "selector" }, h("span", null, label), list), { set });
}

/**
 * A table. `rows[0]` holds the heads; numbers are aligned right.
 * @param {Array<Array<string|number|Node|null>>} rows @param {{caption?: string, class?: string}} options
 */
export function table(rows, { caption = null, class: name = "plain" } = {}) {
  const [heads = [], ...body] = rows;
  const looksNumeric = heads.map(
    (_, i) => body.length > 0 && body.every((row) => row[i] === null || /^[–−+\d]/.test(cellText(row[i]))),
  );
  const cell = (tag, value, i) =>
    h(tag, { class: looksNumeric[i] ? "n" : null, scope: tag === "th" ? "col" : null }, cellValue(value));
  return h(
    "table",
    { class: name },
    caption && h("caption", null, caption),
    h(
      "thead",
      null,
      h(
        "tr",
        null,
        heads.map((value, i) => cell("th", value, i)),
      ),
    ),
    h(
      "tbody",
      null,
      body.map((row) =>
        h(
          "tr",
          null,
          row.map((value, i) => cell("td", value, i)),
        ),
      ),
    ),
  );
}

function cellText(value) {
  return value instanceof Node ? value.textContent : String(value);
}

function cellValue(value) {
  if (value === null || value === undefined) return DASH;
  return typeof value === "number" ? number(value, Number.isInteger(value) ? 0 : Math.abs(value) < 1 ? 4 : 2) : value;
}

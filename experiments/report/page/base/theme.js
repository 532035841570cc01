// Colours and marks, for light and dark. They stand in base.css as custom properties and are read from there, so that
// pages and charts never differ. Regimes have a colour and a glyph, species a colour, a dash and a symbol: nothing is
// told by colour alone. The regimes' hues come from Okabe and Ito's set for colour-blind readers, made darker or
// lighter until lines have a contrast of 3 and text one of 4.5 against either page.

import { read, write, onAddress } from "./address.js";

/** Glyphs of the regimes, in their order; all five last. */
export const REGIME_GLYPHS = ["▲", "▼", "◆", "●", "★"];

/** ECharts symbols of the regimes: the same shapes. */
export const REGIME_SYMBOLS = [
  "triangle",
  "path://M0,0 L10,0 L5,9 Z",
  "diamond",
  "circle",
  "path://M5,0 L6.5,3.4 L10,3.8 L7.4,6.3 L8.1,10 L5,8.1 L1.9,10 L2.6,6.3 L0,3.8 L3.5,3.4 Z",
];

/** ECharts line types of the species. */
export const SPECIES_DASHES = ["solid", [6, 4], [2, 3], [10, 3, 2, 3]];

/** ECharts symbols of the species. */
export const SPECIES_SYMBOLS = ["circle", "rect", "diamond", "triangle"];
export const FONT =
  '-apple-system, BlinkMacSystemFont, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif';

const themeListeners = new Set();
const darkSystem = matchMedia("(prefers-color-scheme: dark)");
let coloursNow = null;
let printing = false;

/**
 * Colours in force. `regime` and `regimeText` by regime, `species` and `cause` by index; `diverging(t)` for t in
 * −1 … 1, `sequential(t)` for t in 0 … 1.
 * @returns {object}
 */
export function theme() {
  if (coloursNow) return coloursNow;
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  const list = (name, count) => Array.from({ length: count }, (_, i) => of(`${name}-${i}`));
  const negative = [of("negative-strong"), of("negative"), of("middle")];
  const positive = [of("middle"), of("positive"), of("positive-strong")];
  const ramp = [of("sequential-0"), of("sequential-1"), of("sequential-2")];
  coloursNow = {
    name: document.documentElement.dataset.theme,
    page: of("page"),
    surface: of("surface"),
    ink: of("ink"),
    soft: of("soft"),
    faint: of("faint"),
    line: of("line"),
    hair: of("hair"),
    accent: of("accent"),
    positive: of("positive"),
    negative: of("negative"),
    middle: of("middle"),
    regime: list("regime", 5),
    regimeText: list("regime-text", 5),
    species: list("species", 4),
    cause: list("cause", 4),
    diverging: (t) => (t < 0 ? alongColours(negative, 1 + Math.max(-1, t)) : alongColours(positive, Math.min(1, t))),
    sequential: (t) => alongColours(ramp, Math.min(1, Math.max(0, t))),
  };
  return coloursNow;
}

function channels(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

/**
 * A colour between two, in sRGB.
 * @param {string} a "#rrggbb"
 * @param {string} b "#rrggbb"
 * @param {number} t 0 for a … 1 for b
 */
export function mix(a, b, t) {
  const to = channels(b);
  return (
    "#" +
    channels(a)
      .map((v, i) =>
        Math.round(v + (to[i] - v) * t)
          .toString(16)
          .padStart(2, "0"),
      )
      .join("")
  );
}

function alongColours(stops, t) {
  const at = t * (stops.length - 1);
  const i = Math.min(stops.length - 2, Math.floor(at));
  return mix(stops[i], stops[i + 1], at - i);
}

/** A colour with an opacity. @param {string} hex @param {number} alpha */
export function faded(hex, alpha) {
  return `rgba(${channels(hex).join(",")},${alpha})`;
}

/** Calls `listener(theme)` whenever the colours change. @param {(theme: object) => void} listener */
export function onTheme(listener) {
  themeListeners.add(listener);
}

/** What the reader chose: "auto", "light" or "dark". */
export function themeChoice() {
  const choice = read("theme");
  return choice === "light" || choice === "dark" ? choice : "auto";
}

/** @param {"auto"|"light"|"dark"} choice */
export function chooseTheme(choice) {
  write("theme", choice === "auto" ? null : choice);
  applyTheme();
}

function applyTheme() {
  const choice = themeChoice();
  const name = printing ? "light" : choice === "auto" ? (darkSystem.matches ? "dark" : "light") : choice;
  if (document.documentElement.dataset.theme === name && coloursNow) return;
  document.documentElement.dataset.theme = name;
  coloursNow = null;
  for (const listener of themeListeners) listener(theme());
}

/** Sets the colours and follows the system, the address and the printer. */
export function startTheme() {
  applyTheme();
  darkSystem.addEventListener("change", applyTheme);
  onAddress(applyTheme);
  for (const [event, on] of [
    ["beforeprint", true],
    ["afterprint", false],
  ]) {
    addEventListener(event, () => {
      printing = on;
      applyTheme();
    });
  }
}

// Decision rules: what a champion's action values would have earned on validation under every rule that was tried. A
// panel is a way to decide together, a column a look-back and an average, a row a threshold.

import { h, svg, signed, number, many, regimeName, segmented, selector, table } from "../base/dom.js";
import { REGIME_GLYPHS, theme, onTheme } from "../base/theme.js";
import { read, write, onAddress } from "../base/address.js";
import { onReplicate, replicateChoice, replicateShown, replicateWords } from "../base/replicate.js";
import { chart } from "../base/chart.js";
import { ruleWords } from "../certificate/words.js";
import { gridHeight, gridOption, gridPlace } from "./grid_chart.js";
import { reason } from "./summary.js";

/** Mounts the grid of decision rules. @param {HTMLElement} section @param {object} facts */
export function mountGrid(section, facts) {
  const all = facts.grids ?? [];
  if (!all.length) {
    if (!reason(facts, "grid")) section.append(gridless(facts, null));
    return;
  }
  section.append(
    h(
      "p",
      { class: "lead" },
      "A champion’s action values can be acted on in many ways. Each was tried on validation, in the champion’s own ",
      "regime, and counts as a trial; the best takes the place of the one it was bred with only where a paired t over ",
      "separate blocks of bars says so. A threshold is the gap between the two best actions that an order wants, as ",
      "its quantile on training; a look-back is how many bars its features see; values may be averaged over bars, and ",
      "over champions.",
    ),
  );
  const place = h("div");
  let shown = null;
  const draw = (replicate) => {
    shown?.remove();
    const own = all.filter((one) => one.replicate === replicate);
    place.replaceChildren();
    shown = own.length ? drawGrids(place, own, facts) : null;
    if (!own.length) place.append(gridless(facts, replicate));
  };
  section.append(place);
  draw(replicateShown(facts));
  onReplicate(facts, draw);
  onAddress(() => shown?.look());
}

/** What is said where there is none, with the command that makes it. */
function gridless(facts, replicate) {
  const whose = replicate === null ? "the champions" : `the champions of ${replicateWords(facts, replicate)}`;
  return h(
    "p",
    { class: "absent" },
    `No other rules were tried for ${whose}: `,
    h("code", null, `arena grid ${facts.run?.id ?? "RUN"}`),
    " tries them all on validation.",
  );
}

function drawGrids(place, grids, facts) {
  const name = (grid) => `${REGIME_GLYPHS[grid.regime]} ${regimeName(facts.regimes[grid.regime])}, agent ${grid.id}`;
  const viewNow = () => ({
    at: Math.max(
      0,
      grids.findIndex((grid) => facts.regimes[grid.regime] === (read("rules") ?? "all")),
    ),
    gain: read("rulesby") === "gain",
  });
  const view = viewNow();
  const choice = replicateChoice(facts);
  const champions = selector({
    label: "Champion",
    options: grids.map((grid, i) => [String(i), name(grid)]),
    value: String(view.at),
    choose(value) {
      view.at = Number(value);
      write("rules", facts.regimes[grids[view.at].regime]);
      redraw();
    },
  });
  const units = segmented({
    label: "Colours show",
    options: [
      ["score", "Score"],
      ["gain", "Against as bred"],
    ],
    value: view.gain ? "gain" : "score",
    choose(value) {
      view.gain = value === "gain";
      write("rulesby", view.gain ? "gain" : null);
      redraw();
    },
  });
  const scale = h("span", { class: "heat-scale" });
  const reading = h("p", { class: "readout" });
  const figure = h("figure", { class: "rules" }, reading);
  place.append(
    h("div", { class: "controls" }, choice, champions, units, scale),
    marksKey(),
    figure,
    choices(grids, facts),
  );
  let one = null;
  let row = 0;
  let column = 0;
  const grid = () => grids[view.at];
  const values = () => {
    const { scores, plain } = grid();
    return view.gain
      ? scores.map((score) => (score === null || scores[plain] === null ? null : score - scores[plain]))
      : scores;
  };
  const limit = () => Math.max(...values().map((value) => Math.abs(value ?? 0))) || 1;
  const rest = () => {
    const { chosen, plain, bars } = grid();
    const of = (i) => signed(grid().scores[i]);
    const taken = h("b", null, chosen === plain ? "as bred" : ruleWords(ruleAt(grid(), chosen)));
    reading.replaceChildren(
      `${name(grid())}: `,
      taken,
      ", ",
      h("b", null, `${of(chosen)} bp a bar`),
      chosen === plain ? "" : `, as bred ${of(plain)}`,
      `; ${many(grid().scores.length, "rule")} on ${many(bars, "bar")}`,
    );
  };
  const say = (i) => {
    reading.textContent = cellWords(grid(), i);
    return reading.textContent;
  };
  const light = (i) => {
    if (!one?.instance) return;
    const { panel, within } = gridPlace(grid(), i);
    grid().ensembles.forEach((_, seriesIndex) => one.instance.dispatchAction({ type: "downplay", seriesIndex }));
    if (i >= 0) one.instance.dispatchAction({ type: "highlight", seriesIndex: panel, dataIndex: within });
  };
  function redraw() {
    champions.set(String(view.at));
    units.set(view.gain ? "gain" : "score");
    scale.replaceChildren(...gridScale(limit()));
    rest();
    one?.update();
    one?.element.setAttribute("aria-label", labelOf());
  }
  const labelOf = () => `Heat map of ${many(grid().scores.length, "decision rule")} of ${name(grid()).slice(2)}`;
  one = chart(figure, {
    label: labelOf(),
    height: (width) => gridHeight(grid(), width),
    option: (colours, width) => gridOption(grid(), values(), limit(), colours, width),
    table: () => [
      ["together", "look-back", "bars averaged", "threshold", "gap", "bp a bar", "t", "trades"],
      ...grid().scores.map((score, i) => {
        const rule = ruleAt(grid(), i);
        return [
          rule.ensemble,
          rule.lookback === null ? "as bred" : String(rule.lookback),
          String(rule.average),
          number(rule.threshold, 1),
          number(grid().gaps[i], 4),
          signed(score),
          signed(grid().t[i]),
          number(grid().trades[i]),
        ];
      }),
    ],
    ready(instance) {
      const zr = instance.getZr();
      zr.on("mousemove", (event) => {
        const i = cellAt(instance, grid(), event.offsetX, event.offsetY);
        light(i);
        if (i >= 0) say(i);
        else rest();
      });
      zr.on("globalout", () => {
        light(-1);
        rest();
      });
    },
    reading: {
      count: () => columnsOf(grid()),
      at: (i) => ((column = i), light(cellOf(grid(), column, row)), say(cellOf(grid(), column, row))),
    },
  });
  const voice = figure.querySelector("[aria-live=polite]");
  one.element.addEventListener("keydown", (event) => {
    const by = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!by || !one.instance) return;
    event.preventDefault();
    row = Math.min(grid().thresholds.length - 1, Math.max(0, row + by));
    light(cellOf(grid(), column, row));
    voice.textContent = say(cellOf(grid(), column, row));
  });
  one.element.addEventListener("blur", () => {
    light(-1);
    rest();
  });
  redraw();
  onTheme(() => scale.replaceChildren(...gridScale(limit())));
  return {
    look() {
      Object.assign(view, viewNow());
      redraw();
    },
    remove: () => one.remove(),
  };
}

/** The rule of a place. */
function ruleAt({ ensembles, lookbacks, averages, thresholds }, i) {
  const threshold = thresholds[i % thresholds.length];
  const rest = Math.floor(i / thresholds.length);
  const average = averages[rest % averages.length];
  const above = Math.floor(rest / averages.length);
  return {
    ensemble: ensembles[Math.floor(above / lookbacks.length)],
    lookback: lookbacks[above % lookbacks.length],
    average,
    threshold,
  };
}

function columnsOf({ ensembles, lookbacks, averages }) {
  return ensembles.length * lookbacks.length * averages.length;
}

function cellOf({ thresholds }, column, row) {
  return column * thresholds.length + Math.min(row, thresholds.length - 1);
}

function cellAt(instance, grid, x, y) {
  const panel = grid.ensembles.findIndex((_, gridIndex) => instance.containPixel({ gridIndex }, [x, y]));
  if (panel < 0) return -1;
  const [column, row] = instance.convertFromPixel({ gridIndex: panel }, [x, y]);
  return cellOf(grid, (panel * columnsOf(grid)) / grid.ensembles.length + column, row);
}

function cellWords(grid, i) {
  const marks = [i === grid.chosen ? "chosen" : null, i === grid.plain ? "as bred" : null].filter(Boolean).join(", ");
  const t = grid.t[i] === null || i === grid.plain ? "" : `, t ${signed(grid.t[i])} against as bred`;
  const trades = grid.trades[i] ? many(grid.trades[i], "trade") : "no trade";
  const rule = i === grid.plain ? "alone" : ruleWords(ruleAt(grid, i));
  return `${marks ? `${marks}: ` : ""}${rule}: ${signed(grid.scores[i])} bp a bar${t}, ${trades}`;
}

/** What was chosen for every champion. */
function choices(grids, facts) {
  const rows = grids.map((grid) => [
    h(
      "span",
      { class: `regime-${grid.regime}` },
      h("span", { class: "glyph", "aria-hidden": "true" }, REGIME_GLYPHS[grid.regime]),
      regimeName(facts.regimes[grid.regime]),
    ),
    String(grid.id),
    ruleWords(ruleAt(grid, grid.chosen)),
    signed(grid.scores[grid.chosen]),
    signed(grid.scores[grid.plain]),
    grid.chosen === grid.plain ? "–" : signed(grid.t[grid.chosen]),
  ]);
  const heads = ["champion of", "agent", "rule", "bp a bar", "as bred", "paired t"];
  return h(
    "div",
    { class: "sideways choices", tabindex: 0, role: "region", "aria-label": "Rules chosen" },
    table([heads, ...rows], { caption: "What was chosen, on validation in the regime held" }),
  );
}

function marksKey() {
  const circle = (name, r) => svg("circle", { class: name, cx: 7, cy: 7, r });
  const sign = (...circles) =>
    svg("svg", { width: 14, height: 14, viewBox: "0 0 14 14", "aria-hidden": "true" }, circles);
  return h(
    "p",
    { class: "rules-key" },
    h("span", null, sign(circle("taken", 5)), "chosen"),
    h("span", null, sign(circle("bred", 5)), "as bred"),
    h("span", null, sign(circle("bred", 5), circle("taken", 1.5)), "both"),
    h("span", null, "up: threshold; across: bars averaged, and below them the look-back"),
  );
}

function gridScale(limit) {
  const colours = theme();
  const steps = Array.from({ length: 21 }, (_, i) =>
    svg("rect", { x: i * 6, width: 6.5, height: 10, fill: colours.diverging(i / 10 - 1) }),
  );
  return [
    `−${number(limit, 2)}`,
    svg("svg", { width: 126, height: 10, viewBox: "0 0 126 10", "aria-hidden": "true" }, steps),
    `+${number(limit, 2)} bp a bar`,
  ];
}

// A champion's line: every birth from its founder to it, over the generations, with the operator that made each, the
// regimes each won and the scars each bore before the next birth on the line; scars that came later are told apart.

import { h, svg, number, many, words, capital } from "../base/dom.js";
import { chart, generationAxis } from "../base/chart.js";
import { REGIME_SYMBOLS, REGIME_GLYPHS } from "../base/theme.js";

/** ECharts symbols of the operators by name. */
const OPERATOR_SYMBOLS = { founder: "rect", mutation: "circle", crossover: "diamond" };
const LANES = ["scars", "births", "won"];

/**
 * Mounts the line from founder to champion. Returns what has to be removed with it.
 * @param {HTMLElement} panel @param {object} champion @param {object} facts
 */
export function mountLine(panel, champion, facts) {
  const line = champion.line ?? [];
  if (line.length < 2) return [];
  const scars = line.reduce((sum, one) => sum + (one.scars ?? 0), 0);
  const later = line.reduce((sum, one) => sum + (one.later ?? 0), 0);
  const wins = line.filter((one) => one.won?.length).length;
  const span = [line[0].born, line[line.length - 1].born];
  panel.append(
    h("h3", null, "Its line"),
    h(
      "p",
      { class: "lead" },
      `${many(line.length - 1, "birth")} from founder ${line[0].id} to agent ${champion.id}: `,
      `${many(scars, "scar")} on the way${later ? ` (${number(later)} more came later)` : ""}, `,
      `${many(wins, "champion")} among ${line.length}.`,
    ),
  );
  const reading = h("p", { class: "readout" });
  const figure = h("figure", null, operatorKey(line, facts), reading);
  panel.append(figure);
  const say = (i) => {
    const one = line[i];
    const text = birthWords(one, facts);
    reading.textContent = text;
    return text;
  };
  return [
    chart(figure, {
      label: `The line of agent ${champion.id}: ${many(line.length, "ancestor")} over generations ${span.join(" to ")}`,
      height: 136,
      option: (colours) => lineOption(line, colours),
      table: () => [
        ["agent", "born", "died", "by", "strength", "species", "scars", "later scars", "won"],
        ...line.map((one) => [
          String(one.id),
          number(one.born),
          one.died === null || one.died === undefined ? "alive" : number(one.died),
          one.operator,
          number(one.strength, 3),
          facts.species?.[one.species] ?? "–",
          number(one.scars ?? 0),
          number(one.later ?? 0),
          wonWords(one, facts),
        ]),
      ],
      ready: (instance) => {
        const zr = instance.getZr();
        zr.on("mousemove", (event) => {
          const generation = instance.convertFromPixel({ xAxisIndex: 0 }, event.offsetX);
          say(nearest(line, generation));
        });
        zr.on("globalout", () => (reading.textContent = ""));
      },
      reading: {
        count: () => line.length,
        at: (i, instance) => {
          instance.dispatchAction({ type: "downplay", seriesIndex: 1 });
          instance.dispatchAction({ type: "highlight", seriesIndex: 1, dataIndex: i });
          return say(i);
        },
      },
    }),
  ];
}

function nearest(line, generation) {
  let best = 0;
  line.forEach((one, i) => {
    if (Math.abs(one.born - generation) <= Math.abs(line[best].born - generation)) best = i;
  });
  return best;
}

function wonWords(one, facts) {
  return (one.won ?? []).map((regime) => words(facts.regimes[regime])).join(", ") || "–";
}

function birthWords(one, facts) {
  const strength = one.strength ? ` of strength ${number(one.strength, 3)}` : "";
  const parts = [
    `agent ${one.id}`,
    `${facts.species?.[one.species] ?? ""} born in generation ${number(one.born)} by ${one.operator}${strength}`,
  ];
  parts.push(one.died === null || one.died === undefined ? "alive" : `died in ${number(one.died)}`);
  if (one.scars) parts.push(many(one.scars, "scar"));
  if (one.later) parts.push(many(one.later, "later scar"));
  if (one.won?.length) parts.push(`champion of ${wonWords(one, facts)}`);
  return parts.join(", ");
}

function operatorKey(line, facts) {
  const shapes = {
    founder: svg("rect", { x: 2, y: 2, width: 8, height: 8 }),
    mutation: svg("circle", { cx: 6, cy: 6, r: 4 }),
    crossover: svg("path", { d: "M6,1 L11,6 L6,11 L1,6 Z" }),
  };
  const used = [...new Set(line.map((one) => one.operator))];
  const won = [...new Set(line.flatMap((one) => one.won ?? []))].sort();
  return h(
    "p",
    { class: "journey-key line-key" },
    used.map((name) =>
      h(
        "span",
        null,
        svg(
          "svg",
          { width: 12, height: 12, viewBox: "0 0 12 12", "aria-hidden": "true" },
          shapes[name] ?? shapes.mutation,
        ),
        name,
      ),
    ),
    won.map((regime) =>
      h(
        "span",
        { class: `regime-${regime}` },
        h("span", { class: "glyph", "aria-hidden": "true" }, REGIME_GLYPHS[regime]),
        `won ${regime === facts.regimes.length - 1 ? "all regimes" : words(facts.regimes[regime])}`,
      ),
    ),
  );
}

function lineOption(line, colours) {
  const first = line[0].born;
  const last = line[line.length - 1].born;
  const scatter = (name, data, more) => ({ name, type: "scatter", data, ...more });
  const wins = line.flatMap((one) =>
    (one.won ?? []).map((regime, k) => ({
      value: [one.born, 2],
      symbol: REGIME_SYMBOLS[regime],
      symbolOffset: [0, -k * 11],
      itemStyle: { color: colours.regime[regime] },
    })),
  );
  const wounds = ["later", "scars"].flatMap((key) =>
    line
      .filter((one) => one[key])
      .map((one) => ({
        value: [one.born, 0],
        symbolSize: 5 + 3 * Math.min(4, Math.sqrt(one[key])),
        itemStyle: { borderColor: key === "later" ? colours.faint : colours.ink },
        symbolOffset: key === "later" && one.scars ? [0, -9] : 0,
      })),
  );
  return {
    grid: { outerBoundsMode: "none", left: 58, right: 20, top: 18, bottom: 24 },
    xAxis: generationAxis(colours, first, last, 8),
    yAxis: {
      type: "category",
      data: LANES.map(capital),
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: { color: colours.soft, fontSize: 11 },
      splitLine: { show: false },
    },
    series: [
      {
        name: "line",
        type: "line",
        data: [
          [first, 1],
          [last, 1],
        ],
        symbol: "none",
        silent: true,
        lineStyle: { color: colours.line, width: 1.5 },
      },
      scatter(
        "births",
        line.map((one) => ({
          value: [one.born, 1],
          symbol: OPERATOR_SYMBOLS[one.operator] ?? "circle",
          itemStyle: { color: colours.species[(one.species ?? 0) % 4], borderColor: colours.page, borderWidth: 1 },
        })),
        { symbolSize: 10, z: 3, emphasis: { scale: 1.6 } },
      ),
      scatter("won", wins, { symbolSize: 11, silent: true }),
      scatter("scars", wounds, {
        symbol: "circle",
        silent: true,
        itemStyle: { color: "transparent", borderWidth: 1.25 },
      }),
    ],
  };
}

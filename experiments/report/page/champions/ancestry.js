// A champion's line: every birth from its founder to it, over the generations, with the operator that made each, the
// regimes each won and the scars each bore before the next birth on the line; scars that came later are told apart.

import { h, svg, number, many, words, capital } from "../base/dom.js";
import { chart, generationAxis } from "../base/chart.js";
import { REGIME_SYMBOLS, REGIME_GLYPHS } from "../base/theme.js";

/** ECharts symbols of the operators by name. */
const OPERATOR_SYMBOLS = { founder: "rect", mutation: "circle", crossover: "diamond" };
/** The lanes of the chart, from below, and their places. */
const LANES = ["scars", "births", "won"];
const SCARS = 0;
const BIRTHS = 1;
const WON = 2;

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
  const span = [line[0].born, champion.generation];
  const events = eventsOf(line, champion);
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
      height: 176,
      option: (colours) => lineOption(line, events, champion, colours),
      table: () => [
        ["agent", "born", "died", "by", "strength", "species", "scars", "later scars", "scarred in", "won"],
        ...line.map((one) => [
          String(one.id),
          number(one.born),
          one.died === null || one.died === undefined ? "alive" : number(one.died),
          one.operator,
          number(one.strength, 3),
          facts.species?.[one.species] ?? "–",
          number(one.scars ?? 0),
          number(one.later ?? 0),
          (one.scarred ?? []).map((at) => number(at)).join(", ") || "–",
          wonWords(one, facts),
        ]),
      ],
      ready: (instance) => {
        const zr = instance.getZr();
        zr.on("mousemove", (event) => {
          const at = instance.convertFromPixel({ gridIndex: 0 }, [event.offsetX, event.offsetY]);
          say(nearest(events, ...at));
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

function wonWords(one, facts) {
  const won = (one.won ?? []).map((regime) => `${lineRegime(regime, facts)} in ${number(one.won_at[regime])}`);
  return won.join(", ") || "–";
}

function lineRegime(regime, facts) {
  return regime === facts.regimes.length - 1 ? "all regimes" : words(facts.regimes[regime]);
}

function birthWords(one, facts) {
  const strength = one.strength ? ` of strength ${number(one.strength, 3)}` : "";
  const parts = [
    `agent ${one.id}`,
    `${facts.species?.[one.species] ?? ""} born in generation ${number(one.born)} by ${one.operator}${strength}`,
  ];
  parts.push(one.died === null || one.died === undefined ? "alive" : `died in ${number(one.died)}`);
  const scarred = one.scarred ?? [];
  const when = (few) => `in ${[...new Set(few)].map((at) => number(at)).join(", ")}`;
  const [before, later] = [scarred.slice(0, one.scars), scarred.slice(one.scars)];
  if (before.length) parts.push(`${many(before.length, "scar")} ${when(before)}`);
  if (later.length) parts.push(`${many(later.length, "later scar")} ${when(later)}`);
  if (one.won?.length) parts.push(`won ${wonWords(one, facts)}`);
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
  const sign = (shape) => svg("svg", { width: 12, height: 12, viewBox: "0 0 12 12", "aria-hidden": "true" }, shape);
  const scarKey = (kind, name) =>
    line.some((one) => one[kind])
      ? h("span", null, sign(svg("circle", { class: kind, cx: 6, cy: 6, r: 4 })), name)
      : null;
  return h(
    "p",
    { class: "journey-key line-key" },
    used.map((name) => h("span", null, sign(shapes[name] ?? shapes.mutation), name)),
    scarKey("scars", "scar"),
    scarKey("later", "later scar"),
    won.map((regime) =>
      h(
        "span",
        { class: `regime-${regime}` },
        h("span", { class: "glyph", "aria-hidden": "true" }, REGIME_GLYPHS[regime]),
        `won ${lineRegime(regime, facts)}`,
      ),
    ),
  );
}

/**
 * What befell the line and when: [{at, lane, i, …}], `i` the place in the line. Scars of one agent in one
 * generation are one event with their count.
 */
function eventsOf(line, champion) {
  return line.flatMap((one, i) => {
    const until = line[i + 1]?.born ?? champion.generation;
    const scars = new Map();
    for (const at of one.scarred ?? []) scars.set(at, (scars.get(at) ?? 0) + 1);
    return [
      { at: one.born, lane: BIRTHS, i },
      ...[...scars].map(([at, count]) => ({ at, lane: SCARS, i, count, later: at >= until })),
      ...(one.won ?? []).map((regime) => ({ at: one.won_at[regime], lane: WON, i, regime })),
    ];
  });
}

/** The place in the line of what is nearest in a lane, or of the nearest birth where that lane is empty. */
function nearest(events, at, lane) {
  const inLane = events.filter((one) => one.lane === lane);
  const among = inLane.length ? inLane : events.filter((one) => one.lane === BIRTHS);
  return among.reduce((best, one) => (Math.abs(one.at - at) <= Math.abs(best.at - at) ? one : best)).i;
}

/** Scars by generation, those handed on and later ones apart; a number where there are several. */
function wounds(events, colours) {
  const scars = events.filter(({ lane }) => lane === SCARS);
  return [...new Set(scars.map(({ at }) => at))].flatMap((at) => {
    const kinds = [false, true].map((later) =>
      scars.filter((one) => one.at === at && one.later === later).reduce((sum, { count }) => sum + count, 0),
    );
    return kinds.flatMap((count, later) =>
      count
        ? {
            value: [at, SCARS],
            symbolSize: count > 1 ? 15 : 8,
            symbolOffset: [0, kinds[1 - later] ? (later ? -8 : 8) : 0],
            itemStyle: { borderColor: later ? colours.faint : colours.ink },
            label: {
              show: count > 1,
              formatter: number(count),
              color: later ? colours.soft : colours.ink,
              fontSize: 10,
            },
          }
        : [],
    );
  });
}

/** Wins; those of one generation over one another. */
function wins(events, colours) {
  const won = events.filter((one) => one.lane === WON);
  return won.map((one) => {
    const same = won.filter(({ at }) => at === one.at);
    return {
      value: [one.at, WON],
      symbol: REGIME_SYMBOLS[one.regime],
      symbolOffset: [0, ((same.length - 1) / 2 - same.indexOf(one)) * 11],
      itemStyle: { color: colours.regime[one.regime] },
    };
  });
}

function lineOption(line, events, champion, colours) {
  const first = line[0].born;
  const last = Math.max(champion.generation, ...events.map(({ at }) => at));
  const scatter = (name, data, more) => ({ name, type: "scatter", data, ...more });
  return {
    grid: { outerBoundsMode: "none", left: 58, right: 20, top: 12, bottom: 42 },
    xAxis: {
      ...generationAxis(colours, first, last, 8),
      name: "generation",
      nameLocation: "middle",
      nameGap: 26,
      nameTextStyle: { color: colours.soft, fontSize: 11 },
    },
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
          [first, BIRTHS],
          [champion.generation, BIRTHS],
        ],
        symbol: "none",
        silent: true,
        lineStyle: { color: colours.line, width: 1.5 },
      },
      scatter(
        "births",
        line.map((one) => ({
          value: [one.born, BIRTHS],
          symbol: OPERATOR_SYMBOLS[one.operator] ?? "circle",
          itemStyle: { color: colours.species[(one.species ?? 0) % 4], borderColor: colours.page, borderWidth: 1 },
        })),
        { symbolSize: 10, z: 3, emphasis: { scale: 1.6 } },
      ),
      scatter("won", wins(events, colours), { symbolSize: 11, silent: true }),
      scatter("scars", wounds(events, colours), {
        symbol: "circle",
        silent: true,
        itemStyle: { color: colours.page, borderWidth: 1.25 },
      }),
    ],
  };
}

// Agents by regimes: who is good where. A column is an agent, a row a regime; blue is profit, orange loss, and what
// lies beyond the middle 96 % has the full colour. Champions are marked above their columns.

import { h, svg, signed, number, many, words, regimeName, capital, segmented, selector } from "../base/dom.js";
import { REGIME_GLYPHS, theme, onTheme } from "../base/theme.js";
import { read, write, onAddress } from "../base/address.js";
import { onReplicate, replicateChoice, replicateShown, replicateWords } from "../base/replicate.js";
import { chart } from "../base/chart.js";
import { reason } from "./summary.js";

const NARROWEST = 5;
const LABELS = 118;

/** Mounts the heat map. @param {HTMLElement} section @param {object} facts */
export function mountHeat(section, facts) {
  const heat = facts.heat;
  if (!heat?.agents?.length) {
    if (!reason(facts, "heat")) section.append(h("p", { class: "absent" }, "No agent has been judged yet."));
    return;
  }
  const sorts = [
    ...facts.regimes.map((name, i) => [String(i), i === facts.regimes.length - 1 ? "all regimes" : words(name)]),
    ["species", "species"],
    ["id", "birth, youngest first"],
  ];
  const viewNow = () => ({
    split: read("heat") === "validation" ? "validation" : "train",
    by: sorts.some(([key]) => key === read("heatby")) ? read("heatby") : String(facts.regimes.length - 1),
  });
  const view = { ...viewNow(), replicate: replicateShown(facts) };
  const lead = h("p", { class: "lead" });
  section.append(lead);
  const reading = h("p", { class: "readout" });
  const place = h("div", { class: "heat", tabindex: -1 });
  const figure = h("figure", null, reading, place);
  let order = [];
  let limit = 1;

  function arrange() {
    const values = heat[view.split];
    const regime = Number(view.by);
    const own = [...heat.agents.keys()].filter((i) => (heat.agents[i].replicate ?? 0) === view.replicate);
    lead.textContent = heatWords(own.map((i) => heat.agents[i]));
    const key = (i) =>
      view.by === "id"
        ? -heat.agents[i].id
        : view.by === "species"
          ? -heat.agents[i].species * 1e6 + (values[i][facts.regimes.length - 1] ?? -1e5)
          : (values[i][regime] ?? -Infinity);
    order = own
      .filter((i) => values[i].some((value) => value !== null))
      .sort((a, b) => key(b) - key(a) || heat.agents[a].id - heat.agents[b].id);
    const sizes = own
      .flatMap((i) => values[i])
      .filter((value) => value !== null)
      .map(Math.abs)
      .sort((a, b) => a - b);
    limit = sizes[Math.floor(0.96 * (sizes.length - 1))] || 1;
    rest();
    place.firstElementChild?.style.setProperty("width", `max(100%, ${order.length * NARROWEST + LABELS + 12}px)`);
    scale.replaceChildren(...scaleWords(limit));
    empty.hidden = order.length > 0;
  }
  const rest = () => {
    const among = [view.split === "train" ? "Training" : "Validation", replicateWords(facts, view.replicate)];
    const tried = view.split === "train" ? "" : " tried";
    reading.textContent = `${among.filter(Boolean).join(", ")}: ${many(order.length, "agent")}${tried}`;
  };
  const wordsOf = (i) => {
    const agent = heat.agents[i];
    const scores = facts.regimes
      .map((name, regime) => `${regimeName(name)} ${signed(heat[view.split][i][regime])}`)
      .join(", ");
    const champion = agent.champion?.length
      ? `, champion of ${agent.champion.map((regime) => regimeName(facts.regimes[regime])).join(" and ")}`
      : "";
    const species = facts.species?.[agent.species] ?? "";
    return `Agent ${agent.id}, ${species}${agent.alive ? "" : ", dead"}${champion}: ${scores}`;
  };
  const say = (x) => (reading.textContent = wordsOf(order[x]));
  const scale = h("span", { class: "heat-scale" });
  const empty = h("p", { class: "absent", hidden: true }, "No agent of these was tried on validation.");
  const inner = h("div");
  place.append(inner);
  const redraw = () => {
    arrange();
    one.update();
  };
  const splits = segmented({
    label: "Scores",
    options: [
      ["train", "Training"],
      ["validation", "Validation"],
    ],
    value: view.split,
    choose: (value) => ((view.split = value), write("heat", value === "train" ? null : value), redraw()),
  });
  const sorter = selector({
    label: "Sorted by",
    options: sorts,
    value: view.by,
    choose: (value) => (
      (view.by = value),
      write("heatby", value === String(facts.regimes.length - 1) ? null : value),
      redraw()
    ),
  });
  onAddress(() => {
    Object.assign(view, viewNow());
    splits.set(view.split);
    sorter.set(view.by);
    redraw();
  });
  onReplicate(facts, (replicate) => {
    view.replicate = replicate;
    redraw();
  });
  section.append(h("div", { class: "controls" }, replicateChoice(facts), splits, sorter, scale), figure, empty);
  arrange();
  let at = 0;
  const one = chart(inner, {
    label: `Heat map of agents by ${facts.regimes.length} regimes`,
    height: 40 + facts.regimes.length * 34,
    option: (colours) => heatOption(facts, heat, order, view.split, limit, colours),
    table: () => [
      ["agent", "species", "alive", ...facts.regimes.map(words)],
      ...order.map((i) => [
        String(heat.agents[i].id),
        facts.species?.[heat.agents[i].species] ?? "–",
        heat.agents[i].alive ? "yes" : "no",
        ...heat[view.split][i].map((value) => signed(value)),
      ]),
    ],
    ready: (instance) => {
      instance.getZr().on("mousemove", (event) => {
        const x = instance.convertFromPixel({ xAxisIndex: 0 }, event.offsetX);
        if (x >= 0 && x < order.length && event.offsetX > LABELS) say(x);
      });
      instance.getZr().on("globalout", rest);
      instance.getZr().on("click", (event) => {
        const i = order[instance.convertFromPixel({ xAxisIndex: 0 }, event.offsetX)];
        if (i !== undefined && heat.agents[i].champion?.length)
          document.dispatchEvent(new CustomEvent("show-champion", { detail: heat.agents[i].id }));
      });
    },
    reading: {
      count: () => order.length,
      at: (x, instance) => {
        for (const dataIndex of facts.regimes.map((_, y) => y * order.length + at))
          instance.dispatchAction({ type: "downplay", seriesIndex: 0, dataIndex });
        at = x;
        for (const dataIndex of facts.regimes.map((_, y) => y * order.length + at))
          instance.dispatchAction({ type: "highlight", seriesIndex: 0, dataIndex });
        place.scrollLeft = (x / order.length) * place.scrollWidth - place.clientWidth / 2;
        return say(x);
      },
    },
  });
  inner.style.setProperty("width", `max(100%, ${order.length * NARROWEST + LABELS + 12}px)`);
  onTheme(() => scale.replaceChildren(...scaleWords(limit)));
}

function heatWords(agents) {
  const living = agents.filter((one) => one.alive).length;
  return [
    `${many(agents.length, "agent")}, ${number(living)} of them alive: bp a bar in each regime,`,
    "mean over an agent’s life in training, or on the fixed windows of validation, where few are tried.",
  ].join(" ");
}

function scaleWords(limit) {
  const colours = theme();
  const steps = Array.from({ length: 21 }, (_, i) =>
    svg("rect", { x: i * 6, width: 6.5, height: 10, fill: colours.diverging(i / 10 - 1) }),
  );
  return [
    `≤ −${number(limit, 2)}`,
    svg("svg", { width: 126, height: 10, viewBox: "0 0 126 10", "aria-hidden": "true" }, steps),
    `≥ +${number(limit, 2)} bp`,
  ];
}

function heatOption(facts, heat, order, split, limit, colours) {
  const rows = facts.regimes.length;
  const cells = facts.regimes.flatMap((_, regime) => order.map((i, x) => [x, regime, heat[split][i][regime] ?? "-"]));
  const marks = order.flatMap((i, x) =>
    (heat.agents[i].champion ?? []).map((regime, k) => ({ value: [x, 0], symbol: "none", regime, k })),
  );
  const gap = order.length > 120 ? 0 : 1;
  return {
    grid: { outerBoundsMode: "none", left: LABELS, right: 8, top: 34, bottom: 4 },
    xAxis: {
      type: "category",
      data: order.map((i) => heat.agents[i].id),
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: { show: false },
    },
    yAxis: {
      type: "category",
      inverse: true,
      data: facts.regimes.map((name, i) => (i === rows - 1 ? "All regimes" : capital(words(name)))),
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: {
        color: colours.soft,
        fontSize: 12,
        align: "left",
        margin: LABELS,
        formatter: (text, i) => `{g${i}|${REGIME_GLYPHS[i]}}${text}`,
        rich: Object.fromEntries(
          facts.regimes.map((_, i) => [`g${i}`, { color: colours.regime[i], width: 18, fontSize: 12 }]),
        ),
      },
    },
    visualMap: {
      show: false,
      seriesIndex: 0,
      min: -limit,
      max: limit,
      inRange: { color: [-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1].map((t) => colours.diverging(t)) },
    },
    series: [
      {
        type: "heatmap",
        data: cells,
        progressive: 0,
        itemStyle: { borderWidth: gap, borderColor: colours.page },
        emphasis: { itemStyle: { borderColor: colours.ink, borderWidth: 1 } },
      },
      {
        type: "custom",
        silent: true,
        clip: false,
        data: marks.map(({ value }) => value),
        renderItem: (params, api) => {
          const { regime, k } = marks[params.dataIndex];
          const [x] = api.coord([api.value(0), 0]);
          return {
            type: "text",
            x,
            y: 26 - 13 * k,
            style: {
              text: REGIME_GLYPHS[regime],
              fill: colours.regime[regime],
              align: "center",
              verticalAlign: "bottom",
              fontSize: 12,
            },
          };
        },
      },
    ],
  };
}

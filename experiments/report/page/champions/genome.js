// A champion's genome: a network's weights, layer by layer, with the features it sees by name; a forest's trees with
// their questions in words.

import { h, signed, number, many, words } from "../base/dom.js";
import { chart } from "../base/chart.js";
import { mountForest } from "./forest.js";

const CELL = 13;
const COLUMNS_NAMED = 8;

/**
 * Mounts the genome. Returns what has to be removed with it.
 * @param {HTMLElement} panel @param {object} champion
 */
export function mountGenome(panel, champion) {
  const genome = champion.genome;
  panel.append(h("h3", null, "Its genome"));
  if (!genome) {
    panel.append(h("p", { class: "absent" }, "Its genome was not found among the run's files."));
    return [];
  }
  if (genome.kind === "network") return mountNetwork(panel, genome);
  if (genome.kind === "forest") return mountForest(panel, genome);
  panel.append(h("pre", { class: "scroll", tabindex: 0 }, genome.text ?? `A genome of kind ${genome.kind}.`));
  return [];
}

function mountNetwork(panel, genome) {
  const layers = genome.layers ?? [];
  const sizes = [layers[0]?.inputs.length, ...layers.map((layer) => outputsOf(layer).length)];
  const weights = layers.reduce((sum, layer) => sum + layer.inputs.length * outputsOf(layer).length, 0);
  panel.append(
    h(
      "p",
      { class: "lead" },
      `A network of ${sizes.map((size) => number(size)).join(" → ")} units, ${many(weights, "weight")}. `,
      "A cell is the weight from its row to its column; inputs stand in the order of how strongly they are heard.",
    ),
  );
  const grid = h("div", { class: "layers" });
  panel.append(grid);
  return layers.map((layer, k) => drawLayer(grid, layer, k === 0));
}

function outputsOf(layer) {
  return Array.isArray(layer.outputs) ? layer.outputs : Array.from({ length: layer.outputs }, (_, i) => `unit ${i}`);
}

function drawLayer(grid, layer, first) {
  const outputs = outputsOf(layer);
  const strength = layer.weights.map((row) => row.reduce((sum, weight) => sum + Math.abs(weight), 0));
  const order = [...layer.inputs.keys()].sort((a, b) => strength[b] - strength[a]);
  const sorted = layer.weights
    .flat()
    .map(Math.abs)
    .sort((a, b) => a - b);
  const limit = sorted[Math.floor(0.98 * (sorted.length - 1))] || 1;
  const cells = order.flatMap((input, y) => outputs.map((_, x) => [x, y, layer.weights[input][x]]));
  const reading = h("p", { class: "readout" });
  const rest = () =>
    (reading.textContent = [
      `${many(layer.inputs.length, "input")}, ${many(outputs.length, "output")}`,
      `full colour at ±${number(limit, 2)}`,
    ].join("; "));
  rest();
  const figure = h(
    "figure",
    { class: outputs.length <= COLUMNS_NAMED ? "narrow" : null },
    h("figcaption", null, h("h4", null, words(layer.name))),
    reading,
  );
  grid.append(figure);
  const name = (input) => shortName(layer.inputs[input]);
  const tell = (x, y) => `${layer.inputs[order[y]]} → ${outputs[x]}: ${signed(layer.weights[order[y]][x], 3)}`;
  let at = 0;
  return chart(figure, {
    label: `Weights of ${words(layer.name)}: ${layer.inputs.length} inputs by ${outputs.length} outputs`,
    height: layer.inputs.length * CELL + (outputs.length <= COLUMNS_NAMED ? 64 : 12),
    option: (colours) => ({
      grid: {
        outerBoundsMode: "none",
        left: first ? 138 : 104,
        right: 4,
        top: 2,
        bottom: outputs.length <= COLUMNS_NAMED ? 60 : 8,
      },
      xAxis: {
        type: "category",
        data: outputs,
        axisLine: { show: false },
        axisTick: { show: false },
        axisLabel: {
          show: outputs.length <= COLUMNS_NAMED,
          rotate: 50,
          interval: 0,
          color: colours.soft,
          fontSize: 11,
        },
      },
      yAxis: {
        type: "category",
        inverse: true,
        data: order.map(name),
        axisLine: { show: false },
        axisTick: { show: false },
        axisLabel: { interval: 0, color: colours.soft, fontSize: 10.5, width: first ? 130 : 96, overflow: "truncate" },
      },
      visualMap: {
        show: false,
        min: -limit,
        max: limit,
        inRange: { color: [-1, -0.6, -0.3, 0, 0.3, 0.6, 1].map((t) => colours.diverging(t)) },
      },
      series: [
        {
          type: "heatmap",
          data: cells,
          progressive: 0,
          itemStyle: { borderWidth: 0.5, borderColor: colours.page },
          emphasis: { itemStyle: { borderColor: colours.ink, borderWidth: 1.5 } },
        },
      ],
    }),
    table: () => [
      ["input", ...outputs],
      ...order.map((input) => [layer.inputs[input], ...layer.weights[input].map((weight) => number(weight, 3))]),
      ["bias", ...(layer.bias ?? []).map((bias) => number(bias, 3))],
    ],
    ready: (instance) => {
      instance.on("mouseover", ({ value }) => value && (reading.textContent = tell(value[0], value[1])));
      instance.getZr().on("globalout", rest);
    },
    reading: {
      count: () => cells.length,
      at: (i, instance) => {
        instance.dispatchAction({ type: "downplay", seriesIndex: 0, dataIndex: at });
        instance.dispatchAction({ type: "highlight", seriesIndex: 0, dataIndex: (at = i) });
        return (reading.textContent = tell(cells[i][0], cells[i][1]));
      },
    },
  });
}

function shortName(name) {
  return name.length > 22 ? `${name.slice(0, 21)}…` : name;
}

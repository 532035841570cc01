// A forest's trees, one at a time, as questions in words that lead to what each action is worth; and which features the
// whole forest asks about.

import { h, number, signed, many, selector } from "../base/dom.js";
import { chart, plainAxis } from "../base/chart.js";
import { read, write, onAddress } from "../base/address.js";

const ROW = 23;
const QUESTION = 150; // pixels that a question in words wants at least
const LEAF = 170;
const FEATURES = 16;

/**
 * Mounts a forest. Returns what has to be removed with it.
 * @param {HTMLElement} panel @param {object} genome
 */
export function mountForest(panel, genome) {
  const trees = genome.trees ?? [];
  const sees = trees.filter((one) => one.sees === "account").length;
  const biased = genome.bias?.some((value) => Math.abs(value) >= 0.0005);
  panel.append(
    h(
      "p",
      { class: "lead" },
      many(trees.length, "tree"),
      sees ? `, ${number(sees)} of which may ask about the account` : "",
      genome.silent ? `; ${number(genome.silent)} ${genome.silent === 1 ? "says" : "say"} the same to everybody` : "",
      ". The values of the leaves reached are added up; the action worth most is taken",
      biased ? `. Before any tree: ${valueWords(genome.bias, genome.actions)}` : "",
      ".",
    ),
  );
  if (!trees.length) return [];
  const treeNow = () => Math.min(trees.length - 1, Math.max(0, Math.round(Number(read("forest"))) || 0));
  let shown = treeNow();
  const place = h("figure", { class: "forest" });
  const asked = h("figure");
  const options = trees.map((tree, i) => [String(i), `${(tree.index ?? i) + 1}, sees the ${tree.sees ?? "market"}`]);
  const list = selector({ label: "Tree", options, value: String(shown), choose: (value) => show(Number(value)) });
  const step = (by) => show((shown + by + trees.length) % trees.length);
  const controls = h(
    "div",
    { class: "controls" },
    list,
    h(
      "div",
      { class: "buttons" },
      h("button", { type: "button", "aria-label": "Previous tree", onclick: () => step(-1) }, "‹"),
      h("button", { type: "button", "aria-label": "Next tree", onclick: () => step(1) }, "›"),
    ),
  );
  panel.append(h("div", { class: "forest-parts" }, h("div", null, controls, place), asked));
  const held = { chart: null };
  const all = { remove: () => (forget(), held.chart?.remove(), bars?.remove()) };
  const forget = onAddress(() => treeNow() !== shown && show(treeNow()));

  function show(i) {
    shown = i;
    write("forest", i || null);
    list.querySelector("select").value = String(i);
    held.chart?.remove();
    place.replaceChildren();
    held.chart = drawTree(place, trees[i], genome, i);
    held.chart.element.addEventListener("keydown", (event) => {
      if (event.key !== "n" && event.key !== "p") return;
      step(event.key === "n" ? 1 : -1);
      held.chart.element.focus();
    });
  }
  show(shown);
  const bars = drawAsked(asked, genome.asked);
  return [all];
}

function valueWords(values, actions) {
  return values.map((value, i) => `${actions?.[i] ?? i} ${signed(value, 3)}`).join(", ");
}

function questionWords(node) {
  return `${node.feature} ≥ ${thresholdWords(node)}`;
}

/** A threshold in the feature's own units, or scaled where the market is not at hand. */
function thresholdWords({ threshold, scaled }) {
  const known = threshold !== null && threshold !== undefined;
  return `${String(Number((known ? threshold : scaled).toPrecision(4))).replace("-", "−")}${known ? "" : " scaled"}`;
}

function leavesOf(node) {
  return node.values ? 1 : leavesOf(node.left) + leavesOf(node.right);
}

function depthOf(node) {
  return node.values ? 0 : 1 + Math.max(depthOf(node.left), depthOf(node.right));
}

function drawTree(place, tree, genome, index) {
  const { root } = tree;
  const leaves = leavesOf(root);
  const depth = depthOf(root);
  const reading = h("p", { class: "readout" });
  const count = many(leaves, "leaf", "leaves");
  const rest = () =>
    reading.replaceChildren(`${count}. Solid: yes; dashed: no, below. A leaf names what is worth most in it.`);
  rest();
  const inner = h("div");
  inner.style.setProperty("width", `max(100%, ${depth * QUESTION + LEAF}px)`);
  place.append(reading, h("div", { class: "sideways", tabindex: 0, role: "region", "aria-label": "Tree" }, inner));
  const paths = [];
  const data = (colours) => nodeOf(root, colours, genome, null, []);
  collect(root, [], paths);
  return chart(inner, {
    label: `Tree ${index + 1} of the forest: ${leaves} leaves, ${depth} questions deep`,
    height: () => Math.max(120, leaves * ROW + 24),
    option: (colours) => ({
      series: [
        {
          type: "tree",
          data: [data(colours)],
          left: 10,
          right: LEAF,
          top: 12,
          bottom: 12,
          orient: "LR",
          expandAndCollapse: false,
          initialTreeDepth: -1,
          roam: false,
          symbol: "circle",
          symbolSize: 6,
          animation: false,
          label: {
            position: [10, -14],
            align: "left",
            verticalAlign: "middle",
            color: colours.ink,
            fontSize: 11,
            fontFamily: "inherit",
          },
          leaves: { label: { position: "right", verticalAlign: "middle", align: "left", distance: 6 } },
          lineStyle: { color: colours.faint, width: 1, curveness: 0.5 },
          emphasis: { focus: "ancestor", lineStyle: { color: colours.accent, width: 2 } },
        },
      ],
    }),
    table: () => [
      ["way", ...(genome.actions ?? [])],
      ...paths.map(({ way, values }) => [way.join(", ") || "always", ...values.map((value) => signed(value, 3))]),
    ],
    ready: (instance) => {
      instance.on("mouseover", ({ data: node }) => node?.words && (reading.textContent = node.words));
      instance.on("mouseout", rest);
    },
    reading: {
      count: () => paths.length,
      at: (i) => (reading.textContent = `${wayWords(paths[i])}: ${valueWords(paths[i].values, genome.actions)}`),
    },
  });
}

function wayWords({ way }) {
  return way.join(", ") || "always";
}

function collect(node, way, paths) {
  if (node.values) {
    paths.push({ way, values: node.values });
    return;
  }
  collect(node.right, [...way, questionWords(node)], paths);
  collect(node.left, [...way, `${node.feature} < ${thresholdWords(node)}`], paths);
}

function nodeOf(node, colours, genome, said, way) {
  const lineStyle = said === "no" ? { type: [4, 3] } : {};
  if (node.values) {
    const best = node.values.indexOf(Math.max(...node.values));
    const spread = Math.max(...node.values) - Math.min(...node.values);
    const action = genome.actions?.[best] ?? String(best);
    const colour = { buy: colours.positive, sell: colours.negative }[action] ?? colours.faint;
    return {
      name: `${spread ? action : "nothing"} ${signed(node.values[best], 3)}`,
      itemStyle: { color: colour, borderColor: colour },
      symbol: { buy: "triangle", sell: "path://M0,0 L10,0 L5,9 Z" }[action] ?? "circle",
      symbolSize: 8,
      lineStyle,
      words: `${way.join(", ") || "always"}: ${valueWords(node.values, genome.actions)}`,
    };
  }
  return {
    name: questionWords(node),
    itemStyle: { color: colours.page, borderColor: colours.soft, borderWidth: 1.5 },
    lineStyle,
    words: `${questionWords(node)}? A missing value goes ${node.missing === "right" ? "with yes" : "with no"}.`,
    children: [
      nodeOf(node.right, colours, genome, "yes", [...way, questionWords(node)]),
      nodeOf(node.left, colours, genome, "no", [...way, `${node.feature} < ${thresholdWords(node)}`]),
    ],
  };
}

function drawAsked(place, counts) {
  const rows = Object.entries(counts ?? {}).sort((a, b) => b[1] - a[1]);
  if (!rows.length) return null;
  const top = rows.slice(0, FEATURES);
  place.append(
    h(
      "figcaption",
      null,
      h("h4", null, "What it asks about"),
      `how many trees ask${rows.length > FEATURES ? `, the first ${FEATURES} of ${rows.length} features` : ""}`,
    ),
  );
  return chart(place, {
    label: "Features by how many trees ask about them",
    height: top.length * 20 + 8,
    option: (colours) => ({
      grid: { outerBoundsMode: "none", left: 136, right: 34, top: 0, bottom: 4 },
      xAxis: plainAxis(colours, { show: false, min: 0 }),
      yAxis: {
        type: "category",
        inverse: true,
        data: top.map(([name]) => name),
        axisLine: { show: false },
        axisTick: { show: false },
        axisLabel: { interval: 0, color: colours.soft, fontSize: 11, width: 130, overflow: "truncate" },
      },
      series: [
        {
          type: "bar",
          silent: true,
          barWidth: 7,
          data: top.map(([, n]) => n),
          itemStyle: { color: colours.faint, borderRadius: [0, 2, 2, 0] },
          label: { show: true, position: "right", color: colours.soft, fontSize: 11 },
        },
      ],
    }),
    table: () => [["feature", "trees that ask"], ...rows],
  });
}

// A histogram with one value marked in it: what lies on its left and on its right has a colour and a word of its own.

import { h, number, percent } from "./dom.js";
import { chart, plainAxis } from "./chart.js";

const HISTOGRAM_HEIGHT = 210;
const HISTOGRAM_ROOM = { outerBoundsMode: "none", left: 12, right: 12, top: 26, bottom: 40 };

/**
 * Puts a histogram into a place. Returns the chart.
 * @param {HTMLElement} place
 * @param {{label: string, edges: number[], counts: number[], mark: number|null, marked: string, axis: string,
 *   colours: (colours: object) => [string, string], digits?: number}} what `mark` is where the line stands, `marked`
 *   its words; `colours` of what lies left and right of it
 */
export function histogram(place, { label, edges, counts, mark, marked, axis, colours: pair, digits = 1 }) {
  const total = counts.reduce((sum, one) => sum + one, 0);
  const reading = h("p", { class: "readout" });
  const known = Number.isFinite(mark);
  const rest = () => (reading.textContent = known ? marked : "");
  const say = (i) => {
    const span = `${number(edges[i], 2)} to ${number(edges[i + 1], 2)}`;
    reading.textContent = `${span}: ${number(counts[i])}, ${percent(counts[i] / total)}`;
    return reading.textContent;
  };
  rest();
  const figure = h("figure", null, reading);
  place.append(figure);
  const light = (instance, i) => {
    instance.dispatchAction({ type: "downplay", seriesIndex: 0 });
    if (i >= 0) instance.dispatchAction({ type: "highlight", seriesIndex: 0, dataIndex: i });
  };
  const one = chart(figure, {
    label,
    height: HISTOGRAM_HEIGHT,
    option: (colours) =>
      histogramOption({ edges, counts, mark: known ? mark : null, axis, digits }, colours, pair(colours)),
    table: () => [
      ["from", "to", "count"],
      ...counts.map((count, i) => [number(edges[i], 3), number(edges[i + 1], 3), count]),
    ],
    ready: (instance) => {
      const zr = instance.getZr();
      zr.on("mousemove", (event) => {
        const value = instance.convertFromPixel({ xAxisIndex: 0 }, event.offsetX);
        const i = edges.findLastIndex((edge) => edge <= value);
        light(instance, i < counts.length ? i : -1);
        if (i >= 0 && i < counts.length) say(i);
        else rest();
      });
      zr.on("globalout", () => {
        light(instance, -1);
        rest();
      });
    },
    reading: { count: () => counts.length, at: (i, instance) => (light(instance, i), say(i)) },
  });
  one.element.addEventListener("blur", () => {
    if (one.instance) light(one.instance, -1);
    rest();
  });
  return one;
}

function histogramOption({ edges, counts, mark, axis, digits }, colours, [left, right]) {
  const shown = mark === null ? [] : [mark];
  const low = Math.min(edges[0], ...shown);
  const high = Math.max(edges.at(-1), ...shown);
  const room = (high - low) * 0.02;
  return {
    grid: HISTOGRAM_ROOM,
    xAxis: plainAxis(colours, {
      min: low - room,
      max: high + room,
      name: axis,
      nameLocation: "middle",
      nameGap: 24,
      nameTextStyle: { color: colours.soft, fontSize: 11 },
      splitLine: { show: false },
      axisLine: { show: true, onZero: false, lineStyle: { color: colours.line } },
      axisLabel: { showMinLabel: false, showMaxLabel: false, formatter: (value) => number(value, digits) },
    }),
    yAxis: plainAxis(colours, {
      min: 0,
      max: Math.max(1, ...counts),
      splitLine: { show: false },
      axisLabel: { show: false },
    }),
    series: [
      {
        type: "custom",
        data: counts.map((count, i) => [edges[i], edges[i + 1], count]),
        encode: { x: [0, 1], y: 2 },
        renderItem: (params, api) => {
          const [from, to, count] = [0, 1, 2].map((at) => api.value(at));
          const [x, y] = api.coord([from, count]);
          const [end, floor] = api.coord([to, 0]);
          const fill = mark !== null && (from + to) / 2 <= mark ? left : right;
          return {
            type: "rect",
            shape: { x: x + 0.5, y, width: Math.max(1, end - x - 1), height: floor - y },
            style: { fill },
            emphasis: { style: { fill: colours.ink } },
          };
        },
      },
      {
        type: "line",
        silent: true,
        data: [],
        markLine: {
          silent: true,
          symbol: "none",
          lineStyle: { color: colours.ink, width: 1.5, type: "solid" },
          label: { show: true, position: "end", color: colours.ink, fontSize: 11, formatter: number(mark, 2) },
          data: shown.map((value) => ({ xAxis: value })),
        },
      },
    ],
  };
}

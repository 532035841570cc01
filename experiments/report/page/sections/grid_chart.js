// How the grid of decision rules is drawn: a panel for each way to decide together, thresholds upward, look-backs and
// averages across, the chosen cell and the one as bred marked.

import { capital, number } from "../base/dom.js";
import { ENSEMBLES } from "../certificate/words.js";

const GRID_CELL = 22;
const GRID_ROOM = { above: 26, below: 46, left: 34, between: 18 };
const GRID_WIDE = 860;

/** Panels beside one another. */
const gridAcross = (grid, width) => Math.min(grid.ensembles.length, width >= GRID_WIDE ? 4 : 2);

/** Height of the chart. @param {object} grid @param {number} width */
export function gridHeight(grid, width) {
  const lines = Math.ceil(grid.ensembles.length / gridAcross(grid, width));
  return lines * (GRID_ROOM.above + grid.thresholds.length * GRID_CELL + GRID_ROOM.below);
}

/** In which panel a place lies, and where in it. @param {object} grid @param {number} i */
export function gridPlace(grid, i) {
  const size = grid.scores.length / grid.ensembles.length;
  return { panel: Math.floor(i / size), within: i % size };
}

/** The whole option. @param {object} grid @param {Array<number|null>} values @param {number} limit of the colours */
export function gridOption(grid, values, limit, colours, width) {
  const { ensembles, thresholds } = grid;
  const count = gridAcross(grid, width);
  const line = GRID_ROOM.above + thresholds.length * GRID_CELL + GRID_ROOM.below;
  const each = (width - GRID_ROOM.left - 4 - (count - 1) * GRID_ROOM.between) / count;
  const size = values.length / ensembles.length;
  const panels = ensembles.map((name, k) => ({
    name,
    left: GRID_ROOM.left + (k % count) * (each + GRID_ROOM.between),
    top: Math.floor(k / count) * line + GRID_ROOM.above,
    first: k % count === 0,
    cells: Array.from({ length: size }, (_, j) => [
      Math.floor(j / thresholds.length),
      j % thresholds.length,
      values[k * size + j] ?? "-",
    ]),
  }));
  return {
    grid: panels.map(({ left, top }) => ({
      outerBoundsMode: "none",
      left,
      top,
      width: each,
      height: thresholds.length * GRID_CELL,
    })),
    title: panels.map(({ name, left, top }) => ({
      text: capital(ENSEMBLES[name] ?? name),
      left: left - 5,
      top: top - 24,
      padding: 5,
      textStyle: { color: colours.ink, fontSize: 12, fontWeight: 600 },
    })),
    xAxis: panels.flatMap((_, k) => acrossAxes(grid, k, colours, each)),
    yAxis: panels.map(({ first }, k) => ({
      ...bareAxis(
        colours,
        thresholds.map((one) => number(one, 1)),
      ),
      gridIndex: k,
      axisLabel: { show: first, color: colours.soft, fontSize: 11, interval: 2 },
      name: first ? "threshold" : "",
      nameLocation: "end",
      nameGap: 8,
      nameTextStyle: { color: "transparent", fontSize: 1 },
    })),
    visualMap: {
      show: false,
      seriesIndex: panels.map((_, k) => k),
      min: -limit,
      max: limit,
      inRange: { color: [-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1].map((t) => colours.diverging(t)) },
    },
    series: [
      ...panels.map(({ cells }, k) => ({
        type: "heatmap",
        xAxisIndex: 2 * k,
        yAxisIndex: k,
        data: cells,
        progressive: 0,
        itemStyle: { borderWidth: 1, borderColor: colours.page },
        emphasis: { itemStyle: { borderColor: colours.ink, borderWidth: 1.5 } },
      })),
      ...gridMarks(grid, colours),
    ],
  };
}

/** Averages below the cells, look-backs below these. */
function acrossAxes({ lookbacks, averages }, k, colours, width) {
  const bred = width < 200 ? "bred" : "as bred";
  return [
    {
      ...bareAxis(
        colours,
        lookbacks.flatMap(() => averages.map(String)),
      ),
      gridIndex: k,
      axisLabel: { color: colours.soft, fontSize: 11, interval: 0, margin: 5 },
    },
    {
      ...bareAxis(
        colours,
        lookbacks.map((bars) => (bars === null ? bred : String(bars))),
      ),
      gridIndex: k,
      position: "bottom",
      offset: 16,
      axisLabel: { color: colours.soft, fontSize: 11, interval: 0, margin: 5 },
    },
  ];
}

function bareAxis(colours, data) {
  return { type: "category", data, axisLine: { show: false }, axisTick: { show: false }, splitLine: { show: false } };
}

function gridMarks(grid, colours) {
  const { plain, chosen, thresholds } = grid;
  const mark = (i, fill, stroke, symbolSize) => {
    const { panel, within } = gridPlace(grid, i);
    return {
      type: "scatter",
      silent: true,
      xAxisIndex: 2 * panel,
      yAxisIndex: panel,
      symbol: "circle",
      symbolSize,
      itemStyle: { color: fill, borderColor: stroke, borderWidth: 1.5, opacity: 1 },
      data: [[Math.floor(within / thresholds.length), within % thresholds.length]],
      z: 5,
    };
  };
  return [
    mark(plain, colours.page, colours.ink, 11),
    chosen === plain ? mark(chosen, colours.ink, colours.ink, 4) : mark(chosen, colours.ink, colours.page, 11),
  ];
}

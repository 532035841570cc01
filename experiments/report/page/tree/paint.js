// Paints the tree: lines far away by pixels (raster.js), near ones with soft corners, champions' lines and the
// traced one on top, and the axis of generations. Two canvases lie one on the other, so that a moving pointer repaints
// only the upper one.

import { FONT, faded, mix } from "../base/theme.js";
import { treeScan, treeScratch } from "./scan.js";
import { treeNodeAt, treePacked, treePixels, treeRaster } from "./raster.js";
import { treeChannels } from "./colour.js";
import { treeTicks } from "./window.js";

/** From this height of a row on, in pixels, lines get corners, marks and names. */
export const TREE_NEAR = 9;

/** Where the tree stands in its canvas. */
export function treePlot(width, height) {
  const left = 10;
  const right = width < 560 ? 74 : 104;
  return {
    left,
    top: 10,
    width: Math.max(40, width - left - right),
    height: Math.max(40, height - 10 - 26),
    full: width,
    tall: height,
  };
}

/**
 * The lower canvas.
 * @param {HTMLCanvasElement} canvas
 */
export function treePainter(canvas) {
  const pen = canvas.getContext("2d", { alpha: false });
  let target = null;
  let scratch = null;
  let scratched = null;
  let dots = 1;

  /** Fit the canvas to its place; says whether anything changed. */
  function resize(width, height) {
    dots = Math.min(3, globalThis.devicePixelRatio || 1);
    const plot = treePlot(width, height);
    const wide = Math.round(plot.width * dots);
    const high = Math.round(plot.height * dots);
    if (target && target.width === wide && target.height === high && canvas.height === Math.round(height * dots))
      return false;
    canvas.width = Math.round(width * dots);
    canvas.height = Math.round(height * dots);
    target = treePixels(wide, high);
    return true;
  }

  /**
   * Paint the tree.
   * @param {object} scene layout, paint (of treeBlend), theme, faint (dimmed: a line is traced)
   * @param {object} window of window.js
   * @param {object} plot of treePlot
   * @param {{thin: number, most: number}} limits of treeScan
   */
  function draw(scene, window, plot, limits) {
    const { layout, theme } = scene;
    if (scratched !== layout) {
      scratched = layout;
      scratch = treeScratch(layout);
    }
    const perTime = target.width / (window.time1 - window.time0);
    const perRow = target.height / (window.row1 - window.row0);
    const view = { time: window.time0, perTime, row: window.row0, perRow, width: target.width, height: target.height };
    const near = perRow / dots >= TREE_NEAR;
    const thin = limits.thin;
    treeScan(layout, view, scratch, { thin, most: limits.most });
    const thick = Math.max(1, Math.round(perRow / dots > 3 ? dots : dots / 2));
    const ground = treePacked(...treeChannels(theme.page));
    treeRaster(target, layout, view, scratch, { ground, ...scene.paint, thick, thin });
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.fillStyle = theme.page;
    pen.fillRect(0, 0, canvas.width, canvas.height);
    if (!near)
      pen.putImageData(
        new ImageData(target.bytes, target.width, target.height),
        Math.round(plot.left * dots),
        Math.round(plot.top * dots),
      );
    pen.setTransform(dots, 0, 0, dots, 0, 0);
    const at = treePlace(window, plot);
    if (near) treeNearLines(pen, scene, scratch, at, plot);
    if (scene.faint) {
      pen.fillStyle = faded(theme.page, near ? 0.5 : 0.64);
      pen.fillRect(plot.left, plot.top, plot.width, plot.height);
    }
    treeAxis(pen, theme, window, plot, at);
    return scratch;
  }

  /** The node under a point of the plot, in CSS pixels; -1 for none. */
  function nodeAt(x, y, far) {
    return target ? treeNodeAt(target, Math.round(x * dots), Math.round(y * dots), Math.round(far * dots)) : -1;
  }

  return {
    resize,
    draw,
    nodeAt,
    ready: () => target !== null,
    ratio: () => dots,
    lines: () => (scratch ? scratch.lines.subarray(0, scratch.lineCount) : []),
  };
}

/** Functions from generations and rows to pixels. */
export function treePlace(window, plot) {
  const perTime = plot.width / (window.time1 - window.time0);
  const perRow = plot.height / (window.row1 - window.row0);
  return {
    perTime,
    perRow,
    x: (time) => plot.left + (time - window.time0) * perTime,
    y: (row) => plot.top + (row + 0.5 - window.row0) * perRow,
  };
}

/** Keep what follows inside the plot, and some pixels around it. */
export function treeClip(pen, plot, more) {
  pen.beginPath();
  pen.rect(plot.left - more, plot.top - more, plot.width + 2 * more, plot.height + 2 * more);
  pen.clip();
}

/** Lines near enough to be seen one by one: thin, with round corners where they leave the parent's. */
function treeNearLines(pen, scene, found, at, plot) {
  const { layout, paint } = scene;
  const { born, end, parent } = layout;
  const cap = (value) => Math.max(plot.top - 20, Math.min(plot.top + plot.height + 20, value));
  const byColour = new Map();
  const pathOf = (v) => {
    const key = paint.lines[v];
    if (!byColour.has(key)) byColour.set(key, new Path2D());
    return byColour.get(key);
  };
  for (let j = 0; j < found.linkCount; j++) {
    const v = found.links[j];
    const path = pathOf(v);
    const x = Math.round(at.x(born[v])) + 0.5;
    const from = cap(Math.round(at.y(layout.top[parent[v]])) + 0.5);
    const to = Math.round(at.y(layout.top[v])) + 0.5;
    const round = Math.min(5, at.perRow / 3, Math.abs(to - from));
    path.moveTo(x, from);
    if (cap(to) !== to) path.lineTo(x, cap(to));
    else {
      path.lineTo(x, to - Math.sign(to - from) * round);
      path.quadraticCurveTo(x, to, x + round, to);
    }
  }
  for (let j = 0; j < found.lineCount; j++) {
    const v = found.lines[j];
    const y = Math.round(at.y(layout.top[v])) + 0.5;
    const path = pathOf(v);
    const x0 = at.x(born[v]) + (parent[v] < 0 ? 0 : Math.min(5, at.perRow / 3));
    path.moveTo(Math.max(plot.left - 8, x0), y);
    path.lineTo(Math.min(plot.left + plot.width, Math.max(x0 + 1, at.x(end[v]))), y);
  }
  pen.save();
  treeClip(pen, plot, 0);
  pen.lineWidth = 1.25;
  for (const [packed, path] of byColour) {
    pen.strokeStyle = `rgb(${packed & 255},${(packed >> 8) & 255},${(packed >> 16) & 255})`;
    pen.stroke(path);
  }
  pen.restore();
}

/** Generations below the tree. */
function treeAxis(pen, theme, window, plot, at) {
  const foot = plot.top + plot.height;
  pen.font = `11px ${FONT}`;
  pen.textBaseline = "top";
  pen.textAlign = "center";
  pen.strokeStyle = theme.line;
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(plot.left, foot + 0.5);
  pen.lineTo(plot.left + plot.width, foot + 0.5);
  const ticks = treeTicks(window.time0, window.time1, plot.width / 90);
  for (const tick of ticks) {
    const x = Math.round(at.x(tick)) + 0.5;
    pen.moveTo(x, foot);
    pen.lineTo(x, foot + 5);
  }
  pen.stroke();
  pen.fillStyle = theme.soft;
  for (const tick of ticks) pen.fillText(String(tick), Math.max(plot.left + 4, at.x(tick)), foot + 8);
  pen.textAlign = "left";
  pen.fillText("generation", plot.left + plot.width + 10, foot + 8);
}

/** An upright line at the pointer with its generation: a grid would cross thousands of lines. */
export function treeCursor(pen, theme, window, plot, x) {
  const foot = plot.top + plot.height;
  pen.strokeStyle = mix(theme.page, theme.soft, 0.35);
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(Math.round(x) + 0.5, plot.top);
  pen.lineTo(Math.round(x) + 0.5, foot + 5);
  pen.stroke();
  const text = String(Math.floor(window.time0 + ((x - plot.left) / plot.width) * (window.time1 - window.time0)));
  pen.font = `600 11px ${FONT}`;
  pen.textBaseline = "top";
  pen.textAlign = "center";
  const wide = pen.measureText(text).width + 10;
  pen.fillStyle = theme.page;
  pen.fillRect(x - wide / 2, foot + 6, wide, 16);
  pen.fillStyle = theme.ink;
  pen.fillText(text, x, foot + 8);
}

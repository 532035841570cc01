// The upper canvas: champions' lines, the traced line with each birth and each scar on it, the agent under the pointer,
// names and marks of agents that are near.

import { FONT, faded } from "../base/theme.js";
import { treeBits } from "./agent.js";
import { treeGlyphs, treeMark, treeScarMark, treeShape, treeText } from "./marks.js";
import { treeNames, treeRoom, treeScarStand, treeSecondCurve, treeTraceRoom } from "./names.js";
import { treeClip, treeCursor, treePlace, TREE_NEAR } from "./paint.js";

/**
 * The way from a founder to a node as one stroke, from birth to birth and on to generation `stop`. Of a part of the way
 * (`line[0]` is no founder) the first node's own line is left out.
 */
function treeWay(layout, line, at, plot, stop) {
  const path = new Path2D();
  const high = plot.top + plot.height + 40;
  const cap = (value) => Math.max(plot.top - 40, Math.min(high, value));
  const part = line.length === 2 && stop !== undefined;
  for (let j = 0; j < line.length; j++) {
    const v = line[j];
    const x0 = at.x(layout.born[v]);
    const x1 = at.x(j + 1 < line.length ? layout.born[line[j + 1]] : (stop ?? layout.end[v]));
    const y = cap(at.y(layout.top[v]));
    if (j === 0) {
      path.moveTo(part ? x1 : Math.max(-50, x0), y);
      if (part) continue;
    }
    const before = j === 0 ? y : cap(at.y(layout.top[line[j - 1]]));
    const round = Math.min(5, (x1 - x0) / 2, Math.abs(y - before) / 2);
    if (round > 0.5) {
      path.lineTo(x0, y - Math.sign(y - before) * round);
      path.quadraticCurveTo(x0, y, x0 + round, y);
    } else path.lineTo(x0, y);
    path.lineTo(x1, y);
  }
  return path;
}

/** Nodes from a root to a node. */
export function treeNodesTo(layout, node) {
  const line = [];
  for (let v = node; v >= 0; v = layout.parent[v]) line.push(v);
  return line.reverse();
}

/**
 * Paint the upper canvas.
 * @param {CanvasRenderingContext2D} pen
 * @param {object} tree what `mountTree` holds
 * @param {object} window @param {object} plot
 * @param {ArrayLike<number>} lines nodes in sight, of the painter
 */
export function treeOver(pen, tree, window, plot, lines) {
  const { layout, theme } = tree;
  const at = treePlace(window, plot);
  pen.clearRect(0, 0, plot.full, plot.tall);
  if (tree.pointer) treeCursor(pen, theme, window, plot, tree.pointer.x);
  pen.save();
  treeClip(pen, plot, 10);
  const traced = tree.pinned >= 0 ? layout.node[tree.pinned] : -1;
  const hovered = tree.hovered >= 0 ? layout.node[tree.hovered] : -1;
  const labels = treeLabelPlaces(pen, tree, at, plot, traced);
  const room = treeRoom();
  for (const { left, wide, place } of labels) room.take(left - 4, left + wide + 2, place - 9, place + 9);
  const line = traced >= 0 ? treeNodesTo(layout, traced) : [];
  const glyphs = traced >= 0 ? treeTraceRoom(room, tree, line, at, plot, traced) : null;
  if (traced < 0) treeChampionLines(pen, tree, at, plot);
  for (const node of new Set([hovered, traced])) if (node >= 0) treeSecond(pen, tree, node, at);
  if (at.perRow >= TREE_NEAR) treeNames(pen, tree, at, plot, lines, line, room);
  if (hovered >= 0 && hovered !== traced) treeEmphasis(pen, tree, hovered, at, plot, null);
  if (traced >= 0) treeEmphasis(pen, tree, traced, at, plot, glyphs);
  pen.restore();
  treeLabels(pen, tree, labels, plot.left + plot.width);
}

/** Lines of those who hold a regime now, stronger than the others; each ancestor in its own colour. */
function treeChampionLines(pen, tree, at, plot) {
  const { layout, theme, colourOf } = tree;
  const far = new Map();
  for (const row of tree.holders) {
    for (let v = layout.node[row], x = v < 0 ? 0 : layout.end[v]; v >= 0; x = layout.born[v], v = layout.parent[v]) {
      if ((far.get(v) ?? -1) >= x) break;
      far.set(v, x);
    }
  }
  const whole = new Path2D();
  const byColour = new Map();
  for (const [v, x] of [...far].sort((a, b) => a[0] - b[0])) {
    const part = treeWay(layout, layout.parent[v] < 0 ? [v] : [layout.parent[v], v], at, plot, x);
    const hue = colourOf(layout.row[v]);
    if (!byColour.has(hue)) byColour.set(hue, new Path2D());
    byColour.get(hue).addPath(part);
    whole.addPath(part);
  }
  pen.lineJoin = "round";
  pen.lineWidth = 4.5;
  pen.strokeStyle = faded(theme.page, 0.85);
  pen.stroke(whole);
  pen.lineWidth = 2;
  for (const [hue, path] of byColour) {
    pen.strokeStyle = hue;
    pen.stroke(path);
  }
}

/** The line of a node from its founder; the traced one, of which `glyphs` are given, with all its marks. */
function treeEmphasis(pen, tree, node, at, plot, glyphs) {
  const strong = glyphs !== null;
  const { layout, theme, colourOf, columns, facts, scars, scarStarts } = tree;
  const line = treeNodesTo(layout, node);
  const way = treeWay(layout, line, at, plot);
  pen.lineJoin = "round";
  if (strong) {
    // What ancestors still lived after the line left theirs: some of their scars are there.
    pen.beginPath();
    for (const v of line) {
      const y = Math.round(at.y(layout.top[v])) + 0.5;
      pen.moveTo(Math.max(plot.left, at.x(layout.born[v])), y);
      pen.lineTo(at.x(layout.end[v]), y);
    }
    pen.lineWidth = 1;
    pen.strokeStyle = faded(theme.accent, 0.55);
    pen.stroke();
  }
  pen.lineWidth = strong ? 6 : 4;
  pen.strokeStyle = theme.page;
  pen.stroke(way);
  pen.lineWidth = strong ? 2.5 : 1.75;
  pen.strokeStyle = strong ? theme.accent : theme.ink;
  pen.stroke(way);
  if (!strong) {
    treeMark(
      pen,
      treeShape(facts.operators[columns.operator[layout.row[node]]]),
      at.x(layout.born[node]),
      at.y(layout.top[node]),
      3.5,
      theme.ink,
      theme.page,
    );
    return;
  }
  const stand = treeScarStand(at);
  for (const [j, v] of line.entries()) {
    const row = layout.row[v];
    const x = at.x(layout.born[v]);
    const y = at.y(layout.top[v]);
    if (x < -20 || x > plot.full || y < -20 || y > plot.tall) continue;
    // Where births crowd, marks shrink and lose their rims, and scars stand above the line.
    const gap = (u) => Math.hypot(x - at.x(layout.born[u]), y - at.y(layout.top[u]));
    const room = Math.min(j > 0 ? gap(line[j - 1]) : 20, j + 1 < line.length ? gap(line[j + 1]) : 20);
    treeMark(
      pen,
      treeShape(facts.operators[columns.operator[row]]),
      x,
      y,
      Math.max(1.6, Math.min(4, room / 3)),
      colourOf(row),
      room < 10 ? null : theme.page,
    );
    const next = j + 1 < line.length ? layout.born[line[j + 1]] : Infinity;
    for (let k = scarStarts[row]; k < scarStarts[row + 1]; k++) {
      const ink = scars.generation[k] < next ? theme.ink : theme.faint;
      treeScarMark(pen, at.x(scars.generation[k] + 0.5), y - stand.above, stand.r, ink, theme.page);
    }
  }
  pen.font = `11px ${FONT}`;
  pen.textBaseline = "alphabetic";
  pen.textAlign = "left";
  for (const [v, x] of glyphs) treeGlyphs(pen, columns.won[layout.row[v]], x, at.y(layout.top[v]) - 6, theme);
}

/** A dashed curve from the second parent to the birth. */
function treeSecond(pen, tree, node, at) {
  const curve = treeSecondCurve(tree, node, at);
  if (!curve) return;
  const { x, y0, y1, bulge } = curve;
  pen.save();
  pen.setLineDash([3, 4]);
  pen.lineWidth = 1.25;
  pen.strokeStyle = tree.theme.soft;
  pen.beginPath();
  pen.moveTo(x, y0);
  pen.bezierCurveTo(x - bulge, y0, x - bulge, y1, x, y1);
  pen.stroke();
  pen.restore();
}

/**
 * Names of the champions and of the traced agent, with the shapes of what they won: beside the tree for those who live,
 * at the end of their lines for others, none on another. Where each stands: [{row, x, y, left, wide, place, bits}].
 */
function treeLabelPlaces(pen, tree, at, plot, traced) {
  const { layout, columns } = tree;
  const shown = new Set(tree.holders);
  if (traced >= 0) shown.add(tree.pinned);
  const right = plot.left + plot.width;
  const list = [];
  for (const row of shown) {
    const v = layout.node[row];
    if (v < 0) continue;
    const y = at.y(layout.top[v]);
    const x = at.x(layout.end[v]);
    if (y < plot.top - 2 || y > plot.top + plot.height + 2 || x < plot.left || x > right + 2) continue;
    list.push({ row, x, y, left: x > right - 60 ? right + 10 : x + 8, pinned: row === tree.pinned });
  }
  list.sort((a, b) => b.pinned - a.pinned || a.y - b.y);
  const taken = [];
  const placed = [];
  for (const one of list) {
    const { row, y, left, pinned } = one;
    const bits = columns.holds[row] || (pinned ? columns.won[row] : 0);
    pen.font = treeLabelFont(pinned);
    const wide = pen.measureText(String(columns.id[row])).width + 14 * treeBits(bits).length + 4;
    const place = treeFree(taken, left, wide, y, plot.top + 2, plot.top + plot.height - 2);
    if (place === null) continue;
    taken.push({ row, left, right: left + wide, y: place });
    placed.push({ ...one, bits, wide, place });
  }
  tree.labels = taken;
  return placed;
}

const treeLabelFont = (pinned) => `${pinned ? 600 : 400} 12px ${FONT}`;

/** Draw the labels; those left of `right` stand on lines and have a ground of their own. */
function treeLabels(pen, tree, labels, right) {
  const { columns, theme } = tree;
  pen.textBaseline = "middle";
  pen.textAlign = "left";
  for (const { row, x, y, left, wide, place, bits, pinned } of labels) {
    pen.font = treeLabelFont(pinned);
    pen.strokeStyle = pinned ? theme.accent : theme.faint;
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(x + 2, y);
    pen.lineTo(left - 5, place);
    pen.lineTo(left - 2, place);
    pen.stroke();
    if (left <= right) {
      pen.fillStyle = faded(theme.page, 0.88);
      pen.beginPath();
      pen.roundRect(left - 3, place - 8, wide + 5, 16, 4);
      pen.fill();
    }
    const from = treeGlyphs(pen, bits, left, place, theme);
    const colour = pinned ? theme.accent : theme.ink;
    treeText(pen, String(columns.id[row]), from + (bits ? 2 : 0), place, colour, theme.page);
  }
}

/** The height nearest to `y` at which a label hides no other one; null where there is none near. */
function treeFree(taken, left, wide, y, low, high) {
  for (let step = 0; step < 24; step++) {
    for (const way of step ? [1, -1] : [1]) {
      const place = Math.min(high, Math.max(low, y + way * step * 5));
      if (taken.every((one) => one.right < left || one.left > left + wide || Math.abs(one.y - place) >= 15))
        return place;
    }
  }
  return null;
}

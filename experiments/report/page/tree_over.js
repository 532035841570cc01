// The upper canvas: champions' lines, the traced line with each birth and each scar on it, the agent under the pointer,
// names and marks of agents that are near.

import { FONT, faded } from "./theme.js";
import { treeGlyphs, treeMark, treePlaces, treeScarMark, treeShape, treeText } from "./tree_marks.js";
import { treeClip, treeCursor, treePlace, TREE_NEAR } from "./tree_paint.js";

/** The way from a founder to a node as one stroke, from birth to birth and to the node's end. */
function treeWay(layout, line, at, plot) {
  const path = new Path2D();
  const high = plot.top + plot.height + 40;
  const cap = (value) => Math.max(plot.top - 40, Math.min(high, value));
  for (let j = 0; j < line.length; j++) {
    const v = line[j];
    const x0 = at.x(layout.born[v]);
    const x1 = j + 1 < line.length ? at.x(layout.born[line[j + 1]]) : at.x(layout.end[v]);
    const y = cap(at.y(layout.top[v]));
    if (j === 0) path.moveTo(Math.max(-50, x0), y);
    const round = j === 0 ? 0 : Math.min(5, (x1 - x0) / 2, Math.abs(y - cap(at.y(layout.top[line[j - 1]]))) / 2);
    if (round > 0.5) {
      const before = cap(at.y(layout.top[line[j - 1]]));
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
  if (tree.pointer) treeCursor(pen, theme, plot, tree.pointer.x);
  pen.save();
  treeClip(pen, plot);
  const traced = tree.pinned >= 0 ? layout.node[tree.pinned] : -1;
  const hovered = tree.hovered >= 0 ? layout.node[tree.hovered] : -1;
  if (traced < 0) treeChampionLines(pen, tree, at, plot);
  if (at.perRow >= TREE_NEAR) treeNames(pen, tree, at, plot, lines, traced >= 0);
  if (hovered >= 0 && hovered !== traced) treeEmphasis(pen, tree, hovered, at, plot, false);
  if (traced >= 0) treeEmphasis(pen, tree, traced, at, plot, true);
  pen.restore();
  treeLabels(pen, tree, at, plot, traced);
}

/** Lines of those who hold a regime now, stronger than the others. */
function treeChampionLines(pen, tree, at, plot) {
  const { layout, theme, colourOf } = tree;
  for (const row of tree.holders) {
    const node = layout.node[row];
    if (node < 0) continue;
    const way = treeWay(layout, treeNodesTo(layout, node), at, plot);
    pen.lineJoin = "round";
    pen.lineWidth = 4.5;
    pen.strokeStyle = faded(theme.page, 0.85);
    pen.stroke(way);
  }
  for (const row of tree.holders) {
    const node = layout.node[row];
    if (node < 0) continue;
    pen.lineWidth = 2;
    pen.strokeStyle = colourOf(row);
    pen.stroke(treeWay(layout, treeNodesTo(layout, node), at, plot));
  }
}

/** Marks and names of the lines in sight. */
function treeNames(pen, tree, at, plot, lines, dimmed) {
  const { layout, columns, theme, scars, scarStarts, facts, colourOf } = tree;
  pen.save();
  if (dimmed) pen.globalAlpha = 0.35;
  pen.font = `10px ${FONT}`;
  pen.textBaseline = "alphabetic";
  pen.textAlign = "left";
  const r = Math.min(3.2, at.perRow / 4.5);
  for (const v of lines) {
    const row = layout.row[v];
    const y = at.y(layout.top[v]);
    if (y < plot.top - 4 || y > plot.top + plot.height + 4) continue;
    const x0 = at.x(layout.born[v]);
    const x1 = at.x(layout.end[v]);
    const colour = colourOf(row);
    if (x0 > plot.left - 4) treeMark(pen, treeShape(facts.operators[columns.operator[row]]), x0, y, r, colour, theme.page);
    for (let j = scarStarts[row]; j < scarStarts[row + 1]; j++) treeScarMark(pen, at.x(scars.generation[j] + 0.5), y, r, theme.ink, theme.page);
    let from = Math.max(plot.left, x0 + r) + 4;
    if (columns.won[row] && at.perRow >= 11) from = treeGlyphs(pen, columns.won[row], from, y - 3.5, theme) + 2;
    const name = String(columns.id[row]);
    if (at.perRow >= 13 && pen.measureText(name).width < Math.min(plot.left + plot.width, x1) - from) treeText(pen, name, from, y - 3.5, theme.soft, theme.page);
  }
  pen.restore();
}

/** The line of a node from its founder, with marks where there is room. */
function treeEmphasis(pen, tree, node, at, plot, strong) {
  const { layout, theme, colourOf, columns, facts, scars, scarStarts } = tree;
  const line = treeNodesTo(layout, node);
  const way = treeWay(layout, line, at, plot);
  pen.lineJoin = "round";
  pen.lineWidth = strong ? 6 : 4;
  pen.strokeStyle = theme.page;
  pen.stroke(way);
  pen.lineWidth = strong ? 2.5 : 1.75;
  pen.strokeStyle = strong ? theme.accent : theme.ink;
  pen.stroke(way);
  treeSecond(pen, tree, node, at);
  if (!strong) {
    treeMark(pen, treeShape(facts.operators[columns.operator[layout.row[node]]]), at.x(layout.born[node]), at.y(layout.top[node]), 3.5, theme.ink, theme.page);
    return;
  }
  let lastX = -100;
  let lastY = -100;
  for (const v of line) {
    const row = layout.row[v];
    const x = at.x(layout.born[v]);
    const y = at.y(layout.top[v]);
    const close = Math.hypot(x - lastX, y - lastY) < 9;
    treeMark(pen, treeShape(facts.operators[columns.operator[row]]), x, y, close ? 2 : 4, colourOf(row), theme.page);
    for (let j = scarStarts[row]; j < scarStarts[row + 1]; j++) treeScarMark(pen, at.x(scars.generation[j] + 0.5), y, 3.4, theme.ink, theme.page);
    if (!close) {
      lastX = x;
      lastY = y;
    }
  }
  pen.font = `11px ${FONT}`;
  pen.textBaseline = "alphabetic";
  pen.textAlign = "left";
  for (const v of line) {
    const won = columns.won[layout.row[v]];
    if (won) treeGlyphs(pen, won, at.x(layout.born[v]) + 6, at.y(layout.top[v]) - 6, theme);
  }
}

/** A dashed curve from the second parent to the birth. */
function treeSecond(pen, tree, node, at) {
  const { layout, columns, theme } = tree;
  const row = layout.row[node];
  if (!columns.second[row]) return;
  const other = layout.node[row - columns.second[row]];
  if (other < 0) return;
  const x = at.x(layout.born[node]);
  const [y0, y1] = [at.y(layout.top[other]), at.y(layout.top[node])];
  const bulge = Math.min(60, 14 + Math.abs(y1 - y0) / 6);
  pen.save();
  pen.setLineDash([3, 4]);
  pen.lineWidth = 1.25;
  pen.strokeStyle = theme.soft;
  pen.beginPath();
  pen.moveTo(x, y0);
  pen.bezierCurveTo(x - bulge, y0, x - bulge, y1, x, y1);
  pen.stroke();
  pen.restore();
}

/** Names of the champions beside the tree, each with the shapes of what it holds, and of the traced agent. */
function treeLabels(pen, tree, at, plot, traced) {
  const { layout, columns, theme } = tree;
  const shown = new Set(tree.holders);
  if (traced >= 0) shown.add(tree.pinned);
  const list = [];
  for (const row of shown) {
    const v = layout.node[row];
    if (v < 0) continue;
    const y = at.y(layout.top[v]);
    const x = at.x(layout.end[v]);
    if (y < plot.top - 2 || y > plot.top + plot.height + 2 || x < plot.left || x > plot.left + plot.width + 2) continue;
    list.push({ row, x, y });
  }
  list.sort((a, b) => a.y - b.y);
  const room = Math.floor((plot.height + 8) / 15);
  const kept = list.length > room ? list.filter((one) => one.row === tree.pinned || list.indexOf(one) < room - 1) : list;
  const places = treePlaces(kept.map((one) => one.y), 15, plot.top + 2, plot.top + plot.height - 2);
  pen.textBaseline = "middle";
  pen.textAlign = "left";
  kept.forEach(({ row, x, y }, i) => {
    const pinned = row === tree.pinned;
    const left = plot.left + plot.width + 10;
    pen.strokeStyle = pinned ? theme.accent : theme.faint;
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(x + 2, y);
    pen.lineTo(left - 6, places[i]);
    pen.lineTo(left - 3, places[i]);
    pen.stroke();
    pen.font = `12px ${FONT}`;
    const from = treeGlyphs(pen, columns.holds[row], left, places[i], theme);
    pen.font = `${pinned ? 600 : 400} 12px ${FONT}`;
    treeText(pen, String(columns.id[row]), from + 2, places[i], pinned ? theme.accent : theme.ink, theme.page);
  });
}

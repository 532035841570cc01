// Names and marks of the lines that are near. Words keep clear of marks, of scars and of the traced line: a name moves
// along its own line to where there is room, and where there is none it is left out.

import { FONT } from "../base/theme.js";
import { treeBits } from "./agent.js";
import { treeGlyphs, treeMark, treeScarMark, treeShape, treeText } from "./marks.js";

const FROM_MARK = 4;
const NAMES = 13; // from this height of a row on, in pixels, there is room for names, and
const GLYPHS = 11; // from this one for glyphs

/** Room for words: boxes that are taken, and the next free place to the right. */
export function treeRoom() {
  const taken = [];
  return {
    take(left, right, top, foot) {
      taken.push({ left, right, top, foot });
    },
    /** The first x from `left` on at which a box `wide` across hides nothing; null where it would pass `limit`. */
    free(left, wide, top, foot, limit) {
      for (let x = left; x + wide <= limit; ) {
        const end = x + wide;
        const hit = taken.find((one) => one.left < end && one.right > x && one.top < foot && one.foot > top);
        if (!hit) return x;
        x = hit.right + 2;
      }
      return null;
    },
  };
}

/** How scars stand on the traced line: above it, and small, where generations are narrow. */
export function treeScarStand(at) {
  return at.perTime < 9 ? { above: 7, r: 2.2 } : { above: 0, r: 3.4 };
}

/** The curve from a node's second parent to its birth, at `x` from `y0` to `y1`; null where there is none to draw. */
export function treeSecondCurve(tree, node, at) {
  const { layout, columns } = tree;
  const row = layout.row[node];
  const other = columns.second[row] ? layout.node[row - columns.second[row]] : -1;
  if (other < 0) return null;
  const [y0, y1] = [at.y(layout.top[other]), at.y(layout.top[node])];
  return { x: at.x(layout.born[node]), y0, y1, bulge: Math.min(60, 14 + Math.abs(y1 - y0) / 6) };
}

/** The curve's boxes: it is a cubic from (x, y0) to (x, y1) whose inner points are `bulge` to the left. */
function treeCurveRoom(room, { x, y0, y1, bulge }) {
  const parts = 32;
  const point = (t) => [x - 3 * bulge * t * (1 - t), y0 + (y1 - y0) * t * t * (3 - 2 * t)];
  for (let k = 0; k < parts; k++) {
    const [xa, ya] = point(k / parts);
    const [xb, yb] = point((k + 1) / parts);
    room.take(Math.min(xa, xb) - 3, Math.max(xa, xb) + 3, Math.min(ya, yb), Math.max(ya, yb));
  }
}

/**
 * What the traced line takes: its uprights, births and scars, and the curve from the second parent. Glyphs of what its
 * agents won go where there is room beside the birth.
 * @returns {Map<number, number>} where the glyphs of a node begin
 */
export function treeTraceRoom(room, tree, line, at, plot, node) {
  const { layout, columns, scars, scarStarts } = tree;
  const glyphs = new Map();
  const stand = treeScarStand(at);
  const curve = treeSecondCurve(tree, node, at);
  if (curve) treeCurveRoom(room, curve);
  const insight = line.filter((v) => Math.abs(at.y(layout.top[v]) - plot.tall / 2) <= plot.tall / 2 + 20);
  line.forEach((v, j) => {
    if (!j) return;
    const [a, b] = [at.y(layout.top[line[j - 1]]), at.y(layout.top[v])];
    const x = at.x(layout.born[v]);
    room.take(x - 4, x + 4, Math.min(a, b), Math.max(a, b));
  });
  for (const v of insight) {
    const row = layout.row[v];
    const [x, y] = [at.x(layout.born[v]), at.y(layout.top[v])];
    room.take(x - 5, x + 5, y - 5, y + 5);
    for (let k = scarStarts[row]; k < scarStarts[row + 1]; k++)
      treeTakeScar(room, at.x(scars.generation[k] + 0.5), y - stand.above, stand.r);
  }
  for (const v of insight) {
    const won = columns.won[layout.row[v]];
    // The traced agent has its glyphs in its label; near by, beside its birth too.
    if (!won || (v === node && at.perRow < GLYPHS)) continue;
    const [x, y] = [at.x(layout.born[v]) + 6, at.y(layout.top[v])];
    const wide = 13 * treeBits(won).length;
    const place = room.free(x, wide, y - 15, y - 5, x + wide + 60) ?? x;
    room.take(place, place + wide, y - 15, y - 5);
    glyphs.set(v, place);
  }
  return glyphs;
}

function treeTakeScar(room, x, y, r) {
  room.take(x - r - 1.5, x + r + 1.5, y - r - 0.5, y + r + 0.5);
}

/**
 * Marks and names of the lines in sight. Where a line is traced the marks of others stand back, not their names: those
 * are thin enough.
 * @param {CanvasRenderingContext2D} pen
 * @param {object} tree what `mountTree` holds @param {object} at of treePlace @param {object} plot
 * @param {ArrayLike<number>} lines nodes in sight, of the painter
 * @param {number[]} traced nodes of the traced line, whose marks are drawn with it
 * @param {object} room of treeRoom: what is taken so far
 */
export function treeNames(pen, tree, at, plot, lines, traced, room) {
  const { layout, columns, theme, scars, scarStarts, facts, colourOf } = tree;
  const own = new Set(traced);
  const r = Math.min(3.2, at.perRow / 4.5);
  const right = plot.left + plot.width;
  const list = [];
  pen.save();
  if (traced.length) pen.globalAlpha = 0.65;
  for (const v of lines) {
    const row = layout.row[v];
    const y = at.y(layout.top[v]);
    if (y < plot.top - 4 || y > plot.top + plot.height + 4) continue;
    const x = at.x(layout.born[v]);
    list.push({ v, row, x, y });
    if (own.has(v)) continue;
    if (x > plot.left - 4)
      treeMark(pen, treeShape(facts.operators[columns.operator[row]]), x, y, r, colourOf(row), theme.page);
    for (let j = scarStarts[row]; j < scarStarts[row + 1]; j++) {
      const across = at.x(scars.generation[j] + 0.5);
      treeScarMark(pen, across, y, r, theme.ink, theme.page);
      treeTakeScar(room, across, y, r);
    }
  }
  pen.globalAlpha = 1;
  pen.font = `10px ${FONT}`;
  pen.textBaseline = "alphabetic";
  pen.textAlign = "left";
  for (const { v, row, x, y } of list) {
    const foot = y - (own.has(v) ? 5 : 3.5);
    const named = at.perRow >= NAMES && row !== tree.pinned;
    const bits = at.perRow >= GLYPHS && !own.has(v) ? columns.won[row] : 0;
    const name = String(columns.id[row]);
    const before = bits ? 11.5 * treeBits(bits).length + 2 : 0;
    const wide = pen.measureText(name).width;
    const from = Math.max(plot.left, x + r) + FROM_MARK;
    const limit = Math.min(right, at.x(layout.end[v]));
    const place = named ? room.free(from, before + wide, foot - 8, foot, limit) : null;
    if (place === null && !bits) continue;
    const start = place ?? room.free(from, before, foot - 8, foot, right) ?? from;
    const text = bits ? treeGlyphs(pen, bits, start, foot, theme) + 2 : start;
    if (place !== null) treeText(pen, name, text, foot, theme.soft, theme.page);
    room.take(start, text + (place === null ? 0 : wide), foot - 8, foot);
  }
  pen.restore();
}

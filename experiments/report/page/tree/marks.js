// Marks on the lines of the tree: how an agent was born, where it was scarred, what it won. Each has a shape of its
// own, so that none is told by its colour alone.

import { REGIME_GLYPHS } from "../base/theme.js";
import { treeBits } from "./agent.js";

/** Shapes of births by operator: founders a square, mutants a disc, children of two a diamond, others a ring. */
const SHAPES = { founder: "square", mutation: "disc", crossover: "diamond" };

/** The shape of an operator's mark. @param {string} operator */
export function treeShape(operator) {
  return SHAPES[operator] ?? "ring";
}

/**
 * A mark of a birth.
 * @param {CanvasRenderingContext2D} pen
 * @param {string} shape of `treeShape`
 * @param {number} x @param {number} y @param {number} r half its size
 * @param {string} colour @param {string|null} ground colour behind, for a rim
 */
export function treeMark(pen, shape, x, y, r, colour, ground) {
  pen.beginPath();
  if (shape === "square") pen.rect(x - 0.9 * r, y - 0.9 * r, 1.8 * r, 1.8 * r);
  else if (shape === "diamond") {
    pen.moveTo(x, y - 1.25 * r);
    pen.lineTo(x + 1.25 * r, y);
    pen.lineTo(x, y + 1.25 * r);
    pen.lineTo(x - 1.25 * r, y);
    pen.closePath();
  } else pen.arc(x, y, r, 0, 2 * Math.PI);
  if (ground) {
    pen.lineWidth = 3;
    pen.strokeStyle = ground;
    pen.stroke();
  }
  if (shape === "ring") {
    pen.lineWidth = 1.2;
    if (ground) {
      pen.fillStyle = ground;
      pen.fill();
    }
    pen.strokeStyle = colour;
    pen.stroke();
  } else {
    pen.fillStyle = colour;
    pen.fill();
  }
}

/** A scar: a small cross on the line. */
export function treeScarMark(pen, x, y, r, colour, ground) {
  for (const [width, paint] of [
    [4.2, ground],
    [1.6, colour],
  ]) {
    pen.beginPath();
    pen.moveTo(x - r, y - r);
    pen.lineTo(x + r, y + r);
    pen.moveTo(x + r, y - r);
    pen.lineTo(x - r, y + r);
    pen.lineWidth = width;
    pen.strokeStyle = paint;
    pen.stroke();
  }
}

/** Text with a rim in the colour behind it, so that lines do not cross its letters. */
export function treeText(pen, text, x, y, colour, ground) {
  pen.lineJoin = "round";
  pen.lineWidth = 3;
  pen.strokeStyle = ground;
  pen.strokeText(text, x, y);
  pen.fillStyle = colour;
  pen.fillText(text, x, y);
}

/** Glyphs of the regimes in `bits`, one beside the other; returns where they end. */
export function treeGlyphs(pen, bits, x, y, theme) {
  for (const r of treeBits(bits)) {
    const glyph = REGIME_GLYPHS[r] ?? "•";
    treeText(pen, glyph, x, y, theme.regimeText[r] ?? theme.ink, theme.page);
    x += pen.measureText(glyph).width + 1.5;
  }
  return x;
}

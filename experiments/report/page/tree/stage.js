// The stage: two canvases, the window on the tree, and frames. What changes asks for a frame; there is never more than
// one a refresh of the screen. While the window moves, detail follows the time that frames take; when it rests, all is
// drawn.

import { h } from "../base/dom.js";
import { treeOver } from "./over.js";
import { treePainter, treePlot } from "./paint.js";
import { treeBetween, treeClamp, treePace, treePan, treeWhole, treeZoom } from "./window.js";

const REST = 140;
const FLIGHT = 420;
const FAST = 7;
const SLOW = 13;
const MOST = 120000;

/**
 * @param {object} tree of treeModel, with a layout
 * @param {{moved: () => void, painted: (frame: object) => void}} tell
 */
export function treeStage(tree, tell) {
  const base = h("canvas", { class: "tree-base", "aria-hidden": "true" });
  const over = h("canvas", {
    class: "tree-over",
    tabindex: "0",
    role: "application",
    "aria-roledescription": "lineage tree",
  });
  const element = h("div", { class: "tree-stage" }, base, over);
  const painter = treePainter(base);
  const pen = over.getContext("2d");
  let plot = treePlot(600, 400);
  let whole = treeWhole(tree.layout, tree.last);
  let window = whole;
  let wanted = 0;
  let frame = 0;
  let rest = 0;
  let flight = 0;
  let moving = false;
  let thin = 1;
  let lines = [];

  /** Ask for a frame: 1 the upper canvas, 2 both. */
  function ask(level) {
    wanted = Math.max(wanted, level);
    if (!frame) frame = requestAnimationFrame(paint);
  }

  function paint() {
    frame = 0;
    if (!painter.ready()) return;
    const level = wanted;
    wanted = 0;
    const start = performance.now();
    let found = null;
    if (level > 1) {
      const scene = {
        layout: tree.layout,
        paint: tree.paint,
        theme: tree.theme,
        faint: tree.pinned >= 0 && tree.layout.node[tree.pinned] >= 0,
      };
      found = painter.draw(scene, window, plot, moving ? { thin, most: MOST } : { thin: 1, most: Infinity });
      lines = Int32Array.from(painter.lines());
    }
    const dots = painter.ratio();
    pen.setTransform(dots, 0, 0, dots, 0, 0);
    treeOver(pen, tree, window, plot, lines);
    const spent = performance.now() - start;
    if (moving && level > 1)
      thin = spent > SLOW ? Math.min(8, thin * 1.5) : spent < FAST ? Math.max(1, thin / 1.25) : thin;
    tell.painted({ spent, found, moving, window, whole: atWhole() });
  }

  /** Paint at once. */
  function now() {
    cancelAnimationFrame(frame);
    wanted = 2;
    paint();
  }

  function settle() {
    moving = false;
    ask(2);
    tell.moved();
  }

  /** Put the window somewhere; detail follows when it rests. */
  function look(next) {
    window = treeClamp(next, whole, plot.height);
    moving = true;
    clearTimeout(rest);
    rest = setTimeout(settle, REST);
    ask(2);
  }

  function stop() {
    cancelAnimationFrame(flight);
    flight = 0;
  }

  /** Go there in a short flight, or at once where the reader wants no motion. */
  function fly(next) {
    stop();
    const from = window;
    const to = treeClamp(next, whole, plot.height);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return look(to);
    let begun = 0;
    const step = (now) => {
      begun ||= now;
      const part = Math.min(1, (now - begun) / FLIGHT);
      look(part === 1 ? to : treeBetween(from, to, part < 0.5 ? 2 * part * part : 1 - 2 * (1 - part) ** 2));
      flight = part === 1 ? 0 : requestAnimationFrame(step);
    };
    flight = requestAnimationFrame(step);
  }

  function atWhole() {
    const near = (a, b, span) => Math.abs(a - b) < 1e-3 * span;
    return (
      near(window.row1 - window.row0, whole.row1 - whole.row0, whole.row1 - whole.row0) &&
      near(window.time1 - window.time0, whole.time1 - whole.time0, whole.time1 - whole.time0)
    );
  }

  /** Zoom about a point of the canvas; a factor of null follows the other. */
  function zoom(x, y, timeFactor, rowFactor, flying = false) {
    const pace = treePace(whole, plot.height);
    const across = Math.min(1, Math.max(0, (x - plot.left) / plot.width));
    const down = Math.min(1, Math.max(0, (y - plot.top) / plot.height));
    const next = treeZoom(window, across, down, timeFactor ?? rowFactor ** pace, rowFactor);
    if (flying) fly(next);
    else {
      stop();
      look(next);
    }
  }

  new ResizeObserver(() => {
    const { clientWidth: wide, clientHeight: high } = element;
    if (!wide || !high) return;
    plot = treePlot(wide, high);
    if (!painter.resize(wide, high)) return;
    over.width = base.width;
    over.height = base.height;
    window = treeClamp(window, whole, plot.height);
    // A canvas that changed its size is empty until it is painted: at once, not in the next frame.
    now();
  }).observe(element);

  return {
    element,
    over,
    ask,
    now,
    look,
    fly,
    zoom,
    stop,
    atWhole,
    pan(dx, dy) {
      stop();
      look(treePan(window, -dx / plot.width, -dy / plot.height));
    },
    /** After a new layout: the whole of it, or the window given. */
    reset(next = null) {
      whole = treeWhole(tree.layout, tree.last);
      stop();
      look(next ?? whole);
    },
    window: () => window,
    whole: () => whole,
    plot: () => plot,
    nodeAt: (x, y, far) => painter.nodeAt(x - plot.left, y - plot.top, far),
  };
}

// A small picture of the whole tree with the window in it; dragging moves the window.

import { h } from "../base/dom.js";
import { faded } from "../base/theme.js";
import { treeScan, treeScratch } from "./scan.js";
import { treePacked, treePixels, treeRaster } from "./raster.js";
import { treeChannels } from "./colour.js";

/**
 * The overview.
 * @param {(time: number, row: number) => void} centre called with the generation and row to bring to the middle
 */
export function treeOverview(centre) {
  const canvas = h("canvas", { class: "tree-overview", "aria-hidden": "true" });
  const pen = canvas.getContext("2d", { alpha: false });
  let picture = null;
  let whole = null;
  let size = { wide: 0, high: 0 };
  let dots = 1;

  /** Paint the whole tree anew. */
  function refresh(scene, all) {
    whole = all;
    dots = Math.min(2, globalThis.devicePixelRatio || 1);
    size = { wide: canvas.clientWidth, high: canvas.clientHeight };
    if (!size.wide || !size.high) return;
    canvas.width = Math.round(size.wide * dots);
    canvas.height = Math.round(size.high * dots);
    const target = treePixels(canvas.width, canvas.height);
    const view = {
      time: all.time0,
      perTime: target.width / (all.time1 - all.time0),
      row: all.row0,
      perRow: target.height / (all.row1 - all.row0),
      width: target.width,
      height: target.height,
    };
    const found = treeScan(scene.layout, view, treeScratch(scene.layout));
    treeRaster(target, scene.layout, view, found, {
      ground: treePacked(...treeChannels(scene.theme.page)),
      ...scene.paint,
      thick: 1,
      thin: 1,
    });
    picture = new ImageData(target.bytes, target.width, target.height);
  }

  /** Paint the picture with the window on it, and the pinned agent (its row and last generation) as a dot. */
  function draw(window, theme, pinned = null) {
    if (!picture) return;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.putImageData(picture, 0, 0);
    pen.setTransform(dots, 0, 0, dots, 0, 0);
    const x = (time) => ((time - whole.time0) / (whole.time1 - whole.time0)) * size.wide;
    const y = (row) => ((row - whole.row0) / (whole.row1 - whole.row0)) * size.high;
    const [x0, x1, y0, y1] = [x(window.time0), x(window.time1), y(window.row0), y(window.row1)];
    pen.fillStyle = faded(theme.page, 0.6);
    pen.fillRect(0, 0, size.wide, y0);
    pen.fillRect(0, y1, size.wide, size.high - y1);
    pen.fillRect(0, y0, x0, y1 - y0);
    pen.fillRect(x1, y0, size.wide - x1, y1 - y0);
    if (pinned) {
      pen.beginPath();
      pen.arc(x(pinned.time), y(pinned.row + 0.5), 3, 0, 2 * Math.PI);
      pen.fillStyle = theme.accent;
      pen.fill();
    }
    // However small the window, its frame can be seen.
    const wide = Math.max(6, x1 - x0);
    const high = Math.max(5, y1 - y0);
    pen.strokeStyle = theme.accent;
    pen.lineWidth = 1.5;
    pen.strokeRect(
      Math.max(0.75, Math.min(size.wide - wide - 0.75, (x0 + x1 - wide) / 2)),
      Math.max(0.75, Math.min(size.high - high - 0.75, (y0 + y1 - high) / 2)),
      Math.min(wide, size.wide - 1.5),
      Math.min(high, size.high - 1.5),
    );
  }

  const move = (event) => {
    if (!whole) return;
    const { left, top } = canvas.getBoundingClientRect();
    const part = (value, most) => Math.min(1, Math.max(0, value / most));
    centre(
      whole.time0 + part(event.clientX - left, size.wide) * (whole.time1 - whole.time0),
      whole.row0 + part(event.clientY - top, size.high) * (whole.row1 - whole.row0),
    );
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    move(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (canvas.hasPointerCapture(event.pointerId)) move(event);
  });
  return { element: canvas, refresh, draw };
}

// Draws the lines of the tree into an array of pixels. They are all level or upright, so a row of pixels is one run of
// memory: tens of thousands of them take a few milliseconds, many times less than strokes of a canvas would. A second
// array remembers which agent is at each pixel, for the pointer.

/**
 * An array of pixels (red, green, blue, alpha in the order of bytes) and the node at each (-1: none).
 * @param {number} width device pixels.
 * @param {number} height device pixels.
 */
export function treePixels(width, height) {
  const bytes = new Uint8ClampedArray(4 * width * height);
  return { width, height, bytes, pixels: new Uint32Array(bytes.buffer), nodes: new Int32Array(width * height) };
}

/** A colour [red, green, blue] as one number in the order of bytes that a canvas has on all machines of today. */
export function treePacked(red, green, blue) {
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/** Part `share` (0 … 256) of one packed colour, the rest of the other. */
function treeMixed(over, under, share) {
  const rest = 256 - share;
  const odd = (((over & 0xff00ff) * share + (under & 0xff00ff) * rest) >>> 8) & 0xff00ff;
  const even = ((((over >>> 8) & 0xff) * share + ((under >>> 8) & 0xff) * rest) >>> 8) << 8;
  return (0xff000000 | odd | even) >>> 0;
}

/**
 * Draw what `treeScan` found.
 * @param {object} target of `treePixels`.
 * @param {object} layout of `treeLayout`.
 * @param {object} window as for `treeScan`.
 * @param {object} found of `treeScan`.
 * @param {{ground: number, lines: Uint32Array, bundles: Uint32Array, thick: number, thin: number}} paint packed
 *   colours: behind all, of each node's own line, and of its subtree as one; pixels that a line is thick, and `thin` of
 *   the scan.
 */
export function treeRaster(target, layout, window, found, paint) {
  const { pixels, nodes, width, height } = target;
  const { top, size, born, end, reach, lived, parent } = layout;
  const { time, perTime, row, perRow } = window;
  pixels.fill(paint.ground);
  nodes.fill(-1);
  const half = 0.5 * perRow;
  const levelOf = (v) => Math.floor((top[v] - row) * perRow + half);
  for (let j = 0; j < found.bundleCount; j++) {
    const v = found.bundles[j];
    const y = Math.floor((top[v] + 0.5 * size[v] - row) * perRow);
    if (y < 0 || y >= height) continue;
    const x0 = Math.max(0, Math.floor((born[v] - time) * perTime));
    const x1 = Math.min(width, Math.max(x0 + 1, Math.ceil((reach[v] - time) * perTime)));
    // Lineages alive at one time, on average, and the part of a pixel that the subtree is high.
    const many = lived[v] / (reach[v] - born[v]);
    const share = Math.round(
      256 * Math.min(0.92, 0.16 + 0.5 * Math.min(1, (size[v] * perRow) / paint.thin) + 0.04 * many),
    );
    const colour = paint.bundles[v];
    for (let p = y * width + x0, stop = y * width + x1; p < stop; p++) {
      pixels[p] = treeMixed(colour, pixels[p], share);
      nodes[p] = v;
    }
  }
  for (let j = 0; j < found.linkCount; j++) {
    const v = found.links[j];
    const x = Math.floor((born[v] - time) * perTime);
    const a = levelOf(v);
    const b = levelOf(parent[v]);
    const y0 = Math.max(0, Math.min(a, b));
    const y1 = Math.min(height - 1, Math.max(a, b));
    const share = Math.round(256 * Math.min(0.85, 0.12 + 0.75 * ((size[v] * perRow) / (4 * paint.thin))));
    const colour = paint.lines[v];
    const across = Math.min(width, x + paint.thick);
    for (let y = y0; y <= y1; y++) {
      for (let p = y * width + x, stop = y * width + across; p < stop; p++) {
        pixels[p] = treeMixed(colour, pixels[p], share);
        nodes[p] = v;
      }
    }
  }
  const rise = paint.thick >> 1;
  for (let j = 0; j < found.lineCount; j++) {
    const v = found.lines[j];
    const x0 = Math.max(0, Math.floor((born[v] - time) * perTime));
    const x1 = Math.min(width, Math.max(x0 + 1, Math.floor((end[v] - time) * perTime)));
    const y = levelOf(v) - rise;
    const colour = paint.lines[v];
    for (let d = 0; d < paint.thick; d++) {
      if (y + d < 0 || y + d >= height) continue;
      const first = (y + d) * width;
      pixels.fill(colour, first + x0, first + x1);
      nodes.fill(v, first + x0, first + x1);
    }
  }
}

/** The node at a pixel or the nearest one around it, at most `far` pixels away; -1 for none. */
export function treeNodeAt(target, x, y, far) {
  const { nodes, width, height } = target;
  let best = -1;
  let least = far * far + 1;
  for (let dy = -far; dy <= far; dy++) {
    const py = y + dy;
    if (py < 0 || py >= height) continue;
    for (let dx = -far; dx <= far; dx++) {
      const px = x + dx;
      const distance = dx * dx + dy * dy;
      if (px < 0 || px >= width || distance >= least) continue;
      const node = nodes[py * width + px];
      if (node >= 0) {
        best = node;
        least = distance;
      }
    }
  }
  return best;
}

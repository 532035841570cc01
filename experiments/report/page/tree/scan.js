// What of the tree is worth drawing in a window: level of detail. Rows stand in an order in which a subtree is an
// interval of rows, so a subtree off the window is skipped by its size, and one thinner than a pixel is drawn as one
// bundle that nobody looks into. A frame then costs about the pixels of the screen, not the agents of the run.

// Bundles of one parent in one row of pixels: more would hide each other.
const CROWD = 20;

/**
 * Lists that `treeScan` fills, made once and used again for each frame.
 * @param {object} layout of `treeLayout`.
 */
export function treeScratch(layout) {
  return {
    lines: new Int32Array(layout.n),
    links: new Int32Array(layout.n),
    bundles: new Int32Array(layout.n),
    stack: new Int32Array(layout.n),
    stamps: new Int32Array(0),
    lineCount: 0,
    linkCount: 0,
    bundleCount: 0,
    visited: 0,
    complete: true,
  };
}

/** The first of child[a … b), top to bottom, whose rows end after `row`. */
function treeFirstBelow(layout, list, a, b, row) {
  while (a < b) {
    const m = (a + b) >> 1;
    if (layout.top[list[m]] + layout.size[list[m]] > row) b = m;
    else a = m + 1;
  }
  return a;
}

/**
 * Find what to draw: `lines` (agents with a line of their own), `bundles` (subtrees thinner than `thin` pixels, as one;
 * where very many of one parent fall into one row of pixels, the largest)
 * and `links` (children whose connector to the parent is in sight, however far away they are).
 * @param {object} layout of `treeLayout`.
 * @param {object} window in pixels: generation `time` at x = 0 and `perTime` pixels each, row `row` at y = 0 and
 *   `perRow` pixels each, `width`, `height`.
 * @param {object} out of `treeScratch`.
 * @param {{thin?: number, most?: number}} limits pixels below which a subtree is a bundle; nodes to look at before
 *   giving up (`out.complete` says so: the rest is then drawn as bundles of their own).
 */
export function treeScan(layout, window, out, { thin = 1, most = Infinity } = {}) {
  const { top, size, born, end, reach, child, start, roots } = layout;
  const { time, perTime, row, perRow, width, height } = window;
  const { stack, lines, links, bundles } = out;
  if (out.stamps.length < width) out.stamps = new Int32Array(Math.ceil(width));
  const stamps = out.stamps.fill(-1);
  const rowEnd = row + height / perRow;
  const timeEnd = time + width / perTime;
  const least = thin / perRow;
  let depth = 0;
  let lineCount = 0;
  let linkCount = 0;
  let bundleCount = 0;
  let visited = 0;
  let crowd = 0;
  let crowded = NaN;
  for (let r = treeFirstBelow(layout, roots, 0, roots.length, row); r < roots.length; r++) {
    const v = roots[r];
    if (top[v] >= rowEnd) break;
    if (reach[v] <= time || born[v] >= timeEnd) continue;
    visited++;
    if (size[v] >= least) {
      stack[depth++] = v;
      continue;
    }
    const y = Math.floor((top[v] - row) * perRow);
    crowd = y === crowded ? crowd + 1 : 0;
    crowded = y;
    if (crowd < CROWD) bundles[bundleCount++] = v;
  }
  while (depth > 0) {
    const v = stack[--depth];
    if (visited > most) {
      bundles[bundleCount++] = v;
      continue;
    }
    const own = top[v];
    crowded = NaN;
    if (own + 1 > row && own < rowEnd && end[v] > time) lines[lineCount++] = v;
    // From the farthest child inwards: of connectors in one pixel column only the longest is drawn.
    for (let c = start[v + 1] - 1, a = start[v]; c >= a; c--) {
      const u = child[c];
      visited++;
      if (top[u] + size[u] > row && top[u] < rowEnd && reach[u] > time && born[u] < timeEnd) {
        if (size[u] >= least) stack[depth++] = u;
        else {
          const y = Math.floor((top[u] - row) * perRow);
          crowd = y === crowded ? crowd + 1 : 0;
          crowded = y;
          if (crowd < CROWD) bundles[bundleCount++] = u;
        }
      }
      if (own < rowEnd && top[u] + 1 > row) {
        const x = Math.floor((born[u] - time) * perTime);
        if (x >= 0 && x < width && stamps[x] !== v) {
          stamps[x] = v;
          links[linkCount++] = u;
        }
      }
    }
  }
  out.lineCount = lineCount;
  out.linkCount = linkCount;
  out.bundleCount = bundleCount;
  out.visited = visited;
  out.complete = visited <= most;
  return out;
}

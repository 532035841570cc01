// The part of the tree in sight: generations `time0` … `time1` across, rows `row0` … `row1` down. Plain numbers in,
// plain numbers out; limits keep the tree in sight.

/** Rows are never higher than this many pixels. */
export const TREE_TALLEST = 44;
const SHORTEST = 3;

/**
 * The whole tree.
 * @param {object} layout of `treeLayout`
 * @param {number} last the last generation
 */
export function treeWhole(layout, last) {
  const room = Math.max(0.5, 0.02 * layout.n);
  let first = Infinity;
  for (const v of layout.roots) first = Math.min(first, layout.born[v]);
  const time0 = Number.isFinite(first) ? first : 0;
  return { time0, time1: Math.max(last + 1, time0 + 1), row0: -room, row1: Math.max(1, layout.n) + room };
}

/** A window within the limits: not beyond the whole, not narrower than reading wants. */
export function treeClamp(window, whole, height) {
  const held = (a, b, low, high, least) => {
    const most = high - low;
    const span = Math.min(most, Math.max(Math.min(least, most), b - a));
    const middle = (a + b) / 2;
    const start = Math.min(high - span, Math.max(low, b - a === span ? a : middle - span / 2));
    return [start, start + span];
  };
  const [time0, time1] = held(window.time0, window.time1, whole.time0, whole.time1, SHORTEST);
  const [row0, row1] = held(window.row0, window.row1, whole.row0, whole.row1, height / TREE_TALLEST);
  return { time0, time1, row0, row1 };
}

/**
 * How much generations grow when rows grow by `factor`, so that both come to their closest at once: there are far more
 * rows than generations.
 */
export function treePace(whole, height) {
  const rows = ((whole.row1 - whole.row0) * TREE_TALLEST) / height;
  const times = (whole.time1 - whole.time0) / (2 * SHORTEST);
  return rows > 1.01 && times > 1.01 ? Math.min(1, Math.log(times) / Math.log(rows)) : 1;
}

/**
 * Zoom about a point that stays in its place.
 * @param {object} window
 * @param {number} across its place from left to right, 0 … 1
 * @param {number} down its place from top to bottom, 0 … 1
 * @param {number} timeFactor > 1 comes closer
 * @param {number} rowFactor > 1 comes closer
 */
export function treeZoom(window, across, down, timeFactor, rowFactor) {
  const time = window.time0 + across * (window.time1 - window.time0);
  const row = window.row0 + down * (window.row1 - window.row0);
  return {
    time0: time - (time - window.time0) / timeFactor,
    time1: time + (window.time1 - time) / timeFactor,
    row0: row - (row - window.row0) / rowFactor,
    row1: row + (window.row1 - row) / rowFactor,
  };
}

/** Move by parts of the window. */
export function treePan(window, across, down) {
  const time = across * (window.time1 - window.time0);
  const row = down * (window.row1 - window.row0);
  return { time0: window.time0 + time, time1: window.time1 + time, row0: window.row0 + row, row1: window.row1 + row };
}

/** Between two windows; spans shrink evenly on the way, so that a long flight does not jump at its end. */
export function treeBetween(a, b, part) {
  const way = (a0, a1, b0, b1) => {
    const from = a1 - a0;
    const to = b1 - b0;
    const span = from * (to / from) ** part;
    const done = Math.abs(to - from) < 1e-9 * from ? part : (span - from) / (to - from);
    const start = a0 + (b0 - a0) * done;
    return [start, start + span];
  };
  const [time0, time1] = way(a.time0, a.time1, b.time0, b.time1);
  const [row0, row1] = way(a.row0, a.row1, b.row0, b.row1);
  return { time0, time1, row0, row1 };
}

/** A window in which a node's subtree, or at least the node, can be read. */
export function treeAround(layout, node, whole, height) {
  const rows = height / 18;
  const times = Math.max(
    2 * SHORTEST,
    3 * (layout.end[node] - layout.born[node]),
    12,
    0.12 * (whole.time1 - whole.time0),
  );
  const time = (layout.born[node] + layout.end[node]) / 2;
  const row = layout.top[node] + 0.5;
  return { time0: time - times / 2, time1: time + times / 2, row0: row - rows / 2, row1: row + rows / 2 };
}

/** A window that has a node's whole line from its founder. */
export function treeAlong(layout, node) {
  let first = layout.top[node];
  let last = first;
  let root = node;
  for (let v = node; v >= 0; v = layout.parent[v]) {
    first = Math.min(first, layout.top[v]);
    last = Math.max(last, layout.top[v]);
    root = v;
  }
  const rows = 2 + 0.06 * (last - first);
  const times = 0.04 * (layout.end[node] - layout.born[root]);
  return {
    time0: layout.born[root] - times,
    time1: layout.end[node] + times,
    row0: first - rows,
    row1: last + 1 + rows,
  };
}

/** The window as a short text for the address, and back; null where the text is none. */
export function treeWindowText(window) {
  const digits = (value, span) => String(Number(value.toFixed(Math.max(0, 3 - Math.floor(Math.log10(span))))));
  const times = window.time1 - window.time0;
  const rows = window.row1 - window.row0;
  return [
    digits(window.time0, times),
    digits(window.time1, times),
    digits(window.row0, rows),
    digits(window.row1, rows),
  ].join(",");
}

/** The other way round. */
export function treeWindowOf(text) {
  const parts = (text ?? "").split(",").map(Number);
  if (parts.length !== 4 || !parts.every(Number.isFinite) || parts[0] >= parts[1] || parts[2] >= parts[3]) return null;
  return { time0: parts[0], time1: parts[1], row0: parts[2], row1: parts[3] };
}

/** Round numbers between two, whole ones, at most about `count`. */
export function treeTicks(low, high, count) {
  const raw = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = Math.max(1, power * [1, 2, 5, 10].find((m) => m * power >= raw));
  const ticks = [];
  for (let t = Math.ceil(low / step) * step; t <= high + 1e-9; t += step) ticks.push(Math.round(t));
  return ticks;
}

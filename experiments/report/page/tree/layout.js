// Where each agent of the lineage tree stands: arrays made in a few linear passes over columns that list ancestors
// before descendants, so that no step recurses and a million births take a fraction of a second. Nothing here knows of
// a canvas.

/** Largest code of an unsigned column, which stands for "none": still alive, for a life. */
export function treeNone(column) {
  return 2 ** (8 * column.BYTES_PER_ELEMENT) - 1;
}

/**
 * Who descends from whom, in all rows.
 * @param {object} columns the columns "tree" of the report (`parent` as a distance back, 0 for a root).
 * @param {number} last the last generation on record, in which those alive still are.
 * @returns {object} `parent` (row; a root's own), `end` (the first generation without it), `alive`, `depth`,
 *   `below` (descendants), `line` (bit r: it or a descendant was champion of regime r).
 */
export function treeTopology(columns, last) {
  const n = columns.length;
  const none = treeNone(columns.life);
  const parent = new Int32Array(n);
  const end = new Int32Array(n);
  const alive = new Uint8Array(n);
  const depth = new Int32Array(n);
  const below = new Int32Array(n);
  const line = Uint8Array.from(columns.won);
  for (let i = 0; i < n; i++) {
    const p = i - columns.parent[i];
    parent[i] = p;
    depth[i] = p === i ? 0 : depth[p] + 1;
    if (columns.life[i] === none) {
      alive[i] = 1;
      end[i] = Math.max(last + 1, columns.born[i] + 1);
    } else {
      end[i] = columns.born[i] + columns.life[i] + 1;
    }
  }
  for (let i = n - 1; i >= 0; i--) {
    const p = parent[i];
    if (p !== i) {
      below[p] += below[i] + 1;
      line[p] |= line[i];
    }
  }
  return { n, parent, end, alive, depth, below, line, born: columns.born };
}

/**
 * Which rows a filter leaves: those that match (2) and the ancestors that lead to them (1).
 * @param {object} columns the columns "tree".
 * @param {object} topology of `treeTopology`.
 * @param {{show: string, species: number|null, from: number|null, to: number|null}} filter `show` is "lines" (champions
 *   and the living), "living", "champions" or "all"; the others narrow it down to a species or to those who lived in
 *   generations from … to; from > to are no generations, and nobody lived in them.
 * @returns {{mask: Uint8Array, matched: number, kept: number}}
 */
export function treeSelect(columns, topology, filter) {
  const { n, parent, end, alive, born } = topology;
  const { won, species } = columns;
  const living = filter.show === "lines" || filter.show === "living";
  const champions = filter.show === "lines" || filter.show === "champions";
  const from = filter.from ?? -1;
  const to = filter.to ?? Infinity;
  const mask = new Uint8Array(n);
  let matched = 0;
  let kept = 0;
  for (let i = n - 1; i >= 0; i--) {
    const shown = filter.show === "all" || (living && alive[i]) || (champions && won[i]);
    const lived = from <= to && born[i] <= to && end[i] > from;
    if (shown && lived && (filter.species === null || species[i] === filter.species)) {
      mask[i] = 2;
      matched++;
    }
    if (mask[i]) {
      kept++;
      if (!mask[parent[i]]) mask[parent[i]] = 1;
    }
  }
  return { mask, matched, kept };
}

/** Nodes by a key from small to large, ties by birth from late to early (counting sort). */
function treeSorted(key, most) {
  const k = key.length;
  const starts = new Int32Array(most + 2);
  for (let i = 0; i < k; i++) starts[key[i] + 1]++;
  for (let v = 0; v <= most; v++) starts[v + 1] += starts[v];
  const order = new Int32Array(k);
  for (let i = k - 1; i >= 0; i--) order[starts[key[i]]++] = i;
  return order;
}

/**
 * Rows of the tree that a filter leaves, in preorder: a node's subtree fills the rows `top` … `top + size`, its own row
 * first. Children stand by the size of their subtrees, small ones next to their parent ("ladder"), or by birth, the
 * last born next to their parent, so that no two lines cross ("birth"). Roots stand the large ones first.
 * @param {object} topology of `treeTopology`.
 * @param {Uint8Array} mask rows to draw, closed under parents.
 * @param {string} order "ladder" or "birth".
 * @returns {object} arrays by node (drawn agents in birth order): `row` (in the columns), `parent` (node; -1 for a
 *   root), `size`, `top`, `born`, `end`, `reach` (last end in the subtree), `lived` (generations lived in the subtree);
 *   children of node i are `child[start[i] … start[i + 1])` from top to bottom, the roots `roots`; `node` is the node
 *   of each row of the columns (-1: not drawn).
 */
export function treeLayout(topology, mask, order = "ladder") {
  const { n } = topology;
  const node = new Int32Array(n).fill(-1);
  let k = 0;
  for (let i = 0; i < n; i++) if (mask[i]) node[i] = k++;
  const row = new Int32Array(k);
  const parent = new Int32Array(k);
  const born = new Int32Array(k);
  const end = new Int32Array(k);
  for (let i = 0; i < n; i++) {
    const v = node[i];
    if (v < 0) continue;
    row[v] = i;
    parent[v] = topology.parent[i] === i ? -1 : node[topology.parent[i]];
    born[v] = topology.born[i];
    end[v] = topology.end[i];
  }
  const size = new Int32Array(k).fill(1);
  const reach = Int32Array.from(end);
  const lived = new Float64Array(k);
  const start = new Int32Array(k + 1);
  let rooted = 0;
  for (let v = k - 1; v >= 0; v--) {
    lived[v] += end[v] - born[v];
    const p = parent[v];
    if (p < 0) {
      rooted++;
      continue;
    }
    size[p] += size[v];
    lived[p] += lived[v];
    if (reach[v] > reach[p]) reach[p] = reach[v];
    start[p + 1]++;
  }
  for (let v = 0; v < k; v++) start[v + 1] += start[v];
  const child = new Int32Array(k - rooted);
  const roots = new Int32Array(rooted);
  const sorted = order === "birth" ? null : treeSorted(size, k);
  const fill = start.slice(0, k);
  let r = rooted;
  for (let j = 0; j < k; j++) {
    const v = sorted ? sorted[j] : k - 1 - j;
    if (parent[v] < 0) roots[--r] = v;
    else child[fill[parent[v]]++] = v;
  }
  const top = new Int32Array(k);
  let next = 0;
  for (const v of roots) {
    top[v] = next;
    next += size[v];
  }
  for (let v = 0; v < k; v++) {
    let down = top[v] + 1;
    for (let c = start[v]; c < start[v + 1]; c++) {
      top[child[c]] = down;
      down += size[child[c]];
    }
  }
  return { n: k, row, node, parent, born, end, reach, lived, size, top, child, start, roots };
}

/** Rows (of the columns) from a row's founder down to the row itself. */
export function treeLine(topology, row) {
  const line = [row];
  while (topology.parent[row] !== row) {
    row = topology.parent[row];
    line.push(row);
  }
  return line.reverse();
}

/** The neighbours of a node for the keyboard: its parent, first child, and siblings before and after; -1 for none. */
export function treeNeighbours(layout, node) {
  const p = layout.parent[node];
  const among = p < 0 ? layout.roots : layout.child.subarray(layout.start[p], layout.start[p + 1]);
  const k = among.indexOf(node);
  const a = layout.start[node];
  return {
    parent: p,
    child: a < layout.start[node + 1] ? layout.child[a] : -1,
    before: k > 0 ? among[k - 1] : -1,
    after: k + 1 < among.length ? among[k + 1] : -1,
  };
}

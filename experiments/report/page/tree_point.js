// What is under the pointer: names and lines that stand out go before the many behind them.

import { treeNodesTo } from "./tree_over.js";
import { treePlace } from "./tree_paint.js";

/**
 * The node at a point of the stage; -1 for none.
 * @param {object} tree of treeModel @param {object} stage of treeStage @param {number} x @param {number} y
 */
export function treeUnder(tree, stage, x, y) {
  const { layout } = tree;
  const label = tree.labels.find((one) => x >= one.left - 4 && x <= one.right && Math.abs(y - one.y) <= 8);
  if (label) return layout.node[label.row];
  const at = treePlace(stage.window(), stage.plot());
  const traced = tree.pinned >= 0 && layout.node[tree.pinned] >= 0;
  for (const row of traced ? [tree.pinned] : tree.holders) {
    if (layout.node[row] < 0) continue;
    const node = treeOnWay(layout, treeNodesTo(layout, layout.node[row]), at, x, y, 4);
    if (node >= 0) return node;
  }
  return stage.nodeAt(x, y, 7);
}

/** The node of a line, founder first, whose part of the way a point lies on, `far` pixels away at most; -1 for none. */
export function treeOnWay(layout, line, at, x, y, far) {
  let best = -1;
  let least = far;
  line.forEach((v, j) => {
    const x0 = at.x(layout.born[v]);
    const x1 = at.x(j + 1 < line.length ? layout.born[line[j + 1]] : layout.end[v]);
    const own = at.y(layout.top[v]);
    const before = j ? at.y(layout.top[line[j - 1]]) : own;
    const beside = Math.max(x0 - x, x - x1, 0);
    const along = Math.hypot(beside, own - y);
    const upright = Math.hypot(x0 - x, Math.max(Math.min(own, before) - y, y - Math.max(own, before), 0));
    const distance = Math.min(along, upright);
    if (distance < least) {
      least = distance;
      best = v;
    }
  });
  return best;
}

// The pointer on the tree: what is under it (names and lines that stand out go before the many behind them), the card
// beside it, and what clicks do.

import { number } from "../base/dom.js";
import { treeNodesTo } from "./over.js";
import { treePlace } from "./paint.js";

/**
 * The node at a point of the stage; -1 for none.
 * @param {object} tree of treeModel @param {object} stage of treeStage @param {number} x @param {number} y
 */
function treeUnder(tree, stage, x, y) {
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
function treeOnWay(layout, line, at, x, y, far) {
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

/**
 * What a pointer does on the stage, for `treeInput`.
 * @param {object} tree of treeModel @param {object} stage of treeStage @param {object} card of treeCard
 * @param {HTMLElement} section says in `data-hovered` who is under the pointer
 * @param {(row: number) => void} pin
 */
export function treePointing(tree, stage, card, section, pin) {
  function hover(x, y) {
    const plot = stage.plot();
    const inside = x >= plot.left && x <= plot.left + plot.width && y >= plot.top && y <= plot.top + plot.height;
    tree.pointer = inside ? { x, y } : null;
    const node = treeUnder(tree, stage, x, y);
    tree.hovered = node < 0 ? -1 : tree.layout.row[node];
    stage.over.classList.toggle("hit", node >= 0);
    if (node < 0) {
      card.hide();
      delete section.dataset.hovered;
    } else {
      const perRow = plot.height / (stage.window().row1 - stage.window().row0);
      const together = tree.layout.size[node] * perRow < 1 && tree.layout.size[node] > 1;
      card.show(
        tree,
        tree.hovered,
        x,
        y,
        together
          ? `Drawn here as one with ${number(tree.layout.size[node] - 1)} descendants; come closer to tell them apart.`
          : null,
      );
      section.dataset.hovered = tree.columns.id[tree.hovered];
    }
    stage.ask(1);
  }

  function leave() {
    tree.pointer = null;
    tree.hovered = -1;
    delete section.dataset.hovered;
    card.hide();
    stage.ask(1);
  }

  function click(x, y) {
    const node = treeUnder(tree, stage, x, y);
    if (node < 0) return;
    const row = tree.layout.row[node];
    if (row !== tree.pinned) pin(row);
  }

  function enter(x, y) {
    const node = treeUnder(tree, stage, x, y);
    const { layout } = tree;
    if (node < 0) return stage.zoom(x, y, null, 2.5, true);
    const room = Math.max(1, 0.04 * layout.size[node]);
    stage.fly({
      time0: layout.born[node] - 1,
      time1: layout.reach[node] + 0.5,
      row0: layout.top[node] - room,
      row1: layout.top[node] + layout.size[node] + room,
    });
  }

  return { hover, leave, click, enter };
}

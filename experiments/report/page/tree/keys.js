// The keyboard on the tree: arrows walk from agent to agent, with Shift they move the window, other keys do one act
// each.

const WALK = { ArrowUp: "parent", ArrowDown: "child", ArrowLeft: "before", ArrowRight: "after" };
const SHIFT = { ArrowUp: [0, 60], ArrowDown: [0, -60], ArrowLeft: [80, 0], ArrowRight: [-80, 0] };

/** What is said where a walk comes to its end. */
export const TREE_ENDS = {
  parent: "A founder has no parent.",
  child: "No child is shown.",
  before: "No sibling before it.",
  after: "No sibling after it.",
};

/**
 * What a key does, for `treeInput`; it answers whether the key was one of the tree's.
 * @param {{step: (where: string) => void, pan: (across: number, down: number) => void, acts: Object<string, () =>
 *   void>}} hands `acts` by key
 * @returns {(event: KeyboardEvent) => boolean}
 */
export function treeKey({ step, pan, acts }) {
  return (event) => {
    if (event.altKey) return false;
    if (WALK[event.key]) {
      if (event.shiftKey) pan(...SHIFT[event.key]);
      else step(WALK[event.key]);
      return true;
    }
    if (!acts[event.key]) return false;
    acts[event.key]();
    return true;
  };
}

// Hands on the tree: wheel, pointers (mouse, touch, pen), keys. Calls back with what is meant; knows nothing of agents.

const WHEEL_PAUSE = 350;
const CLICK = 5;

/**
 * Listen to a canvas.
 * @param {HTMLElement} element
 * @param {object} hands `plot()`, `zoom(x, y, timeFactor, rowFactor)` with null for a factor that follows the other,
 *   `pan(dx, dy)` in pixels, `hover(x, y)`, `leave()`, `click(x, y)`, `enter(x, y)` (a double click), `canPan()`,
 *   `atWhole()`, `key(event)` (true: used)
 */
export function treeInput(element, hands) {
  treeWheel(element, hands);
  treePointers(element, hands);
  element.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey && hands.key(event)) event.preventDefault();
  });
}

/**
 * The wheel zooms, unless the page was being scrolled when the tree came under it, or there is nothing to zoom out of.
 */
function treeWheel(element, hands) {
  let elsewhere = -Infinity;
  addEventListener(
    "wheel",
    (event) => {
      if (!element.contains(event.target)) elsewhere = event.timeStamp;
    },
    { passive: true, capture: true },
  );
  element.addEventListener(
    "wheel",
    (event) => {
      if (event.timeStamp - elsewhere < WHEEL_PAUSE) {
        elsewhere = event.timeStamp;
        return;
      }
      const scale = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 200 : 1;
      const delta = (event.deltaY || event.deltaX) * scale;
      if (delta > 0 && hands.atWhole()) return;
      event.preventDefault();
      const factor = Math.exp(-Math.max(-240, Math.min(240, delta)) * (event.ctrlKey ? 0.012 : 0.0022));
      const { left, top } = element.getBoundingClientRect();
      const [time, row] = event.shiftKey ? [factor, 1] : event.altKey ? [1, factor] : [null, factor];
      hands.zoom(event.clientX - left, event.clientY - top, time, row);
    },
    { passive: false },
  );
}

function treePointers(element, hands) {
  const down = new Map();
  let moved = 0;
  let start = null;
  const place = (event) => {
    const { left, top } = element.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  };
  const spread = () => {
    const [a, b] = [...down.values()];
    return {
      x: (a.x + b.x) / 2,
      y: (a.y + b.y) / 2,
      wide: Math.max(20, Math.abs(a.x - b.x)),
      high: Math.max(20, Math.abs(a.y - b.y)),
      far: Math.max(20, Math.hypot(a.x - b.x, a.y - b.y)),
    };
  };
  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    down.set(event.pointerId, place(event));
    if (down.size === 1) {
      moved = 0;
      start = place(event);
    }
  });
  element.addEventListener("pointermove", (event) => {
    const now = place(event);
    const before = down.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== "touch") hands.hover(now.x, now.y);
      return;
    }
    if (down.size === 1) {
      moved = Math.max(moved, Math.hypot(now.x - start.x, now.y - start.y));
      if (moved > CLICK) {
        if (!element.hasPointerCapture(event.pointerId)) element.setPointerCapture(event.pointerId);
        element.classList.add("grabbed");
        hands.pan(now.x - before.x, now.y - before.y);
      }
      down.set(event.pointerId, now);
    } else if (down.size === 2) {
      moved = Infinity;
      const was = spread();
      down.set(event.pointerId, now);
      const is = spread();
      hands.zoom(is.x, is.y, null, is.far / was.far);
      hands.pan(is.x - was.x, is.y - was.y);
    }
  });
  const up = (event) => {
    const was = down.delete(event.pointerId);
    if (down.size === 0) element.classList.remove("grabbed");
    if (was && event.type === "pointerup" && moved <= CLICK && down.size === 0) {
      const { x, y } = place(event);
      hands.click(x, y);
    }
  };
  element.addEventListener("pointerup", up);
  element.addEventListener("pointercancel", up);
  element.addEventListener("pointerleave", () => hands.leave());
  element.addEventListener("dblclick", (event) => {
    const { x, y } = place(event);
    hands.enter(x, y);
  });
}

// The view, kept in the URL's hash as key=value&…, so that a link shows what its sender saw.
//
// Nothing here makes an entry in the history: the back button leaves the report. Writes are gathered, because browsers
// allow only so many a second.

const addressListeners = new Set();
let view = parsedAddress();
let addressWaits = 0;

/** What the address says; one that cannot be read says nothing. */
function parsedAddress() {
  const hash = location.hash.replace(/^#/, "");
  if (hash.includes("=")) return new URLSearchParams(hash);
  try {
    return new URLSearchParams(hash ? { at: decodeURIComponent(hash) } : {});
  } catch {
    return new URLSearchParams();
  }
}

function settleAddress() {
  addressWaits = 0;
  const text = view.toString().replaceAll("%2C", ",").replaceAll("%3A", ":");
  try {
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  } catch {
    // Some browsers refuse it for files; the page works without.
  }
}

/** @param {string} key @returns {string|null} what the address says, null where it says nothing */
export function read(key) {
  return view.get(key);
}

/**
 * Keeps a choice in the address; null, "" and undefined take it out.
 * @param {string} key
 * @param {string|number|null|undefined} value
 */
export function write(key, value) {
  const text = value === null || value === undefined ? "" : String(value);
  if ((view.get(key) ?? "") === text) return;
  if (text) view.set(key, text);
  else view.delete(key);
  if (!addressWaits) addressWaits = setTimeout(settleAddress, 250);
}

/**
 * Calls `listener` when the reader changes the address by hand.
 * @param {() => void} listener
 * @returns {() => void} ends that
 */
export function onAddress(listener) {
  addressListeners.add(listener);
  return () => addressListeners.delete(listener);
}

addEventListener("hashchange", () => {
  view = parsedAddress();
  for (const listener of addressListeners) listener();
});

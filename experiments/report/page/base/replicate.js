// The one choice of a replicate, which standings, champions, curves, clades and the heat map share: replicates have
// nothing in common, so they are looked at one at a time. Facts count them from 0; words and the address from 1.

import { h, segmented, selector } from "./dom.js";
import { read, write, onAddress } from "./address.js";

const KEY = "replicate";
const BUTTONS = 6;
const replicateListeners = new Set();

/** How many replicates the run has. @param {object} facts */
export function replicateCount(facts) {
  return Math.max(1, facts.run?.replicates ?? 1, ...(facts.standings ?? []).map((row) => (row.replicate ?? 0) + 1));
}

/** The one that is looked at, from 0. @param {object} facts */
export function replicateShown(facts) {
  const asked = read(KEY);
  const place = /^\d+$/.test(asked ?? "") ? Number(asked) - 1 : 0;
  return place >= 0 && place < replicateCount(facts) ? place : 0;
}

/** Its name, "replicate 2"; null where there is but one. @param {object} facts @param {number} place from 0 */
export function replicateWords(facts, place) {
  return replicateCount(facts) > 1 ? `replicate ${place + 1}` : null;
}

/** Looks at another one. @param {number} place from 0 */
export function showReplicate(place) {
  write(KEY, place ? place + 1 : null);
  for (const listener of replicateListeners) listener();
}

/**
 * Calls `listener` when another replicate is looked at.
 * @param {object} facts @param {(place: number) => void} listener is given its place, from 0
 */
export function onReplicate(facts, listener) {
  let now = replicateShown(facts);
  const look = () => {
    if (replicateShown(facts) === now) return;
    now = replicateShown(facts);
    listener(now);
  };
  replicateListeners.add(look);
  onAddress(look);
}

/** A control for the choice, the same in every section; null where there is but one. @param {object} facts */
export function replicateChoice(facts) {
  const count = replicateCount(facts);
  if (count < 2) return null;
  const settings = {
    label: "Replicate",
    options: Array.from({ length: count }, (_, i) => [String(i), String(i + 1)]),
    value: String(replicateShown(facts)),
    choose: (value) => showReplicate(Number(value)),
  };
  const control = count > BUTTONS ? selector(settings) : segmented(settings);
  onReplicate(facts, (place) => control.set(String(place)));
  return count > BUTTONS
    ? control
    : h("span", { class: "selector replicates" }, h("span", { "aria-hidden": "true" }, "Replicate"), control);
}

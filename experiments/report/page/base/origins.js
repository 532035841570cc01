// Founders that descend from champions of earlier runs: whose brain a founder began with.

/**
 * The champion of an earlier run that a founder descends from, in words, or null.
 * @param {object} facts
 * @param {number} id
 */
export function originOf(facts, id) {
  return (facts.origins ?? []).find((one) => one.founders.includes(id))?.of ?? null;
}

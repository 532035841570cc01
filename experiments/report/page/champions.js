// The section "champions".

/** Mounts the section. @param {HTMLElement} section @param {object} facts */
export function mountChampions(section, facts) {
  section.dataset.present = String(Boolean(facts.champions));
}

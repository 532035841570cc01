// The section "clades".

/** Mounts the section. @param {HTMLElement} section @param {object} facts */
export function mountClades(section, facts) {
  section.dataset.present = String(Boolean(facts.clades));
}

// The section "heat".

/** Mounts the section. @param {HTMLElement} section @param {object} facts */
export function mountHeat(section, facts) {
  section.dataset.present = String(Boolean(facts.heat));
}

// The section "curves".

/** Mounts the section. @param {HTMLElement} section @param {object} facts */
export function mountCurves(section, facts) {
  section.dataset.present = String(Boolean(facts.curves));
}

// The section "summary".

/** Mounts the section. @param {HTMLElement} section @param {object} facts */
export function mountSummary(section, facts) {
  section.dataset.present = String(Boolean(facts.summary));
}

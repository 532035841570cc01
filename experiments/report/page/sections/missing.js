// What the run does not have, in plain words, and what a reader should know besides.

import { h } from "../base/dom.js";

const MISSING_PARTS = {
  run: "The run",
  standings: "Scores of champions",
  curves: "Learning curves",
  tree: "Lineage tree",
  clades: "Founder clades",
  heat: "Agents by regime",
  champions: "Champions",
};

/** Mounts what is missing and the notes. @param {HTMLElement} section @param {object} facts */
export function mountMissing(section, facts) {
  const missing = facts.missing ?? [];
  const notes = facts.notes ?? [];
  const heading = section.querySelector("h2");
  if (!missing.length) {
    if (heading && notes.length) heading.textContent = "Notes";
    section.append(h("p", { class: "lead" }, "Nothing is missing: every part of this report had what it needs."));
  } else {
    section.append(
      h(
        "dl",
        { class: "missing" },
        missing.map((one) => [
          h(
            "dt",
            null,
            MISSING_PARTS[one.part] ?? one.part,
            one.what ? h("span", { class: "small" }, ` ${one.what}`) : null,
          ),
          h("dd", null, one.why),
        ]),
      ),
    );
  }
  if (notes.length)
    section.append(
      h(
        "ul",
        { class: "notes" },
        notes.map((note) => h("li", null, note)),
      ),
    );
  if (facts.made)
    section.append(
      h(
        "p",
        { class: "small" },
        `Made ${facts.made.slice(0, 16).replace("T", " ")} UTC`,
        facts.arena ? ` by Lineage Arena ${facts.arena}.` : ".",
      ),
    );
}

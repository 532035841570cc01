// The agent's card near the pointer, and the panel of the pinned agent: its card, and its line from the founder down as
// a list that can be read and walked.

import { h, many, number, words } from "../base/dom.js";
import { treeLine } from "./layout.js";
import { treeAgent, treeCardRows, treeRegimes, treeScarsBefore, treeScarsOf, treeSeverity } from "./agent.js";
import { treeShape } from "./marks.js";

const ENDS = 12;

function treeFacts(tree, agent) {
  return h(
    "dl",
    { class: "tree-facts" },
    treeCardRows(tree, agent).map(([label, text, of]) => [
      h("dt", null, label),
      h("dd", null, text, of ? h("span", { class: "tree-of" }, `, ${of}`) : null),
    ]),
  );
}

/**
 * The floating card.
 * @param {HTMLElement} host what the card must stay inside; positioned
 * @returns {{show: (tree: object, row: number, x: number, y: number, note: string|null) => void, hide: () => void}}
 */
export function treeCard(host) {
  const card = h("div", { class: "tree-card", "aria-hidden": "true", hidden: true });
  host.append(card);
  let shown = -1;
  let noted = null;
  return {
    show(tree, row, x, y, note) {
      if (shown !== row || noted !== note) {
        const agent = treeAgent(tree, row);
        card.replaceChildren(
          h("p", { class: "tree-name" }, `Agent ${agent.id}`),
          treeFacts(tree, agent),
          note ? h("p", { class: "tree-note" }, note) : "",
        );
        shown = row;
        noted = note;
      }
      card.hidden = false;
      const room = { wide: host.clientWidth, high: host.clientHeight };
      const wide = card.offsetWidth;
      const high = card.offsetHeight;
      const left = x + 18 + wide <= room.wide ? x + 18 : Math.max(0, x - 18 - wide);
      card.style.left = `${Math.max(0, Math.min(left, room.wide - wide))}px`;
      card.style.top = `${Math.max(0, Math.min(y + 14, room.high - high))}px`;
    },
    hide() {
      card.hidden = true;
    },
  };
}

/**
 * The panel of the pinned agent.
 * @param {{pin: (row: number) => void, release: () => void, visit: (row: number) => void,
 *   survey: (row: number) => void}} hands
 */
export function treePanel(hands) {
  const panel = h("aside", { class: "tree-panel", "aria-label": "Pinned agent", tabindex: "-1", hidden: true });
  return {
    element: panel,
    show(tree, row) {
      const agent = treeAgent(tree, row);
      const scars = treeScarsOf(tree, row);
      panel.replaceChildren(
        h(
          "header",
          null,
          h("h3", null, `Agent ${agent.id}`),
          h(
            "button",
            { type: "button", onclick: () => hands.visit(row), title: "Bring the agent into sight" },
            "Centre",
          ),
          h(
            "button",
            { type: "button", onclick: () => hands.survey(row), title: "Bring its line from the founder into sight" },
            "Whole line",
          ),
          h("button", { type: "button", onclick: hands.release, "aria-label": `Release agent ${agent.id}` }, "Release"),
        ),
        treeFacts(tree, agent),
        scars.length ? treeScarList(scars) : "",
        treeLineList(tree, row, hands),
      );
      panel.hidden = false;
    },
    hide() {
      panel.hidden = true;
      panel.replaceChildren();
    },
  };
}

function treeScarList(scars) {
  return h(
    "details",
    null,
    h("summary", null, `${many(scars.length, "scar")} of its own`),
    h(
      "ul",
      { class: "tree-scars" },
      scars.map((scar) =>
        h(
          "li",
          null,
          [`generation ${scar.generation}`, scar.cause, scar.regime, treeSeverity(scar.severity)]
            .filter(Boolean)
            .join(", "),
        ),
      ),
    ),
  );
}

/** The line from the founder, its middle folded away where it is long. */
function treeLineList(tree, row, hands) {
  const line = treeLine(tree.topology, row);
  const list = h("ol", { class: "tree-line" });
  const scars = line.map((one, k) =>
    treeScarsBefore(tree, one, k + 1 < line.length ? tree.columns.born[line[k + 1]] : Infinity),
  );
  const item = (k) => treeLineItem(tree, line[k], k, hands, line[k] === row, scars[k]);
  if (line.length <= 2 * ENDS + 4) for (let k = 0; k < line.length; k++) list.append(item(k));
  else {
    for (let k = 0; k < ENDS; k++) list.append(item(k));
    const hidden = line.length - 2 * ENDS;
    const unfold = () => {
      const middle = Array.from({ length: hidden }, (_, j) => item(ENDS + j));
      fold.replaceWith(...middle);
      middle[0].querySelector("button").focus();
    };
    const fold = h(
      "li",
      { class: "tree-fold" },
      h("button", { type: "button", onclick: unfold }, `Show ${many(hidden, "more ancestor")}`),
    );
    list.append(fold);
    for (let k = line.length - ENDS; k < line.length; k++) list.append(item(k));
  }
  const sum = (key) => scars.reduce((all, one) => all + one[key], 0);
  const later = sum("later") ? `; ${many(sum("later"), "scar")} of ancestors came later` : "";
  const way = `${many(sum("before"), "scar")} on the way`;
  const words =
    line.length === 1
      ? "A founder: its line is itself."
      : `Its line, founder first: ${many(line.length - 1, "birth")}, ${way}${later}.`;
  return h(
    "section",
    { class: "tree-trace", "aria-label": "Line from the founder" },
    h("h4", null, "Line"),
    h("p", { class: "small" }, words),
    list,
  );
}

function treeLineItem(tree, row, place, hands, self, scars) {
  const { columns, facts } = tree;
  const operator = facts.operators[columns.operator[row]];
  const won = columns.won[row];
  return h(
    "li",
    { value: place + 1, "data-row": row, "aria-current": self ? "true" : null },
    h("i", { class: `tree-shape ${treeShape(operator)}`, "aria-hidden": "true" }),
    h(
      "button",
      { type: "button", class: "tree-link", "aria-label": `Agent ${columns.id[row]}`, onclick: () => hands.pin(row) },
      String(columns.id[row]),
    ),
    h(
      "span",
      null,
      `generation ${columns.born[row]}, ${words(operator ?? "?")}`,
      scars.before ? h("b", { class: "tree-scarred" }, ` × ${many(scars.before, "scar")}`) : null,
      scars.later ? h("span", { class: "tree-later" }, ` × ${number(scars.later)} later`) : null,
      won ? h("b", { class: "tree-won" }, ` won ${treeRegimes(facts, won)}`) : null,
    ),
  );
}

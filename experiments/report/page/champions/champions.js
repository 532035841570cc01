// Each champion: who it is, how it fared on training and validation, its trades on the bars, its genome, its scars, and
// the line of births from a founder to it.

import { h, signed, number, words, capital, many, selector, table, stamp } from "../base/dom.js";
import { REGIME_GLYPHS } from "../base/theme.js";
import { read, write, onAddress } from "../base/address.js";
import { reason } from "../sections/summary.js";
import { mountJourney } from "./journey.js";
import { mountGenome } from "./genome.js";
import { mountLine } from "./ancestry.js";

const TABS = 10;

/** A champion's name in the address: an agent that learns may be champion with more than one genome. */
const keyOf = (champion) => String(champion.key ?? champion.id);

/** Mounts the champions. @param {HTMLElement} section @param {object} facts */
export function mountChampions(section, facts) {
  const champions = facts.champions ?? [];
  if (!champions.length) {
    if (!reason(facts, "champions"))
      section.append(
        h("p", { class: "absent" }, "No agent has been tried on validation yet, so there is no champion."),
      );
    return;
  }
  const panel = h("div", {
    id: "champion-panel",
    class: "champion",
    role: champions.length > TABS ? "region" : "tabpanel",
  });
  let shown = null;
  let charts = [];
  const index = () =>
    Math.max(
      0,
      champions.findIndex((one) => keyOf(one) === read("champion") || String(one.id) === read("champion")),
    );

  function show(i, { remember = true, focus = false } = {}) {
    if (i === shown) return;
    shown = i;
    if (remember) for (const key of ["journey", "bars", "forest"]) write(key, null);
    if (remember) write("champion", keyOf(champions[i]));
    for (const one of charts) one.remove();
    panel.replaceChildren();
    charts = drawChampion(panel, champions[i], facts);
    picker.mark(i, focus);
  }

  const picker = champions.length > TABS ? listPicker(champions, facts, show) : tabPicker(champions, facts, show);
  section.append(
    h("p", { class: "lead" }, "The best agent of each regime, as validation judged it."),
    picker.element,
    panel,
  );
  show(index(), { remember: false });
  onAddress(() => show(index(), { remember: false }));
  document.addEventListener("show-champion", (event) => {
    const i = champions.findIndex((one) => one.id === event.detail);
    if (i < 0) return;
    show(i);
    section.scrollIntoView({ block: "start" });
    picker.element.querySelector("[aria-selected=true], select")?.focus({ preventScroll: true });
  });
}

function marks(champion, facts) {
  return champion.regimes.map((regime) =>
    h(
      "span",
      { class: `glyph regime-${regime}`, title: words(facts.regimes[regime]), "aria-hidden": "true" },
      REGIME_GLYPHS[regime],
    ),
  );
}

function reignOf(champion, facts) {
  return champion.regimes
    .map((regime) => (regime === facts.regimes.length - 1 ? "all regimes" : words(facts.regimes[regime])))
    .join(", ");
}

/** Training and validation scores of a champion in a regime, from the standings. */
function scoresOf(champion, regime, facts) {
  return (facts.standings ?? []).find(
    (row) => row.player === "champion" && row.id === champion.id && row.regime === regime,
  );
}

function tabPicker(champions, facts, show) {
  const tabs = champions.map((champion, i) => {
    const row = scoresOf(champion, champion.regimes[0], facts);
    return h(
      "button",
      { type: "button", role: "tab", "aria-controls": "champion-panel", id: `champion-${i}`, onclick: () => show(i) },
      h("span", { class: "who" }, marks(champion, facts), h("b", null, String(champion.id))),
      h(
        "span",
        { class: "reign" },
        reignOf(champion, facts),
        champion.replicate ? ` · replicate ${champion.replicate}` : "",
      ),
      row
        ? h(
            "span",
            { class: "scores" },
            h("span", null, signed(row.train?.bp)),
            h("span", null, signed(row.validation?.bp)),
          )
        : null,
    );
  });
  const element = h("div", { class: "tabs", role: "tablist", "aria-label": "Champions" }, tabs);
  element.addEventListener("keydown", (event) => {
    const now = tabs.indexOf(document.activeElement);
    const to = {
      ArrowRight: now + 1,
      ArrowDown: now + 1,
      ArrowLeft: now - 1,
      ArrowUp: now - 1,
      Home: 0,
      End: tabs.length - 1,
    }[event.key];
    if (to === undefined || now < 0) return;
    event.preventDefault();
    show((to + tabs.length) % tabs.length, { focus: true });
  });
  return {
    element: h("div", null, element, h("p", { class: "small" }, "bp a bar in its regime: training, then validation.")),
    mark(i, focus) {
      tabs.forEach((tab, j) => {
        tab.setAttribute("aria-selected", String(i === j));
        tab.tabIndex = i === j ? 0 : -1;
      });
      if (focus) tabs[i].focus();
    },
  };
}

function listPicker(champions, facts, show) {
  const options = champions.map((one, i) => [
    String(i),
    `${reignOf(one, facts)} · ${one.id} · ${facts.species?.[one.species] ?? ""} · replicate ${one.replicate ?? 0}`,
  ]);
  const element = h(
    "div",
    { class: "controls" },
    selector({ label: "Champion", options, value: "0", choose: (value) => show(Number(value)) }),
  );
  return {
    element,
    mark(i) {
      element.querySelector("select").value = String(i);
    },
  };
}

function drawChampion(panel, champion, facts) {
  panel.setAttribute("aria-label", `Champion ${champion.id}`);
  const origin = [
    capital(facts.species?.[champion.species] ?? "agent"),
    champion.operator === "founder"
      ? "a founder"
      : `born in generation ${number(champion.born)}${champion.operator ? ` by ${champion.operator}` : ""}`,
    champion.depth ? `${many(champion.depth, "birth")} after its founder` : null,
    `champion of ${reignOf(champion, facts)} since generation ${number(champion.generation)}`,
  ];
  panel.append(
    h(
      "div",
      { class: "champion-head" },
      h("h3", null, marks(champion, facts), `Agent ${champion.id}`),
      h("p", { class: "lead" }, `${origin.filter(Boolean).join(", ")}.`, traceLink(champion, facts)),
    ),
  );
  const charts = [];
  charts.push(...mountJourney(panel, champion, facts));
  charts.push(...mountLine(panel, champion, facts));
  charts.push(...mountGenome(panel, champion));
  panel.append(h("div", { class: "aside" }, genes(champion), trust(champion, facts), scars(champion, facts)));
  return charts;
}

function traceLink(champion, facts) {
  if (!facts.tree) return null;
  const trace = (event) => {
    event.preventDefault();
    document.dispatchEvent(new CustomEvent("show-agent", { detail: champion.id }));
  };
  return [" ", h("a", { href: "#tree", onclick: trace }, "Show it in the tree"), "."];
}

function genes(champion) {
  const rows = Object.entries(champion.genes ?? {});
  if (!rows.length) return null;
  const value = (one) =>
    typeof one !== "number"
      ? String(one)
      : Math.abs(one) >= 1000
        ? number(one)
        : String(Number(one.toPrecision(4))).replace("-", "−");
  return h(
    "div",
    null,
    h("h4", null, "Genes"),
    table([
      ["gene", "value", "unit"],
      ...rows.map(([name, one]) => [words(name), value(one), champion.gene_units?.[name] ?? ""]),
    ]),
  );
}

function trust(champion, facts) {
  const values = champion.trust ?? [];
  const scores = champion.scores ?? {};
  if (!values.length && !Object.keys(scores).length) return null;
  const rows = facts.regimes.map((name, regime) => [
    h(
      "span",
      { class: `regime-${regime}` },
      h("span", { class: "glyph", "aria-hidden": "true" }, REGIME_GLYPHS[regime]),
      words(name),
    ),
    number(values[regime], 2),
    signed(scores[name] ?? scores[regime]),
  ]);
  return h("div", null, h("h4", null, "Trust and score"), table([["regime", "trust", "archive score, bp"], ...rows]));
}

function scars(champion, facts) {
  const list = champion.scars ?? [];
  const heading = h("h4", null, "Scars");
  if (!list.length) return h("div", null, heading, h("p", { class: "small" }, "It has none."));
  const rows = list
    .slice(0, 100)
    .map((scar) => [
      number(scar.generation),
      stamp(scar.time),
      words(facts.regimes[scar.regime] ?? "–"),
      words(scar.cause ?? "–"),
      number(scar.severity, 3),
      (scar.units ?? []).join(", ") || "–",
    ]);
  return h(
    "div",
    { class: "wide" },
    heading,
    h(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": "Scars" },
      table([["generation", "time", "regime", "cause", "severity", "units struck"], ...rows], {
        caption: list.length > 100 ? `The first 100 of ${number(list.length)}` : null,
      }),
    ),
  );
}

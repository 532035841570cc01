// Each champion: who it is, how it fared on training and validation, its trades on the bars, its genome, its scars, and
// the line of births from a founder to it.

import { h, signed, number, words, regimeName, capital, many, table, stamp } from "../base/dom.js";
import { REGIME_GLYPHS } from "../base/theme.js";
import { read, write, onAddress } from "../base/address.js";
import { originOf } from "../base/origins.js";
import { onReplicate, replicateChoice, replicateShown, replicateWords, showReplicate } from "../base/replicate.js";
import { reason } from "../sections/summary.js";
import { mountJourney } from "./journey.js";
import { mountGenome } from "./genome.js";
import { mountLine } from "./ancestry.js";

/** What the address keeps of the champion that is shown. */
const OF_A_CHAMPION = ["journey", "bars", "forest"];

/** A champion's name in the address: an agent that learns may be champion with more than one genome. */
const keyOf = (champion) => String(champion.key ?? champion.id);

/** Mounts the champions. @param {HTMLElement} section @param {object} facts */
export function mountChampions(section, facts) {
  const all = facts.champions ?? [];
  if (!all.length) {
    if (!reason(facts, "champions"))
      section.append(
        h("p", { class: "absent" }, "No agent has been tried on validation yet, so there is no champion."),
      );
    return;
  }
  const place = h("div");
  let shown = null;
  const draw = (replicate) => {
    shown?.remove();
    shown = drawChampions(place, replicate, facts);
  };
  const choice = replicateChoice(facts);
  section.append(
    h(
      "p",
      { class: "lead" },
      "Who holds each regime’s place in the archive: the best of those tried on validation, which may still lose. ",
      "On the bars a champion trades every regime, not its own alone.",
    ),
    choice ? h("div", { class: "controls" }, choice) : "",
    place,
  );
  draw(replicateShown(facts));
  onReplicate(facts, (replicate) => {
    const named = all.some((one) => keyOf(one) === read("champion") && (one.replicate ?? 0) === replicate);
    if (!named) for (const key of ["champion", ...OF_A_CHAMPION]) write(key, null);
    draw(replicate);
  });
  onAddress(() => shown?.look());
  document.addEventListener("show-champion", (event) => {
    const wanted = all.find((one) => one.id === event.detail);
    if (!wanted) return;
    if ((wanted.replicate ?? 0) !== replicateShown(facts)) showReplicate(wanted.replicate ?? 0);
    shown?.show(wanted);
    section.scrollIntoView({ block: "start" });
    place.querySelector("[aria-selected=true]")?.focus({ preventScroll: true });
  });
}

/** The champions of one replicate, one of them in full: `show(champion)`, `look()` at the address, `remove()`. */
function drawChampions(place, replicate, facts) {
  const champions = facts.champions.filter((one) => (one.replicate ?? 0) === replicate);
  if (!champions.length) {
    const among = replicateWords(facts, replicate) ?? "this run";
    place.replaceChildren(h("p", { class: "absent" }, `No champion of ${among} is on record.`));
    return null;
  }
  const panel = h("div", { id: "champion-panel", class: "champion", role: "tabpanel" });
  let now = null;
  let charts = [];
  const index = () =>
    Math.max(
      0,
      champions.findIndex((one) => keyOf(one) === read("champion") || String(one.id) === read("champion")),
    );
  const clear = () => {
    for (const one of charts) one.remove();
    panel.replaceChildren();
  };

  function show(i, { remember = true, focus = false } = {}) {
    if (i === now) return;
    now = i;
    if (remember) for (const key of OF_A_CHAMPION) write(key, null);
    if (remember) write("champion", keyOf(champions[i]));
    clear();
    charts = drawChampion(panel, champions[i], facts);
    picker.mark(i, focus);
  }

  const picker = tabPicker(champions, facts, show);
  place.replaceChildren(picker.element, panel);
  show(index(), { remember: false });
  return {
    show: (champion) => show(champions.indexOf(champion)),
    look: () => show(index(), { remember: false }),
    remove: clear,
  };
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
  return champion.regimes.map((regime) => regimeWords(regime, facts)).join(", ");
}

/** "bull trending since generation 7, all regimes since 5". */
function sinceWords(champion, facts) {
  const since = (regime) => number(champion.since?.[regime] ?? champion.generation);
  return champion.regimes
    .map((regime, i) => `${regimeWords(regime, facts)} since ${i ? "" : "generation "}${since(regime)}`)
    .join(", ");
}

function regimeWords(regime, facts) {
  return regimeName(facts.regimes[regime]);
}

/** Training and validation scores of a champion in a regime, from the standings. */
function scoresOf(champion, regime, facts) {
  return (facts.standings ?? []).find(
    (row) =>
      row.player === "champion" &&
      row.id === champion.id &&
      row.regime === regime &&
      (row.replicate ?? 0) === (champion.replicate ?? 0),
  );
}

function tabPicker(champions, facts, show) {
  const tabs = champions.map((champion, i) => {
    return h(
      "button",
      { type: "button", role: "tab", "aria-controls": "champion-panel", id: `champion-${i}`, onclick: () => show(i) },
      h("span", { class: "who" }, marks(champion, facts), h("b", null, String(champion.id))),
      h("span", { class: "reign" }, reignOf(champion, facts)),
      champion.regimes.map((regime) => scoreLine(scoresOf(champion, regime, facts), regime)),
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
    element: h("div", null, element, h("p", { class: "small" }, "Scores are bp a bar in the regime held.")),
    mark(i, focus) {
      tabs.forEach((tab, j) => {
        tab.setAttribute("aria-selected", String(i === j));
        tab.tabIndex = i === j ? 0 : -1;
      });
      if (focus) tabs[i].focus();
    },
  };
}

function scoreLine(row, regime) {
  if (!row) return null;
  return h(
    "span",
    { class: "scores" },
    h("span", { class: `glyph regime-${regime}`, "aria-hidden": "true" }, REGIME_GLYPHS[regime]),
    h("span", null, "training ", signed(row.train?.bp)),
    h("span", null, "validation ", signed(row.validation?.bp)),
  );
}

function drawChampion(panel, champion, facts) {
  panel.setAttribute("aria-label", `Champion ${champion.id}`);
  const before = champion.line?.length ? originOf(facts, champion.line[0].id) : null;
  const origin = [
    capital(facts.species?.[champion.species] ?? "agent"),
    champion.operator === "founder"
      ? "a founder"
      : `born in generation ${number(champion.born)}${champion.operator ? ` by ${champion.operator}` : ""}`,
    champion.depth ? `${many(champion.depth, "birth")} after its founder` : null,
    before ? `whose line comes from ${before}` : null,
    `champion of ${sinceWords(champion, facts)}`,
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
      regimeName(name),
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
      `${words(scar.cause ?? "–")}${scar.later ? ", after it won" : ""}`,
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

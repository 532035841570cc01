// The run in one screen: what was run, on what data, how far it is, how fast it was, and its champions.

import { h, number, compact, duration, stamp, day, words, many, capital } from "../base/dom.js";
import { standings } from "./standings.js";

const STATES = {
  running: "in progress",
  finished: "finished",
  interrupted: "interrupted",
};

/** Mounts the run in one screen. @param {HTMLElement} section @param {object} facts */
export function mountSummary(section, facts) {
  const run = facts.run;
  if (run) {
    section.querySelector("h2")?.append(" ", h("span", { class: `state ${run.state}` }, stateOf(run)));
    section.append(h("p", { class: "lead" }, sentence(run)), statistics(run), spans(run.market) ?? "");
  }
  if (facts.standings?.length) section.append(standings(facts));
  const lacking = reason(facts, "standings") ?? (facts.standings?.length ? null : "There are no champions yet.");
  if (lacking) section.append(h("p", { class: "absent" }, lacking));
  for (const note of facts.notes ?? []) section.append(h("p", { class: "small" }, note));
  if (run?.settings?.length) section.append(settings(run));
}

/** Why a part is missing, or null. @param {object} facts @param {string} part */
export function reason(facts, part) {
  return [...new Set((facts.missing ?? []).filter((one) => one.part === part).map((one) => one.why))].join(" ") || null;
}

function stateOf(run) {
  const word = STATES[run.state] ?? words(run.state ?? "unknown");
  return run.done !== null && run.target && run.done < run.target
    ? `${word}: ${number(run.done)} of ${number(run.target)} generations`
    : word;
}

function sentence(run) {
  const market = run.market ?? {};
  const symbols = market.symbols ?? [];
  const names =
    symbols.length > 4
      ? `${symbols.slice(0, 3).join(", ")} and ${symbols.length - 3} more symbols`
      : symbols.join(", ");
  const agents = (run.species ?? []).map((one) => (one.agents ? `${number(one.agents)} ${one.name}` : one.name));
  const parts = [
    `${capital(agents.join(" and ") || "agents")} ${run.islands > 1 ? `on ${number(run.islands)} islands` : ""}`.trim(),
    run.replicates > 1 ? `in each of ${number(run.replicates)} replicates` : "",
    names ? `trading ${names}${market.kind ? ` (${words(market.kind)})` : ""}` : "",
  ];
  const known = (value) => value !== null && value !== undefined && value !== "";
  const begun = [
    known(run.started) ? `begun ${stamp(run.started)} UTC` : "",
    known(run.finished) ? `finished ${stamp(run.finished)}` : "",
  ];
  const origin = [
    begun.filter(Boolean).join(", "),
    run.device ?? "",
    run.source ? `source ${String(run.source).slice(0, 12)}` : "",
  ];
  const seed = known(run.seed) ? `seed ${run.seed}` : "";
  const sentences = [parts.filter(Boolean).join(" "), [seed, ...origin].filter(Boolean).join("; ")];
  return sentences
    .filter(Boolean)
    .map((one) => `${capital(one)}.`)
    .join(" ");
}

function statistics(run) {
  const each = (counts) =>
    Object.entries(counts ?? {})
      .filter(([, n]) => n)
      .map(([cause, n]) => `${compact(n)} ${words(cause)}`)
      .join(", ");
  const total = (counts) => (counts ? Object.values(counts).reduce((a, b) => a + b, 0) : null);
  const one = (label, value, note) =>
    h("div", null, h("dt", null, label), h("dd", null, value, note ? h("small", null, note) : null));
  const done = run.seconds && run.compile_seconds !== null ? `${duration(run.compile_seconds)} to compile` : null;
  return h(
    "dl",
    { class: "statistics" },
    one("Generations", number(run.done), run.target ? `of ${number(run.target)}` : null),
    one(
      "Born",
      number(run.born),
      run.deepest !== null && run.deepest !== undefined ? `deepest line ${many(run.deepest, "birth")}` : null,
    ),
    one("Died", number(total(run.died)), each(run.died)),
    one("Scars", number(total(run.scars)), each(run.scars)),
    one("Agent-bars a second", compact(run.agent_bars_per_second), null),
    one("Time", duration(run.seconds), done),
  );
}

function spans(market) {
  if (!market?.train) return null;
  const known = [
    market.first,
    market.last,
    market.train.first,
    market.train.last,
    market.validation?.first,
    market.validation?.last,
  ]
    .filter(Boolean)
    .map((text) => Date.parse(text));
  const first = Math.min(...known);
  const last = Math.max(...known);
  const share = (text) => ((Date.parse(text) - first) / (last - first || 1)) * 100;
  const shut = market.validation && share(market.validation.last) < 97;
  const span = (part, name, label) => {
    if (!part) return null;
    const words = h(
      "span",
      null,
      h("b", null, label),
      ` ${number(part.bars)} bars`,
      h("i", null, `${day(part.first)} – ${day(part.last)}`),
    );
    return h(
      "div",
      {
        class: name,
        style: { left: `${share(part.first)}%`, width: `${Math.max(0.5, share(part.last) - share(part.first))}%` },
      },
      words,
    );
  };
  return h(
    "div",
    { class: "spans", role: "group", "aria-label": "Data in time" },
    span(market.train, "train", "Training"),
    span(market.validation, "validation", "Validation"),
    shut
      ? h(
          "div",
          {
            class: "holdout",
            style: { left: `${share(market.validation.last)}%`, width: `${100 - share(market.validation.last)}%` },
          },
          h("span", null, h("b", null, "Not read"), h("i", null, `to ${day(market.last)}`)),
        )
      : null,
  );
}

function settings(run) {
  const versions = Object.entries(run.versions ?? {}).map(([name, version]) => [`version of ${name}`, version]);
  const rows = [...run.settings, ...versions].map(([key, value]) =>
    h("div", null, h("dt", null, key), h("dd", null, value === null ? "null" : String(value))),
  );
  return h(
    "details",
    { class: "settings" },
    h("summary", null, `Settings (${number(run.settings.length)})`),
    h("dl", null, rows),
  );
}

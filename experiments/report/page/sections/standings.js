// The champions by regime on training and validation side by side, with what anybody could have done.

import { h, svg, number, signed, percent, regimeName, words } from "../base/dom.js";
import { REGIME_GLYPHS } from "../base/theme.js";
import { onReplicate, replicateChoice, replicateCount, replicateShown } from "../base/replicate.js";

const SPLITS = [
  ["train", "Training"],
  ["validation", "Validation"],
];

/** Standings of one replicate at a time, with their key. @param {object} facts */
export function standings(facts) {
  const place = h("div", { class: "standings" });
  const draw = (replicate) => place.replaceChildren(standingsTable(facts, replicate));
  draw(replicateShown(facts));
  onReplicate(facts, draw);
  return h(
    "div",
    null,
    h("div", { class: "standings-head" }, h("h3", null, "Champions by regime, after costs"), replicateChoice(facts)),
    place,
    h(
      "p",
      { class: "key" },
      marker("champion"),
      " champion",
      marker("hold"),
      " buy and hold",
      marker("flat"),
      " flat, 0",
      facts.standings.some((row) => row.player === "oracle")
        ? [marker("oracle"), " oracle: the best in expectation, which luck on few bars can beat"]
        : null,
      replicateCount(facts) > 1 ? [marker("other"), " champions of other replicates"] : null,
    ),
    h(
      "p",
      { class: "small" },
      "bp is the log return a bar in hundredths of a percent; Sharpe is a year’s; drawdown the worst of an episode. ",
      "Validation chose the champions, so its column is the best of many tries and flatters them; compare the two.",
    ),
  );
}

function standingsTable(facts, replicate) {
  const rows = facts.standings;
  const best = rows.some((row) => row.player === "oracle");
  const player = (regime, name) =>
    rows.find((row) => row.regime === regime && row.player === name && (row.replicate ?? 0) === replicate) ??
    (name === "champion" ? undefined : rows.find((row) => row.regime === regime && row.player === name));
  const scale = scaleOf(rows);
  const has = (name, key) =>
    rows.some((row) => row.player === name && SPLITS.some(([part]) => Number.isFinite(row[part]?.[key])));
  const held = has("buy and hold", "bp");
  const sharpe = has("champion", "sharpe");
  const heads = [
    "champion",
    ...(held ? ["hold"] : []),
    ...(best ? ["oracle"] : []),
    ...(sharpe ? ["Sharpe"] : []),
    "drawdown",
    "trades",
    "bars",
  ];
  const head = h(
    "thead",
    null,
    h(
      "tr",
      { class: "parts" },
      h("td", { colspan: 2 }),
      SPLITS.map(([key, name]) => h("th", { class: key, scope: "colgroup", colspan: heads.length + 1 }, name)),
    ),
    h(
      "tr",
      null,
      h("th", { scope: "col" }, "Regime"),
      h("th", { scope: "col" }, "Agent"),
      SPLITS.map(([key]) => [
        h("th", { class: `${key} first`, scope: "col" }, "bp a bar"),
        heads.map((name) => h("th", { class: `n ${key}`, scope: "col" }, name)),
      ]),
    ),
  );
  const body = facts.regimes.map((name, regime) => {
    const champion = player(regime, "champion");
    const hold = player(regime, "buy and hold");
    const oracle = player(regime, "oracle");
    const others = rows.filter((row) => row.regime === regime && row.player === "champion" && row !== champion);
    const cells = ([part, title]) => {
      const at = (row) => row?.[part] ?? {};
      const cell = (label, value, more = "") => h("td", { class: `n ${part} ${more}`, "data-label": label }, value);
      return [
        h(
          "td",
          { class: `${part} first`, "data-label": title },
          dots(
            {
              champion: at(champion).bp,
              hold: at(hold).bp,
              oracle: at(oracle).bp,
              others: others.map((row) => at(row).bp),
            },
            scale,
            `${words(name)}, ${title}`,
          ),
        ),
        cell("champion", signed(at(champion).bp), "strong"),
        held ? cell("buy and hold", signed(at(hold).bp)) : null,
        best ? cell("oracle", signed(at(oracle).bp)) : null,
        sharpe ? cell("Sharpe", number(at(champion).sharpe, 2)) : null,
        cell("drawdown", percent(at(champion).drawdown)),
        cell("trades", number(at(champion).trades)),
        cell("bars", number(at(champion).bars)),
      ];
    };
    return h(
      "tr",
      { class: `regime-${regime}` },
      h(
        "th",
        { scope: "row" },
        h("span", { class: "glyph", "aria-hidden": "true" }, REGIME_GLYPHS[regime]),
        regimeName(name),
      ),
      h(
        "td",
        { class: "agent" },
        champion
          ? [agentLink(champion.id, facts), h("small", null, facts.species?.[champion.species] ?? "")]
          : h("small", null, "none yet"),
      ),
      SPLITS.map(cells),
    );
  });
  return h(
    "table",
    null,
    h("caption", { class: "hidden" }, "Champions by regime on training and validation"),
    head,
    h("tbody", null, body),
  );
}

function agentLink(id, facts) {
  if (id === null || id === undefined) return "–";
  if (!(facts.champions ?? []).some((one) => one.id === id)) return h("b", null, String(id));
  const open = (event) => {
    event.preventDefault();
    document.dispatchEvent(new CustomEvent("show-champion", { detail: id }));
  };
  return h("a", { href: "#champions", onclick: open }, String(id));
}

function scaleOf(rows) {
  const all = rows.flatMap((row) => [row.train?.bp, row.validation?.bp]).filter((value) => Number.isFinite(value));
  const low = Math.min(0, ...all);
  const high = Math.max(0, ...all);
  const room = (high - low || 1) * 0.06;
  return (value) => 4 + ((value - low + room) / (high - low + 2 * room)) * 96;
}

function marker(kind) {
  return h(
    "span",
    { class: "marker", "aria-hidden": "true" },
    svg("svg", { viewBox: "0 0 12 12", width: 12, height: 12 }, shape(kind, 6, 6)),
  );
}

function shape(kind, x, y) {
  if (kind === "champion") return svg("circle", { class: "champion", cx: x, cy: y, r: 4.5 });
  if (kind === "other") return svg("circle", { class: "other", cx: x, cy: y, r: 2.5 });
  if (kind === "hold") return svg("path", { class: "hold", d: `M${x},${y - 4.5} l4.5,4.5 l-4.5,4.5 l-4.5,-4.5 Z` });
  if (kind === "oracle") return svg("path", { class: "oracle", d: `M${x},${y - 6} v12` });
  return svg("path", { class: "flat", d: `M${x},${y - 6} v12` });
}

function dots({ champion, hold, oracle, others }, scale, label) {
  const at = (kind, value, text) =>
    Number.isFinite(value)
      ? svg("g", null, svg("title", null, `${text} ${signed(value)} bp`), shape(kind, scale(value), 11))
      : null;
  const link =
    Number.isFinite(champion) && Number.isFinite(hold)
      ? svg("path", { class: "link", d: `M${scale(hold)},11 H${scale(champion)}` })
      : null;
  return svg(
    "svg",
    {
      class: "dots",
      viewBox: "0 0 104 22",
      role: "img",
      "aria-label": `${label}: champion ${signed(champion)}, buy and hold ${signed(hold)} bp a bar`,
    },
    svg("path", { class: "axis", d: "M0,11 H104" }),
    svg("path", { class: "flat", d: `M${scale(0)},3 v16` }),
    link,
    at("oracle", oracle, "oracle"),
    others.map((value) => at("other", value, "another replicate’s champion")),
    at("hold", hold, "buy and hold"),
    at("champion", champion, "champion"),
  );
}

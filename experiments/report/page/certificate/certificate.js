// The certificate: whether a champion may be believed, by what it did on bars that nobody had seen, and what its record
// is worth when everything that was tried is counted.

import { h, number, percent, day, stamp, many, capital } from "../base/dom.js";
import { read, write, onAddress } from "../base/address.js";
import { histogram } from "../base/histogram.js";
import { onReplicate, replicateChoice, replicateShown, replicateWords } from "../base/replicate.js";
import { reason } from "../sections/summary.js";
import { mountEquity } from "./equity.js";
import { familyTable, verdictWords } from "./family.js";
import { mountLuck } from "./luck.js";
import { behind, everything, trials } from "./numbers.js";
import { costBars, regimeBars } from "./parts.js";
import { VERDICTS, memberName, memberTitle, ruleWords, sentences } from "./words.js";

/** Mounts the certificate. @param {HTMLElement} section @param {object} facts */
export function mountCertificate(section, facts) {
  const all = facts.certificates ?? [];
  if (!all.length) {
    if (!reason(facts, "certificate")) section.append(lacking(facts, null));
    return;
  }
  const place = h("div", { class: "certificate" });
  let shown = null;
  const draw = (replicate) => {
    shown?.remove();
    place.replaceChildren();
    const own = all.find((one) => one.replicate === replicate);
    shown = own ? drawCertificate(place, own, facts) : null;
    if (!own) place.append(lacking(facts, replicate));
  };
  const choice = replicateChoice(facts);
  section.append(choice ? h("div", { class: "controls" }, choice) : "", place);
  draw(replicateShown(facts));
  onReplicate(facts, draw);
  onAddress(() => shown?.look());
}

/** What is said where there is none, with the command that makes it. */
function lacking(facts, replicate) {
  const whose = replicate === null ? "this run" : replicateWords(facts, replicate);
  const more = replicate ? ` --replicate ${replicate + 1}` : "";
  return h(
    "p",
    { class: "absent" },
    `The champions of ${whose} have not been judged on the holdout: `,
    h("code", null, `arena certify ${facts.run?.id ?? "RUN"}${more}`),
    " opens it, once, and writes their certificate.",
  );
}

function drawCertificate(place, certificate, facts) {
  const { family } = certificate;
  const asked = () => family.findIndex((one) => one.member === read("member"));
  const first = () =>
    [asked(), family.findIndex((one) => one.verdict === "pass"), family.length - 1].find((i) => i >= 0);
  const table = familyTable(family, facts, (i) => show(i, true));
  const panel = h("div");
  let now = -1;
  let charts = [];
  const remove = () => {
    for (const one of charts) one.remove();
    charts = [];
  };
  function show(i, remember) {
    if (remember) write("member", family[i].member);
    if (i === now) return;
    now = i;
    remove();
    panel.replaceChildren();
    charts = [drawMember(panel, certificate, i, facts)];
    table.mark(i);
  }
  if (certificate.former) {
    const now =
      "The run went on since: this is of the champions it had then. To judge those of now is another opening.";
    place.append(h("p", { class: "absent" }, now));
  }
  place.append(verdict(certificate), about(certificate), h("h3", null, "Who was judged"));
  place.append(
    h(
      "p",
      { class: "lead" },
      "Each traded the whole holdout once, on one account that began flat; a regime’s champion stays flat outside its ",
      "regime. One that is better than both, beyond luck, passes, and one that passes is enough.",
    ),
    table.element,
    panel,
  );
  const luck = charted(place, certificate);
  place.append(
    h("h3", null, "How much was tried"),
    h(
      "p",
      { class: "lead" },
      "The best of many looks good by luck. Each record is held against the best that luck would show among those ",
      "whose best was taken on it; the holdout against the family and its openings alone, since nobody was ",
      "chosen there.",
    ),
    ...trials(certificate),
  );
  show(first(), false);
  return {
    look: () => show(first(), false),
    remove() {
      remove();
      for (const one of luck) one.remove();
    },
  };
}

/** What a verdict means to whoever thinks of trading it. */
function plainWords(said, level) {
  if (said === "pass")
    return [
      "On bars that nobody had seen, it earned more than luck explains, and more than holding what it usually holds. ",
      `A population without an edge comes this far at most ${percent(level.used, 2)} of the time.`,
    ];
  if (said === "fail")
    return [
      "On bars that nobody had seen, nothing set these champions apart from luck. ",
      "This record is no reason to trade them.",
    ];
  return [
    "The bars that nobody had seen are too few, or the trades on them, to tell an edge from luck. ",
    "So far nothing speaks for these champions.",
  ];
}

/** The verdict, large, and why. */
function verdict({ verdict: said, reasons, level }) {
  return h(
    "div",
    { class: `verdict ${said}` },
    h(
      "p",
      { class: "large" },
      h("span", { class: "sign", "aria-hidden": "true" }, VERDICTS[said].sign),
      VERDICTS[said].large,
    ),
    h(
      "div",
      null,
      h("p", null, plainWords(said, level)),
      h(
        "ul",
        null,
        reasons.map((one) => h("li", null, sentences([one]))),
      ),
    ),
  );
}

function about({ holdout, level, made }) {
  const one = (label, value, note) =>
    h("div", null, h("dt", null, label), h("dd", null, value, h("small", null, note)));
  const symbols = holdout.symbols ?? [];
  const again = level.opening > 1;
  return h(
    "dl",
    { class: "statistics" },
    one("Holdout", many(holdout.days, "day"), `${day(holdout.first)} – ${day(holdout.last)}`),
    one("Bars", number(holdout.bars), symbols.length > 3 ? `of ${number(symbols.length)} symbols` : symbols.join(", ")),
    one("Opening of these bars", ordinal(level.opening), again ? "each is judged harder" : "nobody had seen them"),
    one(
      "Level",
      percent(level.used, 2),
      again ? `${percent(level.alpha, 0)} at the first` : "at most, to pass by luck",
    ),
    one("Certified", day(made), `${stamp(made).slice(11)} UTC`),
  );
}

function ordinal(count) {
  const tail = count % 100 > 10 && count % 100 < 14 ? "th" : ({ 1: "st", 2: "nd", 3: "rd" }[count % 10] ?? "th");
  return `${number(count)}${tail}`;
}

/** The plots that are of the whole population. Returns their charts. */
function charted(place, certificate) {
  const pair = h("div", { class: "pair" });
  place.append(pair);
  const part = (title) => {
    const one = h("div", null, h("h3", null, title));
    pair.append(one);
    return one;
  };
  return [mountLuck(part("Among the lucky"), certificate), overfitting(part("Overfitting"), certificate)];
}

/** How often the best in one half of validation was below the middle in the other. */
function overfitting(place, { overfitting: found, why }) {
  if (!found) {
    place.append(h("p", { class: "absent" }, `Unknown: ${why.overfitting ?? "there was too little to tell"}.`));
    return { remove() {} };
  }
  place.append(
    h(
      "p",
      { class: "lead" },
      "Validation cut in halves, in every way: how the best of one half ranked in the other. Left of 0 it fell below ",
      "the middle there, so that choosing it told nothing.",
    ),
  );
  const counted = `${many(found.columns, "agent")}, ${many(found.splits, "cut")}`;
  return histogram(place, {
    label: "Logits of the rank of the best in one half among all in the other",
    edges: found.edges,
    counts: found.counts,
    mark: 0,
    marked: `Probability of overfitting ${percent(found.pbo)}: ${counted}`,
    axis: "logit of its rank in the other half",
    colours: (colours) => [colours.negative, colours.positive],
    digits: 0,
  });
}

/** One member in full. Returns what has to be removed with it. */
function drawMember(panel, certificate, i, facts) {
  const one = certificate.family[i];
  const name = memberName(one);
  panel.append(
    h("h3", { class: "of-member" }, `${capital(memberTitle(one))} on the holdout`),
    h(
      "p",
      { class: "lead" },
      h("b", { class: `said ${one.verdict}` }, verdictWords(one.verdict)),
      `. ${sentences(one.reasons)} `,
      one.folds ? `By fold it was ${one.folds.map((fold) => fold.id ?? "nobody").join(", ")}. ` : "",
      one.rule ? `Its decision rule: ${ruleWords(one.rule)}.` : "",
    ),
  );
  const chart = mountEquity(panel, certificate, i, name);
  panel.append(
    h(
      "div",
      { class: "pair" },
      h("div", null, h("h3", null, "By regime"), regimeBars(certificate.family, facts)),
      h("div", null, h("h3", null, "Costs"), costBars(one)),
    ),
    h("h3", null, "The numbers behind"),
    behind(certificate, one),
    ...everything(certificate, one, name),
  );
  return chart;
}

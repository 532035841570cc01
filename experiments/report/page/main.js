// Where the page begins: colours, the bar at the top, and every section mounted, each on its own, so that one that
// fails says so in its place and the others stand.

import { facts } from "./base/data.js";
import { h, segmented } from "./base/dom.js";
import { read, write, onAddress } from "./base/address.js";
import { startTheme, chooseTheme, themeChoice } from "./base/theme.js";
import { mountSummary, reason } from "./sections/summary.js";
import { mountCertificate } from "./certificate/certificate.js";
import { mountChampions } from "./champions/champions.js";
import { mountGrid } from "./sections/grid.js";
import { mountCurves } from "./sections/curves.js";
import { mountTree } from "./tree/tree.js";
import { mountClades } from "./sections/clades.js";
import { mountHeat } from "./sections/heat.js";
import { mountMissing } from "./sections/missing.js";

const MOUNTS = {
  summary: { mount: mountSummary, short: "Run" },
  certificate: { mount: mountCertificate, short: "Certificate" },
  champions: { mount: mountChampions, short: "Champions" },
  grid: { mount: mountGrid, short: "Rules" },
  curves: { mount: mountCurves, short: "Curves" },
  tree: { mount: mountTree, short: "Lineage" },
  clades: { mount: mountClades, short: "Clades" },
  heat: { mount: mountHeat, short: "Regimes" },
  missing: { mount: mountMissing, short: "Missing" },
};

function bar() {
  const header = document.getElementById("top");
  const links = [...document.querySelectorAll("main > section")].map((section) =>
    h(
      "a",
      {
        href: `#${section.id}`,
        "data-section": section.id,
        onclick: (event) => (event.preventDefault(), goTo(section.id)),
      },
      MOUNTS[section.id]?.short ?? section.id,
    ),
  );
  const choices = [
    ["auto", "Auto"],
    ["light", "Light"],
    ["dark", "Dark"],
  ];
  let themes = null;
  const rebuilt = () => {
    const fresh = segmented({ label: "Colours", options: choices, value: themeChoice(), choose: chooseTheme });
    themes?.replaceWith(fresh);
    themes = fresh;
  };
  rebuilt();
  onAddress(rebuilt);
  document.body.prepend(h("a", { class: "skip", href: "#main", onclick: skip }, "Skip to the content"));
  header.append(h("nav", { "aria-label": "Sections" }, links), themes);
  follow(links);
}

function skip(event) {
  event.preventDefault();
  const main = document.getElementById("main");
  main.tabIndex = -1;
  main.focus();
}

/** Scrolls to a section and gives its heading the focus. @param {string} id @param {"auto"|"instant"} behavior */
function goTo(id, behavior = "auto") {
  const section = document.getElementById(id);
  if (!section) return;
  const heading = section.querySelector("h2");
  if (heading) {
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }
  section.scrollIntoView({ block: "start", behavior });
  write("at", id);
}

function follow(links) {
  const shown = new Map();
  const watch = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) shown.set(entry.target.id, entry.isIntersecting);
      const now = links.find((link) => shown.get(link.dataset.section));
      for (const link of links) {
        if (link === now) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
    },
    { rootMargin: "-25% 0px -60% 0px" },
  );
  for (const link of links) watch.observe(document.getElementById(link.dataset.section));
}

function absence(section, all) {
  const why = section.id === "summary" ? reason(all, "run") : reason(all, section.id);
  if (why) section.append(h("p", { class: "absent" }, why));
}

/** Escape closes the disclosure it is pressed in. */
function closing() {
  document.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && !event.defaultPrevented && event.target.closest?.("details[open]");
    if (!open) return;
    open.open = false;
    open.querySelector("summary")?.focus();
  });
}

function start() {
  startTheme();
  let all;
  try {
    all = facts();
  } catch (error) {
    document
      .getElementById("main")
      .prepend(h("p", { class: "absent", role: "alert" }, `This report's facts cannot be read: ${error.message}`));
    return;
  }
  for (const section of document.querySelectorAll("main > section")) {
    if (section.id !== "missing") absence(section, all);
    try {
      MOUNTS[section.id]?.mount(section, all);
    } catch (error) {
      console.error(error);
      section.append(h("p", { class: "absent", role: "alert" }, `This part could not be drawn: ${error.message}`));
    }
  }
  bar();
  closing();
  document.documentElement.dataset.ready = "true";
  const at = read("at");
  if (at && at !== "summary") goTo(at, "instant");
}

start();

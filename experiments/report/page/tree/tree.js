// The lineage tree: time runs across, each line is an agent from birth to death, joined to its parent's at its birth.
// This module mounts the section and ties its parts together: what is chosen, pinned and in sight, and the address.

import { read, write, onAddress } from "../base/address.js";
import { columns } from "../base/data.js";
import { h, number } from "../base/dom.js";
import { onTheme, theme } from "../base/theme.js";
import { treeFromAddress, treeToAddress } from "./address.js";
import { treeAgent, treeSentence } from "./agent.js";
import { treeCard, treePanel } from "./card.js";
import { treeControls, treeKeys, treeZoomButtons } from "./controls.js";
import { treeInput } from "./input.js";
import { treeKey, TREE_ENDS } from "./keys.js";
import { treeNeighbours } from "./layout.js";
import { treeLegend } from "./legend.js";
import { treeModel, treeNobody, treeRecolour, treeRefilter, treeWords, TREE_ALL } from "./model.js";
import { treeOverview } from "./overview.js";
import { treePointing } from "./point.js";
import { treeRowOf, treeSearch } from "./search.js";
import { treeStage } from "./stage.js";
import { treeAlong, treeAround, treeWindowOf, treeWindowText } from "./window.js";

/**
 * Mounts the lineage tree.
 * @param {HTMLElement} section @param {object} facts
 */
export async function mountTree(section, facts) {
  if (!facts.tree) return;
  try {
    const table = await columns("tree");
    const scars = facts.tree.scars && facts.columns[facts.tree.scars] ? await columns(facts.tree.scars) : null;
    if (table.length) growTree(section, facts, table, scars);
    else section.append(h("p", { class: "absent" }, "Nobody was born in this run yet."));
  } catch (error) {
    console.error(error);
    section.append(h("p", { class: "absent", role: "alert" }, `The tree could not be drawn: ${error.message}`));
  }
}

function growTree(section, facts, table, scars) {
  const tree = treeModel(facts, table, scars, theme());
  treeFromAddress(tree);
  treeRefilter(tree);
  const stage = treeStage(tree, { moved: remember, painted });
  const frame = h("div", { class: "tree-frame" }, stage.element);
  const card = treeCard(frame);
  const panel = treePanel({
    pin: (row) => pin(row, true),
    release,
    visit: (row) => bring(row, visit),
    survey: (row) => bring(row, survey),
  });
  const legend = treeLegend((bin) => {
    tree.lit = bin;
    recolour();
  });
  const overview = treeOverview((time, row) => {
    const { time0, time1, row0, row1 } = stage.window();
    stage.stop();
    stage.look({
      time0: time - (time1 - time0) / 2,
      time1: time + (time1 - time0) / 2,
      row0: row - (row1 - row0) / 2,
      row1: row + (row1 - row0) / 2,
    });
  });
  const controls = treeControls(tree, {
    filter: (change) => refilter(change),
    colour: choose("by"),
    order: choose("order"),
  });
  const search = treeSearch({ find, champion, champions: tree.champions.length });
  const said = h("p", { class: "hidden", "aria-live": "polite" });
  const shown = h("p", { class: "readout tree-shown" });
  const middle = (timeFactor, rowFactor) => {
    const plot = stage.plot();
    stage.zoom(plot.left + plot.width / 2, plot.top + plot.height / 2, timeFactor, rowFactor, true);
  };
  const fit = () => stage.fly(stage.whole());
  const tools = h(
    "div",
    { class: "controls tree-tools" },
    search.form,
    search.champions,
    search.said,
    treeZoomButtons(middle, fit),
  );
  const body = h(
    "div",
    { class: "tree-body" },
    h("div", { class: "tree-main" }, frame, overview.element, legend.element),
    panel.element,
  );
  const lead = h(
    "p",
    { class: "lead" },
    "Time runs across in generations. Each line is an agent from its birth to its death; ",
    "it leaves its parent’s line where it was born.",
  );
  section.append(...[lead, controls.element, tools, shown, body, treeKeys(), said]);
  stage.over.setAttribute(
    "aria-label",
    "Lineage tree. Arrow keys walk from agent to agent, Enter traces a line; all keys are listed below.",
  );

  /** Keep the view in the address; of an agent alone in it one would see more than was seen. */
  function remember() {
    treeToAddress(tree);
    write("tree", stage.atWhole() && tree.pinned < 0 ? null : treeWindowText(stage.window()));
  }

  function painted({ spent, found, window }) {
    section.dataset.frameMs = spent.toFixed(1);
    if (found) {
      section.dataset.visited = found.visited;
      overview.draw(window, tree.theme, pinnedPlace());
      stage.over.classList.toggle("still", stage.atWhole());
    }
    section.dataset.window = treeWindowText(window);
    section.dataset.ready = "true";
  }

  /** After a change of what is drawn: words, legend, overview. */
  function describe() {
    legend.show(tree);
    overview.refresh({ layout: tree.layout, paint: tree.paint, theme: tree.theme }, stage.whole());
    shown.textContent = [treeWords(tree), facts.tree.pruned].filter(Boolean).join(" ");
    section.dataset.shown = tree.selected.kept;
    section.dataset.matched = tree.selected.matched;
    section.dataset.total = facts.tree.born_total ?? table.length;
    frame.classList.toggle("empty", tree.layout.n === 0);
    frame.dataset.nobody = treeNobody(tree);
  }

  function recolour() {
    treeRecolour(tree);
    describe();
    stage.now();
  }

  function refilter(change) {
    Object.assign(tree.filter, change);
    tree.hovered = -1;
    tree.lit = null;
    card.hide();
    search.say();
    treeRefilter(tree);
    stage.reset();
    const { from, to } = tree.filter;
    if ((from ?? 0) <= (to ?? tree.last) && (from !== null || to !== null))
      stage.look({ ...stage.whole(), time0: from ?? 0, time1: (to ?? tree.last) + 1 });
    describe();
    controls.update();
    remember();
  }

  function choose(what) {
    return (value) => {
      tree[what] = value;
      tree.lit = null;
      remember();
      if (what === "by") recolour();
      else refilter({});
    };
  }

  const drawn = (row) => tree.layout.node[row] >= 0;
  const pinnedPlace = () => {
    const node = tree.pinned < 0 ? -1 : tree.layout.node[tree.pinned];
    return node < 0 ? null : { time: tree.layout.end[node], row: tree.layout.top[node] };
  };

  function visit(row) {
    if (drawn(row)) stage.fly(treeAround(tree.layout, tree.layout.node[row], stage.whole(), stage.plot().height));
    else search.say(...elsewhere(row));
  }

  const survey = (row) => stage.fly(treeAlong(tree.layout, tree.layout.node[row]));

  /** Go to an agent, whatever the filter leaves out. */
  function bring(row, go) {
    if (!drawn(row)) {
      refilter(TREE_ALL);
      search.say(`All that ever lived are shown now, agent ${table.id[row]} among them.`);
    }
    go(row);
  }

  /** Pin an agent and trace its line; `seek` brings it into sight. */
  function pin(row, seek) {
    tree.pinned = row;
    tree.hovered = -1;
    card.hide();
    const within = panel.element.contains(document.activeElement);
    panel.show(tree, row);
    if (within) panel.element.focus();
    section.dataset.selected = table.id[row];
    said.textContent = treeSentence(tree, treeAgent(tree, row));
    search.say();
    if (seek || !drawn(row)) visit(row);
    remember();
    stage.ask(2);
  }

  function release() {
    if (tree.pinned < 0) return;
    tree.pinned = -1;
    if (panel.element.contains(document.activeElement)) stage.over.focus({ preventScroll: true });
    panel.hide();
    delete section.dataset.selected;
    said.textContent = "Released.";
    search.say();
    remember();
    stage.ask(2);
  }

  /** Words for an agent that is on record but not drawn, with a way to draw it. */
  function elsewhere(row) {
    const show = () => {
      tree.pinned = row;
      refilter(TREE_ALL);
      stage.over.focus({ preventScroll: true });
      pin(row, true);
    };
    return [
      `Agent ${table.id[row]} is on record but not among the lines shown. `,
      h("button", { type: "button", onclick: show }, "Show all that ever lived"),
    ];
  }

  function find(id) {
    const row = treeRowOf(table, id);
    if (row < 0) {
      const pruned = facts.tree.pruned ? "; the tree of this report leaves some out" : "";
      return `No agent ${id} in this tree: its ids run from ${table.id[0]} to ${table.id[table.length - 1]}${pruned}.`;
    }
    pin(row, true);
    return drawn(row) ? h("span", null, `Agent ${id} is pinned.`) : h("span", null, elsewhere(row));
  }

  function champion(way) {
    const among = tree.champions.filter(drawn);
    if (!among.length) return search.say("No champion is among the lines shown.");
    const now = among.indexOf(tree.pinned);
    const row = among[now < 0 ? (way > 0 ? 0 : among.length - 1) : (now + way + among.length) % among.length];
    pin(row, true);
    search.say(`Champion ${number(among.indexOf(row) + 1)} of ${number(among.length)}: agent ${table.id[row]}.`);
  }

  const acts = {
    "+": () => middle(null, 2),
    "=": () => middle(null, 2),
    "-": () => middle(null, 0.5),
    "[": () => middle(0.625, 1),
    "]": () => middle(1.6, 1),
    "{": () => middle(1, 0.5),
    "}": () => middle(1, 2),
    0: fit,
    n: () => champion(1),
    p: () => champion(-1),
    "/": () => search.field.focus(),
    Enter: () => tree.hovered >= 0 && pin(tree.hovered, false),
    Escape: release,
  };

  function step(where) {
    if (tree.pinned < 0 || !drawn(tree.pinned)) {
      const first = tree.champions.find(drawn) ?? (tree.layout.n ? tree.layout.row[tree.layout.roots[0]] : -1);
      return first < 0 ? undefined : pin(first, true);
    }
    const next = treeNeighbours(tree.layout, tree.layout.node[tree.pinned])[where];
    if (next < 0) said.textContent = TREE_ENDS[where];
    else pin(tree.layout.row[next], true);
    return undefined;
  }

  // Other parts of the page ask for an agent: the champions' section does.
  document.addEventListener("show-agent", ({ detail: id }) => {
    const row = treeRowOf(table, id);
    if (row < 0) return;
    section.scrollIntoView({ block: "start" });
    stage.over.focus({ preventScroll: true });
    if (!drawn(row)) refilter(TREE_ALL);
    pin(row, true);
  });
  treeInput(stage.over, {
    zoom: stage.zoom,
    pan: stage.pan,
    ...treePointing(tree, stage, card, section, (row) => pin(row, false)),
    key: treeKey({ step, pan: stage.pan, acts }),
    atWhole: stage.atWhole,
  });
  onTheme((colours) => {
    tree.theme = colours;
    recolour();
  });
  onAddress(restore);
  new ResizeObserver(() => {
    overview.refresh({ layout: tree.layout, paint: tree.paint, theme: tree.theme }, stage.whole());
    overview.draw(stage.window(), tree.theme, pinnedPlace());
  }).observe(overview.element);

  function restore() {
    treeFromAddress(tree);
    treeRefilter(tree);
    start();
  }

  function start() {
    controls.update();
    stage.reset(treeWindowOf(read("tree")));
    describe();
    const agent = read("tree-agent");
    const row = agent === null ? -1 : treeRowOf(table, Number(agent));
    if (row >= 0) pin(row, read("tree") === null);
    else release();
  }
  start();
}

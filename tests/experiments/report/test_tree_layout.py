"""Where the page's tree puts its agents and what it draws of them, run in Node and held to the lineage's own arrays."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import experiments.report
from experiments.lineage.tree import Tree, depth, descendants, kept
from experiments.report.bundle import bundle

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="the page's layout runs in Node, which is not installed")

PAGE = Path(experiments.report.__file__).parent / "page"
MODULES = ("tree/layout.js", "tree/scan.js", "tree/raster.js", "tree/window.js")
LAST = 40

PRELUDE = """
import { treeTopology, treeSelect, treeLayout, treeLine, treeNeighbours } from "./tree/layout.js";
import { treeScan, treeScratch } from "./tree/scan.js";
import { treePixels, treeRaster, treeNodeAt } from "./tree/raster.js";
import { treeBetween, treeClamp, treeTicks, treeWhole, treeWindowOf, treeWindowText, treeZoom } from "./tree/window.js";

const given = JSON.parse(require("fs").readFileSync(0, "utf8"));
const list = (typed) => Array.from(typed);
function table({ parent, born, life, species, won }) {
  return { length: born.length, parent: Uint32Array.from(parent), born: Uint32Array.from(born),
    life: Uint16Array.from(life), species: Uint8Array.from(species), won: Uint8Array.from(won) };
}
const topology = (columns) => treeTopology(table(columns), 40);
const everybody = (columns) => treeLayout(topology(columns), new Uint8Array(columns.born.length).fill(2));
"""


@pytest.fixture(scope="module")
def run() -> Callable[[str, object], Any]:
    """Run a script over the tree's modules on some JSON; what it hands to `say` comes back."""
    sources = {name: (PAGE / name).read_text(encoding="utf-8") for name in MODULES}

    def call(script: str, given: object) -> Any:
        text = bundle(
            {**sources, "entry.js": PRELUDE + "function say(it) { console.log(JSON.stringify(it)); }\n" + script},
            "entry.js",
        )
        assert NODE is not None
        done = subprocess.run([NODE, "-e", text], input=json.dumps(given), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return call


def grown(seed: int, count: int = 400, founders: int = 7) -> tuple[Tree, dict[str, list[int]]]:
    """A random lineage, and the columns that the page has of it."""
    rng = np.random.default_rng(seed)
    rows = np.arange(count)
    recent = np.maximum(rows - 1 - rng.geometric(0.02 if seed % 2 else 0.3, count), 0)
    parent = np.where(rows < founders, rows, np.minimum(recent, rows - 1))
    born = np.zeros(count, np.int64)
    for row in range(founders, count):
        born[row] = max(born[row - 1], born[parent[row]] + rng.integers(0, 2))
    born = np.minimum(born, LAST)
    life = np.where(rng.random(count) < 0.2, 65535, rng.integers(0, 6, count))
    died = np.where(life == 65535, -1, born + life)
    tree = Tree(rows.astype(np.uint64), parent, np.full(count, -1), born, died)
    columns = {"parent": rows - parent, "born": born, "life": life}
    columns |= {
        "species": rng.integers(0, 2, count),
        "won": np.where(rng.random(count) < 0.03, 1 << rng.integers(0, 5, count), 0),
    }
    return tree, {name: values.tolist() for name, values in columns.items()}


def test_topology_is_that_of_the_lineage(run: Callable[[str, object], Any]) -> None:
    tree, columns = grown(1)
    found = run(
        "const t = topology(given);"
        "say({ depth: list(t.depth), below: list(t.below), line: list(t.line),"
        "  end: list(t.end), alive: list(t.alive) });",
        columns,
    )
    assert found["depth"] == depth(tree).tolist()
    assert found["below"] == descendants(tree).tolist()
    line = np.array(columns["won"])
    for row in tree.rows[::-1]:
        line[tree.parent[row]] |= line[row]
    assert found["line"] == line.tolist()
    # Who dies in a generation still lives in it; those alive live in the last one.
    assert found["end"] == np.where(tree.died < 0, LAST + 1, tree.died + 1).tolist()
    assert found["alive"] == (tree.died < 0).astype(int).tolist()


@pytest.mark.parametrize("show", ["lines", "living", "champions", "all"])
def test_a_filter_keeps_those_it_names_and_their_ancestors(run: Callable[[str, object], Any], show: str) -> None:
    tree, columns = grown(2)
    won, species = np.array(columns["won"]) > 0, np.array(columns["species"])
    alive = tree.died < 0
    named = {"lines": alive | won, "living": alive, "champions": won, "all": np.ones(len(tree.born), bool)}[show]
    end = np.where(alive, LAST, tree.died)
    filters = [(kind, first, last) for kind in (None, 1) for first, last in ((None, None), (9, 12), (20, None))]
    given = [{"show": show, "species": kind, "from": first, "to": last} for kind, first, last in filters]
    found = run(
        "const c = table(given.columns), t = treeTopology(c, 40);"
        "say(given.filters.map((f) => { const s = treeSelect(c, t, f); return [list(s.mask), s.matched, s.kept]; }));",
        {"columns": columns, "filters": given},
    )
    for (kind, first, last), (mask, matched, count) in zip(filters, found, strict=True):
        wanted = named & ((kind is None) | (species == (kind or 0)))
        wanted &= (tree.born <= (LAST if last is None else last)) & (end >= (first or 0))
        closed = kept(tree, wanted)
        assert (np.array(mask) == wanted.astype(int) + closed).all()
        assert (matched, count) == (wanted.sum(), closed.sum())


@pytest.mark.parametrize("order", ["ladder", "birth"])
def test_rows_are_a_preorder_of_the_ladder_or_by_birth(run: Callable[[str, object], Any], order: str) -> None:
    tree, columns = grown(3)
    mask = kept(tree, tree.died < 0)
    found = run(
        "const l = treeLayout(topology(given.columns), Uint8Array.from(given.mask), given.order);"
        "say({ row: list(l.row), top: list(l.top), size: list(l.size), reach: list(l.reach), lived: list(l.lived) });",
        {"columns": columns, "mask": mask.astype(int).tolist(), "order": order},
    )
    rows = np.flatnonzero(mask)
    assert found["row"] == rows.tolist()
    end = np.where(tree.died < 0, LAST + 1, tree.died + 1)
    size, reach, lived = mask.astype(int), end.copy(), end - tree.born
    for row in rows[::-1]:
        parent = tree.parent[row]
        if parent != row:
            size[parent] += size[row]
            reach[parent] = max(reach[parent], reach[row])
            lived[parent] += lived[row]
    assert (found["size"], found["reach"]) == (size[rows].tolist(), reach[rows].tolist())
    assert found["lived"] == lived[rows].tolist()
    assert found["top"] == _places(tree, rows, size, order)[rows].tolist()


def _places(tree: Tree, rows: NDArray[Any], size: NDArray[Any], order: str) -> NDArray[Any]:
    """Places by walking down: small subtrees first and the later born of equal ones, or the later born first; of roots
    the other way round."""

    def key(row: int) -> tuple[int, int]:
        return (int(size[row]), -row) if order == "ladder" else (-row, 0)

    place, nobody = np.full(len(tree.born), -1), 0
    roots = sorted((int(row) for row in rows if tree.parent[row] == row), key=key)
    stack = roots[:]
    while stack:
        row = stack.pop()
        place[row], nobody = nobody, nobody + 1
        stack += sorted((int(u) for u in rows if tree.parent[u] == row and u != row), key=key, reverse=True)
    return place


WINDOWS = [
    (0, 41, -5, 410, 300, 200),
    (0, 41, 0, 400, 200, 60),
    (10, 20, 100, 160, 320, 240),
    (30, 41, 380, 400, 90, 90),
    (5, 6, 0, 400, 50, 20),
    *((0, 41, row, row + 3, 100, 90) for row in range(0, 400, 11)),
]


def test_all_that_is_in_sight_is_drawn_as_a_line_or_in_a_bundle(run: Callable[[str, object], Any]) -> None:
    _, columns = grown(5)
    found = run(
        "const l = everybody(given.columns);"
        "const out = treeScratch(l);"
        "say(given.windows.map(([time, time1, row, row1, width, height]) => {"
        "  const w = { time, perTime: width / (time1 - time), row, perRow: height / (row1 - row), width, height };"
        "  treeScan(l, w, out);"
        "  return { lines: list(out.lines.subarray(0, out.lineCount)),"
        "    bundles: list(out.bundles.subarray(0, out.bundleCount)),"
        "    top: list(l.top), size: list(l.size), born: list(l.born), end: list(l.end), reach: list(l.reach) };"
        "}));",
        {"columns": columns, "windows": WINDOWS},
    )
    for (time, time1, row, row1, _, height), one in zip(WINDOWS, found, strict=True):
        top, size, born, end, reach = (np.array(one[name]) for name in ("top", "size", "born", "end", "reach"))
        lines, bundles = one["lines"], one["bundles"]
        assert len(set(lines)) == len(lines)
        assert len(set(bundles)) == len(bundles)
        assert (size[bundles] * height / (row1 - row) < 1).all()
        assert (reach[bundles] > time).all()
        bundled = np.zeros(len(top), bool)
        for node in bundles:
            inside = (top >= top[node]) & (top < top[node] + size[node])
            assert not bundled[inside].any()
            bundled |= inside
        assert not bundled[lines].any()
        seen = (top + 1 > row) & (top < row1) & (born < time1) & (end > time)
        drawn = bundled.copy()
        drawn[lines] = True
        assert drawn[seen].all()
        assert seen[lines].all()


def test_a_scan_that_gives_up_draws_the_rest_as_bundles(run: Callable[[str, object], Any]) -> None:
    _, columns = grown(6, count=2000)
    whole, part = run(
        "const l = everybody(given), out = treeScratch(l);"
        "const w = { time: 0, perTime: 10, row: 0, perRow: 2, width: 410, height: 4000 };"
        "const sum = () => { let rows = out.lineCount;"
        "  for (let j = 0; j < out.bundleCount; j++) rows += l.size[out.bundles[j]];"
        "  return [rows, out.complete, out.visited]; };"
        "const a = (treeScan(l, w, out), sum()), b = (treeScan(l, w, out, { most: 100 }), sum()); say([a, b]);",
        columns,
    )
    assert whole[:2] == [2000, True]
    assert part[:2] == [2000, False]
    assert part[2] < whole[2] / 2


def test_effort_follows_the_screen_and_not_the_agents(run: Callable[[str, object], Any]) -> None:
    small, large = (
        run(
            "const l = everybody(given), out = treeScratch(l);"
            "treeScan(l, { time: 0, perTime: 10, row: 0, perRow: 100 / l.n, width: 410, height: 100 }, out);"
            "say(out.visited);",
            grown(7, count=count)[1],
        )
        for count in (3000, 30000)
    )
    assert large < 5 * small


def test_pixels_know_their_agents(run: Callable[[str, object], Any]) -> None:
    _, columns = grown(8, count=60)
    wrong, missed, far = run(
        "const l = everybody(given);"
        "const w = { time: 0, perTime: 10, row: 0, perRow: 8, width: 410, height: 480 };"
        "const colours = Uint32Array.from({ length: l.n }, (_, v) => 0xff000000 + v + 1);"
        "const target = treePixels(410, 480), found = treeScan(l, w, treeScratch(l));"
        "treeRaster(target, l, w, found, { ground: 0xffffffff, lines: colours, bundles: colours, thick: 1, thin: 1 });"
        "let wrong = 0, missed = 0;"
        "for (let v = 0; v < l.n; v++) { const y = l.top[v] * 8 + 4;"
        "  for (let x = l.born[v] * 10; x < l.end[v] * 10; x++) { if (target.nodes[y * 410 + x] !== v) wrong++;"
        "    if (target.pixels[y * 410 + x] !== colours[v]) missed++; } }"
        "say([wrong, missed, treeNodeAt(target, 409, 479, 2)]);",
        columns,
    )
    assert (wrong, missed) == (0, 0)
    assert far in (-1, *range(60))


def test_a_walk_along_the_keys_visits_parents_children_and_siblings(run: Callable[[str, object], Any]) -> None:
    tree, columns = grown(9, count=120)
    lines, near = run(
        "const t = topology(given), l = everybody(given);"
        "const nodes = [...l.row.keys()];"
        "const near = nodes.map((v) => ({ ...treeNeighbours(l, v), top: l.top[v] }));"
        "say([nodes.map((v) => treeLine(t, v)), near]);",
        columns,
    )
    for node, (line, one) in enumerate(zip(lines, near, strict=True)):
        assert [int(tree.parent[row]) for row in line[1:]] == line[:-1]
        assert (line[-1], tree.parent[line[0]]) == (node, line[0])
        assert one["parent"] == (-1 if tree.parent[node] == node else tree.parent[node])
        if one["child"] >= 0:
            assert near[one["child"]]["top"] == one["top"] + 1
        if one["after"] >= 0:
            assert near[one["after"]]["before"] == node
            assert near[one["after"]]["parent"] == one["parent"]


def test_windows_keep_to_their_point_and_their_limits(run: Callable[[str, object], Any]) -> None:
    given = [[0.3, 0.7, 2.0, 5.0], [0.0, 1.0, 1.0, 0.25], [0.9, 0.1, 40.0, 900.0]]
    found = run(
        "const whole = { time0: 0, time1: 41, row0: -3, row1: 1003 };"
        "const start = { time0: 4, time1: 24, row0: 100, row1: 600 };"
        "say(given.map(([x, y, a, b]) => { const z = treeZoom(start, x, y, a, b), c = treeClamp(z, whole, 440);"
        "  const point = (w) => [w.time0 + x * (w.time1 - w.time0), w.row0 + y * (w.row1 - w.row0)];"
        "  return { points: [point(start), point(z)], c, back: treeWindowOf(treeWindowText(c)),"
        "    end: treeBetween(start, c, 1), none: treeWindowOf('1,2,x,4') }; }));",
        given,
    )
    for one in found:
        assert one["points"][1] == pytest.approx(one["points"][0])
        window = one["c"]
        assert 0 <= window["time0"] < window["time1"] <= 41
        assert -3 <= window["row0"] < window["row1"] <= 1003
        assert window["row1"] - window["row0"] >= 440 / 44 - 1e-9
        assert one["back"] == pytest.approx(window, rel=0.01, abs=0.05)
        assert one["end"] == pytest.approx(window)
        assert one["none"] is None


def test_ticks_are_round_whole_and_not_too_many(run: Callable[[str, object], Any]) -> None:
    spans = [(0, 41, 8), (0, 1, 10), (3.2, 5.1, 12), (0, 499, 11), (120, 10000, 6)]
    for (low, high, count), ticks in zip(spans, run("say(given.map((g) => treeTicks(...g)));", spans), strict=True):
        assert all(low <= tick <= high for tick in ticks)
        steps = set(np.diff(ticks).tolist())
        assert len(steps) <= 1
        assert len(ticks) <= count + 1
        for step in steps:
            assert str(int(step)).rstrip("0") in ("1", "2", "5")

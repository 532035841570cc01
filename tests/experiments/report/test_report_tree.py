"""Where not everybody fits into the report's tree: who is left out, and that what is shown is a tree."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from report_columns import numbers

from experiments.lineage.tree import Tree
from experiments.report.facts.agents import Agents, read_agents
from experiments.report.facts.archive import Archive, read_archive
from experiments.report.facts.scores import read_scores
from experiments.report.facts.sources import Sources
from experiments.report.facts.tree import chosen, lineage_tree
from experiments.runs.directory import RunDirectory


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Agents, Archive]:
    """A few agents with any parents, some of them dead, some of them champions."""
    count = draw(st.integers(1, 40))
    parent = [draw(st.integers(0, row)) for row in range(count)]
    dead, won = (draw(st.lists(st.booleans(), min_size=count, max_size=count)) for _ in range(2))
    born = np.arange(count)
    tree = Tree(
        np.arange(count, dtype=np.uint64),
        np.array(parent, np.int32),
        np.full(count, -1, np.int32),
        born,
        np.where(dead, born, -1),
    )
    byte = np.zeros(count, np.uint8)
    agents = Agents(tree, byte, byte, byte, byte.astype(np.uint32), byte.astype(np.float32), ("a",), (), ())
    few = np.array(won) & (born % 5 == 0)
    return agents, Archive(None, few.astype(np.uint8), byte)


def line(tree: Tree, row: int) -> set[int]:
    found = {row}
    while int(tree.parent[row]) != row:
        row = int(tree.parent[row])
        found.add(row)
    return found


@given(worlds(), st.integers(0, 45))
def test_champions_come_first_then_the_living_then_the_fertile(world: tuple[Agents, Archive], count: int) -> None:
    agents, archive = world
    tree, rows = agents.tree, range(len(agents))
    mask = chosen(agents, archive, count)
    shown = set(np.flatnonzero(mask).tolist())
    lines = [line(tree, row) for row in rows]
    assert all(lines[row] <= shown for row in shown)
    champions = set().union(*(lines[row] for row in rows if archive.won[row]))
    living = set().union(*(lines[row] for row in rows if tree.died[row] < 0))
    assert champions <= shown
    assert len(shown) <= max(count, len(champions))
    if len(champions | living) <= count:
        assert champions | living <= shown
        assert len(shown) == min(count, len(agents))
        below = [sum(row in other for other in lines) for row in rows]
        left, taken = set(rows) - shown, shown - champions - living
        assert not left or not taken or max(below[row] for row in left) <= min(below[row] for row in taken)


def everything(run: Path) -> tuple[Sources, Agents, Archive]:
    sources = Sources.of(RunDirectory(run))
    agents = read_agents(sources)
    assert agents is not None
    return sources, agents, read_archive(sources, agents)


@pytest.mark.parametrize("share", [0.75, 0.9])
def test_a_tree_that_is_too_large_is_pruned_until_it_fits(small_run: Path, share: float) -> None:
    sources, agents, archive = everything(small_run)
    scores = read_scores(sources, agents)
    unbounded = lineage_tree(sources, agents, scores, archive, budget=10**9)[1]["tree"]
    budget = int(share * len(unbounded.base64))
    facts, packed = lineage_tree(sources, agents, scores, archive, budget=budget)
    whole, everybody = numbers(packed["tree"]), numbers(unbounded)
    assert facts is not None
    assert len(packed["tree"].base64) <= budget
    assert 0 < facts["rows"] == len(whole["id"]) < facts["born_total"]
    assert facts["pruned"].startswith(f"{facts['born_total'] - facts['rows']:,} agents are left out")
    parents = parents_of(everybody)
    lines = [line(agents.tree, row) for row in range(len(agents))]
    assert "below" not in everybody
    for row, identity in enumerate(whole["id"]):
        place = everybody["id"].index(identity)
        assert whole["below"][row] == sum(place in other for other in lines) - 1
        assert parents_of(whole)[identity][0] == parents[identity][0]
        assert parents_of(whole)[identity][1] in (parents[identity][1], None)
        for name in ("born", "life", "species", "fitness", "trust", "scars", "won", "holds", "strength", "cause"):
            assert whole[name][row] == everybody[name][place]
    scars = numbers(packed["scars"])
    counted = np.bincount(np.array(scars["row"], np.int64), minlength=len(whole["id"]))
    assert counted.tolist() == whole["scars"]


def parents_of(columns: dict[str, list[int]]) -> dict[int, tuple[int | None, int | None]]:
    """Ids of both parents of each id."""
    ids = columns["id"]

    def back(row: int, distance: int) -> int | None:
        return ids[row - distance] if distance else None

    return {
        identity: (back(row, columns["parent"][row]), back(row, columns["second"][row]))
        for row, identity in enumerate(ids)
    }


def test_lines_of_champions_stay_whatever_the_budget(small_run: Path) -> None:
    sources, agents, archive = everything(small_run)
    facts, packed = lineage_tree(sources, agents, None, archive, budget=1)
    assert facts is not None
    shown = set(numbers(packed["tree"])["id"])
    tree = agents.tree
    champions: NDArray[np.int64] = np.flatnonzero(archive.won)
    assert shown == {int(tree.id[row]) for champion in champions.tolist() for row in line(tree, champion)}

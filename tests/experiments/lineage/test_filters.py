"""Filters leave whom all of them mean, and ancestors come after."""

import networkx as nx
import numpy as np
import polars as pl
import pytest
from lineage_samples import SMALL, lineage_table, random_lineage

from experiments.lineage.filters import Filters, parse_generations, select, with_ancestors
from experiments.lineage.graph import graph_of
from experiments.lineage.tree import Tree, ancestors, take, tree_of
from markets.errors import UserError


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        (Filters(), [0, 1, 4, 5, 7, 9]),
        (Filters(extant=True), [1, 5, 7]),
        (Filters(generations=(1, 3)), [4, 5, 7]),
        (Filters(species="forest"), [1, 9]),
        (Filters(islands=(0, 1)), [0, 4, 5, 7]),
        (Filters(ids=[7, 4, 1000]), [4, 7]),
        (Filters(ids=[7, 4], extant=True), [7]),
        (Filters(extant=True, species="qnetwork", generations=(0, 2)), [5]),
    ],
)
def test_who_is_left(filters: Filters, left: list[int]) -> None:
    table = lineage_table()
    tree = tree_of(table)
    assert tree.id[select(tree, table, filters)].tolist() == left
    assert bool(filters) == (len(left) < len(SMALL))


def test_filters_intersect_before_ancestors_come() -> None:
    table = lineage_table()
    tree = tree_of(table)
    mask = select(tree, table, Filters(ids=[7], generations=(3, 3)))
    assert tree.id[with_ancestors(tree, mask)].tolist() == [0, 5, 7]
    assert tree.id[with_ancestors(tree, mask, both=True)].tolist() == [0, 4, 5, 7]


def test_ancestors_are_those_of_the_graph_and_of_the_line() -> None:
    for seed in range(6):
        table = random_lineage(120, seed)
        tree, graph = tree_of(table), graph_of(table)
        mask = np.random.default_rng(seed).random(len(tree)) < 0.05
        over_both = {int(own) for own in tree.id[mask]}.union(*(nx.ancestors(graph, int(own)) for own in tree.id[mask]))
        assert set(tree.id[with_ancestors(tree, mask, both=True)].tolist()) == over_both
        lines = {int(row) for at in np.flatnonzero(mask) for row in (at, *ancestors(tree, int(at)))}
        assert set(np.flatnonzero(with_ancestors(tree, mask)).tolist()) == lines
        take(tree, with_ancestors(tree, mask))
        take(tree, with_ancestors(tree, mask, both=True))


def test_ancestors_of_wide_generations_are_those_of_a_walk() -> None:
    count, wide = 6000, 500
    rng = np.random.default_rng(0)
    rows = np.arange(count)
    parent, second = (
        np.where(rows < wide, rows, (rows // wide - 1) * wide + rng.integers(0, wide, count)) for _ in "ab"
    )
    second = np.where((rows < wide) | (rng.random(count) < 0.5), -1, second)
    tree = Tree(rows.astype(np.uint64), parent.astype(np.int32), second.astype(np.int32), rows // wide, rows // wide)
    assert tree.blocks is not None
    mask = np.zeros(count, bool)
    mask[[5999, 5000, 17]] = True
    reached, front = set(), {5999, 5000, 17}
    while front:
        reached |= front
        front = {int(above) for at in front for above in (parent[at], second[at]) if above >= 0} - reached
    assert set(np.flatnonzero(with_ancestors(tree, mask, both=True)).tolist()) == reached


def test_nobody_left_is_one_line() -> None:
    table = lineage_table()
    tree = tree_of(table)
    with pytest.raises(UserError, match="nobody is left of those filters; 6 agents were born in generations 0 to 4"):
        select(tree, table, Filters(extant=True, generations=(4, 4)))
    with pytest.raises(UserError, match="'fish' is no species of this lineage; there are: forest, qnetwork"):
        select(tree, table, Filters(species="fish"))
    nameless = table.with_columns(species=pl.lit(None, pl.String))
    with pytest.raises(UserError, match="this lineage names none"):
        select(tree, nameless, Filters(species="fish"))


@pytest.mark.parametrize(
    ("text", "generations"), [("3-7", (3, 7)), ("5", (5, 5)), (" 2 - 2 ", (2, 2)), ("4-", (4, 10**9))]
)
def test_generations_as_people_write_them(text: str, generations: tuple[int, int]) -> None:
    assert parse_generations(text) == generations


@pytest.mark.parametrize("text", ["", "-", "-4", "a-b", "1-2-3", "1.5", "٣", "9-2", "1,2"])
def test_generations_that_are_none(text: str) -> None:
    with pytest.raises(UserError, match=r"^--generations: .* right is"):
        parse_generations(text)

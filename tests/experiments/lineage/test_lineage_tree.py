"""Trees as arrays against walks from child to parent, in every shape; and tables that are no trees."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from families import families, family
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.lineage import passes
from experiments.lineage.tree import (
    Tree,
    alive,
    ancestors,
    branch_lengths,
    children,
    depth,
    descendants,
    extant,
    kept,
    ladder,
    mrca,
    root,
    take,
    tree_of,
)
from markets.errors import UserError


def lines_of(table: pl.DataFrame) -> dict[int, list[int]]:
    """Every agent's line from itself to its founder."""
    parent = dict(table.select("id", "ancestor_id").iter_rows())

    def line(agent: int) -> list[int]:
        return [agent, *([] if parent[agent] == agent else line(parent[agent]))]

    return {agent: line(agent) for agent in parent}


def ids(tree: Tree, rows: object) -> list[int]:
    return tree.id[rows].tolist()


@given(families(), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_everything_is_what_walks_up_the_lines_say(table: pl.DataFrame, seed: int) -> None:
    tree = tree_of(table.sample(fraction=1.0, shuffle=True, seed=seed))
    lines = lines_of(table)
    by_id = {row["id"]: row for row in table.to_dicts()}
    assert ids(tree, slice(None)) == [
        row["id"] for row in sorted(by_id.values(), key=lambda r: (r["origin_time"], r["id"]))
    ]
    for row, agent in enumerate(tree.id.tolist()):
        line = lines[agent]
        assert ids(tree, ancestors(tree, row)) == line[1:]
        assert depth(tree)[row] == len(line) - 1
        assert tree.id[root(tree)[row]] == line[-1]
        assert children(tree)[row] == sum(other[1] == agent for other in lines.values() if len(other) > 1)
        assert descendants(tree)[row] == sum(agent in other[1:] for other in lines.values())
        parent = by_id[by_id[agent]["ancestor_id"]]
        assert branch_lengths(tree)[row] == by_id[agent]["origin_time"] - parent["origin_time"]
        assert alive(tree)[row] == (by_id[agent]["destruction_time"] is None)
    living = [agent for agent in lines if by_id[agent]["destruction_time"] is None]
    wanted = sorted(set().union(*(lines[agent] for agent in living)))
    assert sorted(ids(tree, kept(tree, alive(tree)))) == wanted
    pruned = extant(tree)
    assert sorted(ids(pruned, slice(None))) == wanted
    assert ids(pruned, pruned.parent) == [by_id[agent]["ancestor_id"] for agent in pruned.id.tolist()]


@given(families(), st.data())
@settings(max_examples=60, deadline=None)
def test_the_most_recent_common_ancestor_is_the_youngest_on_all_lines(table: pl.DataFrame, data: st.DataObject) -> None:
    tree, lines = tree_of(table), lines_of(table)
    rows = data.draw(st.lists(st.integers(0, len(tree) - 1), min_size=1, max_size=4))
    shared = set.intersection(*(set(lines[tree.id[row]]) for row in rows))
    found = mrca(tree, rows)
    if shared:
        assert found is not None
        assert tree.id[found] == max(shared, key=lambda agent: len(lines[agent]))
    else:
        assert found is None
    mask = np.zeros(len(tree), np.bool_)
    mask[rows] = True
    assert mrca(tree, mask) == found


@given(families())
@settings(max_examples=60, deadline=None)
def test_a_ladder_puts_descendants_right_behind_and_small_families_first(table: pl.DataFrame) -> None:
    tree = tree_of(table)
    order = ladder(tree).tolist()
    assert sorted(order) == list(range(len(tree)))
    place = np.argsort(order)
    size = descendants(tree) + 1
    for row in range(len(tree)):
        below = {other for other in range(len(tree)) if row in (other, *ancestors(tree, other))}
        assert set(order[place[row] : place[row] + size[row]]) == below
        offspring = [other for other in order if tree.parent[other] == row != other]
        assert [size[other] for other in offspring] == sorted(size[other] for other in offspring)
    roots = [size[row] for row in order if tree.is_root[row]]
    assert roots == sorted(roots)


@pytest.mark.parametrize("spare", [0, 1024])
@given(table=families(), data=st.data())
@settings(max_examples=30, deadline=None)
def test_blocks_and_walks_give_the_same(spare: int, table: pl.DataFrame, data: st.DataObject) -> None:
    """With none to spare short blocks are walked row by row."""
    tree = tree_of(table)
    values = np.array(data.draw(st.lists(st.integers(-9, 9), min_size=len(tree), max_size=len(tree))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes, "_SPARE", spare)
        blocks = passes.blocks_of(tree.parent)
        assert (blocks is None) == (spare == 0)
        down = passes.path_sums(tree.parent, values, blocks)
        up = passes.subtree_sums(tree.parent, values, blocks)
        most = passes.subtree_maxima(tree.parent, values, blocks)
    for row in range(len(tree)):
        assert down[row] == values[[row, *ancestors(tree, row)]].sum()
        below = [other for other in range(len(tree)) if row in (other, *ancestors(tree, other))]
        assert up[row] == values[below].sum()
        assert most[row] == values[below].max()


def test_a_block_ends_before_the_first_child_of_one_of_its_rows() -> None:
    assert passes.blocks_of(np.array([0, 1, 0, 1, 4, 2, 5])) == [0, 2, 5, 6, 7]
    assert passes.blocks_of(np.zeros(0, np.int32)) == [0]


COUNT = 200_000
ROWS = np.arange(COUNT)


def shaped(parent: np.ndarray, born: np.ndarray) -> Tree:
    none = np.full(COUNT, -1)
    return Tree(ROWS.astype(np.uint64), parent.astype(np.int32), none.astype(np.int32), born, none)


@pytest.mark.parametrize(
    ("tree", "deepest", "below", "common"),
    [
        (shaped(np.maximum(ROWS - 1, 0), ROWS), COUNT - 1, COUNT - 1, 0),
        (shaped(ROWS * 0, np.minimum(ROWS, 1)), 1, COUNT - 1, 0),
        (shaped(ROWS, ROWS * 0), 0, 0, None),
        (shaped(np.maximum(ROWS - 1, 0) // 2, np.log2(ROWS + 1).astype(int)), 17, COUNT - 1, 0),
    ],
    ids=["chain", "star", "roots", "binary"],
)
def test_shapes_at_their_worst(tree: Tree, deepest: int, below: int, common: int | None) -> None:
    assert depth(tree).max() == deepest
    assert descendants(tree)[0] == below
    assert mrca(tree, alive(tree)) == common
    assert len(extant(tree)) == COUNT
    order = ladder(tree)
    assert (np.sort(order) == ROWS).all()
    place = np.empty_like(order)
    place[order] = ROWS
    assert (place[tree.parent] <= place).all()


@pytest.mark.parametrize("count", [0, 1])
def test_nobody_and_one_alone(count: int) -> None:
    tree = tree_of(family([None] * count))
    for answer in (depth(tree), root(tree), children(tree), descendants(tree), branch_lengths(tree), ladder(tree)):
        assert answer.tolist() == [0] * count
    assert mrca(tree, alive(tree)) == (0 if count else None)
    assert len(extant(tree)) == count


def test_second_parents_are_kept_where_they_are_there() -> None:
    tree = tree_of(family([None, None, 0, 2], [0, 0, 1, 2], second=[None, None, 1, 1]))
    assert tree.second.tolist() == [-1, -1, 1, 1]
    part = take(tree, np.array([True, False, True, True]))
    assert (part.parent.tolist(), part.second.tolist()) == ([0, 0, 1], [-1, -1, -1])
    part = take(tree, np.array([True, True, True, False]))
    assert (part.parent.tolist(), part.second.tolist()) == ([0, 1, 0], [-1, -1, 1])
    lost = family([None, 0], second=[None, 0]).with_columns(second_parent_id=pl.Series([None, 77], dtype=pl.UInt64))
    assert tree_of(lost).second.tolist() == [-1, -1]


def test_nobody_is_taken_without_a_parent() -> None:
    with pytest.raises(ValueError, match="parent"):
        take(tree_of(family([None, 0])), np.array([False, True]))


def test_an_unknown_row_has_no_ancestors() -> None:
    with pytest.raises(IndexError):
        ancestors(tree_of(family([None])), 1)


def test_ids_may_be_far_apart() -> None:
    far = 2**63
    tree = tree_of(family([None, 0, 1], ids=[far, 5, 10**12]))
    assert tree.id.tolist() == [far, 5, 10**12]
    assert tree.parent.tolist() == [0, 0, 1]


def test_ancestors_come_first_within_a_generation_too() -> None:
    """As tables of another make may have them; else the smaller id is first."""
    table = family([None, 0, 1, None, 1], [0, 0, 0, 0, 0], ids=[9, 4, 1, 2, 7], second=[None, None, 4, None, None])
    tree = tree_of(table)
    assert tree.id.tolist() == [2, 9, 4, 7, 1]
    assert tree.parent.tolist() == [0, 1, 1, 2, 2]
    assert tree.second.tolist() == [-1, -1, -1, -1, 3]
    assert depth(tree).tolist() == [0, 0, 1, 2, 2]


def changed(**columns: object) -> pl.DataFrame:
    """A small family with some values of its own."""
    table = family([None, 0, 1], [0, 1, 2], [3, None, None], second=[None, None, 0])
    return table.with_columns(**{name: pl.Series(values) for name, values in columns.items()})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (lambda: changed().drop("ancestor_id"), "no column ancestor_id; there are id, second_parent_id"),
        (lambda: changed(id=[0, 1, 1]), "agent 1 is there twice"),
        (lambda: changed(id=[0, 10**9, 10**9]), "agent 1000000000 is there twice"),
        (lambda: changed(ancestor_id=[0, 0, 8]), "agent 2 descends from 8, which is not there; a root is its own"),
        (lambda: changed(ancestor_id=[0, 0, None]), "row 2 has no ancestor_id"),
        (lambda: changed(origin_time=[0, 1, None]), "row 2 has no origin_time"),
        (lambda: changed(origin_time=[0, 3, 2]), "agent 2 is older than its ancestor 1"),
        (lambda: changed(origin_time=[-1, 1, 2]), "agent 0 is born in generation -1; generations count from 0"),
        (lambda: changed(origin_time=[0.5, 1.0, 2.0]), "origin_time holds what is no whole number"),
        (lambda: changed(id=["a", "b", "c"]), "id holds what is no whole number"),
        (lambda: changed(destruction_time=[3, 0, None]), "agent 1 dies in 0, before its birth in 1"),
        (lambda: changed(destruction_time=[3, -1, None]), "agent 1 dies in -1, before its birth in 1"),
        (lambda: changed(second_parent_id=[None, None, 2]), "agent 2 is its own second parent"),
        (lambda: changed(second_parent_id=[None, 2, None]), "agent 1 is older than its second parent 2"),
        (lambda: changed(origin_time=[0, 1, 1], ancestor_id=[0, 2, 1]), "agent 1 descends from itself"),
        (lambda: changed(origin_time=[0, 1, 1], second_parent_id=[None, 2, None]), "agent 1 descends from itself"),
    ],
)
def test_a_table_that_is_no_tree_is_refused_in_one_line(table: Callable[[], pl.DataFrame], message: str) -> None:
    with pytest.raises(UserError, match=f"^lineage: {message}"):
        tree_of(table())

"""Trees as arrays against trees walked node by node: the same leaf for every row there can be."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from walker import drawn_trees, each_tree, ends_instead, goes_right, leaf_of, reached

from genomes.forest import Forest, ForestSpecies, Settings
from genomes.species import ActionSpace, Shape
from genomes.trees import DEEPEST, WORD, Layout, Trees, answers, by_input, ordered, settled, turns

SMALLEST = np.float32(np.finfo(np.float32).smallest_subnormal)
LARGEST = np.finfo(np.float32).max
MARKS = np.asarray(
    [0.0, -0.0, 1.0, -1.0, 0.3, SMALLEST, -SMALLEST, 5 * SMALLEST, LARGEST, -LARGEST, np.inf, -np.inf, 2.5], np.float32
)
"""Thresholds of all kinds."""

with np.errstate(over="ignore"):
    VALUES = np.unique(
        np.concatenate([MARKS, np.nextafter(MARKS, np.float32(np.inf)), np.nextafter(MARKS, np.float32(-np.inf))])
    )
VALUES = np.asarray([*VALUES[np.isfinite(VALUES)], np.inf, -np.inf, np.nan, -np.nan, -0.0], np.float32)
"""On every threshold, one unit in the last place on either side, and missing."""

LAYOUTS = [Layout(depth, oblivious) for depth in range(1, DEEPEST + 1) for oblivious in (True, False)]
INPUTS, ACTIONS = 3, 1


def name(layout: Layout) -> str:
    return f"{'oblivious' if layout.oblivious else 'ordinary'} {layout.depth}"


def rows(rng: np.random.Generator, count: int, inputs: int) -> NDArray[np.float32]:
    """Rows of which half the numbers are special."""
    special = rng.choice(VALUES, (count, inputs))
    return np.where(rng.random((count, inputs)) < 0.5, special, rng.normal(size=(count, inputs))).astype(np.float32)


def on_device(trees: Trees) -> Trees:
    return Trees(*map(jnp.asarray, trees))


@functools.cache
def answering(layout: Layout) -> Callable[..., Any]:
    return jax.jit(lambda trees, seen: answers(layout, trees, by_input(seen)))


@functools.cache
def settling(layout: Layout) -> Callable[..., Any]:
    return jax.jit(lambda trees: settled(layout, trees))


@pytest.mark.parametrize("layout", LAYOUTS, ids=name)
def test_every_row_ends_in_the_leaf_that_a_walk_ends_in(layout: Layout) -> None:
    rng = np.random.default_rng(layout.nodes)
    trees = drawn_trees(rng, layout, 3, INPUTS, ACTIONS, np.concatenate([MARKS, rng.normal(size=30)]))
    seen = rows(rng, 150, INPUTS)
    said = np.asarray(answering(layout)(on_device(trees), jnp.asarray(seen)))
    assert said.shape == (3, ACTIONS, len(seen))
    for number, tree in enumerate(each_tree(trees)):
        want = [leaf_of(layout, tree, row) for row in seen]
        np.testing.assert_array_equal(said[number, 0] / 256.0**number, want)
    assert len(np.unique(said[0])) > min(layout.leaves // 4, 8), "rows go many ways"


@pytest.mark.parametrize("layout", [Layout(6, False), Layout(3, True)], ids=name)
def test_every_node_turns_every_value_as_a_comparison_does(layout: Layout) -> None:
    """Each threshold against each value, both sides for missing ones, beyond a word of turns."""
    assert (layout.nodes > 2 * WORD) != layout.oblivious
    trees = drawn_trees(np.random.default_rng(1), layout, len(MARKS), 1, ACTIONS, MARKS)
    trees = trees._replace(threshold=np.repeat(MARKS[:, None], layout.nodes, axis=1))
    words = np.asarray(jax.jit(lambda t, x: turns(t, by_input(x)))(on_device(trees), jnp.asarray(VALUES[:, None])))
    assert words.shape == (len(MARKS), -(-layout.nodes // WORD), len(VALUES))
    assert (words >= 0).all()
    for number, tree in enumerate(each_tree(trees)):
        for node in range(layout.nodes):
            got = (words[number, node // WORD] >> (node % WORD)) & 1
            want = [goes_right(value, tree.threshold[node], tree.nan_right[node]) for value in VALUES]
            np.testing.assert_array_equal(got, want)
    for mark in range(len(MARKS)):
        assert len(np.unique(trees.nan_right[mark])) == 2 or layout.oblivious


def test_integers_are_ordered_as_the_numbers_are() -> None:
    known = VALUES[~np.isnan(VALUES)]
    key = np.asarray(ordered(jnp.asarray(known))).astype(np.int64)
    exact = known.astype(np.float64)
    np.testing.assert_array_equal(key[:, None] > key, exact[:, None] > exact)
    np.testing.assert_array_equal(key[:, None] == key, exact[:, None] == exact)
    missing = np.asarray(ordered(jnp.asarray(VALUES[np.isnan(VALUES)])))
    assert (missing > key.max()).all()
    assert len(set(missing.tolist())) == 1


FORESTS = [
    (1, True, 1, 1),
    (2, False, 1, 2),
    (3, True, 2, 1),
    (4, False, 1, 1),
    (8, True, 1, 1),
    (5, False, 1, 1),
    (3, False, 3, 0),
    (3, True, 0, 3),
]
"""Depth, whether oblivious, market trees and state trees; at most three in all, so that sums are exact."""


@pytest.mark.parametrize(("depth", "oblivious", "market", "state"), FORESTS)
def test_a_forest_sums_the_leaves_of_walks_over_market_and_account(
    depth: int, oblivious: bool, market: int, state: int
) -> None:
    shape = Shape(2, 2, ActionSpace(("flat", "long"), (0.0, 1.0)))
    species = ForestSpecies(Settings("oblivious" if oblivious else "ordinary", depth, market, state), shape)
    rng = np.random.default_rng(depth)
    marks = np.concatenate([MARKS, rng.normal(size=13)])
    own = drawn_trees(rng, species.layout, market, 2, 2, marks)
    both = drawn_trees(rng, species.layout, state, 4, 2, marks)
    both = both._replace(leaf=both.leaf * np.float32(256**market) * np.asarray([1, -1], np.float32))
    bars, count = 5, 20
    seen, account = rows(rng, bars * count, 2).reshape(bars, count, 2), rows(rng, count, 2)

    @jax.jit
    def values(genome: Forest, seen: jax.Array, account: jax.Array, bar: int) -> jax.Array:
        code = species.encode(genome, seen)
        return species.values(genome, jax.tree.map(lambda x: x[bar], code), account, ())[0]

    genome = Forest(jnp.asarray([0.25, -0.5]), on_device(own), on_device(both))
    for bar in range(bars):
        said = np.asarray(values(genome, jnp.asarray(seen), jnp.asarray(account), bar))
        for row, mine, heard in zip(seen[bar], account, said, strict=True):
            want = np.asarray([0.25, -0.5])
            for trees, asked in ((own, row), (both, np.concatenate([row, mine]))):
                for tree in each_tree(trees):
                    want = want + tree.leaf[leaf_of(species.layout, tree, asked)]
            np.testing.assert_allclose(heard, want, rtol=1e-7)


def test_a_layout_says_which_nodes_and_leaves_lie_where() -> None:
    """Against what heap order says: below n lie 2n + 1 and 2n + 2."""
    for layout in (Layout(3, False), Layout(3, True)):
        for leaf in range(layout.leaves):
            node = 0
            for level in range(3):
                assert layout.path[leaf, level] == (level if layout.oblivious else node)
                right = (leaf >> (2 - level)) & 1
                assert layout.side[leaf, level] == right
                node = 2 * node + 1 + right
        for node in range(layout.nodes):
            depth = node if layout.oblivious else int(np.log2(node + 1))
            assert layout.level[node] == depth
            under = {node} if not layout.oblivious else set(range(node, 3))
            while not layout.oblivious and any(2 * n + 1 < layout.nodes and 2 * n + 1 not in under for n in under):
                under |= {m for n in under for m in (2 * n + 1, 2 * n + 2) if m < layout.nodes}
            assert set(np.flatnonzero(layout.below[node])) == under
            assert set(np.flatnonzero(layout.under[node])) == {
                leaf for leaf in range(8) if layout.oblivious or leaf >> (3 - depth) == node + 1 - 2**depth
            }


@pytest.mark.parametrize("layout", [Layout(3, False), Layout(4, True)], ids=name)
@given(seed=st.integers(0, 2**32 - 1), kinds=st.integers(1, 5), inputs=st.integers(1, 3))
@settings(max_examples=12, deadline=None)
def test_leaves_no_row_reaches_become_those_it_ends_in_instead(
    layout: Layout, seed: int, kinds: int, inputs: int
) -> None:
    """Few thresholds and few inputs: most trees have dead leaves, found here by trying every row."""
    rng = np.random.default_rng(seed)
    marks = rng.choice(np.asarray([-1.0, 0.0, 1.0, np.inf, -np.inf, SMALLEST], np.float32), kinds)
    trees = drawn_trees(rng, layout, 8, inputs, ACTIONS, marks)
    after = settling(layout)(on_device(trees))
    again = settling(layout)(after)
    np.testing.assert_array_equal(again.leaf, after.leaf)
    for part in ("feature", "threshold", "nan_right"):
        np.testing.assert_array_equal(getattr(after, part), getattr(trees, part))
    for own, tree in zip(each_tree(after), each_tree(trees), strict=True):
        found = reached(layout, tree, inputs)
        np.testing.assert_array_equal(own.leaf, tree.leaf[ends_instead(layout, found)])
        alive = sorted(found)
        np.testing.assert_array_equal(own.leaf[alive], tree.leaf[alive])


@pytest.mark.parametrize("layout", [Layout(4, False), Layout(5, True)], ids=name)
def test_settling_changes_no_answer(layout: Layout) -> None:
    rng = np.random.default_rng(5)
    trees = drawn_trees(rng, layout, 3, 2, ACTIONS, MARKS)
    after = settling(layout)(on_device(trees))
    assert (np.asarray(after.leaf) != trees.leaf).any()
    seen = jnp.asarray(np.stack(np.meshgrid(VALUES, VALUES), -1).reshape(-1, 2))
    answer = answering(layout)
    np.testing.assert_array_equal(answer(on_device(trees), seen), answer(after, seen))


def test_rows_are_laid_out_by_input() -> None:
    seen = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    got = jax.jit(by_input)(jnp.asarray(seen))
    want = ordered(jnp.asarray(np.moveaxis(seen, -1, 0).reshape(5, -1)))
    np.testing.assert_array_equal(got, want)

"""Ensembles: what a node, a level and a sum are, and which arrays are no tree."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.exchange.ensemble import LEAF, ZERO, Ensemble, Tree, deepest, levels


def _stump(threshold: float = 0.5, *, values: tuple[float, float] = (-1.0, 1.0), **changes: Any) -> Tree:
    """One split of column 0 and two leaves."""
    tree = Tree(
        feature=np.array([0, LEAF, LEAF], np.int32),
        threshold=np.array([threshold, 0, 0]),
        left=np.array([1, LEAF, LEAF], np.int32),
        right=np.array([2, LEAF, LEAF], np.int32),
        missing_left=np.array([False] * 3),
        zero_missing=np.array([False] * 3),
        value=np.array([[0.0], [values[0]], [values[1]]]),
        number=np.array([LEAF, 10, 20], np.int32),
    )
    return dataclasses.replace(tree, **{name: np.asarray(value) for name, value in changes.items()})


def _of(*trees: Tree, base: float = 0.0, **options: Any) -> Ensemble:
    return Ensemble(library="arena", features=("x",), trees=trees, base=np.array([base]), **options)


def test_a_value_on_the_threshold_goes_right_where_that_is_strict_and_nan_goes_its_own_way() -> None:
    rows = np.array([[0.5], [np.nextafter(np.float32(0.5), np.float32(0))], [np.nan], [np.inf], [-np.inf]], np.float32)
    assert _of(_stump()).leaves(rows)[:, 0].tolist() == [20, 10, 20, 20, 10]
    assert _of(_stump(), strict=False).leaves(rows)[:, 0].tolist() == [10, 10, 20, 20, 10]
    assert _of(_stump(missing_left=[True, False, False])).leaves(rows)[:, 0].tolist() == [20, 10, 10, 20, 10]


def test_zeros_are_missing_where_a_node_says_so() -> None:
    rows = np.array([[0.0], [-ZERO], [float(np.float32(ZERO))], [1.0001 * ZERO], [-1.0001 * ZERO], [np.nan]])
    tree = _stump(-1.0, missing_left=[True, False, False], zero_missing=[True, False, False])
    assert _of(tree, inputs="float64").leaves(rows)[:, 0].tolist() == [10, 10, 10, 20, 20, 10]
    assert _of(tree).leaves(rows)[:, 0].tolist() == [10, 10, 10, 20, 20, 10]


def test_rows_are_rounded_to_the_inputs_before_they_are_compared() -> None:
    rows = np.array([[0.5 - 1e-12], [1e300], [-1e300]])
    assert _of(_stump()).leaves(rows)[:, 0].tolist() == [20, 20, 10]
    assert _of(_stump(), inputs="float64").leaves(rows)[:, 0].tolist() == [10, 20, 10]


def test_single_sums_start_from_the_base_and_take_leaves_one_by_one() -> None:
    """Rounding shows the order: 2²⁴ + 1 is 2²⁴ in float32, so leaf by leaf the ones are lost, and all at once not."""
    trees, rows = [_stump(values=(1.0, 1.0))] * 4, np.zeros((1, 1), np.float32)
    assert _of(*trees, base=2.0**24).predict(rows).tolist() == [[2.0**24]]
    assert _of(*trees, base=2.0**24, scale=2.0).predict(rows).tolist() == [[2.0**24 + 8]]
    assert _of(*trees, base=2.0**24, sums="float64").predict(rows).tolist() == [[2.0**24 + 4]]
    assert _of(*trees, base=2.0**53, sums="float64").predict(rows).tolist() == [[2.0**53 + 4]]


def test_an_ensemble_without_trees_is_its_base() -> None:
    empty, rows = _of(base=0.25), np.zeros((3, 1), np.float32)
    assert empty.predict(rows).tolist() == [[0.25]] * 3
    assert empty.nodes(rows).shape == empty.leaves(rows).shape == (3, 0)
    assert deepest(empty.trees) == 0


def test_rows_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match=r"rows are \[3, 2\]; right is \[rows, 1\]"):
        _of(_stump()).predict(np.zeros((3, 2), np.float32))


@st.composite
def _shapes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Children of a random tree, and how deep each node lies."""
    inner = draw(st.integers(0, 12))
    count = 2 * inner + 1
    numbers = [0, *draw(st.permutations(range(1, count)))]
    left, right, depth, ends = np.full(count, LEAF), np.full(count, LEAF), [0] * count, [0]
    for index in range(inner):
        node = ends.pop(draw(st.integers(0, len(ends) - 1)))
        left[node], right[node] = children = numbers[2 * index + 1], numbers[2 * index + 2]
        for child in children:
            depth[child] = depth[node] + 1
        ends += children
    return left, right, depth


@given(_shapes())
def test_levels_are_the_nodes_by_their_distance_from_the_root(shape: tuple[np.ndarray, np.ndarray, list[int]]) -> None:
    left, right, depth = shape
    found = levels(left, right)
    told = [[node for node, own in enumerate(depth) if own == level] for level in range(max(depth) + 1)]
    assert [level.tolist() for level in found] == told
    tree = dataclasses.replace(_stump(), left=left, right=right)
    assert tree.depth == deepest([_stump(), tree]) - (not max(depth)) == max(depth)


@given(_shapes(), st.data())
def test_one_edge_bent_anywhere_is_no_tree(
    shape: tuple[np.ndarray, np.ndarray, list[int]], data: st.DataObject
) -> None:
    left, right, _ = shape
    inner = np.flatnonzero(left != LEAF)
    if not len(inner):
        return
    side, node = data.draw(st.sampled_from([left, right])), data.draw(st.sampled_from(inner.tolist()))
    side[node] = data.draw(st.integers(-5, len(left) + 5).filter(lambda child: child != side[node]))
    plain = np.zeros(len(left))
    tree = Tree(
        feature=np.where(left != LEAF, 0, LEAF).astype(np.int32),
        threshold=plain,
        left=left,
        right=right,
        missing_left=plain > 0,
        zero_missing=plain > 0,
        value=plain[:, None],
        number=np.arange(len(left), dtype=np.int32),
    )
    with pytest.raises(ValueError, match=r"^node \d+ (has|hangs on two)|nodes hang on nothing"):
        tree.check(features=1, outputs=1)


def test_chains_of_many_nodes_are_levels_too() -> None:
    count = 4_001
    left, right = np.full(count, LEAF), np.full(count, LEAF)
    left[:-2:2], right[:-2:2] = np.arange(1, count - 1, 2), np.arange(2, count, 2)
    assert len(levels(left, right)) == 2_001


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"feature": np.array([1, LEAF, LEAF])}, "node 0 looks at no feature of the 1"),
        ({"feature": np.array([-2, LEAF, LEAF])}, "node 0 looks at no feature of the 1"),
        ({"feature": np.array([0, 0, LEAF])}, "node 1 has a feature but no left child"),
        ({"feature": np.array([LEAF, LEAF, LEAF])}, "node 0 has a feature but no left child, or"),
        ({"left": np.array([1, LEAF])}, r"left is \[2\]; right is \[3\]"),
        ({"value": np.zeros((3, 2))}, r"value is \[3, 2\]; right is \[3, 1\]"),
        ({"value": np.array([[0.0], [np.nan], [0.0]])}, "node 1 has no finite value"),
        ({"right": np.array([1, LEAF, LEAF])}, "node 1 hangs on two"),
        ({"right": np.array([0, LEAF, LEAF])}, "node 0 hangs on two"),
        ({"right": np.array([3, LEAF, LEAF])}, "node 0 has child 3; right is 1 to 2"),
        ({"right": np.array([LEAF, LEAF, LEAF])}, "node 0 has child -1"),
    ],
)
def test_what_is_no_tree_is_told_by_its_node(changes: dict[str, Any], says: str) -> None:
    _stump().check(features=1, outputs=1)
    with pytest.raises(ValueError, match=says):
        _stump(**changes).check(features=1, outputs=1)


def test_nodes_that_hang_on_nothing_are_no_part_of_a_tree() -> None:
    lone = {field.name: getattr(_stump(), field.name) for field in dataclasses.fields(Tree)}
    more = Tree(**{name: np.concatenate([value, value[1:2]]) for name, value in lone.items()})
    with pytest.raises(ValueError, match="1 nodes hang on nothing"):
        more.check(features=1, outputs=1)
    with pytest.raises(ValueError, match="no nodes"):
        Tree(**{name: value[:0] for name, value in lone.items()}).check(features=1, outputs=1)

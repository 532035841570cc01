"""Every float32 row ends in the same leaf of the canonical form."""

import contextlib
import dataclasses

import numpy as np
import pytest
import random_ensembles as made
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.exchange.canonical import canonical
from experiments.exchange.ensemble import LEAF, ZERO, Ensemble, Tree
from markets.errors import UserError

SEEDS = st.integers(0, 2**32 - 1)
KINDS = st.sampled_from(sorted(made.KINDS))


@settings(deadline=None, max_examples=150)
@given(seed=SEEDS, kind=KINDS, outputs=st.integers(1, 3))
def test_every_row_ends_in_the_same_node(seed: int, kind: str, outputs: int) -> None:
    rng = np.random.default_rng(seed)
    original = made.ensemble(rng, kind, outputs=outputs)
    rows = made.rows(rng, original)
    form = canonical(original)
    np.testing.assert_array_equal(form.nodes(rows), original.nodes(rows))
    np.testing.assert_array_equal(form.leaves(rows), original.leaves(rows))
    np.testing.assert_allclose(form.predict(rows), original.predict(rows), rtol=0, atol=1e-5)


@settings(deadline=None, max_examples=50)
@given(seed=SEEDS, kind=KINDS)
def test_a_canonical_ensemble_is_the_arenas_and_comes_back_as_it_is(seed: int, kind: str) -> None:
    form = canonical(made.ensemble(np.random.default_rng(seed), kind))
    assert (form.library, form.strict, form.inputs, form.sums, form.scale) == ("arena", True, "float32", "float32", 1.0)
    for tree in form.trees:
        np.testing.assert_array_equal(tree.threshold, tree.threshold.astype(np.float32))
        np.testing.assert_array_equal(tree.value, tree.value.astype(np.float32))
        assert not tree.zero_missing.any()
    assert made.fields(canonical(form)) == made.fields(form)


@settings(deadline=None, max_examples=150)
@given(seed=SEEDS, kind=KINDS)
def test_zeros_that_count_as_missing_go_the_same_way_or_are_refused(seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    original = made.ensemble(rng, kind, trees=1, splits=4, zeros=True)
    with contextlib.suppress(UserError):  # when it may be raised is told by the two tests below
        form = canonical(original)
        rows = made.rows(rng, original)
        np.testing.assert_array_equal(form.nodes(rows), original.nodes(rows))


ABOVE = float(np.nextafter(np.float32(ZERO), np.float32(1)))


@pytest.mark.parametrize(
    ("threshold", "left", "meant"),
    [
        (2.0, True, 2.0),  # zeros go left anyway
        (-2.0, False, -2.0),  # zeros go right anyway
        (0.0, True, ABOVE),  # x < 0 or zero
        (float(np.float32(ZERO)), False, -float(np.float32(ZERO))),  # not (x < ZERO) or zero
        (-2.0, True, None),  # below −2, and zeros
        (2.0, False, None),  # from 2, and zeros
    ],
)
def test_zeros_go_by_one_threshold_where_that_is_possible(threshold: float, left: bool, meant: float | None) -> None:
    stump = _stump(threshold, left=left, zero=True)
    if meant is None:
        with pytest.raises(UserError, match=r"^tree 0: zeros count as missing and go (left|right) at node 0"):
            canonical(stump)
    else:
        assert canonical(stump).trees[0].threshold[0] == meant


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_zeros_that_do_not_reach_a_node_do_not_matter_there(sign: float) -> None:
    """Node 2 sees numbers beyond ±1 alone; it parts them at ±2 and sends what is missing to the far side."""
    above = sign > 0
    feature = np.array([0, LEAF, 0, LEAF, LEAF], np.int32)
    left = np.array([1 if above else 2, LEAF, 3, LEAF, LEAF], np.int32)
    right = np.array([2 if above else 1, LEAF, 4, LEAF, LEAF], np.int32)
    inner, number = feature != LEAF, np.array([LEAF, 0, LEAF, 1, 2], np.int32)
    missing_left = np.array([above, False, not above, False, False])
    tree = Tree(feature, sign * np.array([1.0, 0, 2, 0, 0]), left, right, missing_left, inner, np.zeros((5, 1)), number)
    ensemble = Ensemble("lightgbm", ("x",), (tree,), np.zeros(1), strict=False, inputs="float64")
    rows = np.array([[0], [ZERO], [1], [1.5], [2], [3], [np.nan], [-1], [-1.5], [-2], [-3]], np.float32)
    np.testing.assert_array_equal(canonical(ensemble).nodes(rows), ensemble.nodes(rows))


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("missing_left", [True, False])
@pytest.mark.parametrize("threshold", [np.inf, -np.inf, 1e39, -1e39, made.LARGEST, -made.LARGEST, np.nan])
def test_a_split_that_nobody_or_everybody_passes_stays_one(threshold: float, strict: bool, missing_left: bool) -> None:
    original = dataclasses.replace(_stump(threshold, left=missing_left), strict=strict, inputs="float64")
    ends = [-np.inf, -made.LARGEST, 0, made.LARGEST, np.inf, np.nan]
    rows = np.array(ends, np.float32)[:, None]
    form = canonical(original)
    np.testing.assert_array_equal(form.nodes(rows), original.nodes(rows))
    with np.errstate(invalid="ignore"):
        right = rows[:, 0] >= form.trees[0].threshold[0]  # the arena's own question, which NaN thresholds would spoil
    right |= np.isnan(rows[:, 0]) & ~form.trees[0].missing_left[0]
    ways = np.where(right, form.trees[0].right[0], form.trees[0].left[0])
    np.testing.assert_array_equal(ways, original.nodes(rows)[:, 0])


def test_the_scale_goes_into_the_leaves_and_the_base_stays_apart() -> None:
    original = dataclasses.replace(_stump(0.0, left=True), scale=0.1, base=np.array([0.3]))
    form = canonical(original)
    np.testing.assert_array_equal(form.trees[0].value[:, 0], [0, np.float32(0.1 * 1.0), np.float32(0.1 * 2.0)])
    assert form.base == np.float32(0.3)


def test_leaves_beyond_float32_are_refused() -> None:
    with pytest.raises(UserError, match=r"^tree 0: a leaf is 1e\+39; it must be a finite float32$"):
        canonical(dataclasses.replace(_stump(0.0, left=True), scale=1e39))


def _stump(threshold: float, *, left: bool, zero: bool = False) -> Ensemble:
    inner = np.array([True, False, False])
    feature, number = np.array([0, LEAF, LEAF], np.int32), np.array([LEAF, 0, 1], np.int32)
    sides = np.array([1, LEAF, LEAF], np.int32), np.array([2, LEAF, LEAF], np.int32)
    value = np.array([[0.0], [1.0], [2.0]])
    tree = Tree(feature, np.array([threshold, 0, 0]), *sides, inner & left, inner & zero, value, number)
    return Ensemble("arena", ("x",), (tree,), np.zeros(1))

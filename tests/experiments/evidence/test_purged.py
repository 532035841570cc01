"""Combinatorial purged cross-validation: nothing leaks, nothing is lost without cause, and the paths are complete."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.evidence.purged import group_edges, join_paths, path_splits, purged_rows, purged_splits, split_groups
from markets.errors import UserError

some = settings(max_examples=30, deadline=None)
shapes = st.integers(2, 7).flatmap(lambda n: st.tuples(st.integers(n, 60), st.just(n), st.integers(1, n - 1)))


@some
@given(shapes, st.integers(1, 9), st.integers(0, 5), st.randoms(use_true_random=False))
def test_a_row_is_trained_on_exactly_if_no_label_overlaps_and_no_embargo_holds_it(
    shape: tuple[int, int, int], longest: int, embargo: int, random: object
):
    samples, groups, tests = shape
    horizon = np.array([random.randint(1, longest) for _ in range(samples)])  # type: ignore[attr-defined]
    for train, test in purged_splits(samples, groups=groups, tests=tests, horizon=horizon, embargo=embargo):
        tested = set(test.tolist())
        expected = []
        for row in set(range(samples)) - tested:
            overlaps = any(row < t + horizon[t] and t < row + horizon[row] for t in tested)
            held = any(t < row < t + horizon[t] + embargo for t in tested)
            if not overlaps and not held:
                expected.append(row)
        assert train.tolist() == sorted(expected)


@some
@given(shapes)
def test_every_choice_of_groups_is_tested_once_and_every_row_equally_often(shape: tuple[int, int, int]):
    samples, groups, tests = shape
    seen = np.zeros(samples, int)
    tested = set()
    for train, test in purged_splits(samples, groups=groups, tests=tests):
        seen[test] += 1
        tested.add(tuple(test.tolist()))
        assert len(train) + len(test) == samples, "with labels of one row and no embargo nothing is purged"
    assert len(tested) == math.comb(groups, tests)
    assert (seen == math.comb(groups - 1, tests - 1)).all()


@some
@given(shapes)
def test_paths_hold_every_sample_once_and_every_test_in_one_path(shape: tuple[int, int, int]):
    samples, groups, tests = shape
    found = [
        np.stack([test, np.full(len(test), number)], axis=1).astype(float)
        for number, (_, test) in enumerate(purged_splits(samples, groups=groups, tests=tests))
    ]
    paths = join_paths(found, samples, groups=groups, tests=tests)
    assert paths.shape == (math.comb(groups - 1, tests - 1), samples, 2)
    assert (paths[:, :, 0] == np.arange(samples)).all(), "each value stands at its own row"
    pieces = {(row, split) for path in paths.tolist() for row, split in path}
    assert len(pieces) == sum(map(len, found)), "no test is used twice"


def test_rows_before_a_test_lose_their_labels_and_rows_after_it_the_embargo_too():
    train = purged_rows(np.arange(10, 15), 30, horizon=4, embargo=2)
    assert train.tolist() == [*range(7), *range(20, 30)]


def test_neighbouring_test_groups_are_one_run_and_distant_ones_are_purged_apart():
    splits = {tuple(np.unique(test // 5)): train for train, test in purged_splits(20, groups=4, tests=2, horizon=2)}
    assert splits[0, 1].tolist() == list(range(11, 20))
    assert splits[0, 2].tolist() == [6, 7, 8, 16, 17, 18, 19]
    assert splits[1, 3].tolist() == [0, 1, 2, 3, 11, 12, 13]


def test_a_label_that_reaches_over_a_whole_group_is_purged_from_beyond_it():
    horizon = np.ones(12, int)
    horizon[3] = 7  # of the test: known at row 10
    assert purged_rows(np.arange(4), 12, horizon=horizon).tolist() == [10, 11]
    horizon = np.ones(12, int)
    horizon[1] = 9  # of the training, before a test that it reaches
    assert 1 not in purged_rows(np.arange(8, 12), 12, horizon=horizon)


def test_groups_are_even_and_the_first_take_the_rest():
    assert np.diff(group_edges(14, 4)).tolist() == [4, 4, 3, 3]
    assert group_edges(14, 4)[[0, -1]].tolist() == [0, 14]


def test_the_published_example_has_fifteen_splits_and_five_paths():
    """AFML 12.3: six groups, two of them tested."""
    assert len(split_groups(6, 2)) == 15
    assert path_splits(6, 2).tolist() == [
        [0, 0, 1, 2, 3, 4],
        [1, 5, 5, 6, 7, 8],
        [2, 6, 9, 9, 10, 11],
        [3, 7, 10, 12, 12, 13],
        [4, 8, 11, 13, 14, 14],
    ]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"groups": 1}, "groups: 1; right is 2 to 12"),
        ({"groups": 13}, "groups: 13; right is 2 to 12"),
        ({"groups": 4, "tests": 4}, "tests: 4; right is 1 to 3"),
        ({"tests": 0}, "tests: 0; right is 1 to 5"),
        ({"horizon": 0}, "horizon: 0; right is"),
        ({"horizon": np.ones(3, int)}, "one for each of 12 rows"),
        ({"embargo": -1}, "embargo: -1 must be at least 0"),
    ],
)
def test_numbers_that_make_no_split_are_refused(settings: dict[str, int], words: str):
    with pytest.raises(UserError, match=words):
        purged_splits(12, **settings)


def test_pieces_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match="2 pieces; right is 3"):
        join_paths([np.zeros(2)] * 2, 6, groups=3, tests=1)
    with pytest.raises(UserError, match="3 values of split 1; right is 2"):
        join_paths([np.zeros(2), np.zeros(3), np.zeros(2)], 6, groups=3, tests=1)
    with pytest.raises(UserError, match="rows 5 to 6; right is within 0 to 5"):
        purged_rows(np.array([5, 6]), 6)

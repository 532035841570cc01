"""Purged splits against purgedcv and skfolio: the same where they define the same, and otherwise exactly how not."""

import itertools

import numpy as np
import pytest

from experiments.evidence.purged import group_edges, join_paths, path_splits, purged_splits

purgedcv = pytest.importorskip("purgedcv", reason="the [oracles] extra is not installed")
skfolio = pytest.importorskip("skfolio.model_selection", reason="the [oracles] extra is not installed")
pd = pytest.importorskip("pandas")

SHAPES = [(60, 6, 2), (61, 6, 2), (65, 6, 3), (40, 4, 1), (47, 5, 4)]
LABELS = [(1, 0), (1, 1), (3, 0), (2, 2), (4, 3)]
STEP = pd.Timedelta(hours=1)


def theirs(samples: int, groups: int, tests: int, horizon: object, **more: object) -> list[tuple[list[int], list[int]]]:
    made = pd.Series(pd.date_range("2024-01-01", periods=samples, freq=STEP))
    known = made + STEP * np.broadcast_to(horizon, samples)  # type: ignore[call-overload]
    splitter = purgedcv.CombinatorialPurgedCV(groups, tests, prediction_times=made, evaluation_times=known, **more)
    return [(train.tolist(), test.tolist()) for train, test in splitter.split(np.zeros((samples, 1)))]


def ours(samples: int, groups: int, tests: int, horizon: object, embargo: int) -> list[tuple[list[int], list[int]]]:
    splits = purged_splits(samples, groups=groups, tests=tests, horizon=horizon, embargo=embargo)  # type: ignore[arg-type]
    return [(train.tolist(), test.tolist()) for train, test in splits]


@pytest.mark.parametrize(("shape", "labels"), list(itertools.product(SHAPES, LABELS)))
def test_purgedcv_agrees_where_its_closed_window_of_embargo_ends_between_rows(
    shape: tuple[int, int, int], labels: tuple[int, int]
):
    """It embargoes [end of label, end + embargo] with both ends, we a number of rows: m rows are m − ½ steps there."""
    horizon, embargo = labels
    window = STEP * (embargo - 0.5) if embargo else None
    assert ours(*shape, horizon, embargo) == theirs(*shape, horizon, embargo=window)


@pytest.mark.parametrize("shape", SHAPES)
def test_purgedcv_agrees_on_labels_of_different_lengths(shape: tuple[int, int, int]):
    horizon = np.random.default_rng(sum(shape)).integers(1, 8, shape[0])
    assert ours(*shape, horizon, 2) == theirs(*shape, horizon, embargo=STEP * 1.5)


def test_an_embargo_of_whole_steps_is_one_row_longer_in_purgedcv():
    shape = (60, 6, 2)
    assert ours(*shape, 3, 3) == theirs(*shape, 3, embargo=STEP * 2)
    assert ours(*shape, 3, 2) != theirs(*shape, 3, embargo=STEP * 2)


def test_an_embargo_in_observations_begins_at_the_last_test_row_in_purgedcv_and_at_its_labels_end_here():
    shape, horizon = (60, 6, 2), 4
    assert ours(*shape, horizon, 2) == theirs(*shape, horizon, embargo_observations=horizon - 1 + 2)
    assert ours(*shape, horizon, 0) == theirs(*shape, horizon, embargo_observations=2), "no longer than the purge"


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("shape", [(60, 6, 2), (66, 6, 3), (50, 5, 4)])
def test_skfolio_agrees_where_groups_are_even(shape: tuple[int, int, int], labels: tuple[int, int]):
    """It purges a number of rows on each side: a label of h rows overlaps h − 1."""
    samples, groups, tests = shape
    horizon, embargo = labels
    splitter = skfolio.CombinatorialPurgedCV(groups, tests, purged_size=horizon - 1, embargo_size=embargo)
    found = [(train.tolist(), np.concatenate(test).tolist()) for train, test in splitter.split(np.zeros((samples, 1)))]
    assert ours(*shape, horizon, embargo) == found
    np.testing.assert_array_equal(path_splits(groups, tests), splitter.recombined_paths.T)


def test_skfolio_gives_what_is_left_over_to_the_last_group_alone():
    edges = group_edges(64, 6)
    assert np.diff(edges).tolist() == [11, 11, 11, 11, 10, 10]
    splitter = skfolio.CombinatorialPurgedCV(6, 2)
    sizes = {len(piece) for _, test in splitter.split(np.zeros((64, 1))) for piece in test}
    assert sizes == {10, 14}


@pytest.mark.parametrize("shape", SHAPES)
def test_purgedcv_joins_the_same_paths(shape: tuple[int, int, int]):
    samples, groups, tests = shape
    made = pd.Series(pd.date_range("2024-01-01", periods=samples, freq=STEP))
    splitter = purgedcv.CombinatorialPurgedCV(groups, tests, prediction_times=made, evaluation_times=made + STEP)
    rng = np.random.default_rng(samples)
    found = [rng.normal(size=len(test)) for _, test in purged_splits(samples, groups=groups, tests=tests)]
    np.testing.assert_array_equal(
        join_paths(found, samples, groups=groups, tests=tests), splitter.reconstruct_paths(found)
    )

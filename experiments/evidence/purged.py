"""Combinatorial purged cross-validation: every choice of test groups, and training rows that know nothing of them.

López de Prado (2018), Advances in Financial Machine Learning, chapters 7 and 12: samples are cut into n groups in time,
every choice of k of them is a test once, training rows whose labels overlap a test's are purged and those just after a
test embargoed. Every group is tested in C(n − 1, k − 1) splits, so the tests join to as many paths over all samples: a
distribution of records where one walk forward gives a single one.

Rows alone, no market: for whoever fits something to samples of their own. Evolution has no use for it on the way, as
each split wants founders of its own.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from markets.errors import UserError

__all__ = ["Split", "group_edges", "join_paths", "path_splits", "purged_rows", "purged_splits", "split_groups"]

Rows = NDArray[np.int64]


class Split(NamedTuple):
    """Rows of one split, ascending."""

    train: Rows
    test: Rows


def purged_splits(
    samples: int, *, groups: int = 6, tests: int = 2, horizon: int | Rows = 1, embargo: int = 0
) -> Iterator[Split]:
    """Every split, in the order of `split_groups`.

    Args:
        samples: how many there are, in time.
        groups: n, that they are cut into (`group_edges`).
        tests: k, groups tested at once.
        horizon: rows that a sample's label looks ahead: that of row t is known at t + horizon. One for all, or of each
            sample [samples].
        embargo: rows after the last label of a test that are not trained on.

    Returns:
        `train` and `test` rows of each. Where labels are long there may be nothing left to train on.

    Raises:
        UserError: numbers that make no split.

    Example:
        >>> for train, test in purged_splits(9, groups=3, tests=1, horizon=2, embargo=1):
        ...     print(train.tolist(), test.tolist())
        [5, 6, 7, 8] [0, 1, 2]
        [0, 1, 8] [3, 4, 5]
        [0, 1, 2, 3, 4] [6, 7, 8]
    """
    edges, chosen = group_edges(samples, groups), split_groups(groups, tests)
    ahead = _looks_ahead(horizon, embargo, samples)

    def splits() -> Iterator[Split]:
        for own in chosen:
            test = np.concatenate([np.arange(edges[group], edges[group + 1]) for group in own])
            yield Split(purged_rows(test, samples, horizon=ahead, embargo=embargo), test)

    return splits()  # so that what is wrong is said at once, not with the first split


def purged_rows(test: Rows, samples: int, *, horizon: int | Rows = 1, embargo: int = 0) -> Rows:
    """Rows that may be trained on beside a test, ascending.

    The label of row t spans [t, t + horizon): a row is purged if its span and a test row's have a moment in common. The
    embargo begins where the last label of a run of test rows ends. Rows before a test are never embargoed, as what they
    see lies before it.

    Args:
        test: rows, [tested].
        samples: how many there are.
        horizon: rows that labels look ahead, one for all or [samples].
        embargo: rows after the last label of each run of test rows.

    Raises:
        UserError: a horizon below 1, an embargo below 0, or test rows that there are not.
    """
    ahead = _looks_ahead(horizon, embargo, samples)
    tested = np.unique(test)
    if len(tested) and not 0 <= tested[0] <= tested[-1] < samples:
        raise UserError(f"test: rows {tested[0]} to {tested[-1]}; right is within 0 to {samples - 1}")
    row = np.arange(samples)
    known = row + ahead
    kept = np.ones(samples, bool)
    kept[tested] = False
    for run in np.split(tested, np.flatnonzero(np.diff(tested) > 1) + 1) if len(tested) else ():
        before, after = row < run[0], row > run[-1]
        kept &= ~(before & (known > run[0])) & ~(after & (row < known[run].max() + embargo))
    return np.flatnonzero(kept)


def _looks_ahead(horizon: int | Rows, embargo: int, samples: int) -> Rows:
    """The horizon of each row, [samples].

    Raises:
        UserError: a horizon below 1, as many as there are not rows, or an embargo below 0.
    """
    if embargo < 0:
        raise UserError(f"embargo: {embargo} must be at least 0 rows")
    ahead = np.asarray(horizon, np.int64)
    if ahead.shape not in ((), (samples,)) or (ahead < 1).any():
        raise UserError(f"horizon: {horizon}; right is a number of rows, at least 1, or one for each of {samples} rows")
    return np.broadcast_to(ahead, (samples,))


def group_edges(samples: int, groups: int) -> Rows:
    """Where groups begin and end, [groups + 1]: as even as can be, the first ones a row longer where it does not go up.

    Raises:
        UserError: fewer than two groups, or fewer samples than groups.
    """
    if not 2 <= groups <= samples:
        raise UserError(f"groups: {groups}; right is 2 to {samples}, the number of samples")
    return np.arange(groups + 1) * (samples // groups) + np.minimum(np.arange(groups + 1), samples % groups)


def split_groups(groups: int, tests: int) -> list[tuple[int, ...]]:
    """The groups each split tests: all C(groups, tests) choices, in lexicographic order.

    Raises:
        UserError: no group to test, or none to train on.
    """
    if not 1 <= tests < groups:
        raise UserError(f"tests: {tests}; right is 1 to {groups - 1}, fewer than the {groups} groups")
    return list(itertools.combinations(range(groups), tests))


def path_splits(groups: int, tests: int) -> Rows:
    """The split whose test makes each group of each path, [C(groups − 1, tests − 1), groups].

    Path p takes of every group the p-th split that tests it, so each test of each split is in exactly one path.

    Example:
        >>> path_splits(4, 2)
        array([[0, 0, 1, 2],
               [1, 3, 3, 4],
               [2, 4, 5, 5]])
    """
    chosen = split_groups(groups, tests)
    return np.array([[number for number, own in enumerate(chosen) if group in own] for group in range(groups)]).T


def join_paths(
    found: Sequence[NDArray[np.float64]], samples: int, *, groups: int = 6, tests: int = 2
) -> NDArray[np.float64]:
    """Join what was found on the tests (predictions, returns) to paths over all samples.

    Args:
        found: of each split, in the order of `purged_splits`, a value of each of its test rows, [tested, …].
        samples: how many there are.
        groups: as in `purged_splits`.
        tests: as in `purged_splits`.

    Returns:
        [paths, samples, …].

    Raises:
        UserError: not one piece a split, or a piece that does not fit its test rows.

    Example:
        >>> splits = purged_splits(8, groups=4, tests=2, horizon=2)
        >>> found = [test * 10.0 + number for number, (_, test) in enumerate(splits)]
        >>> join_paths(found, 8, groups=4, tests=2)[1]
        array([ 1., 11., 23., 33., 43., 53., 64., 74.])
    """
    edges, chosen = group_edges(samples, groups), split_groups(groups, tests)
    if len(found) != len(chosen):
        raise UserError(f"found: {len(found)} pieces; right is {len(chosen)}, one of each split")
    sizes = np.diff(edges)
    for number, own in enumerate(chosen):
        if len(found[number]) != sizes[list(own)].sum():
            raise UserError(
                f"found: {len(found[number])} values of split {number}; right is {sizes[list(own)].sum()}, "
                "one of each of its test rows"
            )
    paths = np.empty((math.comb(groups - 1, tests - 1), samples, *np.shape(found[0])[1:]))
    for path, numbers in enumerate(path_splits(groups, tests)):
        for group, number in enumerate(numbers.tolist()):
            own = chosen[number]
            first = sizes[list(own[: own.index(group)])].sum()
            paths[path, edges[group] : edges[group + 1]] = found[number][first : first + sizes[group]]
    return paths

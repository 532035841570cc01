"""Probability of backtest overfitting: how often the best of one half of a record disappoints in the other half.

Combinatorially symmetric cross-validation, Bailey, Borwein, López de Prado and Zhu (2017), "The Probability of
Backtest Overfitting". Days are cut into S blocks; every half of the blocks serves once as the past in which the best
column is chosen, while the other half is the future in which its rank among all columns is taken. With S = 16 that is
12,870 splits: sums of returns and of their squares by block, and one product with a 0/1 matrix [splits, blocks], order
all columns by their Sharpe ratios in all of them.
"""

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Overfitting", "cscv", "distinct"]

_ALIKE = 0.99
_PRODUCT = 1 << 18
"""Multiply-adds of one product: few enough for a core's own cache, and for matrix libraries to stay in one thread;
where other processes keep the cores, threads that wait for one another make this fifteen times slower."""
_STILL = 1e-12
"""Variance, as a share of the mean square, below which a column holds one number: what rounding leaves of none."""


class Overfitting(NamedTuple):
    """What comes of choosing the best column by half of the record."""

    pbo: float
    """Share of splits whose best falls below the median in the other half, those on the median by half; NaN with fewer
    than two columns."""
    logits: NDArray[np.float64]
    """ln(w / (1 − w)) of each split, w = rank / (columns + 1) of its best in the other half, [splits]."""
    columns: int
    """Columns that were compared."""
    dropped_idle: int
    """Columns left out because they never move."""
    merged: int
    """Columns left out because they are one that was kept, or its mirror image, but for |correlation| > 0.99."""


def cscv(returns: NDArray[np.float64], *, blocks: int = 16) -> Overfitting:
    """Probability of backtest overfitting by combinatorially symmetric cross-validation.

    Columns are ranked by Sharpe ratio; one that does not move in a half has 0 there. Ties share their mean rank; of
    several that are best the first is chosen. Where periods cannot be divided evenly the
    first blocks are one longer.

    Args:
        returns: of each candidate, by period, [periods, columns]: all that were chosen from, not the last few alone.
        blocks: S, even.

    Raises:
        ValueError: an odd number of blocks or fewer than 2, fewer than two periods a block, or a number that is not
            finite.
    """
    table = np.asarray(returns, np.float64)
    if blocks < 2 or blocks % 2:
        raise ValueError(f"{blocks} blocks: expected an even number, 2 or more")
    if table.ndim != 2 or len(table) < 2 * blocks:
        raise ValueError(
            f"returns of shape {table.shape}: expected [periods, columns] with {2 * blocks} periods at least"
        )
    if not np.isfinite(table).all():
        raise ValueError("returns must be finite")
    power = (table**2).mean(0)
    moving = table.var(0) > _STILL * power
    table = table[:, moving] / np.sqrt(power[moving])
    kept = distinct(table)
    idle, merged = int((~moving).sum()), int((~kept).sum())
    table = table[:, kept]
    columns = table.shape[1]
    if columns < 2:
        return Overfitting(np.nan, np.empty(0), columns, idle, merged)

    ranks = _ranks(table, blocks)
    logits = np.log(ranks) - np.log(columns + 1 - ranks)
    pbo = float((logits < 0).mean() + (logits == 0).mean() / 2)
    return Overfitting(pbo, logits, columns, idle, merged)


def distinct(returns: NDArray[np.float64], *, alike: float = _ALIKE) -> NDArray[np.bool_]:
    """Which columns to keep, so that none is alike another that is kept: the first of each kind, [columns].

    Args:
        returns: by period, [periods, columns], each with some variance.
        alike: |correlation| above which two columns are one.
    """
    centred = returns - returns.mean(0)
    centred /= np.sqrt((centred**2).sum(0))
    kept = np.ones(returns.shape[1], np.bool_)
    pairs = np.argwhere(np.triu(np.abs(centred.T @ centred) > alike, 1))  # by the first of the pair, upwards
    for first, second in pairs:
        if kept[first]:
            kept[second] = False
    return kept


def _ranks(table: NDArray[np.float64], blocks: int) -> NDArray[np.float64]:
    """Rank in the other half, 1 the worst, of the best column of every half, [splits]."""
    splits = np.asarray(list(itertools.combinations(range(blocks), blocks // 2)))
    # The other half of a split is the split that mirrors it in this order, so one half of them serves for both.
    inside = np.zeros((len(splits) // 2, blocks))
    np.put_along_axis(inside, splits[: len(splits) // 2], 1.0, axis=1)
    lengths = len(table) // blocks + (np.arange(blocks) < len(table) % blocks)
    starts = np.cumsum(lengths) - lengths
    sums, squares = np.add.reduceat(table, starts), np.add.reduceat(table**2, starts)

    first, second = np.empty(len(inside)), np.empty(len(inside))
    step = max(1, _PRODUCT // (blocks * table.shape[1]))
    for at in range(0, len(inside), step):
        taken = inside[at : at + step]
        halves = [_score(half @ sums, half @ squares, half @ lengths) for half in (taken, 1 - taken)]
        first[at : at + step] = _rank_of_best(*halves)
        second[at : at + step] = _rank_of_best(*reversed(halves))
    return np.concatenate([first, second[::-1]])


def _score(
    sums: NDArray[np.float64], squares: NDArray[np.float64], periods: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sharpe ratio but for a factor that all columns of a half share, 0 without a deviation, [splits, columns].

    Args:
        sums: of returns, [splits, columns].
        squares: sums of their squares, [splits, columns].
        periods: of each half, [splits].
    """
    spread = squares - sums**2 / periods[:, None]
    spread[spread <= _STILL * squares] = np.inf
    return sums / np.sqrt(spread)


def _rank_of_best(chosen_by: NDArray[np.float64], judged_by: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank, 1 the worst and ties by their mean, that the best of the one has in the other, [splits]."""
    best = np.take_along_axis(judged_by, chosen_by.argmax(1)[:, None], 1)
    below, equal = np.count_nonzero(judged_by < best, axis=1), np.count_nonzero(judged_by == best, axis=1)
    ranks: NDArray[np.float64] = below + (equal + 1) / 2
    return ranks

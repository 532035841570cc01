"""What independent seeds come to: means with their intervals, and one row a seed of what players made."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import binomtest
from scipy.stats import t as student

__all__ = ["Interval", "by_seed", "interval", "ratio_of_means", "share"]

_CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A mean over seeds with its 95 % confidence interval; the ends are NaN with fewer than two seeds."""

    mean: float
    low: float
    high: float


def interval(values: NDArray[np.float64]) -> Interval:
    """Student's interval for the mean of independent seeds."""
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return Interval(mean, math.nan, math.nan)
    half = float(student.ppf(0.5 + _CONFIDENCE / 2, n - 1) * np.std(values, ddof=1) / math.sqrt(n))
    return Interval(mean, mean - half, mean + half)


def share(count: int, of: int) -> Interval:
    """A share of independent cases with the exact interval of Clopper and Pearson (1934)."""
    found = binomtest(count, of).proportion_ci(_CONFIDENCE, method="exact")
    return Interval(count / of, float(found.low), float(found.high))


def ratio_of_means(above: NDArray[np.float64], below: NDArray[np.float64]) -> Interval:
    """The ratio of two means over the same seeds, with the jackknife's interval; NaN unless the mean below is positive.

    A mean of ratios would hang on the seed whose denominator is least.
    """
    n = len(above)
    if np.mean(below) <= 0:
        return Interval(math.nan, math.nan, math.nan)
    whole = float(np.mean(above) / np.mean(below))
    if n < 2:
        return Interval(whole, math.nan, math.nan)
    without = (above.sum() - above) / (below.sum() - below)
    spread = interval(n * whole - (n - 1) * without)
    half = spread.high - spread.mean
    return Interval(whole, whole - half, whole + half)


def by_seed(table: pl.DataFrame, regime: str, players: Sequence[str]) -> pl.DataFrame:
    """One row a seed, a column a player: log return a bar, and `<player>_sharpe`; who is missing was flat.

    Args:
        table: one row a seed, player and regime, as `experiments.studies.judging` makes them.
        regime: one of them, or `all`.
        players: the columns.
    """
    wide = table.filter(regime=regime).pivot("player", index="seed", values=["log_return", "sharpe"]).sort("seed")
    columns = [pl.col("seed")]
    for player in players:
        for value, name in (("log_return", player), ("sharpe", f"{player}_sharpe")):
            there = f"{value}_{player}" in wide.columns
            columns.append((pl.col(f"{value}_{player}") if there else pl.lit(0.0)).fill_null(0.0).alias(name))
    return wide.select(columns)

"""How many different things were tried: the effective number of trials behind a record, from a sample of them.

Evolution tries tens of thousands of genomes, but most of them trade much like their parents, and many do not trade.
What matters for the luck of the best is the number of independent trials whose best would be as lucky. It is measured:
of columns of returns standardised to variance 1 over T periods, G X / √T with Gaussian G are t statistics of trials
without merit that hang together as these do; the mean of their maximum is turned into a number of independent trials by
`trials_of_maximum`. Growing subsets say how that number grows with the number of genomes, and so what it comes to for
all of those that the sample stands for.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.evidence.sharpe import trials_of_maximum

__all__ = ["LEAST_CHANGES", "LEAST_PERIODS", "Trials", "effective_trials"]

LEAST_CHANGES = 20
"""A genome that changes its position less often counts as idle: its record holds too few decisions to be luck."""

LEAST_PERIODS = 3
"""Fewer say nothing of how records hang together."""

_ROWS = 400
"""Gaussian rows: so many sets of lucky trials."""
_ORDERS = 16
"""So many random orders of the columns a subset's maximum is averaged over."""
_FITTED = 8
"""The slope is that of subsets down to this part of the whole: how it grows at its end is how it goes on."""
_STILL = 1e-12
"""Variance, as a share of the mean square, below which a column holds one number."""


class Trials(NamedTuple):
    """What was tried, and how much luck that buys."""

    raw: int
    """Genomes tried."""
    active: float
    """Genomes tried that trade: the active share of the sample times all."""
    effective: float
    """Independent trials with as lucky a best; 1 or more."""
    slope: float
    """b: effective trials grow as the b-th power of genomes: 0 for copies of a few, 1 where all are different."""
    variance: float
    """Of the trials' Sharpe ratios, per period."""
    path: tuple[tuple[int, float], ...]
    """Size of each subset and its effective trials, to the whole sample's."""


def effective_trials(columns: NDArray[np.float64], changes: NDArray[np.integer], *, raw: int, seed: int = 0) -> Trials:
    """Effective number of trials from the records of a uniform sample of them.

    Args:
        columns: returns of each genome of the sample, by period, [periods, genomes].
        changes: how often each changed its position, [genomes]; below `LEAST_CHANGES` it is idle.
        raw: N, how many genomes the sample stands for.
        seed: of Gaussian rows and orders of columns.

    Returns:
        The number and what leads to it. N_eff = N_eff(m) · (N_a / m)^b and no more than N_a, with m the sample's active
        genomes and N_a those of all; variance is the larger of that over the sample's active ones and of that of an
        estimated Sharpe ratio without merit, (1 + ρ) / (1 − ρ) / T with ρ the mean autocorrelation of one period with
        the next. With nobody active one trial is left, and the variance is that of an estimate, 1 / T.

    Raises:
        ValueError: fewer than 3 periods, shapes that do not fit, numbers that are not finite, or a sample larger
            than N.
    """
    table = np.asarray(columns, np.float64)
    if table.ndim != 2 or len(table) < LEAST_PERIODS or np.shape(changes) != table.shape[1:]:
        raise ValueError(
            f"{table.shape} returns and {np.shape(changes)} changes: expected [periods, genomes], [genomes]"
        )
    periods, sampled = table.shape
    if raw < sampled:
        raise ValueError(f"a sample of {sampled} genomes out of {raw}")
    if not np.isfinite(table).all():
        raise ValueError("returns must be finite")
    mean, spread = table.mean(0), table.std(0)
    active = (np.asarray(changes) >= LEAST_CHANGES) & (spread**2 > _STILL * (table**2).mean(0))
    count = int(active.sum())
    if not count:
        return Trials(raw, 0.0, 1.0, 0.0, 1 / periods, ())

    standard = (table[:, active] - mean[active]) / spread[active]
    path = _path(standard, np.random.default_rng(seed))
    slope = _slope(path)
    genomes = count / sampled * raw
    sharpe = mean[active] / spread[active] * math.sqrt((periods - 1) / periods)
    rho = min(max(float((standard[1:] * standard[:-1]).sum(0).mean() / periods), -0.99), 0.99)
    variance = max(float(sharpe.var(ddof=1)) if count > 1 else 0.0, (1 + rho) / (1 - rho) / periods)
    effective = min(path[-1][1] * (genomes / count) ** slope, genomes)  # a few genomes can seem more than they are
    return Trials(raw, genomes, effective, slope, variance, path)


def _path(standard: NDArray[np.float64], random: np.random.Generator) -> tuple[tuple[int, float], ...]:
    """Effective trials of subsets that double in size, up to the whole.

    Args:
        standard: columns of mean 0 and variance 1, [periods, active genomes].
        random: of rows and orders.
    """
    periods, count = standard.shape
    lucky = random.standard_normal((_ROWS, periods)) @ standard / math.sqrt(periods)
    sizes = [count]
    while sizes[0] > 2:
        sizes.insert(0, (sizes[0] + 1) // 2)
    best = np.zeros(len(sizes))
    for _ in range(_ORDERS):
        growing = np.maximum.accumulate(lucky[:, random.permutation(count)], axis=1)
        best += growing[:, np.asarray(sizes) - 1].mean(0)
    return tuple((size, trials_of_maximum(maximum)) for size, maximum in zip(sizes, best / _ORDERS, strict=True))


def _slope(path: tuple[tuple[int, float], ...]) -> float:
    """Least squares of log effective trials on log size over the last subsets, within [0, 1]; 1 for one subset."""
    sizes, trials = np.log(np.asarray(path)).T
    last = sizes >= sizes[-1] - math.log(_FITTED) - 1e-9
    if last.sum() < 2:
        return 1.0
    across = sizes[last] - sizes[last].mean()
    return float(np.clip((across * trials[last]).sum() / (across**2).sum(), 0.0, 1.0))

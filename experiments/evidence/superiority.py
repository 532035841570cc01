"""Whether any of a family of records beats its benchmark: SPA and StepM on studentised differentials.

Hansen (2005), "A Test for Superior Predictive Ability", and Romano and Wolf (2005), "Stepwise Multiple Testing as
Formalized Data Snooping", with Hansen's critical values (Hsu, Hsu and Kuan 2010). Draws of the stationary bootstrap
(Politis and Romano 1994) and block lengths (Politis and White 2004, corrected 2009) come from `arch`; the steps are
those of its `SPA` and `StepM`, worked out for all draws by one matrix product. Where those of `arch` 8.0.0 fall short:

- They do not studentise, though they say so, and the column with the loudest noise would decide. Here each column is
  divided by its own HAC standard deviation first, so that its scale is of no account.
- An idle column makes their column variance 0. Here it is dropped and never rejected.
- They raise ValueError once every column is rejected in more than one step. Here that is an answer like others.
- Where no column has a profit they name a p between 0 and 1 that means nothing. Hansen's statistic is max(0, …), which
  every draw reaches: p is 1.

The last makes the quick way exact: a column is rejected only if its mean exceeds a critical value of at least 0, so
where no mean is above 0 nothing can be rejected, p is 1, and nothing is drawn.
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Superiority", "block_length", "hac_deviation", "superior"]

_LEAST_BLOCK = 2
_BLOCKS = 50
"""So many blocks fit into a record at least."""
_LEAST_PERIODS = 8
"""Below, Hansen's bound √(2 log log T) is not even 1.2, and no bootstrap means anything."""
_STILL = 1e-12
"""Variance, as a share of the mean square, and profit of a period, as a share of capital, that are but rounding."""
_PRODUCT = 1 << 18
"""Multiply-adds of one product: few enough for matrix libraries to stay in one thread, for threads that wait for one
another cost far more than they save where other processes keep the cores."""
_KEPT = 4
"""Sets of draws kept: a certificate asks for one of them twice, a study for the same lengths of blocks again and again.
At the strictest levels a set is half a GB."""


class Superiority(NamedTuple):
    """What the family's records come to against their benchmark."""

    rejected: NDArray[np.bool_]
    """Who beats it, by StepM at level alpha for the whole family, [columns]."""
    statistic: NDArray[np.float64]
    """√T · mean / HAC standard deviation, [columns]; NaN for idle ones."""
    p_lower: float
    """Of SPA: columns with a loss count as no better than they look."""
    p_consistent: float
    """Of SPA: columns count as without merit but for those whose loss is beyond doubt. The one to read."""
    p_upper: float
    """Of SPA: every column counts as without merit (White's reality check, studentised)."""
    idle: NDArray[np.bool_]
    """Columns whose differential never moves, but for rounding, [columns]."""
    block: int
    """Mean length of the bootstrap's blocks, in periods."""


def superior(
    differentials: NDArray[np.float64], *, alpha: float, block: int, draws: int = 5000, seed: int = 0
) -> Superiority:
    """Test each column's mean against 0, so that under no merit any is rejected with probability alpha at most.

    The same numbers give the same answer: draws hang on periods, block, draws and seed alone.

    Args:
        differentials: profit of each column over its benchmark, by period, [periods, columns].
        alpha: chance of rejecting any column of a family without merit, in (0, 1).
        block: mean length of the blocks, in periods, as `block_length` says.
        draws: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ValueError: fewer than 8 periods, or a number that is not finite.
    """
    table = np.asarray(differentials, np.float64)
    if table.ndim != 2 or len(table) < _LEAST_PERIODS:
        raise ValueError(f"differentials must be [periods, columns] with {_LEAST_PERIODS} periods at least")
    if not np.isfinite(table).all():
        raise ValueError("differentials must be finite")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}, not between 0 and 1")
    periods, columns = table.shape
    idle = _still(table)
    statistic = np.full(columns, np.nan)
    rejected = np.zeros(columns, np.bool_)
    deviation = hac_deviation(table[:, ~idle], block)
    idle[np.flatnonzero(~idle)[deviation == 0]] = True  # numbers that take each other back to the last
    scaled = table[:, ~idle] / deviation[deviation > 0]
    mean = scaled.mean(0)
    statistic[~idle] = math.sqrt(periods) * mean
    if not (mean > 0).any():
        return Superiority(rejected, statistic, 1.0, 1.0, 1.0, idle, block)

    drawn = _drawn_means(scaled, block, draws, seed)
    doubtful = mean >= -math.sqrt(2 * math.log(math.log(periods)) / periods)  # Hansen's bound; the variance is 1 here
    centres = np.maximum(mean, 0), np.where(doubtful, mean, 0), mean
    best = mean.max()
    lower, consistent, upper = (float(((drawn - centre).max(1) >= best).mean()) for centre in centres)
    rejected[~idle] = _step_down(mean, drawn - centres[1], alpha)
    return Superiority(rejected, statistic, lower, consistent, upper, idle, block)


def hac_deviation(differentials: NDArray[np.float64], block: int) -> NDArray[np.float64]:
    """Root of the long-run variance of each column, [columns]: √T times the standard error of its mean.

    The variance that the stationary bootstrap gives the mean (Politis and Romano 1994, lemma 1), as Hansen (2005)
    studentises: γ₀ + 2 Σ κᵢ γᵢ with κᵢ = (1 − i/T)(1 − 1/b)ⁱ + (i/T)(1 − 1/b)^(T − i). It is never negative.

    Args:
        differentials: [periods, columns].
        block: b, mean length of the blocks, in periods.
    """
    periods = len(differentials)
    centred = differentials - differentials.mean(0)
    length = 2 ** math.ceil(math.log2(2 * periods))
    spectrum = np.abs(np.fft.rfft(centred, length, axis=0)) ** 2
    covariances = np.fft.irfft(spectrum, length, axis=0)[:periods] / periods
    lag = np.arange(1, periods)
    stay = 1 - 1 / block
    kernel = (1 - lag / periods) * stay**lag + lag / periods * stay ** (periods - lag)
    variance = covariances[0] + 2 * kernel @ covariances[1:]
    # Transforms leave rounding behind where the true value is 0.
    deviation: NDArray[np.float64] = np.sqrt(np.where(variance > 1e-12 * covariances[0], variance, 0.0))
    return deviation


def block_length(returns: NDArray[np.float64], holding_days: Sequence[float] | NDArray[np.float64] = ()) -> int:
    """Mean length of the bootstrap's blocks for a family, in periods, within [2, T/50].

    The largest over columns of what Politis and White's rule says of returns and of squared returns (for volatility
    comes in spells longer than returns do), and of the holding times.

    Args:
        returns: of each column, by period, [periods, columns]; idle ones are passed over.
        holding_days: median holding time of each column's trades, in periods; NaN where there was none.
    """
    from arch.bootstrap import optimal_block_length

    table = np.asarray(returns, np.float64)
    table = table[:, ~_still(table)]
    lengths = [float(length) for length in holding_days]
    for of in (table, table**2):
        moving = of[:, ~_still(of)]
        if moving.shape[1]:
            with np.errstate(divide="ignore", invalid="ignore"):
                lengths += optimal_block_length(moving)["stationary"].tolist()
    longest = max((length for length in lengths if math.isfinite(length)), default=0.0)
    return max(_LEAST_BLOCK, min(math.ceil(longest), len(returns) // _BLOCKS))


def _still(table: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Columns that hold one number all along, but for rounding, [columns]."""
    still: NDArray[np.bool_] = (table.var(0) <= _STILL * (table**2).mean(0)) | (np.abs(table).max(0) <= _STILL)
    return still


def _step_down(mean: NDArray[np.float64], drawn: NDArray[np.float64], alpha: float) -> NDArray[np.bool_]:
    """StepM: reject what exceeds the quantile of the maximum over all not rejected yet, until nothing more does.

    Args:
        mean: of each column, [columns].
        drawn: its means in the draws, less its centre, [draws, columns].
        alpha: level of the family.
    """
    rejected = np.zeros(len(mean), np.bool_)
    while not rejected.all():
        critical = max(0.0, float(np.quantile(drawn[:, ~rejected].max(1), 1 - alpha)))
        further = ~rejected & (mean > critical)
        if not further.any():
            break
        rejected |= further
    return rejected


def _drawn_means(table: NDArray[np.float64], block: int, draws: int, seed: int) -> NDArray[np.float64]:
    """Mean of every column in every draw, [draws, columns]."""
    counts = _counts(len(table), block, draws, seed)
    # Piece by piece, which is a quarter of the memory of all draws as floats, too.
    step = max(1, _PRODUCT // table.size)
    pieces = [counts[at : at + step].astype(np.float64) @ table for at in range(0, draws, step)]
    means: NDArray[np.float64] = np.concatenate(pieces) / len(table)
    return means


@functools.lru_cache(_KEPT)
def _counts(periods: int, block: int, draws: int, seed: int) -> NDArray[np.uint16]:
    """How often each period is in each draw of `arch`'s stationary bootstrap, [draws, periods]."""
    from arch.bootstrap import StationaryBootstrap

    bootstrap = StationaryBootstrap(block, np.arange(periods), seed=seed)
    counts = np.empty((draws, periods), np.uint16)
    for row in counts:
        row[:] = np.bincount(bootstrap.update_indices(), minlength=periods)
    counts.setflags(write=False)
    return counts

"""Sharpe ratios and luck: how sure one is, what the best of many tries comes to, how long a record has to be.

Everything is per period (a daily Sharpe ratio of a record of days), the risk-free rate is 0, and kurtosis is raw: 3 for
the normal distribution. Two published conventions differ in the variance of an estimated Sharpe ratio:

- `2012`: Bailey and López de Prado (2012), "The Sharpe Ratio Efficient Frontier", and (2014), "The Deflated Sharpe
  Ratio": at the observed Sharpe ratio, with T − 1, for returns that do not hang together in time;
- `2025`: López de Prado, Lipton and Zoonekynd (2025), "How to Use the Sharpe Ratio": at the Sharpe ratio of the null
  hypothesis, with T, and with first-order autocorrelation.
"""

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr, ndtri, ndtri_exp

__all__ = [
    "Convention",
    "Moments",
    "deflated",
    "detectable",
    "expected_maximum",
    "minimum_backtest",
    "minimum_track_record",
    "moments",
    "probabilistic",
    "quantile_of_maximum",
    "share_of_maximum",
    "trials_of_maximum",
]

Convention = Literal["2012", "2025"]

_LARGEST = 700.0
"""Logarithm of the largest number of trials that is looked for."""


class Moments(NamedTuple):
    """What a record of returns is summed up by; per period."""

    periods: int
    sharpe: float
    """Mean / standard deviation (n − 1); NaN where returns have no spread."""
    skewness: float = 0.0
    kurtosis: float = 3.0
    """Raw: 3 for the normal distribution."""
    autocorrelation: float = 0.0
    """Of one period with the next."""


def moments(returns: NDArray[np.float64]) -> Moments:
    """Sum a record up.

    Args:
        returns: simple returns by period, [periods].

    Returns:
        Its moments; NaN for all but the number of periods where there are fewer than two or all are alike.
    """
    returns = np.asarray(returns, np.float64)
    periods = len(returns)
    if periods < 2 or (returns == returns[0]).all():
        return Moments(periods, math.nan, math.nan, math.nan, math.nan)
    centred = returns - returns.mean()
    variance = float((centred**2).mean())
    return Moments(
        periods=periods,
        sharpe=float(returns.mean() / returns.std(ddof=1)),
        skewness=float((centred**3).mean()) / variance**1.5,
        kurtosis=float((centred**4).mean()) / variance**2,
        autocorrelation=float((centred[1:] * centred[:-1]).sum() / (centred**2).sum()),
    )


def probabilistic(record: Moments, benchmark: float = 0.0, *, convention: Convention) -> float:
    """Probabilistic Sharpe ratio: how probable it is that the true Sharpe ratio exceeds a benchmark, in [0, 1].

    Φ((SR − SR*) / σ), with σ² = (1 − γ₃ SR + (γ₄ − 1)/4 · SR²) / (T − 1) by 2012, and by 2025
    σ² = ((1 + 2B) − (1 + B + C) γ₃ SR* + (1 + 2C) (γ₄ − 1)/4 · SR*²) / T with B = ρ/(1 − ρ), C = ρ²/(1 − ρ²).

    Args:
        record: its moments.
        benchmark: Sharpe ratio to exceed, per period.
        convention: whose variance.

    Returns:
        NaN where the moments are, or where they cannot be those of any record.
    """
    periods = record.periods - 1 if convention == "2012" else record.periods
    variance = _unit_variance(record, benchmark, convention) / periods if periods > 0 else math.nan
    return float(ndtr((record.sharpe - benchmark) / math.sqrt(variance))) if variance > 0 else math.nan


def deflated(record: Moments, *, trials: float, variance: float, convention: Convention) -> float:
    """Deflated Sharpe ratio: the probabilistic one against what the best of as many lucky trials would have come to.

    Bailey and López de Prado (2014). The trials are those whose maximum was taken on this very record.

    Args:
        record: of the best trial.
        trials: how many there were, effectively; 1 or more.
        variance: of the trials' Sharpe ratios, per period.
        convention: whose variance of the record's own Sharpe ratio.
    """
    return probabilistic(record, expected_maximum(trials, variance), convention=convention)


def minimum_track_record(
    record: Moments, benchmark: float = 0.0, *, confidence: float = 0.95, convention: Convention
) -> float:
    """Periods that a record with these moments needs, until its Sharpe ratio exceeds a benchmark with confidence.

    2012: 1 + σ₁² (z / (SR − SR*))²; 2025: the same with its own variance and without the 1. σ₁² is the variance of
    an estimate for one period, z the normal quantile of the confidence.

    Returns:
        Periods, with their fraction; infinite where the Sharpe ratio does not exceed the benchmark at all.
    """
    if record.sharpe <= benchmark:
        return math.inf
    needed = _unit_variance(record, benchmark, convention) * (ndtri(confidence) / (record.sharpe - benchmark)) ** 2
    return float(needed) + (1.0 if convention == "2012" else 0.0)


def expected_maximum(trials: float, variance: float = 1.0) -> float:
    """What the best of many trials without merit is expected to come to.

    σ ((1 − γ) Φ⁻¹(1 − 1/N) + γ Φ⁻¹(1 − 1/(N e))), γ the constant of Euler and Mascheroni: Bailey and López de Prado
    (2014), from the theory of extremes. One trial is expected to come to 0, and so are those few for which the formula,
    meant for many, falls below.

    Args:
        trials: N, 1 or more, effectively independent; need not be whole.
        variance: of the trials' Sharpe ratios, per period.

    Raises:
        ValueError: fewer than one trial, or a negative variance.
    """
    if not trials >= 1 or not variance >= 0:
        raise ValueError(f"{trials} trials of variance {variance}: expected 1 or more, and 0 or more")
    return math.sqrt(variance) * max(0.0, _best_of(math.log(trials)))


def trials_of_maximum(maximum: float) -> float:
    """As how many independent trials of variance 1 a maximum is expected of: `expected_maximum` turned round.

    Returns:
        1 for a maximum of 0 and less.
    """
    if maximum <= 0:
        return 1.0
    return math.exp(brentq(lambda log_trials: _best_of(log_trials) - maximum, 1e-9, _LARGEST, xtol=1e-12))


def quantile_of_maximum(
    shares: NDArray[np.float64] | float, *, trials: float, variance: float = 1.0
) -> NDArray[np.float64]:
    """Below what the best of many lucky trials falls with given probabilities: σ Φ⁻¹(p^(1/N)).

    Args:
        shares: p, probabilities above 0 and below 1, of any shape.
        trials: N.
        variance: of the trials' Sharpe ratios, per period.
    """
    quantile: NDArray[np.float64] = math.sqrt(variance) * ndtri_exp(np.log(shares) / trials)
    return quantile


def share_of_maximum(
    values: NDArray[np.float64] | float, *, trials: float, variance: float = 1.0
) -> NDArray[np.float64]:
    """How probably the best of many lucky trials falls below given values: Φ(x/σ)^N, `quantile_of_maximum` undone."""
    share: NDArray[np.float64] = np.exp(trials * log_ndtr(np.asarray(values) / math.sqrt(variance)))
    return share


def minimum_backtest(trials: float, sharpe: float) -> float:
    """Length below which the best of so many worthless trials is expected to show this Sharpe ratio.

    (E[max of N] / SR)²: Bailey, Borwein, López de Prado and Zhu (2014), "Pseudo-Mathematics and Financial
    Charlatanism".

    Args:
        trials: N, effectively independent.
        sharpe: above 0.

    Returns:
        In periods for a Sharpe ratio per period, in years for one of a year.
    """
    if not sharpe > 0:
        raise ValueError(f"a Sharpe ratio of {sharpe} needs no luck")
    return (expected_maximum(trials) / sharpe) ** 2


def detectable(periods: float, *, periods_per_year: float, alpha: float, tests: int, power: float = 0.8) -> float:
    """Smallest Sharpe ratio a year that a holdout of this length detects: (z(1 − α/K) + z(power)) √(n_year / n).

    Args:
        periods: n, of the holdout.
        periods_per_year: n_year.
        alpha: level of the whole family.
        tests: K, members of the family.
        power: chance of detecting it.
    """
    if periods <= 0:
        return math.inf
    return float((ndtri(1 - alpha / tests) + ndtri(power)) * math.sqrt(periods_per_year / periods))


def _unit_variance(record: Moments, benchmark: float, convention: Convention) -> float:
    """Variance of an estimated Sharpe ratio, times the number of periods."""
    if convention == "2012":
        return 1 - record.skewness * record.sharpe + (record.kurtosis - 1) / 4 * record.sharpe**2
    rho = record.autocorrelation
    once, twice = rho / (1 - rho), rho**2 / (1 - rho**2)  # Σ ρᵏ and Σ ρ²ᵏ over k ≥ 1
    return (
        (1 + 2 * once)
        - (1 + once + twice) * record.skewness * benchmark
        + (1 + 2 * twice) * (record.kurtosis - 1) / 4 * benchmark**2
    )


def _best_of(log_trials: float) -> float:
    """Expected maximum of e^x normal variables of variance 1; −∞ for one."""
    # By the upper tail's logarithm: 1 − 1/N would be 1 for more trials than a float has digits.
    if log_trials <= 0:
        return -math.inf
    return float(-(1 - np.euler_gamma) * ndtri_exp(-log_trials) - np.euler_gamma * ndtri_exp(-log_trials - 1))

"""Sharpe ratios and luck: published numbers to their printed digits, exact integrals, simulation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, signal, stats
from scipy.special import ndtri

from experiments.evidence.sharpe import (
    Convention,
    Moments,
    deflated,
    detectable,
    expected_maximum,
    minimum_backtest,
    minimum_track_record,
    moments,
    probabilistic,
    quantile_of_maximum,
    share_of_maximum,
    trials_of_maximum,
)

CONVENTIONS: tuple[Convention, ...] = ("2012", "2025")
DAY = Moments(periods=1250, sharpe=2.5 / math.sqrt(250), skewness=-3, kurtosis=10)
FUND = Moments(periods=24, sharpe=0.036 / 0.079, skewness=-2.448, kurtosis=10.164)
"""The fund of the paper of 2025, in months."""


@pytest.mark.parametrize(("trials", "maximum", "value"), [(100, 0.1132, 0.9004), (46, None, 0.9505)])
def test_the_deflated_ratio_is_that_of_the_paper(trials: int, maximum: float | None, value: float) -> None:
    assert round(deflated(DAY, trials=trials, variance=0.5 / 250, convention="2012"), 4) == value
    if maximum is not None:
        assert round(expected_maximum(trials, 0.5 / 250), 4) == maximum


@pytest.mark.parametrize(
    ("per_year", "skewness", "kurtosis", "years"),
    [(250, 0, 3, 2.73), (52, 0, 3, 2.83), (12, 0, 3, 3.24), (12, -0.72, 5.78, 4.99)],
)
def test_track_records_are_as_long_as_in_the_paper_of_2012(
    per_year: int, skewness: float, kurtosis: float, years: float
) -> None:
    """A Sharpe ratio of 2 a year, to be above 1 with 95 % confidence."""
    record = Moments(1000, 2 / math.sqrt(per_year), skewness, kurtosis)
    needed = minimum_track_record(record, 1 / math.sqrt(per_year), convention="2012")
    assert round(needed / per_year, 2) == years


def test_ratios_and_track_records_are_those_of_the_paper_of_2025() -> None:
    assert round(probabilistic(FUND, convention="2025"), 3) == 0.987
    assert round(probabilistic(FUND, 0.1, convention="2025"), 3) == 0.939
    assert round(minimum_track_record(FUND, convention="2025"), 3) == 13.029


@pytest.mark.parametrize("rho", [0.0, 0.4, -0.3])
def test_the_variance_of_2025_is_that_of_simulated_records(rho: float) -> None:
    """Autoregressive returns with exponential shocks, whose moments are known, at a true Sharpe ratio of 0.3."""
    random, periods, true = np.random.default_rng(5), 600, 0.3
    shocks = random.standard_exponential((4000, periods + 50)) - 1
    returns = signal.lfilter([1], [1, -rho], shocks)[:, 50:] * math.sqrt(1 - rho**2) + true
    skewness = 2 * (1 - rho**2) ** 1.5 / (1 - rho**3)
    kurtosis = 3 + 6 * (1 - rho**2) ** 2 / (1 - rho**4)
    estimates = returns.mean(1) / returns.std(1)
    record = Moments(periods, true + 0.01, skewness, kurtosis, rho)
    deviation = 0.01 / ndtri(probabilistic(record, true, convention="2025"))
    assert deviation == pytest.approx(estimates.std(), rel=0.05)


def test_conventions_differ_as_they_say() -> None:
    at_observed = 1 + 3 * DAY.sharpe + 9 / 4 * DAY.sharpe**2
    assert probabilistic(DAY, 0.1, convention="2012") == pytest.approx(
        stats.norm.cdf((DAY.sharpe - 0.1) * math.sqrt(1249 / at_observed))
    )
    assert probabilistic(DAY, 0.0, convention="2025") == pytest.approx(stats.norm.cdf(DAY.sharpe * math.sqrt(1250)))
    related = DAY._replace(autocorrelation=0.2)
    assert probabilistic(related, convention="2012") == probabilistic(DAY, convention="2012")
    assert probabilistic(related, convention="2025") == pytest.approx(
        stats.norm.cdf(DAY.sharpe * math.sqrt(1250 / 1.5))
    )


@given(st.floats(0.01, 0.4), st.floats(-2, 2), st.floats(0.0, 10.0), st.sampled_from(CONVENTIONS))
def test_a_record_of_the_least_length_has_just_the_confidence(
    sharpe: float, skewness: float, more: float, convention: Convention
) -> None:
    record = Moments(2, sharpe, skewness, 1 + skewness**2 + more, 0.1)
    needed = minimum_track_record(record, sharpe / 2, confidence=0.9, convention=convention)
    # Records are as long as they are, in whole periods; the confidence lies between those of its neighbours.
    below, above = (record._replace(periods=whole(needed)) for whole in (math.floor, math.ceil))
    assert probabilistic(below, sharpe / 2, convention=convention) <= 0.9 + 1e-9
    assert probabilistic(above, sharpe / 2, convention=convention) >= 0.9 - 1e-9


def test_what_is_undefined_is_not_a_number_or_has_no_end() -> None:
    for convention in CONVENTIONS:
        assert math.isnan(probabilistic(moments(np.zeros(50)), convention=convention))
        assert math.isnan(probabilistic(Moments(1, 0.1), convention="2012"))
        assert minimum_track_record(DAY, DAY.sharpe, convention=convention) == math.inf
    assert math.isnan(probabilistic(Moments(100, 1.0, skewness=3.0, kurtosis=3.0), convention="2012"))  # of no record


def test_moments_are_those_of_scipy_with_raw_kurtosis() -> None:
    returns = np.random.default_rng(1).standard_gamma(2, 400) - 1.8
    record = moments(returns)
    assert record.periods == 400
    assert record.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1))
    assert record.skewness == pytest.approx(stats.skew(returns))
    assert record.kurtosis == pytest.approx(stats.kurtosis(returns, fisher=False))
    assert record.autocorrelation == pytest.approx(np.corrcoef(returns[1:], returns[:-1])[0, 1], abs=0.01)
    assert math.isnan(moments(np.full(9, 0.1)).sharpe)
    assert math.isnan(moments(np.ones(1)).sharpe)


@pytest.mark.parametrize("trials", [2, 10, 100, 10_000])
def test_the_expected_maximum_is_near_the_exact_one(trials: int) -> None:
    exact, _ = integrate.quad(lambda x: x * trials * stats.norm.pdf(x) * stats.norm.cdf(x) ** (trials - 1), -8, 12)
    assert expected_maximum(trials) == pytest.approx(exact, rel=0.1 if trials == 2 else 0.025)


def test_more_trials_are_never_expected_to_bring_less() -> None:
    found = [expected_maximum(trials) for trials in np.geomspace(1, 1e30, 200)]
    assert found[0] == 0
    assert all(later >= earlier for earlier, later in itertools.pairwise(found))
    assert expected_maximum(50, 4.0) == pytest.approx(2 * expected_maximum(50))


@given(st.floats(1.5, 1e12))
def test_trials_of_a_maximum_undo_the_maximum_of_trials(trials: float) -> None:
    assert trials_of_maximum(expected_maximum(trials)) == pytest.approx(trials, rel=1e-6)


def test_no_maximum_is_that_of_one_trial() -> None:
    assert trials_of_maximum(0.0) == trials_of_maximum(-1.0) == 1.0


def test_the_best_of_lucky_trials_falls_where_simulated_ones_do() -> None:
    best = 0.5 * np.random.default_rng(2).standard_normal((4000, 50)).max(1)
    shares = np.asarray([0.05, 0.5, 0.95])
    values = quantile_of_maximum(shares, trials=50, variance=0.25)
    np.testing.assert_allclose(values, np.quantile(best, shares), atol=0.03)
    np.testing.assert_allclose(share_of_maximum(values, trials=50, variance=0.25), shares)
    # Powers of probabilities next to 1 keep their digits.
    np.testing.assert_allclose(share_of_maximum(quantile_of_maximum(shares, trials=1e15), trials=1e15), shares)


def test_five_years_bear_no_more_than_45_trials() -> None:
    """The paper's example: the best of 45 worthless trials over five years is expected to show a Sharpe ratio of 1."""
    assert minimum_backtest(45, 1.0) < 5 < minimum_backtest(46, 1.0)
    assert minimum_backtest(100, 0.5) == pytest.approx(4 * minimum_backtest(100, 1.0))


def test_a_detectable_ratio_is_detected_as_often_as_said() -> None:
    years, per_year, alpha, tests = 2.5, 260, 0.02, 6
    yearly = detectable(years * per_year, periods_per_year=per_year, alpha=alpha, tests=tests, power=0.8)
    statistic = stats.norm(yearly * math.sqrt(years))
    assert statistic.sf(stats.norm.isf(alpha / tests)) == pytest.approx(0.8)
    assert detectable(0, periods_per_year=per_year, alpha=alpha, tests=tests) == math.inf


def test_questions_that_make_no_sense_are_refused() -> None:
    for trials, variance in ((0.5, 1.0), (10, -1.0), (math.nan, 1.0)):
        with pytest.raises(ValueError, match="expected 1 or more"):
            expected_maximum(trials, variance)
    with pytest.raises(ValueError, match="needs no luck"):
        minimum_backtest(10, 0.0)

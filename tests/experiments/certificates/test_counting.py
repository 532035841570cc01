"""Counting trials: who was tried, what the best of so many lucky ones looks like, and what a record is then worth."""

from typing import get_args

import numpy as np
import polars as pl
import pytest

from arena.archive import ArchiveSettings
from experiments.certificates.counting import candidates_tried, luck, of_record, unlucky_variance
from experiments.certificates.trials import family_variance
from experiments.evidence.sharpe import Convention, deflated, expected_maximum, moments

NAMES = ("bull_trending", "all")
YEAR = 252.0


def returns(days: int = 500) -> np.ndarray:
    drawn = np.random.default_rng(2).normal(0.0, 0.01, (days, 2))
    return drawn + np.asarray([0.0, 0.001])


def test_a_record_is_deflated_by_its_own_trials() -> None:
    own = of_record(NAMES, returns(), effective=50.0, variance=0.01, days=YEAR)
    known = moments(returns()[:, 1])
    assert own["member"] == "all"
    assert own["record"] == pytest.approx(known.sharpe)
    assert own["sharpe_year"] == pytest.approx(known.sharpe * np.sqrt(YEAR))
    assert own["expected_maximum"] == pytest.approx(expected_maximum(50.0, 0.01))
    for convention in get_args(Convention):
        expected = deflated(known, trials=50.0, variance=0.01, convention=convention)
        assert own["deflated"][convention] == pytest.approx(expected)


def test_trials_never_vary_less_than_chance_alone() -> None:
    own = of_record(NAMES, returns(), effective=50.0, variance=0.0, days=YEAR)
    assert own["variance"] == pytest.approx(unlucky_variance(moments(returns()[:, 1]).autocorrelation, 500))
    assert unlucky_variance(0.5, 100) == pytest.approx(3 / 100)
    assert family_variance(returns()) >= 1 / 500 * 0.8
    assert family_variance(np.zeros((100, 3))) == pytest.approx(1 / 100)


def test_without_a_number_of_trials_nothing_is_deflated() -> None:
    own = of_record(NAMES, returns(), effective=None, variance=0.01, days=YEAR)
    assert own["record"] is not None
    assert own["deflated"] is own["expected_maximum"] is own["variance"] is None
    assert luck(own, YEAR) is None
    still = of_record(NAMES, np.zeros((50, 2)), effective=50.0, variance=0.01, days=YEAR)
    assert still["member"] is still["record"] is still["deflated"] is None
    assert luck(still, YEAR) is None


def test_luck_is_distributed_as_the_best_of_so_many_draws() -> None:
    own = of_record(NAMES, returns(), effective=64.0, variance=0.01, days=YEAR)
    shown = luck(own, YEAR)
    assert shown is not None
    bests = 0.1 * np.sqrt(YEAR) * np.random.default_rng(1).standard_normal((40_000, 64)).max(1)
    drawn, _ = np.histogram(np.clip(bests, shown["edges"][0], shown["edges"][-1]), shown["edges"])
    assert np.abs(np.cumsum(drawn) / 4 - np.cumsum(shown["counts"])).max() < 100  # of 10,000
    assert shown["expected"] == pytest.approx(bests.mean(), rel=0.02)
    assert shown["observed"] == own["sharpe_year"]


def test_candidates_are_counted_where_their_rows_are_kept() -> None:
    births = pl.DataFrame({"id": [1, 2, 3, 4]})
    fitness = pl.DataFrame(
        {"id": [1, 1, 2, 3, 9], "split": ["validation", "validation", "validation", "train", "validation"]}
    )
    settings = ArchiveSettings(candidates=2)
    assert candidates_tried(fitness, births, settings, kept="all", tries=3) == (2, "counted")
    assert candidates_tried(fitness, births, settings, kept="archive", tries=3) == (2, "counted")
    most, known = candidates_tried(fitness, births, settings, kept="births", tries=3)
    assert most == 4  # 3 tries of 2 for each of 5 places, but only 4 were ever born
    assert known.startswith("at most")

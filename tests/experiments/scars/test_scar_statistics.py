"""Interquartile means and intervals against SciPy and arch, and the criteria for all ways they can fall."""

import math

import numpy as np
import polars as pl
import pytest
from arch.bootstrap import IIDBootstrap
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import trim_mean

from experiments.scars import statistics
from experiments.scars.plan import ARMS, WORLDS
from experiments.scars.statistics import Comparison, Estimate, decide, interquartile_mean

SEEDS = 16


def compare(table: pl.DataFrame, draws: int = 300) -> dict[tuple[str, str], Comparison]:
    """With few draws, which are enough to tell what these tables are made to show."""
    return statistics.compare(table, draws=draws)


def made_up(
    *,
    ruined: dict[tuple[str, str], float],
    calm: dict[str, float] | None = None,
    rises: float = 0.3,
    noise: float = 0.01,
) -> pl.DataFrame:
    """A table of runs: R is 0.5 but where said otherwise, scars have that selectivity over 0.1."""
    rng = np.random.default_rng(5)
    rows = []
    for seed in range(SEEDS):
        shared = rng.normal(0, 0.1)  # paired differences do not see what seeds have in common
        for world in WORLDS:
            for arm in ARMS:
                rows.append(
                    {
                        "seed": seed,
                        "world": world,
                        "arm": arm,
                        "ruined": ruined.get((world, arm), 0.5) + shared + rng.normal(0, noise),
                        "selectivity": (rises if arm == "scars" else 0.0) + 0.1 + rng.normal(0, noise),
                        "calm": (calm or {}).get(arm, 0.1) + rng.normal(0, 0.001),
                    }
                )
    return pl.DataFrame(rows)


@given(arrays(np.float64, st.integers(2, 40), elements=st.floats(-5, 5)))
def test_interquartile_mean_is_scipys(values: np.ndarray) -> None:
    assert interquartile_mean(values) == pytest.approx(trim_mean(values, 0.25), abs=1e-12)


def test_interval_agrees_with_arch() -> None:
    table = made_up(ruined={("P", "scars"): 0.4}, noise=0.05)
    own = compare(table, draws=5_000)["P", "scars"].over["none"]
    by_seed = table.filter(world="P").pivot("arm", index="seed", values="ruined").sort("seed")
    difference = (by_seed["scars"] - by_seed["none"]).to_numpy()
    bootstrap = IIDBootstrap(difference, seed=np.random.default_rng(1))
    low, high = bootstrap.conf_int(lambda x: trim_mean(x, 0.25), reps=5_000, method="percentile").ravel()
    assert own.value == pytest.approx(trim_mean(difference, 0.25))
    assert (own.low, own.high) == pytest.approx((low, high), abs=0.003)


def test_resampling_is_joint_over_arms() -> None:
    table = made_up(ruined={})
    same = table.with_columns(ruined=pl.col("seed") * 0.01)
    assert compare(same)["P", "scars"].over["sham"] == Estimate(0.0, 0.0, 0.0)


HELPED = {("P", "scars"): 0.35}


def test_scars_help_where_all_criteria_are_met() -> None:
    verdict = decide(compare(made_up(ruined=HELPED)))
    assert verdict.scars_help
    assert verdict.nothing


@pytest.mark.parametrize("other", ["sham", "permuted", "none"])
def test_each_control_has_to_be_beaten(other: str) -> None:
    verdict = decide(compare(made_up(ruined={**HELPED, ("P", other): 0.35})))
    assert not verdict.scars_help
    assert verdict.less_ruin == {name: name != other for name in ("sham", "permuted", "none")}


def test_more_ruin_is_no_help() -> None:
    assert not any(decide(compare(made_up(ruined={("P", "scars"): 0.65}))).less_ruin.values())


def test_a_difference_within_its_noise_is_none() -> None:
    assert not decide(compare(made_up(ruined={("P", "scars"): 0.497}, noise=0.05))).scars_help


def test_less_ruin_by_mere_caution_is_no_help() -> None:
    verdict = decide(compare(made_up(ruined=HELPED, rises=0.0)))
    assert all(verdict.less_ruin.values())
    assert not verdict.selective
    assert not verdict.scars_help


def test_calm_return_has_to_stay() -> None:
    assert decide(compare(made_up(ruined=HELPED, calm={"scars": 0.092}))).scars_help
    verdict = decide(compare(made_up(ruined=HELPED, calm={"scars": 0.088})))
    assert not verdict.calm
    assert not verdict.scars_help


@pytest.mark.parametrize(("shift", "nothing"), [(0.03, True), (-0.03, True), (0.05, False), (-0.08, False)])
def test_nothing_in_n_is_equivalence(shift: float, nothing: bool) -> None:
    verdict = decide(compare(made_up(ruined={**HELPED, ("N", "scars"): 0.5 + shift})))
    assert verdict.nothing is nothing
    assert verdict.scars_help  # which is asked in P alone


def test_a_wide_interval_is_not_equivalence() -> None:
    assert not decide(compare(made_up(ruined={}, noise=0.3))).nothing


def test_a_run_without_selectivity_decides_nothing() -> None:
    table = made_up(ruined=HELPED)
    hole = (pl.col("seed") == 3) & (pl.col("arm") == "scars")
    table = table.with_columns(selectivity=pl.when(~hole).then(pl.col("selectivity")))
    compared = compare(table)
    assert math.isnan(compared["P", "scars"].selectivity.value)
    assert not decide(compared).scars_help

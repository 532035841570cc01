"""The set of features that settings ask for, and what is said where they make no sense."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from causality import random_bars, same_bits

from markets.errors import UserError
from markets.features import FeatureSettings, compute_features, features, warmup
from markets.settings import build

DEFAULT = [
    "return_1",
    "return_4",
    "return_16",
    "return_64",
    "mean_distance_16",
    "mean_distance_64",
    "rsi_14",
    "macd_12_26_9",
    "atr_14",
    "bollinger_20",
    "volatility_ratio_16_64",
    "range_position_48",
    "volume_z_48",
    "trend_strength_48",
    "gap_length",
    "hour_sin",
    "hour_cos",
    "weekday_sin",
    "weekday_cos",
    "month_sin",
    "month_cos",
    "session_asia",
    "session_london",
    "session_new_york",
]


def test_the_default_set() -> None:
    chosen = features()
    assert [feature.name for feature in chosen] == DEFAULT
    assert len(chosen) == 24
    assert warmup(chosen) == 364
    assert [feature.scaled for feature in chosen] == [True] * 15 + [False] * 9


def test_columns_come_last_and_pass_as_they_are() -> None:
    sentiment = np.where(np.arange(500) % 3 == 0, np.nan, np.arange(500.0))
    bars = random_bars(500, 0, columns={"other": np.zeros(500), "sentiment": sentiment})
    chosen = features(columns=("sentiment", "other"))
    assert [feature.name for feature in chosen[24:]] == ["sentiment", "other"]
    assert chosen[24].window == 1
    assert same_bits(np.ascontiguousarray(compute_features(chosen, bars)[:, 24]), sentiment)


@pytest.mark.parametrize("lookback", [8, 9, 50, 100, 200, 364, 400])
def test_a_lookback_bounds_every_window_and_keeps_the_names(lookback: int) -> None:
    cut, whole = features(FeatureSettings(lookback=lookback)), features()
    assert [feature.name for feature in cut] == [feature.name for feature in whole]
    assert all(short.window <= min(lookback, long.window) for short, long in zip(cut, whole, strict=True))
    assert warmup(cut) == min(lookback, 364)


def test_a_lookback_longer_than_every_window_changes_nothing() -> None:
    bars = random_bars(900, 1)
    far = compute_features(features(FeatureSettings(lookback=2_000)), bars)
    assert same_bits(far, compute_features(features(), bars))


def test_features_survive_pickling() -> None:
    bars, chosen = random_bars(400, 2, columns={"x": np.ones(400)}), features(columns=("x",))
    again = pickle.loads(pickle.dumps(chosen))
    assert same_bits(compute_features(again, bars), compute_features(chosen, bars))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"returns": [0]}, "features.returns: 0 must be at least 1"),
        ({"returns": [1, 4, 1]}, r"features.returns: \[1, 4, 1\] names a length twice"),
        ({"macd_fast": 26}, r"features.macd_fast: 26 must be below macd_slow \(26\)"),
        ({"volatility_short": 64}, "features.volatility_short: 64 must be below volatility_long"),
        ({"lookback": 7}, "features.lookback: 7 must be at least 8"),
        ({"ris": [14]}, "features.ris: unknown key; did you mean features.rsi?"),
    ],
)
def test_impossible_settings_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(FeatureSettings, values, "features")


def test_settings_made_in_python_are_checked_too() -> None:
    with pytest.raises(UserError, match=r"features\.macd_fast"):
        features(FeatureSettings(macd_fast=30))


def test_a_set_without_features_is_refused() -> None:
    nothing = FeatureSettings(
        returns=(),
        mean_distance=(),
        rsi=(),
        macd=False,
        atr=(),
        bollinger=(),
        volatility_ratio=False,
        range_position=(),
        volume_z=(),
        trend_strength=(),
        gap_length=False,
        clock=False,
    )
    with pytest.raises(UserError, match="nothing is left to see"):
        features(nothing)
    assert [feature.name for feature in features(nothing, ["mine"])] == ["mine"]


def test_columns_that_clash_or_are_missing_are_named() -> None:
    with pytest.raises(UserError, match=r"market\.columns: 'rsi_14' is already the name"):
        features(columns=("rsi_14",))
    with pytest.raises(UserError, match=r"market\.columns: 'a' is already the name"):
        features(columns=("a", "a"))
    with pytest.raises(UserError, match=r"TEST has no column 'b'; its columns: a"):
        compute_features(features(columns=("b",)), random_bars(10, 0, columns={"a": np.zeros(10)}))


def test_nothing_loads_jax_or_a_reader() -> None:
    code = (
        "import sys, markets.features, markets.regimes, markets.splits, markets.scaling;"
        "sys.exit(bool({'jax', 'jaxtyping', 'polars', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

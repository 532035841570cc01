"""Features read their declared window and nothing else, bit for bit, wherever a bar stands in the history."""

import dataclasses
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from causality import LEAKS, assert_causal, assert_windowed, random_bars, same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

from markets.bars import Bars
from markets.features import Feature, FeatureSettings, compute_features, features, relative_atr, warmup
from markets.features import relative_atr_window as atr_window
from markets.features.rolling import log

ROWS = 900
SHORT = FeatureSettings(
    returns=(1, 3),
    mean_distance=(5,),
    rsi=(1, 2),
    macd_fast=2,
    macd_slow=3,
    macd_signal=2,
    atr=(1, 2),
    bollinger=(4,),
    volatility_short=3,
    volatility_long=7,
    range_position=(1, 6),
    volume_z=(5,),
    trend_strength=(6,),
    gap_usual=5,
)
SETS = {
    "default": FeatureSettings(),
    "short": SHORT,
    "lookback_50": FeatureSettings(lookback=50),
    "lookback_8": FeatureSettings(lookback=8),
}


def bars(rows: int = ROWS, seed: int = 3, ties: bool = False) -> Bars:
    rng = np.random.default_rng(seed)
    signal = np.where(rng.random(rows) < 0.2, np.nan, rng.normal(size=rows))
    return random_bars(rows, seed, columns={"signal": signal}, ties=ties)


CASES = [
    pytest.param(feature, id=f"{name}-{feature.name}")
    for name, chosen in SETS.items()
    for feature in features(chosen, columns=("signal",))
]


@pytest.mark.parametrize("feature", CASES)
def test_a_window_gives_the_bits_of_the_whole_history(feature: Feature) -> None:
    rows = np.random.default_rng(1).integers(feature.window - 1, ROWS, 12)
    for ties in (False, True):
        assert_windowed(feature.compute, feature.window, bars(ties=ties), [feature.window - 1, *rows, ROWS - 1])


@pytest.mark.parametrize("feature", CASES)
def test_data_cut_at_t_equals_all_data_up_to_t(feature: Feature) -> None:
    assert_causal(feature.compute, bars(), [1, feature.window, *np.random.default_rng(2).integers(1, ROWS, 6)])


@pytest.mark.parametrize("feature", [case for case in CASES if case.values[0].scaled])
def test_the_window_is_no_longer_than_needed(feature: Feature) -> None:
    quotes, last, window = bars(), ROWS - 1, feature.window
    if feature.name == "gap_length":  # the times within the window ascend, so that each of them moves their median
        apart = np.full(ROWS, 10)
        apart[last - window + 2 :] = np.arange(1, window) * 60
        time = quotes.time[0] + np.cumsum(apart).astype("timedelta64[m]")
        quotes = dataclasses.replace(quotes, time=time)
    whole = feature.compute(quotes)[last]

    def disturbed(row: int, by: float = 1.7) -> float:
        factor = np.ones(ROWS)
        factor[row] = by
        moved = np.zeros(ROWS, "timedelta64[m]")
        moved[: row + 1] = np.timedelta64(100_000, "m")
        changed = Bars(
            quotes.symbol,
            quotes.time - moved,
            quotes.bid * factor[:, None],
            quotes.ask * factor[:, None],
            quotes.volume * factor,
            {"signal": np.nan_to_num(quotes.columns["signal"]) + factor},
        )
        return float(feature.compute(changed)[last])

    if feature.name == "signal":
        assert np.isfinite(disturbed(last))
        assert disturbed(last) != disturbed(last - 1)
        return
    assert {disturbed(last - window + 1), disturbed(last - window + 1, by=0.6)} != {whole} or window == 1
    assert {disturbed(last - window), disturbed(last - window, by=0.6)} == {whole}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_leak_is_caught(leak) -> None:
    with pytest.raises(AssertionError, match="cut at"):
        assert_causal(leak, bars(), range(100, 120))


def running_mean(quotes: Bars) -> np.ndarray:
    total = np.cumsum(np.log(quotes.mid[:, 3]))
    return np.concatenate([np.full(16, np.nan), total[16:] - total[:-16]]) / 16


def endless_average(quotes: Bars) -> np.ndarray:
    average, out = quotes.mid[0, 3], []
    for price in quotes.mid[:, 3]:
        average += (price - average) / 14
        out.append(average)
    return np.array(out)


@pytest.mark.parametrize("history", [running_mean, endless_average])
def test_what_depends_on_the_whole_history_is_caught(history) -> None:
    assert_causal(history, bars(), [100, 500])
    with pytest.raises(AssertionError, match="reads beyond"):
        assert_windowed(history, 17, bars(), [300, 400, 500])


@settings(max_examples=60, deadline=None)
@given(offset=st.integers(0, 70), rows=st.integers(1, 300), step=st.integers(-3, 4).filter(bool))
def test_the_logarithm_has_the_same_bits_at_any_offset_length_and_stride(offset: int, rows: int, step: int) -> None:
    values = np.exp(np.random.default_rng(0).normal(0, 4, 2000))
    whole = log(values)
    piece = slice(offset, offset + rows)
    assert same_bits(log(values[piece]), whole[piece])
    assert same_bits(log(values[::step][piece]), np.ascontiguousarray(whole[::step][piece]))
    assert same_bits(log(np.repeat(values[:, None], 4, axis=1)[piece, 3]), whole[piece])
    assert log(values[offset : offset + 1])[0] == whole[offset]


@given(st.floats(min_value=5e-324, max_value=1.7e308))
def test_the_logarithm_is_right_to_its_last_digits(value: float) -> None:
    exact = math.log(value)
    assert abs(float(log([value])[0]) - exact) <= 2 * math.ulp(exact)


def test_the_logarithm_near_one_and_where_there_is_none() -> None:
    near = 1 + np.arange(-4_000, 4_001) * 2.0**-52
    exact = np.array([math.log(value) for value in near])
    assert (np.abs(log(near) - exact) <= 2 * np.spacing(np.abs(exact))).all()
    assert log([1.0])[0] == 0.0
    assert np.isnan(log([0.0, -0.0, -1.0, np.nan, np.inf, -np.inf])).all()


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(60, 260),
    seed=st.integers(0, 10_000),
    ties=st.booleans(),
    cut=st.floats(0, 1),
    row=st.floats(0, 1),
)
def test_sets_of_features_are_causal_and_windowed(rows: int, seed: int, ties: bool, cut: float, row: float) -> None:
    chosen = features(SHORT, columns=("signal",))
    quotes = bars(rows, seed, ties)
    window = warmup(chosen)

    def compute(piece: Bars) -> np.ndarray:
        return compute_features(chosen, piece)

    assert_causal(compute, quotes, [int(cut * rows)])
    assert_windowed(compute, window, quotes, [window - 1 + int(row * (rows - window))])


def test_rows_before_the_window_are_missing_and_all_others_are_there() -> None:
    for chosen in SETS.values():
        made = features(chosen)
        matrix = compute_features(made, bars())
        assert matrix.dtype == np.float64
        for column, feature in zip(matrix.T, made, strict=True):
            assert np.isnan(column[: feature.window - 1]).all()
            assert np.isfinite(column[feature.window - 1 :]).all(), feature.name


@pytest.mark.parametrize("rows", [0, 1, 2, 7, 63, 363])
def test_a_history_shorter_than_the_window_has_no_features(rows: int) -> None:
    made = features()
    matrix = compute_features(made, bars(ROWS)[:rows])
    assert matrix.shape == (rows, len(made))
    for column, feature in zip(matrix.T, made, strict=True):
        assert np.isnan(column).sum() == min(rows, feature.window - 1)


def test_a_missing_price_spoils_its_windows_alone() -> None:
    quotes, hole = bars(), 450
    spoilt = dataclasses.replace(quotes, bid=quotes.bid.copy(), ask=quotes.ask.copy())
    spoilt.bid[hole] = np.nan
    for feature in features(dataclasses.replace(FeatureSettings(), clock=False, gap_length=False)):
        if feature.name.startswith("volume"):
            continue
        before, after = feature.compute(quotes), feature.compute(spoilt)
        assert np.isnan(after[hole])
        assert same_bits(before[:hole], after[:hole])
        assert same_bits(before[hole + feature.window :], after[hole + feature.window :])


PRINT_BITS = """
import sys
import numpy as np
from markets.bars import CLOSE, Bars
from markets.features import compute_features, features
from markets.regimes import classify
bars = Bars("X", **np.load(sys.argv[1]))
sys.stdout.write((compute_features(features(), bars).tobytes() + classify(bars.mid[:, CLOSE]).tobytes()).hex())
"""


def test_the_bits_do_not_depend_on_the_processor(tmp_path: Path) -> None:
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    quotes, file = bars(800), tmp_path / "bars.npz"
    np.savez(file, time=quotes.time, bid=quotes.bid, ask=quotes.ask, volume=quotes.volume)

    def bits(**environment: str) -> str:
        command = [sys.executable, "-W", "ignore", "-c", PRINT_BITS, str(file)]
        return subprocess.run(
            command, check=True, capture_output=True, text=True, env={**os.environ, **environment}
        ).stdout

    assert bits() == bits(NPY_DISABLE_CPU_FEATURES=" ".join(found))


def test_relative_atr_is_windowed() -> None:
    for period in (1, 5, 14):
        assert_windowed(lambda piece, n=period: relative_atr(piece, n), atr_window(period), bars(), [400, 899])
    assert atr_window() == 282


def test_features_do_not_depend_on_the_price_level_or_the_unit_of_volume() -> None:
    quotes = bars()
    other = dataclasses.replace(quotes, bid=quotes.bid * 1024, ask=quotes.ask * 1024, volume=quotes.volume * 8)
    matrix, scaled = (compute_features(features(), each) for each in (quotes, other))
    np.testing.assert_allclose(scaled, matrix, rtol=1e-9, atol=1e-9)

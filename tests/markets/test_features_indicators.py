"""Each feature against a direct loop over its published formula, and on markets where the answer is known."""

import dataclasses
import itertools
import math
import statistics

import numpy as np
import pytest
from causality import random_bars

from markets.bars import CLOSE, HIGH, LOW, Bars
from markets.features import FeatureSettings, compute_features, features, indicators, relative_atr, rolling

BARS = random_bars(700, seed=11)
MID = BARS.mid
CLOSES = MID[:, CLOSE]
ROWS = (420, 555, 699)


def recursive(values: list[float], alpha: float) -> float:
    """The endless recursion, from its first value."""
    average = values[0]
    for value in values[1:]:
        average = (1 - alpha) * average + alpha * value
    return average


def flat(rows: int = 600, price: float = 1.1, volume: float = 0.0) -> Bars:
    time = np.datetime64("2020-01-06", "us") + np.arange(rows) * np.timedelta64(1, "h")
    return Bars.from_mid("FLAT", time, np.full((rows, 4), price), 1e-4, np.full(rows, volume))


def from_close(close: np.ndarray) -> Bars:
    time = np.datetime64("2020-01-06", "us") + np.arange(len(close)) * np.timedelta64(1, "h")
    return Bars.from_mid("LINE", time, np.repeat(close[:, None], 4, axis=1))


@pytest.mark.parametrize("row", ROWS)
def test_log_return(row: int) -> None:
    for horizon in (1, 4, 64):
        expected = math.log(CLOSES[row] / CLOSES[row - horizon])
        assert indicators.log_return(BARS, horizon)[row] == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("row", ROWS)
def test_mean_distance(row: int) -> None:
    for n in (16, 64):
        logs = [math.log(price) for price in CLOSES[row - n : row + 1]]
        steps = [after - before for before, after in itertools.pairwise(logs)]
        volatility = math.sqrt(sum(step**2 for step in steps) / n)
        expected = (logs[-1] - statistics.fmean(logs[1:])) / (volatility * math.sqrt(n))
        assert indicators.mean_distance(BARS, n)[row] == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("row", ROWS)
def test_rsi(row: int) -> None:
    steps = np.diff(CLOSES[: row + 1])
    gain = recursive([max(step, 0.0) for step in steps], 1 / 14)
    loss = recursive([max(-step, 0.0) for step in steps], 1 / 14)
    index = 100 - 100 / (1 + gain / loss)
    assert indicators.rsi(BARS, 14)[row] == pytest.approx(index / 50 - 1, abs=1e-7)


@pytest.mark.parametrize("row", ROWS)
def test_macd_histogram(row: int) -> None:
    line = [
        recursive(list(CLOSES[: end + 1]), 2 / 13) - recursive(list(CLOSES[: end + 1]), 2 / 27)
        for end in range(row - 120, row + 1)
    ]
    expected = (line[-1] - recursive(line, 2 / 10)) / CLOSES[row]
    assert indicators.macd_histogram(BARS, 12, 26, 9)[row] == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("row", ROWS)
def test_relative_atr(row: int) -> None:
    spans = [
        max(MID[t, HIGH] - MID[t, LOW], abs(MID[t, HIGH] - CLOSES[t - 1]), abs(MID[t, LOW] - CLOSES[t - 1]))
        for t in range(1, row + 1)
    ]
    assert relative_atr(BARS)[row] == pytest.approx(recursive(spans, 1 / 14) / CLOSES[row], rel=1e-7)


@pytest.mark.parametrize("row", ROWS)
def test_bollinger_position(row: int) -> None:
    last = CLOSES[row - 19 : row + 1]
    expected = (last[-1] - statistics.fmean(last)) / (2 * statistics.pstdev(last))
    assert indicators.bollinger_position(BARS, 20)[row] == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("row", ROWS)
def test_volatility_ratio(row: int) -> None:
    steps = np.diff(np.log(CLOSES[: row + 1]))
    expected = math.sqrt(math.fsum(steps[-16:] ** 2) / 16) / math.sqrt(math.fsum(steps[-64:] ** 2) / 64)
    assert indicators.volatility_ratio(BARS, 16, 64)[row] == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("row", ROWS)
def test_range_position(row: int) -> None:
    low, high = min(MID[row - 47 : row + 1, LOW]), max(MID[row - 47 : row + 1, HIGH])
    expected = 2 * (CLOSES[row] - low) / (high - low) - 1
    assert indicators.range_position(BARS, 48)[row] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("row", ROWS)
def test_volume_z(row: int) -> None:
    last = BARS.volume[row - 47 : row + 1]
    expected = (last[-1] - statistics.fmean(last)) / statistics.pstdev(last)
    assert indicators.volume_z(BARS, 48)[row] == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("row", ROWS)
def test_trend_strength(row: int) -> None:
    logs = np.log(CLOSES[row - 47 : row + 1])
    correlation = np.corrcoef(np.arange(48), logs)[0, 1]
    expected = math.copysign(correlation**2, correlation)
    assert indicators.trend_strength(BARS, 48)[row] == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("row", ROWS)
def test_gap_length(row: int) -> None:
    apart = [int(step) for step in np.diff(BARS.time[row - 48 : row + 1]).astype(np.int64)]
    expected = math.log(apart[-1] / statistics.median_low(apart))
    assert indicators.gap_length(BARS, 48)[row] == pytest.approx(expected, abs=1e-14)


def test_a_weekend_of_hourly_bars_is_a_gap_of_49_hours() -> None:
    quotes = flat(200)
    time = quotes.time.copy()
    time[150:] += np.timedelta64(48, "h")
    gap = indicators.gap_length(dataclasses.replace(quotes, time=time), 48)
    assert gap[150] == pytest.approx(math.log(49))
    assert not np.delete(gap[48:], 150 - 48).any()


@pytest.mark.parametrize("price", [1.1, 0.1, 1e-6, 98765.4321])
@pytest.mark.parametrize("volume", [0.0, 0.3])
def test_a_market_that_never_moves_gives_defined_values(price: float, volume: float) -> None:
    chosen = features(dataclasses.replace(FeatureSettings(), clock=False))
    last = dict(zip((f.name for f in chosen), compute_features(chosen, flat(600, price, volume))[-1], strict=True))
    assert last.pop("volatility_ratio_16_64") == 1.0
    assert abs(last.pop("macd_12_26_9")) < 1e-15
    assert set(last.values()) == {0.0}


def test_rounding_noise_is_not_taken_for_movement() -> None:
    noise = np.random.default_rng(0).choice([-1, 0, 1], 600)
    quotes = from_close(1.1 * (1 + noise * 2.3e-16))
    assert len(np.unique(quotes.mid[:, CLOSE])) > 1
    chosen = features(dataclasses.replace(FeatureSettings(), clock=False, volatility_ratio=False))
    assert np.abs(compute_features(chosen, quotes)[-100:]).max() < 1e-14


def test_a_steady_climb_has_the_extreme_values() -> None:
    quotes = from_close(np.exp(0.001 * np.arange(600)))
    last = {f.name: f.compute(quotes)[-1] for f in features()}
    assert last["rsi_14"] == 1.0
    assert last["range_position_48"] == 1.0
    assert last["trend_strength_48"] == pytest.approx(1.0, abs=1e-9)
    assert last["trend_strength_48"] <= 1.0
    assert last["return_16"] == pytest.approx(0.016)
    assert last["volatility_ratio_16_64"] == pytest.approx(1.0)
    # distance from the mean of a line: s(n − 1)/2 over s√n
    assert last["mean_distance_16"] == pytest.approx(7.5 / 4)
    # true range of a climb without wicks is the step, C(1 − 1/g) with growth g; Σ α(1 − α)^k g^−k = α / (1 − (1 − α)/g)
    shrink = math.exp(-0.001)
    assert last["atr_14"] == pytest.approx((1 - shrink) / 14 / (1 - 13 / 14 * shrink), rel=1e-8)


def test_a_steady_fall_mirrors_the_climb() -> None:
    up, down = (from_close(np.exp(sign * 0.001 * np.arange(600))) for sign in (1, -1))
    for name in ("rsi_14", "range_position_48", "trend_strength_48", "mean_distance_64", "return_64"):
        (feature,) = (each for each in features() if each.name == name)
        assert feature.compute(down)[-1] == pytest.approx(-feature.compute(up)[-1], abs=1e-12)


@pytest.mark.parametrize("alpha", [1 / 14, 2 / 27, 2 / 10, 0.9])
def test_a_recursion_forgets_its_start_within_the_window(alpha: float) -> None:
    window = rolling.ema_window(alpha)
    assert (1 - alpha) ** (window - 1) <= rolling.TAIL < (1 - alpha) ** (window - 2)
    impulse = np.zeros(window)
    impulse[0] = 1.0
    assert rolling.ema(impulse, alpha, window)[-1] == pytest.approx((1 - alpha) ** (window - 1), rel=1e-9)
    assert rolling.ema_window(1.0) == 1


def test_the_default_windows() -> None:
    windows = {feature.name: feature.window for feature in features()}
    assert windows["return_64"] == 65
    assert windows["mean_distance_64"] == 65
    assert windows["rsi_14"] == windows["atr_14"] == 282
    assert windows["macd_12_26_9"] == 364
    assert windows["bollinger_20"] == 20
    assert windows["volatility_ratio_16_64"] == 65
    assert windows["range_position_48"] == windows["volume_z_48"] == windows["trend_strength_48"] == 48
    assert windows["gap_length"] == 49


def test_rolling_primitives_equal_direct_loops() -> None:
    values = np.random.default_rng(5).normal(100, 3, 80)
    for n in (1, 2, 9):
        windows = [values[t - n + 1 : t + 1] for t in range(n - 1, 80)]
        np.testing.assert_allclose(rolling.rolling_sum(values, n)[n - 1 :], [w.sum() for w in windows], rtol=1e-14)
        np.testing.assert_array_equal(rolling.rolling_max(values, n)[n - 1 :], [w.max() for w in windows])
        np.testing.assert_array_equal(rolling.rolling_min(values, n)[n - 1 :], [w.min() for w in windows])
        away, deviation = rolling.rolling_mean_deviation(values, n)
        np.testing.assert_allclose(away[n - 1 :], [w[-1] - w.mean() for w in windows], atol=1e-12)
        np.testing.assert_allclose(deviation[n - 1 :], [w.std() for w in windows], atol=1e-12)
        whole = np.round(values * 10).astype(np.int64)
        lower = [statistics.median_low(whole[t - n + 1 : t + 1].tolist()) for t in range(n - 1, 80)]
        np.testing.assert_array_equal(rolling.rolling_median(whole, n)[n - 1 :], lower)
    slope, strength = rolling.line(values, 9)
    for t in range(8, 80):
        fitted = np.polyfit(np.arange(9), values[t - 8 : t + 1], 1)
        assert slope[t] == pytest.approx(fitted[0], abs=1e-11)
        assert strength[t] == pytest.approx(np.corrcoef(np.arange(9), values[t - 8 : t + 1])[0, 1] ** 2, abs=1e-11)

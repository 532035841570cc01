"""A stream of bars gives, bar by bar, the bits that the batched features, regimes and true ranges give for all bars."""

import dataclasses
import itertools
import subprocess
import sys
from functools import partial
from typing import Any

import numpy as np
import pytest
from causality import random_bars, same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

from markets.bars import CLOSE, Bars
from markets.errors import UserError
from markets.features import Feature, FeatureSettings, compute_features, features, indicators, relative_atr
from markets.features.stream import FeatureStream
from markets.regimes import UNKNOWN, RegimeSettings, classify

RULES = RegimeSettings(returns=12, ranks=30)


def batched(chosen: tuple[Feature, ...], bars: Bars, rules: RegimeSettings) -> np.ndarray:
    """Features, regime and true range of every bar, side by side."""
    with np.errstate(all="ignore"):
        regime = classify(bars.mid[:, CLOSE], rules).astype(np.float64)
        return np.column_stack([compute_features(chosen, bars), regime, relative_atr(bars)])


def newest(stream: FeatureStream) -> np.ndarray:
    return np.array([*stream.features, stream.regime, stream.relative_atr])


def streamed(stream: FeatureStream, bars: Bars) -> np.ndarray:
    rows = []
    for row in range(len(bars)):
        stream.push(bars[row : row + 1])
        rows.append(newest(stream))
    return np.array(rows)


@pytest.mark.parametrize("ties", [False, True])
def test_every_bar_has_the_bits_of_the_whole_history(ties: bool) -> None:
    bars, chosen, rules = random_bars(1_300, 5, ties=ties), features(), RegimeSettings()
    assert same_bits(streamed(FeatureStream(chosen, rules), bars), batched(chosen, bars, rules))


def test_the_last_window_is_all_that_a_stream_knows() -> None:
    bars, chosen, rules = random_bars(1_300, 6), features(FeatureSettings(macd_slow=60)), RegimeSettings()
    whole = batched(chosen, bars, rules)
    stream = FeatureStream(chosen, rules)
    assert stream.window == 716  # of the longer MACD
    stream.extend(bars[1_200 - stream.window : 1_200])
    assert same_bits(newest(stream), whole[1_199])
    assert same_bits(streamed(stream, bars[1_200:]), whole[1_200:])
    again = FeatureStream(chosen, rules)
    again.extend(stream.recent())
    assert same_bits(newest(again), whole[-1])


def lengths(least: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(st.integers(least, 40), max_size=3, unique=True).map(tuple)


@st.composite
def wishes(draw: st.DrawFn) -> dict[str, Any]:
    """Any keys of `FeatureSettings` whose windows end within a few hundred bars."""
    fast, short = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    return {
        "returns": draw(lengths(1)),
        "mean_distance": draw(lengths(2)),
        "rsi": draw(st.lists(st.integers(1, 8), max_size=2, unique=True).map(tuple)),
        "macd": draw(st.booleans()),
        "macd_fast": fast,
        "macd_slow": fast + draw(st.integers(1, 6)),
        "macd_signal": draw(st.integers(1, 5)),
        "atr": draw(st.lists(st.integers(1, 8), max_size=2, unique=True).map(tuple)),
        "bollinger": draw(lengths(2)),
        "volatility_ratio": draw(st.booleans()),
        "volatility_short": short,
        "volatility_long": short + draw(st.integers(1, 30)),
        "range_position": draw(lengths(1)),
        "volume_z": draw(lengths(2)),
        "trend_strength": draw(lengths(3)),
        "gap_length": draw(st.booleans()),
        "gap_usual": draw(st.integers(1, 40)),
        "clock": draw(st.booleans()),
        "lookback": draw(st.none() | st.integers(8, 60)),
    }


@st.composite
def oddities(draw: st.DrawFn, rows: int = 330) -> Bars:
    """A random walk on which prices stand still, jump or are missing, volume dries up and columns have holes."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    bars = random_bars(rows, int(rng.integers(10_000)), ties=draw(st.booleans()))
    bid, ask, volume = bars.bid.copy(), bars.ask.copy(), bars.volume.copy()
    if draw(st.booleans()):  # nothing moves for a while
        first, after = sorted(rng.integers(0, rows, 2))
        bid[first:after], ask[first:after] = bid[first], ask[first]
    if draw(st.booleans()):
        volume[rng.random(rows) < draw(st.sampled_from([0.1, 0.9, 1.1]))] = 0.0
    if draw(st.booleans()):
        bid[rng.random(rows) < 0.01] *= 10.0 ** rng.integers(-300, 300)
    if draw(st.booleans()):
        bid[rng.random((rows, 4)) < 0.003] = draw(st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -0.0, -1.0]))
    numbers = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -2e300, 5e-324])
    columns = {"seen": rng.choice(numbers, rows), "other": rng.normal(size=rows)}
    apart = rng.choice([1, 60_000_000, 3_600_000_000, 10**13], rows, p=[0.05, 0.05, 0.85, 0.05])
    time = np.datetime64(draw(st.sampled_from(["1960-02-28T23:59", "2024-02-29"])), "us") + np.cumsum(apart)
    return Bars("ODD", time, bid, ask, volume, columns)


@settings(max_examples=20, deadline=None)
@given(wish=wishes(), bars=oddities(), returns=st.integers(2, 30), ranks=st.integers(2, 60))
def test_any_settings_on_any_bars_give_the_same_bits(
    wish: dict[str, Any], bars: Bars, returns: int, ranks: int
) -> None:
    chosen, rules = features(FeatureSettings(**wish), ["seen"]), RegimeSettings(returns, ranks)
    stream = FeatureStream(chosen, rules)
    assert same_bits(streamed(stream, bars), batched(chosen, bars, rules))


@settings(max_examples=20, deadline=None)
@given(wish=wishes(), bars=oddities(), cuts=st.lists(st.integers(0, 330), max_size=4))
def test_many_bars_at_once_are_bars_one_by_one(wish: dict[str, Any], bars: Bars, cuts: list[int]) -> None:
    chosen = features(FeatureSettings(**wish), ["other", "seen"])
    whole = batched(chosen, bars, RULES)
    stream, edges = FeatureStream(chosen, RULES), [0, *sorted(cuts), len(bars)]
    for first, after in itertools.pairwise(edges):
        stream.extend(bars[first:after])
        assert stream.bars == min(after, stream.window)
        if after:
            assert same_bits(newest(stream), whole[after - 1])


def test_plain_numbers_are_a_bar() -> None:
    chosen, bars = features(columns=("x",)), random_bars(600, 3, columns={"x": np.arange(600.0), "y": np.ones(600)})
    stream, rows = FeatureStream(chosen, RULES), []
    for row in range(600):
        stamp = int(bars.time[row].astype("datetime64[us]").astype(np.int64))
        stream.push_row(stamp, bars.bid[row], tuple(bars.ask[row]), bars.volume[row], {"x": row, "y": 1})
        rows.append(newest(stream))
    assert same_bits(np.array(rows), batched(chosen, bars, RULES))


def test_nothing_is_known_before_the_first_bar() -> None:
    stream = FeatureStream(features(), RULES)
    assert (stream.bars, stream.regime, len(stream.recent())) == (0, UNKNOWN, 0)
    assert np.isnan(newest(stream)[[*range(24), 25]]).all()


def test_what_is_kept_does_not_grow() -> None:
    bars, stream = random_bars(3 * 282 + 5, 4, columns={"x": np.arange(851.0)}), None
    stream = FeatureStream(features(FeatureSettings(lookback=60), columns=("x",)), RULES)
    for row in range(len(bars)):
        stream.push(bars[row : row + 1])
    kept = stream.recent()
    assert stream.window == stream.bars == len(kept) == 282
    for name in ("time", "bid", "ask", "volume"):
        assert np.array_equal(getattr(kept, name), getattr(bars, name)[-282:])
    assert np.array_equal(kept.columns["x"], bars.columns["x"][-282:])


def untraceable(bars: Bars) -> np.ndarray:
    """Distance of the close from the median of five, by way of a plain array."""
    close = np.asarray(bars.mid)[:, CLOSE]
    out = np.zeros(len(close))
    for row in range(4, len(close)):
        out[row] = close[row] - np.median(close[row - 4 : row + 1]) + bars.columns["x"][row - 1]
    return out


def test_features_of_ones_own_are_computed_from_their_window() -> None:
    bars = random_bars(400, 8, columns={"x": np.arange(400.0)})
    chosen = (
        Feature("own", 5, untraceable),
        Feature("rsi_3", indicators.rsi_window(3), partial(indicators.rsi, period=3)),
        Feature("late", 9, partial(indicators.log_return, horizon=1)),
        Feature("own_rsi", indicators.rsi_window(3), lambda bars: -indicators.rsi(bars, 3)),
    )
    assert same_bits(streamed(FeatureStream(chosen, RULES, columns=["x"]), bars), batched(chosen, bars, RULES))


def test_no_feature_of_the_catalogue_is_computed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = features(FeatureSettings(lookback=50), columns=("x",))
    stream = FeatureStream(chosen, RULES)
    stream.extend(random_bars(400, 8, columns={"x": np.arange(400.0)}))
    monkeypatch.delattr(FeatureStream, "recent")
    assert np.isfinite(stream.features).all()


def test_a_missing_column_is_named_and_the_bar_is_not_taken() -> None:
    bars = random_bars(40, 1, columns={"x": np.arange(40.0)})
    stream = FeatureStream(features(columns=("x",)), RULES)
    stream.extend(bars[:39])
    before = newest(stream)
    for take in (stream.push, stream.extend, lambda bar: stream.push_row(0, bar.bid[0], bar.ask[0])):
        with pytest.raises(UserError, match=r"^market.columns: the bar has no column 'x'; its columns: none$"):
            take(dataclasses.replace(bars[39:], columns={}))
    assert stream.bars == 39
    assert same_bits(newest(stream), before)


def test_push_takes_one_bar() -> None:
    with pytest.raises(ValueError, match="one bar, not 2"):
        FeatureStream(features(), RULES).push(random_bars(2, 1))


def test_a_bot_loads_neither_jax_nor_tables() -> None:
    code = "import sys, markets.features.stream; print({'jax', 'polars', 'pandas', 'scipy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"

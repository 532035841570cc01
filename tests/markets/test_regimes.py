"""Regimes against a direct reading of their definition, on markets where they are known, and for causality."""

import dataclasses
import statistics

import numpy as np
import pytest
from causality import LEAKS, assert_causal, assert_windowed, random_bars
from hypothesis import given, settings
from hypothesis import strategies as st

from markets.bars import CLOSE, Bars
from markets.errors import UserError
from markets.regimes import REGIMES, UNKNOWN, RegimeSettings, classify, rolling_rank
from markets.settings import build

BULL, BEAR, VOLATILE, CALM = range(4)
SMALL = RegimeSettings(returns=12, ranks=30)


def direct(close: np.ndarray, t: int, rules: RegimeSettings) -> set[str]:
    """The regime at bar t, word by word; two where rounding may order deviations that are equal on paper either way."""
    logs = np.log(close)
    w = rules.returns
    if t < rules.window - 1:
        return {"unknown"}
    sigmas = [
        statistics.stdev((logs[end - w + 1 : end + 1] - logs[end - w : end]).tolist())
        for end in range(t - rules.ranks + 1, t + 1)
    ]
    below = sum(sigma < sigmas[-1] - 1e-13 for sigma in sigmas)
    equal = sum(abs(sigma - sigmas[-1]) <= 1e-13 for sigma in sigmas)
    ranks = {(below + place) / rules.ranks for place in (1, (equal + 1) / 2, equal)}
    window = logs[t - w : t + 1]
    r = window[-1] - window[0]
    trend = np.corrcoef(np.arange(w + 1), window)[0, 1] ** 2 if window.std() > 1e-12 else 0.0
    if trend > rules.trending and r > 0:
        return {"bull_trending"}
    if trend > rules.trending and r < 0:
        return {"bear_trending"}
    if trend >= rules.ranging:
        return {"calm_ranging"}
    return {"volatile_ranging" if rank > rules.volatile else "calm_ranging" for rank in ranks}


def closes(rows: int, seed: int, ties: bool = False) -> np.ndarray:
    return np.ascontiguousarray(random_bars(rows, seed, ties=ties).mid[:, CLOSE])


def of_bars(bars: Bars) -> np.ndarray:
    return classify(bars.mid[:, CLOSE])


def test_the_order_of_regimes_is_fixed() -> None:
    assert REGIMES == ("bull_trending", "bear_trending", "volatile_ranging", "calm_ranging", "unknown")
    assert REGIMES[UNKNOWN] == "unknown"
    assert RegimeSettings().window == 548


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), ties=st.booleans(), more=st.integers(0, 60))
def test_every_bar_is_what_the_definition_says(seed: int, ties: bool, more: int) -> None:
    close = closes(SMALL.window + more, seed, ties)
    regime = classify(close, SMALL)
    for t in range(SMALL.window - 3, len(close)):
        assert REGIMES[regime[t]] in direct(close, t, SMALL)


def test_the_default_settings_are_those_of_the_definition() -> None:
    close = closes(1_200, 4)
    regime = classify(close)
    assert regime.dtype == np.int8
    for t in (0, 546, 547, 700, 901, 1_199):
        assert REGIMES[regime[t]] in direct(close, t, RegimeSettings())
    assert (regime[:547] == UNKNOWN).all()
    assert (regime[547:] != UNKNOWN).all()
    assert set(regime[547:]) == {BULL, BEAR, VOLATILE, CALM}


def test_lines_trend_and_a_still_market_is_calm() -> None:
    steps = np.arange(800)
    noise = 1 + 1e-5 * np.random.default_rng(0).normal(size=800)
    assert set(classify(np.exp(0.001 * steps) * noise)[547:]) == {BULL}
    assert set(classify(np.exp(-0.001 * steps) * noise)[547:]) == {BEAR}
    assert set(classify(np.full(800, 1.1))[547:]) == {CALM}


def test_ranging_is_volatile_where_it_moves_more_than_before() -> None:
    swing = np.where(np.arange(1_000) % 2 == 0, 1.0, -1.0)
    calm_first = np.exp(swing * np.where(np.arange(1_000) < 800, 1e-4, 1e-2))
    regime = classify(calm_first)
    assert set(regime[547:799]) == {CALM}
    assert set(regime[850:900]) == {VOLATILE}


def test_between_the_thresholds_is_calm_however_volatile() -> None:
    swing = np.where(np.arange(700) % 2 == 0, 1.0, -1.0)
    wide = np.arange(700) >= 640
    slope = np.where(wide, 0.01, 0.0).cumsum()
    close = np.exp(slope + swing * np.where(wide, 0.14, 0.001))
    t = 699
    trend = np.corrcoef(np.arange(49), np.log(close[t - 48 : t + 1]))[0, 1] ** 2
    assert 0.3 < trend < 0.7
    assert classify(close)[t] == CALM
    assert classify(close, RegimeSettings(ranging=0.7))[t] == VOLATILE


def test_a_trend_that_ends_where_it_began_is_neither_bull_nor_bear() -> None:
    close = np.exp(0.001 * np.arange(600))
    close[-1] = close[-49] = 1.5
    window = np.log(close[-49:])
    window[1:-1] = np.linspace(window[0] - 1, window[0] + 1, 47)
    close[-49:] = np.exp(window)
    close[-1] = close[-49]
    assert np.corrcoef(np.arange(49), np.log(close[-49:]))[0, 1] ** 2 > 0.7
    assert classify(close)[-1] == CALM
    close[-1] *= 1.001
    assert classify(close)[-1] == BULL
    close[-1] = close[-49] / 1.001
    assert classify(close)[-1] == BEAR


def test_rounding_noise_is_calm() -> None:
    noise = np.random.default_rng(0).choice([-1, 0, 1], 900) * np.linspace(0.1, 9, 900)
    close = 1.1 * (1 + noise * 2.3e-16)
    assert len(np.unique(close)) > 3
    assert set(classify(close)[547:]) == {CALM}


def test_thresholds_are_configuration() -> None:
    close = closes(900, 6)
    assert not set(classify(close, RegimeSettings(trending=1.0))[547:]) & {BULL, BEAR}
    assert VOLATILE not in classify(close, RegimeSettings(volatile=1.0))


def test_regimes_do_not_depend_on_the_price_level() -> None:
    close = closes(900, 7)
    np.testing.assert_array_equal(classify(close * 1024), classify(close))


def test_data_cut_at_t_and_windows_give_the_same_regimes() -> None:
    bars = random_bars(1_300, 8)
    rng = np.random.default_rng(0)
    assert_causal(of_bars, bars, [1, 547, 548, *rng.integers(1, 1_300, 10)])
    assert_windowed(of_bars, RegimeSettings().window, bars, [547, *rng.integers(547, 1_300, 25)])
    tied = random_bars(700, 9, ties=True)
    assert_windowed(of_bars, RegimeSettings().window, tied, range(547, 700, 7))


def ranked_in_all_history(bars: Bars) -> np.ndarray:
    """A leak: volatility ranked among all values, later ones too."""
    step = np.abs(np.diff(np.log(bars.mid[:, CLOSE]), prepend=0.0))
    return np.argsort(np.argsort(step)) / len(step) > 0.75


@pytest.mark.parametrize("leak", [*LEAKS, ranked_in_all_history])
def test_a_planted_leak_is_caught(leak) -> None:
    with pytest.raises(AssertionError, match="cut at"):
        assert_causal(leak, random_bars(900, 10), range(560, 600))


def test_a_missing_price_is_unknown_for_one_window() -> None:
    close = closes(1_500, 11)
    spoilt = close.copy()
    spoilt[700] = np.nan
    before, after = classify(close), classify(spoilt)
    assert (after[700 : 700 + 548] == UNKNOWN).all()
    np.testing.assert_array_equal(np.delete(after, np.s_[700:1248]), np.delete(before, np.s_[700:1248]))


@pytest.mark.parametrize("rows", [0, 1, 48, 49, 547])
def test_short_histories_are_unknown(rows: int) -> None:
    assert (classify(closes(600, 12)[:rows]) == UNKNOWN).all()
    assert len(classify(closes(600, 12)[:rows])) == rows


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(1, 20))
def test_ranks_average_ties(values: list[int], bars: int) -> None:
    rank = rolling_rank(np.array(values, np.float64), bars)
    for t in range(len(values)):
        if t < bars - 1:
            assert np.isnan(rank[t])
            continue
        window = sorted(values[t - bars + 1 : t + 1])
        places = [place for place, value in enumerate(window, start=1) if value == values[t]]
        assert rank[t] == pytest.approx(statistics.fmean(places) / bars, abs=1e-15)


@pytest.mark.parametrize("key", ["ranging", "returns", "ranks"])
def test_impossible_settings_are_refused(key: str) -> None:
    values = {"ranging": 0.8, "returns": 1, "ranks": 1}
    with pytest.raises(UserError, match=rf"regimes\.{key}: {values[key]}"):
        build(RegimeSettings, {key: values[key]}, "regimes")
    with pytest.raises(UserError, match=key):
        classify(closes(600, 0), dataclasses.replace(RegimeSettings(), **{key: values[key]}))

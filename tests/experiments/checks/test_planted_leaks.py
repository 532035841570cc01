"""A leak of each kind, planted in the place of the function that is checked, is caught and named; else nothing is."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from small_worlds import make_settings, small_bars

from arena.api import make_market
from experiments.checks.parts import check_labels, check_split
from experiments.checks.pieces import check_features, check_regimes, check_scaler
from experiments.checks.subject import Subject
from experiments.checks.tapes import check_tape, market_until
from experiments.checks.works import Checked, Works
from experiments.founders.labels import Labels, label_market
from markets.bars import CLOSE, Bars
from markets.features import Feature, compute_features
from markets.preparation import Market
from markets.regimes import RegimeSettings, classify, volatility_rank
from markets.rules import BrokerRules
from markets.scaling import Scaler, fit_scaler
from markets.split_dates import Cuts
from markets.splits import Split, split_rows

SETTINGS = make_settings()


def subject(
    bars: tuple[Bars, ...] | None = None, settings: Any = SETTINGS, mode: str = "pool", fold: int = 0
) -> Subject:
    bars = bars or small_bars(900, 2)
    return Subject(bars, make_market(bars, settings, mode=mode, fold=fold), settings, mode, 0, fold)


def every(own: Subject, works: Works, horizons: tuple[int, ...] = (4,)) -> list[Checked]:
    """All checks that need no champion."""
    stamps = own.drawn(2, 1)
    markets = [market_until(own, works, stamp, 1) for stamp in stamps]
    return [
        check_features(own, works, stamps),
        check_regimes(own, works, stamps),
        check_scaler(own, works, 1),
        check_split(own, works, stamps),
        check_labels(own, works, horizons, 1),
        check_tape(own, works, stamps, markets, 1),
    ]


def kinds(checks: list[Checked]) -> set[str]:
    return {finding.kind for check in checks for finding in check.findings}


@pytest.fixture(scope="module")
def small() -> Subject:
    return subject()


def with_feature(change: Callable[[Bars, np.ndarray], np.ndarray]) -> Callable[..., np.ndarray]:
    """`return_4` is what the change makes of it."""

    def work(chosen: tuple[Feature, ...], bars: Bars) -> np.ndarray:
        matrix = compute_features(chosen, bars)
        place = [feature.name for feature in chosen].index("return_4")
        matrix[:, place] = change(bars, matrix[:, place])
        return matrix

    return work


def next_bar(bars: Bars, column: np.ndarray) -> np.ndarray:
    return np.append(column[1:], 0.0)


def centred(bars: Bars, column: np.ndarray) -> np.ndarray:
    close = bars.mid[:, CLOSE]
    return np.convolve(close, np.full(5, 0.2), mode="same") if len(close) >= 5 else close


def scaled_by_all(bars: Bars, column: np.ndarray) -> np.ndarray:
    return column / np.nanstd(column)


def fit_on_all(matrix: np.ndarray, rows: np.ndarray, **options: Any) -> Scaler:
    return fit_scaler(matrix, np.ones_like(rows), **options)


def rank_in_all(close: np.ndarray, settings: RegimeSettings) -> np.ndarray:
    rank = volatility_rank(close, settings)
    known = np.isfinite(rank)
    rank[known] = np.argsort(np.argsort(rank[known])) / known.sum()
    return rank


def smoothed_regime(close: np.ndarray, settings: RegimeSettings) -> np.ndarray:
    regime = classify(close, settings)
    return np.append(regime[1:], regime[-1:])


def gapless(time: np.ndarray, cuts: Cuts, *, embargo: int) -> Split:
    return split_rows(time, cuts, embargo=0)


def one_row_more(time: np.ndarray, cuts: Cuts, *, embargo: int) -> Split:
    split = split_rows(time, cuts, embargo=embargo)
    return dataclasses.replace(split, train=range(split.train.start, min(split.train.stop + 1, len(time))))


def overlapping(time: np.ndarray, cuts: Cuts, *, embargo: int) -> Split:
    split = split_rows(time, cuts, embargo=embargo)
    return dataclasses.replace(split, validation=range(max(split.train.stop - 1, 0), split.validation.stop))


def by_share(time: np.ndarray, cuts: Cuts, *, embargo: int) -> Split:
    """Half of whatever bars there are is training."""
    split = split_rows(time, cuts, embargo=embargo)
    return dataclasses.replace(split, train=range(min(len(time) // 2, split.train.stop)))


def beyond_the_part(market: Market, rules: BrokerRules, *, horizon: int) -> Labels:
    segments = tuple(
        dataclasses.replace(
            own, rows=dataclasses.replace(own.rows, train=range(own.rows.train.start, own.rows.train.stop + 20))
        )
        for own in market.segments
    )
    return label_market(dataclasses.replace(market, segments=segments), rules, horizon=horizon)


def scaled_on_all_rows(bars: Any, settings: Any, *, scaler: Scaler | None = None, **options: Any) -> Market:
    """Its scaler knows the spread of everything on the tape."""
    market = make_market(bars, settings, scaler=scaler, **options)
    deviation = np.asarray(market.tape.features, np.float64).reshape(-1, len(market.features)).std(0)
    if scaler is None:
        fitted = dataclasses.replace(market.scalers[0], scale=market.scalers[0].scale * deviation)
        market = dataclasses.replace(market, scalers=(fitted,))
    return market


def told_tomorrow_s_range(bars: Any, settings: Any, **options: Any) -> Market:
    market = make_market(bars, settings, **options)
    return dataclasses.replace(market, tape=market.tape._replace(atr=jnp.roll(market.tape.atr, -1, axis=0)))


LEAKS = {
    "feature: next bar": (Works(features=with_feature(next_bar)), {"feature return_4"}),
    "feature: centred": (Works(features=with_feature(centred)), {"feature return_4"}),
    "feature: scaled by all": (Works(features=with_feature(scaled_by_all)), {"feature return_4"}),
    "scaler": (Works(scaler=fit_on_all), {"scaler"}),
    "regime rank": (Works(ranks=rank_in_all), {"regime rank"}),
    "regime": (Works(regimes=smoothed_regime), {"regime"}),
    "split: no gap": (Works(split=gapless), {"split"}),
    "split: a row of validation in training": (Works(split=one_row_more), {"split"}),
    "split: parts overlap": (Works(split=overlapping), {"split"}),
    "split: by the span": (Works(split=by_share), {"split"}),
    "label": (Works(labels=beyond_the_part), {"label"}),
    "tape: scaler": (Works(market=scaled_on_all_rows), {"tape scale"}),
    "tape: true range": (Works(market=told_tomorrow_s_range), {"tape atr"}),
}


FOLLOWS = {"feature": {"scaler"}, "tape": {f"tape {name}" for name in ("return_1", "return_4", "mean_distance_8")}}
"""What else a leak leads to: constants are fitted on features, and features scaled with constants."""


@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_leak_is_caught_and_named(leak: str, small: Subject) -> None:
    works, expected = LEAKS[leak]
    own = small
    if leak.startswith("tape"):
        own = dataclasses.replace(small, market=works.market(small.bars, SETTINGS, mode="pool", fold=0))
    found = kinds(every(own, works))
    assert expected <= found
    assert found <= expected | FOLLOWS.get(leak.partition(":")[0], set())


def test_features_that_look_back_less_are_checked_too(small: Subject) -> None:
    stamps = small.drawn(2, 1)
    assert check_features(small, Works(), stamps, (8,)).findings == ()
    leaking = with_feature(next_bar)

    def work(chosen: tuple[Feature, ...], bars: Bars) -> np.ndarray:
        return (leaking if max(feature.window for feature in chosen) == 8 else compute_features)(chosen, bars)

    found = check_features(small, Works(features=work), stamps, (8,)).findings
    assert {finding.kind for finding in found} == {"feature return_4, 8 bars back"}


def test_the_row_and_the_symbol_of_a_leak_are_told(small: Subject) -> None:
    stamp = small.drawn(1, 3)[0]
    (finding, other) = check_features(small, Works(features=with_feature(next_bar)), [stamp]).findings
    assert [finding.symbol, other.symbol] == [small.name(0), small.name(1)]
    assert finding.row == small.row(0, stamp) - 1
    assert finding.time == small.time(0)[finding.row]
    late = check_labels(small, Works(labels=beyond_the_part), (4,)).findings[0]
    assert late.row == small.market.segments[0].rows.train.stop - 5
    row = check_split(small, Works(split=one_row_more), []).findings[0].row
    assert row == small.market.segments[0].rows.train.stop


COLUMNS = {"funding": np.where(np.arange(900) % 5, np.sin(np.arange(900.0)), np.nan)}
HONEST: dict[str, Callable[[], Subject]] = {
    "two symbols": subject,
    "a basket": lambda: subject(mode="basket"),
    "costs by symbol": lambda: subject(
        settings=make_settings(costs={small_bars(900, 2)[0].symbol: {"spread_rate": 3e-3, "commission": 1e-3}})
    ),
    "columns of the user": lambda: subject(tuple(dataclasses.replace(b, columns=COLUMNS) for b in small_bars(900, 2))),
    "one begins late": lambda: subject((small_bars(900, 2)[0], small_bars(900, 2)[1][400:])),
    "the last fold of three": lambda: subject(
        small_bars(1600, 1), make_settings(split={"folds": 3, "holdout": 0.5}, evolution={"generations": 24}), fold=2
    ),
}


@pytest.mark.parametrize("world", HONEST)
def test_nothing_is_found_where_nothing_looks_ahead_and_the_pieces_are_the_run_s_own(world: str) -> None:
    own = HONEST[world]()
    checks = every(own, Works())
    assert kinds(checks) == set()
    assert all(check.done for check in checks) or own.fold
    tape = own.market.tape
    for place, segment in enumerate(own.market.segments):
        rows = slice(segment.first, segment.last + 1)
        for instrument, bars in enumerate(own.seen[place]):
            scaled = own.market.scalers[0].apply(compute_features(own.chosen, bars))
            np.testing.assert_array_equal(np.asarray(tape.features)[rows, instrument], scaled)
            np.testing.assert_array_equal(np.asarray(tape.bid)[rows, instrument], bars.bid.astype(np.float32))
        known = classify(own.index(place), own.settings.regimes)
        regime = np.asarray(tape.regime)[rows]
        np.testing.assert_array_equal(regime[regime != 4], known[regime != 4])
    assert own.cuts.validation == min(
        own.clocks[place][segment.rows.train.stop - segment.first]
        for place, segment in enumerate(own.market.segments)
        if len(segment.rows.train)
    )


def test_no_price_of_the_holdout_is_looked_at(small: Subject) -> None:
    def shut(bars: Bars, end: int) -> Bars:
        hole = np.where(np.arange(len(bars)) < end, 1.0, np.nan)
        return Bars(bars.symbol, bars.time, bars.bid * hole[:, None], bars.ask * hole[:, None], bars.volume * hole)

    ends = [own.last - own.first + 1 for own in small.market.segments]
    assert all(end < len(bars) for bars, end in zip(small.bars, ends, strict=True))
    blind = dataclasses.replace(small, bars=tuple(map(shut, small.bars, ends)))
    assert every(blind, Works()) == every(small, Works())

"""Splits: parts by date over all symbols, gaps that no window spans, and clear words where there is no room."""

import dataclasses

import numpy as np
import pytest
from causality import assert_windowed, random_bars, same_bits
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from markets.bars import Bars
from markets.errors import UserError
from markets.features import FeatureSettings, compute_features, features, warmup
from markets.settings import build
from markets.splits import Cuts, Split, SplitSettings, split, split_rows, without_holdout

DAY = np.timedelta64(1, "D")
START = np.datetime64("2015-01-01", "us")


def hourly(rows: int, start: np.datetime64 = START, symbol: str = "X", hours: int = 1) -> Bars:
    time = start + np.arange(rows) * np.timedelta64(hours, "h")
    return Bars.from_mid(symbol, time, np.ones((rows, 4)))


def test_weights_share_what_the_gaps_leave() -> None:
    bars = hourly(12_000)
    cuts, (rows,) = split([bars], window=548, episode=452)
    # 10,000 bars are left by two gaps of 1,000; cuts fall back to midnight, at most 23 bars
    assert 5_000 - 23 <= len(rows.train) <= 5_000
    assert rows.validation.start - rows.train.stop == 1_000
    assert abs(len(rows.validation) - 2_000) <= 24
    assert rows.holdout.start - rows.validation.stop == 1_000
    assert abs(len(rows.holdout) - 3_000) <= 48
    assert rows.holdout.stop == 12_000
    assert cuts.validation.astype("datetime64[D]") == cuts.validation
    assert cuts.holdout.astype("datetime64[D]") == cuts.holdout


def test_only_the_proportion_of_weights_counts() -> None:
    bars = [hourly(12_000)]
    small = split(bars, SplitSettings(0.5, 0.2, 0.3), window=548, episode=64)
    assert split(bars, SplitSettings(5, 2, 3), window=548, episode=64) == small
    assert len(split(bars, SplitSettings(8, 2, 3), window=548, episode=64)[1][0].train) > len(small[1][0].train)


def test_a_short_span_is_cut_at_a_bar() -> None:
    time = START + np.arange(3_000) * np.timedelta64(1, "m")
    bars = Bars.from_mid("M1", time, np.ones((3_000, 4)))
    _, (rows,) = split([bars], window=90, episode=10)
    assert rows == Split(range(1_400), range(1_500, 2_060), range(2_160, 3_000))


@settings(max_examples=150, deadline=None)
@given(
    spans=st.lists(st.tuples(st.integers(0, 6_000), st.integers(1, 9_000), st.sampled_from([1, 2, 24])), max_size=4),
    weights=st.tuples(*[st.floats(0.05, 1.0)] * 3),
    window=st.integers(1, 80),
    episode=st.integers(1, 40),
    more=st.none() | st.integers(0, 50),
)
def test_parts_are_ordered_apart_and_by_one_calendar(spans, weights, window: int, episode: int, more) -> None:
    bars = [hourly(9_000)]
    bars += [hourly(rows, START + late * np.timedelta64(1, "h"), hours=hours) for late, rows, hours in spans]
    embargo = window + episode
    key = None if more is None else embargo + more
    try:
        cuts, splits = split(bars, SplitSettings(*weights, embargo=key), window=window, episode=episode)
    except UserError:  # symbols so scattered that a part has no room for an episode
        reject()
    assert len(splits) == len(bars)
    for symbol, rows in zip(bars, splits, strict=True):
        assert 0 == rows.train.start <= rows.train.stop <= rows.validation.start <= rows.validation.stop
        assert rows.validation.stop <= rows.holdout.start <= rows.holdout.stop == len(symbol)
        assert (symbol.time[rows.train.start : rows.train.stop] < cuts.validation).all()
        inside = symbol.time[rows.validation.start : rows.validation.stop]
        assert (inside >= cuts.validation).all()
        assert (inside < cuts.holdout).all()
        assert (symbol.time[rows.holdout.start : rows.holdout.stop] >= cuts.holdout).all()
        if rows.validation:
            assert rows.validation.start - rows.train.stop == (key or embargo)
        if rows.holdout:
            assert rows.holdout.start - rows.validation.stop >= (key or embargo)
        assert len(without_holdout(symbol, rows)) == rows.validation.stop
    for part in ("train", "validation", "holdout"):
        assert max(len(getattr(rows, part)) for rows in splits) >= episode


def test_symbols_may_begin_late_or_end_early() -> None:
    bars = [
        hourly(12_000, symbol="WHOLE"),
        hourly(3_000, symbol="EARLY"),
        hourly(3_000, START + 9_000 * np.timedelta64(1, "h"), symbol="LATE"),
    ]
    cuts, (whole, early, late) = split(bars, window=548, episode=52)
    assert early == Split(range(3_000), range(3_000, 3_000), range(3_000, 3_000))
    assert not late.train
    assert len(without_holdout(bars[1], early)) == 3_000
    for rows, symbol in ((whole, bars[0]), (late, bars[2])):
        assert symbol.time[rows.holdout.start] >= cuts.holdout
    assert late.holdout
    assert late.holdout.stop == 3_000


def test_a_symbol_wholly_in_the_holdout_leaves_evolution_nothing() -> None:
    bars = [hourly(12_000), hourly(1_000, START + 11_000 * np.timedelta64(1, "h"))]
    _, (_, rows) = split(bars, window=548, episode=52)
    assert not rows.train
    assert not rows.validation
    assert len(without_holdout(bars[1], rows)) == 0


def test_every_symbol_counts_the_gap_in_its_own_bars() -> None:
    bars = [hourly(24_000), hourly(1_000, hours=24)]
    cuts, splits = split(bars, window=90, episode=10)
    for symbol, rows in zip(bars, splits, strict=True):
        first, second = np.searchsorted(symbol.time, [cuts.validation, cuts.holdout])
        assert rows.train.stop == first
        assert rows.validation == range(first + 100, second)
        assert rows.holdout == range(second + 100, len(symbol))


def test_features_of_validation_read_no_row_of_training() -> None:
    bars = random_bars(3_000, 0)
    chosen = features(FeatureSettings(lookback=60))
    _, (rows,) = split([bars], window=warmup(chosen), episode=40)
    spoilt = dataclasses.replace(bars, bid=bars.bid.copy(), ask=bars.ask.copy(), volume=bars.volume.copy())
    for values in (spoilt.bid, spoilt.ask, spoilt.volume):
        values[: rows.train.stop] = np.nan
        values[rows.holdout.start :] = np.nan
    part = slice(rows.validation.start, rows.validation.stop)
    assert same_bits(compute_features(chosen, spoilt)[part], compute_features(chosen, bars)[part])
    assert_windowed(lambda piece: compute_features(chosen, piece), warmup(chosen), bars, [rows.validation.start])


def test_without_holdout_keeps_all_that_evolution_reads_and_no_more() -> None:
    bars = random_bars(3_000, 1)
    cuts, (rows,) = split([bars], window=60, episode=40)
    kept = without_holdout(bars, rows)
    assert (kept.time < cuts.holdout).all()
    assert kept.time[-1] == bars.time[rows.validation.stop - 1]


def test_given_dates_stand() -> None:
    bars = [hourly(12_000)]
    rules = SplitSettings(validation_from="2015-07-01", holdout_from="2015-12-01T06:00")
    cuts, (rows,) = split(bars, rules, window=90, episode=10)
    assert cuts == Cuts(np.datetime64("2015-07-01", "us"), np.datetime64("2015-12-01T06:00", "us"))
    assert bars[0].time[rows.validation.start] == cuts.validation + 100 * np.timedelta64(1, "h")
    assert bars[0].time[rows.validation.stop] == cuts.holdout
    shifted = SplitSettings(validation_from="2015-07-01T02:00+02:00", holdout_from="2015-12-01T06:00")
    assert split(bars, shifted, window=90, episode=10)[0] == cuts


@pytest.mark.parametrize("key", ["validation_from", "holdout_from"])
def test_one_given_date_leaves_the_other_to_the_weights(key: str) -> None:
    bars = [hourly(12_000)]
    free, _ = split(bars, window=90, episode=10)
    date = {"validation_from": free.validation, "holdout_from": free.holdout}[key]
    given_one, _ = split(bars, SplitSettings(**{key: str(date)}), window=90, episode=10)
    assert abs(given_one.validation - free.validation) <= 2 * DAY
    assert abs(given_one.holdout - free.holdout) <= 2 * DAY
    assert date in (given_one.validation, given_one.holdout)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"train": 0}, r"split\.train: 0\.0 must be above 0"),
        (
            {"validation_from": "soon"},
            r"split\.validation_from: 'soon' is no UTC date; write it like 2014-01-01",
        ),
        ({"holdout_from": "NaT"}, r"split\.holdout_from: 'NaT' is no UTC date"),
        (
            {"validation_from": "2015-06-01", "holdout_from": "2015-06-01"},
            r"split\.holdout_from: 2015-06-01 must be later than validation_from",
        ),
        ({"embargo": 0}, r"split\.embargo: 0 must be at least 1"),
    ],
)
def test_impossible_settings_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(SplitSettings, values, "split")


@pytest.mark.parametrize(
    ("bars", "rules", "message"),
    [
        (
            [hourly(9_000)],
            SplitSettings(embargo=611),
            r"split\.embargo: 611 bars .* longest window \(548\) plus one episode \(64\) needs at least 612",
        ),
        ([], SplitSettings(), r"split: there are no bars to split"),
        ([hourly(0)], SplitSettings(), r"split: there are no bars to split"),
        (
            [hourly(1_000)],
            SplitSettings(),
            r"split\.train: the train part has no room for an episode of 64 bars",
        ),
        (
            [hourly(9_000, symbol="EURUSD")],
            SplitSettings(validation=0.001),
            r"split\.validation: the validation part has no room .*\(most: \d+, EURUSD\).*; raise it",
        ),
        ([hourly(9_000)], SplitSettings(holdout=0.001), r"split\.holdout: the holdout part has no room"),
        (
            [hourly(9_000)],
            SplitSettings(holdout_from="2016-01-05"),
            r"split\.holdout_from: the holdout part .*; make it earlier",
        ),
        (
            [hourly(9_000)],
            SplitSettings(validation_from="2015-01-05"),
            r"split\.validation_from: the train part .*; make it later",
        ),
        (
            [hourly(9_000)],
            SplitSettings(validation_from="2019-01-01"),
            r"split\.validation_from: 2019-01-01 is outside the bars \(2015-01-01T00:00:00",
        ),
        (
            [hourly(9_000)],
            SplitSettings(holdout_from="2015-01-01"),
            r"split\.holdout_from: 2015-01-01 is outside the bars",
        ),
    ],
)
def test_what_has_no_room_is_refused_in_one_line(bars: list[Bars], rules: SplitSettings, message: str) -> None:
    with pytest.raises(UserError, match=message) as refused:
        split(bars, rules, window=548, episode=64)
    assert "\n" not in str(refused.value)


def test_rows_at_the_dates_themselves() -> None:
    time = START + np.arange(10) * DAY
    cuts = Cuts(START + 4 * DAY, START + 7 * DAY)
    assert split_rows(time, cuts, embargo=1) == Split(range(4), range(5, 7), range(8, 10))
    assert split_rows(time, cuts, embargo=5) == Split(range(4), range(7, 7), range(10, 10))

"""Bars in every form a feed may have them, and what is said of odd ones."""

import datetime
import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.live import Bar
from agents.live.quotes import fault, mended, sound
from markets.bars import Bars
from markets.errors import UserError
from markets.readers.stamps import parse_stamps

NOON = np.datetime64("2024-05-01T12:00:00", "us")
PRICES = (1.1, 1.3, 1.0, 1.2)
PLUS_TWO = datetime.timezone(datetime.timedelta(hours=2))


@pytest.mark.parametrize(
    "time",
    [
        np.datetime64("2024-05-01T12", "h"),
        datetime.datetime(2024, 5, 1, 12),
        datetime.datetime(2024, 5, 1, 14, tzinfo=PLUS_TWO),
        "2024-05-01T12:00:00Z",
        "2024-05-01 14:00+02:00",
        1714564800,
        1714564800.0,
        np.int64(1714564800),
        1714564800_000,
        1714564800_000.0,
        1714564800_000_000,
        1714564800_000_000_000,
        np.int64(1714564800_000_000_000),
        "1714564800",
        " 1714564800000 ",
        "1714564800.0",
    ],
)
def test_a_stamp_may_come_in_any_of_its_forms(time: Any) -> None:
    bar = Bar(time, PRICES, PRICES)
    assert bar.time == NOON
    assert bar.time.dtype == "datetime64[us]"
    assert fault(bar) == ""


@pytest.mark.parametrize("time", [math.nan, math.inf, 1e300, -(10**30), np.datetime64("NaT")])
def test_a_stamp_that_is_no_number_is_an_oddity(time: Any) -> None:
    assert fault(Bar(time, PRICES, PRICES)) == "not_finite: the bar has no time"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("noon", PRICES, PRICES), "bar: 'noon' is no ISO 8601 time, such as 2024-05-01T13:00:00Z"),
        ((True, PRICES, PRICES), "bar: True is no time; give a datetime, ISO 8601 text or a count since 1970"),
        ((NOON, PRICES[:3], PRICES), "bar: bid: expected open, high, low, close, got 3 numbers"),
        ((NOON, "1.12", PRICES), "bar: bid: expected open, high, low, close, got '1.12'"),
        ((NOON, {"open": 1}, PRICES), "bar: bid: expected open, high, low, close, got {'open': 1}"),
        (("20240501120000", PRICES, PRICES), "bar: '20240501120000' is no ISO 8601 time, such as 2024-05-01T13:00:00Z"),
        ((NOON, PRICES, (1, "x", 1, 1)), "bar: ask: expected a number, got 'x'"),
        ((NOON, PRICES, PRICES, 0.0, {"sen\ntiment": "x"}), r"bar: sen\ntiment: expected a number, got 'x'"),
    ],
)
def test_what_has_not_the_form_of_a_bar_is_a_mistake_of_one_line(arguments: Any, line: str) -> None:
    with pytest.raises(UserError) as caught:
        Bar(*arguments)
    assert str(caught.value) == line


def test_a_line_of_json_of_one_price_or_of_both_sides() -> None:
    plain = {"timestamp": "2024-05-01T12:00Z", "open": 1.1, "high": 1.3, "low": 1.0, "close": 1.2, "symbol": "X"}
    bar = Bar.from_mapping(plain | {"volume": 3, "spread": 0.2, "mood": None})
    assert bar == Bar(NOON, [x - 0.1 for x in PRICES], [x + 0.1 for x in PRICES], 3.0, bar.columns)
    assert list(bar.columns) == ["mood"]
    assert math.isnan(bar.columns["mood"])
    names = ("open", "high", "low", "close")
    both = {f"{side}_{name}": x for side in ("bid", "ask") for name, x in zip(names, PRICES, strict=True)}
    assert Bar.from_mapping({"timestamp": 1714564800} | both) == Bar(NOON, PRICES, PRICES)
    assert Bar.from_mapping(plain) == Bar(NOON, PRICES, PRICES)
    with pytest.raises(UserError, match=r"^bar: low is missing; it has: 'timestamp', 'open', 'high'$"):
        Bar.from_mapping({"timestamp": 1, "open": 1, "high": 1})


def test_of_a_line_with_more_than_is_wanted_the_rest_is_passed_over() -> None:
    line = {"timestamp": 0, "open": 1.1, "high": 1.3, "low": 1.0, "close": 1.2, "exchange": "kraken", "mood": 0.5}
    assert Bar.from_mapping(line, columns=()) == Bar(np.datetime64(0, "s"), PRICES, PRICES)
    assert Bar.from_mapping(line, columns=("mood",)).columns == {"mood": 0.5}
    with pytest.raises(UserError, match=r"^bar: wind is missing; it has: 'timestamp', .*'mood'$"):
        Bar.from_mapping(line, columns=("mood", "wind"))


@given(st.datetimes(datetime.datetime(1980, 1, 1), datetime.datetime(2200, 1, 1)))
@settings(max_examples=40, deadline=None)
def test_counts_are_told_apart_as_readers_of_files_do(moment: datetime.datetime) -> None:
    wanted = np.datetime64(moment, "us")
    micros = int(wanted.astype(np.int64))
    for count in (micros, micros * 1000 + 999, micros // 1000, micros // 10**6):
        read = parse_stamps([pl.Series([count] * 3)], day_first=None, source="f", key="k").time[0]
        assert Bar(count, PRICES, PRICES).time == read
    assert Bar(micros * 1000, PRICES, PRICES).time == wanted


def test_numbers_may_be_text_in_every_form_of_a_bar() -> None:
    text = [str(price) for price in PRICES]
    wanted = Bar(NOON, PRICES, PRICES, 3.5, {"mood": -2.0})
    assert Bar(NOON, text, text, "3.5", {"mood": "-2"}) == wanted
    assert Bar.from_mid(NOON, text[0], text[1], text[2], text[3], "3.5", spread="0", columns={"mood": "-2"}) == wanted
    row = dict(zip(("open", "high", "low", "close"), text, strict=True))
    told = {"timestamp": "1714564800000", "volume": "3.5", "spread": "0.0", "mood": "-2", **row}
    assert Bar.from_mapping(told) == wanted
    assert Bar.of(told, ("mood",)) == wanted
    assert Bar.of(wanted) is wanted


def test_ask_prices_beside_plain_ones_make_those_the_bid_as_in_a_file() -> None:
    names, ask = ("open", "high", "low", "close"), [price + 0.01 for price in PRICES]
    asks = {f"ask_{name}": price for name, price in zip(names, ask, strict=True)}
    plain = dict(zip(names, PRICES, strict=True))
    bid = {f"bid_{name}": price for name, price in plain.items()}
    for sides in (plain | asks, bid | asks, {"spread": 5.0} | plain | asks):
        assert Bar.from_mapping({"timestamp": NOON, **sides}) == Bar(NOON, PRICES, ask)
    for mixed, words in (
        (plain | bid | asks, "bar: open, high, low, close, bid_open, bid_high, bid_low, bid_close: expected open"),
        ({"close": 1.0} | bid | asks, "bar: close, bid_open, .*: expected open, high, low, close or bid_open … bid_c"),
        (plain | {"ask_close": 1.0}, "bar: ask_open is missing; it has: 'timestamp', 'open', 'high', 'low', 'close', "),
        (plain | bid, "bar: open, high, .*, not both$"),
        (bid, "bar: ask_open is missing"),
        (asks, "bar: bid_open is missing"),
    ):
        with pytest.raises(UserError, match=f"^{words}"):
            Bar.from_mapping({"timestamp": NOON, **mixed})


@pytest.mark.parametrize("given", [None, "2024-05-01", 1.0, [1, 2, 3]])
def test_what_is_no_bar_at_all_is_a_mistake_of_one_line(given: Any) -> None:
    with pytest.raises(UserError, match=r"^bar: expected a Bar, or a mapping with timestamp and prices, got "):
        Bar.of(given)


@pytest.mark.parametrize(
    ("bid", "ask", "volume", "line"),
    [
        ((1.1, math.nan, 1.0, 1.2), PRICES, 0.0, "not_finite: bid high is nan"),
        (PRICES, (1.1, 1.3, 1.0, math.inf), 0.0, "not_finite: ask close is inf"),
        (PRICES, PRICES, math.nan, "not_finite: volume is nan"),
        ((1.1, 1.3, -1.0, 1.2), PRICES, 0.0, "bad_prices: bid low is -1.0"),
        ((0.0, 1.3, 1.0, 1.2), PRICES, 0.0, "bad_prices: bid open is 0.0"),
        ((1e-40, 1.3, 1e-40, 1.2), PRICES, 0.0, "bad_prices: bid open is 1e-40"),
        ((1.1, 1.15, 1.0, 1.2), PRICES, 0.0, "bad_prices: bid open, high, low, close are 1.1, 1.15, 1.0, 1.2"),
        (PRICES, (1.1, 1.3, 1.0, 1.15), 0.0, "bad_prices: close is 1.15 ask, below 1.2 bid"),
        (PRICES, PRICES, -1.0, "bad_prices: volume is -1.0"),
    ],
)
def test_what_is_odd_about_a_bar_is_named(bid: Any, ask: Any, volume: float, line: str) -> None:
    assert fault(Bar(NOON, bid, ask, volume)) == line


def test_an_infinite_column_is_odd_and_a_missing_value_is_not() -> None:
    assert fault(Bar(NOON, PRICES, PRICES, 0.0, {"mood": math.inf})) == "not_finite: 'mood' is inf"
    assert fault(Bar(NOON, PRICES, PRICES, 0.0, {"mood": math.nan})) == ""


def test_rounding_of_a_high_is_mended() -> None:
    close = 1.2 * (1 + 5e-10)
    bar = Bar(NOON, (1.1, 1.2, 1.0, close), (1.1, 1.2, 1.0, close))
    assert fault(bar) == ""
    np.testing.assert_array_equal(mended(np.asarray([bar.bid])), [[1.1, close, 1.0, close]])
    assert mended(np.zeros((0, 4))).shape == (0, 4)


odd_price = st.sampled_from([1.0, 1.0 + 4e-10, 1.0 + 4e-9, 1.1, 0.9, 0.0, -1.0, 1e-31, 1e31, math.nan, math.inf])


@given(st.lists(st.tuples(*[odd_price] * 8, st.sampled_from([0.0, 2.0, -1.0, math.nan, math.inf])), min_size=1))
@settings(max_examples=60, deadline=None)
def test_many_bars_are_judged_as_one_by_one(rows: list[tuple[float, ...]]) -> None:
    table = np.asarray(rows)
    time = NOON + np.arange(len(rows)) * np.timedelta64(1, "h")
    many = Bars("X", time, table[:, :4], table[:, 4:8], table[:, 8], {"own": table[:, 0]})
    bars = [Bar(t, row[:4], row[4:8], row[8], {"own": row[0]}) for t, row in zip(time, rows, strict=True)]
    with np.errstate(all="ignore"):
        assert sound(many).tolist() == [fault(bar) == "" for bar in bars]

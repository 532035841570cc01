"""Returns of bars summed to the venue's days: every bar once, in the right day, whatever the venue."""

import datetime
from typing import get_args
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.evidence.days import daily
from markets.calendars import Calendar, days_per_year, venue_days

NEW_YORK = ZoneInfo("America/New_York")
CALENDARS = get_args(Calendar)


def hours(first: str, count: int) -> np.ndarray:
    return np.datetime64(first, "us") + np.arange(count) * np.timedelta64(1, "h")


def test_an_fx_day_ends_at_the_rollover_and_sunday_evening_is_mondays():
    time = np.array(["2024-01-05T21", "2024-01-05T22", "2024-01-07T22", "2024-01-08T21", "2024-01-08T22"], "M8[us]")
    made = daily(time, np.array([1.0, 2.0, 4.0, 8.0, 16.0]), "fx")
    assert made.day.astype(str).tolist() == ["2024-01-05", "2024-01-08", "2024-01-09"]
    assert made.returns.tolist() == [1.0, 14.0, 16.0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 9000), st.integers(0, 23))
def test_fx_days_agree_with_walking_the_clock(day: int, hour: int):
    time = hours("2004-01-01", 80) + np.timedelta64(day, "D") + np.timedelta64(hour, "h")
    for stamp, found in zip(time.astype(object), venue_days(time, "fx").astype(object), strict=True):
        local = stamp.replace(tzinfo=datetime.UTC).astimezone(NEW_YORK)
        expected = local.date() + datetime.timedelta(days=local.hour >= 17)
        while expected.weekday() > 4:
            expected += datetime.timedelta(days=1)
        assert found == expected


def test_a_session_of_new_york_is_a_day_though_it_crosses_midnight_in_utc():
    time = np.array(["2024-07-01T23:30", "2024-07-02T00:30", "2024-07-02T04:00"], "M8[us]")
    assert venue_days(time, "us_equity").astype(str).tolist() == ["2024-07-01", "2024-07-01", "2024-07-02"]
    assert venue_days(time, "crypto").astype(str).tolist() == ["2024-07-01", "2024-07-02", "2024-07-02"]


def test_daily_bars_are_days_of_their_own_date():
    time = np.arange("2024-01-01", "2024-02-01", dtype="M8[D]")
    time = time[np.is_busday(time)]
    for calendar in CALENDARS:
        assert venue_days(time.astype("M8[us]"), calendar).tolist() == time.tolist()


def test_a_market_without_a_venue_has_days_of_twenty_four_hours_from_the_first_bar():
    time = hours("2024-01-01T07", 60)
    made = daily(time, np.ones(60), "none")
    assert made.returns.tolist() == [24.0, 24.0, 12.0]
    assert made.day.astype(str).tolist() == ["2024-01-01", "2024-01-02", "2024-01-03"]
    quarters = np.datetime64("2024-01-01", "us") + np.arange(200) * np.timedelta64(15, "m")
    assert daily(quarters, np.ones(200), "none").returns.tolist() == [96.0, 96.0, 8.0]


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(CALENDARS), st.integers(0, 400), st.integers(0, 2**31))
def test_no_bar_is_lost_and_none_counted_twice(calendar: Calendar, count: int, seed: int):
    rng = np.random.default_rng(seed)
    time = hours("2023-10-20", 2000)[np.sort(rng.choice(2000, count, replace=False))]
    returns = rng.integers(-8, 9, (count, 3)) / 16
    made = daily(time, returns, calendar)
    np.testing.assert_array_equal(made.returns.sum(axis=0), returns.sum(axis=0))
    assert (np.diff(made.day) > np.timedelta64(0, "D")).all()
    assert made.returns.shape == (len(made.day), 3)


def test_a_return_without_its_bar_is_refused():
    with pytest.raises(ValueError, match="2 returns of 3 bars"):
        daily(hours("2024-01-01", 3), np.zeros(2), "fx")


@pytest.mark.parametrize(
    ("calendar", "expected"), [("crypto", 365.25), ("fx", 365.25 * 5 / 7), ("us_equity", 252.0), ("none", 365.25)]
)
def test_days_a_year_are_the_venues_whatever_the_bars(calendar: Calendar, expected: float):
    for minutes in (15, 60, 240):
        time = np.datetime64("2024-01-01", "us") + np.arange(500) * np.timedelta64(minutes, "m")
        assert days_per_year(time, calendar) == pytest.approx(expected, rel=1e-12)


def test_a_year_has_no_more_days_than_bars():
    weeks = np.datetime64("2024-01-01", "us") + np.arange(50) * np.timedelta64(7, "D")
    for calendar in CALENDARS:
        assert days_per_year(weeks, calendar) == pytest.approx(365.25 / 7, rel=1e-12)
    assert np.isnan(days_per_year(weeks[:1], "fx"))


def test_days_of_real_bars_are_as_many_as_the_venue_has(shared_data):
    for name, calendar in (
        ("fx/EURUSD_H1_bidask", "fx"),
        ("crypto/BTCUSDT_H2", "crypto"),
        ("equity/SPY_H1", "us_equity"),
    ):
        time = pl.read_parquet(shared_data / f"{name}.parquet")["timestamp"].to_numpy()
        years = (time[-1] - time[0]) / np.timedelta64(31_557_600, "s")
        days = len(np.unique(venue_days(time, calendar)))
        assert days / years == pytest.approx(days_per_year(time, calendar), rel=0.02)

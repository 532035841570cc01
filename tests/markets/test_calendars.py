"""Financing days by calendar, to the hour across daylight saving, and bars a year."""

import datetime
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from markets.calendars import bar_length, financing_days, periods_per_year

NEW_YORK = ZoneInfo("America/New_York")


def stamps(first: str, last: str, step: str) -> np.ndarray:
    unit = {"h": "h", "D": "D", "m": "m"}[step[-1]]
    return np.arange(np.datetime64(first, "us"), np.datetime64(last, "us"), np.timedelta64(int(step[:-1]), unit))


def weekdays_only(time: np.ndarray) -> np.ndarray:
    """The hours of an FX week: Sunday 22:00 to Friday 22:00 UTC."""
    hours = (time.astype("datetime64[h]").astype(int) + 3 * 24) % 168  # hours since Monday 00:00 UTC
    return time[(hours < 118) | (hours >= 166)]


def test_a_week_of_fx_has_seven_day_charges_with_three_on_wednesday():
    days = financing_days(stamps("2021-01-04", "2021-01-09", "1h"), "fx")  # Monday to Friday, winter: 22:00 UTC
    assert days.sum() == 7
    charged = np.flatnonzero(days)
    # The bar that opens at 21:00 ends at 22:00, which is in (21:00, 22:00].
    assert list(charged) == [21, 45, 69, 93, 117]
    assert list(days[charged]) == [1, 1, 3, 1, 1]


def test_the_rollover_moves_with_daylight_saving_in_new_york():
    winter = financing_days(stamps("2021-03-12", "2021-03-13", "1h"), "fx")  # Friday before the change
    summer = financing_days(stamps("2021-03-15", "2021-03-16", "1h"), "fx")  # Monday after it
    assert list(np.flatnonzero(winter)) == [21]
    assert list(np.flatnonzero(summer)) == [20]


def test_a_rollover_at_a_bars_own_open_belongs_to_the_bar_before():
    time = np.array(["2021-01-04T21:00", "2021-01-04T22:00", "2021-01-04T23:00"], "datetime64[us]")
    assert list(financing_days(time, "fx")) == [1, 0, 0]


def test_the_weekend_gap_is_charged_to_the_bar_that_spans_it():
    time = weekdays_only(stamps("2021-01-04", "2021-01-18", "1h"))
    days = financing_days(time, "fx")
    assert days.sum() == 14
    friday_evening = np.flatnonzero(np.diff(time) > np.timedelta64(1, "D"))
    assert list(days[friday_evening]) == [1, 1]  # Friday's rollover only: Wednesday carried the weekend


@given(st.integers(0, 20 * 365), st.integers(1, 60), st.sampled_from([15, 60, 120, 1440]))
def test_fx_charges_agree_with_walking_the_clock(start: int, length: int, minutes: int):
    time = (
        np.datetime64("2004-01-01", "us")
        + np.timedelta64(start, "D")
        + np.arange(length) * np.timedelta64(minutes, "m")
    )
    expected = np.zeros(length)
    for row, stamp in enumerate(time.astype(object)):
        for minute in range(15, minutes + 1, 15):  # instants of (open, next open] on a 15-minute grid
            moment = (stamp + datetime.timedelta(minutes=minute)).replace(tzinfo=datetime.UTC).astimezone(NEW_YORK)
            if (moment.hour, moment.minute) == (17, 0) and moment.weekday() < 5:
                expected[row] += 3 if moment.weekday() == 2 else 1
    if length > 1:
        np.testing.assert_array_equal(financing_days(time, "fx"), expected)
    else:
        assert financing_days(time, "fx").sum() == 0


def test_us_equity_counts_midnights_in_new_york_over_the_weekend_too():
    daily = stamps("2021-01-04", "2021-01-16", "1D")
    sessions = daily[np.is_busday(daily.astype("datetime64[D]"))]
    days = financing_days(sessions, "us_equity")
    assert list(days) == [1, 1, 1, 1, 3, 1, 1, 1, 1, 1]
    hourly = financing_days(stamps("2021-07-01T12:00", "2021-07-02T12:00", "1h"), "us_equity")
    assert list(np.flatnonzero(hourly)) == [15]  # 04:00 UTC in summer, in the bar that opens at 03:00


def test_crypto_is_elapsed_days_and_none_is_nothing():
    time = np.array(["2021-01-01T00:00", "2021-01-01T02:00", "2021-01-01T08:00", "2021-01-01T10:00"], "datetime64[us]")
    np.testing.assert_allclose(financing_days(time, "crypto"), np.array([2, 6, 2, 2]) / 24, rtol=1e-15)
    assert not financing_days(time, "none").any()


def test_the_last_bar_has_the_most_frequent_length_and_the_smaller_on_a_tie():
    time = np.array(["2021-01-01", "2021-01-04", "2021-01-06", "2021-01-08", "2021-01-11"], "datetime64[us]")
    assert bar_length(time) == np.timedelta64(2, "D")
    assert financing_days(time, "crypto")[-1] == 2


def test_a_lone_bar_is_charged_nothing():
    assert financing_days(stamps("2021-01-04", "2021-01-05", "1D"), "fx").tolist() == [0]


@pytest.mark.parametrize(
    ("time", "calendar", "expected"),
    [
        (stamps("2021-01-01", "2021-02-01", "2h"), "crypto", 4383.0),
        (weekdays_only(stamps("2021-01-03", "2021-02-01", "1h")), "fx", 365.25 * 24 * 5 / 7),
        (stamps("2021-01-01", "2022-01-01", "7D"), "fx", 365.25 / 7),
        (stamps("2021-01-04", "2021-01-09", "1D"), "us_equity", 252.0),
        (stamps("2021-01-01", "2021-02-01", "1h"), "none", 8766.0),
    ],
)
def test_bars_a_year_follow_the_venue(time: np.ndarray, calendar: str, expected: float):
    assert periods_per_year(time, calendar) == pytest.approx(expected, rel=1e-12)


def test_a_session_of_seven_hours_gives_seven_bars_a_day():
    days = stamps("2021-01-04", "2021-01-09", "1D")
    time = (days[:, None] + np.arange(14, 21) * np.timedelta64(1, "h")).ravel()
    assert periods_per_year(time, "us_equity") == 252 * 7


def test_years_of_real_bars_come_close_to_the_venues_calendar(shared_data):
    time = pl.read_parquet(shared_data / "fx" / "EURUSD_H1_bidask.parquet")["timestamp"].to_numpy()
    measured, venue = periods_per_year(time, "none"), periods_per_year(time, "fx")
    assert abs(measured / venue - 1) < 0.02
    weeks = (time[-1] - time[0]) / np.timedelta64(7, "D")
    assert financing_days(time, "fx").sum() == pytest.approx(7 * weeks, abs=7)

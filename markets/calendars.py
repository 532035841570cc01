"""Venue calendars: days of financing a bar is charged, the venue's day it belongs to, bars and days in a year.

NumPy alone. Stamps are bar opens in UTC; what happens at a local hour (a rollover, a midnight) is placed through the
time-zone database, so daylight saving is exact.
"""

import datetime
from collections.abc import Iterator
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

__all__ = ["Calendar", "bar_length", "days_per_year", "financing_days", "periods_per_year", "venue_days"]

Calendar = Literal["none", "fx", "us_equity", "crypto"]

_NEW_YORK = ZoneInfo("America/New_York")
_DAY = np.timedelta64(1, "D").astype("timedelta64[us]")
_JULIAN_YEAR = np.timedelta64(31_557_600, "s").astype("timedelta64[us]")  # 365.25 days
_FX_CHARGES = (1, 1, 3, 1, 1, 0, 0)  # Monday to Sunday: Wednesday's rollover also carries the weekend
_FX_WEEKDAYS = 5 / 7  # share of all days on which the market trades around the clock
_SESSIONS = 252  # of a US exchange in a year


def financing_days(time: NDArray[np.datetime64], calendar: Calendar) -> NDArray[np.float64]:
    """Days of financing charged at the close of each bar: those in (this bar's open, the next bar's open].

    The last bar is given the most frequent length, the smaller on a tie; a lone bar has none and is charged nothing.

    Args:
        time: bar opens in UTC, strictly increasing, [bars].
        calendar: `fx` counts rollovers at 17:00 New York, Monday to Friday, Wednesday's three times; `us_equity` counts
            midnights in New York; `crypto` is the elapsed time in days; `none` is 0.

    Returns:
        Days, [bars].
    """
    stamps = np.asarray(time, "datetime64[us]")
    if calendar == "none" or len(stamps) < 2:
        return np.zeros(len(stamps))
    edges = np.append(stamps, stamps[-1] + bar_length(stamps))
    if calendar == "crypto":
        elapsed: NDArray[np.float64] = np.diff(edges) / _DAY
        return elapsed
    instants, charges = _fx_rollovers(edges) if calendar == "fx" else _new_york_midnights(edges)
    charged_until = np.append(0.0, np.cumsum(charges))
    return np.diff(charged_until[np.searchsorted(instants, edges, side="right")])


def bar_length(time: NDArray[np.datetime64]) -> np.timedelta64:
    """The most frequent distance between neighbouring stamps, the smaller on a tie; `timedelta64[us]`.

    Args:
        time: bar opens, strictly increasing, at least two.
    """
    lengths, counts = np.unique(np.diff(np.asarray(time, "datetime64[us]")), return_counts=True)
    length: np.timedelta64 = lengths[np.argmax(counts)]  # unique sorts, and argmax takes the first of equals
    return length


def periods_per_year(time: NDArray[np.datetime64], calendar: Calendar) -> float:
    """How many bars the venue trades in a year: what per-bar statistics are annualised with.

    `crypto` trades always: a Julian year (365.25 days) over the bar length. `fx` trades around the clock on weekdays:
    five sevenths of that. `us_equity` has 252 sessions, each of the median number of bars per New York date. Bars of a
    week or more are counted by elapsed time on every venue. `none` knows no venue and measures: bars less one over the
    span in Julian years.

    Args:
        time: bar opens in UTC, strictly increasing, [bars].
        calendar: the venue's.

    Returns:
        Bars a year; NaN for fewer than two bars.
    """
    stamps = np.asarray(time, "datetime64[us]")
    if len(stamps) < 2:
        return float("nan")
    if calendar == "none":
        return float((len(stamps) - 1) / ((stamps[-1] - stamps[0]) / _JULIAN_YEAR))
    length = bar_length(stamps)
    lengths = float(_JULIAN_YEAR / length)
    if calendar == "crypto" or length >= 7 * _DAY:
        return lengths
    if calendar == "fx":
        return lengths * _FX_WEEKDAYS
    midnights, _ = _new_york_midnights(stamps)
    # A daily bar carries its session's date at 00:00 UTC, so dates are local only for bars inside the day.
    dates = stamps.astype("datetime64[D]") if length >= _DAY else np.searchsorted(midnights, stamps, side="right")
    return float(_SESSIONS * np.median(np.unique(dates, return_counts=True)[1]))


def venue_days(time: NDArray[np.datetime64], calendar: Calendar) -> NDArray[np.datetime64]:
    """The day of the venue that each bar belongs to, by where it opens.

    Args:
        time: bar opens in UTC, strictly increasing, [bars].
        calendar: `fx`: days end at 17:00 New York and are named by the weekday they end on, so Sunday evening is
            Monday's. `us_equity`: the date in New York; a bar of a day or more carries its own. `crypto`: the date in
            UTC. `none` knows no venue and takes it to trade always: a day is as many bars on end as fill 24 hours (24
            of an hour, one of a day or more), counted from the first bar given, named by the date it begins on.

    Returns:
        `datetime64[D]`, never decreasing, [bars].
    """
    stamps = np.asarray(time, "datetime64[us]")
    dates = stamps.astype("datetime64[D]")
    if len(stamps) == 0 or calendar == "crypto":
        return dates
    if calendar == "none":
        rows = np.arange(len(stamps))
        begun: NDArray[np.datetime64] = dates[rows - rows % _bars_a_day(stamps)]
        return begun
    if calendar == "fx":
        instants, _ = _fx_rollovers(stamps)
        closes = np.array([day for day in _dates(stamps) if _FX_CHARGES[day.weekday()]], "datetime64[D]")
        named: NDArray[np.datetime64] = closes[np.searchsorted(instants, stamps, side="right")]
        return named
    if len(stamps) > 1 and bar_length(stamps) >= _DAY:
        return dates
    midnights, _ = _new_york_midnights(stamps)
    local = np.array(list(_dates(stamps)), "datetime64[D]")
    sessions: NDArray[np.datetime64] = local[np.searchsorted(midnights, stamps, side="right") - 1]
    return sessions


def days_per_year(time: NDArray[np.datetime64], calendar: Calendar) -> float:
    """How many of the venue's days make a year: what statistics of daily returns are annualised with.

    `crypto` 365.25, `fx` five sevenths of that (260.89), `us_equity` 252; never more than there are bars in a year.
    `none` measures: bars a year over bars a day (`venue_days`).

    Args:
        time: bar opens in UTC, strictly increasing, [bars].
        calendar: the venue's.

    Returns:
        Days a year; NaN for fewer than two bars.
    """
    stamps = np.asarray(time, "datetime64[us]")
    bars = periods_per_year(stamps, calendar)
    if len(stamps) < 2:
        return bars
    if calendar == "none":
        return bars / _bars_a_day(stamps)
    julian = float(_JULIAN_YEAR / _DAY)
    return min(bars, {"crypto": julian, "fx": julian * _FX_WEEKDAYS, "us_equity": float(_SESSIONS)}[calendar])


def _bars_a_day(stamps: NDArray[np.datetime64]) -> int:
    """Bars of the usual length that fill 24 hours, at least one."""
    return max(1, round(float(_DAY / bar_length(stamps)))) if len(stamps) > 1 else 1


def _dates(stamps: NDArray[np.datetime64]) -> Iterator[datetime.date]:
    """Every date from a day before the first stamp to three after the last: any zone's, and Monday after Friday."""
    day = stamps[0].astype("datetime64[D]").astype(object) - datetime.timedelta(days=1)
    end = stamps[-1].astype("datetime64[D]").astype(object) + datetime.timedelta(days=3)
    while day <= end:
        yield day
        day += datetime.timedelta(days=1)


def _in_utc(day: datetime.date, hour: int) -> np.datetime64:
    """An hour of a New York date as a UTC stamp."""
    local = datetime.datetime.combine(day, datetime.time(hour), _NEW_YORK)
    return np.datetime64(local.astimezone(datetime.UTC).replace(tzinfo=None), "us")


def _fx_rollovers(stamps: NDArray[np.datetime64]) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
    """Rollover instants around the stamps, and the day-charges of each."""
    days = [day for day in _dates(stamps) if _FX_CHARGES[day.weekday()]]
    instants = np.array([_in_utc(day, 17) for day in days], "datetime64[us]")
    return instants, np.array([float(_FX_CHARGES[day.weekday()]) for day in days])


def _new_york_midnights(stamps: NDArray[np.datetime64]) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
    """Midnights in New York around the stamps, one day-charge each."""
    instants = np.array([_in_utc(day, 0) for day in _dates(stamps)], "datetime64[us]")
    return instants, np.ones(len(instants))

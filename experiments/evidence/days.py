"""From bars to days: returns of bars summed to the venue's days, on which all statistics of a record stand.

Hours of one day are not independent tries, and bars of different lengths could not be compared; days can.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from markets.calendars import Calendar, venue_days

__all__ = ["Daily", "daily"]


class Daily(NamedTuple):
    """Returns by day, oldest first."""

    day: NDArray[np.datetime64]
    """The venue's days that have a bar, `datetime64[D]` [days]."""
    returns: NDArray[np.float64]
    """Sum of the day's returns, [days, …]."""


def daily(time: NDArray[np.datetime64], returns: NDArray[np.floating], calendar: Calendar) -> Daily:
    """Sum simple returns of bars to the venue's days.

    Simple returns are summed, not compounded: the mean of a day is then the sum of its bars' means, and differences of
    two accounts sum like their returns. Days without a bar are left out; a day with bars and no position stays as 0.

    Args:
        time: bar opens in UTC, strictly increasing, [bars]; those the returns belong to and no other, as days of the
            calendar `none` are counted from the first.
        returns: simple, one a bar, [bars, …].
        calendar: the venue's; `markets.calendars.venue_days` says what its days are.

    Raises:
        ValueError: as many stamps as returns were not given.

    Example:
        >>> import numpy as np
        >>> time = np.datetime64("2024-01-05T20", "us") + np.array([0, 1, 2, 50, 51]) * np.timedelta64(1, "h")
        >>> daily(time, np.array([0.25, 0.5, 1.0, 2.0, 4.0]), "fx")  # Friday to 22:00 UTC, then Sunday night
        Daily(day=array(['2024-01-05', '2024-01-08'], dtype='datetime64[D]'), returns=array([0.75, 7.  ]))
    """
    values = np.asarray(returns, np.float64)
    if len(values) != len(time):
        raise ValueError(f"{len(values)} returns of {len(time)} bars; right is one a bar")
    days = venue_days(time, calendar)
    if not len(days):
        return Daily(days, values)
    first = np.flatnonzero(np.append(True, days[1:] != days[:-1]))
    return Daily(days[first], np.add.reduceat(values, first, axis=0))

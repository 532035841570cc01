"""Gaps: where bars are missing, weekends apart."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from markets.readers.stamps import bar_length

__all__ = ["Gaps", "find_gaps"]

_DAY = np.timedelta64(1, "D")
_LONGEST_WEEKEND = np.timedelta64(72, "h")


@dataclasses.dataclass(frozen=True, slots=True)
class Gaps:
    """Where neighbouring bars are further apart than the length of a bar.

    Attributes:
        count: gaps that are no weekends.
        longest: the most time without a bar in one of them; zero without any.
        after: open of the bar before the longest, None without any.
        weekends: gaps that are weekends.
    """

    count: int
    longest: np.timedelta64
    after: np.datetime64 | None
    weekends: int


def find_gaps(time: NDArray[np.datetime64]) -> Gaps:
    """Count the gaps between bars, weekends apart.

    A weekend is a gap of at most three days over Saturday noon UTC, in a market that closes on more than half of its
    Saturdays; where Saturdays are traded a missing one is a gap like any other.

    Args:
        time: opens of the bars, sorted [bars].
    """
    length = bar_length(time)
    if length is None:
        return Gaps(0, np.timedelta64(0, "us"), None, 0)
    places = np.flatnonzero(np.diff(time) > length)
    starts, ends = time[places] + length, time[places + 1]
    # 1970-01-03 was a Saturday: count its noons up to a moment, and a gap holds one where the count grows.
    noon = np.datetime64("1970-01-03T12", "us")
    before = np.floor_divide(starts - noon + 7 * _DAY - np.timedelta64(1, "us"), 7 * _DAY)
    upto = np.floor_divide(ends - noon + 7 * _DAY - np.timedelta64(1, "us"), 7 * _DAY)
    weekend = (upto > before) & (ends - starts <= _LONGEST_WEEKEND)
    saturdays = (time[-1] - time[0]) / (7 * _DAY)
    if 2 * int(weekend.sum()) < saturdays - 1:
        weekend[:] = False
    others = np.flatnonzero(~weekend)
    if not len(others):
        return Gaps(0, np.timedelta64(0, "us"), None, int(weekend.sum()))
    lengths = (ends - starts)[others]
    worst = int(np.argmax(lengths))
    return Gaps(len(others), lengths[worst], time[places[others[worst]]], int(weekend.sum()))

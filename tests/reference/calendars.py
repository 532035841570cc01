"""Financing days by enumeration: every instant at which a venue charges is written down, then counted.

`markets.calendars` does arithmetic on stamps; here each rollover is made as a wall-clock time in New York, turned into
UTC by the time zone database, and the bars are asked how many of them they contain.
"""

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

__all__ = ["financing_days"]

NEW_YORK = ZoneInfo("America/New_York")


def financing_days(stamps: NDArray[np.datetime64], calendar: str) -> NDArray[np.float64]:
    """Days charged in (this bar's open, the next bar's open], one number a bar."""
    opens = [moment.replace(tzinfo=UTC) for moment in stamps.astype("datetime64[us]").tolist()]
    lengths = Counter(later - earlier for earlier, later in pairwise(opens))
    if not lengths:
        return np.zeros(len(opens))
    usual = min(length for length, count in lengths.items() if count == max(lengths.values()))
    ends = [*opens[1:], opens[-1] + usual]
    if calendar == "none":
        return np.zeros(len(opens))
    if calendar == "crypto":
        return np.array([(end - start) / timedelta(days=1) for start, end in zip(opens, ends, strict=True)])
    charges = list(_charges(opens[0].date() - timedelta(days=2), ends[-1].date() + timedelta(days=2), calendar))
    return np.array(
        [
            sum(weight for instant, weight in charges if start < instant <= end)
            for start, end in zip(opens, ends, strict=True)
        ],
        dtype=np.float64,
    )


def _charges(first: date, last: date, calendar: str) -> list[tuple[datetime, int]]:
    charges = []
    day = first
    while day <= last:
        if calendar == "fx" and day.isoweekday() <= 5:
            local = datetime.combine(day, time(17), NEW_YORK)
            charges.append((local.astimezone(UTC), 3 if day.isoweekday() == 3 else 1))
        elif calendar == "us_equity":
            charges.append((datetime.combine(day, time(0), NEW_YORK).astimezone(UTC), 1))
        day += timedelta(days=1)
    return charges

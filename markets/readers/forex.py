"""HistData and Dukascopy: free archives of foreign exchange.

HistData's clock is Eastern Standard Time without daylight saving (`timezone: Etc/GMT+5`), which its files do not say.
Dukascopy names its clock in the header (`Gmt time`, `Time (EET)`) or in every stamp (`Local time`, `… GMT+0200`); the
day comes first in its dates.
"""

import dataclasses
import re

from markets.readers.layout import Head, Layout, by_name, unnamed

__all__ = ["recognise"]

_HISTDATA = re.compile(r"\d{8} \d{6}")
_HISTDATA_CLOCK = "HistData stamps are Eastern Standard Time without daylight saving (timezone=Etc/GMT+5)"

_DUKASCOPY = {
    "gmt_time": "",
    "local_time": "",
    "time_utc": "",
    "time_gmt": "",
    "time_eet": "these Dukascopy stamps are Eastern European Time (timezone=EET)",
}
"""First columns of its files, with what is known of their clock where it is not UTC or written in the stamps."""


def recognise(head: Head) -> Layout | None:
    """The layout of a HistData or Dukascopy table, or None."""
    if head.names[:1] and head.names[0] in _DUKASCOPY:
        layout = by_name(head, "Dukascopy")
        return None if layout is None else dataclasses.replace(layout, clock=_DUKASCOPY[head.names[0]])
    if not head.names and head.cells and _HISTDATA.fullmatch(head.cells[0]) and len(head.cells) in (5, 6):
        columns = ("timestamp", "open", "high", "low", "close", "volume")[: len(head.cells)]
        return unnamed("HistData", columns, clock=_HISTDATA_CLOCK)
    return None

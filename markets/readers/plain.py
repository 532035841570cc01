"""Our own tables, Yahoo's, and tables without header whose first cell is a stamp.

`timestamp, open, high, low, close[, volume, spread, adj_factor, symbol]`, or bid prices beside `ask_open …`; with
`Adj Close` the factor of adjustment is Adj Close / Close.
"""

import re

from markets.readers.layout import Head, Layout, by_name, unnamed

__all__ = ["recognise"]

_STAMP = re.compile(r"\d{9,19}|\d{8}|\d{4}[-./]\d{1,2}[-./]\d{1,2}([ T].*)?|\d{1,2}[-./]\d{1,2}[-./]\d{4}([ T].*)?")
_UNNAMED = ("timestamp", "open", "high", "low", "close", "volume", "trades")


def recognise(head: Head) -> Layout | None:
    """The layout of any table with the usual names or, without names, the usual order; None otherwise."""
    if head.names:
        named = set(head.names)
        if "ask_open" in named:
            form = "bid and ask bars"
        elif named & {"adj_close", "adjclose"}:
            form = "Yahoo" if "symbol" not in named else "bars with adjusted close"
        else:
            form = "bars"
        return by_name(head, form)
    if 5 <= len(head.cells) <= len(_UNNAMED) and _STAMP.fullmatch(head.cells[0]):
        return unnamed("bars without header", _UNNAMED[: len(head.cells)])
    return None

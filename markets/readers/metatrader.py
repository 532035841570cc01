"""MetaTrader 4 and 5: files of History Center and of Symbols > Bars, and frames of the Python package.

Stamps are the broker's server clock, often Athens time so that a trading day ends at 17:00 New York. Prices are bid
prices; the spread, where written, is in points. Of two volumes the traded one counts where the venue reports it (an
exchange), else the number of ticks.
"""

import dataclasses
import re

from markets.readers.layout import Head, Layout, by_name, unnamed

__all__ = ["recognise"]

_CLOCK = "MetaTrader stamps are the broker's clock, which the file does not name (often Europe/Athens)"
_DATE = re.compile(r"\d{4}\.\d{2}\.\d{2}")
_TIME = re.compile(r"\d{1,2}:\d{2}(:\d{2})?")
_PRICES = ("open", "high", "low", "close")
_MT5 = ("tick_volume", "volume", "spread")
_UNNAMED = {
    ("date", "time", *_PRICES): "MetaTrader 4",
    ("date", "time", *_PRICES, "volume"): "MetaTrader 4",
    ("date", "time", *_PRICES, *_MT5): "MetaTrader 5 without header",
    ("date", *_PRICES, *_MT5): "MetaTrader 5 without header",
}


def recognise(head: Head) -> Layout | None:
    """The layout of a MetaTrader table, or None."""
    names = set(head.names)
    if "tickvol" in names or {"tick_volume", "real_volume"} <= names:
        layout = by_name(head, "MetaTrader 5")
        if layout is None:
            return None
        traded = [head.names.index(name) for name in ("vol", "real_volume") if name in names]
        ticks = [head.names.index(name) for name in ("tickvol", "tick_volume") if name in names]
        return dataclasses.replace(layout, volumes=(*traded, *ticks), clock=_CLOCK, points=True)
    if not names and head.cells and _DATE.fullmatch(head.cells[0]):
        timed = len(head.cells) > 1 and _TIME.fullmatch(head.cells[1]) is not None
        for columns, form in _UNNAMED.items():
            if len(columns) == len(head.cells) and timed == ("time" in columns):
                return unnamed(form, columns, clock=_CLOCK, points=True)
    return None

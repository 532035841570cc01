"""Binance klines and CryptoDataDownload.

Both count time from 1970 in UTC, in seconds, milliseconds or microseconds, sometimes changing within one file; the
magnitude of each stamp tells which.
"""

import dataclasses
import re

from markets.readers.layout import Head, Layout, by_name, unnamed

__all__ = ["recognise"]

_EPOCH = re.compile(r"\d{10,19}")
_KLINES = (
    *("open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "trades"),
    *("taker_buy_volume", "taker_buy_quote_volume", "ignore"),
)


def recognise(head: Head) -> Layout | None:
    """The layout of a Binance or CryptoDataDownload table, or None."""
    if not head.names:
        if len(head.cells) == len(_KLINES) and _EPOCH.fullmatch(head.cells[0]) and _EPOCH.fullmatch(head.cells[6]):
            return unnamed("Binance klines", _KLINES, utc=True)
        return None
    if {"open_time", "close_time"} <= set(head.names):
        return by_name(head, "Binance klines")
    if "symbol" not in head.names or not {"unix", "unix_timestamp", "date"} & set(head.names):
        return None
    volumes = [place for place, name in enumerate(head.names) if name.startswith("volume_")]
    layout = by_name(head, "CryptoDataDownload")
    if layout is None or not (volumes or layout.clock or layout.utc):
        return None
    if not layout.volumes:
        # Volume is written once in the coin and once in money; the coin is the one the symbol begins with.
        symbol = head.cells[layout.roles["symbol"]].lower() if layout.roles["symbol"] < len(head.cells) else ""
        coin = [place for place in volumes if symbol.startswith(head.names[place].removeprefix("volume_"))]
        layout = dataclasses.replace(layout, volumes=tuple((coin or volumes)[:1]))
    return dataclasses.replace(layout, utc=True)

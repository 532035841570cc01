"""The symbol of a file that does not write one: from its name, as the vendors form it."""

import re
from pathlib import Path

__all__ = ["symbol_of_path"]

_PACKING = re.compile(r"(\.(gz|zip|csv|txt|prn|parquet|pq|hst))+$", re.IGNORECASE)
_VENDOR = re.compile(r"^DAT_(ASCII|MT|NT|XLSX|MS)_")
_BAR = re.compile(
    r"[_\- ,.](M\d{1,2}|H\d{1,2}|D1|W1|MN1?|\d{1,3}(s|m|min|h|d|w|mo)|d|daily|hourly|minute|hour|candlestick)"
    r"(?=[_\- ,.(]|$).*$",
    re.IGNORECASE,
)
_MINUTES = re.compile(r"^([A-Za-z][A-Za-z0-9.#]*?[A-Za-z])(1|5|15|30|60|240|1440|10080|43200)$")


def symbol_of_path(path: Path, form: str) -> str:
    """The symbol a file's name begins with: `EURUSD_H1_2012.csv` and `DAT_ASCII_EURUSD_M1_2012.csv` are EURUSD.

    A name without a bar length in it is the symbol as a whole. MetaTrader 4 writes the bar length in minutes after the
    symbol (`EURUSD60.csv`). What cannot be printed becomes `_`.
    """
    name = _VENDOR.sub("", _PACKING.sub("", path.name))
    short = _BAR.sub("", name)
    if form == "MetaTrader 4":
        short = _MINUTES.sub(r"\1", short)
    found = short or name or path.name
    return "".join(sign if sign.isprintable() else "_" for sign in found)

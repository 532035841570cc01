"""The S&P 500 index, daily from 1999 to 2018: a real market that comes with an installed package.

The bars are the example data of the `arch` package, found without importing it. One price, no spread; volume is that of
the constituents. Its Adj Close is its Close.
"""

import dataclasses
import importlib.util
from pathlib import Path

from markets.bars import Bars
from markets.errors import UserError
from markets.readers import ReadSettings, read_bars

__all__ = ["sp500_bars"]

_FILE = Path("data", "sp500", "sp500.csv.gz")


def sp500_bars(settings: ReadSettings | None = None) -> Bars:
    """Daily bars of the S&P 500 index, stamped with the session's date at 00:00 UTC [5031 bars].

    Args:
        settings: further choices (a symbol, columns); the order of the dates is known and set here.

    Raises:
        UserError: the package `arch` or its data is not installed.
    """
    found = importlib.util.find_spec("arch")
    folders = [] if found is None or found.submodule_search_locations is None else found.submodule_search_locations
    files = [Path(folder) / _FILE for folder in folders if (Path(folder) / _FILE).is_file()]
    if not files:
        raise UserError("market=sp500: the package arch, which brings these bars, is not installed; pip install arch")
    settings = ReadSettings(symbol="SP500") if settings is None else settings
    settings = dataclasses.replace(settings, day_first=False, symbol=settings.symbol or "SP500")
    return read_bars(files[0], settings)[0]

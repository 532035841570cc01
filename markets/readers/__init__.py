"""Readers: files of bars, in the forms in which the world writes them, to `Bars`.

>>> from markets.readers import ReadSettings, read_bars
>>> bars = read_bars("EURUSD_H1.csv", ReadSettings(timezone="Europe/Athens"))  # doctest: +SKIP
"""

from markets.readers.read import Reading, examine, read_bars, read_frame
from markets.readers.settings import ReadSettings

__all__ = ["ReadSettings", "Reading", "examine", "read_bars", "read_frame"]

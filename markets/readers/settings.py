"""How a file of bars is to be understood: the choices only its user can make.

Configuration fills this class under the key `market`; the same keys are the options of `arena data check`.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Literal

import polars as pl

from markets.settings import setting

__all__ = ["ReadSettings"]


@dataclasses.dataclass(frozen=True)
class ReadSettings:
    """What a file does not say about itself.

    Attributes:
        timezone: clock of stamps that carry no zone (`Europe/Athens`, `Etc/GMT+5`); None is UTC.
        timestamps: whether a stamp marks the `open` or the `close` of its bar.
        repair: `error` refuses a file with bad rows, `drop` drops them, sorts, and keeps the first of duplicates.
        symbol: name of the instrument where the file has none; in a table of many, the one to keep.
        point: price of one point, for spreads written in points; None infers it from the decimals of the prices.
        prices: what open, high, low, close are where a spread stands beside them: `mid` or `bid`.
        day_first: order of `01/02/2012`, where the file itself does not settle it.
        columns: further columns of the file to carry along, each with the bars it is late: the value of row t becomes
            visible at row t + lag.
    """

    timezone: str | None = setting(None)
    timestamps: Literal["open", "close"] = setting("open")
    repair: Literal["error", "drop"] = setting("error")
    symbol: str | None = setting(None)
    point: float | None = setting(None, gt=0)
    prices: Literal["mid", "bid"] = setting("mid")
    day_first: bool | None = setting(None)
    columns: Mapping[str, int] = setting(factory=dict)

    def problems(self, where: str = "") -> Iterator[str]:
        """One line for each key whose value cannot be used; `where` is the group's dotted key."""
        prefix = f"{where}." if where else ""
        if self.timezone is not None:
            try:  # polars moves the stamps, and knows fewer names than the system may
                if not self.timezone:
                    raise ValueError
                pl.Series([], dtype=pl.Datetime("us")).dt.replace_time_zone(self.timezone)
            except (ValueError, pl.exceptions.PolarsError):
                yield f"{prefix}timezone: {self.timezone!r} is not a time zone; right is a name such as Europe/Athens"
        if self.symbol is not None and not (self.symbol.strip() and self.symbol.isprintable()):
            yield f"{prefix}symbol: {self.symbol!r} is not a name; right is text that can be printed"
        for name, lag in self.columns.items():
            if isinstance(lag, bool) or not isinstance(lag, int) or lag < 0:
                yield f"{prefix}columns.{name}: {lag!r} must be a whole number of bars, at least 0"

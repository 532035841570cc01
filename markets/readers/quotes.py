"""Both sides of every bar, from the prices, spread and factor of adjustment a file writes.

Row checks see the numbers as they are written; quotes are what the bars are made of.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from markets.bars import Bars
from markets.readers.layout import ASK, PRICES
from markets.readers.rows import mend_ranges
from markets.readers.settings import ReadSettings
from markets.readers.table import Table

__all__ = ["Quotes", "written_numbers"]

_DIGITS = 300
"""Decimals of a price beyond which a point is as good as nothing, and float64 has no power of ten."""


def written_numbers(table: Table, source: str, settings: ReadSettings) -> dict[str, NDArray[np.float64]]:
    """Prices, volume, spread in price and factor of adjustment, as the file writes them, by name [rows]."""
    roles = table.layout.roles
    sides = (*PRICES, *ASK) if ASK[0] in roles else PRICES
    numbers = {name: table.numbers(roles[name], source) for name in sides}
    if "spread" in roles and ASK[0] not in roles:
        numbers["spread"] = table.numbers(roles["spread"], source)
        if table.layout.points:
            point = settings.point
            digits = table.decimals([roles[name] for name in PRICES])
            with np.errstate(over="ignore"):  # what is not finite is found row by row
                spread = numbers["spread"]
                numbers["spread"] = spread / 10.0 ** min(digits, _DIGITS) if point is None else spread * point
    for position in table.layout.volumes:
        volume = table.numbers(position, source)
        if np.any(volume > 0):
            numbers["volume"] = volume
            break
        if not np.isnan(volume).all() or table.unreadable(position).any():
            numbers.setdefault("volume", volume)
    if "adj_factor" in roles:
        numbers["adj_factor"] = table.numbers(roles["adj_factor"], source)
    elif "adj_close" in roles:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            numbers["adj_factor"] = table.numbers(roles["adj_close"], source) / numbers["close"]
    return numbers


@dataclasses.dataclass(frozen=True, slots=True)
class Quotes:
    """Both sides [rows, 4] and volume [rows] of every row of a file, adjusted."""

    bid: NDArray[np.float64]
    ask: NDArray[np.float64]
    volume: NDArray[np.float64]

    @classmethod
    def of(cls, numbers: Mapping[str, NDArray[np.float64]], settings: ReadSettings) -> "Quotes":
        """Quotes of the numbers `written_numbers` found; rows at fault give whatever they give."""
        bid = mend_ranges(np.column_stack([numbers[name] for name in PRICES]))
        ask = bid
        if ASK[0] in numbers:
            ask = mend_ranges(np.column_stack([numbers[name] for name in ASK]))
        elif "spread" in numbers:
            spread = numbers["spread"][:, None]
            with np.errstate(invalid="ignore", over="ignore"):
                below = 0.5 * spread if settings.prices == "mid" else 0.0 * spread
                bid, ask = bid - below, bid + (spread - below)
        volume = numbers.get("volume", np.zeros(len(bid)))
        if "adj_factor" in numbers:
            factor = numbers["adj_factor"]
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                bid, ask, volume = bid * factor[:, None], ask * factor[:, None], volume / factor
        return cls(bid, ask, volume)

    @property
    def finite(self) -> NDArray[np.bool_]:
        """Rows of numbers that float64 can hold [rows]."""
        sides: NDArray[np.bool_] = np.isfinite(self.bid) & np.isfinite(self.ask)
        finite: NDArray[np.bool_] = np.isfinite(self.volume) & np.logical_and.reduce(sides, axis=1)
        return finite

    def bars(
        self,
        symbol: str,
        opens: NDArray[np.datetime64],
        rows: NDArray[np.intp],
        columns: Mapping[str, NDArray[np.float64]],
    ) -> Bars:
        """The bars of some rows, oldest first, opening at `opens`."""
        return Bars(symbol, opens, self.bid[rows], self.ask[rows], self.volume[rows], dict(columns))

"""Bars: the quotes of one symbol, one row a bar, as NumPy arrays.

The one form in which market data travels between readers, features, regimes, splits and the tape. A bar's stamp is its
OPEN, in UTC. Quotes have two sides; where a source brings only one price, both sides are that price until a spread is
put between them.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["CLOSE", "HIGH", "LOW", "OPEN", "Bars"]

OPEN, HIGH, LOW, CLOSE = range(4)
"""Columns of `Bars.bid`, `Bars.ask` and `Bars.mid`."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Bars of one symbol, oldest first, stamps strictly increasing.

    Attributes:
        symbol: name of the instrument.
        time: open of each bar, UTC, `datetime64[us]` [bars].
        bid: open, high, low, close on the bid side, float64 [bars, 4], in price.
        ask: the same on the ask side, float64 [bars, 4].
        volume: units traded in the bar, float64 [bars]; all zero in a market without volume.
        columns: the user's own columns by name, float64 [bars] each, NaN where absent.
    """

    symbol: str
    time: NDArray[np.datetime64]
    bid: NDArray[np.float64]
    ask: NDArray[np.float64]
    volume: NDArray[np.float64]
    columns: Mapping[str, NDArray[np.float64]] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.time)

    def __getitem__(self, rows: slice) -> "Bars":
        """The bars of a slice of rows, as views."""
        return Bars(
            self.symbol,
            self.time[rows],
            self.bid[rows],
            self.ask[rows],
            self.volume[rows],
            {name: column[rows] for name, column in self.columns.items()},
        )

    @property
    def mid(self) -> NDArray[np.float64]:
        """Open, high, low, close half way between the sides, float64 [bars, 4]."""
        return 0.5 * (self.bid + self.ask)

    @property
    def has_volume(self) -> bool:
        """Whether any bar brings volume; a market without any has no participation cap."""
        return bool(np.any(self.volume > 0))

    @classmethod
    def from_mid(
        cls,
        symbol: str,
        time: NDArray[np.datetime64],
        mid: NDArray[np.float64],
        spread: NDArray[np.float64] | float = 0.0,
        volume: NDArray[np.float64] | None = None,
        columns: Mapping[str, NDArray[np.float64]] | None = None,
    ) -> "Bars":
        """Bars from mid prices [bars, 4] and a full spread in price (a number, [bars] or [bars, 4])."""
        mid = np.asarray(mid, np.float64)
        half = 0.5 * np.asarray(spread, np.float64)
        if half.ndim == 1:
            half = half[:, None]
        if volume is None:
            volume = np.zeros(len(mid))
        stamps = np.asarray(time, "datetime64[us]")
        return cls(symbol, stamps, mid - half, mid + half, np.asarray(volume, np.float64), dict(columns or {}))

    def with_spread(self, spread: float | None = None, spread_rate: float | None = None) -> "Bars":
        """The same mid prices with another spread: `spread` in price, `spread_rate` as a fraction of price.

        With neither, the bars keep their own. Both given add up.
        """
        if spread is None and spread_rate is None:
            return self
        mid = self.mid
        full = (spread or 0.0) + (spread_rate or 0.0) * mid
        return Bars.from_mid(self.symbol, self.time, mid, full, self.volume, self.columns)

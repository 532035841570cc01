"""Features of the newest bar by computing those of the whole window anew."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from markets.bars import CLOSE, Bars
from markets.features import Feature, compute_features, relative_atr, relative_atr_window, warmup
from markets.regimes import UNKNOWN, RegimeSettings, classify

__all__ = ["FeatureStream"]


class FeatureStream:
    """See `markets.features.stream`."""

    def __init__(self, features: Sequence[Feature], regimes: RegimeSettings) -> None:
        self._features, self._regimes = features, regimes
        self.window = max(warmup(features), regimes.window, relative_atr_window())
        self._bars: Bars | None = None
        self.features = np.full(len(features), np.nan)
        self.regime, self.relative_atr = UNKNOWN, np.nan

    @property
    def bars(self) -> int:
        """Bars known."""
        return 0 if self._bars is None else len(self._bars)

    def extend(self, bars: Bars) -> None:
        """Take many bars."""
        if self._bars is not None:
            old = self._bars
            columns = {name: np.concatenate([old.columns[name], bars.columns[name]]) for name in old.columns}
            time, bid, ask, volume = (
                np.concatenate([getattr(old, key), getattr(bars, key)]) for key in ("time", "bid", "ask", "volume")
            )
            bars = Bars(bars.symbol, time, bid, ask, volume, columns)
        self._bars = bars = bars[-self.window :]
        self.features = compute_features(self._features, bars)[-1]
        self.regime = int(classify(bars.mid[:, CLOSE], self._regimes)[-1])
        self.relative_atr = float(relative_atr(bars)[-1])

    push = extend

    def recent(self) -> Bars:
        """The window."""
        if self._bars is None:
            none: NDArray[np.float64] = np.zeros((0, 4))
            return Bars("", np.zeros(0, "datetime64[us]"), none, none, np.zeros(0))
        return self._bars

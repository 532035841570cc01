"""How scars and reputation scale exposure, in float32 (`agents.memory` and `arena.rollout`, which this mirrors)."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["Caution", "Trust"]

_ZERO, _ONE = np.float32(0.0), np.float32(1.0)


class Caution:
    """Scar memory: the factor on exposure where the market looks as it did when a drawdown began.

    1 − strength · exp(−d² / 2h²) of the nearest remembered moment, d the root mean square difference of features.
    """

    def __init__(
        self, features: NDArray[np.float32], weight: NDArray[np.float32], reach: float, strength: float
    ) -> None:
        """Take a memory.

        Args:
            features: at the remembered moments [moments, features].
            weight: severity of each [moments]; 0 marks an empty place.
            reach: h, in standard deviations a feature.
            strength: largest share by which exposure is scaled down.
        """
        kept = features[weight > 0]
        self._twice, self._square, self._any = 2.0 * kept, np.sum(kept**2, -1), len(kept) > 0
        self._width, self._strength = np.float32(features.shape[-1]), np.float32(strength)
        self._spread = np.float32(2.0 * reach**2)

    def factor(self, features: NDArray[np.float32]) -> np.float32:
        """In [1 − strength, 1], for the features of one bar [features]."""
        if not self._any:
            return _ONE
        # |f − m|² = |f|² − 2 f·m + |m|²; what is nearest is the likest.
        apart = features.dot(features) - self._twice.dot(features)
        apart += self._square
        square = max(apart.min() / self._width, _ZERO)
        factor: np.float32 = _ONE - self._strength * np.exp(-square / self._spread)
        return factor


class Trust:
    """Reputation by regime: the factor on exposure, floor + (1 − floor) · trust."""

    def __init__(self, trust: NDArray[np.float32], floor: float) -> None:
        self._factor = np.float32(floor) + np.float32(1.0 - floor) * trust

    def factor(self, regime: int) -> np.float32:
        """In the regime of that place."""
        factor: np.float32 = self._factor[regime]
        return factor

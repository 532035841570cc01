"""How scars and reputation scale exposure, in float32 (`agents.memory` and `arena.rollout`, which this mirrors)."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["Caution", "Trust"]


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
        self._features, self._square = features, np.sum(features**2, -1)
        self._places, self._any = weight > 0, bool((weight > 0).any())
        self._width, self._strength = np.float32(features.shape[-1]), np.float32(strength)
        self._spread = np.float32(2.0 * reach**2)

    def factor(self, features: NDArray[np.float32]) -> np.float32:
        """In [1 − strength, 1], for the features of one bar [features]."""
        if not self._any:
            return np.float32(1.0)
        square = (np.sum(features**2) - np.float32(2.0) * (self._features @ features) + self._square) / self._width
        near = np.where(self._places, np.exp(-np.maximum(square, np.float32(0.0)) / self._spread), np.float32(0.0))
        factor: np.float32 = np.float32(1.0) - self._strength * near.max()
        return factor


class Trust:
    """Reputation by regime: the factor on exposure, floor + (1 − floor) · trust."""

    def __init__(self, trust: NDArray[np.float32], floor: float) -> None:
        self._factor = np.float32(floor) + np.float32(1.0 - floor) * trust

    def factor(self, regime: int) -> np.float32:
        """In the regime of that place."""
        factor: np.float32 = self._factor[regime]
        return factor

"""Fewer points than generations, where there are too many to draw: each then stands for several generations."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["POINTS", "Thinning", "plain"]

POINTS = 1_500
"""Points of a curve, at most."""

_OF_ALL, _FEWEST = 6_000, 200  # points of a curve over all replicates, and those of one however many there are


@dataclasses.dataclass(frozen=True)
class Thinning:
    """Points over generations, each for `every` of them but the last, which may stand for fewer.

    Attributes:
        done: generations there are.
        points: drawn at most.
    """

    done: int
    points: int = POINTS

    @classmethod
    def of(cls, done: int, replicates: int) -> "Thinning":
        """For curves of each replicate: with more than four the points become fewer, so that the page stays small."""
        return cls(done, min(POINTS, max(_FEWEST, _OF_ALL // replicates)))

    @property
    def every(self) -> int:
        """Generations a point stands for."""
        return max(1, -(-self.done // self.points))

    @property
    def generations(self) -> NDArray[np.int64]:
        """[points] the first generation of each point."""
        return np.arange(0, self.done, self.every)

    def mean(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """[points] the mean of what is known of each point's generations; NaN where nothing is.

        Args:
            values: [generations], NaN for what is not known.
        """
        known = np.isfinite(values)
        count = np.add.reduceat(known.astype(np.float64), self.generations) if self.done else np.zeros(0)
        total = np.add.reduceat(np.where(known, values, 0.0), self.generations) if self.done else np.zeros(0)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def plain(values: NDArray[Any], digits: int = 3) -> list[Any]:
    """Numbers for JSON: rounded, null for NaN, whole ones without a point; nested as the array is."""
    if values.dtype.kind in "iu":
        whole: list[Any] = values.tolist()
        return whole
    if values.ndim > 1:
        return [plain(row, digits) for row in values]
    rounded = np.round(values.astype(np.float64), digits)
    return [
        None if not np.isfinite(value) else int(value) if value == int(value) else value for value in rounded.tolist()
    ]

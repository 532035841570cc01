"""Scaling of features with constants fitted on training rows only.

A scaler is fitted once, on the rows it is given, and then is a pure elementwise function: a window gets the same bits
as the whole history. It is also the one place where features become float32, as the tape and a brain hold them.
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from markets.errors import UserError
from markets.settings import check, setting

__all__ = ["Scaler", "ScalingSettings", "fit_scaler"]

_NORMAL_QUARTILES = 1.3489795003921634
"""Distance of the quartiles of a normal distribution, in standard deviations."""

_CONSTANT = 1e-12
"""A column whose scale is at most this share of its largest value is constant."""


@dataclasses.dataclass(frozen=True)
class ScalingSettings:
    """How features are scaled (`scaling`).

    Attributes:
        method: `standard` centres on the mean and divides by the standard deviation (ddof 0); `robust` centres on the
            median and divides by the distance of the quartiles / 1.349, or by the standard deviation where the
            quartiles are equal; `none` only clips.
        clip: largest absolute value after scaling.
    """

    method: Literal["standard", "robust", "none"] = setting("standard")
    clip: float = setting(5.0, gt=0.0)


@dataclasses.dataclass(frozen=True, eq=False)
class Scaler:
    """Constants of a fitted scaler.

    Attributes:
        names: name of each feature, in the order of the columns.
        centre: subtracted, float64 [features].
        scale: divided by, > 0, float64 [features].
        clip: largest absolute value of the result.
    """

    names: tuple[str, ...]
    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    clip: float

    def apply(self, matrix: NDArray[np.floating]) -> NDArray[np.float32]:
        """Scale, clip and round to float32.

        Args:
            matrix: features [..., features] as `compute_features` gives them.

        Returns:
            float32 of the same shape in [−clip, clip]. A missing value becomes 0, the centre: a user's column may have
            holes, while rows without the market's own features are never traded.

        Raises:
            ValueError: another number of columns than was fitted.
        """
        if matrix.shape[-1] != len(self.names):
            raise ValueError(f"expected {len(self.names)} columns, got {matrix.shape[-1]}")
        scaled = (matrix.astype(np.float64) - self.centre) / self.scale
        clipped = np.clip(np.where(np.isnan(scaled), 0.0, scaled), -self.clip, self.clip)
        return clipped.astype(np.float32)


def fit_scaler(
    matrix: NDArray[np.floating],
    rows: NDArray[np.bool_],
    *,
    names: Sequence[str],
    scaled: Sequence[bool] | None = None,
    settings: ScalingSettings | None = None,
) -> Scaler:
    """Fit centre and scale of every column.

    Args:
        matrix: features of all symbols, one after another [rows, features].
        rows: which rows are training rows [rows]; no other is read.
        names: name of each column.
        scaled: whether each column is scaled; the others (`Feature.scaled` false: sine, cosine and flags) pass with
            centre 0 and scale 1. None scales all.
        settings: method and clip.

    Returns:
        The scaler. Missing and infinite values are passed over; a constant column has scale 1.

    Raises:
        UserError: settings out of bounds, or a scaled column without a single value in the training rows.
    """
    settings = ScalingSettings() if settings is None else settings
    check(settings, "scaling")
    if matrix.shape != (len(rows), len(names)):
        raise ValueError(f"matrix is {matrix.shape}, expected ({len(rows)}, {len(names)})")
    centre, scale = np.zeros(len(names)), np.ones(len(names))
    for index, name in enumerate(names):
        if scaled is not None and not scaled[index]:
            continue
        column = np.ascontiguousarray(matrix[rows, index], np.float64)
        column = column[np.isfinite(column)]
        if not len(column):
            raise UserError(f"market.columns: {name!r} has no value in the training rows; leave it out or add history")
        if settings.method != "none":
            centre[index], scale[index] = _centre_and_scale(column, settings.method)
    return Scaler(tuple(names), centre, scale, settings.clip)


def _centre_and_scale(column: NDArray[np.float64], method: str) -> tuple[float, float]:
    least = _CONSTANT * float(np.abs(column).max())
    centre, scale = float(column.mean()), float(column.std())
    if method == "robust":
        low, centre, high = (float(value) for value in np.quantile(column, (0.25, 0.5, 0.75)))
        spread = (high - low) / _NORMAL_QUARTILES
        scale = spread if spread > least else scale
    return centre, scale if scale > least else 1.0

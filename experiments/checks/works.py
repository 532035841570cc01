"""What is checked for looking ahead, as arguments so that a leak can be planted, and what is said of it."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arena.api import make_market
from arena.journey import witness
from experiments.founders.labels import Labels, label_market
from markets.features import Feature, compute_features
from markets.preparation import Market
from markets.regimes import classify, volatility_rank
from markets.scaling import Scaler, fit_scaler
from markets.splits import Split, split_rows

__all__ = ["Checked", "Finding", "Works", "first_difference", "stamp_text"]


@dataclasses.dataclass(frozen=True)
class Works:
    """The functions that a run's numbers come from; those of this program by default.

    Attributes:
        features: `markets.features.compute_features`.
        regimes: `markets.regimes.classify`.
        ranks: `markets.regimes.volatility_rank`.
        scaler: `markets.scaling.fit_scaler`.
        split: `markets.splits.split_rows`.
        labels: `experiments.founders.labels.label_market`.
        market: `arena.api.make_market`.
        decisions: `arena.journey.witness`.
    """

    features: Callable[[Sequence[Feature], Any], NDArray[np.float64]] = compute_features
    regimes: Callable[..., NDArray[np.int8]] = classify
    ranks: Callable[..., NDArray[np.float64]] = volatility_rank
    scaler: Callable[..., Scaler] = fit_scaler
    split: Callable[..., Split] = split_rows
    labels: Callable[..., Labels] = label_market
    market: Callable[..., Market] = make_market
    decisions: Callable[..., Any] = witness


class Finding(NamedTuple):
    """Something that looks ahead."""

    kind: str
    """What it is, such as `feature rsi_14`."""
    symbol: str
    """Whose; empty where it is of all."""
    row: int | None
    """First row of the symbol's bars where it shows; None where it is of no row."""
    time: np.datetime64 | None
    """Open of that bar, UTC."""
    how: str
    """What differs, and when, in words."""


class Checked(NamedTuple):
    """One check, and what it found."""

    what: str
    compared: str
    """How much was compared; why not, where nothing was."""
    findings: tuple[Finding, ...] = ()
    done: bool = True
    """Whether there was anything to compare."""


def stamp_text(stamp: np.datetime64) -> str:
    """A stamp as people read it, to the minute."""
    return str(np.datetime_as_string(stamp, "m")).replace("T", " ")


def first_difference(one: NDArray[Any], other: NDArray[Any]) -> int | None:
    """The first place along the leading axis where two arrays differ in any bit; None where they are equal.

    Any NaN equals any other; of arrays of different lengths the first place that one lacks differs.
    """
    length = min(len(one), len(other))
    left, right = one[:length], other[:length]
    if left.shape != right.shape or left.dtype != right.dtype:
        return 0
    if left.dtype.kind == "f":
        whole = f"u{left.dtype.itemsize}"
        equal = np.ascontiguousarray(left).view(whole) == np.ascontiguousarray(right).view(whole)
        equal |= np.isnan(left) & np.isnan(right)
    else:
        equal = left == right
    differs = np.flatnonzero(~equal.reshape(length, -1).all(axis=1)) if length else np.zeros(0, int)
    if len(differs):
        return int(differs[0])
    return None if len(one) == len(other) else length

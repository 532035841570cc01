"""Windows that episodes are played on: where they may begin, which of them are kept, and how they are grouped."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from markets.regimes import REGIMES
from markets.tape import Strata

__all__ = ["UNKNOWN", "WindowSettings", "apart", "spaced", "strata_of", "window_starts"]

UNKNOWN = REGIMES.index("unknown")
"""Index of the regime of rows that no window holds."""


@dataclasses.dataclass(frozen=True)
class WindowSettings:
    """What windows are wanted.

    Attributes:
        bars: decisions a window.
        validation: most validation windows, and most reference windows of the training part.
        stratum: fewest training windows a regime needs to be drawn from on its own.
        context: bars of history a brain wants before a window.
    """

    bars: int
    validation: int
    stratum: int
    context: int = 0


def window_starts(rows: range, regime: NDArray[np.int32], windows: WindowSettings) -> NDArray[np.int32]:
    """First rows of the windows that lie wholly in a part, with a known regime throughout."""
    candidates = np.arange(rows.start + windows.context, rows.stop - windows.bars, dtype=np.int32)
    unknown = np.concatenate([[0], np.cumsum(regime == UNKNOWN)])
    return np.asarray(candidates[unknown[candidates + windows.bars] == unknown[candidates]])


def apart(starts: NDArray[np.int32], bars: int) -> NDArray[np.int32]:
    """As many of these windows as do not overlap, from the first on."""
    kept, free = [], -1
    for start in starts:
        if start >= free:
            kept.append(start)
            free = start + bars + 1
    return np.asarray(kept, np.int32)


def spaced(starts: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    """At most `count` of them, evenly spaced."""
    if len(starts) <= count:
        return starts
    return np.asarray(starts[np.linspace(0, len(starts) - 1, count).round().astype(int)])


def strata_of(starts: NDArray[np.int32], regime: NDArray[np.int32], least: int) -> Strata:
    """Windows by the regime they begin in; where no regime has enough, all windows are one stratum."""
    groups = [starts[regime[starts] == index] for index in range(UNKNOWN)]
    groups = [group for group in groups if len(group) >= least] or [starts]
    counts = np.asarray([len(group) for group in groups], np.int32)
    offsets = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int32)
    return Strata(jnp.asarray(np.concatenate(groups)), jnp.asarray(offsets[None]), jnp.asarray(counts[None]))

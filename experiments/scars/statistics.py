"""Interquartile means of paired differences over seeds, their bootstrap intervals, and the criteria decided by them.

The interquartile mean (Agarwal et al. 2021) leaves out the lowest and the highest quarter of the seeds. Seeds are
resampled jointly: one draw of seeds serves all arms, worlds and measures.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from experiments.scars.plan import ARMS, WORLDS, Arm

__all__ = ["AGAINST", "EQUIVALENT", "Comparison", "Estimate", "Verdict", "compare", "decide", "interquartile_mean"]

AGAINST = (Arm.SHAM, Arm.PERMUTED, Arm.NONE)
"""Arms that scars have to beat."""

EQUIVALENT = 0.05
"""Largest difference in R that counts as none."""

CALM = 0.9
"""Least share of the calm return of doing nothing."""

DRAWS = 10_000
_TAILS = (2.5, 97.5)


class Estimate(NamedTuple):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float

    def below(self, bound: float) -> bool:
        """Whether all of the interval is."""
        return self.high < bound

    def above(self, bound: float) -> bool:
        """Whether all of the interval is."""
        return self.low > bound

    def within(self, bound: float) -> bool:
        """Whether all of the interval lies nearer to 0."""
        return -bound < self.low and self.high < bound


class Comparison(NamedTuple):
    """One arm in one world: interquartile means over seeds, and against other arms."""

    ruined: Estimate
    selectivity: Estimate
    calm: Estimate
    over: Mapping[str, Estimate]
    """R less that of each arm of `AGAINST`, by name, paired by seed."""
    selectivity_over_none: Estimate
    calm_share: Estimate
    """Of the interquartile mean of doing nothing."""


class Verdict(NamedTuple):
    """The criteria, one by one, and what they come to."""

    less_ruin: Mapping[str, bool]
    """In P: whether R is lower than in each of `AGAINST`."""
    selective: bool
    """In P: whether selectivity rises over that of doing nothing."""
    calm: bool
    """In P: whether at least 90 % of the calm return of doing nothing is left."""
    nothing_in_n: Mapping[str, bool]
    """In N: whether R is equal to that of each of `AGAINST` within ±0.05."""

    @property
    def scars_help(self) -> bool:
        """All criteria of P together."""
        return all(self.less_ruin.values()) and self.selective and self.calm

    @property
    def nothing(self) -> bool:
        """All of N."""
        return all(self.nothing_in_n.values())


def interquartile_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the middle half along the last axis; as many are left out at each end as fit into a quarter."""
    count = values.shape[-1]
    cut = int(0.25 * count)
    ordered: NDArray[np.float64] = np.sort(values, axis=-1)[..., cut : count - cut].mean(-1)
    return ordered


def compare(table: pl.DataFrame, *, draws: int = DRAWS, seed: int = 0) -> dict[tuple[str, str], Comparison]:
    """Each arm in each world, by (world, arm).

    Args:
        table: of `outcomes`, every arm in every world for the same seeds.
        draws: of the bootstrap.
        seed: of the bootstrap.
    """
    seeds = sorted(table["seed"].unique())
    drawn = np.random.default_rng(seed).integers(0, len(seeds), (draws, len(seeds)))
    made = {}
    for world in WORLDS:
        measures = {
            name: {arm: _column(table, world, arm, name, seeds) for arm in ARMS}
            for name in ("ruined", "selectivity", "calm")
        }
        ruined, selectivity, calm = (measures[name] for name in ("ruined", "selectivity", "calm"))
        none = ARMS[Arm.NONE]
        for arm in ARMS:
            over = {ARMS[other]: _estimate(ruined[arm] - ruined[ARMS[other]], drawn) for other in AGAINST}
            made[world, arm] = Comparison(
                ruined=_estimate(ruined[arm], drawn),
                selectivity=_estimate(selectivity[arm], drawn),
                calm=_estimate(calm[arm], drawn),
                over=over,
                selectivity_over_none=_estimate(selectivity[arm] - selectivity[none], drawn),
                calm_share=_share(calm[arm], calm[none], drawn),
            )
    return made


def decide(compared: Mapping[tuple[str, str], Comparison], arm: str = ARMS[Arm.SCARS]) -> Verdict:
    """The criteria, for scars or in the same words for another arm.

    An interval with an end that is not a number fails whatever is asked of it.
    """
    own, control = compared["P", arm], compared["N", arm]
    return Verdict(
        less_ruin={name: estimate.below(0.0) for name, estimate in own.over.items()},
        selective=own.selectivity_over_none.above(0.0),
        calm=own.calm_share.value >= CALM,
        nothing_in_n={name: estimate.within(EQUIVALENT) for name, estimate in control.over.items()},
    )


def _column(table: pl.DataFrame, world: str, arm: str, name: str, seeds: list[int]) -> NDArray[np.float64]:
    """A measure by seed; NaN where it is null."""
    own = dict(table.filter(world=world, arm=arm).select("seed", name).iter_rows())
    return np.asarray([math.nan if own[seed] is None else own[seed] for seed in seeds], np.float64)


def _estimate(values: NDArray[np.float64], drawn: NDArray[np.intp]) -> Estimate:
    """The interquartile mean over seeds, and the percentile interval of its bootstrap."""
    if np.isnan(values).any():
        return Estimate(math.nan, math.nan, math.nan)
    low, high = np.percentile(interquartile_mean(values[drawn]), _TAILS)
    return Estimate(float(interquartile_mean(values)), float(low), float(high))


def _share(above: NDArray[np.float64], below: NDArray[np.float64], drawn: NDArray[np.intp]) -> Estimate:
    """The ratio of two interquartile means; NaN unless the one below is positive."""
    whole = float(interquartile_mean(below))
    if whole <= 0:
        return Estimate(math.nan, math.nan, math.nan)
    ratios = interquartile_mean(above[drawn]) / np.maximum(interquartile_mean(below[drawn]), 1e-12)
    low, high = np.percentile(ratios, _TAILS)
    return Estimate(float(interquartile_mean(above)) / whole, float(low), float(high))

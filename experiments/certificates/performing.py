"""Performing: a family walks the parts of its ground, and what it did there is put together by day.

Needs no run, no log and no file, so that studies may ask it about any prepared market.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from arena.inference import Decider, Panel
from arena.rollout import Rollout
from experiments.certificates.ground import Ground, Stretch
from experiments.certificates.judging import Evidence
from experiments.certificates.passes import Lane, Pass, passes
from experiments.certificates.series import Record, held_exposure, join, record, spells
from experiments.certificates.shown import Shown, holding_days
from markets.calendars import Calendar

__all__ = ["COSTS", "Cast", "Performance", "evidence_of", "joined", "perform"]

COSTS = (1.0, 2.0, 3.0)
"""Multiples of all costs that the holdout is passed at; the first is judged."""


class Cast(NamedTuple):
    """Who performs, and how."""

    setups: tuple[Rollout, ...]
    panel: Panel
    decider: Decider
    """Leaves [members, …]."""
    acts: NDArray[np.bool_]
    """Regimes each member may act in, [members, regimes]."""


class Performance(NamedTuple):
    """What members did; lists by member."""

    holdout: tuple[Record, ...]
    """By multiple of costs."""
    training: Record | None
    validation: Record | None
    shown: tuple[tuple[Shown, ...], ...]
    """Passes over the holdout, by multiple of costs and member."""
    exposure: NDArray[np.float64]
    """x̄, mean net exposure of each on validation, all instruments together, mean over symbols, [members]."""
    spells: NDArray[np.int64]
    """Separate spells of the regimes each may act in, on the holdout, all symbols together, [members]."""

    @property
    def trades(self) -> NDArray[np.int64]:
        """Closed on the holdout, [members]."""
        return np.asarray([sum(len(each.trades.profit) for each in own.passes) for own in self.shown[0]])


def perform(
    ground: Ground,
    cast: Cast,
    views: Float[Array, "variants rows instruments features"],
    calendar: Calendar,
    *,
    costs: Sequence[float] = COSTS,
    training: bool = True,
) -> Performance:
    """Walk validation, the holdout and, where it is wanted, training, each stretch once from flat.

    Args:
        ground: prepared bars and their parts.
        cast: who walks.
        views: features as members see them; 0 is the tape's own.
        calendar: the venue's.
        costs: multiples of all costs for the holdout, 1 first.
        training: whether the training rows are walked too.
    """
    members, market = len(cast.acts), ground.market
    walks: list[tuple[str, float]] = [("holdout", cost) for cost in costs]
    walks += [("validation", 1.0)] if ground.parts["validation"] else []
    walks += [("train", 1.0)] if training and ground.parts["train"] else []
    lanes = [
        Lane(member, stretch, cost)
        for part, cost in walks
        for stretch in ground.parts[part]
        for member in range(members)
    ]
    walked = iter(passes(cast.setups, cast.panel, cast.decider, market, views, lanes))
    found: dict[tuple[str, float], list[list[Pass]]] = {}
    for part, cost in walks:
        found[part, cost] = [[next(walked) for _ in range(members)] for _ in ground.parts[part]]
    known = found.get(("validation", 1.0), [])
    exposure = held_exposure(known, cast.acts, market, ground.parts["validation"])

    def by_day(part: str, cost: float) -> Record:
        return record(found[part, cost], exposure, cast.acts, market, ground.parts[part], calendar)

    holdout: tuple[Stretch, ...] = ground.parts["holdout"]
    return Performance(
        holdout=tuple(by_day("holdout", cost) for cost in costs),
        training=by_day("train", 1.0) if ("train", 1.0) in found else None,
        validation=by_day("validation", 1.0) if known else None,
        shown=tuple(
            tuple(
                Shown(
                    [(market, own) for own in holdout],
                    [each[member] for each in found["holdout", cost]],
                    [1 / len(holdout)] * len(holdout),
                    [1.0] * len(holdout),
                )
                for member in range(members)
            )
            for cost in costs
        ),
        exposure=_mean(exposure, members),
        spells=np.sum([spells(cast.acts, market, own) for own in holdout], axis=0),
    )


def joined(performances: Sequence[Performance]) -> Performance:
    """Performances on pieces that follow each other in time as one; training and validation are those of the last."""
    if len(performances) == 1:
        return performances[0]
    last = performances[-1]
    by_cost = []
    for cost in range(len(last.holdout)):
        ends = np.stack([own.holdout[cost].equity[-1] for own in performances])
        starts = np.concatenate([np.ones((1, ends.shape[1])), np.cumprod(ends, axis=0)[:-1]])  # [pieces, members]
        by_cost.append(
            tuple(
                Shown(
                    [stretch for own in pieces for stretch in own.stretches],
                    [each for own in pieces for each in own.passes],
                    [weight for own in pieces for weight in own.weight],
                    [float(start) for own, start in zip(pieces, starts[:, member], strict=True) for _ in own.passes],
                )
                for member, pieces in enumerate(zip(*(own.shown[cost] for own in performances), strict=True))
            )
        )
    return Performance(
        holdout=tuple(join(records) for records in zip(*(own.holdout for own in performances), strict=True)),
        training=last.training,
        validation=last.validation,
        shown=tuple(by_cost),
        exposure=np.mean([own.exposure for own in performances], axis=0),
        spells=np.sum([own.spells for own in performances], axis=0),
    )


def evidence_of(performance: Performance, calendar: Calendar) -> Evidence:
    """What is judged of a performance."""
    judged = performance.holdout[0]
    return Evidence(
        returns=judged.returns,
        matched=judged.matched,
        spells=performance.spells.tolist(),
        trades=performance.trades.tolist(),
        holding=[holding_days(own, calendar) for own in performance.shown[0]],
    )


def _mean(exposure: dict[str, NDArray[np.float64]], members: int) -> NDArray[np.float64]:
    if not exposure:
        return np.zeros(members)
    mean: NDArray[np.float64] = np.mean([own.sum(1) for own in exposure.values()], axis=0)
    return mean

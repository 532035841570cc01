"""Scars: what a bad episode leaves behind.

A scar is made when an episode ends in ruin or liquidation, or its drawdown goes beyond a bound. Its two effects have
separate switches: damage re-draws part of the brain that spoke during the drawdown, memory keeps what the market looked
like at its onset. It may also raise ε and lower trust. Nobody is scarred unless asked for: an experiment found no help
in it (docs/scars.md).
"""

import dataclasses
from typing import Literal, NamedTuple

from jaxtyping import Array, Bool, Float, Int32, UInt8, UInt32

from agents.memory import MemorySettings

__all__ = ["ScarSettings", "Scars"]


@dataclasses.dataclass(frozen=True)
class ScarSettings:
    """How scars are made and what they do.

    Attributes:
        enabled: whether any are made.
        drawdown: fraction of the peak beyond which a drawdown scars.
        count: scars an island and species receives a generation, at most; the worst are taken.
        damage: whether the brain is damaged.
        memory: whether and how the moment is remembered.
        explore: whether a scar raises ε.
        distrust: whether a scar counts as a failure in the reputation.
        inherit: what children receive: `none`, `memory` (the remembered moments) or `all` (these and ε as it stands).
    """

    enabled: bool = False
    drawdown: float = dataclasses.field(default=0.1, metadata={"gt": 0.0, "lt": 1.0})
    count: int = dataclasses.field(default=8, metadata={"ge": 1})
    damage: bool = False
    memory: MemorySettings = dataclasses.field(default_factory=MemorySettings)
    explore: bool = True
    distrust: bool = True
    inherit: Literal["none", "memory", "all"] = "memory"


class Scars(NamedTuple):
    """Scars of one generation, island and species; meaningless where `made` is false."""

    made: Bool[Array, "scars"]
    slot: Int32[Array, "scars"]
    id: UInt32[Array, "scars"]
    episode: Int32[Array, "scars"]
    row: Int32[Array, "scars"]
    """Row of the tape at the drawdown's onset."""
    regime: Int32[Array, "scars"]
    """At the onset."""
    cause: UInt8[Array, "scars"]
    """Index into `arena.fitness.CAUSES`."""
    severity: Float[Array, "scars"]
    units: Float[Array, "scars units"]
    """1 for each unit the damage hit."""

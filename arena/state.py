"""All that lives: one pytree, handed from generation to generation. A checkpoint is this and nothing else."""

from typing import NamedTuple

from jaxtyping import Array, Int32, UInt32

from agents.population import Population
from arena.archive import Archive
from arena.reservoir import Reservoir

__all__ = ["ArenaState"]


class ArenaState(NamedTuple):
    """The arena between two generations."""

    generation: Int32[Array, ""]
    """The next to be judged."""
    seed: UInt32[Array, "islands"]
    """Of each island: that of its replicate."""
    next_id: UInt32[Array, ""]
    populations: tuple[Population, ...]
    """By species, in the order of the settings; leaves [islands, slots, …]."""
    archive: Archive
    reservoir: tuple[Reservoir, ...]
    """By species; nothing where no births are kept."""

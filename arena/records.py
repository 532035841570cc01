"""What one generation leaves on record, as device arrays; `arena.frames` turns it into tables."""

from typing import NamedTuple

from jaxtyping import Array, Bool, Float, Int32, UInt8, UInt32

from agents.scars import Scars
from arena.archive import Improvement
from arena.fitness import Stats
from arena.turnover import Births

__all__ = ["GenerationRecord", "SpeciesRecord", "Summary"]


class Summary(NamedTuple):
    """One species on one island, in one generation."""

    best: Float[Array, "*islands"]
    """Highest log return a bar over the generation's windows."""
    median: Float[Array, "*islands"]
    diversity: Float[Array, "*islands"]
    """Mean distance of random pairs of genomes."""
    epsilon: Float[Array, "*islands"]
    trust: Float[Array, "*islands"]
    loss: Float[Array, "*islands"]
    """Mean Huber loss of the generation's updates, over agents; NaN where nobody learns."""
    td_error: Float[Array, "*islands"]
    """Mean absolute temporal difference, in deviations of a bar's return; NaN where nobody learns."""
    births: Int32[Array, "*islands"]
    """Agents judged for the first time."""
    migrants: Int32[Array, "*islands"]


class SpeciesRecord(NamedTuple):
    """One species; leaves [islands, slots, …] unless said."""

    id: UInt32[Array, "islands slots"]
    """Of the agents judged."""
    born: Int32[Array, "islands slots"]
    """Their generation of birth."""
    train: Stats
    """Leaves [islands, slots, groups]."""
    trust: Float[Array, "islands slots regimes"]
    death: UInt8[Array, "islands slots"]
    """Index into `arena.turnover.DEATHS`."""
    births: Births
    scars: Scars
    tried: UInt32[Array, "islands candidates"]
    """Ids of those rolled out on validation; an agent may be named more than once."""
    validation: Stats
    """Leaves [islands, candidates, groups]."""
    tried_trust: Float[Array, "islands candidates regimes"]
    summary: Summary


class GenerationRecord(NamedTuple):
    """Everything on record of one generation."""

    generation: Int32[Array, ""]
    species: tuple[SpeciesRecord, ...]
    archive: Improvement
    finite: Bool[Array, ""]
    """Whether every score is a number; a run that loses its numbers is stopped."""

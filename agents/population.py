"""A population: all agents of one species, as one pytree with a slot for each.

Capacity is fixed; every slot is always taken. A freed slot is filled by a child in the same turn.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, UInt32

from agents.memory import Memory
from agents.trust import Reputation
from genomes.genes import Genes

__all__ = ["NOBODY", "Learner", "Population", "Standing"]

NOBODY = np.uint32(0xFFFFFFFF)
"""Id that no agent has: a missing parent, an empty place in the archive."""


class Standing(NamedTuple):
    """What selection knows of an agent: running means over its last generations, by case (half × regime or all)."""

    mean: Float[Array, "*batch cases"]
    """Score of the case; 0 until the first judgement."""
    generations: Float[Array, "*batch cases"]
    """Generations behind the mean, at most the horizon."""
    trades: Float[Array, "*batch"]
    """Trades in the last generation; an agent with none is idle."""

    @classmethod
    def new(cls, batch: tuple[int, ...], cases: int) -> "Standing":
        """Nobody has been judged yet."""
        return cls(jnp.zeros((*batch, cases)), jnp.zeros((*batch, cases)), jnp.zeros(batch))


class Learner(NamedTuple):
    """What an agent keeps to learn with; nothing where nobody learns."""

    optimiser: Any = ()
    """What Adam remembers of its brain (`agents.learning.new_optimiser`)."""
    birth: Any = ()
    """The brain as it was born, where children receive that."""


class Population(NamedTuple):
    """All agents of one species; leaves are [islands, slots, …], or [slots, …] inside an island."""

    genome: Any
    genes: Genes
    id: UInt32[Array, "*batch"]
    """Counted in birth order over all species and islands."""
    born: Int32[Array, "*batch"]
    """Generation of birth."""
    epsilon: Float[Array, "*batch"]
    """ε: share of random actions in explored windows, where learning is on."""
    memory: Memory
    reputation: Reputation
    standing: Standing
    learner: Learner = Learner()

"""A sample of all that was ever born: without it nobody could say afterwards how many different agents were tried.

Each birth has a rank, drawn from its seed and id; every island keeps the births of each species with the lowest ranks,
as they were born. So after any number of births the sample is an even one of those of that island and species, whoever
won or died, and it depends neither on layout nor on where a run was interrupted. All together are a stratified sample
with equal shares: an even one of all births where every island and species had as many of them, and nearly so as a
rule, for all have equally many slots.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, UInt32

from agents.population import NOBODY, Population
from arena.keys import Purpose, fold
from arena.rollout import Trader
from arena.tally import REGIMES

__all__ = ["Reservoir", "empty_reservoir", "keep"]

_LAST = np.uint32(0xFFFFFFFF)
"""Rank of an empty place: none is behind it."""


class Reservoir(NamedTuple):
    """The sample of one species; leaves [islands, kept, …], or [kept, …] inside an island. Lowest ranks first."""

    rank: UInt32[Array, "*kept"]
    id: UInt32[Array, "*kept"]
    """`NOBODY` in an empty place."""
    trader: Trader
    """As it was born: with what memory it inherited, and no trust yet."""


def empty_reservoir(islands: int, kept: int, sample: Trader) -> Reservoir:
    """Places for so many births; `sample` gives shapes, one trader without a leading axis."""
    place = (islands, kept)
    return Reservoir(
        rank=jnp.full(place, _LAST, jnp.uint32),
        id=jnp.full(place, NOBODY, jnp.uint32),
        trader=jax.tree.map(lambda x: jnp.zeros((*place, *x.shape), x.dtype), sample),
    )


def keep(
    reservoir: Reservoir, population: Population, born: Bool[Array, "slots"], seed: UInt32[Array, ""]
) -> Reservoir:
    """The sample of an island with its newest births considered.

    Args:
        reservoir: of one species on one island.
        population: of the same.
        born: slots whose agents are new.
        seed: of the island.
    """
    kept, slots = reservoir.id.shape[0], born.shape[0]
    drawn = jax.vmap(lambda own: jax.random.bits(fold(seed, 0, Purpose.RESERVOIR, own), (), jnp.uint32))(population.id)
    newcomers = Reservoir(
        rank=jnp.where(born, drawn, _LAST),
        id=jnp.where(born, population.id, NOBODY),
        trader=Trader(population.genome, population.genes, population.memory, jnp.zeros((slots, REGIMES))),
    )
    ranks, ids = (jnp.concatenate(pair) for pair in zip(reservoir[:2], newcomers[:2], strict=True))
    first = jnp.lexsort((ids, ranks))[:kept]

    def settle(old: Array, new: Array) -> Array:
        there = (first < kept).reshape(-1, *(1,) * (old.ndim - 1))
        return jnp.where(there, old[jnp.minimum(first, kept - 1)], new[jnp.maximum(first - kept, 0)])

    settled: Reservoir = jax.tree.map(settle, reservoir, newcomers)
    return settled

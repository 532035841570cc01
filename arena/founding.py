"""Founding: the state of the arena before its first generation."""

from typing import Any, cast

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from agents.memory import forget
from agents.population import Population, Standing
from agents.trust import Reputation
from arena.archive import empty_archive
from arena.fitness import CASES
from arena.keys import Purpose, folded
from arena.plan import Plan
from arena.rollout import Trader
from arena.sharding import everywhere, put
from arena.state import ArenaState
from arena.tally import REGIMES
from genomes.genes import init_genes

__all__ = ["found", "layout", "spread"]


def found(plan: Plan, windows: int) -> ArenaState:
    """The founders, each drawn from its own id, and an empty archive.

    Args:
        plan: of the run.
        windows: validation windows of its tape.
    """
    state: ArenaState = jax.jit(lambda: _found(plan, windows))()
    return state


def _found(plan: Plan, windows: int) -> ArenaState:
    seeds = jnp.uint32(plan.settings.seed) + jnp.arange(plan.places, dtype=jnp.uint32) // plan.islands
    batch = (plan.places, plan.slots)
    each = plan.places * plan.slots
    populations = []
    for index, setup in enumerate(plan.rollouts):
        ids = (index * each + jnp.arange(each, dtype=jnp.uint32)).reshape(batch)
        keys = jax.vmap(lambda seed, own: folded(seed, 0, Purpose.FOUNDER, own))(seeds, ids)
        pairs = jax.vmap(jax.vmap(lambda key: jax.random.split(key)))(keys)
        genes = jax.vmap(jax.vmap(lambda key: init_genes(key, plan.settings.genes)))(pairs[..., 1])
        populations.append(
            Population(
                genome=jax.vmap(jax.vmap(setup.species.init))(pairs[..., 0]),
                genes=genes,
                id=ids,
                born=jnp.zeros(batch, jnp.int32),
                epsilon=genes.exploration,
                memory=forget(batch, plan.settings.scars.memory.moments, plan.features),
                reputation=Reputation.new(batch, REGIMES),
                standing=Standing.new(batch, CASES),
            )
        )
    samples = tuple(
        jax.tree.map(
            lambda x: x[0, 0],
            Trader(p.genome, p.genes, p.memory, jnp.zeros((*batch, REGIMES))),
        )
        for p in populations
    )
    return ArenaState(
        generation=jnp.zeros((), jnp.int32),
        seed=seeds,
        next_id=jnp.uint32(each * len(populations)),
        populations=tuple(populations),
        archive=empty_archive(plan.replicates, windows, samples),
    )


def layout(plan: Plan) -> Any:
    """Where each part of the state lies on the plan's devices: populations by island, all else everywhere.

    Shardings, in a tree that is a prefix of the state's.
    """
    by_island = NamedSharding(plan.mesh, PartitionSpec("islands"))
    whole = everywhere(plan.mesh)
    place = {name: by_island if name in ("seed", "populations") else whole for name in ArenaState._fields}
    return ArenaState(**cast("dict[str, Any]", place))


def spread(plan: Plan, state: ArenaState) -> ArenaState:
    """The state laid out over the plan's devices; every process gives the same."""
    return ArenaState(*(put(part, where) for part, where in zip(state, layout(plan), strict=True)))

"""Updates a second: what deep Q-learning of a whole population gives, apart from all else that a generation does.

Every brain of a default world takes one step after another down the loss of a batch of its own; batches are made up,
and the market's part is common to all, as in an arena. Brains lie over devices, islands and blocks as they do there.
"""

import dataclasses
import time
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import PartitionSpec
from jaxtyping import Array

from agents.learning import Batch, update
from arena.bench import Measurement, Size, World, timed
from genomes.species import Genome

__all__ = ["Updates", "measure_updates"]

_TURNS = 16  # updates one after another, as many as a default window has
_RATE = 1e-3
_AXES: Any = Batch._make([None, None, 0, 0, 0, 0, 0, 0])


@dataclasses.dataclass(frozen=True)
class Updates:
    """What one result was measured on.

    Attributes:
        agents: that learn.
        batch: transitions of an update.
        found: its `agent_bars` are updates of one agent.
    """

    agents: int
    batch: int
    found: Measurement


def measure_updates(species: str, size: Size, repeat: int) -> Updates:
    """Update all brains of a world again and again.

    Args:
        species: whose brains.
        size: of the world; only its agents and islands matter.
        repeat: times it is measured.
    """
    world = World(dataclasses.replace(size, episodes=max(size.episodes, 4)), species, "lamarckian")
    plan, own, learning = world.plan, world.plan.rollouts[0].species, world.settings.learning
    batch = _made_up(plan.block, learning.batch, own.shape.features, own.shape.account, own.context)

    def learn_one(genome: Genome, target: Genome, optimiser: Any, batch: Batch) -> Any:
        return update(own, genome, target, optimiser, batch, jnp.float32(_RATE), learning)[:2]

    def block(state: tuple[Genome, Any]) -> tuple[Genome, Any]:
        target = state[0]

        def turn(number: Array, state: tuple[Genome, Any]) -> tuple[Genome, Any]:
            now = batch._replace(reward=batch.reward + 1e-3 * number)  # no two alike, or the compiler might see it
            learned: tuple[Genome, Any] = jax.vmap(learn_one, (0, 0, 0, _AXES))(state[0], target, state[1], now)
            return learned

        done: tuple[Genome, Any] = lax.fori_loop(0, _TURNS, turn, state)
        return done

    def local(state: tuple[Genome, Any]) -> tuple[Genome, Any]:
        blocks = jax.tree.map(lambda x: x.reshape(-1, plan.block, *x.shape[2:]), state)
        learned = lax.map(block, blocks)
        together: tuple[Genome, Any] = jax.tree.map(lambda x, whole: x.reshape(whole.shape), learned, state)
        return together

    def every(state: tuple[Genome, Any]) -> tuple[Genome, Any]:
        spread = PartitionSpec("islands")
        with jax.default_matmul_precision(world.settings.device.precision):
            return jax.shard_map(local, mesh=plan.mesh, in_specs=spread, out_specs=spread, check_vma=False)(state)

    population = world.state.populations[0]
    state = population.genome, population.learner.optimiser
    began = time.perf_counter()
    step = jax.jit(every, compiler_options=plan.compiler_options).lower(state).compile()
    took = time.perf_counter() - began
    seconds, busy = timed(lambda: jax.block_until_ready(step(state)), repeat)
    products = world.update_products
    return Updates(size.agents, learning.batch, Measurement(size.agents * _TURNS, seconds, busy, took, products))


def _made_up(agents: int, rows: int, features: int, view: int, context: int) -> Batch:
    """A batch of normal numbers for each agent, and actions in turn."""
    keys = jax.random.split(jax.random.key(0), 5)
    seen, later = (jax.random.normal(key, (context + 1, rows, features)) for key in keys[:2])
    own, next_own = (jax.random.normal(key, (agents, rows, view)) for key in keys[2:4])
    return Batch(
        features=seen,
        later=later,
        view=own,
        later_view=next_own,
        action=jnp.broadcast_to(jnp.arange(rows, dtype=jnp.int8) % 3, (agents, rows)),
        reward=jax.random.normal(keys[4], (agents, rows)),
        discount=jnp.full((agents, rows), 0.9),
        weight=jnp.ones((agents, rows)),
    )

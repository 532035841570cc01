"""Migration: now and then the best few agents of each island move on to the next of its ring.

Agents move, they are not copied, so an id stays one agent. Islands of different replicates never meet. This is the only
talk between islands, and so between devices.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32

from agents.population import Population

__all__ = ["MigrationSettings", "migrate"]


@dataclasses.dataclass(frozen=True)
class MigrationSettings:
    """How islands talk.

    Attributes:
        every: generations between migrations; None is never.
        agents: how many agents each island sends.
    """

    every: int | None = dataclasses.field(default=5, metadata={"ge": 1})
    agents: int = dataclasses.field(default=4, metadata={"ge": 1})


def migrate(
    population: Population,
    score: Float[Array, "islands slots"],
    generation: Int32[Array, ""],
    islands: int,
    settings: MigrationSettings,
) -> tuple[Population, Bool[Array, ""]]:
    """Send the best of each island to the next, round the ring of its replicate.

    Args:
        population: leaves [replicates · islands, slots, …].
        score: who is best.
        generation: the one just judged.
        islands: islands of one replicate.
        settings: see `MigrationSettings`.

    Returns:
        The population, and whether anybody moved.
    """
    if islands == 1 or settings.every is None:
        return population, jnp.zeros((), bool)
    due = (generation + 1) % settings.every == 0
    count = min(settings.agents, score.shape[1])
    _, slot = jax.lax.top_k(score, count)

    def ring(x: Array) -> Array:
        leaf = jnp.take_along_axis(x, slot.reshape(*slot.shape, *(1,) * (x.ndim - 2)), axis=1)
        sent = leaf.reshape(leaf.shape[0] // islands, islands, *leaf.shape[1:])
        arrived = jnp.roll(sent, 1, axis=1).reshape(leaf.shape)
        moved = x.at[jnp.arange(x.shape[0])[:, None], slot].set(arrived)
        return jnp.where(due, moved, x)

    return jax.tree.map(ring, population), due

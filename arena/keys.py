"""Randomness: every key is folded from (seed, generation, purpose, identity), never advanced.

A result then depends neither on the layout of agents over devices nor on where a run was interrupted.
"""

import enum

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PRNGKeyArray, UInt32

__all__ = ["Purpose", "fold", "folded"]


class Purpose(enum.IntEnum):
    """What a key is for. Values are part of a run's identity: add, never renumber."""

    FOUNDER = 0
    EPISODES = 1
    BIRTH = 2
    SCAR = 3
    DIVERSITY = 4
    EXPLORATION = 5
    REPLAY = 6
    RESERVOIR = 7


def fold(seed: Array, generation: Array | int, purpose: Purpose, identity: Array | int = 0) -> PRNGKeyArray:
    """The key for one purpose of one agent (or island) in one generation.

    Args:
        seed: unsigned, [].
        generation: counted from 0.
        purpose: what is drawn.
        identity: id of the agent, or index of the island.
    """
    # Threefry takes any two words as its key (Salmon et al. 2011), so seed and generation need no hashing of their own.
    words = jnp.stack([jnp.asarray(seed, jnp.uint32), jnp.asarray(generation, jnp.uint32)])
    key = jax.random.wrap_key_data(words, impl="threefry2x32")
    return jax.random.fold_in(jax.random.fold_in(key, purpose), identity)


def folded(
    seed: Array, generation: Array | int, purpose: Purpose, identities: UInt32[Array, "agents"]
) -> Key[Array, "agents"]:
    """Keys of many agents, one for each identity."""
    keys: Key[Array, agents] = jax.vmap(lambda identity: fold(seed, generation, purpose, identity))(identities)
    return keys

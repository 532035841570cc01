"""Genes beside the brain: how much an agent stakes, when it gives up, how it learns and how far its children stray.

They are the same for every species and evolve with it. Each lives in a closed range; a range of one point is a gene
that does not evolve. Mutation is log-normal, so a step is a share of the value and never leaves the range; the mutation
strength itself is varied first and then used (self-adaptation, Schwefel 1981).
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

__all__ = ["GeneSettings", "Genes", "crossover_genes", "init_genes", "mutate_genes"]

Range = tuple[float, ...]


class Genes(NamedTuple):
    """One agent's genes beside the brain; with leading axes for many."""

    size: Float[Array, "*batch"]
    """Exposure asked for by a full buy or sell, as a multiple of equity."""
    stop: Float[Array, "*batch"]
    """Stop distance in ATR."""
    take_profit: Float[Array, "*batch"]
    """Take-profit distance in ATR."""
    exploration: Float[Array, "*batch"]
    """ε at birth: share of random actions in explored windows."""
    learning_rate: Float[Array, "*batch"]
    discount: Float[Array, "*batch"]
    mutation: Float[Array, "*batch"]
    """Strength of mutation of a child's brain, 1 being a full re-draw of what is hit."""


@dataclasses.dataclass(frozen=True)
class GeneSettings:
    """Range [low, high] of each gene; founders are drawn log-uniformly from it.

    Attributes:
        size, stop, take_profit, exploration, learning_rate, discount, mutation: see `Genes`.
        step: standard deviation of a mutation's log step, as a share of the range's own log width.
    """

    size: Range = (0.25, 1.0)
    stop: Range = (2.0, 20.0)
    take_profit: Range = (2.0, 40.0)
    exploration: Range = (0.01, 0.2)
    learning_rate: Range = (1e-4, 1e-2)
    discount: Range = (0.8, 0.99)
    mutation: Range = (0.02, 0.5)
    step: float = dataclasses.field(default=0.1, metadata={"ge": 0.0})

    def problems(self, where: str) -> list[str]:
        """What is wrong with the ranges, one line each."""
        found = []
        for name in Genes._fields:
            span = getattr(self, name)
            if len(span) != 2 or not 0 < span[0] <= span[1]:
                key = f"{where}.{name}" if where else name
                found.append(f"{key}: expected [low, high] with 0 < low <= high, got {list(span)}")
        return found


def _bounds(settings: GeneSettings) -> tuple[Float[Array, "genes"], Float[Array, "genes"]]:
    """Logarithms of the lower and upper ends of every range."""
    spans = np.log(np.asarray([getattr(settings, name) for name in Genes._fields], np.float32))
    return jnp.asarray(spans[:, 0]), jnp.asarray(spans[:, 1])


def _within(logs: Float[Array, "genes"], settings: GeneSettings) -> Genes:
    """Genes from their logarithms, held to their ranges."""
    ends = np.asarray([getattr(settings, name) for name in Genes._fields], np.float32)
    return Genes(*jnp.clip(jnp.exp(logs), ends[:, 0], ends[:, 1]))


def init_genes(key: PRNGKeyArray, settings: GeneSettings) -> Genes:
    """One founder's genes, log-uniform in their ranges."""
    low, high = _bounds(settings)
    return _within(low + jax.random.uniform(key, low.shape) * (high - low), settings)


def mutate_genes(key: PRNGKeyArray, genes: Genes, settings: GeneSettings) -> Genes:
    """One agent's genes after a log-normal step each, held to their ranges."""
    low, high = _bounds(settings)
    steps = settings.step * jax.random.normal(key, low.shape)
    return _within(jnp.log(jnp.stack(genes)) + steps * (high - low), settings)


def crossover_genes(key: PRNGKeyArray, first: Genes, second: Genes) -> Genes:
    """A child's genes, each from either parent with equal chance."""
    takes = jax.random.bernoulli(key, 0.5, (len(Genes._fields),))
    return Genes(*(jnp.where(take, a, b) for take, a, b in zip(takes, first, second, strict=True)))

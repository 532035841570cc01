"""Scar memory: what the market looked like when a drawdown began, and the caution it teaches.

An agent keeps the market's feature vector at the onset of its last few scars. When the market looks like one of them
its exposure is scaled down: by 1 − strength · likeness, where likeness = exp(−d² / 2h²) of the nearest remembered
moment, d the root mean square difference of the scaled features and h the memory's reach.
"""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

__all__ = ["Memory", "MemorySettings", "caution", "forget", "remember"]


@dataclasses.dataclass(frozen=True)
class MemorySettings:
    """How scars are remembered.

    Attributes:
        enabled: whether memory acts on exposure.
        moments: how many of the last scars are kept.
        reach: h, in standard deviations a feature.
        strength: largest share by which exposure is scaled down.
    """

    enabled: bool = False
    moments: int = dataclasses.field(default=4, metadata={"ge": 1})
    reach: float = dataclasses.field(default=0.5, metadata={"gt": 0.0})
    strength: float = dataclasses.field(default=0.8, metadata={"ge": 0.0, "le": 1.0})


class Memory(NamedTuple):
    """The last moments an agent was scarred, newest first."""

    features: Float[Array, "*batch moments features"]
    """Scaled market features at the onset of the drawdown."""
    weight: Float[Array, "*batch moments"]
    """Severity of the scar, in (0, 1]; 0 marks an empty place."""


def forget(batch: tuple[int, ...], moments: int, features: int) -> Memory:
    """An empty memory."""
    return Memory(jnp.zeros((*batch, moments, features)), jnp.zeros((*batch, moments)))


def remember(
    memory: Memory,
    features: Float[Array, "*batch features"],
    severity: Float[Array, "*batch"],
    scarred: Bool[Array, "*batch"],
) -> Memory:
    """The memory with one more moment where `scarred`; the oldest makes room."""
    pushed = Memory(
        jnp.concatenate([features[..., None, :], memory.features[..., :-1, :]], axis=-2),
        jnp.concatenate([severity[..., None], memory.weight[..., :-1]], axis=-1),
    )
    return Memory(
        jnp.where(scarred[..., None, None], pushed.features, memory.features),
        jnp.where(scarred[..., None], pushed.weight, memory.weight),
    )


def caution(
    memory: Memory, features: Float[Array, "*rows features"], settings: MemorySettings
) -> Float[Array, "*rows"]:
    """Factor on one agent's exposure at each row, in [1 − strength, 1].

    Distances are one matrix product: |f − m|² = |f|² − 2 f·m + |m|².
    """
    size = features.shape[-1]
    square = (
        jnp.sum(features**2, -1)[..., None] - 2.0 * features @ memory.features.T + jnp.sum(memory.features**2, -1)
    ) / size
    nearness = jnp.where(memory.weight > 0, jnp.exp(-jnp.maximum(square, 0.0) / (2.0 * settings.reach**2)), 0.0)
    return 1.0 - settings.strength * jnp.max(nearness, -1)

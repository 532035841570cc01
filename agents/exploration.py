"""Exploration: ε rises with losses and scars, falls with wins.

Random actions are taken in explored windows only, and only where agents learn inside their life; judging is greedy.
"""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

__all__ = ["ExplorationSettings", "adapt"]


@dataclasses.dataclass(frozen=True)
class ExplorationSettings:
    """How ε moves.

    Attributes:
        enabled: whether it moves at all.
        step: share by which a losing generation raises it and a winning one lowers it.
        scar: what a scar of severity 1 adds.
        floor, ceiling: where it stays.
    """

    enabled: bool = True
    step: float = dataclasses.field(default=0.1, metadata={"ge": 0.0, "lt": 1.0})
    scar: float = dataclasses.field(default=0.1, metadata={"ge": 0.0, "le": 1.0})
    floor: float = dataclasses.field(default=0.01, metadata={"ge": 0.0, "le": 1.0})
    ceiling: float = dataclasses.field(default=0.5, metadata={"ge": 0.0, "le": 1.0})

    def problems(self, where: str) -> list[str]:
        """What the keys cannot mean together."""
        if self.floor <= self.ceiling:
            return []
        return [f"{where}.floor: {self.floor:g} must be at most {where}.ceiling = {self.ceiling:g}"]


def adapt(
    epsilon: Float[Array, "agents"],
    won: Bool[Array, "agents"],
    severity: Float[Array, "agents"],
    settings: ExplorationSettings,
) -> Float[Array, "agents"]:
    """ε after a generation; `severity` is that of the agent's new scar, 0 without one."""
    moved = epsilon * jnp.where(won, 1.0 - settings.step, 1.0 + settings.step) + settings.scar * severity
    return jnp.clip(moved, settings.floor, settings.ceiling)

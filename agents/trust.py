"""Trust: a Beta reputation by regime, how often an agent beats a benchmark of its own mean exposure.

One observation is one block: an episode's bars in one regime, if there are enough of them and the agent was not flat
throughout. It is a success when the agent's log return beats x̄ · (mid return), x̄ its mean net exposure in the block.
A failure weighs min(5, |loss| / median gain), so that rare large losses count. Evidence decays from generation to
generation. The prior has weight κ at the population's own rate of success. Value = posterior mean − one standard
deviation, and 0 until there is evidence (Jøsang & Ismail 2002 for the reputation; the weights are this project's).
"""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["Reputation", "TrustSettings", "observe", "trust"]


@dataclasses.dataclass(frozen=True)
class TrustSettings:
    """How trust is earned and what it does.

    Attributes:
        enabled: whether it is kept at all.
        scales_capital: whether exposure is scaled by it.
        floor: exposure factor of an agent without trust, where it scales capital.
        weighs_parents: whether the parent lottery is weighed by it.
        prior: κ, weight of the prior in blocks.
        decay: share of evidence kept from one generation to the next.
        block: bars a block needs in its regime.
        counts: blocks of evidence needed before trust is above 0.
        worst: largest weight of one failure.
    """

    enabled: bool = True
    scales_capital: bool = False
    floor: float = dataclasses.field(default=0.25, metadata={"ge": 0.0, "le": 1.0})
    weighs_parents: bool = True
    prior: float = dataclasses.field(default=4.0, metadata={"gt": 0.0})
    decay: float = dataclasses.field(default=0.8, metadata={"ge": 0.0, "le": 1.0})
    block: int = dataclasses.field(default=32, metadata={"ge": 1})
    counts: float = dataclasses.field(default=5.0, metadata={"ge": 0.0})
    worst: float = dataclasses.field(default=5.0, metadata={"ge": 1.0})


class Reputation(NamedTuple):
    """Evidence for and against an agent, by regime, decayed."""

    success: Float[Array, "*batch regimes"]
    failure: Float[Array, "*batch regimes"]
    """Weighted."""
    blocks: Float[Array, "*batch regimes"]
    """Blocks of evidence behind both, unweighted."""

    @classmethod
    def new(cls, batch: tuple[int, ...], regimes: int) -> "Reputation":
        """No evidence at all."""
        return cls(*(jnp.zeros((*batch, regimes)) for _ in range(3)))


def observe(
    reputation: Reputation, excess: Float[Array, "agents blocks regimes"], settings: TrustSettings
) -> Reputation:
    """The reputation after one more generation.

    Args:
        reputation: of the agents of one island.
        excess: log return above the exposure-matched benchmark in each block; NaN where the block does not count.
        settings: see `TrustSettings`.
    """
    won = excess > 0
    lost = excess <= 0
    gain = jnp.nanmedian(jnp.where(won, excess, jnp.nan), axis=(0, 1))
    gain = jnp.where(jnp.isfinite(gain) & (gain > 0), gain, jnp.inf)
    loss = jnp.clip(jnp.abs(excess) / gain, 1.0, settings.worst)
    keep = settings.decay
    return Reputation(
        keep * reputation.success + won.sum(1),
        keep * reputation.failure + jnp.where(lost, loss, 0.0).sum(1),
        keep * reputation.blocks + (won | lost).sum(1),
    )


def trust(reputation: Reputation, settings: TrustSettings) -> Float[Array, "agents regimes"]:
    """Value of each reputation in [0, 1]; the prior's rate is that of the island's agents together."""
    success, failure = reputation.success.sum(0), reputation.failure.sum(0)
    rate = (success + 1.0) / (success + failure + 2.0)
    a = reputation.success + settings.prior * rate
    b = reputation.failure + settings.prior * (1.0 - rate)
    total = a + b
    value = a / total - jnp.sqrt(a * b / (total**2 * (total + 1.0)))
    return jnp.where(reputation.blocks >= settings.counts, jnp.clip(value, 0.0, 1.0), 0.0)

"""A second, trivial species for the tests: buy when one feature is above a threshold, sell when below, or the reverse.

It shows that a species is one module and one line in the registry, and that nothing else has to know it.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from genomes.species import Carry, Quantiles, Shape

__all__ = ["Rule", "Settings", "Threshold", "make"]


class Rule(NamedTuple):
    """The genome."""

    pick: Float[Array, "*batch features"]
    """The feature with the largest number is looked at."""
    threshold: Float[Array, "*batch"]
    sign: Float[Array, "*batch"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """How wide thresholds are drawn."""

    width: float = dataclasses.field(default=1.0, metadata={"gt": 0.0})


def make(settings: Settings, shape: Shape) -> "Threshold":
    """The species."""
    return Threshold(settings, shape)


@dataclasses.dataclass(frozen=True)
class Threshold:
    """One feature, one threshold, one sign. Its one unit is the threshold."""

    settings: Settings
    shape: Shape
    name: str = "threshold"
    context: int = 2
    sparse: bool = False
    units: int = 1
    products: int = 0
    work: float = 100.0

    def init(self, key: PRNGKeyArray, quantiles: Quantiles) -> Rule:
        drawn = jax.random.normal(key, (self.shape.features + 2,))
        sign = jnp.where(drawn[-1] > 0, jnp.float32(1), jnp.float32(-1))
        return Rule(drawn[:-2], self.settings.width * drawn[-2], sign)

    def mutate(self, key: PRNGKeyArray, genome: Rule, strength: Float[Array, ""], quantiles: Quantiles) -> Rule:
        step = strength * jax.random.normal(key, (self.shape.features + 1,))
        return genome._replace(pick=genome.pick + step[:-1], threshold=genome.threshold + step[-1])

    def crossover(self, key: PRNGKeyArray, first: Rule, second: Rule) -> Rule:
        takes = jax.random.bernoulli(key, 0.5, (3,))
        return Rule(*(jnp.where(take, b, a) for take, a, b in zip(takes, first, second, strict=True)))

    def distance(self, first: Rule, second: Rule) -> Float[Array, ""]:
        gaps = jax.tree.map(lambda a, b: jnp.sum((a - b) ** 2), first, second)
        return jnp.sqrt(sum(jax.tree.leaves(gaps)))

    def damage(
        self,
        key: PRNGKeyArray,
        genome: Rule,
        activity: Float[Array, "units"],
        severity: Float[Array, ""],
        quantiles: Quantiles,
    ) -> tuple[Rule, Float[Array, "units"]]:
        hit = (severity > 0).astype(jnp.float32)
        fresh = self.init(key, quantiles)
        return genome._replace(threshold=jnp.where(hit > 0, fresh.threshold, genome.threshold)), hit[None]

    def initial_carry(self, rows: int) -> Carry:
        return ()

    def encode(self, genome: Rule, features: Float[Array, "history rows features"]) -> Float[Array, "bars rows code"]:
        """The mean of the feature over this bar and the two before it."""
        seen = features[..., jnp.argmax(genome.pick), None]
        return (seen[2:] + seen[1:-1] + seen[:-2]) / 3.0

    def values(
        self, genome: Rule, code: Float[Array, "rows code"], account: Float[Array, "rows account"], carry: Carry
    ) -> tuple[Float[Array, "rows actions"], Carry]:
        push = genome.sign * (code[:, 0] - genome.threshold)
        return jnp.stack([jnp.zeros_like(push), push, -push], axis=-1), carry

    def activity(
        self, genome: Rule, features: Float[Array, "history rows features"], account: Float[Array, "bars rows account"]
    ) -> Float[Array, "bars rows units"]:
        return jnp.abs(self.encode(genome, features) - genome.threshold)

    def learnable(self, genome: Rule) -> Any:
        return jax.tree.map(lambda _: False, genome)

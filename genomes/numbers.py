"""Random numbers for many small operators from a single draw.

Every call of a generator becomes a loop of its own, which takes longer to compile than all that an operator does with
it. So operators are handed numbers, which are counted beforehand and drawn at once.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32, PRNGKeyArray

__all__ = ["Numbers", "spend"]

T = TypeVar("T")

_HALF_STEP = 2.0**-24
"""Half the distance of the numbers drawn: keeps them off 0, whose normal quantile is infinite."""


class Numbers:
    """Uniform numbers in [0, 1), each handed out once.

    Args:
        drawn: the numbers; None only counts what is asked for, and hands out zeros.
    """

    def __init__(self, drawn: Float[Array, "numbers"] | None = None) -> None:
        self._drawn, self.taken = drawn, 0

    def uniform(self, *shape: int) -> Float[Array, "*shape"]:
        """Uniform in [0, 1)."""
        count = math.prod(shape)
        first, self.taken = self.taken, self.taken + count
        return jnp.zeros(shape) if self._drawn is None else self._drawn[first : first + count].reshape(shape)

    def normal(self, *shape: int) -> Float[Array, "*shape"]:
        """Standard normal, by the inverse of its distribution."""
        return jnp.sqrt(2.0) * jax.lax.erf_inv(2.0 * (self.uniform(*shape) + _HALF_STEP) - 1.0)

    def below(self, count: int, *shape: int) -> Int32[Array, "*shape"]:
        """Whole numbers from 0 to `count` − 1."""
        return jnp.minimum((self.uniform(*shape) * count).astype(jnp.int32), count - 1)

    def chance(self, probability: Float[Array, ""] | float, *shape: int) -> Bool[Array, "*shape"]:
        """True with that probability; never where it is 0."""
        return self.uniform(*shape) < probability


def spend(key: PRNGKeyArray, use: Callable[[Numbers], T]) -> T:
    """What `use` makes of random numbers; it is run once more to count how many it takes.

    Args:
        key: of the draw.
        use: asks for the same numbers whenever it is called.
    """
    counter = Numbers()

    def counted() -> Any:
        return use(counter)

    jax.eval_shape(counted)
    return use(Numbers(jax.random.uniform(key, (counter.taken,))))

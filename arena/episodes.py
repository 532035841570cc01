"""Episodes: which windows of the tape a generation is played on.

Drawn by regime strata: an equal number starts in each regime that has enough windows, in either half of the episodes.
All agents of an island face the same windows (common random numbers).
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int32, PRNGKeyArray

from markets.tape import Strata

__all__ = ["EpisodeSettings", "draw"]


@dataclasses.dataclass(frozen=True)
class EpisodeSettings:
    """How much is played.

    Attributes:
        episodes: windows a generation, even.
        bars: decisions a window.
        validation: most validation windows; they lie evenly spaced over the validation span and never overlap.
        stratum: fewest training windows a regime needs to be a stratum of its own.
    """

    episodes: int = dataclasses.field(default=32, metadata={"ge": 2})
    bars: int = dataclasses.field(default=256, metadata={"ge": 8})
    validation: int = dataclasses.field(default=32, metadata={"ge": 1})
    stratum: int = dataclasses.field(default=100, metadata={"ge": 1})

    def problems(self, where: str) -> list[str]:
        """What is wrong with the settings, one line each."""
        if self.episodes % 2 == 0:
            return []
        return [f"{where}.episodes: {self.episodes} must be even, because fitness compares two halves of them"]


def draw(key: PRNGKeyArray, strata: Strata, market: Int32[Array, ""] | int, episodes: int) -> Int32[Array, "episodes"]:
    """First rows of a generation's windows; strata take turns, so each half holds each of them alike.

    Args:
        key: of the generation and island.
        strata: of all markets.
        market: which of them.
        episodes: how many windows.
    """
    offset, windows = strata.offset[market], strata.windows[market]
    stratum = jnp.arange(episodes, dtype=jnp.int32) % (windows > 0).sum(dtype=jnp.int32)
    share = jax.random.uniform(key, (episodes,))
    count = windows[stratum]
    place = jnp.minimum((share * count).astype(jnp.int32), count - 1)
    return strata.rows[offset[stratum] + place]

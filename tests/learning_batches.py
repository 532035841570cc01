"""Brains with target networks of their own, and random transitions for them to learn from."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from agents.learning import Batch
from genomes.registry import make_species, settings_class
from genomes.species import Shape

__all__ = ["BRAINS", "Pupil", "learnable_leaves", "pupil"]

BRAINS: dict[str, tuple[str, dict[str, Any]]] = {
    "network": ("qnetwork", {"hidden": (8, 6)}),
    "oblivious forest": ("forest", {"depth": 3, "market_trees": 4, "state_trees": 3}),
    "ordinary forest": ("forest", {"depth": 3, "market_trees": 3, "state_trees": 2, "layout": "ordinary"}),
    "forest of the account": ("forest", {"depth": 2, "market_trees": 0, "state_trees": 3}),
}
"""Species and settings by name: whatever learns."""


class Pupil(NamedTuple):
    """One brain and what it is given to learn from."""

    species: Any
    genome: Any
    target: Any
    batch: Batch


def learnable_leaves(species: Any, genome: Any) -> list[Any]:
    """The leaves of a genome that learning may move."""
    flags = jax.tree.leaves(species.learnable(genome))
    return [leaf for leaf, learns in zip(jax.tree.leaves(genome), flags, strict=True) if learns]


@functools.cache
def _founder(species: Any) -> Any:
    return jax.jit(species.init)


def pupil(name: str, *, rows: int = 24, features: int = 5, seed: int = 0) -> Pupil:
    """A brain of `BRAINS`, and a target that answers its questions otherwise; some rows end in ruin or are void."""
    species_name, settings = BRAINS[name]
    species = make_species(species_name, settings_class(species_name)(**settings), Shape(features, 4))
    rng = np.random.default_rng(seed)
    quantiles = jnp.asarray(np.sort(rng.normal(size=(features + 4, 17)), axis=1), jnp.float32)
    genome = jax.device_get(_founder(species)(jax.random.key(seed), quantiles))

    def moved(leaf: np.ndarray, learns: bool) -> jax.Array:
        return jnp.asarray(leaf + np.float32(0.3) * rng.normal(size=leaf.shape).astype(np.float32) if learns else leaf)

    own, target = (jax.tree.map(moved, genome, species.learnable(genome)) for _ in range(2))

    def normal(*shape: int) -> jax.Array:
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    batch = Batch(
        features=normal(1, rows, features),
        later=normal(1, rows, features),
        view=normal(rows, 4),
        later_view=normal(rows, 4),
        action=jnp.asarray(rng.integers(0, 3, rows), jnp.int32),
        reward=2.0 * normal(rows),
        discount=jnp.asarray(np.where(rng.uniform(size=rows) < 0.2, 0.0, 0.9), jnp.float32),
        weight=jnp.asarray(rng.uniform(size=rows) < 0.8, jnp.float32),
    )
    return Pupil(species, own, target, batch)

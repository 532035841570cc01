"""Scar memory and exploration against their formulas."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.exploration import ExplorationSettings, adapt
from agents.memory import Memory, MemorySettings, caution, forget, remember
from markets.errors import UserError
from markets.settings import check

SETTINGS = MemorySettings(moments=3, reach=0.5, strength=0.8)


def test_caution_is_the_formula_of_the_nearest_moment() -> None:
    rng = np.random.default_rng(0)
    moments, rows = rng.normal(size=(3, 5)), rng.normal(size=(20, 5))
    memory = Memory(jnp.asarray(moments, jnp.float32), jnp.asarray([0.4, 0.0, 1.0]))
    got = caution(memory, jnp.asarray(rows, jnp.float32), SETTINGS)
    for row, factor in zip(rows, np.asarray(got), strict=True):
        near = max(math.exp(-np.mean((row - m) ** 2) / (2 * 0.5**2)) for m in moments[[0, 2]])  # the second is empty
        np.testing.assert_allclose(factor, 1 - 0.8 * near, rtol=1e-4)


def test_the_very_moment_scales_by_the_full_strength_and_a_far_one_not_at_all() -> None:
    memory = Memory(jnp.ones((1, 4)), jnp.ones(1))
    factor = caution(memory, jnp.asarray([[1.0] * 4, [50.0] * 4]), SETTINGS)
    np.testing.assert_allclose(factor, [0.2, 1.0], atol=1e-5)


def test_without_scars_there_is_no_caution() -> None:
    np.testing.assert_array_equal(caution(forget((), 3, 4), jnp.zeros((6, 4)), SETTINGS), 1.0)


def test_the_newest_moments_are_kept_and_only_by_the_scarred() -> None:
    memory = forget((2,), 2, 1)
    for value in (1.0, 2.0, 3.0):
        memory = remember(memory, jnp.full((2, 1), value), jnp.full(2, value / 10), jnp.asarray([True, value == 2.0]))
    np.testing.assert_allclose(memory.features[..., 0], [[3.0, 2.0], [2.0, 0.0]])
    np.testing.assert_allclose(memory.weight, [[0.3, 0.2], [0.2, 0.0]], rtol=1e-6)


def test_losers_and_scarred_explore_more_and_winners_less() -> None:
    settings = ExplorationSettings(step=0.1, scar=0.2, floor=0.01, ceiling=0.5)
    after = jax.jit(adapt, static_argnums=3)(
        jnp.asarray([0.1, 0.1, 0.1, 0.0105, 0.49]),
        jnp.asarray([True, False, False, True, False]),
        jnp.asarray([0.0, 0.0, 0.5, 0.0, 1.0]),
        settings,
    )
    np.testing.assert_allclose(after, [0.09, 0.11, 0.21, 0.01, 0.5], rtol=1e-5)


def test_a_floor_above_the_ceiling_is_refused() -> None:
    with pytest.raises(UserError, match=r"exploration\.floor: 0\.6 must be at most exploration\.ceiling = 0\.5"):
        check(ExplorationSettings(floor=0.6), "exploration")

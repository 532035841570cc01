"""Episodes are drawn evenly from the strata; keys follow from what they are for."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from arena.episodes import EpisodeSettings, draw
from arena.keys import Purpose, fold, folded
from markets.errors import UserError
from markets.settings import check
from markets.tape import Strata

STRATA = Strata(
    rows=jnp.arange(100, 160, dtype=jnp.int32),
    offset=jnp.asarray([[0, 10, 13]], jnp.int32),
    windows=jnp.asarray([[10, 3, 47]], jnp.int32),
)


def stratum(rows: np.ndarray) -> np.ndarray:
    return np.searchsorted([10, 13], np.asarray(rows) - 100, side="right")


def test_each_half_holds_each_stratum_alike() -> None:
    for seed in range(20):
        drawn = np.asarray(draw(jax.random.key(seed), STRATA, 0, 12))
        for half in (drawn[:6], drawn[6:]):
            np.testing.assert_array_equal(np.bincount(stratum(half), minlength=3), [2, 2, 2])


def test_strata_that_do_not_divide_the_episodes_differ_by_one_at_most() -> None:
    drawn = np.asarray(draw(jax.random.key(0), STRATA, 0, 8))
    for half in (drawn[:4], drawn[4:]):
        assert np.ptp(np.bincount(stratum(half), minlength=3)) <= 1


def test_every_window_of_a_stratum_is_drawn_with_equal_chance() -> None:
    rows = np.asarray(jax.vmap(lambda key: draw(key, STRATA, 0, 6))(jax.random.split(jax.random.key(1), 2000)))
    counts = np.bincount(rows.reshape(-1) - 100, minlength=60)
    for first, size in ((0, 10), (10, 3), (13, 47)):
        np.testing.assert_allclose(counts[first : first + size] / 4000, 1 / size, rtol=0.35)


def test_an_odd_number_of_episodes_has_no_halves() -> None:
    with pytest.raises(UserError, match=r"episodes\.episodes: 7 must be even"):
        check(EpisodeSettings(episodes=7), "episodes")


def test_every_key_is_another() -> None:
    made = {
        tuple(np.asarray(jax.random.key_data(fold(jnp.uint32(seed), generation, purpose, identity))))
        for seed, generation, purpose, identity in itertools.product((0, 1, 2**32 - 1), (0, 1, 2), Purpose, (0, 1, 7))
    }
    assert len(made) == 3 * 3 * len(Purpose) * 3


def test_a_key_follows_from_its_identity_and_no_layout() -> None:
    ids = jnp.asarray([5, 9, 2**32 - 2], jnp.uint32)
    many = jax.random.key_data(folded(jnp.uint32(3), 4, Purpose.BIRTH, ids))
    for index, own in enumerate(ids):
        np.testing.assert_array_equal(many[index], jax.random.key_data(fold(jnp.uint32(3), 4, Purpose.BIRTH, own)))

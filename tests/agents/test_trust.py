"""Trust: the Beta reputation against its closed form."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from agents.trust import Reputation, TrustSettings, observe, trust

pytestmark = pytest.mark.usefixtures("plainly_compiled")

SETTINGS = TrustSettings(decay=0.5, counts=5.0, prior=4.0, worst=5.0)


def made(success: object, failure: object, blocks: object) -> Reputation:
    return Reputation(*(jnp.asarray(x, jnp.float32) for x in (success, failure, blocks)))


def test_value_is_the_posterior_mean_less_one_deviation() -> None:
    rng = np.random.default_rng(0)
    success, failure = rng.uniform(1, 30, (2, 6, 4))
    value = np.asarray(trust(made(success, failure, np.full((6, 4), 9.0)), SETTINGS))
    rate = (success.sum(0) + 1) / (success.sum(0) + failure.sum(0) + 2)
    a, b = success + 4 * rate, failure + 4 * (1 - rate)
    np.testing.assert_allclose(value, np.clip(stats.beta.mean(a, b) - stats.beta.std(a, b), 0, 1), rtol=1e-5)


def test_no_trust_before_there_is_evidence() -> None:
    blocks = np.asarray([[0.0], [4.99], [5.0]])
    value = np.asarray(trust(made(np.full((3, 1), 9.0), np.ones((3, 1)), blocks), SETTINGS))
    np.testing.assert_array_equal(value[:2], 0.0)
    assert value[2] > 0.5
    assert (np.asarray(trust(Reputation.new((3,), 4), SETTINGS)) == 0).all()


def test_more_success_is_more_trust_and_more_evidence_too() -> None:
    ratio = trust(made([[2.0], [6.0], [9.0]], [[8.0], [4.0], [1.0]], np.full((3, 1), 10.0)), SETTINGS)[:, 0]
    assert ratio[0] < ratio[1] < ratio[2]
    amount = trust(made([[4.0], [40.0]], [[2.0], [20.0]], np.full((2, 1), 10.0)), SETTINGS)[:, 0]
    assert amount[0] < amount[1]


def test_evidence_decays_and_blocks_add_to_it() -> None:
    before = made([[4.0, 0.0]], [[2.0, 0.0]], [[6.0, 0.0]])
    excess = jnp.asarray([[[0.02, np.nan], [0.04, np.nan], [-0.03, np.nan], [np.nan, np.nan]]], jnp.float32)
    after = observe(before, excess, SETTINGS)
    np.testing.assert_allclose(after.success, [[0.5 * 4 + 2, 0.0]])
    np.testing.assert_allclose(after.blocks, [[0.5 * 6 + 3, 0.0]])
    np.testing.assert_allclose(after.failure, [[0.5 * 2 + 1.0, 0.0]])  # |−0.03| / median(0.02, 0.04) = 1


@pytest.mark.parametrize(("loss", "weight"), [(-0.001, 1.0), (-0.02, 1.0), (-0.05, 2.5), (-9.0, 5.0)])
def test_a_loss_weighs_as_its_size_in_median_gains(loss: float, weight: float) -> None:
    """At least 1, so that many small losses cannot be had for nothing; at most 5."""
    excess = jnp.asarray([[[loss]], [[0.02]], [[0.01]], [[0.03]]], jnp.float32)
    after = observe(Reputation.new((4,), 1), excess, SETTINGS)
    np.testing.assert_allclose(after.failure[:, 0], [weight, 0, 0, 0], rtol=1e-5)
    np.testing.assert_array_equal(after.blocks[:, 0], 1.0)


def test_losses_where_nobody_gained_weigh_one() -> None:
    after = observe(Reputation.new((2,), 1), jnp.asarray([[[-0.5]], [[-0.1]]], jnp.float32), SETTINGS)
    np.testing.assert_array_equal(after.failure, 1.0)


def test_blocks_that_do_not_count_only_let_evidence_fade() -> None:
    after = observe(made([[4.0]], [[2.0]], [[6.0]]), jnp.full((1, 3, 1), jnp.nan), SETTINGS)
    np.testing.assert_allclose([after.success, after.failure, after.blocks], [[[2.0]], [[1.0]], [[3.0]]])
    assert np.isfinite(trust(after, SETTINGS)).all()

"""How much each champion counts in an ensemble: optimal, blind to scale, and alike for all where nothing is known."""

import numpy as np
import pytest

from arena.tally import REGIMES
from experiments.inference.weights import Thought, ensemble_weights, scales_of, stacked_weights
from genomes.species import DEFAULT_ACTIONS

BRAINS = 4


def thought(seed: int = 0, rows: int = 900, *, size: float = 1.0) -> Thought:
    """Four brains, of which the second sees a little of the next bar, the last one its contrary."""
    rng = np.random.default_rng(seed)
    gain = rng.normal(size=rows)
    values = rng.normal(size=(rows, BRAINS, 3))
    for brain, share in ((1, 0.3), (3, -0.4)):
        values[:, brain, 1] += share * gain
        values[:, brain, 2] -= share * gain
    values *= size * np.asarray([0.5, 20.0, 1.0, 3.0])[:, None]
    return Thought(values.astype(np.float32), rng.integers(0, REGIMES + 1, rows), gain)


def test_rows_of_no_regime_or_without_values_are_left_out() -> None:
    values = np.ones((4, 2, 3), np.float32)
    values[2, 1, 0] = np.nan
    own = Thought(values, np.asarray([0, REGIMES, 1, 3]), np.arange(4.0))
    np.testing.assert_array_equal(own.regime, [0, 3])
    np.testing.assert_array_equal(own.gain, [0, 3])


def test_a_scale_is_the_root_mean_square_about_the_mean_over_actions() -> None:
    own = thought()
    values = own.values.astype(float)
    for brain, scale in enumerate(scales_of(own)):
        squares = [(v - row[brain].mean()) ** 2 for row in values for v in row[brain]]
        assert scale == pytest.approx(np.sqrt(np.mean(squares)))
    silent = Thought(np.full((9, 2, 3), 7.0, np.float32), np.zeros(9, int), np.zeros(9))
    np.testing.assert_array_equal(scales_of(silent), [1, 1])


def test_stacked_weights_meet_the_conditions_of_non_negative_least_squares() -> None:
    own = thought()
    scales = scales_of(own)
    found = stacked_weights(own, scales, DEFAULT_ACTIONS)
    for regime in range(REGIMES):
        rows = own.regime == regime
        lean = (own.values[rows, :, 1].astype(float) - own.values[rows, :, 2]) / scales
        assert found[regime].sum() == pytest.approx(1)
        # Up to the sum it was divided by: the best multiple of these weights leaves no slope on any brain that counts,
        # and one that cannot be followed below zero on those that do not (Karush, Kuhn and Tucker).
        told = lean @ found[regime]
        best = (told @ own.gain[rows]) / (told @ told)
        slope = lean.T @ (lean @ (best * found[regime]) - own.gain[rows])
        counts = found[regime] > 0
        np.testing.assert_allclose(slope[counts], 0, atol=1e-8 * np.abs(lean).sum())
        assert (slope[~counts] >= -1e-8).all()
        assert counts[1]
        assert not counts[3]


def test_ensembles_heed_no_brains_scale() -> None:
    trust = np.random.default_rng(1).uniform(size=(BRAINS, REGIMES))
    plain, larger = (ensemble_weights(thought(size=size), trust, DEFAULT_ACTIONS) for size in (1.0, 10.0))
    for name, weights in plain.items():
        assert weights.shape == (REGIMES, BRAINS)
        np.testing.assert_allclose(weights, larger[name] * 10, rtol=1e-4)


def test_the_mean_weighs_alike_and_trust_by_trust() -> None:
    trust = np.asarray([[0.2, 0, 0.5, 0], [0.6, 0, 0.5, 1], [0, 0, 0.5, 0], [0, 0, 0.5, 0]])
    own = thought()
    found = ensemble_weights(own, trust, DEFAULT_ACTIONS)
    shares = {name: weights * scales_of(own) for name, weights in found.items()}
    np.testing.assert_allclose(shares["mean"], 0.25, rtol=1e-6)
    expected = [[0.25, 0.75, 0, 0], [0.25] * 4, [0.25] * 4, [0, 1, 0, 0]]  # alike where nobody is trusted
    np.testing.assert_allclose(shares["trust"], expected, rtol=1e-6)


@pytest.mark.parametrize("rows", [0, 40])
def test_from_few_rows_nothing_is_fitted(rows: int) -> None:
    own = thought(rows=rows)
    found = ensemble_weights(own, np.zeros((BRAINS, REGIMES)), DEFAULT_ACTIONS)
    np.testing.assert_array_equal(found["stacked"], found["mean"])


def test_brains_that_only_mislead_count_alike() -> None:
    own = thought()
    misled = Thought(own.values[:, [3, 3]], own.regime, own.gain)
    found = ensemble_weights(misled, np.zeros((2, REGIMES)), DEFAULT_ACTIONS)
    np.testing.assert_array_equal(found["stacked"], found["mean"])

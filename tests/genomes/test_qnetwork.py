"""The Q-network beside what every species must do: its arithmetic, two ways of crossing, and damage by units."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genomes.qnetwork import Network, QNetwork, Settings
from genomes.species import Shape

pytestmark = pytest.mark.usefixtures("plainly_compiled")

SHAPE = Shape(features=5, account=4)
QUANTILES = jnp.zeros((9, 2))


def network(settings: Settings = Settings(hidden=(6, 3))) -> QNetwork:  # noqa: B008 - frozen
    return QNetwork(settings, SHAPE)


def drawn(species: QNetwork, seed: int) -> Network:
    """A network with biases too, as a mutated one has."""
    made: Network = species.mutate(
        jax.random.key(seed + 100), species.init(jax.random.key(seed), QUANTILES), jnp.float32(0.5), QUANTILES
    )
    return made


def units(genome: Network) -> list[np.ndarray]:
    """Every unit's incoming weights and bias, and every output's, as one vector each."""
    layers = [np.vstack([genome.market, genome.account, genome.bias])]
    layers += [np.vstack([layer.weight, layer.bias]) for layer in (*genome.hidden, genome.output)]
    return [column for layer in layers for column in layer.T]


def test_its_values_are_those_of_a_perceptron_over_features_and_account() -> None:
    species, rng = network(), np.random.default_rng(0)
    genome = drawn(species, 1)
    features, account = rng.normal(size=(7, 5)), rng.normal(size=(7, 4))
    inputs = np.hstack([features, account])
    hidden = np.maximum(inputs @ np.vstack([genome.market, genome.account]) + np.asarray(genome.bias), 0)
    for layer in genome.hidden:
        hidden = np.maximum(hidden @ np.asarray(layer.weight) + np.asarray(layer.bias), 0)
    want = hidden @ np.asarray(genome.output.weight) + np.asarray(genome.output.bias)
    code = species.encode(genome, jnp.asarray(features[None], jnp.float32))[0]
    got, _ = species.values(genome, code, jnp.asarray(account, jnp.float32), ())
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_a_child_is_the_mean_of_its_parents() -> None:
    species = network()
    first, second = drawn(species, 1), drawn(species, 2)
    child = species.crossover(jax.random.key(0), first, second)
    jax.tree.map(lambda c, a, b: np.testing.assert_allclose(c, (a + b) / 2, rtol=1e-6), child, first, second)


def test_a_child_by_units_takes_each_whole_from_one_parent() -> None:
    species = network(Settings(hidden=(6, 3), crossover="units"))
    first, second = drawn(species, 1), drawn(species, 2)
    from_first = []
    for seed in range(40):
        child = units(species.crossover(jax.random.key(seed), first, second))
        for own, a, b in zip(child, units(first), units(second), strict=True):
            assert np.array_equal(own, a) or np.array_equal(own, b)
            from_first.append(np.array_equal(own, a))
    assert len(from_first) == 40 * (6 + 3 + 3)
    assert abs(np.mean(from_first) - 0.5) < 0.1


@pytest.mark.parametrize("severity", [0.0, 0.5, 1.0])
def test_damage_silences_the_units_that_spoke_most(severity: float) -> None:
    species = network(Settings(hidden=(6, 3), damage=0.5))
    genome = drawn(species, 1)
    activity = jnp.asarray(np.random.default_rng(2).permutation(9), jnp.float32)
    after, hit = species.damage(jax.random.key(3), genome, activity, jnp.float32(severity), QUANTILES)
    count = int(np.ceil(severity * 0.5 * 9))
    np.testing.assert_array_equal(np.flatnonzero(hit), np.sort(np.argsort(-np.asarray(activity))[:count]))
    outgoing = np.vstack(
        [np.asarray(after.hidden[0].weight).sum(1)[:, None], np.asarray(after.output.weight).sum(1)[:, None]]
    )
    np.testing.assert_array_equal(outgoing[:, 0] == 0, np.asarray(hit) > 0)
    for place, (own, old) in enumerate(zip(units(after)[:9], units(genome)[:9], strict=True)):
        if hit[place]:
            assert own[-1] == 0, "its bias"
            assert not np.allclose(own, old)

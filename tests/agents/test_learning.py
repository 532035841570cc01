"""One update of learning: what it moves, what it must not touch, and that shortcuts say what the long way says.

That targets, losses, gradients and steps are right is shown against independent makings in `tests/oracles`.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_batches import learnable_leaves, pupil

from agents.learning import Batch, LearningSettings, action_values, forget_moments, new_optimiser, targets, update
from genomes.forest import Forest, ForestSpecies
from genomes.products import few_inputs, product
from genomes.species import Asking

pytestmark = pytest.mark.usefixtures("plainly_compiled")

SETTINGS = LearningSettings(inheritance="lamarckian")
NETWORK, FOREST = "network", "ordinary forest"
SEEDS = st.integers(0, 1000)


@functools.cache
def compiled(species: Any, given: LearningSettings = SETTINGS) -> Any:
    """`update` of a species, compiled once."""
    return jax.jit(lambda genome, target, kept, batch, rate: update(species, genome, target, kept, batch, rate, given))


@functools.cache
def _asked(species: ForestSpecies) -> Any:
    return jax.jit(species.asked)


def learned(own: Any, batch: Batch, *, kept: Any = None, given: LearningSettings = SETTINGS) -> Any:
    """Genome, optimiser and lesson after one update."""
    kept = new_optimiser(own.species, own.genome) if kept is None else kept
    return compiled(own.species, given)(own.genome, own.target, kept, batch, jnp.float32(0.01))


def assert_same(first: Any, second: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, first, second)


def saying(own: Any, values: list[float], genome: Any) -> Any:
    """The brain, saying the same of every row."""

    def silent(leaf: Any, learns: bool) -> Any:
        return jnp.zeros_like(leaf) if learns else leaf

    blank = jax.tree.map(silent, genome, own.species.learnable(genome))
    if isinstance(blank, Forest):
        return blank._replace(bias=jnp.asarray(values))
    return blank._replace(output=blank.output._replace(bias=jnp.asarray(values)))


def spoken(own: Any, batch: Batch) -> list[np.ndarray]:
    """For bias, market trees and state trees: which of their numbers had a say in a row that counts."""
    species: ForestSpecies = own.species
    ends = np.asarray(_asked(species)(own.genome, batch.features, batch.view))
    found = [np.zeros(np.shape(leaf), bool) for leaf in learnable_leaves(species, own.genome)]
    for row in np.flatnonzero(batch.weight):
        action = int(batch.action[row])
        found[0][action] = True
        for tree, leaf in enumerate(ends[:, row]):
            part = 1 + (tree >= species.settings.market_trees)
            found[part][tree - (part - 1) * species.settings.market_trees, leaf, action] = True
    return found


@pytest.mark.parametrize("name", [NETWORK, FOREST])
def test_the_brain_chooses_and_its_target_judges(name: str) -> None:
    own = pupil(name)
    brain, target = saying(own, [1.0, 3.0, 2.0], own.genome), saying(own, [30.0, 20.0, 40.0], own.target)
    wanted = jax.jit(functools.partial(targets, own.species))(brain, target, own.batch)
    np.testing.assert_allclose(wanted, own.batch.reward + 20.0 * own.batch.discount, rtol=1e-6)
    ended = own.batch.discount == 0
    assert ended.any()
    np.testing.assert_array_equal(wanted[ended], own.batch.reward[ended], "nothing follows ruin")


@pytest.mark.parametrize("name", [NETWORK, FOREST])
def test_nothing_is_learned_through_the_target(name: str) -> None:
    """Every row is worth what its best action is worth, so a gradient through that would move the best action too."""
    own = pupil(name)
    own = own._replace(genome=saying(own, [0.0, 0.0, 1.0], own.genome), target=saying(own, [0.0, 0.0, 1.0], own.target))
    batch = own.batch._replace(action=jnp.zeros_like(own.batch.action), weight=jnp.ones_like(own.batch.weight))
    genome, optimiser, _ = learned(own, batch._replace(reward=jnp.zeros_like(batch.reward)))
    bias, moment = (genome.bias, optimiser.mu[0]) if name == FOREST else (genome.output.bias, optimiser.mu[-1])
    assert bias[0] > 0 > moment[0]
    np.testing.assert_array_equal(bias[1:], [0.0, 1.0])
    np.testing.assert_array_equal(moment[1:], 0.0)


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS, other=SEEDS, name=st.sampled_from([NETWORK, FOREST]))
def test_rows_that_do_not_count_change_nothing(seed: int, other: int, name: str) -> None:
    own, strange = pupil(name, seed=seed), pupil(name, seed=other + 1001).batch
    counts = np.asarray(own.batch.weight) > 0

    def replaced(mine: Any, theirs: Any) -> Any:
        return jnp.asarray(np.where(counts if mine.ndim == 1 else counts[:, None], mine, theirs))

    batch = jax.tree.map(replaced, own.batch, strange)._replace(weight=own.batch.weight)
    assert_same(learned(own, own.batch), learned(own, batch))


@pytest.mark.parametrize("name", [NETWORK, FOREST])
def test_without_a_row_that_counts_nobody_learns(name: str) -> None:
    own = pupil(name)
    genome, optimiser, lesson = learned(own, own.batch._replace(weight=jnp.zeros_like(own.batch.weight)))
    assert_same(genome, own.genome)
    assert float(lesson.loss) == float(lesson.td_error) == 0.0
    assert not any(leaf.any() for leaf in (*optimiser.mu, *optimiser.nu))


@pytest.mark.parametrize("name", [NETWORK, FOREST])
def test_long_gradients_are_shortened_and_short_ones_left(name: str) -> None:
    own = pupil(name)
    tight = LearningSettings(inheritance="lamarckian", clip=0.1)
    wide, narrow = ([leaf / 0.1 for leaf in learned(own, own.batch, given=some)[1].mu] for some in (SETTINGS, tight))
    norm = np.sqrt(sum(np.sum(np.square(leaf)) for leaf in wide))
    assert 0.2 < norm < 10.0, "one is shortened, the other is not"
    for ours, full in zip(narrow, wide, strict=True):
        np.testing.assert_allclose(ours, full * 0.1 / norm, rtol=1e-4, atol=1e-7)


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS, name=st.just(FOREST))
def test_only_leaves_that_spoke_move_and_are_remembered(seed: int, name: str) -> None:
    own = pupil(name, seed=seed)
    _, before, _ = learned(own, pupil(name, seed=seed + 1).batch)
    genome, after, _ = learned(own, own.batch, kept=before)
    old, new = (learnable_leaves(own.species, one) for one in (own.genome, genome))
    told = spoken(own, own.batch)
    assert not all(asked.all() for asked in told)
    for place, asked in enumerate(told):
        for first, second in ((old, new), (before.mu, after.mu), (before.nu, after.nu)):
            np.testing.assert_array_equal(np.asarray(first[place])[~asked], np.asarray(second[place])[~asked])
    moved = [(a != b)[asked] for a, b, asked in zip(old, new, told, strict=True)]
    assert np.concatenate(moved).mean() > 0.7, "the others had errors that made up for each other"
    assert_same(genome.state.threshold, own.genome.state.threshold)


@pytest.mark.parametrize(("name", "coasts"), [(NETWORK, True), (FOREST, False)])
def test_networks_go_on_by_their_momentum_and_forests_do_not(name: str, coasts: bool) -> None:
    own = pupil(name)
    _, kept, _ = learned(own, own.batch)
    genome, _, _ = learned(own, own.batch._replace(weight=jnp.zeros_like(own.batch.weight)), kept=kept)
    moved = [bool((a != b).any()) for a, b in zip(jax.tree.leaves(genome), jax.tree.leaves(own.genome), strict=True)]
    assert any(moved) == coasts


@pytest.mark.parametrize("name", [NETWORK, FOREST])
def test_the_same_batch_again_and_again_is_learned(name: str) -> None:
    own = pupil(name)
    batch = own.batch._replace(discount=jnp.zeros_like(own.batch.discount))
    kept, losses = new_optimiser(own.species, own.genome), []
    for _ in range(100):
        genome, kept, lesson = learned(own, batch, kept=kept)
        own = own._replace(genome=genome)
        losses.append(float(lesson.loss))
    assert losses[-1] < 0.5 * losses[0]
    assert np.mean(losses[-10:]) < np.mean(losses[:10])


def test_what_was_changed_otherwise_is_forgotten() -> None:
    own = pupil(FOREST)
    _, kept, _ = learned(own, own.batch)
    changed = own.genome.market.leaf.at[1].add(1.0)
    after = own.genome._replace(market=own.genome.market._replace(leaf=changed))
    forgot = forget_moments(own.species, kept, own.genome, after)
    for old, new in ((kept.mu, forgot.mu), (kept.nu, forgot.nu)):
        assert old[1][1].any()
        np.testing.assert_array_equal(new[1][1], 0.0)
        assert_same([old[0], old[1].at[1].set(0.0), old[2]], new)
    assert int(forgot.count) == int(kept.count)


def test_every_agent_counts_its_own_steps() -> None:
    own = pupil(NETWORK)
    many = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (2, 3, *leaf.shape)), own.genome)
    kept = new_optimiser(own.species, many)
    assert kept.count.shape == (2, 3)
    assert [leaf.shape for leaf in kept.mu] == [leaf.shape for leaf in jax.tree.leaves(many)]


SPECIAL = st.sampled_from([0.0, -0.0, 1e-40, -1e-40, np.inf, -np.inf, np.nan, 0.5, -0.5, 3.0])


@functools.cache
def both_ways(species: Any) -> Any:
    """Action values, and their gradient, in the shortest way and by encoding and deciding as in an episode."""

    def long(genome: Any, features: Any, view: Any) -> Any:
        code = jax.tree.map(lambda leaf: leaf[0], species.encode(genome, features))
        return species.values(genome, code, view, species.initial_carry(view.shape[0]))[0]

    def both(genome: Any, features: Any, view: Any, pull: Any) -> Any:
        found = []
        for way in (functools.partial(action_values, species), long):
            values, back = jax.vjp(lambda one, way=way: way(one, features, view), genome)
            found.append((values, learnable_leaves(species, back(pull)[0])))
        return found

    return jax.jit(both)


@settings(max_examples=12, deadline=None)
@given(
    seed=SEEDS,
    name=st.sampled_from(["oblivious forest", FOREST]),
    odd=st.lists(st.tuples(st.integers(0, 23), st.integers(0, 8), SPECIAL), max_size=20),
)
def test_forests_learn_from_what_they_say_in_an_episode(seed: int, name: str, odd: list[Any]) -> None:
    """Also where a value is missing, infinite, subnormal or a zero of either sign, or is the threshold itself."""
    own = pupil(name, seed=seed)
    assert isinstance(own.species, Asking)
    seen = np.concatenate([own.batch.features[0], own.batch.view], axis=1)
    for row, place, value in odd:
        seen[row, place] = value
    seen[0, own.genome.state.feature[0, 0]] = own.genome.state.threshold[0, 0]
    pull = jax.random.normal(jax.random.key(seed), (24, 3))
    short, long = both_ways(own.species)(own.genome, jnp.asarray(seen[None, :, :5]), jnp.asarray(seen[:, 5:]), pull)
    np.testing.assert_allclose(short[0], long[0], rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(short[1], long[1], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(7, 3), (2, 5, 3)])
@pytest.mark.parametrize("short", [product, few_inputs])
def test_products_differentiated_by_hand_are_products(short: Any, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    rows, weight, pull = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in (shape, (3, 4), (*shape[:-1], 4)))
    found, back = jax.vjp(short, rows, weight)
    wanted, true = jax.vjp(jnp.matmul, rows, weight)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(back(pull), true(pull), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_nobody_learns_unless_children_have_something_of_it() -> None:
    assert not LearningSettings().enabled
    assert LearningSettings("lamarckian").enabled
    assert LearningSettings("baldwinian").enabled

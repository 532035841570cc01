"""Deep Q-learning against two independent makings of it on the same transitions.

RLax (DeepMind) says what double Q-learning, the Huber loss and n-step returns are. A second one is written here in
NumPy and float64, brains included, and differentiated by HIPS Autograd; Adam is its authors' formula.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from learning_batches import BRAINS, Pupil, learnable_leaves, pupil

from agents.learning import LearningSettings, action_values, loss, new_optimiser, targets, update
from arena.life import Trajectory, _batch
from genomes.forest import Forest
from markets.tape import MarketWindow

rlax = pytest.importorskip("rlax", reason="the [oracles] extra is not installed")
autograd = pytest.importorskip("autograd", reason="the [oracles] extra is not installed")
anp = pytest.importorskip("autograd.numpy")

pytestmark = pytest.mark.usefixtures("plainly_compiled")

SAME: Any = {"rtol": 1e-5, "atol": 1e-5}
SETTINGS = LearningSettings(inheritance="lamarckian", huber=0.7, clip=0.5)

Leaves = list[Any]


def float64(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)


def said(own: Pupil, leaves: Leaves, features: Any, view: Any) -> Any:
    """Action values [rows, actions] in float64, from the leaves that learn; Autograd sees through it."""
    x = np.concatenate([np.asarray(features[-1]), np.asarray(view)], axis=1)
    if not isinstance(own.genome, Forest):
        market, account, bias, *rest = leaves
        layer = anp.dot(x.astype(np.float64), anp.concatenate([market, account])) + bias
        for weight, shift in zip(rest[::2], rest[1::2], strict=True):
            layer = anp.dot(anp.maximum(layer, 0.0), weight) + shift
        return layer
    values, layout = leaves[0], own.species.layout
    for trees, leaf in zip((own.genome.market, own.genome.state), leaves[1:], strict=True):
        feature, threshold = np.asarray(trees.feature), np.asarray(trees.threshold)
        for tree in range(len(feature)):
            ends = []
            for row in x:
                node, place = 0, 0
                for level in range(layout.depth):
                    node = level if layout.oblivious else 2**level - 1 + place
                    place = 2 * place + int(row[feature[tree, node]] >= threshold[tree, node])
                ends.append(place)
            values = values + leaf[tree][np.array(ends)]
    return values + np.zeros((len(x), 1))


class Independent:
    """Double Q-learning with Huber loss, clipped gradients and Adam, in float64."""

    def __init__(self, own: Pupil, settings: LearningSettings) -> None:
        self.own, self.settings = own, settings
        self.leaves: Leaves = float64(learnable_leaves(own.species, own.genome))
        self.aims: Leaves = float64(learnable_leaves(own.species, own.target))
        self.first = [np.zeros_like(leaf) for leaf in self.leaves]
        self.second = [np.zeros_like(leaf) for leaf in self.leaves]
        self.steps = 0

    def targets(self) -> Any:
        batch = self.own.batch
        best = said(self.own, self.leaves, batch.later, batch.later_view).argmax(1)
        worth = said(self.own, self.aims, batch.later, batch.later_view)
        return float64(batch.reward) + float64(batch.discount) * worth[np.arange(len(best)), best]

    def errors(self, leaves: Leaves, wanted: Any) -> Any:
        batch = self.own.batch
        values = said(self.own, leaves, batch.features, batch.view)
        return values[np.arange(len(wanted)), np.asarray(batch.action)] - wanted

    def loss(self, leaves: Leaves, wanted: Any) -> Any:
        delta, weight = self.settings.huber, float64(self.own.batch.weight)
        size = anp.abs(self.errors(leaves, wanted))
        huber = anp.where(size <= delta, 0.5 * size**2, delta * (size - 0.5 * delta))
        return anp.sum(huber * weight) / weight.sum()

    def gradient(self) -> Leaves:
        found: Leaves = autograd.grad(self.loss)(self.leaves, self.targets())
        return found

    def step(self, rate: float) -> None:
        """Kingma and Ba 2015, algorithm 1; lazily where the species is sparse."""
        gradient = self.gradient()
        norm = np.sqrt(sum((leaf**2).sum() for leaf in gradient))
        self.steps += 1
        for n, raw in enumerate(gradient):
            slope = raw * min(1.0, self.settings.clip / norm)
            first = 0.9 * self.first[n] + 0.1 * slope
            second = 0.999 * self.second[n] + 0.001 * slope**2
            way = first / (1 - 0.9**self.steps) / (np.sqrt(second / (1 - 0.999**self.steps)) + 1e-8)
            moves = slope != 0 if self.own.species.sparse else np.ones_like(slope, bool)
            self.leaves[n] = np.where(moves, self.leaves[n] - rate * way, self.leaves[n])
            self.first[n] = np.where(moves, first, self.first[n])
            self.second[n] = np.where(moves, second, self.second[n])


def assert_leaves(found: Leaves, wanted: Leaves, **tolerance: Any) -> None:
    assert len(found) == len(wanted)
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, **{**SAME, **tolerance})


def with_leaves(species: Any, genome: Any, leaves: Leaves) -> Any:
    flat, form = jax.tree.flatten(genome)
    new, flags = iter(leaves), jax.tree.leaves(species.learnable(genome))
    return jax.tree.unflatten(form, [next(new) if learns else leaf for leaf, learns in zip(flat, flags, strict=True)])


@functools.cache
def differentiated(species: Any) -> Any:
    """Targets, loss, temporal differences and gradient, compiled once for a species."""

    def learn(own: Pupil) -> tuple[Any, ...]:
        wanted = targets(species, own.genome, own.target, own.batch)

        def lost(leaves: Leaves) -> Any:
            return loss(species, with_leaves(species, own.genome, leaves), wanted, own.batch, SETTINGS)

        (value, error), slope = jax.value_and_grad(lost, has_aux=True)(learnable_leaves(species, own.genome))
        return wanted, value, error, slope

    compiled = jax.jit(lambda genome, target, batch: learn(Pupil(species, genome, target, batch)))
    return lambda own: compiled(*own[1:])


@pytest.mark.parametrize("name", BRAINS)
@pytest.mark.parametrize("seed", range(3))
def test_targets_losses_and_gradients_are_those_of_an_independent_dqn(name: str, seed: int) -> None:
    own = pupil(name, seed=seed)
    other = Independent(own, SETTINGS)
    wanted, value, error, slope = differentiated(own.species)(own)
    theirs = other.targets()
    np.testing.assert_allclose(wanted, theirs, **SAME)
    np.testing.assert_allclose(error, other.errors(other.leaves, theirs), **SAME)
    np.testing.assert_allclose(value, other.loss(other.leaves, theirs), **SAME)
    assert_leaves(slope, other.gradient())


@pytest.mark.parametrize("name", BRAINS)
def test_three_whole_updates_are_adams(name: str) -> None:
    own = pupil(name, seed=5)
    other = Independent(own, SETTINGS)
    rate = jnp.float32(0.01)
    learn = jax.jit(
        lambda genome, optimiser: update(own.species, genome, own.target, optimiser, own.batch, rate, SETTINGS)
    )
    genome, optimiser = own.genome, new_optimiser(own.species, own.genome)
    for _ in range(3):
        wanted = other.targets()
        errors, value = other.errors(other.leaves, wanted), other.loss(other.leaves, wanted)
        other.step(0.01)
        genome, optimiser, lesson = learn(genome, optimiser)
        weight = float64(own.batch.weight)
        np.testing.assert_allclose(lesson.loss, value, **SAME)
        np.testing.assert_allclose(lesson.td_error, (np.abs(errors) * weight).sum() / weight.sum(), **SAME)
        # Adam divides small numbers by small ones: a first step is ±rate however small the slope.
        assert_leaves(learnable_leaves(own.species, genome), other.leaves, atol=1e-4)
        assert_leaves(optimiser.mu, other.first)
        assert_leaves(optimiser.nu, other.second, atol=1e-7)
    assert int(optimiser.count) == 3


@pytest.mark.parametrize("name", ["network", "ordinary forest"])
def test_temporal_differences_are_those_of_rlax(name: str) -> None:
    own = pupil(name, seed=2)
    batch = own.batch
    _, value, error, _ = differentiated(own.species)(own)

    @functools.partial(jax.jit, static_argnums=0)
    def values(species: Any, genome: Any, features: Any, view: Any) -> Any:
        return action_values(species, genome, features, view)

    theirs = jax.vmap(rlax.double_q_learning)(
        values(own.species, own.genome, batch.features, batch.view),
        batch.action,
        batch.reward,
        batch.discount,
        values(own.species, own.target, batch.later, batch.later_view),
        values(own.species, own.genome, batch.later, batch.later_view),
    )
    np.testing.assert_allclose(error, -theirs, **SAME)
    huber = jnp.asarray(rlax.huber_loss(theirs, SETTINGS.huber))
    np.testing.assert_allclose(value, (huber * batch.weight).sum() / batch.weight.sum(), **SAME)


@pytest.mark.parametrize("steps", [1, 3, 7])
def test_returns_of_several_bars_are_those_of_rlax(steps: int) -> None:
    """Three agents, one of which is ruined by its fourth bar: nothing is earned and nothing follows after that."""
    bars, gone = 20, 4
    rng = np.random.default_rng(steps)
    reward = rng.normal(size=(bars, 3, 1))
    action = rng.integers(0, 3, (bars, 3, 1))
    reward[gone:, 1], action[gone:, 1] = 0.0, -1
    trajectory = Trajectory(jnp.zeros((bars, 3, 1, 4)), jnp.asarray(action, jnp.int8), jnp.asarray(reward, jnp.float32))
    empty = jnp.zeros((bars, 1))
    market: Any = MarketWindow(jnp.zeros((bars, 1, 1, 2)), empty, empty, empty, jnp.zeros((bars, 1, 1)))
    begun = jnp.arange(bars - steps, dtype=jnp.int32)
    discount = jnp.asarray([0.9, 0.99, 0.5])
    batch = _batch(trajectory, market, begun, jnp.zeros_like(begun), discount, steps)
    worth = rng.normal(size=(bars + 1, 3))
    for agent in range(3):
        alive = (action[1:, agent, 0] >= 0).astype(np.float32)
        theirs = rlax.n_step_bootstrapped_returns(
            jnp.asarray(reward[:-1, agent, 0], jnp.float32),
            discount[agent] * alive,
            jnp.asarray(worth[1:bars, agent], jnp.float32),
            steps,
        )
        ours = batch.reward[:, agent] + batch.discount[:, agent] * worth[np.asarray(begun) + steps, agent]
        counted = np.asarray(batch.weight[:, agent]) > 0
        assert counted.sum() == min(bars - steps, gone if agent == 1 else bars)
        np.testing.assert_allclose(np.asarray(ours)[counted], np.asarray(theirs[: bars - steps])[counted], **SAME)

"""Deep Q-learning: one update of one brain from a batch of transitions; the arena maps it over agents.

Double Q-learning with a target network (van Hasselt, Guez and Silver 2016), n-step returns (Sutton and Barto 2018,
ch. 7), the Huber loss, gradients clipped by their global norm, and Adam (Kingma and Ba 2015). It is written for any
species: what a brain says of a bar is differentiated with respect to the leaves that `learnable` names. For a forest
these are what its leaves say, which makes it temporal-difference learning of the leaves that spoke.
"""

import dataclasses
import functools
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from genomes.species import Asked, Asking, Genome, Species, genome_form
from markets.settings import setting

__all__ = [
    "Batch",
    "LearningSettings",
    "Lesson",
    "action_values",
    "forget_moments",
    "loss",
    "new_optimiser",
    "targets",
    "update",
]

Optimiser = Any
"""What Adam remembers of one brain: `optax.ScaleByAdamState` over its learnable leaves."""

_DECAYS, _EPSILON = (0.9, 0.999), 1e-8
_ADAM = optax.scale_by_adam(*_DECAYS, eps=_EPSILON)
_TINY = 1e-12


@dataclasses.dataclass(frozen=True)
class LearningSettings:
    """How agents learn while they live, and what children have of it.

    Attributes:
        inheritance: what children receive: `lamarckian` what their parents learned, `baldwinian` what these were born
            with; `none` switches learning off.
        every: bars between two updates; brought down to a divisor of a window's bars.
        batch: transitions an update learns from.
        steps: bars whose rewards a target adds up before it asks for the value that follows.
        target: updates after which the target network is made equal to the brain.
        huber: error up to which the loss is quadratic, in deviations of a bar's return.
        clip: largest global norm of a gradient; a longer one is shortened to it.
        explored: share of a generation's windows in which random actions are taken; the others are judged.
    """

    inheritance: Literal["lamarckian", "baldwinian", "none"] = "none"
    every: int = setting(16, ge=1)
    batch: int = setting(64, ge=1)
    steps: int = setting(1, ge=1)
    target: int = setting(8, ge=1)
    huber: float = setting(1.0, gt=0.0)
    clip: float = setting(10.0, gt=0.0)
    explored: float = setting(0.25, ge=0.0, lt=1.0)

    @property
    def enabled(self) -> bool:
        """Whether anyone learns."""
        return self.inheritance != "none"


class Batch(NamedTuple):
    """Transitions one agent learns from; those of its rivals differ in all but the market."""

    features: Float[Array, "history rows features"]
    """What the market showed at the decision: the species' context, then the bar itself."""
    later: Float[Array, "history rows features"]
    """The same n bars on."""
    view: Float[Array, "rows view"]
    """The account as the agent saw it at the decision."""
    later_view: Float[Array, "rows view"]
    action: Int[Array, "rows"]
    """Index into the action space."""
    reward: Float[Array, "rows"]
    """Discounted return of the n bars that followed, in deviations of a bar's return."""
    discount: Float[Array, "rows"]
    """Of the value n bars on: γⁿ, or 0 where the account was ruined before."""
    weight: Float[Array, "rows"]
    """1 where a transition counts; 0 where there was no account left to decide for."""


class Lesson(NamedTuple):
    """What one update says of itself."""

    loss: Float[Array, ""]
    """Mean Huber loss."""
    td_error: Float[Array, ""]
    """Mean absolute temporal difference."""


def action_values(
    species: Species,
    genome: Genome,
    features: Float[Array, "history rows features"],
    view: Float[Array, "rows view"],
) -> Float[Array, "rows actions"]:
    """Values of all actions at one bar of many rows, without anything remembered of bars before.

    Args:
        species: whose brain it is.
        genome: the brain.
        features: the species' context of history, then the bar.
        view: the account at that bar.
    """
    return _answered(species, genome, _asked(species, genome, features, view))


def targets(species: Species, genome: Genome, target: Genome, batch: Batch) -> Float[Array, "rows"]:
    """What the brain should have said: r + γⁿ·Q_target(s', argmax_a Q(s', a)); it chooses, its target judges."""
    later = _asked(species, genome, batch.later, batch.later_view)
    chosen = jnp.argmax(_answered(species, genome, later), axis=-1)
    return batch.reward + batch.discount * _taken(_answered(species, target, later), chosen)


def loss(
    species: Species, genome: Genome, wanted: Float[Array, "rows"], batch: Batch, settings: LearningSettings
) -> tuple[Float[Array, ""], Float[Array, "rows"]]:
    """Mean Huber loss over the transitions that count, and the temporal difference of each.

    Args:
        species: whose brain it is.
        genome: the brain.
        wanted: `targets`, through which nothing is differentiated.
        batch: the transitions.
        settings: see `LearningSettings`.
    """
    said = _taken(action_values(species, genome, batch.features, batch.view), batch.action)
    error = said - wanted
    share = 1.0 / jnp.maximum(batch.weight.sum(), 1.0)
    return jnp.sum(_huber(error, settings.huber) * batch.weight) * share, error


def new_optimiser(species: Species, genome: Genome) -> Optimiser:
    """Adam before its first step; leaves may lead with axes of agents, each of which has a count of its own."""
    learnable = _learnable(species, genome)
    batch = _batch_axes(species, genome)
    state = _ADAM.init(learnable)
    return state._replace(count=jnp.zeros(batch, jnp.int32))


def update(
    species: Species,
    genome: Genome,
    target: Genome,
    optimiser: Optimiser,
    batch: Batch,
    rate: Float[Array, ""],
    settings: LearningSettings,
) -> tuple[Genome, Optimiser, Lesson]:
    """One step of Adam down the loss.

    Args:
        species: whose brain it is.
        genome: the brain, of one agent.
        target: its target network.
        optimiser: what Adam remembers of it.
        batch: the transitions.
        rate: learning rate.
        settings: see `LearningSettings`.
    """
    wanted = targets(species, genome, target, batch)

    def lost(own: list[Array]) -> tuple[Array, Array]:
        return loss(species, _with(species, genome, own), wanted, batch, settings)

    own = _learnable(species, genome)
    (value, error), gradient = jax.value_and_grad(lost, has_aux=True)(own)
    lesson = Lesson(value, jnp.sum(jnp.abs(error) * batch.weight) / jnp.maximum(batch.weight.sum(), 1.0))
    norm = jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in gradient))
    gradient = [leaf * jnp.minimum(1.0, settings.clip / jnp.maximum(norm, _TINY)) for leaf in gradient]
    _, moved = _ADAM.update(gradient, optimiser)
    step = _adam_step(moved)
    if species.sparse:
        step, moved = _only_where_asked(gradient, step, optimiser, moved)
    learned = [leaf - rate * way for leaf, way in zip(own, step, strict=True)]
    return _with(species, genome, learned), moved, lesson


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _huber(error: Float[Array, "rows"], delta: float) -> Float[Array, "rows"]:
    """Huber's loss: quadratic up to δ, linear beyond."""
    size = jnp.abs(error)
    return jnp.where(size <= delta, 0.5 * error * error, delta * (size - 0.5 * delta))


@_huber.defjvp
def _huber_slope(delta: float, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """Its slope is the error held to ±δ: one product, which the compiler cannot round in more than one way."""
    (error,), (along,) = primals, tangents
    return _huber(error, delta), jnp.clip(error, -delta, delta) * along


def _adam_step(state: Optimiser) -> list[Array]:
    """Adam's step, m̂ / (√v̂ + ε), from its moments after the gradient; ε and the decays are those of `_ADAM`.

    What is divided by a number is multiplied by its reciprocal instead: the compiler simplifies quotients of quotients
    one way for one device and another way for several, and the bits would differ.
    """
    first, second = (1.0 / (1.0 - decay ** state.count.astype(jnp.float32)) for decay in _DECAYS)
    return [m * first / (jnp.sqrt(v * second) + _EPSILON) for m, v in zip(state.mu, state.nu, strict=True)]


def forget_moments(species: Species, optimiser: Optimiser, before: Genome, after: Genome) -> Optimiser:
    """What Adam remembers, without anything of the numbers that were changed by other means; leaves as the genomes'."""
    changed = [old != new for old, new in zip(_learnable(species, before), _learnable(species, after), strict=True)]

    def zeroed(moments: list[Array]) -> list[Array]:
        return [jnp.where(hit, 0.0, moment) for hit, moment in zip(changed, moments, strict=True)]

    return optimiser._replace(mu=zeroed(optimiser.mu), nu=zeroed(optimiser.nu))


def _asked(species: Species, genome: Genome, features: Array, view: Array) -> Asked:
    """What action values depend on beside what learns: a brain and its target network have it in common."""
    return species.asked(genome, features, view) if isinstance(species, Asking) else (features, view)


def _answered(species: Species, genome: Genome, asked: Asked) -> Float[Array, "rows actions"]:
    """Action values from there."""
    if isinstance(species, Asking):
        return species.answered(genome, asked)
    features, view = asked
    code = jax.tree.map(lambda leaf: leaf[0], species.encode(genome, features))
    values, _ = species.values(genome, code, view, species.initial_carry(view.shape[0]))
    return values


def _taken(values: Float[Array, "rows actions"], action: Int[Array, "rows"]) -> Float[Array, "rows"]:
    """The value of one action a row, by comparison: gathers of single numbers, and their gradients, are slow."""
    return jnp.where(action[:, None] == jnp.arange(values.shape[-1]), values, 0.0).sum(-1)


def _learnable(species: Species, genome: Genome) -> list[Array]:
    """The leaves that learning may move."""
    pairs = zip(jax.tree.leaves(genome), jax.tree.leaves(species.learnable(genome)), strict=True)
    return [leaf for leaf, learns in pairs if learns]


def _with(species: Species, genome: Genome, learned: list[Array]) -> Genome:
    """The genome with its learnable leaves replaced."""
    leaves, form = jax.tree.flatten(genome)
    new = iter(learned)
    flags = jax.tree.leaves(species.learnable(genome))
    return jax.tree.unflatten(form, [next(new) if learns else leaf for leaf, learns in zip(leaves, flags, strict=True)])


def _batch_axes(species: Species, genome: Genome) -> tuple[int, ...]:
    """Axes of agents that a genome's leaves lead with."""
    own, alone = jax.tree.leaves(genome)[0], jax.tree.leaves(genome_form(species))[0]
    return tuple(own.shape[: own.ndim - alone.ndim])


def _only_where_asked(
    gradient: list[Array], step: list[Array], before: Optimiser, after: Optimiser
) -> tuple[list[Array], Optimiser]:
    """Steps and moments of the numbers that have a gradient; all others stay, instead of coasting on their momentum."""

    def asked(new: list[Array], old: list[Array]) -> list[Array]:
        return [jnp.where(way != 0, x, y) for way, x, y in zip(gradient, new, old, strict=True)]

    still = [jnp.zeros_like(way) for way in step]
    return asked(step, still), after._replace(mu=asked(after.mu, before.mu), nu=asked(after.nu, before.nu))

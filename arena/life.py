"""A life with learning: agents act for some bars, learn once from what has happened so far, and go on.

The trajectory of a generation is all that is learned from: what was seen of the account, done and earned at every bar
and window; the market is read by index. Agents of a block draw the same transitions and are tempted to stray at the
same bars (common random numbers), so the market's part of a batch is read and multiplied once for all of them. In some
windows of each half random actions are taken; only the others are judged.
"""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int8, Int32
from numpy.typing import NDArray

from agents.learning import Batch, LearningSettings, Lesson, update
from arena.keys import Purpose, fold
from arena.rollout import Rollout, Step, Stray, Stretch, Trader, play, start
from arena.tally import Tally, of_windows
from genomes.species import Genome
from markets.rules import BrokerRules
from markets.tape import MarketWindow

__all__ = ["Chances", "Learned", "Trajectory", "between_updates", "draw_chances", "explored", "judged_windows", "live"]


_BATCH_AXES: Any = Batch._make([None, None, 1, 1, 1, 1, 1, 1])
"""Which axis of each part of a batch is that of agents; they share what the market shows."""


class Chances(NamedTuple):
    """What is random in the lives of a generation, the same for every agent of an island."""

    chance: Float[Array, "bars episodes instruments"]
    """Uniform in [0, 1) in explored windows; 1 in those that are judged."""
    direction: Float[Array, "bars episodes instruments"]
    """Of the action that is taken by who strays."""
    bar: Int32[Array, "updates batch"]
    """Bars of the windows whose transitions are learned from."""
    row: Int32[Array, "updates batch"]
    """Their episodes and instruments, numbered together."""


class Trajectory(NamedTuple):
    """What was seen of the account, done and earned; agents after the bars, so that a batch reads whole runs."""

    view: Float[Array, "bars agents rows view"]
    action: Int8[Array, "bars agents rows"]
    """Index into the action space; −1 where there was no account left to decide for."""
    reward: Float[Array, "bars agents episodes"]
    """Log return from close to close, in deviations of a bar's return."""


class Learned(NamedTuple):
    """What a life leaves behind, beside its tally."""

    genome: Genome
    optimiser: Any
    lesson: Lesson
    """Means over the updates, leaves [agents]."""


class _Life(NamedTuple):
    """What is handed from one update to the next."""

    stretch: Stretch
    genome: Genome
    target: Genome
    optimiser: Any
    trajectory: Trajectory


def between_updates(bars: int, settings: LearningSettings) -> int:
    """Bars between two updates: `every`, brought down to a divisor of a window's bars."""
    return next(d for d in range(min(bars, settings.every), 0, -1) if bars % d == 0)


def explored(episodes: int, settings: LearningSettings) -> NDArray[np.bool_]:
    """Windows in which random actions are taken: the last ones of the first half and the first ones of the second.

    Regimes take turns among the windows (`arena.episodes`), so a run of them leaves each regime as many to be judged as
    any other, but for one. A window of each half at least is judged.
    """
    half = episodes // 2
    count = min(math.ceil(settings.explored * half), half - 1)
    place = np.arange(episodes)
    return (half - count <= place) & (place < half + count)


def judged_windows(episodes: int, settings: LearningSettings) -> NDArray[np.intp]:
    """The windows that count for fitness, scars and records: all but the explored ones."""
    return np.flatnonzero(~explored(episodes, settings)) if settings.enabled else np.arange(episodes)


def draw_chances(
    seed: Array,
    generation: Array,
    island: Array,
    setup: Rollout,
    settings: LearningSettings,
    bars: int,
    episodes: int,
    instruments: int,
) -> Chances:
    """The chances of one generation of an island.

    Args:
        seed: of the island.
        generation: whose lives these are.
        island: its number within its replicate.
        setup: whose actions are drawn.
        settings: see `LearningSettings`.
        bars: bars a window.
        episodes: windows.
        instruments: traded at once.
    """
    size = (bars, episodes, instruments)
    stray, which = jax.random.split(fold(seed, generation, Purpose.EXPLORATION, island))
    directions = jnp.asarray(setup.species.shape.actions.directions())
    action = jax.random.randint(which, size, 0, len(setup.species.shape.actions))
    strays = jnp.asarray(explored(episodes, settings))[:, None]
    every = between_updates(bars, settings)
    updates = bars // every
    at, row = jax.random.split(fold(seed, generation, Purpose.REPLAY, island))
    # A transition needs the bar n bars on, which is there once it was decided at.
    known = every * (1.0 + jnp.arange(updates)[:, None]) - settings.steps
    share = jax.random.uniform(at, (updates, settings.batch))
    return Chances(
        chance=jnp.where(strays, jax.random.uniform(stray, size), 1.0),
        direction=directions[action],
        bar=jnp.minimum(share * known, known - 1.0).astype(jnp.int32),
        row=jax.random.randint(row, (updates, settings.batch), 0, episodes * instruments, jnp.int32),
    )


def live(
    setup: Rollout,
    trader: Trader,
    epsilon: Float[Array, "agents"],
    optimiser: Any,
    market: MarketWindow,
    rules: BrokerRules,
    settings: LearningSettings,
    chances: Chances,
    scale: Float[Array, ""],
) -> tuple[Tally, Learned]:
    """Let a block of agents trade a set of windows from flat, and learn as they go.

    Args:
        setup: what is static.
        trader: the agents as they begin, leaves [agents, …].
        epsilon: share of random actions in explored windows.
        optimiser: what Adam remembers of each brain.
        market: the windows, the same for all of them.
        rules: of the broker in each episode.
        settings: see `LearningSettings`.
        chances: of this generation.
        scale: log return that a reward of 1 is.

    Returns:
        The tally of the judged windows, and what was learned.
    """
    bars, episodes = market.regime.shape
    agents, instruments = trader.genes.size.shape[0], market.gain.shape[-1]
    every = between_updates(bars, settings)
    setup = dataclasses.replace(setup, chunk=math.gcd(setup.chunk, every))
    context = setup.species.context
    directions = setup.species.shape.actions.directions()

    def keep(step: Step) -> Trajectory:
        action = sum((step.wanted == way) * index for index, way in enumerate(directions))
        return Trajectory(
            view=step.view.reshape(agents, episodes * instruments, -1),
            action=jnp.where(step.alive[..., None], action, -1).astype(jnp.int8).reshape(agents, -1),
            reward=step.outcome.reward / scale,
        )

    def learn_one(genome: Genome, target: Genome, optimiser: Any, batch: Batch, rate: Array) -> Any:
        return update(setup.species, genome, target, optimiser, batch, rate, settings)

    learn = jax.vmap(learn_one, (0, 0, 0, _BATCH_AXES, 0))

    def stage(life: _Life, number: Array) -> tuple[_Life, Lesson]:
        first = number * every
        ahead = _stretch(market, first, every, context)
        now = trader._replace(genome=life.genome)
        chance, way = (lax.dynamic_slice_in_dim(x, first, every) for x in (chances.chance, chances.direction))
        stretch, kept = play(setup, now, life.stretch, ahead, rules, keep, Stray(epsilon, chance, way))
        trajectory = jax.tree.map(
            lambda whole, new: lax.dynamic_update_slice_in_dim(whole, new, first, 0), life.trajectory, kept
        )
        target = jax.tree.map(
            lambda own, old: jnp.where(number % settings.target == 0, own, old), life.genome, life.target
        )
        batch = _batch(
            trajectory, market, chances.bar[number], chances.row[number], trader.genes.discount, settings.steps
        )
        rate = trader.genes.learning_rate
        genome, optimiser, lesson = learn(life.genome, target, life.optimiser, batch, rate)
        return _Life(stretch, genome, target, optimiser, trajectory), lesson

    rows = episodes * instruments
    empty = Trajectory(
        view=jnp.zeros((bars, agents, rows, setup.species.shape.account)),
        action=jnp.full((bars, agents, rows), -1, jnp.int8),
        reward=jnp.zeros((bars, agents, episodes)),
    )
    begun = _Life(start(setup, trader, market, rules), trader.genome, trader.genome, optimiser, empty)
    life, lessons = lax.scan(stage, begun, jnp.arange(bars // every))
    tally = of_windows(life.stretch.tally, judged_windows(episodes, settings))
    return tally, Learned(life.genome, life.optimiser, jax.tree.map(lambda x: x.mean(0), lessons))


def _stretch(market: MarketWindow, first: Array, bars: int, context: int) -> MarketWindow:
    """Some bars of the windows, with their history."""

    def some(leaf: Array, length: int = bars) -> Array:
        return lax.dynamic_slice_in_dim(leaf, first, length)

    return MarketWindow(
        features=some(market.features, context + bars),
        bar=jax.tree.map(some, market.bar),
        regime=some(market.regime),
        atr=some(market.atr),
        gain=some(market.gain),
    )


def _batch(
    trajectory: Trajectory,
    market: MarketWindow,
    bar: Int32[Array, "batch"],
    row: Int32[Array, "batch"],
    discount: Float[Array, "agents"],
    steps: int,
) -> Batch:
    """Transitions that begin at these places; agents are the second axis of what is not the market's.

    A return ends with the account: nothing is earned by who is ruined, and no value follows.
    """
    context = market.features.shape[0] - market.regime.shape[0]
    seen = market.features.reshape(market.features.shape[0], -1, market.features.shape[-1])
    history = jnp.arange(context + 1)[:, None]
    reward, weight = jnp.zeros((len(bar), len(discount))), jnp.ones(len(discount))
    episode = row // market.gain.shape[-1]
    for _ in range(steps):
        reward = reward + weight * trajectory.reward[bar, :, episode]
        weight, bar = weight * discount, bar + 1
    begun = bar - steps
    alive = (trajectory.action[bar, :, row] >= 0).astype(jnp.float32)
    return Batch(
        features=seen[begun + history, row],
        later=seen[bar + history, row],
        view=trajectory.view[begun, :, row],
        later_view=trajectory.view[bar, :, row],
        action=trajectory.action[begun, :, row],
        reward=reward,
        discount=weight * alive,
        weight=(trajectory.action[begun, :, row] >= 0).astype(jnp.float32),
    )

"""The arms: what is done to whom, with the arm as a traced number, so that all arms are one compiled program.

An event is what a scar is made of: the worst episode of one of the worst hit agents, the bars from the onset of its
drawdown to the bottom, its severity, and how many units of each layer speak most there, up to the number that severity
sets. What the arms of damage do with an event differs only in which units are hit, or in who is.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int32, UInt8, UInt32
from numpy.typing import NDArray

from agents.learning import forget_moments
from agents.memory import remember
from agents.population import Population
from arena.keys import Purpose, fold
from arena.rollout import Trace
from experiments.scars.plan import Arm, Parts, ScarPlan
from genomes.species import Genome, Quantiles
from markets.tape import MarketWindow

__all__ = ["DAMAGING", "Events", "matched", "no_events", "on_schedule", "own_events", "treat"]

DAMAGING = (Arm.SCARS, Arm.SHAM, Arm.PERMUTED, Arm.INVERTED)
"""Arms in which an event damages a brain."""

_SECOND = 1e3  # farther than any two returns lie apart

_RANDOM_UNITS, _FRESH, _RESET = 1, 2, 3  # what a key of `Purpose.SCAR` is folded with, beside the damage itself


class Events(NamedTuple):
    """Events of one generation and run; meaningless where `made` is false."""

    made: Bool[Array, "*runs scars"]
    slot: Int32[Array, "*runs scars"]
    id: UInt32[Array, "*runs scars"]
    """Of whom the arm treats: in the sham not of the agent whose event it was."""
    episode: Int32[Array, "*runs scars"]
    onset: Int32[Array, "*runs scars"]
    """First bar of the drawdown."""
    bottom: Int32[Array, "*runs scars"]
    """The bar after its last."""
    cause: UInt8[Array, "*runs scars"]
    """Index into `arena.fitness.CAUSES`."""
    severity: Float[Array, "*runs scars"]
    calm: Float[Array, "*runs scars"]
    """Log return a crash-free window of this generation, of the agent treated."""
    layers: Int32[Array, "*runs scars layers"]
    """Units to be hit in each layer."""


def no_events(batch: tuple[int, ...], scars: int, layers: int) -> Events:
    """Places for events, all of them empty."""
    shape = (*batch, scars)
    leaves: dict[str, Any] = {  # NumPy until the program takes them
        "made": np.zeros(shape, bool),
        "slot": np.zeros(shape, np.int32),
        "id": np.zeros(shape, np.uint32),
        "episode": np.zeros(shape, np.int32),
        "onset": np.zeros(shape, np.int32),
        "bottom": np.zeros(shape, np.int32),
        "cause": np.zeros(shape, np.uint8),
        "severity": np.zeros(shape, np.float32),
        "calm": np.zeros(shape, np.float32),
        "layers": np.zeros((*shape, layers), np.int32),
    }
    return Events(**leaves)


def own_events(
    plan: ScarPlan,
    population: Population,
    severity: Float[Array, "slots episodes"],
    cause: UInt8[Array, "slots episodes"],
    calm: Float[Array, "slots"],
    trace: Trace,
    cash: float,
) -> Events:
    """The worst hit agents of a generation; which units spoke is found by `treat`.

    Args:
        plan: of the experiment.
        population: as it was judged.
        severity: of what each episode did to each agent; 0 is no harm.
        cause: index into `arena.fitness.CAUSES`.
        calm: log return a crash-free window.
        trace: of all agents and episodes.
        cash: that accounts start with.
    """
    episode = jnp.argmax(severity, axis=1).astype(jnp.int32)
    worst = jnp.take_along_axis(severity, episode[:, None], axis=1)[:, 0]
    depth, slot = lax.top_k(worst, plan.scars)
    chosen = episode[slot]
    bars = trace.equity.shape[0]
    equity = jnp.concatenate([jnp.full((1, plan.scars), cash), trace.equity[:, slot, chosen]])
    bottom = jnp.argmax(1.0 - equity / lax.cummax(equity), axis=0)
    until = jnp.arange(bars + 1)[:, None] <= bottom
    onset = jnp.argmax(jnp.where(until, equity, -jnp.inf), axis=0)
    return Events(
        made=depth > 0,
        slot=slot.astype(jnp.int32),
        id=population.id[slot],
        episode=chosen,
        onset=onset.astype(jnp.int32),
        bottom=jnp.maximum(bottom, onset + 1).astype(jnp.int32),
        cause=cause[slot, chosen],
        severity=depth,
        calm=calm[slot],
        layers=jnp.zeros((plan.scars, len(plan.hidden)), jnp.int32),
    )


def matched(
    given: Events, population: Population, calm: Float[Array, "slots"], ruined: Bool[Array, "slots episodes"]
) -> Events:
    """Another run's events for agents of this one: each for the agent nearest in crash-free fitness that no episode of
    this generation ruined; where there is none left, for the nearest that the event's own episode did not ruin. Nobody
    gets two, and an event that finds nobody is not made.

    Args:
        given: events of the paired run in this generation.
        population: of this run.
        calm: log return a crash-free window, of its agents.
        ruined: which episodes ruined whom.
    """
    second = jnp.where(ruined.any(1), _SECOND, 0.0)

    def find(taken: Array, wanted: tuple[Array, Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        made, fitness, episode = wanted
        far = jnp.where(taken | ruined[:, episode], jnp.inf, jnp.abs(calm - fitness) + second)
        slot = jnp.argmin(far).astype(jnp.int32)
        found = made & jnp.isfinite(far[slot])
        return taken.at[slot].set(taken[slot] | found), (slot, found)

    nobody = jnp.zeros(ruined.shape[0], bool)
    _, (slot, found) = lax.scan(find, nobody, (given.made, given.calm, given.episode))
    return given._replace(made=found, slot=slot, id=population.id[slot], calm=calm[slot])


def treat(
    plan: ScarPlan,
    parts: Parts,
    arm: Int32[Array, ""],
    population: Population,
    acted: Genome,
    events: Events,
    market: MarketWindow,
    trace: Trace,
    quantiles: Quantiles,
    seed: UInt32[Array, ""],
    generation: Int32[Array, ""],
) -> tuple[Population, Events, Float[Array, "scars units"]]:
    """Damage, or memory, where the arm has events do that.

    Args:
        plan: of the experiment.
        parts: of the house.
        arm: see `Arm`.
        population: as it has learned.
        acted: brains with which it was judged.
        events: own, or in the sham those of the pair with their `layers`.
        market: the generation's windows.
        trace: of all agents and episodes.
        quantiles: of what agents see.
        seed: of the run.
        generation: the one just judged.

    Returns:
        The population, the events with the number of units of each layer, and which units were hit.
    """
    species, layer = parts.species, _layers(plan)
    bars = trace.equity.shape[0]

    def spoken(slot: Array, episode: Array, onset: Array, bottom: Array) -> Array:
        own = jax.tree.map(lambda x: x[slot], acted)
        spoke = species.activity(own, market.features[:, episode], trace.view[:, slot, episode])[:, 0]
        during = (jnp.arange(bars) >= onset) & (jnp.arange(bars) < bottom)
        return (spoke * during[:, None]).sum(0) / jnp.maximum(during.sum(), 1)

    def hurt(slot: Array, identity: Array, hit: Array) -> Genome:
        key = fold(seed, generation, Purpose.SCAR, identity)
        return _redrawn(parts, key, jax.tree.map(lambda x: x[slot], population.genome), hit, quantiles)

    activity = jax.vmap(spoken)(events.slot, events.episode, events.onset, events.bottom)
    number = jnp.ceil(jnp.clip(events.severity, 0.0, 1.0) * plan.damage * species.units)
    most = (_rank(-activity) < number[:, None]).astype(jnp.int32)
    counted = most @ jnp.asarray(layer[:, None] == np.arange(len(plan.hidden)), jnp.int32)
    counts = jnp.where(arm == Arm.SHAM, events.layers, counted)

    draws = jax.vmap(lambda own: fold(seed, generation, Purpose.SCAR, own))(events.id)
    chance = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, _RANDOM_UNITS), (species.units,)))(draws)
    first = jnp.where(arm == Arm.PERMUTED, chance, jnp.where(arm == Arm.INVERTED, activity, -activity))
    hits = _rank_in_layer(first, layer) < counts[:, layer]
    damaging = jnp.isin(arm, jnp.asarray(DAMAGING)) & events.made
    hits = hits & damaging[:, None]

    damaged = jax.vmap(hurt)(events.slot, events.id, hits)
    # What is not made may name a slot that another event hits, so it is put nowhere.
    slots = population.id.shape[0]
    at = jnp.where(events.made, events.slot, slots)
    genome = jax.tree.map(lambda old, new: old.at[at].set(new, mode="drop"), population.genome, damaged)
    remembers = (arm == Arm.MEMORY) & events.made
    moments = jnp.zeros((slots, market.features.shape[-1]))
    moments = moments.at[at].set(market.features[events.onset, events.episode, 0], mode="drop")
    felt = jnp.zeros(slots).at[at].set(jnp.where(remembers, events.severity, 0.0), mode="drop")
    treated = _with_genome(parts, population, genome)._replace(
        memory=remember(population.memory, moments, felt, felt > 0)
    )
    return treated, events._replace(layers=counts), hits.astype(jnp.float32)


def on_schedule(
    plan: ScarPlan,
    parts: Parts,
    arm: Int32[Array, ""],
    population: Population,
    acted: Genome,
    market: MarketWindow,
    trace: Trace,
    quantiles: Quantiles,
    seed: UInt32[Array, ""],
    generation: Int32[Array, ""],
) -> Population:
    """What the arms with a schedule do to everybody every `plan.every` generations; see `treat` for the arguments.

    A dormant unit is one whose share of its layer's activity, over all bars of the generation, is at most
    `plan.dormant` of the layer's mean.
    """
    species, layer = parts.species, _layers(plan)
    width = jnp.asarray(np.asarray(plan.hidden)[layer], jnp.float32)

    def key_of(identity: Array, use: int) -> Array:
        return jax.random.fold_in(fold(seed, generation, Purpose.SCAR, identity), use)

    def reset(one: tuple[Genome, Genome, Array, Array]) -> Genome:
        own, as_acted, identity, view = one
        share = species.activity(as_acted, market.features[:, :, 0], view).mean((0, 1))
        return _redrawn(parts, key_of(identity, _RESET), own, share * width <= plan.dormant, quantiles)

    def shrink(one: tuple[Genome, Genome, Array, Array]) -> Genome:
        own, _, identity, _ = one
        fresh = species.init(key_of(identity, _FRESH), quantiles)
        return jax.tree.map(lambda x, new: plan.shrink * x + (1.0 - plan.shrink) * new, own, fresh)

    due = (generation + 1) % plan.every == 0
    which = jnp.where(due & (arm == Arm.DORMANT), 1, jnp.where(due & (arm == Arm.SHRINK), 2, 0))
    views = jnp.moveaxis(trace.view[:, :, :, 0], 1, 0)

    def unchanged(one: tuple[Any, ...]) -> Genome:
        return one[0]

    def mapped(change: Any) -> Any:
        return lambda all_of_them: lax.map(change, all_of_them)

    everybody = (population.genome, acted, population.id, views)
    genome = lax.switch(which, [unchanged, mapped(reset), mapped(shrink)], everybody)
    return _with_genome(parts, population, genome)


def _with_genome(parts: Parts, population: Population, genome: Genome) -> Population:
    """The population with other brains; what Adam remembers of weights that changed is zero."""
    learner = population.learner
    if parts.learning.enabled:
        moments = forget_moments(parts.species, learner.optimiser, population.genome, genome)
        learner = learner._replace(optimiser=moments)
    return population._replace(genome=genome, learner=learner)


def _redrawn(parts: Parts, key: Array, genome: Genome, hit: Bool[Array, "units"], quantiles: Quantiles) -> Genome:
    """One brain with some units damaged as a scar damages them: incoming weights new, bias and outgoing ones zero.

    The species takes the most active units, as many as severity times their number, rounded up.
    """
    severity = jnp.maximum(hit.sum() - 0.5, 0.0) / parts.species.units
    return parts.species.damage(key, genome, hit.astype(jnp.float32), severity, quantiles)[0]


def _layers(plan: ScarPlan) -> NDArray[np.intp]:
    """Layer of each unit."""
    return np.repeat(np.arange(len(plan.hidden)), plan.hidden)


def _rank(values: Float[Array, "scars units"]) -> Int32[Array, "scars units"]:
    """Rank of each unit, 0 for the smallest."""
    return jnp.argsort(jnp.argsort(values, axis=-1), axis=-1)


def _rank_in_layer(values: Float[Array, "scars units"], layer: NDArray[np.intp]) -> Int32[Array, "scars units"]:
    """Rank of each unit among those of its layer, 0 for the smallest; of equals the first."""
    earlier = np.arange(len(layer))[:, None] < np.arange(len(layer))
    below = (values[:, :, None] < values[:, None, :]) | ((values[:, :, None] == values[:, None, :]) & earlier)
    return (below & jnp.asarray(layer[:, None] == layer)).sum(1)

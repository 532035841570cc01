"""Scarring: the worst episodes of a generation are rolled out again, and leave their mark.

Nothing is kept bar by bar while agents are judged; the few whose worst episode harmed them most are played once more,
with a trace, to see when the drawdown began, what the market looked like then, and which units spoke most until the
bottom.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int32, UInt8

from agents.exploration import ExplorationSettings, adapt
from agents.learning import forget_moments
from agents.memory import remember
from agents.population import Population
from agents.scars import Scars, ScarSettings
from arena.keys import Purpose, fold
from arena.rollout import Rollout, Trader, roll_out
from genomes.species import Quantiles
from markets.tape import Tape, rules_at, window

__all__ = ["scar"]


def scar(
    population: Population,
    trader: Trader,
    severity: Float[Array, "slots episodes"],
    cause: UInt8[Array, "slots episodes"],
    won: Array,
    first: Int32[Array, "episodes"],
    tape: Tape,
    quantiles: Quantiles,
    bars: int,
    seed: Array,
    generation: Array,
    setup: Rollout,
    settings: ScarSettings,
    exploration: ExplorationSettings,
) -> tuple[Population, Scars]:
    """Scar the worst hit agents of one island.

    Args:
        population: of one island, as it was judged.
        trader: the same agents as they acted.
        severity: of what each episode did to each agent; 0 is no harm.
        cause: index into `arena.fitness.CAUSES`.
        won: which agents gained money this generation; they explore less.
        first: rows of the generation's windows.
        tape: the market.
        quantiles: of what the island's agents see.
        bars: bars a window.
        seed: of the island.
        generation: the one just judged.
        setup: how agents act.
        settings: what scars do.
        exploration: how ε moves.

    Returns:
        The population after scars, ε and trust have moved, and the scars.
    """
    slots = severity.shape[0]
    episode = jnp.argmax(severity, axis=1).astype(jnp.int32)
    worst = jnp.take_along_axis(severity, episode[:, None], axis=1)[:, 0]
    count = min(settings.count, slots) if settings.enabled else 0
    depth, slot = jax.lax.top_k(worst, count)
    made = depth > 0
    chosen = episode[slot]

    def look_back(slot: Array, episode: Array) -> tuple[Array, Array, Array]:
        """Onset of the drawdown (bar of the window), market then, and activity until the bottom."""
        one = jax.tree.map(lambda x: x[slot][None], trader)
        start = first[episode][None]
        market = window(tape, start, bars, setup.species.context)
        _, trace = roll_out(setup, one, market, rules_at(setup.rules, tape, start), trace=True)
        assert trace is not None
        equity = jnp.concatenate([jnp.full(1, setup.rules.cash, jnp.float32), trace.equity[:, 0, 0]])
        peak = jax.lax.cummax(equity)
        bottom = jnp.argmax(1.0 - equity / peak)
        onset = jnp.argmax(jnp.where(jnp.arange(bars + 1) <= bottom, equity, -jnp.inf))
        genome = jax.tree.map(lambda x: x[0], one.genome)
        instruments = market.gain.shape[-1]
        seen = market.features.reshape(-1, instruments, market.features.shape[-1])
        spoke = setup.species.activity(genome, seen, trace.view[:, 0, 0])
        during = (jnp.arange(bars) >= onset) & (jnp.arange(bars) < jnp.maximum(bottom, onset + 1))
        activity = (spoke.mean(1) * during[:, None]).sum(0) / jnp.maximum(during.sum(), 1)
        onset = jnp.minimum(onset, bars - 1)
        return onset, market.features[setup.species.context + onset, 0].mean(0), activity

    onset, looked, activity = jax.vmap(look_back)(slot, chosen)
    row = first[chosen] + onset.astype(jnp.int32)
    units = jnp.zeros((count, setup.species.units))
    genome, learner = population.genome, population.learner

    if settings.enabled and settings.damage:

        def hurt(slot: Array, identity: Array, activity: Array, depth: Array) -> tuple[object, Array]:
            key = fold(seed, generation, Purpose.SCAR, identity)
            return setup.species.damage(key, jax.tree.map(lambda x: x[slot], genome), activity, depth, quantiles)

        damaged, units = jax.vmap(hurt)(slot, population.id[slot], activity, jnp.where(made, depth, 0.0))
        units = jnp.where(made[:, None], units, 0.0)

        def put(old: Array, new: Array) -> Array:
            keep = made.reshape(-1, *(1,) * (new.ndim - 1))
            return old.at[slot].set(jnp.where(keep, new, old[slot]))

        genome = jax.tree.map(put, genome, damaged)
        if learner.optimiser:
            learner = learner._replace(
                optimiser=forget_moments(setup.species, learner.optimiser, population.genome, genome)
            )

    scarred = jnp.zeros(slots, bool).at[slot].set(made)
    felt = jnp.zeros(slots).at[slot].set(jnp.where(made, depth, 0.0))
    memory = population.memory
    if settings.enabled and settings.memory.enabled:
        moments = jnp.zeros((slots, looked.shape[-1])).at[slot].set(looked)
        memory = remember(memory, moments, felt, scarred)
    regime = tape.regime[row]
    reputation = population.reputation
    if settings.enabled and settings.distrust:
        known = regime < reputation.failure.shape[-1]
        weight = jnp.where(made & known, setup.trust.worst * depth, 0.0)
        place = jnp.minimum(regime, reputation.failure.shape[-1] - 1)
        reputation = reputation._replace(failure=reputation.failure.at[slot, place].add(weight))
    epsilon = population.epsilon
    if exploration.enabled:
        epsilon = adapt(epsilon, won, felt if settings.explore else jnp.zeros_like(felt), exploration)
    scars = Scars(
        made=made,
        slot=slot.astype(jnp.int32),
        id=population.id[slot],
        episode=chosen,
        row=row,
        regime=regime,
        cause=jnp.take_along_axis(cause[slot], chosen[:, None], axis=1)[:, 0],
        severity=depth,
        units=units,
    )
    after = population._replace(genome=genome, learner=learner, memory=memory, reputation=reputation, epsilon=epsilon)
    return after, scars

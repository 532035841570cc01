"""Judging: what one generation says of the agents of one species on one island.

They are rolled out on the windows, learning where they do; standing, trust, scars and deaths follow, and the best by
training are tried on validation.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, UInt8

from agents.learning import Lesson
from agents.population import Population
from agents.trust import observe, trust
from arena.archive import nominate
from arena.fitness import Stats, by_group, case_scores, excess_return, harm, judge, shrunk, summarise
from arena.keys import Purpose, fold
from arena.life import Chances, Learned, draw_chances, judged_windows, live
from arena.plan import Plan
from arena.records import Summary
from arena.rollout import Rollout, Trader, roll_out
from arena.scarring import scar
from arena.tally import GROUPS, groups_of
from arena.turnover import deaths
from genomes.species import Quantiles
from markets.tape import MarketWindow, Tape, rules_at, window

__all__ = ["Judged", "judge_species"]

_PAIRS = 64  # random pairs of genomes behind a diversity


class _Verdict(NamedTuple):
    """What one block's rollout says of its agents."""

    stats: Stats
    scores: Float[Array, "agents cases"]
    excess: Float[Array, "agents episodes regimes"]
    severity: Float[Array, "agents episodes"]
    cause: UInt8[Array, "agents episodes"]


class Judged(NamedTuple):
    """One species on one island after judging; what turn-over, archive and record need."""

    stats: Stats
    trust: Array
    scores: Array
    death: Array
    scars: Any
    tried: Array
    tried_stats: Stats
    tried_windows: Array
    tried_trust: Array
    tried_for: Array
    traders: Trader
    summary: Summary


def judge_species(
    plan: Plan,
    index: int,
    population: Population,
    first: Array,
    tape: Tape,
    own: Array,
    seen: Quantiles,
    seed: Array,
    now: Array,
    island: Array,
) -> tuple[Population, Judged]:
    """Judge one species on one island: training, standing, trust, scars, deaths, and validation of the best."""
    settings, setup = plan.settings, plan.rollouts[index]
    bars = settings.episodes.bars
    market = window(tape, first, bars, setup.species.context)
    trader = _trader(plan, population)
    chances = None
    if settings.learning.enabled:
        size = (bars, first.shape[0], market.gain.shape[-1])
        chances = draw_chances(seed, now, island, setup, settings.learning, *size)
    (verdict, learned), valid = _judge_agents(
        plan, setup, trader, population, market, first, tape, chances, tape.scale[own]
    )
    counted = judged_windows(settings.episodes.episodes, settings.learning)
    first = first[counted]
    if learned is not None:
        population = population._replace(
            genome=learned.genome, learner=population.learner._replace(optimiser=learned.optimiser)
        )
        trader = trader._replace(genome=learned.genome)
    standing = judge(population.standing, verdict.scores, valid, verdict.stats.trades[:, -1], settings.fitness)
    reputation = population.reputation
    if settings.trust.enabled:
        reputation = observe(reputation, verdict.excess, settings.trust)
    judging = population._replace(standing=standing, reputation=reputation)
    won = verdict.stats.log_return[:, -1] > 0
    scarred, scars = scar(
        judging,
        trader,
        verdict.severity,
        verdict.cause,
        won,
        first,
        tape,
        seen,
        bars,
        seed,
        now,
        setup,
        settings.scars,
        settings.exploration,
    )
    scars = scars._replace(episode=jnp.asarray(counted, jnp.int32)[scars.episode])
    scores = shrunk(standing, settings.fitness)
    ruined = (verdict.cause == 3).mean(1)
    after = _trader(plan, scarred)
    ready = now - population.born + 1 >= jnp.minimum(settings.archive.judged, now + 1)
    tried, tried_for = nominate(by_group(scores), ready, settings.archive.candidates)
    if not settings.archive.enabled:
        tried, tried_for = tried[:0], tried_for[:0]
    pick = jax.tree.map(lambda x: x[tried], trader)
    tried_stats, tried_windows = _validate(plan, setup, pick, tape, tape.validation[own])
    pairs = jax.random.randint(fold(seed, now, Purpose.DIVERSITY, index), (2, _PAIRS), 0, plan.slots)
    both = [jax.tree.map(lambda x, side=side: x[side], scarred.genome) for side in pairs]
    return scarred, Judged(
        stats=verdict.stats,
        trust=after.trust,
        scores=scores,
        death=deaths(judging, scores, ruined, now, settings.turnover),
        scars=scars,
        tried=population.id[tried],
        tried_stats=tried_stats,
        tried_windows=tried_windows,
        tried_trust=pick.trust,
        tried_for=tried_for,
        traders=pick,
        summary=_summary(
            verdict.stats,
            scarred,
            after.trust,
            jax.vmap(setup.species.distance)(*both).mean(),
            None if learned is None else learned.lesson,
            now,
        ),
    )


def _trader(plan: Plan, population: Population) -> Trader:
    believed = trust(population.reputation, plan.settings.trust)
    if not plan.settings.trust.enabled:
        believed = jnp.zeros_like(believed)
    return Trader(population.genome, population.genes, population.memory, believed)


def _judge_agents(
    plan: Plan,
    setup: Rollout,
    trader: Trader,
    population: Population,
    market: MarketWindow,
    first: Array,
    tape: Tape,
    chances: Chances | None,
    scale: Array,
) -> tuple[tuple[_Verdict, Learned | None], Array]:
    """Roll out all agents of an island, block after block, learning where they do; and which cases count."""
    settings = plan.settings
    rules = rules_at(setup.rules, tape, first)
    counted = judged_windows(settings.episodes.episodes, settings.learning)
    groups = groups_of(market.regime[:, counted])
    bars = groups.sum(1)
    gain = jnp.einsum("gte,tei->gei", groups, market.gain[:, counted])

    def one(block: tuple[Trader, Array, Any]) -> tuple[tuple[_Verdict, Learned | None], Array]:
        trader, epsilon, optimiser = block
        learned = None
        if chances is None:
            tally, _ = roll_out(setup, trader, market, rules)
        else:
            tally, learned = live(setup, trader, epsilon, optimiser, market, rules, settings.learning, chances, scale)
        scores, valid = case_scores(tally, bars, settings.fitness)
        severity, cause = harm(tally, settings.scars.drawdown)
        excess = excess_return(tally, gain, bars, settings.trust.block)
        return (_Verdict(summarise(tally), scores, excess, severity, cause), learned), valid

    agents = (trader, population.epsilon, population.learner.optimiser)
    blocks = jax.tree.map(lambda x: x.reshape(plan.slots // plan.block, plan.block, *x.shape[1:]), agents)
    found, valid = lax.map(one, blocks)
    joined: tuple[_Verdict, Learned | None] = jax.tree.map(lambda x: x.reshape(plan.slots, *x.shape[2:]), found)
    return joined, valid[0]


def _validate(
    plan: Plan, setup: Rollout, tried: Trader, tape: Tape, first: Array
) -> tuple[Stats, Float[Array, "candidates windows groups"]]:
    """Roll agents out on the fixed validation windows, as they acted in training."""
    if tried.trust.shape[0] == 0:
        nothing = Stats(*(jnp.zeros((0, GROUPS)) for _ in Stats._fields))
        return nothing, jnp.zeros((0, *first.shape, GROUPS))
    market = window(tape, first, plan.settings.episodes.bars, setup.species.context)
    tally, _ = roll_out(setup, tried, market, rules_at(setup.rules, tape, first))
    return summarise(tally), jnp.transpose(tally.log_return, (1, 2, 0))


def _summary(
    stats: Stats, population: Population, believed: Array, diversity: Array, lesson: Lesson | None, now: Array
) -> Summary:
    """One island's summary; migrants are counted later."""
    per_bar = stats.log_return[:, -1] / jnp.maximum(stats.bars[:, -1], 1.0)
    return Summary(
        best=per_bar.max(),
        median=jnp.median(per_bar),
        diversity=diversity,
        epsilon=population.epsilon.mean(),
        trust=believed.mean(),
        loss=jnp.full((), jnp.nan) if lesson is None else lesson.loss.mean(),
        td_error=jnp.full((), jnp.nan) if lesson is None else lesson.td_error.mean(),
        births=(population.born == now).sum(dtype=jnp.int32),
        migrants=jnp.zeros((), jnp.int32),
    )

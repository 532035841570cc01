"""One generation: draw episodes, roll out, judge, scar, try on validation, turn over. One pure, compiled function.

What happens on an island happens under `shard_map` over the mesh of devices, island after island; only ids, the archive
and migration look across islands. The state is donated from step to step.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float, UInt8

from agents.learning import Lesson
from agents.observation import input_quantiles
from agents.population import Population
from agents.trust import observe, trust
from arena.archive import Archive, Candidates, Improvement, nominate, update
from arena.episodes import draw
from arena.fitness import Stats, by_group, case_scores, excess_return, harm, judge, overall, shrunk, summarise
from arena.founding import layout
from arena.keys import Purpose, fold
from arena.life import Chances, Learned, draw_chances, judged_windows, live
from arena.migration import migrate
from arena.plan import Plan
from arena.records import GenerationRecord, SpeciesRecord, Summary
from arena.rollout import Rollout, Trader, roll_out
from arena.scarring import scar
from arena.sharding import everywhere
from arena.state import ArenaState
from arena.tally import GROUPS, groups_of
from arena.turnover import breed, deaths
from genomes.species import Quantiles
from markets.tape import MarketWindow, Tape, rules_at, window

__all__ = ["make_generation"]

_PAIRS = 64  # random pairs of genomes behind a diversity


class _Verdict(NamedTuple):
    """What one block's rollout says of its agents."""

    stats: Stats
    scores: Float[Array, "agents cases"]
    excess: Float[Array, "agents episodes regimes"]
    severity: Float[Array, "agents episodes"]
    cause: UInt8[Array, "agents episodes"]


class _Judged(NamedTuple):
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


def make_generation(plan: Plan) -> jax.stages.Wrapped:
    """The compiled generation of a plan: (state, tape) → (state, record). The state it is given is donated."""

    def per_island(step: Callable[..., Any], state: Any, now: Array, *common: Any) -> Any:
        """Map a step over islands, one after another on each device; `now` and `common` are the same everywhere."""
        spread, same = PartitionSpec("islands"), PartitionSpec()

        def local(state: Any, now: Array, *common: Any) -> Any:
            return _one_by_one(lambda own: step(own, now, *common), state, now)

        specs = (spread, same, *(same for _ in common))
        mapped = jax.shard_map(local, mesh=plan.mesh, in_specs=specs, out_specs=spread, check_vma=False)
        return mapped(state, now, *common)

    def generation(state: ArenaState, tape: Tape) -> tuple[ArenaState, GenerationRecord]:
        with jax.default_matmul_precision(plan.settings.device.precision):
            return _generation(plan, per_island, state, tape)

    # The state leaves laid out as it came, else the second generation would be compiled anew; the record leaves whole,
    # so that every process can read it.
    return jax.jit(
        generation,
        donate_argnums=0,
        out_shardings=(layout(plan), everywhere(plan.mesh)),
        compiler_options=plan.compiler_options,
    )


def _everywhere(plan: Plan, step: Callable[..., Any], *operands: Any) -> Any:
    """Work out the same thing on every device, from operands gathered whole.

    Left to itself the compiler would divide the work by islands, and the order of a sum would depend on their number.
    """

    def whole(*operands: Any) -> Any:
        return step(plan, *operands)

    same = PartitionSpec()
    return jax.shard_map(whole, mesh=plan.mesh, in_specs=same, out_specs=same, check_vma=False)(*operands)


def _one_by_one(step: Callable[[Any], Any], state: Any, now: Array) -> Any:
    """`lax.map` over the leading axis, compiled to the same arithmetic whatever its length.

    A loop over a single island would be unrolled and fused with what is around it, and the bits of a result would
    depend on how many islands a device has. So the compiler is shown two rows at least, and not how many are walked.
    """
    count = jax.tree.leaves(state)[0].shape[0]
    rows = max(count, 2)
    padded = jax.tree.map(lambda x: jnp.concatenate([x, x]), state) if count == 1 else state
    traced = jax.jit(step)

    def own(index: Array | int) -> Any:
        return jax.tree.map(lambda x: lax.dynamic_index_in_dim(x, index, keepdims=False), padded)

    def body(index: Array, done: Any) -> Any:
        result = traced(own(index))
        return jax.tree.map(lambda x, one: lax.dynamic_update_index_in_dim(x, one, index, 0), done, result)

    shapes = jax.eval_shape(traced, own(0))
    empty = jax.tree.map(lambda leaf: jnp.zeros((rows, *leaf.shape), leaf.dtype), shapes)
    walked = lax.fori_loop(0, jnp.where(now >= 0, count, 0), body, empty)
    return jax.tree.map(lambda x: x[:count], walked)


def _generation(
    plan: Plan, per_island: Callable[..., Any], state: ArenaState, tape: Tape
) -> tuple[ArenaState, GenerationRecord]:
    now = state.generation
    island = jnp.arange(plan.places, dtype=jnp.int32)

    def judge_island(own: tuple[Any, ...], now: Array, tape: Tape) -> tuple[Any, ...]:
        populations, seed, island = own
        market = plan.market_of(island, tape.quantiles.shape[0])
        seen = input_quantiles(tape.quantiles[market])
        key = fold(seed, now, Purpose.EPISODES, island % plan.islands)
        first = draw(key, tape.train, market, plan.settings.episodes.episodes)
        judged = [
            _judge_species(plan, index, population, first, tape, market, seen, seed, now, island % plan.islands)
            for index, population in enumerate(populations)
        ]
        return tuple(population for population, _ in judged), tuple(verdict for _, verdict in judged)

    populations, judged = per_island(judge_island, (state.populations, state.seed, island), now, tape)
    next_id, children = state.next_id, []
    for verdict in judged:
        freed = verdict.death > 0
        counted = jnp.cumsum(freed.reshape(-1).astype(jnp.uint32)).reshape(freed.shape)
        children.append(next_id + counted - 1)
        next_id = next_id + freed.sum(dtype=jnp.uint32)

    def breed_island(own: tuple[Any, ...], now: Array, quantiles: Array) -> tuple[Any, ...]:
        populations, judged, children, seed, island = own
        seen = input_quantiles(quantiles[plan.market_of(island, quantiles.shape[0])])
        bred = [
            breed(
                population,
                verdict.scores,
                _tickets(plan, verdict.trust),
                verdict.death > 0,
                ids,
                seed,
                now + 1,
                seen,
                plan.breeders[index],
            )
            for index, (population, verdict, ids) in enumerate(zip(populations, judged, children, strict=True))
        ]
        return tuple(population for population, _ in bred), tuple(births for _, births in bred)

    bred, births = per_island(
        breed_island, (populations, judged, tuple(children), state.seed, island), now, tape.quantiles
    )
    moved = []
    for population in bred:
        score = jnp.where(population.born <= now, jax.vmap(overall)(population.standing.mean), -jnp.inf)
        moved.append(migrate(population, score, now, plan.islands, plan.settings.evolution.migration))

    archive, gained = _everywhere(plan, _try, state.archive, judged, tape)
    after = ArenaState(
        generation=now + 1,
        seed=state.seed,
        next_id=next_id,
        populations=tuple(population for population, _ in moved),
        archive=archive,
    )
    species = tuple(
        SpeciesRecord(
            id=populations[index].id,
            born=populations[index].born,
            train=verdict.stats,
            trust=verdict.trust,
            death=verdict.death,
            births=births[index],
            scars=verdict.scars,
            tried=verdict.tried,
            validation=verdict.tried_stats,
            tried_trust=verdict.tried_trust,
            summary=verdict.summary._replace(migrants=_migrants(plan, moved[index][1])),
        )
        for index, verdict in enumerate(judged)
    )
    finite = jnp.stack([jnp.isfinite(verdict.scores).all() for verdict in judged]).all()
    return after, GenerationRecord(now, species, gained, finite)


def _judge_species(
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
) -> tuple[Population, _Judged]:
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
    first = first[judged_windows(settings.episodes.episodes, settings.learning)]
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
    return scarred, _Judged(
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


def _try(plan: Plan, archive: Archive, judged: tuple[_Judged, ...], tape: Tape) -> tuple[Archive, Improvement]:
    """Let the candidates of all islands and species of a replicate challenge the archive."""

    def joined(x: Array) -> Array:
        """[places, candidates, …] → [replicates, islands · candidates, …]"""
        return x.reshape(plan.replicates, plan.islands * x.shape[1], *x.shape[2:])

    ids = [joined(verdict.tried) for verdict in judged]
    candidates = Candidates(
        id=jnp.concatenate(ids, axis=1),
        species=jnp.concatenate([jnp.full(x.shape, s, jnp.int32) for s, x in enumerate(ids)], axis=1),
        place=jnp.concatenate(
            [jnp.broadcast_to(jnp.arange(x.shape[1], dtype=jnp.int32), x.shape) for x in ids], axis=1
        ),
        group=jnp.concatenate([joined(verdict.tried_for) for verdict in judged], axis=1),
        windows=jnp.concatenate([joined(verdict.tried_windows) for verdict in judged], axis=1),
        trades=jnp.concatenate([joined(verdict.tried_stats.trades) for verdict in judged], axis=1),
    )
    traders = tuple(jax.tree.map(joined, verdict.traders) for verdict in judged)
    decisions = tape.validation[..., None] + jnp.arange(plan.settings.episodes.bars, dtype=jnp.int32)
    bars = jnp.moveaxis(groups_of(tape.regime[decisions]).sum(-1), 0, -1)
    bars = jnp.broadcast_to(bars, (plan.replicates, *bars.shape[1:]))
    return update(archive, candidates, traders, bars, plan.settings.archive)


def _tickets(plan: Plan, believed: Array) -> Array:
    """Weight of each agent in the parent lottery: even, or by its mean trust over the regimes."""
    if not (plan.settings.trust.enabled and plan.settings.trust.weighs_parents):
        return jnp.ones(believed.shape[0])
    return plan.settings.trust.floor + believed.mean(-1)


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


def _migrants(plan: Plan, moved: Array) -> Array:
    count = min(plan.settings.evolution.migration.agents, plan.slots)
    return jnp.broadcast_to(jnp.where(moved, count, 0).astype(jnp.int32), (plan.places,))

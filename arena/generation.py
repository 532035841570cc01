"""One generation: draw episodes, roll out, judge, scar, try on validation, turn over. One pure, compiled function.

What happens on an island happens under `shard_map` over the mesh of devices, island after island; only ids, the archive
and migration look across islands. The state is donated from step to step.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import PartitionSpec
from jaxtyping import Array

from agents.observation import input_quantiles
from arena.archive import Archive, Candidates, Improvement, update
from arena.episodes import draw
from arena.fitness import overall
from arena.founding import layout
from arena.judging import Judged, judge_species
from arena.keys import Purpose, fold
from arena.migration import migrate
from arena.plan import Plan
from arena.records import GenerationRecord, SpeciesRecord
from arena.reservoir import keep
from arena.sharding import everywhere
from arena.state import ArenaState
from arena.tally import groups_of
from arena.turnover import breed
from markets.tape import Tape

__all__ = ["make_generation"]


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
            judge_species(plan, index, population, first, tape, market, seen, seed, now, island % plan.islands)
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
        populations, judged, children, reservoirs, seed, island = own
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
        sample = tuple(
            keep(reservoir, population, births.born, seed)
            for reservoir, (population, births) in zip(reservoirs, bred, strict=bool(reservoirs))
        )
        return tuple(population for population, _ in bred), tuple(births for _, births in bred), sample

    bred, births, reservoir = per_island(
        breed_island, (populations, judged, tuple(children), state.reservoir, state.seed, island), now, tape.quantiles
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
        reservoir=reservoir,
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


def _try(plan: Plan, archive: Archive, judged: tuple[Judged, ...], tape: Tape) -> tuple[Archive, Improvement]:
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


def _migrants(plan: Plan, moved: Array) -> Array:
    count = min(plan.settings.evolution.migration.agents, plan.slots)
    return jnp.broadcast_to(jnp.where(moved, count, 0).astype(jnp.int32), (plan.places,))

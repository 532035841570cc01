"""Founding: the state of the arena before its first generation, and before the first one of a later fold."""

from collections.abc import Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int32, Key

from agents.memory import forget
from agents.observation import input_quantiles
from agents.population import Population, Standing
from agents.trust import Reputation
from arena.archive import empty_archive
from arena.fitness import CASES
from arena.keys import Purpose, folded
from arena.plan import Plan
from arena.reservoir import Reservoir, empty_reservoir, keep
from arena.rollout import Trader
from arena.sharding import everywhere, put
from arena.state import ArenaState
from arena.tally import REGIMES
from arena.turnover import new_learner
from genomes.genes import Genes, init_genes, mutate_genes
from genomes.species import Genome, Species
from markets.tape import Tape

__all__ = ["begin_fold", "found", "layout", "models_of", "spread"]


def found(
    plan: Plan, tape: Tape, given: Sequence[Genome | None] = (), genes: Sequence[Genes | None] = ()
) -> ArenaState:
    """The founders, each drawn from its own id, and an empty archive.

    Args:
        plan: of the run.
        tape: its market.
        given: brains that founders of a species begin with, leaves [markets, models, …], in the order of species; None,
            or nothing at all, for those whose brains are drawn. On each island the first agents have one each as it is,
            and all others one of them after a mutation of their own strength. Where an island has fewer agents than
            there are models, the next island of the replicate goes on with those that are left.
        genes: that come with these brains, leaves [models]; None, or nothing at all, where genes are drawn. Whoever has
            a brain as it is has its genes too, and all others have them after a mutation, by whose strength, as at any
            birth, the brain was varied.
    """
    windows = tape.validation.shape[1]
    brains, beside = ((*own, *(None for _ in plan.names[len(own) :])) for own in (given, genes))
    state: ArenaState = jax.jit(lambda quantiles, brains, beside: _found(plan, windows, quantiles, brains, beside))(
        tape.quantiles, brains, beside
    )
    # A program of its own: within the other the compiler would draw brains otherwise, by a last bit.
    return state._replace(reservoir=jax.jit(lambda state: _sampled(plan, state))(state)) if plan.kept else state


def begin_fold(plan: Plan, state: ArenaState, windows: int) -> ArenaState:
    """The state before the first generation of a later fold: all live on, but nobody has a standing, and no champion is
    left of what other validation windows chose. Ids, trust and memories go on.

    Args:
        plan: of the run.
        state: after the last generation of the fold before, spread over the plan's devices; it is donated.
        windows: validation windows of the fold.
    """

    def anew(state: ArenaState) -> ArenaState:
        batch = state.populations[0].id.shape
        samples = tuple(jax.tree.map(lambda leaf: leaf[0, 0], traders) for traders in state.archive.traders)
        populations = [own._replace(standing=Standing.new(batch, CASES)) for own in state.populations]
        archive = empty_archive(plan.replicates, windows, samples)
        return state._replace(populations=tuple(populations), archive=archive)

    begun: ArenaState = jax.jit(anew, donate_argnums=0, out_shardings=layout(plan))(state)
    return begun


def models_of(plan: Plan, models: int) -> Int32[Array, "places slots"]:
    """Which of so many given brains each founder of a species begins with; the founders are counted in this order."""
    island = jnp.arange(plan.places)[:, None] % plan.islands
    return (_turn(plan.slots, models, island) % models).astype(jnp.int32)


def _turn(slots: int, models: int, island: Int32[Array, "places 1"]) -> Int32[Array, "places slots"]:
    """The number of each slot, counted on over the islands of a replicate where one has not enough for all models."""
    slot = jnp.broadcast_to(jnp.arange(slots), (len(island), slots))
    return slot if slots >= models else slots * island + slot


def _found(
    plan: Plan,
    windows: int,
    quantiles: Array,
    brains: Sequence[Genome | None],
    beside: Sequence[Genes | None],
) -> ArenaState:
    market = plan.market_of(jnp.arange(plan.places), quantiles.shape[0])
    seen = input_quantiles(quantiles)[market]
    island = jnp.arange(plan.places) % plan.islands
    seeds = jnp.uint32(plan.settings.seed) + jnp.arange(plan.places, dtype=jnp.uint32) // plan.islands
    batch = (plan.places, plan.slots)
    each = plan.places * plan.slots
    populations = []
    for index, setup in enumerate(plan.rollouts):
        ids = (index * each + jnp.arange(each, dtype=jnp.uint32)).reshape(batch)
        keys = jax.vmap(lambda seed, own: folded(seed, 0, Purpose.FOUNDER, own))(seeds, ids)
        pairs = jax.vmap(jax.vmap(lambda key: jax.random.split(key)))(keys)
        genes = _genes(plan, pairs[..., 1], beside[index])
        genome = _brains(setup.species, pairs[..., 0], genes.mutation, seen, market, island, brains[index])
        populations.append(
            Population(
                genome=genome,
                genes=genes,
                id=ids,
                born=jnp.zeros(batch, jnp.int32),
                epsilon=genes.exploration,
                memory=forget(batch, plan.settings.scars.memory.moments, plan.features),
                reputation=Reputation.new(batch, REGIMES),
                standing=Standing.new(batch, CASES),
                learner=new_learner(setup.species, genome, plan.settings.learning),
            )
        )
    samples = tuple(
        jax.tree.map(
            lambda x: x[0, 0],
            Trader(p.genome, p.genes, p.memory, jnp.zeros((*batch, REGIMES))),
        )
        for p in populations
    )
    return ArenaState(
        generation=jnp.zeros((), jnp.int32),
        seed=seeds,
        next_id=jnp.uint32(each * len(populations)),
        populations=tuple(populations),
        archive=empty_archive(plan.replicates, windows, samples),
        reservoir=(),
    )


def _sampled(plan: Plan, state: ArenaState) -> tuple[Reservoir, ...]:
    """What is kept of the founders."""
    kept = []
    for population in state.populations:
        sample = jax.tree.map(
            lambda x: x[0, 0],
            Trader(
                population.genome, population.genes, population.memory, jnp.zeros((plan.places, plan.slots, REGIMES))
            ),
        )
        new = jnp.ones(plan.slots, bool)
        kept.append(
            jax.vmap(keep, (0, 0, None, 0))(
                empty_reservoir(plan.places, plan.kept, sample), population, new, state.seed
            )
        )
    return tuple(kept)


def _genes(plan: Plan, keys: Key[Array, "places slots"], given: Genes | None) -> Genes:
    """Genes of all founders of a species, leaves [places, slots]."""
    settings = plan.settings.genes
    if given is None:
        drawn: Genes = jax.vmap(jax.vmap(lambda key: init_genes(key, settings)))(keys)
        return drawn
    models = len(given.size)
    own = jax.tree.map(lambda leaf: leaf[models_of(plan, models)], given)
    varied = jax.vmap(jax.vmap(lambda key, genes: mutate_genes(key, genes, settings)))(keys, own)
    as_it_is = jnp.arange(plan.slots) < models
    return Genes(*(jnp.where(as_it_is, one, other) for one, other in zip(own, varied, strict=True)))


def _brains(
    species: Species,
    keys: Key[Array, "places slots"],
    strength: Float[Array, "places slots"],
    quantiles: Float[Array, "places inputs points"],
    market: Int32[Array, "places"],
    island: Int32[Array, "places"],
    given: Genome | None,
) -> Genome:
    """Brains of all founders of a species, leaves [places, slots, …]; an island's number counts in its replicate."""
    if given is None:
        return jax.vmap(jax.vmap(species.init, (0, None)))(keys, quantiles)
    models = jax.tree.leaves(given)[0].shape[1]
    slot = jnp.arange(keys.shape[1])
    turn = _turn(keys.shape[1], models, island[:, None])
    own = jax.tree.map(lambda leaf: leaf[market[:, None], turn % models], given)
    varied = jax.vmap(jax.vmap(species.mutate, (0, 0, 0, None)))(keys, own, strength, quantiles)

    def settle(as_it_is: Array, other: Array) -> Array:
        return jnp.where((slot < models).reshape(1, -1, *(1,) * (other.ndim - 2)), as_it_is, other)

    return jax.tree.map(settle, own, varied)


def layout(plan: Plan) -> Any:
    """Where each part of the state lies on the plan's devices: populations and their samples by island, the rest whole.

    Shardings, in a tree that is a prefix of the state's.
    """
    by_island = NamedSharding(plan.mesh, PartitionSpec("islands"))
    whole = everywhere(plan.mesh)
    place = {name: by_island if name in ("seed", "populations", "reservoir") else whole for name in ArenaState._fields}
    return ArenaState(**cast("dict[str, Any]", place))


def spread(plan: Plan, state: ArenaState) -> ArenaState:
    """The state laid out over the plan's devices; every process gives the same."""
    return ArenaState(*(put(part, where) for part, where in zip(state, layout(plan), strict=True)))

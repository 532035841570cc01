"""One generation of one run of the experiment: judge greedily, learn, treat, cull, breed; and the founders before it.

Each agent plays the generation's windows twice. First greedily, with fresh accounts: that is judged, scarred and
measured. Then once more, taking random actions as its ε says, from which it learns; so what is measured are decisions
of agents that have not seen these bars. Without learning the second pass is left out.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int32, UInt32

from agents.exploration import adapt
from agents.memory import forget
from agents.observation import input_quantiles
from agents.population import Population, Standing
from agents.trust import Reputation
from arena.fitness import CASES, case_scores, harm, judge, shrunk
from arena.keys import Purpose, folded
from arena.life import draw_chances, live
from arena.rollout import Trace, Trader, roll_out
from arena.tally import REGIMES, groups_of
from arena.turnover import breed, deaths, new_learner
from experiments.scars.arms import Events, matched, on_schedule, own_events, treat
from experiments.scars.measures import WHOLE, Played, Record, measure, whole
from experiments.scars.plan import Arm, Parts, ScarPlan
from experiments.scars.worlds import FEATURES, NOWHERE, World, tape_of
from genomes.genes import init_genes
from genomes.species import Quantiles
from markets.tape import MarketWindow, window

__all__ = ["Agents", "found", "turn"]

_EVER = -(2**20)
"""Generation of birth of who has no grace left."""


class Agents(NamedTuple):
    """All that lives of one run."""

    population: Population
    graced: Int32[Array, "slots"]
    """Generation of the last event of whoever lives in each slot; far in the past where there was none."""
    next_id: UInt32[Array, ""]


def found(plan: ScarPlan, parts: Parts, seed: UInt32[Array, ""]) -> Agents:
    """The founders of one run, drawn from its seed as in the arena."""
    ids = jnp.arange(plan.agents, dtype=jnp.uint32)
    pairs = jax.vmap(jax.random.split)(folded(seed, 0, Purpose.FOUNDER, ids))
    genes = jax.vmap(lambda key: init_genes(key, parts.genes))(pairs[:, 1])
    genome = jax.vmap(parts.species.init, (0, None))(pairs[:, 0], _quantiles())
    population = Population(
        genome=genome,
        genes=genes,
        id=ids,
        born=jnp.zeros(plan.agents, jnp.int32),
        epsilon=genes.exploration,
        memory=forget((plan.agents,), parts.rollout.memory.moments, FEATURES),
        reputation=Reputation.new((plan.agents,), REGIMES),
        standing=Standing.new((plan.agents,), CASES),
        learner=new_learner(parts.species, genome, parts.learning),
    )
    return Agents(population, jnp.full(plan.agents, _EVER, jnp.int32), jnp.uint32(plan.agents))


def turn(
    plan: ScarPlan,
    parts: Parts,
    arm: Int32[Array, ""],
    seed: UInt32[Array, ""],
    world: World,
    given: Events,
    agents: Agents,
    generation: Int32[Array, ""],
) -> tuple[Agents, Record]:
    """One generation.

    Args:
        plan: of the experiment.
        parts: of the house.
        arm: what is done to whom.
        seed: of the run.
        world: of the run.
        given: events of the paired run in this generation, for the sham; else empty.
        agents: who live.
        generation: counted from 0.
    """
    population, quantiles = agents.population, _quantiles()
    tape, first = tape_of(world, generation)
    gap = world.gap[generation]
    market = window(tape, first, plan.bars)
    trader = Trader(
        population.genome, population.genes, population.memory, jnp.zeros((plan.agents, REGIMES), jnp.float32)
    )
    played, trace, valid = _play(plan, parts, trader, market)
    crashes = (gap != NOWHERE).astype(jnp.float32)
    calm = whole(played.log_return * (1.0 - crashes), axis=1) / (WHOLE * (1.0 - crashes).sum())

    population = population._replace(
        standing=judge(population.standing, played.scores, valid, played.trades, parts.fitness)
    )
    population, lesson = _learn(plan, parts, population, trader, market, tape.scale[0], seed, generation)
    won = played.log_return.sum(1) > 0
    epsilon = adapt(population.epsilon, won, jnp.zeros(plan.agents), parts.exploration)
    population = population._replace(epsilon=epsilon)

    cash = parts.rollout.rules.cash
    own = own_events(plan, population, played.severity, played.cause, calm, trace, cash)
    sham = arm == Arm.SHAM
    theirs = matched(given, population, calm, played.ruined > 0)
    events: Events = jax.tree.map(lambda x, y: jnp.where(sham, x, y), theirs, own)
    treated, events, hits = treat(
        plan, parts, arm, population, trader.genome, events, market, trace, quantiles, seed, generation
    )
    treated = on_schedule(plan, parts, arm, treated, trader.genome, market, trace, quantiles, seed, generation)

    graced = agents.graced
    for each in (own, events):
        at = jnp.where(each.made, each.slot, plan.agents)
        graced = graced.at[at].set(generation, mode="drop")
    scores = shrunk(treated.standing, parts.fitness)
    freed = _freed(plan, parts, arm, treated, scores, own, graced, generation)
    ids = agents.next_id + jnp.cumsum(freed.astype(jnp.uint32)) - 1
    even = jnp.ones(plan.agents)
    bred, _ = breed(treated, scores, even, freed, ids, seed, generation + 1, quantiles, parts.breeder)

    after = Agents(bred, jnp.where(freed, _EVER, graced), agents.next_id + freed.sum(dtype=jnp.uint32))
    passes = 2 if parts.learning.enabled else 1
    updates = plan.agents * (plan.bars // parts.learning.every) * parts.learning.enabled
    record = measure(market, played, trace, gap, crashes)
    return after, record._replace(
        acted=jnp.float32(passes * plan.agents * plan.bars * plan.episodes),
        updates=jnp.float32(updates),
        births=freed.sum(dtype=jnp.float32),
        offered=jnp.where(sham, given.made.sum(), own.made.sum()).astype(jnp.float32),
        lost=lesson[0],
        td_error=lesson[1],
        events=events,
        hits=hits,
    )


def _play(plan: ScarPlan, parts: Parts, trader: Trader, market: MarketWindow) -> tuple[Played, Trace, Array]:
    """The greedy pass, block after block; and which cases of fitness count."""
    bars = groups_of(market.regime).sum(1)

    def one(block: Trader) -> tuple[Played, Trace, Array]:
        tally, trace = roll_out(parts.rollout, block, market, parts.rollout.rules, trace=True)
        assert trace is not None
        scores, valid = case_scores(tally, bars, parts.fitness)
        severity, cause = harm(tally, plan.drawdown)
        one = Played(scores, tally.trades[-1].sum(1), severity, cause, tally.log_return[-1], tally.ruined)
        return one, trace, valid

    blocks = jax.tree.map(lambda x: x.reshape(-1, parts.block, *x.shape[1:]), trader)
    played, trace, valid = lax.map(one, blocks)
    joined: Played = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), played)
    joined_trace: Trace = jax.tree.map(lambda x: jnp.moveaxis(x, 0, 1).reshape(x.shape[1], -1, *x.shape[3:]), trace)
    return joined, joined_trace, valid[0]


def _learn(
    plan: ScarPlan,
    parts: Parts,
    population: Population,
    trader: Trader,
    market: MarketWindow,
    scale: Float[Array, ""],
    seed: UInt32[Array, ""],
    generation: Int32[Array, ""],
) -> tuple[Population, tuple[Array, Array]]:
    """The second pass, in which agents take random actions in all windows and learn."""
    if not parts.learning.enabled:
        return population, (jnp.int32(0), jnp.int32(0))
    setup, rules = parts.rollout, parts.rollout.rules
    size = (plan.bars, plan.episodes, 1)
    chances = draw_chances(seed, generation, jnp.int32(0), setup, parts.learning, *size)
    stray = jax.random.fold_in(folded(seed, generation, Purpose.EXPLORATION, jnp.ones(1, jnp.uint32))[0], 0)
    chances = chances._replace(chance=jax.random.uniform(stray, size))

    def one(block: tuple[Trader, Array, Any]) -> tuple[Any, Any, Array, Array]:
        _, learned = live(setup, *block, market, rules, parts.learning, chances, scale)
        return learned.genome, learned.optimiser, learned.lesson.loss, learned.lesson.td_error

    everybody = (trader, population.epsilon, population.learner.optimiser)
    blocks = jax.tree.map(lambda x: x.reshape(-1, parts.block, *x.shape[1:]), everybody)
    learned = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), lax.map(one, blocks))
    genome, optimiser, lost, error = learned
    learner = population.learner._replace(optimiser=optimiser)
    most = 2.0**30 / WHOLE / plan.agents  # so that no sum of them leaves the range of 32 bits
    told = (whole(jnp.clip(lost, 0.0, most)), whole(jnp.clip(error, 0.0, most)))
    return population._replace(genome=genome, learner=learner), told


def _freed(
    plan: ScarPlan,
    parts: Parts,
    arm: Int32[Array, ""],
    population: Population,
    scores: Float[Array, "slots cases"],
    own: Events,
    graced: Int32[Array, "slots"],
    generation: Int32[Array, ""],
) -> Array:
    """Slots whose agent dies: the last by rank of those without grace; where scars cull, the scarred before them.

    As long as founders have grace nobody dies, the scarred neither: births are as many in all arms.
    """
    scarred = jnp.zeros(plan.agents, bool).at[own.slot].set(own.made)
    dies = scarred & (arm == Arm.CULLING) & (generation >= plan.grace)
    # Grace counts from birth or from the last event alike, so an event is to the house's rule as if newly born.
    since = jnp.where(dies, _EVER, jnp.maximum(population.born, graced))
    lowest = jnp.where(dies[:, None], -jnp.inf, scores)
    nobody = jnp.zeros(plan.agents)
    return deaths(population._replace(born=since), lowest, nobody, generation, parts.turnover) > 0


def _quantiles() -> Quantiles:
    """Of what agents see: standard normal features, and their account."""
    rank = jnp.linspace(0.05, 0.95, 9)
    market = jnp.broadcast_to(jax.scipy.stats.norm.ppf(rank), (FEATURES, len(rank)))
    return input_quantiles(market)

"""Turn-over: who dies, and which children take the freed slots.

An agent dies by ruin in too many episodes, by rank or by age. Rank is the mean over cases of its rank in each, so that
scores of different size weigh alike. Each freed slot is filled by one child: of two parents with some probability, of
one otherwise, then mutated with a strength that is itself a gene.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32, UInt8, UInt32

from agents.learning import LearningSettings, new_optimiser
from agents.memory import forget
from agents.population import NOBODY, Learner, Population, Standing
from agents.scars import ScarSettings
from agents.trust import Reputation
from arena.keys import Purpose, folded
from arena.selection import SelectionSettings, choose_parents
from genomes.genes import Genes, GeneSettings, crossover_genes, mutate_genes
from genomes.species import Genome, Quantiles, Species

__all__ = ["BROOD", "DEATHS", "OPERATORS", "Births", "Breeder", "TurnoverSettings", "breed", "deaths", "new_learner"]

DEATHS = ("alive", "culled", "ruined", "aged")
"""Why an agent died; `deaths` indexes it."""

BROOD = 128
"""Children made at once."""

OPERATORS = ("founder", "mutation", "crossover")
"""How an agent came to be; `Births.operator` indexes it. A child of two is mutated too."""


@dataclasses.dataclass(frozen=True)
class TurnoverSettings:
    """Death and birth.

    Attributes:
        culled: share of slots freed by rank each generation.
        ruined: share of a generation's episodes that kills when so many of them end in ruin.
        age: generations after which an agent dies; None is never.
        grace: generations after birth in which rank does not kill.
        crossover: chance that a child has two parents.
    """

    culled: float = dataclasses.field(default=0.25, metadata={"ge": 0.0, "lt": 1.0})
    ruined: float = dataclasses.field(default=0.25, metadata={"gt": 0.0, "le": 1.0})
    age: int | None = dataclasses.field(default=None, metadata={"ge": 1})
    grace: int = dataclasses.field(default=1, metadata={"ge": 0})
    crossover: float = dataclasses.field(default=0.5, metadata={"ge": 0.0, "le": 1.0})


@dataclasses.dataclass(frozen=True)
class Breeder:
    """How children of one species are made and what they receive; static."""

    species: Species
    genes: GeneSettings
    selection: SelectionSettings
    turnover: TurnoverSettings
    scars: ScarSettings
    learning: LearningSettings = dataclasses.field(default_factory=LearningSettings)


class Births(NamedTuple):
    """Children of one turn, by the slot they took; meaningless where `born` is false."""

    born: Bool[Array, "slots"]
    id: UInt32[Array, "slots"]
    parent: UInt32[Array, "slots"]
    second_parent: UInt32[Array, "slots"]
    operator: UInt8[Array, "slots"]
    strength: Float[Array, "slots"]


def new_learner(species: Species, genome: Genome, settings: LearningSettings) -> Learner:
    """What agents with these brains begin to learn with; leaves as the brains'."""
    return Learner(
        optimiser=new_optimiser(species, genome) if settings.enabled else (),
        birth=genome if settings.inheritance == "baldwinian" else (),
    )


def deaths(
    population: Population,
    scores: Float[Array, "slots cases"],
    ruined: Float[Array, "slots"],
    generation: Int32[Array, ""],
    settings: TurnoverSettings,
) -> UInt8[Array, "slots"]:
    """Cause of death of each slot, 0 for those who live on.

    Args:
        population: of one island.
        scores: standing by case.
        ruined: share of this generation's episodes that ended in ruin.
        generation: the one just judged.
        settings: see `TurnoverSettings`.
    """
    age = generation - population.born
    rank = jnp.where(age < settings.grace, jnp.inf, _ranks(scores).mean(1))
    place = jnp.argsort(jnp.lexsort((NOBODY - population.id, rank)))  # of equals the younger goes
    culled = (place < int(settings.culled * rank.shape[0])) & jnp.isfinite(rank)
    cause = jnp.where(culled, 1, 0)
    cause = jnp.where(ruined >= settings.ruined, 2, cause)
    if settings.age is not None:
        cause = jnp.where((cause == 0) & (age >= settings.age), 3, cause)
    return cause.astype(jnp.uint8)


def _ranks(scores: Float[Array, "slots cases"]) -> Float[Array, "slots cases"]:
    """Rank of each agent in each case, 0 for the worst; equals share the mean of their ranks.

    Without that, a case nobody has a score in would rank by slot.
    """

    def ranks(case: Array) -> Array:
        ordered = jnp.sort(case)
        below = jnp.searchsorted(ordered, case, side="left")
        return 0.5 * (below + jnp.searchsorted(ordered, case, side="right") - 1).astype(jnp.float32)

    shared: Array = jax.vmap(ranks, 1, 1)(scores)
    return shared


def breed(
    population: Population,
    scores: Float[Array, "slots cases"],
    weight: Float[Array, "slots"],
    freed: Bool[Array, "slots"],
    ids: UInt32[Array, "slots"],
    seed: UInt32[Array, ""],
    generation: Int32[Array, ""],
    quantiles: Quantiles,
    breeder: Breeder,
) -> tuple[Population, Births]:
    """The population with a child in every freed slot.

    Args:
        population: of one island, judged.
        scores: standing by case.
        weight: in the parent lottery.
        freed: slots whose agent died.
        ids: of the children, by slot.
        seed: of the island.
        generation: the children's first.
        quantiles: of what the island's agents see.
        breeder: how they are made and what they receive.
    """
    slots, settings = freed.shape[0], breeder.turnover
    idle = population.standing.trades == 0
    may_be_idle = jnp.cumsum(freed) - 1 < jnp.floor(breeder.selection.idle * freed.sum())
    keys = jax.vmap(lambda key: jax.random.split(key, 7))(folded(seed, generation, Purpose.BIRTH, ids))
    brains = population.learner.birth if breeder.learning.inheritance == "baldwinian" else population.genome
    chosen = choose_parents(
        keys[:, :2].T.reshape(-1), scores, ~freed, idle, weight, jnp.tile(may_be_idle, 2), breeder.selection
    )
    first, second = chosen[:slots], chosen[slots:]

    def child(a: Array, b: Array, keys: Array) -> tuple[Genome, Genes, Array]:
        own = jax.tree.map(lambda x: x[a], (brains, population.genes))
        other = jax.tree.map(lambda x: x[b], (brains, population.genes))
        two = jax.random.bernoulli(keys[0], settings.crossover) & (a != b)
        mixed = (
            breeder.species.crossover(keys[1], own[0], other[0]),
            crossover_genes(keys[2], own[1], other[1]),
        )
        genome, genes = jax.tree.map(lambda x, y: jnp.where(two, x, y), mixed, own)
        genes = mutate_genes(keys[3], genes, breeder.genes)
        return breeder.species.mutate(keys[4], genome, genes.mutation, quantiles), genes, two

    # A child takes several times its size in random numbers and parents' copies, so not all are made at once.
    genome, genes, two = jax.lax.map(lambda one: child(*one), (first, second, keys[:, 2:]), batch_size=BROOD)

    moments, width = population.memory.features.shape[-2:]
    inherited = jax.tree.map(lambda x: x[first], population.memory)
    children = Population(
        genome=genome,
        genes=genes,
        id=ids,
        born=jnp.broadcast_to(generation, (slots,)),
        epsilon=population.epsilon[first] if breeder.scars.inherit == "all" else genes.exploration,
        memory=forget((slots,), moments, width) if breeder.scars.inherit == "none" else inherited,
        reputation=Reputation.new((slots,), population.reputation.success.shape[-1]),
        standing=Standing.new((slots,), scores.shape[1]),
        learner=new_learner(breeder.species, genome, breeder.learning),
    )
    births = Births(
        born=freed,
        id=ids,
        parent=population.id[first],
        second_parent=jnp.where(two, population.id[second], NOBODY),
        operator=jnp.where(two, 2, 1).astype(jnp.uint8),
        strength=genes.mutation,
    )

    def settle(new: Array, old: Array) -> Array:
        return jnp.where(freed.reshape(-1, *(1,) * (new.ndim - 1)), new, old)

    return jax.tree.map(settle, children, population), births

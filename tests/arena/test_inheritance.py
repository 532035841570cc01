"""What a child receives of what its parent learned, kept and suffered: the table of docs/learning.md, cell by cell.

Parents here have learned brains, brains they were born with, and everything else that can be handed on, each made to be
told apart. The brain's mutation is switched off, so that what a child has is exactly what it was given.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_worlds import founded, make_settings, market_of

from agents.exploration import ExplorationSettings, adapt
from agents.learning import LearningSettings, new_optimiser
from agents.memory import Memory, MemorySettings
from agents.observation import input_quantiles
from agents.population import Learner, Population
from agents.scars import ScarSettings
from arena.fitness import CASES
from arena.rollout import Rollout, Trader
from arena.scarring import scar
from arena.selection import SelectionSettings
from arena.turnover import Births, Breeder, TurnoverSettings, breed, new_learner
from genomes.genes import GeneSettings
from genomes.species import Species
from markets.tape import Tape

pytestmark = pytest.mark.usefixtures("plainly_compiled")

SLOTS, BARS, HURT = 12, 24, 3
FREED = np.isin(np.arange(SLOTS), [1, 4, 5, 9, 10])
KINDS = ("lamarckian", "baldwinian", "none")


class World(NamedTuple):
    setup: Rollout
    tape: Tape
    parents: Population
    """Without a learner; brains are learned ones."""
    birth: Any
    """The brains they were born with."""


@pytest.fixture(scope="module")
def world(plainly_compiled: None) -> World:
    quiet = {"hidden": [4], "mutation_rate": 0.0, "redraw_rate": 0.0}
    settings = make_settings(species={"qnetwork": quiet}, evolution={"agents": SLOTS})
    market = market_of(settings)
    plan, state = founded(settings, market)
    own = jax.tree.map(lambda x: jnp.asarray(x[0]), jax.device_get(state.populations[0]))
    rng = np.random.default_rng(2)

    def drawn(like: Any) -> Any:
        return jax.tree.map(lambda x: jnp.asarray(rng.uniform(0.5, 1.0, x.shape), x.dtype), like)

    parents = own._replace(
        genome=jax.tree.map(lambda x: x + 0.01 + 0.1 * drawn(x), own.genome),
        epsilon=jnp.linspace(0.3, 0.4, SLOTS),
        memory=Memory(drawn(own.memory.features), drawn(own.memory.weight)),
        reputation=drawn(own.reputation),
        standing=drawn(own.standing),
    )
    return World(plan.rollouts[0], market.tape, parents, own.genome)


def learning(world: World, kind: str) -> Population:
    """The parents, in the middle of what they are learning."""
    optimiser: Any = ()
    if kind != "none":
        fresh = new_optimiser(world.setup.species, world.birth)
        optimiser = jax.tree.map(lambda x: x + jnp.ones_like(x), fresh)
    return world.parents._replace(learner=Learner(optimiser, world.birth if kind == "baldwinian" else ()))


@functools.cache
def breeding(species: Species, kind: str, inherit: str) -> Callable[[Population, Any], tuple[Population, Births]]:
    """The arena's own, compiled once for each kind."""
    breeder = Breeder(
        species,
        GeneSettings(),
        SelectionSettings(pool=4),
        TurnoverSettings(crossover=0.0),
        ScarSettings(inherit=inherit),  # type: ignore[arg-type]
        LearningSettings(kind),  # type: ignore[arg-type]
    )
    ids = jnp.asarray(np.where(FREED, 200 + np.cumsum(FREED) - 1, 0), jnp.uint32)
    scores = jnp.asarray(np.random.default_rng(3).normal(size=(SLOTS, CASES)), jnp.float32)
    run: Callable[[Population, Any], tuple[Population, Births]] = jax.jit(
        lambda p, seen: breed(
            p, scores, jnp.ones(SLOTS), jnp.asarray(FREED), ids, jnp.uint32(0), jnp.int32(6), seen, breeder
        )
    )
    return run


def turn(world: World, population: Population, kind: str, inherit: str = "memory") -> tuple[Population, Births]:
    """The population and its births after a turn, on the host; who lives on is as he was."""
    run = breeding(world.setup.species, kind, inherit)
    after, births = jax.device_get(run(population, input_quantiles(world.tape.quantiles[0])))
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[~FREED], b[~FREED]), after, jax.device_get(population))
    return after, births


@pytest.fixture(scope="module")
def turned(world: World) -> dict[str, tuple[Population, Births]]:
    return {kind: turn(world, learning(world, kind), kind) for kind in KINDS}


def parent_of(world: World, births: Births) -> np.ndarray:
    """Slots of the parents of all children."""
    place = {int(own): slot for slot, own in enumerate(np.asarray(world.parents.id))}
    return np.asarray([place[int(own)] for own in births.parent[FREED]])


def equal(tree: Any, other: Any) -> None:
    assert jax.tree.structure(tree) == jax.tree.structure(other)
    jax.tree.map(np.testing.assert_array_equal, tree, other)


def some(tree: Any, slots: np.ndarray) -> Any:
    return jax.tree.map(lambda leaf: np.asarray(leaf)[slots], tree)


@pytest.mark.parametrize(("kind", "given"), [("lamarckian", "genome"), ("baldwinian", "birth"), ("none", "genome")])
def test_weights(kind: str, given: str, world: World, turned: Any) -> None:
    after, births = turned[kind]
    source = world.birth if given == "birth" else world.parents.genome
    equal(some(after.genome, FREED), some(source, parent_of(world, births)))


def test_who_is_born_is_remembered_as_he_was_born_where_that_is_what_children_have(world: World, turned: Any) -> None:
    after, _ = turned["baldwinian"]
    equal(some(after.learner.birth, FREED), some(after.genome, FREED))
    assert all((turned[kind][0].learner.birth == ()) for kind in ("lamarckian", "none"))


@pytest.mark.parametrize("kind", ["lamarckian", "baldwinian"])
def test_the_optimisers_state_begins_anew(kind: str, turned: Any) -> None:
    leaves = jax.tree.leaves(some(turned[kind][0].learner.optimiser, FREED))
    assert len(leaves) > 2
    assert all((leaf == 0).all() for leaf in leaves)
    assert turned["none"][0].learner.optimiser == ()


def test_nothing_else_is_kept_from_one_generation_to_the_next(world: World) -> None:
    """No transitions and no target network: a replay is of one generation, and the target is copied when it begins."""
    learner = new_learner(world.setup.species, world.birth, LearningSettings("baldwinian"))
    assert set(Learner._fields) == {"optimiser", "birth"}
    numbers = sum(leaf.size for leaf in jax.tree.leaves(world.birth))
    assert sum(leaf.size for leaf in jax.tree.leaves(learner)) == 3 * numbers + SLOTS, "two moments, a birth, a count"


@pytest.mark.parametrize(
    ("kind", "inherit"), [*((kind, "memory") for kind in KINDS), ("lamarckian", "none"), ("lamarckian", "all")]
)
def test_scars_that_are_remembered_and_exploration(kind: str, inherit: str, world: World, turned: Any) -> None:
    after, births = turned[kind] if inherit == "memory" else turn(world, learning(world, kind), kind, inherit)
    before = some(world.parents, parent_of(world, births))
    want = jax.tree.map(np.zeros_like, before.memory) if inherit == "none" else before.memory
    equal(some(after.memory, FREED), want)
    epsilon = before.epsilon if inherit == "all" else after.genes.exploration[FREED]
    np.testing.assert_array_equal(after.epsilon[FREED], epsilon)
    assert not np.isin(after.genes.exploration[FREED], before.epsilon).any()


@pytest.mark.parametrize("kind", KINDS)
def test_trust_and_standing_begin_anew(kind: str, turned: Any) -> None:
    after, _ = turned[kind]
    for leaf in jax.tree.leaves((after.reputation, after.standing)):
        assert (leaf[FREED] == 0).all()


class Hurt(NamedTuple):
    slots: np.ndarray
    population: Population
    won: np.ndarray
    severity: np.ndarray


@pytest.fixture(scope="module")
def hurt(world: World) -> Hurt:
    """Baldwinian parents, those of `HURT` slots scarred: the superset of what an agent keeps to learn with."""
    severity = np.zeros((SLOTS, 4), np.float32)
    slots = np.asarray([0, 2, 3])
    severity[slots, 1] = [0.9, 0.6, 0.3]
    before, won = learning(world, "baldwinian"), np.arange(SLOTS) % 2 == 0
    trader = Trader(before.genome, before.genes, before.memory, jnp.zeros((SLOTS, 4)))
    rows = world.tape.train.rows
    first = rows[jnp.linspace(0, len(rows) - 1, 4).astype(int)]
    run = jax.jit(
        lambda p: scar(
            p, trader, jnp.asarray(severity), jnp.ones((SLOTS, 4), jnp.uint8), jnp.asarray(won), first, world.tape,
            input_quantiles(world.tape.quantiles[0]), BARS, jnp.uint32(1), jnp.int32(4), world.setup,
            _BOTH, ExplorationSettings(step=0.1, scar=0.05, floor=0.0, ceiling=1.0),
        )[0]
    )  # fmt: skip
    return Hurt(slots, jax.device_get(run(before)), won, severity.max(1))


_BOTH = ScarSettings(enabled=True, damage=True, memory=MemorySettings(enabled=True), count=HURT)


def test_what_a_scar_changes_is_unlearned_and_the_rest_goes_on(world: World, hurt: Hurt) -> None:
    before, after = jax.device_get(learning(world, "baldwinian")), hurt.population
    changed = [old != new for old, new in zip(*map(jax.tree.leaves, (before.genome, after.genome)), strict=True)]
    spared = np.setdiff1d(np.arange(SLOTS), hurt.slots)
    assert not any(hit[spared].any() for hit in changed)
    for slot in hurt.slots:
        assert any(hit[slot].any() for hit in changed)
        assert not all(hit[slot].all() for hit in changed)
    for moments in (after.learner.optimiser.mu, after.learner.optimiser.nu):
        for moment, hit in zip(moments, changed, strict=True):
            np.testing.assert_array_equal(moment, np.where(hit, 0.0, 1.0))
    np.testing.assert_array_equal(after.learner.optimiser.count, 1)
    equal(after.learner.birth, before.learner.birth)


@pytest.mark.parametrize("kind", KINDS)
def test_damage_travels_with_the_weights(kind: str, world: World, hurt: Hurt) -> None:
    """To the children of who handed on what he has, and not of who hands on what he was born with."""
    learner = hurt.population.learner if kind == "baldwinian" else learning(world, kind).learner
    if kind == "lamarckian":
        learner = hurt.population.learner._replace(birth=())
    after, births = turn(world, hurt.population._replace(learner=learner), kind)
    parent = parent_of(world, births)
    assert np.isin(parent, hurt.slots).any(), "somebody scarred has a child"
    source = world.birth if kind == "baldwinian" else hurt.population.genome
    equal(some(after.genome, FREED), some(source, parent))


def test_exploration_rises_with_losses_and_scars_and_falls_with_wins(world: World, hurt: Hurt) -> None:
    before, after = np.asarray(world.parents.epsilon), hurt.population.epsilon
    scarred = hurt.severity > 0
    assert (after[hurt.won & ~scarred] < before[hurt.won & ~scarred]).all()
    assert (after[~hurt.won] > before[~hurt.won]).all()
    want = before * np.where(hurt.won, 0.9, 1.1) + 0.05 * hurt.severity
    np.testing.assert_allclose(after, want, rtol=1e-6)


def test_exploration_stays_within_its_bounds() -> None:
    settings = ExplorationSettings(step=0.5, scar=1.0, floor=0.1, ceiling=0.3)
    moved = adapt(
        jnp.asarray([0.1, 0.3, 0.2]), jnp.asarray([True, False, False]), jnp.asarray([0.0, 0.0, 1.0]), settings
    )
    np.testing.assert_allclose(moved, [0.1, 0.3, 0.3])

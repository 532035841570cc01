"""Turn-over: who dies, who is born of whom, and what children receive."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.memory import Memory
from agents.population import NOBODY, Population, Standing
from agents.scars import ScarSettings
from agents.trust import Reputation
from arena.fitness import CASES
from arena.selection import SelectionSettings
from arena.tally import REGIMES
from arena.turnover import DEATHS, OPERATORS, Births, Breeder, TurnoverSettings, breed, deaths
from genomes.genes import Genes, GeneSettings, init_genes
from genomes.qnetwork import QNetwork, Settings
from genomes.species import Shape

pytestmark = pytest.mark.usefixtures("plainly_compiled")

SLOTS, MOMENTS, FEATURES = 12, 2, 3
SPECIES = QNetwork(Settings(hidden=(4,)), Shape(FEATURES, 4))
QUANTILES = jnp.zeros((FEATURES + 4, 2))
NOW = jnp.int32(6)


def people(**changes: Any) -> Population:
    keys = jax.random.split(jax.random.key(1), SLOTS)
    rng = np.random.default_rng(0)
    made = Population(
        genome=jax.jit(jax.vmap(SPECIES.init, (0, None)))(keys, QUANTILES),
        genes=jax.jit(jax.vmap(lambda key: init_genes(key, GeneSettings())))(keys),
        id=jnp.asarray(rng.permutation(SLOTS) + 100, jnp.uint32),
        born=jnp.zeros(SLOTS, jnp.int32),
        epsilon=jnp.linspace(0.1, 0.2, SLOTS),
        memory=Memory(
            jnp.asarray(rng.normal(size=(SLOTS, MOMENTS, FEATURES)), jnp.float32), jnp.ones((SLOTS, MOMENTS))
        ),
        reputation=Reputation(*(jnp.ones((SLOTS, REGIMES)) for _ in range(3))),
        standing=Standing(jnp.ones((SLOTS, CASES)), jnp.ones((SLOTS, CASES)), jnp.ones(SLOTS)),
    )
    return made._replace(**changes)


def causes(population: Population, scores: np.ndarray, share: Any = None, **settings: Any) -> np.ndarray:
    share = np.zeros(SLOTS) if share is None else share
    found = deaths(population, jnp.asarray(scores, jnp.float32), jnp.asarray(share), NOW, TurnoverSettings(**settings))
    return np.asarray([DEATHS[c] for c in np.asarray(found)])


def even(score: np.ndarray) -> np.ndarray:
    """The same score in every case."""
    return np.tile(np.asarray(score, float)[:, None], (1, CASES))


def test_the_worst_by_rank_are_culled_and_exactly_so_many() -> None:
    score = np.random.default_rng(1).permutation(SLOTS)
    for share in (0.0, 0.25, 0.5, 0.99):
        dead = causes(people(), even(score), culled=share) == "culled"
        assert dead.sum() == int(share * SLOTS)
        assert set(score[dead]) == set(range(int(share * SLOTS)))


def test_rank_is_the_mean_of_ranks_over_cases_whatever_their_scale() -> None:
    """One agent is worst by a hair in all cases but one, where it is best by far."""
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(SLOTS, CASES))
    scores[4] = scores.min(0) - 1e-6
    scores[4, 3] = 1e6
    assert causes(people(), scores, culled=1 / SLOTS)[4] == "culled"


def test_a_case_without_scores_ranks_nobody() -> None:
    """Where all cases but one are empty, that one alone decides: equals share their rank."""
    scores = np.zeros((SLOTS, CASES))
    scores[:, 7] = -np.arange(SLOTS)  # the last slot is the worst
    dead = causes(people(), scores, culled=0.25)
    np.testing.assert_array_equal(np.flatnonzero(dead == "culled"), [9, 10, 11])


def test_of_equals_the_youngest_go() -> None:
    population = people()
    dead = causes(population, np.zeros((SLOTS, CASES)), culled=0.25) == "culled"
    assert set(np.asarray(population.id)[dead]) == {109, 110, 111}


def test_rank_does_not_kill_in_the_grace_after_birth() -> None:
    young = np.arange(SLOTS) < 8
    population = people(born=jnp.asarray(np.where(young, 6, 0), jnp.int32))
    dead = causes(population, even(np.arange(SLOTS)), culled=0.5, grace=1)
    np.testing.assert_array_equal(np.flatnonzero(dead == "culled"), [8, 9, 10, 11])
    assert (causes(population, even(np.arange(SLOTS)), culled=0.5, grace=0) == "culled").sum() == 6


def test_ruin_kills_from_its_share_on_and_before_rank() -> None:
    ruined = np.linspace(0, 1, SLOTS)
    dead = causes(people(), even(np.arange(SLOTS)), ruined, ruined=0.5, culled=0.0)
    np.testing.assert_array_equal(dead == "ruined", ruined >= 0.5)
    everything = causes(people(), even(-np.arange(SLOTS)), ruined, ruined=1.0, culled=0.25)
    assert everything[-1] == "ruined"


def test_age_kills_those_who_have_lived_so_long() -> None:
    population = people(born=jnp.arange(SLOTS, dtype=jnp.int32) - 5)
    age = 6 - np.asarray(population.born)
    dead = causes(population, even(np.arange(SLOTS)), age=5, culled=0.0)
    np.testing.assert_array_equal(dead == "aged", age >= 5)
    assert (causes(population, even(np.arange(SLOTS)), culled=0.0) == "alive").all()


FREED = np.isin(np.arange(SLOTS), [1, 4, 5, 9, 10])
IDS = np.where(FREED, 200 + np.cumsum(FREED) - 1, 0)


def bear(population: Population | None = None, **changes: Any) -> tuple[Population, Population, Births]:
    """The population before and after a turn, and its births."""
    own = {name: changes.pop(name) for name in ("inherit",) if name in changes}
    selection = {name: changes.pop(name) for name in ("kind", "idle") if name in changes}
    genes = changes.pop("genes", GeneSettings())
    breeder = Breeder(
        SPECIES,
        genes,
        SelectionSettings(pool=4, **selection),
        TurnoverSettings(**changes),
        dataclasses.replace(ScarSettings(), **own),
    )
    before = people() if population is None else population
    if population is not None:
        scores = jnp.tile((before.standing.trades[:, None] == 0) * 1.0, (1, CASES))  # idleness looks best
    else:
        scores = jnp.asarray(np.random.default_rng(3).normal(size=(SLOTS, CASES)), jnp.float32)
    run = jax.jit(lambda p: breed(p, scores, jnp.ones(SLOTS), jnp.asarray(FREED), jnp.asarray(IDS, jnp.uint32),
                                  jnp.uint32(0), NOW, QUANTILES, breeder))  # fmt: skip
    after, births = run(before)
    return before, jax.device_get(after), jax.device_get(births)


@pytest.fixture(scope="module")
def turned() -> tuple[Population, Population, Births]:
    return bear(crossover=0.5)


def test_whoever_lives_on_is_left_as_he_was(turned: Any) -> None:
    before, after, _ = turned
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(np.asarray(a)[~FREED], b[~FREED]), before, after)


def test_each_freed_slot_holds_a_child_with_the_next_id(turned: Any) -> None:
    _, after, births = turned
    np.testing.assert_array_equal(births.born, FREED)
    np.testing.assert_array_equal(after.id[FREED], 200 + np.arange(5))
    np.testing.assert_array_equal(births.id[FREED], after.id[FREED])
    np.testing.assert_array_equal(after.born[FREED], 6)
    np.testing.assert_array_equal(after.standing.generations[FREED], 0)
    np.testing.assert_array_equal(after.reputation.blocks[FREED], 0)
    np.testing.assert_array_equal(after.standing.trades[FREED], 0)


def test_parents_live_on_and_are_named(turned: Any) -> None:
    before, _, births = turned
    living = np.asarray(before.id)[~FREED]
    assert np.isin(births.parent[FREED], living).all()
    two = births.operator[FREED] == OPERATORS.index("crossover")
    assert two.any()
    assert not two.all()
    assert np.isin(births.second_parent[FREED][two], living).all()
    assert (births.second_parent[FREED][~two] == NOBODY).all()
    assert (births.second_parent[FREED][two] != births.parent[FREED][two]).all()


@pytest.fixture(scope="module")
def unvaried() -> tuple[Population, Population, Births]:
    """Children as their parents made them: mutation next to nothing."""
    return bear(crossover=0.5, genes=GeneSettings(mutation=(1e-12, 1e-12), step=0.0))


def test_a_child_of_one_is_its_parents_copy_but_for_mutation(unvaried: Any) -> None:
    before, after, births = unvaried
    place = {int(i): s for s, i in enumerate(np.asarray(before.id))}
    for slot in np.flatnonzero(FREED & (births.operator == 1)):
        parent = place[int(births.parent[slot])]
        jax.tree.map(
            lambda old, new, p=parent, s=slot: np.testing.assert_allclose(
                new[s], np.asarray(old)[p], rtol=1e-5, atol=1e-9
            ),
            (before.genome, before.genes._replace(mutation=jnp.full(SLOTS, 1e-12))),
            (after.genome, after.genes),
        )
        np.testing.assert_allclose(after.memory.features[slot], np.asarray(before.memory.features)[parent])


def test_a_child_of_two_lies_between_them(unvaried: Any) -> None:
    before, after, births = unvaried
    place = {int(i): s for s, i in enumerate(np.asarray(before.id))}
    mixed = 0
    for slot in np.flatnonzero(FREED & (births.operator == 2)):
        first, second = place[int(births.parent[slot])], place[int(births.second_parent[slot])]
        for old, new in zip(jax.tree.leaves(before.genome), jax.tree.leaves(after.genome), strict=True):
            a, b, child = (np.asarray(x, float) for x in (old[first], old[second], new[slot]))
            room = 1e-5 * (np.abs(a) + np.abs(b)) + 1e-9
            assert np.all((np.minimum(a, b) - room <= child) & (child <= np.maximum(a, b) + room))
            mixed += int(np.sum((np.abs(child - a) > room) & (np.abs(child - b) > room)))
    assert mixed, "both parents are in it"


def test_strength_of_mutation_is_the_childs_own_gene(turned: Any) -> None:
    before, after, births = turned
    np.testing.assert_array_equal(births.strength[FREED], after.genes.mutation[FREED])
    assert not np.isin(after.genes.mutation[FREED], np.asarray(before.genes.mutation)).any(), "it has been varied"


@pytest.mark.parametrize("inherit", ["none", "memory", "all"])
def test_children_receive_of_scars_what_the_settings_say(inherit: str, turned: Any) -> None:
    before, after, births = turned if inherit == "memory" else bear(inherit=inherit)
    place = {int(i): s for s, i in enumerate(np.asarray(before.id))}
    parent = np.asarray([place[int(i)] for i in births.parent[FREED]])
    remembered = np.asarray(before.memory.weight)[parent] if inherit != "none" else 0.0
    np.testing.assert_array_equal(after.memory.weight[FREED], remembered)
    exploration = np.asarray(before.epsilon)[parent] if inherit == "all" else after.genes.exploration[FREED]
    np.testing.assert_array_equal(after.epsilon[FREED], exploration)


def test_idle_agents_get_no_more_than_their_share_of_parenthood() -> None:
    idle = np.asarray([0, 2, 3, 6, 7])
    trades = np.ones(SLOTS)
    trades[idle] = 0
    population = people()
    population = population._replace(standing=population.standing._replace(trades=jnp.asarray(trades, jnp.float32)))
    before, _, births = bear(population, idle=0.4, kind="tournament")
    for parents in (births.parent, births.second_parent):
        assert not np.isin(parents[FREED], np.asarray(before.id)[idle])[2:].any(), "two of five children may have one"


def test_genes_are_named_alike_everywhere() -> None:
    fields = {field.name for field in dataclasses.fields(GeneSettings)} - {"step"}
    assert fields == set(Genes._fields)

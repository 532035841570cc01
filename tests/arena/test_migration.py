"""Migration: agents move round the ring of their replicate, and nobody is copied or lost."""

import jax.numpy as jnp
import numpy as np
import pytest

from agents.memory import forget
from agents.population import Population, Standing
from agents.trust import Reputation
from arena.fitness import CASES
from arena.migration import MigrationSettings, migrate
from arena.tally import REGIMES
from genomes.genes import Genes

pytestmark = pytest.mark.usefixtures("plainly_compiled")

ISLANDS, REPLICATES, SLOTS = 3, 2, 5


def world() -> Population:
    """The genome of each agent is its id, so that what moves can be followed."""
    batch = (ISLANDS * REPLICATES, SLOTS)
    ids = jnp.arange(ISLANDS * REPLICATES * SLOTS, dtype=jnp.uint32).reshape(batch)
    value = ids.astype(jnp.float32)
    return Population(
        genome={"weights": jnp.stack([value, -value], -1)},
        genes=Genes(*(value for _ in Genes._fields)),
        id=ids,
        born=jnp.zeros(batch, jnp.int32),
        epsilon=value,
        memory=forget(batch, 2, 3),
        reputation=Reputation.new(batch, REGIMES),
        standing=Standing.new(batch, CASES),
    )


def moved(
    generation: int = 4, *, agents: int = 2, every: int | None = 5, islands: int = ISLANDS
) -> tuple[Population, bool]:
    before = world()
    score = jnp.asarray(np.random.default_rng(0).normal(size=before.id.shape), jnp.float32)
    after, due = migrate(before, score, jnp.int32(generation), islands, MigrationSettings(every=every, agents=agents))
    return after, bool(due)


def test_nobody_is_copied_or_lost() -> None:
    after, due = moved()
    assert due
    assert sorted(np.asarray(after.id).reshape(-1)) == list(range(ISLANDS * REPLICATES * SLOTS))


def test_the_best_of_each_island_go_to_the_next_of_its_ring() -> None:
    after, _ = moved()
    score = np.random.default_rng(0).normal(size=(ISLANDS * REPLICATES, SLOTS)).astype(np.float32)
    before, now = np.asarray(world().id), np.asarray(after.id)
    for place in range(ISLANDS * REPLICATES):
        replicate, island = divmod(place, ISLANDS)
        best = before[place][np.argsort(-score[place])[:2]]
        target = replicate * ISLANDS + (island + 1) % ISLANDS
        assert set(best) <= set(now[target])
        assert set(now[target]) - set(before[target]) == set(best), "and no one else comes"


def test_an_agent_moves_whole() -> None:
    after, _ = moved()
    ids = np.asarray(after.id).astype(float)
    np.testing.assert_array_equal(after.genome["weights"], np.stack([ids, -ids], -1))
    np.testing.assert_array_equal(after.genes.size, ids)
    np.testing.assert_array_equal(after.epsilon, ids)


def test_replicates_never_meet() -> None:
    after, _ = moved(agents=SLOTS)
    replicate = np.asarray(after.id) // (ISLANDS * SLOTS)
    np.testing.assert_array_equal(replicate, np.repeat([[0], [1]], ISLANDS, 0) * np.ones(SLOTS))


@pytest.mark.parametrize(("generation", "due"), [(0, False), (3, False), (4, True), (5, False), (9, True)])
def test_it_happens_every_so_many_generations(generation: int, due: bool) -> None:
    after, happened = moved(generation)
    assert happened == due
    assert bool((after.id != world().id).any()) == due


def test_one_island_or_no_interval_is_no_migration() -> None:
    for after, due in (moved(islands=1), moved(every=None)):
        assert not due
        np.testing.assert_array_equal(after.id, world().id)


def test_more_migrants_than_agents_are_all_of_them() -> None:
    after, _ = moved(agents=50)
    assert set(np.asarray(after.id)[1]) == set(np.asarray(world().id)[0])

"""One generation as a whole: compiled once, repeatable, exact in its books, and blind to what it must not see."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_worlds import founded, make_settings, market_of, on_host

from agents.population import NOBODY
from arena.founding import found, spread
from arena.generation import make_generation
from arena.keys import Purpose, fold
from arena.plan import Plan, make_plan
from arena.records import GenerationRecord
from arena.state import ArenaState
from markets.preparation import Market

pytestmark = pytest.mark.usefixtures("plainly_compiled")

GENERATIONS = 5
WORLD: dict[str, Any] = {
    "evolution": {"agents": 16, "islands": 2, "replicates": 2, "migration": {"every": 2, "agents": 1}},
    "archive": {"bars": 4, "judged": 3, "t": 0.0, "trials": 20},
    "fitness": {"bars": 8, "horizon": 2},
    "turnover": {"culled": 0.4, "age": 3},
}


class Run:
    """A world, its one compiled generation, and what became of its founders."""

    def __init__(self, **changes: Any) -> None:
        self.settings = make_settings(**{**WORLD, **changes})
        self.market: Market = market_of(self.settings)
        self.plan: Plan
        self.plan, founders = founded(self.settings, self.market)
        self.founders: ArenaState = jax.device_get(founders)
        self.generation = make_generation(self.plan)
        self.end, self.records = self.play()

    def play(self, state: Any = None, tape: Any = None, generations: int = GENERATIONS) -> tuple[Any, list[Any]]:
        """Evolve from a state on the host; the founders by default."""
        now = spread(self.plan, jax.tree.map(jnp.asarray, self.founders if state is None else state))
        records = []
        for _ in range(generations):
            now, record = self.generation(now, self.market.tape if tape is None else tape)
            records.append(on_host(record))
        return jax.device_get(now), records


@pytest.fixture(scope="module")
def run(plainly_compiled: None) -> Run:
    return Run()


def same(first: Any, second: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, first, second)


def alike(first: Any, second: Any) -> None:
    """The same but for the rounding of two programs."""

    def compare(one: Any, other: Any) -> None:
        np.testing.assert_allclose(one, other, rtol=1e-5 if np.issubdtype(one.dtype, np.floating) else 0, atol=1e-7)

    jax.tree.map(compare, first, second)


def births(record: GenerationRecord) -> dict[int, tuple[int, int, int]]:
    """Of each child: its island and its parents."""
    own = record.species[0].births
    found = {}
    for place, slot in zip(*np.nonzero(own.born), strict=True):
        found[int(own.id[place, slot])] = (
            int(place),
            int(own.parent[place, slot]),
            int(own.second_parent[place, slot]),
        )
    return found


def test_it_is_traced_and_compiled_once(run: Run) -> None:
    run.play()
    assert run.generation._cache_size() == 1


def test_the_state_is_donated(run: Run) -> None:
    state = spread(run.plan, jax.tree.map(jnp.array, run.founders))
    run.generation(state, run.market.tape)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.populations))


def test_the_same_founders_live_the_same_lives(run: Run) -> None:
    end, records = run.play()
    same(end, run.end)
    same(records, run.records)
    again = jax.device_get(found(run.plan, run.market.tape))
    same(again, run.founders)


def test_another_seed_is_another_world(run: Run) -> None:
    other = make_plan(make_settings(**{**WORLD, "seed": 8}), len(run.market.features))
    founders = jax.device_get(found(other, run.market.tape))
    assert not np.array_equal(founders.populations[0].genome.market, run.founders.populations[0].genome.market)
    _, records = run.play(founders, generations=1)
    assert not np.array_equal(records[0].species[0].train.log_return, run.records[0].species[0].train.log_return)


def test_the_largest_seed_will_do(run: Run) -> None:
    plan = make_plan(make_settings(**{**WORLD, "seed": 2**32 - 1}), len(run.market.features))
    founders = found(plan, run.market.tape)
    np.testing.assert_array_equal(founders.seed, [2**32 - 1, 2**32 - 1, 0, 0])


def test_a_state_put_down_and_taken_up_goes_on_bit_for_bit(run: Run) -> None:
    middle, first = run.play(generations=2)
    end, rest = run.play(middle, generations=GENERATIONS - 2)
    same(end, run.end)
    same(first + rest, run.records)


def test_ids_are_counted_in_birth_order_without_gap_or_double(run: Run) -> None:
    places, slots = run.founders.populations[0].id.shape
    expected = places * slots
    np.testing.assert_array_equal(np.sort(run.founders.populations[0].id, axis=None), np.arange(expected))
    for record in run.records:
        own = record.species[0].births
        born = own.id[own.born]  # island after island, slot after slot
        np.testing.assert_array_equal(born, expected + np.arange(len(born)))
        expected += len(born)
    assert int(run.end.next_id) == expected
    living = run.end.populations[0].id
    assert len(np.unique(living)) == living.size


def test_as_many_are_born_as_die_and_the_dead_are_gone(run: Run) -> None:
    dead: set[int] = set()
    for record in run.records:
        own = record.species[0]
        judged = set(own.id.reshape(-1).tolist())
        assert not judged & dead
        assert (own.births.born == (own.death > 0)).all()
        dead |= set(own.id[own.death > 0].tolist())
        assert own.summary.births.sum() == (own.born == record.generation).sum()
    assert dead, "somebody died"


def test_parents_lived_on_the_island_of_their_child_and_lived_on(run: Run) -> None:
    mixed = 0
    for record in run.records:
        own = record.species[0]
        for place, *parents in births(record).values():
            living = set(own.id[place][own.death[place] == 0].tolist())
            assert parents[0] in living
            if parents[1] != NOBODY:
                mixed += 1
                assert parents[1] in living
    assert mixed > 0


def test_replicates_never_meet(run: Run) -> None:
    replicate = {int(i): p // run.plan.islands for p, row in enumerate(run.founders.populations[0].id) for i in row}
    for record in run.records:
        for place, row in enumerate(record.species[0].id):
            assert {replicate[int(i)] for i in row} == {place // run.plan.islands}
        replicate |= {child: place // run.plan.islands for child, (place, *_) in births(record).items()}


def test_islands_exchange_agents_when_migration_is_due_and_only_then(run: Run) -> None:
    before = {int(i): p for p, row in enumerate(run.founders.populations[0].id) for i in row}
    for record, following in zip(run.records[:-1], run.records[1:], strict=True):
        before |= {child: place for child, (place, *_) in births(record).items()}
        now = {int(i): p for p, row in enumerate(following.species[0].id) for i in row}
        moved = {i for i, place in now.items() if before[i] != place}
        due = (int(record.generation) + 1) % 2 == 0
        assert len(moved) == (run.plan.places if due else 0)
        np.testing.assert_array_equal(record.species[0].summary.migrants, 1 if due else 0)
        before = now


def test_grace_and_age_are_counted_from_the_first_judgement(run: Run) -> None:
    for record in run.records:
        own, now = record.species[0], int(record.generation)
        age = now - own.born
        assert (age >= 0).all()
        assert not (own.death[age < 1] == 1).any(), "the newborn are not culled"
        assert (own.death[age >= 3] > 0).all(), "nobody grows older than three"


def test_records_count_the_windows_that_were_played(run: Run) -> None:
    episodes = run.settings.episodes
    for record in run.records:
        train = record.species[0].train
        assert bool(record.finite)
        np.testing.assert_array_equal(train.bars[..., -1], episodes.episodes * episodes.bars)
        np.testing.assert_array_equal(train.bars[..., :-1].sum(-1), train.bars[..., -1])
        # Common random numbers: everyone on an island lived through the same bars of each regime.
        assert (train.bars == train.bars[:, :1]).all()


def test_champions_only_get_better_and_were_judged_in_training(run: Run) -> None:
    seen: set[int] = set()
    best = np.full(run.end.archive.score.shape, -np.inf)
    improved, late = 0, 0
    born = {int(i): 0 for i in run.founders.populations[0].id.reshape(-1)}
    for record in run.records:
        own, gained = record.species[0], record.archive
        seen |= set(own.id.reshape(-1).tolist())
        assert np.isin(own.tried, own.id).all()
        assert (gained.score[gained.improved] > best[gained.improved]).all()
        best = np.where(gained.improved, gained.score, best)
        improved += int(gained.improved.sum())
        for i in gained.id[gained.improved].tolist():
            assert record.generation - born[i] + 1 >= min(3, record.generation + 1), "judged often enough"
            late += record.generation >= 2
        born |= {child: int(record.generation) + 1 for child in births(record)}
        assert set(gained.id[gained.improved].tolist()) <= seen
    assert improved > 0
    assert late > 0, "more judgements than the standing's horizon can be asked for"
    np.testing.assert_array_equal(run.end.archive.score, best)


def test_validation_never_reaches_those_who_breed(run: Run) -> None:
    """All prices and features after the training part made NaN: the same lives, and an archive that holds nobody."""
    after = run.market.segments[0].rows.train.stop
    tape = run.market.tape
    blank = tape._replace(
        bid=tape.bid.at[after:].set(jnp.nan),
        ask=tape.ask.at[after:].set(jnp.nan),
        features=tape.features.at[after:].set(jnp.nan),
        atr=tape.atr.at[after:].set(jnp.nan),
    )
    end, records = run.play(tape=blank)
    same(end.populations, run.end.populations)
    for record, before in zip(records, run.records, strict=True):
        own, old = record.species[0], before.species[0]
        same((own.train, own.births, own.scars, own.death), (old.train, old.births, old.scars, old.death))
        assert not record.archive.improved.any()
    assert (end.archive.id == NOBODY).all()
    assert (run.end.archive.id != NOBODY).any()


def test_the_archive_never_writes_to_the_populations(run: Run) -> None:
    """Whoever it holds, with whatever score and genome: the same lives, bit for bit."""
    stuffed = jax.tree.map(lambda leaf: np.full_like(leaf, 3), run.founders.archive)
    end, records = run.play(run.founders._replace(archive=stuffed))
    same(end.populations, run.end.populations)
    for record, before in zip(records, run.records, strict=True):
        own, old = record.species[0], before.species[0]
        same((own.train, own.births, own.scars, own.death), (old.train, old.births, old.scars, old.death))
        assert not record.archive.improved.any(), "3 a bar is not to be beaten"
    assert run.records[0].archive.improved.any()


def test_without_an_archive_the_same_live_die_and_breed(run: Run) -> None:
    """Another program, which may round otherwise: each generation begins with the populations of the first."""
    without = Run(archive={"enabled": False})
    same(without.founders.populations, run.founders.populations)
    state = run.founders
    for before in run.records:
        begun = without.founders._replace(
            generation=state.generation, next_id=state.next_id, populations=state.populations
        )
        found, (record,) = without.play(begun, generations=1)
        state, _ = run.play(state, generations=1)
        alike(found.populations, state.populations)
        alike(record.species[0].births, before.species[0].births)
        assert record.species[0].tried.size == 0
        assert not record.archive.improved.any()


@pytest.fixture(scope="module")
def off(plainly_compiled: None) -> Run:
    """All that can be switched off is, and blocks and chunks are others."""
    return Run(
        archive={"enabled": False},
        scars={"enabled": False},
        trust={"enabled": False},
        exploration={"enabled": False},
        evolution={**WORLD["evolution"], "migration": {"every": None}},
        turnover={"crossover": 0.0},
        device={"block": 8, "chunk": 12, "count": 1},
    )


def test_what_is_switched_off_leaves_no_record(off: Run) -> None:
    for record in off.records:
        own = record.species[0]
        assert own.scars.made.size == 0
        assert (own.trust == 0).all()
        assert (own.summary.migrants == 0).all()
        assert (own.births.second_parent == NOBODY).all()
        assert not record.archive.improved.any()
    population = off.end.populations[0]
    assert (population.memory.weight == 0).all()
    assert (population.reputation.blocks == 0).all()
    np.testing.assert_array_equal(population.epsilon, population.genes.exploration)


def test_what_is_switched_on_leaves_a_trace(run: Run) -> None:
    """Else the test above would be empty."""
    assert any(record.species[0].scars.made.any() for record in run.records)
    assert any((record.species[0].trust > 0).any() for record in run.records)
    population = run.end.populations[0]
    assert (population.memory.weight > 0).any()
    assert (population.epsilon != population.genes.exploration).any()


def test_blocks_and_chunks_change_nothing_but_rounding(run: Run, off: Run) -> None:
    """The founders of both worlds are the same and nothing that was switched off acts on the first generation."""
    same(run.founders.populations[0].genome, off.founders.populations[0].genome)
    for name in ("log_return", "drawdown", "trades", "bars"):
        got, want = (getattr(r.records[0].species[0].train, name) for r in (off, run))
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6, err_msg=name)


def test_an_even_sample_of_all_births_is_kept_as_they_were_born(run: Run) -> None:
    """The lowest ranks among all births of each island, and ranks that are spread evenly."""
    ids = [run.founders.populations[0].id, *(r.species[0].births.id for r in run.records)]
    new = [np.ones_like(ids[0], bool), *(r.species[0].births.born for r in run.records)]
    kept = run.end.reservoir[0]
    assert kept.id.shape == (run.plan.places, 10)
    for island in range(run.plan.places):
        born = np.concatenate([own[island][there[island]] for own, there in zip(ids, new, strict=True)])
        seed = jnp.uint32(run.end.seed[island])
        draw = jax.vmap(lambda one, seed=seed: jax.random.bits(fold(seed, 0, Purpose.RESERVOIR, one), (), jnp.uint32))
        rank = np.asarray(draw(jnp.asarray(born)))
        order = np.lexsort((born, rank))[:10]
        np.testing.assert_array_equal(kept.id[island], born[order])
        np.testing.assert_array_equal(kept.rank[island], rank[order])
        assert 0.3 < rank.mean() / 2**32 < 0.7
    # Who is new is in the population still, as it was born.
    for generation, state in ((0, run.founders), (GENERATIONS, run.end)):
        sample, people = state.reservoir[0], state.populations[0]
        twins = (people.id[:, :, None] == sample.id[:, None]) & (people.born == generation)[:, :, None]
        place = np.nonzero(twins)
        assert len(place[0]) > 4
        born = jax.tree.map(lambda x, own=place: x[own[0], own[1]], (people.genome, people.genes, people.memory))
        same(born, jax.tree.map(lambda x, own=place: x[own[0], own[2]], tuple(sample.trader[:3])))


def test_without_champions_no_births_are_kept() -> None:
    settings = make_settings(**{**WORLD, "archive": {"enabled": False}})
    assert founded(settings, market_of(settings))[1].reservoir == ()

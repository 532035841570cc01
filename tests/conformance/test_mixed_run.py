"""Several species in one run, and all learn: nothing but a line in the registry, and everything goes on as with one.

All species of the registry, and one of the tests' own that has nothing to learn. What learned is handed on here; the
other kind of inheritance is tested in `arena/test_inheritance.py` and, in whole runs, in
`experiments/runs/test_learning_runs.py`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
from small_worlds import make_settings, market_of, on_host

from agents.population import NOBODY
from arena.founding import found, spread
from arena.frames import founder_frame, frames
from arena.generation import make_generation
from arena.plan import Plan, make_plan
from genomes import registry

GENERATIONS = 3
SMALL: dict[str, dict[str, Any]] = {
    "qnetwork": {"hidden": [4]},
    "forest": {"layout": "ordinary", "depth": 2, "market_trees": 3, "state_trees": 2, "damage": 0.5},
    "threshold": {"width": 0.5},
}
NAMES = (*sorted(registry.SPECIES), "threshold")
FOREST = SMALL["forest"]

# Minutes of compiling; networks beside forests that learn run in `arena/test_devices.py` too.
pytestmark = [pytest.mark.slow, pytest.mark.soak]


class Mixed(NamedTuple):
    plan: Plan
    records: list[Any]
    founders: list[pl.DataFrame]
    tables: list[dict[str, pl.DataFrame]]
    states: list[Any]
    """Before each generation, and the last."""
    play: Callable[[Any, int], tuple[list[Any], list[Any]]]
    """(state, generations) → the states before and after, and the records; on the host."""


@pytest.fixture(scope="module")
def mixed(plainly_compiled: None) -> Mixed:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.SPECIES, "threshold", "threshold_species")
        settings = make_settings(
            species={name: SMALL.get(name, {}) for name in NAMES},
            archive={"judged": 1},
            learning={"inheritance": "lamarckian", "every": 8, "batch": 16, "target": 2},
        )
        market = market_of(settings, context=2)
        plan = make_plan(settings, len(market.features))
    founders = jax.device_get(found(plan, market.tape))
    tables = [founder_frame(np.asarray(p.id), n) for p, n in zip(founders.populations, plan.names, strict=True)]
    generation = make_generation(plan)

    def play(state: Any, generations: int) -> tuple[list[Any], list[Any]]:
        now, states, records = spread(plan, jax.tree.map(jnp.asarray, state)), [state], []
        for _ in range(generations):
            now, record = generation(now, market.tape)
            records.append(on_host(record))
            states.append(jax.device_get(now))
        return states, records

    states, records = play(founders, GENERATIONS)
    assert generation._cache_size() == 1, "a generation in which all learn is traced once"
    made = [frames(record, plan.names, market.time) for record in records]
    return Mixed(plan, records, tables, made, states, play)


def test_all_live_die_and_breed_among_their_own(mixed: Mixed) -> None:
    plan, records, states = mixed.plan, mixed.records, mixed.states
    state = states[-1]
    assert plan.names == NAMES
    kind = {int(i): s for s, record in enumerate(records[0].species) for i in record.id.reshape(-1)}
    for record in records:
        assert bool(record.finite)
        for index, own in enumerate(record.species):
            assert (own.death > 0).any() == (record.generation > 0), "founders have their grace"
            for i in np.argwhere(own.births.born):
                place = tuple(i)
                assert kind[int(own.births.parent[place])] == index
                second = own.births.second_parent[place]
                assert second == NOBODY or kind[int(second)] == index
                kind[int(own.births.id[place])] = index
            assert own.train.trades.sum() > 0
    living = np.concatenate([population.id.reshape(-1) for population in state.populations])
    assert len(np.unique(living)) == living.size
    assert int(state.next_id) == len(kind)


def test_the_archive_may_hold_any_and_says_which(mixed: Mixed) -> None:
    records, states = mixed.records, mixed.states
    state = states[-1]
    kind = {int(i): s for record in records for s, own in enumerate(record.species) for i in own.id.reshape(-1)}
    held = state.archive.id != NOBODY
    assert held.any()
    for i, species in zip(state.archive.id[held], state.archive.species[held], strict=True):
        assert kind[int(i)] == species
    assert len(state.archive.traders) == len(NAMES)


def test_tables_name_all(mixed: Mixed) -> None:
    founders, made = mixed.founders, mixed.tables
    assert [frame["species"].unique().to_list() for frame in founders] == [[name] for name in NAMES]
    assert set(made[-1]["births"]["species"]) == set(NAMES)
    for tables in made:
        assert set(tables["generations"]["species"]) == set(NAMES)
        assert set(tables["fitness"]["split"]) == {"train", "validation"}


def test_scars_hit_the_trees_that_are_on_record_and_no_others(mixed: Mixed) -> None:
    """Of agents that live on: what was hit is silent, and what the rest asks is as it was; its answers are learned."""
    records, states = mixed.records, mixed.states
    index, found = NAMES.index("forest"), 0
    trees = FOREST["market_trees"] + FOREST["state_trees"]
    for record, before, after in zip(records, states[:-1], states[1:], strict=True):
        old, new = ({int(i): at for at, i in np.ndenumerate(s.populations[index].id)} for s in (before, after))
        scars = record.species[index].scars
        for place in np.argwhere(scars.made):
            own, hit = int(scars.id[tuple(place)]), scars.units[tuple(place)] > 0
            assert hit.sum() == np.ceil(np.float32(scars.severity[tuple(place)]) * 0.5 * trees)
            if own not in new:
                continue
            was, now = (s.populations[index].genome for s in (before, after))
            for tree, dropped in enumerate(hit):
                kind, number = ("market", tree) if tree < FOREST["market_trees"] else ("state", tree - 3)
                one, other = (
                    jax.tree.map(lambda x, at=at, number=number: x[at][number], getattr(g, kind))
                    for g, at in ((was, old[own]), (now, new[own]))
                )
                assert dropped == (other.leaf == 0).all()
                if not dropped:
                    same(one._replace(leaf=0), other._replace(leaf=0))
            found += 1
    assert found > 0, "some forest is scarred and lives on"


def same(first: Any, second: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, first, second)


def test_the_same_founders_learn_the_same_from_wherever_they_are_taken_up(mixed: Mixed) -> None:
    first, began = mixed.play(mixed.states[0], 1)
    states, rest = mixed.play(first[-1], GENERATIONS - 1)
    same([*first, *states[1:]], mixed.states)
    same([*began, *rest], mixed.records)


@pytest.mark.parametrize("name", NAMES)
def test_learning_moves_what_may_learn_and_nothing_else(name: str, mixed: Mixed) -> None:
    """Of agents that live on and are not scarred."""
    index = NAMES.index(name)
    species = mixed.plan.rollouts[index].species
    moved, looked_at = 0, 0
    for record, before, after in zip(mixed.records, mixed.states[:-1], mixed.states[1:], strict=True):
        scars = record.species[index].scars
        old, new = before.populations[index], after.populations[index]
        kept = (old.id == new.id) & ~np.isin(old.id, scars.id[scars.made])
        for place in map(tuple, np.argwhere(kept)):
            one, other = (jax.tree.map(lambda x, at=place: x[at], p.genome) for p in (old, new))
            learns = jax.tree.leaves(species.learnable(one))
            for was, now, may in zip(jax.tree.leaves(one), jax.tree.leaves(other), learns, strict=True):
                moved += int((was != now).any())
                assert may or np.array_equal(was, now)
            looked_at += sum(learns)
            age = int(record.generation) + 1 - int(old.born[place])
            assert new.learner.optimiser.count[place] == 3 * age, "three updates a generation"
    assert (moved > 0.5 * looked_at) if name in registry.SPECIES else (moved == looked_at == 0)


@pytest.mark.parametrize("name", NAMES)
def test_what_was_learned_is_recorded_of_judged_windows_alone(name: str, mixed: Mixed) -> None:
    episodes = mixed.plan.settings.episodes
    for record, tables in zip(mixed.records, mixed.tables, strict=True):
        own = tables["generations"].filter(species=name)
        assert own.height == 1
        for column in ("loss", "td_error"):
            assert own[column].is_finite().all()
            assert (own[column] > 0).all()
        bars = record.species[NAMES.index(name)].train.bars[..., -1]
        np.testing.assert_array_equal(bars, 0.75 * episodes.episodes * episodes.bars)


def test_where_nobody_learns_the_settings_of_learning_change_nothing() -> None:
    """The program, to its last word, does not ask for them; and nothing is recorded of what was not."""
    off = {"archive": {"enabled": False}, "scars": {"enabled": False}}
    programs = set()
    for own in ({}, {"every": 4, "batch": 3, "target": 1, "explored": 0.5, "huber": 2.0, "clip": 1.0}):
        settings = make_settings(learning={"inheritance": "none", **own}, **off)
        market = market_of(settings)
        plan = make_plan(settings, len(market.features))
        state = jax.eval_shape(lambda plan=plan, tape=market.tape: found(plan, tape))
        assert state.populations[0].learner == ((), ())
        programs.add(make_generation(plan).lower(state, market.tape).as_text())
    assert len(programs) == 1

"""Several species in one run: nothing but a line in the registry, and everything else goes on as with one."""

from typing import Any

import jax
import numpy as np
import pytest
from small_worlds import make_settings, market_of, on_host

from agents.population import NOBODY
from arena.founding import found, spread
from arena.frames import founder_frame, frames
from arena.generation import make_generation
from arena.plan import make_plan
from genomes import registry

GENERATIONS = 3
NAMES = ("forest", "threshold")
FOREST = {"layout": "ordinary", "depth": 2, "market_trees": 3, "state_trees": 2, "damage": 0.5}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def mixed(plainly_compiled: None) -> Any:
    """Records, tables and last state of a run of both, and the state before each generation."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.SPECIES, "threshold", "threshold_species")
        settings = make_settings(species={"forest": FOREST, "threshold": {"width": 0.5}}, archive={"judged": 1})
        market = market_of(settings, context=2)
        plan = make_plan(settings, len(market.features))
        state = spread(plan, found(plan, market.tape))
        tables = [founder_frame(np.asarray(p.id), n) for p, n in zip(state.populations, plan.names, strict=True)]
        records, states, generation = [], [], make_generation(plan)
        for _ in range(GENERATIONS):
            states.append(jax.device_get(state))
            state, record = generation(state, market.tape)
            records.append(on_host(record))
        assert generation._cache_size() == 1
    made = [frames(record, plan.names, market.time) for record in records]
    return plan, records, tables, made, [*states, jax.device_get(state)]


def test_all_live_die_and_breed_among_their_own(mixed: Any) -> None:
    plan, records, _, _, states = mixed
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


def test_the_archive_may_hold_any_and_says_which(mixed: Any) -> None:
    _, records, _, _, states = mixed
    state = states[-1]
    kind = {int(i): s for record in records for s, own in enumerate(record.species) for i in own.id.reshape(-1)}
    held = state.archive.id != NOBODY
    assert held.any()
    for i, species in zip(state.archive.id[held], state.archive.species[held], strict=True):
        assert kind[int(i)] == species
    assert len(state.archive.traders) == len(NAMES)


def test_tables_name_all(mixed: Any) -> None:
    _, _, founders, made, _ = mixed
    assert [frame["species"].unique().to_list() for frame in founders] == [[name] for name in NAMES]
    assert set(made[-1]["births"]["species"]) == set(NAMES)
    for tables in made:
        assert set(tables["generations"]["species"]) == set(NAMES)
        assert set(tables["fitness"]["split"]) == {"train", "validation"}


def test_scars_hit_the_trees_that_are_on_record_and_no_others(mixed: Any) -> None:
    """Of agents that live on: what was hit is silent, the rest is as it was."""
    _, records, _, _, states = mixed
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
                leaves = [getattr(g, kind).leaf[at][number] for g, at in ((was, old[own]), (now, new[own]))]
                assert (leaves[1] == 0).all() if dropped else np.array_equal(*leaves)
            found += 1
    assert found > 0, "some forest is scarred and lives on"

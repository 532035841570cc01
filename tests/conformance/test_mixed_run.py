"""Two species in one run: nothing but a line in the registry, and everything else goes on as with one."""

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

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def mixed() -> Any:
    """Records, tables and last state of a run of both."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.SPECIES, "threshold", "threshold_species")
        settings = make_settings(
            species={"qnetwork": {"hidden": [4]}, "threshold": {"width": 0.5}}, archive={"judged": 1}
        )
        market = market_of(settings, context=2)
        plan = make_plan(settings, len(market.features))
        state = spread(plan, found(plan, market.tape))
        tables = [founder_frame(np.asarray(p.id), n) for p, n in zip(state.populations, plan.names, strict=True)]
        records, generation = [], make_generation(plan)
        for _ in range(GENERATIONS):
            state, record = generation(state, market.tape)
            records.append(on_host(record))
        assert generation._cache_size() == 1
    made = [frames(record, plan.names, market.time) for record in records]
    return plan, records, tables, made, jax.device_get(state)


def test_both_live_die_and_breed_among_their_own(mixed: Any) -> None:
    plan, records, _, _, state = mixed
    assert plan.names == ("qnetwork", "threshold")
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


def test_the_archive_may_hold_either_and_says_which(mixed: Any) -> None:
    _, records, _, _, state = mixed
    kind = {int(i): s for record in records for s, own in enumerate(record.species) for i in own.id.reshape(-1)}
    held = state.archive.id != NOBODY
    assert held.any()
    for i, species in zip(state.archive.id[held], state.archive.species[held], strict=True):
        assert kind[int(i)] == species
    assert len(state.archive.traders) == 2


def test_tables_name_both(mixed: Any) -> None:
    _, _, founders, made, _ = mixed
    assert [frame["species"].unique().to_list() for frame in founders] == [["qnetwork"], ["threshold"]]
    assert set(made[-1]["births"]["species"]) == {"qnetwork", "threshold"}
    for tables in made:
        assert set(tables["generations"]["species"]) == {"qnetwork", "threshold"}
        assert set(tables["fitness"]["split"]) == {"train", "validation"}

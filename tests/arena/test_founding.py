"""Founders: drawn, or given as brains that others trained."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_worlds import make_settings, market_of, small_bars

from agents.observation import input_quantiles
from arena.founding import found, models_of
from arena.plan import Plan, make_plan
from arena.state import ArenaState
from genomes.forest import Forest
from genomes.genes import Genes
from markets.joining import join
from markets.preparation import Market

FOREST = {"layout": "oblivious", "depth": 1, "market_trees": 6, "state_trees": 1}
MODELS, SLOTS, ISLANDS = 2, 3, 2

pytestmark = pytest.mark.usefixtures("plainly_compiled")


@pytest.fixture(scope="module")
def world() -> tuple[Plan, Market]:
    """Two markets, with networks and forests on two islands of each."""
    settings = make_settings(
        species={"qnetwork": {"hidden": [2]}, "forest": FOREST},
        evolution={"agents": SLOTS * ISLANDS, "islands": ISLANDS, "replicates": 2},
        selection={"pool": SLOTS},
    )
    market = join([market_of(settings, small_bars(*which)) for which in ((900, 1, 3), (700, 1, 4))])
    return make_plan(settings, len(market.features)), market


@pytest.fixture(scope="module")
def drawn(world: Any) -> ArenaState:
    plan, market = world
    made: ArenaState = jax.device_get(found(plan, market.tape))
    return made


@pytest.fixture(scope="module")
def given(world: Any, drawn: ArenaState) -> tuple[Forest, ArenaState]:
    """Brains for forests [markets, models, …], and a state founded with them; networks are drawn."""
    plan, market = world
    own = forests(plan, drawn)
    brains = jax.tree.map(lambda x: x[[0, ISLANDS]][:, SLOTS - MODELS :], own)
    order = [brains if name == "forest" else None for name in plan.names]
    return brains, jax.device_get(found(plan, market.tape, order))


def market_of_places(plan: Plan) -> Any:
    return np.asarray(plan.market_of(jnp.arange(plan.places), 2))


def one(tree: Any, where: tuple[int, int]) -> Any:
    return jax.tree.map(lambda x: x[where], tree)


def forests(plan: Plan, state: ArenaState) -> Any:
    return state.populations[plan.names.index("forest")].genome


def test_the_first_agents_of_each_island_have_the_brains_of_their_market(world: Any, given: Any) -> None:
    plan, _ = world
    brains, state = given
    own = forests(plan, state)
    places = own.bias.shape[0]
    assert places == 2 * ISLANDS
    market = market_of_places(plan)
    assert set(market.tolist()) == {0, 1}
    for place in range(places):
        for slot in range(SLOTS):
            trained = one(brains, (market[place], slot % MODELS))
            pairs = zip(jax.tree.leaves(one(own, (place, slot))), jax.tree.leaves(trained), strict=True)
            assert all(np.array_equal(a, b) for a, b in pairs) == (slot < MODELS)


def test_islands_with_fewer_agents_than_models_take_turns(world: Any, drawn: ArenaState) -> None:
    plan, market = world
    pool = jax.tree.map(lambda x: np.concatenate([x[[0, ISLANDS]], x[[1, ISLANDS + 1]]], axis=1), forests(plan, drawn))
    brains = jax.tree.map(lambda x: x[:, : SLOTS + 2], pool)
    order = [brains if name == "forest" else None for name in plan.names]
    own = forests(plan, jax.device_get(found(plan, market.tape, order)))
    for place, whose in enumerate(market_of_places(plan)):
        for slot in range(SLOTS):
            model = (place % ISLANDS * SLOTS + slot) % (SLOTS + 2)
            jax.tree.map(np.testing.assert_array_equal, one(own, (place, slot)), one(brains, (whose, model)))


def test_others_are_varied_from_one_of_them_each_on_its_own(world: Any, given: Any) -> None:
    plan, _ = world
    brains, state = given
    own = forests(plan, state)
    market = market_of_places(plan)
    others = [own.market.leaf[place, SLOTS - 1] for place in range(2 * ISLANDS)]
    for place, leaf in enumerate(others):
        of_its_own = np.abs(leaf - brains.market.leaf[market[place], (SLOTS - 1) % MODELS])
        assert 0 < (of_its_own > 0).mean() < 1, "a mutation, not a new forest"
    assert len({leaf.tobytes() for leaf in others}) == 2 * ISLANDS


def test_given_brains_change_nothing_else(world: Any, drawn: ArenaState, given: Any) -> None:
    """Neither the other species, nor genes, nor anything of the founders but their brains."""
    plan, _ = world
    _, state = given
    for name, a, b in zip(plan.names, drawn.populations, state.populations, strict=True):
        parts = set(a._fields) - ({"genome"} if name == "forest" else set())
        for part in parts:
            jax.tree.map(np.testing.assert_array_equal, getattr(a, part), getattr(b, part))
    jax.tree.map(np.testing.assert_array_equal, drawn.archive.id, state.archive.id)
    assert int(drawn.next_id) == int(state.next_id)


def test_nothing_given_is_drawn(world: Any, drawn: ArenaState) -> None:
    """From the quantiles of their own market: thresholds lie among them, and no two founders are alike."""
    plan, market = world
    own = forests(plan, drawn)
    known = np.asarray(input_quantiles(market.tape.quantiles))[market_of_places(plan)]
    assert not np.array_equal(known[0], known[-1])
    for trees in (own.market, own.state):
        for place, (feature, threshold) in enumerate(zip(trees.feature, trees.threshold, strict=True)):
            assert (threshold >= known[place][feature, 0]).all()
            assert (threshold <= known[place][feature, -1]).all()
    leaves = own.market.leaf.reshape(2 * ISLANDS * SLOTS, -1)
    assert len(np.unique(leaves, axis=0)) == len(leaves)


def test_genes_that_come_with_brains_are_had_as_they_are_or_after_a_mutation(world: Any, given: Any) -> None:
    plan, market = world
    brains, before = given
    place = plan.names.index("forest")
    middle = [np.sqrt(np.prod(getattr(plan.settings.genes, name))) for name in Genes._fields]
    genes = Genes(*(np.asarray([one, one * 1.01], np.float32) for one in middle))
    order = [(brains, genes) if name == "forest" else (None, None) for name in plan.names]
    state = jax.device_get(found(plan, market.tape, [brain for brain, _ in order], [own for _, own in order]))
    population = state.populations[place]
    turn = np.asarray(models_of(plan, MODELS))
    np.testing.assert_array_equal(turn, np.tile(np.arange(SLOTS) % MODELS, (len(turn), 1)))
    for name, own in zip(Genes._fields, population.genes, strict=True):
        come = getattr(genes, name)[turn]
        low, high = getattr(plan.settings.genes, name)
        np.testing.assert_array_equal(own[:, :MODELS], come[:, :MODELS])
        assert (own[:, MODELS:] != come[:, MODELS:]).all()
        assert ((own >= np.float32(low)) & (own <= np.float32(high))).all()
    np.testing.assert_array_equal(population.epsilon, population.genes.exploration)
    other = plan.names.index("qnetwork")
    pairs = zip(jax.tree.leaves(state.populations[other]), jax.tree.leaves(before.populations[other]), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs), "whoever is drawn is drawn as ever"

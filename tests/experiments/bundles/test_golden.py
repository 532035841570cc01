"""Golden decisions are those of the bundle's own symbol, on bars as they were read, with what its trees said."""

import io

import jax
import numpy as np
import pytest
from small_worlds import founded, make_settings, market_of, small_bars

from arena.rollout import Trader
from experiments.bundles.golden import DECISIONS, golden, packed
from experiments.champions.world import World
from experiments.forests.champions import forest_values
from genomes.forest import ForestSpecies
from markets.errors import UserError
from markets.features import compute_features, features, relative_atr_window
from markets.source import Supply

pytestmark = pytest.mark.usefixtures("plainly_compiled")

FOREST = {"forest": {"depth": 2, "market_trees": 3, "state_trees": 2}}
SETTINGS = make_settings(species=FOREST, costs={"SYN2": {"spread_rate": 1e-3}})
WARM_UP = relative_atr_window()


@pytest.fixture(scope="module")
def world(plainly_compiled: None) -> tuple[World, Trader]:
    bars = small_bars(symbols=2)
    market = market_of(SETTINGS, bars)
    plan, state = founded(SETTINGS, market)
    some = jax.tree.map(lambda leaf: np.asarray(leaf[0, 0]), state.populations[0])
    trader = Trader(some.genome, some.genes, some.memory, np.full(4, 0.5, np.float32))
    return World(Supply(list(bars), None), market, plan), trader


def test_they_are_of_their_own_symbol_on_bars_as_they_were_read(world: tuple[World, Trader]) -> None:
    own, trader = world
    found = golden(own, own.plan.rollouts[0], trader, 1, warm_up=WARM_UP)
    bars, segment = own.supply.bars[1], own.market.segments[1]
    count = len(found["action"])
    assert 0 < count <= DECISIONS
    assert len(found["time"]) == WARM_UP - 1 + count
    first = int(np.searchsorted(bars.time.astype("datetime64[us]").astype(np.int64), found["time"][0]))
    rows = slice(first, first + len(found["time"]))
    np.testing.assert_array_equal(found["bid"], bars.bid[rows])
    np.testing.assert_array_equal(found["ask"], bars.ask[rows])
    assert first + len(found["time"]) <= segment.last - segment.first
    spread = bars[rows].with_spread(None, 1e-3)
    seen = own.market.scalers[0].apply(compute_features(features(SETTINGS.features), spread))
    np.testing.assert_array_equal(found["features"], seen[-count:])
    np.testing.assert_array_equal(found["action"], found["values"].argmax(1))


def test_leaves_and_values_are_those_of_its_trees(world: tuple[World, Trader]) -> None:
    own, trader = world
    species = own.plan.rollouts[0].species
    assert isinstance(species, ForestSpecies)
    found = golden(own, own.plan.rollouts[0], trader, 0, warm_up=WARM_UP)
    ensemble = forest_values(trader.genome, species, own.market.features)
    rows = np.concatenate([found["features"], found["view"]], axis=1)
    np.testing.assert_array_equal(found["leaf"], ensemble.leaves(rows))
    np.testing.assert_allclose(found["values"], ensemble.predict(rows), rtol=1e-5, atol=1e-6)
    assert len(np.unique(found["leaf"])) > 1


def test_a_market_without_a_known_regime_is_refused(world: tuple[World, Trader]) -> None:
    own, trader = world
    with pytest.raises(UserError, match="no bar of a known regime"):
        golden(own, own.plan.rollouts[0], trader, 0, warm_up=len(own.supply.bars[0]))


def test_equal_arrays_are_packed_as_equal_bytes() -> None:
    arrays = {"a": np.arange(5, dtype=np.int8), "b": np.asarray([[1.5, np.nan]], np.float32)}
    once, again = packed(arrays), packed({name: array.copy() for name, array in arrays.items()})
    assert once == again
    with np.load(io.BytesIO(once), allow_pickle=False) as file:
        assert file.files == ["a", "b"]
        np.testing.assert_array_equal(file["b"], arrays["b"])

"""Decision rules: one brain alone is the plain journey, and what deciders say is what an explicit loop does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_worlds import founded, make_settings, market_of

from arena.inference import Conducted, Decider, Panel, conduct
from arena.journey import travel
from arena.plan import Plan
from arena.rollout import Trader
from arena.state import ArenaState
from arena.tally import REGIMES
from markets.preparation import Market

pytestmark = pytest.mark.usefixtures("plainly_compiled")

FOREST = {"forest": {"depth": 2, "market_trees": 3, "state_trees": 1}}
SETTINGS = make_settings(species={"qnetwork": {"hidden": [4]}, **FOREST})
BRAINS = 4
"""Two of each species."""


@pytest.fixture(scope="module")
def market(plainly_compiled: None) -> Market:
    return market_of(SETTINGS)


@pytest.fixture(scope="module")
def world(market: Market) -> tuple[Plan, ArenaState]:
    return founded(SETTINGS, market)


@pytest.fixture(scope="module")
def plan(world: tuple[Plan, ArenaState]) -> Plan:
    return world[0]


@pytest.fixture(scope="module")
def panel(world: tuple[Plan, ArenaState]) -> Panel:
    """Two founders of each species, with memories of scars and some trust."""
    rng = np.random.default_rng(4)
    made = []
    for population in world[1].populations:
        some = jax.tree.map(lambda leaf: leaf[0, :2], population)
        memory = some.memory._replace(
            features=jnp.asarray(rng.normal(size=some.memory.features.shape), jnp.float32),
            weight=jnp.ones_like(some.memory.weight),
        )
        made.append(Trader(some.genome, some.genes, memory, jnp.asarray(rng.uniform(size=(2, 4)), jnp.float32)))
    return Panel(tuple(made))


def alone(brains: list[int], **changes: object) -> Decider:
    """Lanes that follow one brain each, plainly."""
    shape = (len(brains), REGIMES)
    own = np.repeat(np.asarray(brains, np.int32)[:, None], REGIMES, 1)
    plain = Decider(
        acts=np.ones(shape, bool),
        own=own,
        weights=np.eye(BRAINS, dtype=np.float32)[own],
        threshold=np.zeros(shape, np.float32),
        average=np.ones(shape, np.int32),
        view=np.zeros(shape, np.int32),
    )
    return plain._replace(**changes)


def test_one_brain_alone_is_the_plain_journey(market: Market, plan: Plan, panel: Panel) -> None:
    rows = market.segments[0].rows.validation
    first, stop = np.asarray([rows.start, rows.start + 9]), np.asarray([rows.stop, rows.stop - 20])
    plain = []
    for setup, trader in zip(plan.rollouts, panel.traders, strict=True):
        pieces = [passed for _, passed in travel(setup, trader, market.tape, first, stop)]
        plain.append(jax.tree.map(lambda *leaves: np.concatenate(leaves), *pieces))
    lanes = alone([0, 1, 2, 3, 0, 1, 2, 3])
    told = conduct(
        plan.rollouts,
        panel,
        lanes,
        market.tape,
        market.tape.features[None],
        np.repeat(first, BRAINS),
        np.repeat(stop, BRAINS),
    )
    found: Conducted = jax.tree.map(lambda *leaves: np.concatenate(leaves), *(kept for _, kept in told))
    for lane in range(8):
        passed, agent, way = plain[lane % 4 // 2], lane % 2, lane // 4
        bars = int(stop[way] - first[way]) - 1
        np.testing.assert_array_equal(found.order.target[:bars, lane], passed.order.target[:bars, agent, way])
        np.testing.assert_array_equal(found.fills.reason[:bars, :, lane], passed.fills.reason[:bars, :, agent, way])
        np.testing.assert_allclose(found.equity[:bars, lane], passed.equity[:bars, agent, way], rtol=1e-6)
        np.testing.assert_allclose(found.units[:bars, lane], passed.units[:bars, agent, way], rtol=1e-6)
        np.testing.assert_allclose(found.financing[:bars, lane], passed.financing[:bars, agent, way], rtol=1e-6)
    assert (found.fills.reason[: stop[0] - first[0] - 1] > 0).sum((0, 1, 3)).min() > 2

"""Journeys against the rollouts they repeat: the same decisions and money, in one piece or many, and silence where no
regime is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_worlds import founded, make_settings, marked, market_of

from agents.observation import account_view
from arena.benchmarks import play
from arena.journey import Passed, Seen, travel, witness
from arena.plan import Plan
from arena.rollout import Trader
from arena.state import ArenaState
from markets.preparation import Market
from markets.tape import Tape

pytestmark = pytest.mark.usefixtures("plainly_compiled")

FOREST = {"forest": {"depth": 2, "market_trees": 3, "state_trees": 1}}
SETTINGS = make_settings(species={"qnetwork": {"hidden": [4]}, **FOREST})
BARS = SETTINGS.episodes.bars


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
def traders(world: tuple[Plan, ArenaState]) -> tuple[Trader, ...]:
    """Three founders of each species, with memories of scars and some trust."""
    return marked(world[1], 3)


def whole(
    plan: Plan, species: int, trader: Trader, tape: Tape, first: np.ndarray, stop: np.ndarray, **how: int
) -> Passed:
    pieces = [passed for _, passed in travel(plan.rollouts[species], trader, tape, first, stop, **how)]
    joined: Passed = jax.tree.map(lambda *leaves: np.concatenate(leaves), *pieces)
    return joined


@pytest.mark.parametrize("species", [0, 1])
def test_over_a_window_a_journey_is_the_episode_that_was_judged(
    market: Market, plan: Plan, traders: tuple[Trader, ...], species: int
) -> None:
    first = np.asarray(market.tape.validation[0])
    passed = whole(plan, species, traders[species], market.tape, first, first + BARS + 1)
    tally = play(plan.rollouts[species], traders[species], market.tape, jnp.asarray(first), BARS)
    assert len(passed.equity) == BARS
    np.testing.assert_allclose(np.log(passed.equity[-1] / SETTINGS.broker.cash), tally.log_return[-1], atol=2e-6)
    ended = passed.closed.ended_at_open.sum((0, -1)) + passed.closed.ended_after.sum((0, -1))
    np.testing.assert_array_equal(ended, tally.trades[-1])
    assert ended.sum() > 20
    assert (passed.units[-1] == 0).all()  # closed at each lane's own end


@pytest.mark.parametrize("species", [0, 1])
def test_a_witness_tells_of_the_same_journey_what_was_seen_before_each_order(
    market: Market, plan: Plan, traders: tuple[Trader, ...], species: int
) -> None:
    first = np.asarray(market.tape.validation[0])
    passed = whole(plan, species, traders[species], market.tape, first, first + BARS + 1)
    pieces = [
        seen for _, seen in witness(plan.rollouts[species], traders[species], market.tape, first, first + BARS + 1)
    ]
    seen: Seen = jax.tree.map(lambda *leaves: np.concatenate(leaves), *pieces)
    for ours, theirs in zip(seen.order, passed.order, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(seen.account.equity[1:], passed.equity[:-1])
    np.testing.assert_array_equal(seen.account.units[1:], passed.units[:-1])
    assert (seen.account.equity[0] == SETTINGS.broker.cash).all()
    np.testing.assert_array_equal(seen.peak, np.maximum.accumulate(seen.account.equity))
    same = np.sign(seen.account.units[1:]) == np.sign(seen.account.units[:-1])
    opened = passed.closed.opened[:-1]
    counted = np.where(seen.account.units[1:] == 0, 0, np.where(same & ~opened, seen.held[:-1] + 1, 1))
    np.testing.assert_array_equal(seen.held[1:], counted)
    exposures = np.asarray(plan.rollouts[species].species.shape.actions.exposures)
    np.testing.assert_array_equal(seen.wanted, exposures[seen.values.argmax(-1)])
    rows = first + np.arange(BARS)[:, None]
    close = 0.5 * (market.tape.bid[..., 3] + market.tape.ask[..., 3])[rows][:, None]
    account, peak, held = jax.tree.map(jnp.asarray, (seen.account, seen.peak, seen.held))
    view = account_view(account, close, market.tape.atr[rows][:, None], peak, held)
    np.testing.assert_allclose(seen.view, view, rtol=1e-5, atol=1e-6)


def test_pieces_change_nothing(market: Market, plan: Plan, traders: tuple[Trader, ...]) -> None:
    rows = market.segments[0].rows
    known = int(np.flatnonzero(np.asarray(market.tape.regime) < 4)[0])
    first = np.asarray([known, rows.validation.start] * 2)  # as many lanes as the windows above, compiled once for both
    stop = np.asarray([rows.train.stop, rows.validation.stop] * 2)
    at_once, in_pieces = (whole(plan, 0, traders[0], market.tape, first, stop, piece=piece) for piece in (4096, 40))
    longest = int((stop - first).max()) - 1
    assert len(at_once.equity) == len(in_pieces.equity) == longest > 40
    for lane, bars in enumerate(stop - first - 1):
        np.testing.assert_allclose(at_once.equity[:bars, :, lane], in_pieces.equity[:bars, :, lane], rtol=1e-6)
        np.testing.assert_array_equal(
            at_once.fills.reason[:bars, :, :, lane], in_pieces.fills.reason[:bars, :, :, lane]
        )


def test_nobody_orders_where_no_regime_is_known(market: Market, plan: Plan, traders: tuple[Trader, ...]) -> None:
    first = np.asarray(market.tape.validation[0])
    seeing = whole(plan, 0, traders[0], market.tape, first, first + BARS + 1)
    orders = np.argwhere(~np.isnan(seeing.order.target[..., 0]))
    bar, agent, lane = next(order for order in orders if order[0] > 3)
    hidden = market.tape.regime.at[first[lane] + bar].set(4)
    blind = whole(plan, 0, traders[0], market.tape._replace(regime=hidden), first, first + BARS + 1)
    assert np.isnan(blind.order.target[bar, :, lane]).all()
    np.testing.assert_array_equal(blind.order.target[:bar, :, lane], seeing.order.target[:bar, :, lane])
    np.testing.assert_array_equal(blind.units[bar, agent, lane], blind.units[bar - 1, agent, lane])


def test_lanes_of_one_row_are_refused(market: Market, plan: Plan, traders: tuple[Trader, ...]) -> None:
    with pytest.raises(ValueError, match="two rows or more"):
        next(travel(plan.rollouts[0], traders[0], market.tape, np.asarray([9]), np.asarray([10])))

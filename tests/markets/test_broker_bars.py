"""The broker, bar by bar: every worked bar of the accounting rules, and one test for each rule that a bar can show."""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from markets.account import REASONS, Account, Bar, Order, Outcome
from markets.broker import open_account, step
from markets.rules import BrokerRules

CASH = 10_000.0
NONE = math.nan


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest):
    """Both precisions; a test that asks for it runs where float64 exists."""
    with jax.enable_x64(True):
        yield jnp.dtype(request.param)


class Fill(NamedTuple):
    reason: str
    units: float
    price: float
    commission: float = 0.0
    slippage: float = 0.0
    fee: float = 0.0


def holding(rules: BrokerRules, dtype, units=0.0, entry=100.0, stop=NONE, take_profit=NONE, **fields: Any) -> Account:
    """An account of one instrument that entered on an earlier bar; its equity is at the entry price."""
    account = open_account(rules, (), 1, dtype)
    values = {"units": units, "entry": entry, "stop": stop, "take_profit": take_profit}
    account = account._replace(**{name: jnp.full(1, value, dtype) for name, value in values.items()})
    return account._replace(**{name: jnp.full_like(getattr(account, name), value) for name, value in fields.items()})


def bar_of(dtype, open, high, low, close, spread=0.0, before=100.0, volume=math.inf, days=0.0, last=False) -> Bar:
    sides = [price + half for price in (open, high, low, close) for half in (-spread / 2, spread / 2)]
    return Bar(*(jnp.full(1, value, dtype) for value in (*sides, before, volume, days)), last=jnp.array(last))


def order_of(dtype, target=NONE, stop_loss=NONE, take_profit=NONE) -> Order:
    return Order(*(jnp.full(1, value, dtype) for value in (target, stop_loss, take_profit)))


def fills_of(outcome: Outcome) -> list[Fill]:
    fills = jax.tree.map(lambda leaf: np.asarray(leaf)[:, 0], outcome.fills)
    slots = [Fill(REASONS[fills.reason[slot]], *(float(leaf[slot]) for leaf in fills[1:])) for slot in range(4)]
    return [fill for fill in slots if fill.reason != "none"]


def near(value: float, dtype) -> Any:
    return pytest.approx(value, rel=1e-6 if dtype == jnp.float32 else 1e-13, abs=1e-9)


WORKED = {
    "both in range": (1, (100, 106, 94), 95, 105, ("stop", 95)),
    "gap through the stop": (1, (90, 101, 88), 95, 120, ("stop", 90)),
    "gap through the target, stop touched later": (1, (106, 107, 94), 95, 105, ("take_profit", 106)),
    "target only": (1, (100, 106, 96), 95, 105, ("take_profit", 105)),
    "target only touched": (1, (100, 105, 96), 95, 105, None),
    "short, gap against": (-1, (112, 113, 108), 110, 90, ("stop", 112)),
}


@pytest.mark.parametrize("case", WORKED)
def test_worked_bar(case: str, dtype):
    units, (open, high, low), stop, target, expected = WORKED[case]
    rules = BrokerRules()
    account = holding(rules, dtype, units, 100.0, stop, target)
    outcome = step(account, order_of(dtype), bar_of(dtype, open, high, low, open), rules)
    if expected is None:
        assert fills_of(outcome) == []
        assert outcome.account.units[0] == units
        assert (outcome.account.stop[0], outcome.account.take_profit[0]) == (stop, target)
    else:
        reason, price = expected
        assert fills_of(outcome) == [Fill(reason, -units, price)]
        assert outcome.account.units[0] == 0
        assert outcome.account.balance == near(CASH + units * (price - 100), dtype)
        assert np.isnan(outcome.account.stop[0])
        assert np.isnan(outcome.account.take_profit[0])
    assert outcome.account.equity.dtype == dtype


@pytest.mark.parametrize("case", WORKED)
def test_worked_bar_mirrored_in_price(case: str, dtype):
    """A long on bars turned upside down (200 − price) is a short that earns the same."""
    units, (open, high, low), stop, target, expected = WORKED[case]
    rules = BrokerRules()
    account = holding(rules, dtype, -units, 100.0, 200 - stop, 200 - target)
    bar = bar_of(dtype, 200 - open, 200 - low, 200 - high, 200 - open)
    outcome = step(account, order_of(dtype), bar, rules)
    assert fills_of(outcome) == ([] if expected is None else [Fill(expected[0], units, 200 - expected[1])])


def test_an_order_buys_on_the_ask_and_sells_on_the_bid_at_the_open(dtype):
    rules = BrokerRules()
    bought = step(open_account(rules, (), 1, dtype), order_of(dtype, 1.0), bar_of(dtype, 100, 102, 99, 101, 1), rules)
    assert fills_of(bought) == [Fill("order", 100.0, 100.5)]
    assert bought.account.equity == near(CASH + 100 * (101 - 100.5), dtype)
    assert bool(bought.closed.opened[0])
    sold = step(bought.account, order_of(dtype, 0.0), bar_of(dtype, 103, 104, 102, 103, 1, before=101), rules)
    assert fills_of(sold) == [Fill("order", -100.0, 102.5)]
    assert sold.closed.profit_at_open[0] == near(200.0, dtype)
    assert sold.reward == pytest.approx(math.log(10_200 / 10_050), abs=1e-6)


def test_a_target_is_sized_at_the_close_and_clipped_at_the_open(dtype):
    rules = BrokerRules(max_leverage=2.0)
    flat = open_account(rules, (), 1, dtype)
    up = step(flat, order_of(dtype, 2.0), bar_of(dtype, 125, 126, 124, 125), rules)
    assert up.account.units[0] == near(2 * CASH / 125, dtype)  # a gap cannot be levered
    down = step(flat, order_of(dtype, -5.0), bar_of(dtype, 80, 81, 79, 80), rules)
    assert down.account.units[0] == near(-2 * CASH / 100, dtype)  # clipped to the leverage, sized at C_t


@pytest.mark.parametrize(
    ("lot", "target", "units"),
    [
        (1.0, 0.7777, 77.0),
        (0.1, -0.7777, -77.7),
        (0.1, 0.3, 30.0),
        (1.0, 0.57, 57.0),
    ],  # 0.57 · 10 000 < 5 700 in binary
)
def test_units_are_whole_lots_rounded_toward_zero(lot: float, target: float, units: float, dtype):
    rules = BrokerRules(lot_size=lot)
    outcome = step(open_account(rules, (), 1, dtype), order_of(dtype, target), bar_of(dtype, 100, 101, 99, 100), rules)
    assert outcome.account.units[0] == near(units, dtype)


def test_a_target_below_min_units_is_flat_but_a_change_may_be_small(dtype):
    rules = BrokerRules(min_units=50.0)
    bar = bar_of(dtype, 100, 101, 99, 100)
    assert fills_of(step(open_account(rules, (), 1, dtype), order_of(dtype, 0.49), bar, rules)) == []
    held = holding(rules, dtype, 60.0)
    assert step(held, order_of(dtype, 0.49), bar, rules).account.units[0] == 0
    assert fills_of(step(held, order_of(dtype, 0.61), bar, rules)) == [Fill("order", pytest.approx(1), 100)]


def test_participation_caps_the_change_in_whole_lots_and_drops_the_rest(dtype):
    rules = BrokerRules(participation=0.1, lot_size=2.0)
    held = holding(rules, dtype, 40.0)
    outcome = step(held, order_of(dtype, -1.0), bar_of(dtype, 100, 101, 99, 100, volume=250.0), rules)
    assert fills_of(outcome) == [Fill("order", -24.0, 100.0)]  # 25 units, in lots of 2
    assert outcome.account.units[0] == 16
    none = step(held, order_of(dtype, -1.0), bar_of(dtype, 100, 101, 99, 100, volume=0.0), rules)
    assert fills_of(none) == []
    enough = step(held, order_of(dtype, -1.0), bar_of(dtype, 100, 101, 99, 100, volume=1e4), rules)
    assert fills_of(enough) == [Fill("order", -140.0, 100.0)]


def test_a_flip_capped_into_a_reduction_changes_neither_entry_nor_levels(dtype):
    rules = BrokerRules(participation=0.1)
    held = holding(rules, dtype, 40.0, 90.0, 80.0, 130.0)
    order = order_of(dtype, -1.0, 0.01, 0.01)
    account = step(held, order, bar_of(dtype, 100, 101, 99, 100, volume=100.0), rules).account
    assert (account.units[0], account.entry[0], account.stop[0], account.take_profit[0]) == (30, 90, 80, 130)


def test_adding_averages_the_entry_and_sets_both_levels_anew(dtype):
    rules = BrokerRules()
    held = holding(rules, dtype, 50.0, 80.0, 70.0, 130.0)
    account = step(held, order_of(dtype, 1.0, 0.25), bar_of(dtype, 100, 101, 99, 100), rules).account
    assert account.entry[0] == near(90.0, dtype)
    assert account.stop[0] == near(90 * 0.75, dtype)
    assert np.isnan(account.take_profit[0])  # the order has none


def test_a_flip_is_one_fill_that_restarts_the_entry_and_shares_its_costs(dtype):
    rules = BrokerRules(commission_fixed=3.0)
    held = holding(rules, dtype, 50.0, 90.0, 80.0, 130.0)
    outcome = step(held, order_of(dtype, -1.0, 0.1), bar_of(dtype, 100, 101, 99, 100), rules)
    assert fills_of(outcome) == [Fill("order", -150.0, 100.0, 3.0)]
    assert outcome.closed.profit_at_open[0] == near(50 * 10 - 1.0, dtype)
    assert outcome.account.trade[0] == near(-2.0, dtype)
    assert outcome.account.entry[0] == 100
    assert outcome.account.stop[0] == near(110.0, dtype)
    assert bool(outcome.closed.ended_at_open[0])
    assert bool(outcome.closed.opened[0])


def test_no_re_entry_on_the_signal_of_a_bar_whose_open_met_a_level(dtype):
    rules = BrokerRules()
    held = holding(rules, dtype, 50.0, 100.0, 95.0)
    bar = bar_of(dtype, 90, 91, 89, 90)
    assert fills_of(step(held, order_of(dtype, 1.0), bar, rules)) == [Fill("stop", -50.0, 90.0)]
    other = step(held, order_of(dtype, -0.5), bar, rules)
    assert fills_of(other) == [Fill("stop", -50.0, 90.0), Fill("order", -50.0, 90.0)]  # from flat, at E_t / C_t


def test_liquidation_at_the_open_cancels_the_order_and_pays_the_fee(dtype):
    rules = BrokerRules(max_leverage=5.0, maintenance=0.1, liquidation_fee=0.01, slippage=0.001)
    held = holding(rules, dtype, 500.0)
    outcome = step(held, order_of(dtype, -1.0), bar_of(dtype, 85, 86, 84, 85), rules)
    price = 85 * 0.999
    assert fills_of(outcome) == [
        Fill("liquidation", -500, near(price, dtype), 0.0, near(42.5, dtype), near(5 * price, dtype))
    ]
    assert bool(outcome.liquidated)
    assert not bool(outcome.ruined)


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("m", [0.0, 0.05])
def test_liquidation_inside_the_bar_is_where_equity_meets_maintenance(side: float, m: float, dtype):
    rules = BrokerRules(max_leverage=5.0, maintenance=m)
    held = holding(rules, dtype, side * 500.0)
    low, high = (70, 101) if side > 0 else (99, 130)
    outcome = step(held, order_of(dtype), bar_of(dtype, 100, high, low, 100), rules)
    (fill,) = fills_of(outcome)
    cash = CASH - side * 500 * 100
    expected = -cash / (500 * (1 - m)) if side > 0 else cash / (500 * (1 + m))
    assert (fill.reason, fill.units) == ("liquidation", -side * 500)
    assert fill.price == near(expected, dtype)
    assert outcome.account.equity == pytest.approx(m * 500 * expected, rel=1e-4, abs=1e-2)


def test_of_stop_and_margin_the_nearer_is_met_first_and_a_tie_is_the_stops(dtype):
    rules = BrokerRules(max_leverage=5.0)
    bar = bar_of(dtype, 100, 101, 70, 100)
    for stop, reason, price in ((81.0, "stop", 81.0), (80.0, "stop", 80.0), (79.0, "liquidation", 80.0)):
        (fill,) = fills_of(step(holding(rules, dtype, 500.0, stop=stop), order_of(dtype), bar, rules))
        assert (fill.reason, fill.price) == (reason, price)


def test_a_stop_is_hit_where_the_extreme_only_touches_it(dtype):
    outcome = step(
        holding(BrokerRules(), dtype, 1.0, stop=95.0), order_of(dtype), bar_of(dtype, 100, 101, 95, 98), BrokerRules()
    )
    assert fills_of(outcome) == [Fill("stop", -1.0, 95.0)]


def test_a_fill_whose_own_spread_breaks_the_margin_is_liquidated_at_the_open(dtype):
    rules = BrokerRules(max_leverage=5.0, maintenance=0.15)
    bar = bar_of(dtype, 100, 110, 99, 105, spread=8.0)
    outcome = step(open_account(rules, (), 1, dtype), order_of(dtype, 5.0), bar, rules)
    assert fills_of(outcome) == [Fill("order", 500.0, 104.0), Fill("liquidation", -500.0, 96.0)]


def test_levels_the_open_has_already_passed_are_met_at_the_open(dtype):
    """Only this bar's own fill can set such a level: here by adding above an old, lower entry."""
    rules = BrokerRules()
    held = holding(rules, dtype, 50.0, 60.0)
    target = step(held, order_of(dtype, 1.0, take_profit=0.1), bar_of(dtype, 100, 104, 99, 103), rules)
    assert fills_of(target)[-1] == Fill("take_profit", -100.0, 100.0)  # 80 · 1.1 = 88 lies below the open
    held = holding(rules, dtype, 50.0, 140.0)
    stop = step(held, order_of(dtype, 1.0, stop_loss=0.1), bar_of(dtype, 100, 104, 99, 103), rules)
    assert fills_of(stop)[-1] == Fill("stop", -80.0, 100.0)  # 125 · 0.9 = 112.5 lies above the open


def test_slippage_is_on_every_fill_but_take_profits(dtype):
    rules = BrokerRules(slippage=0.01)
    held = partial(holding, rules, dtype, 50.0)
    none = order_of(dtype)
    stop = fills_of(step(held(stop=95.0), none, bar_of(dtype, 100, 101, 94, 100), rules))
    assert stop == [Fill("stop", -50.0, near(95 * 0.99, dtype), 0.0, near(47.5, dtype))]
    target = fills_of(step(held(take_profit=105.0), none, bar_of(dtype, 100, 106, 99, 100), rules))
    assert target == [Fill("take_profit", -50.0, 105.0)]
    gap = fills_of(step(held(take_profit=105.0), none, bar_of(dtype, 107, 108, 99, 100), rules))
    assert gap == [Fill("take_profit", -50.0, 107.0)]
    end = fills_of(step(held(), none, bar_of(dtype, 100, 101, 99, 102, 2.0, last=True), rules))
    assert end == [Fill("end", -50.0, near(101 * 0.99, dtype), 0.0, near(50.5, dtype))]
    buy = fills_of(step(holding(rules, dtype, -50.0), order_of(dtype, 0.0), bar_of(dtype, 100, 101, 99, 100), rules))
    assert buy == [Fill("order", 50.0, near(101, dtype), 0.0, near(50, dtype))]


def test_commission_has_three_parts_on_the_price_after_slippage(dtype):
    rules = BrokerRules(commission=0.001, commission_per_unit=0.02, commission_fixed=1.5, slippage=0.01)
    outcome = step(open_account(rules, (), 1, dtype), order_of(dtype, 0.5), bar_of(dtype, 100, 101, 99, 100), rules)
    (fill,) = fills_of(outcome)
    assert fill.commission == near(50 * 101 * 0.001 + 50 * 0.02 + 1.5, dtype)
    assert outcome.account.balance == near(CASH - fill.commission, dtype)


def test_financing_gathers_apart_and_is_booked_at_the_next_fill(dtype):
    rules = BrokerRules(financing_long=0.073, financing_short=-0.0365)
    bar = partial(bar_of, dtype, 100, 101, 99, 100)
    held = step(holding(rules, dtype, 50.0), order_of(dtype), bar(days=3.0), rules)
    assert held.financing == near(50 * 100 * 0.073 * 3 / 365, dtype)
    assert held.account.financing == near(3.0, dtype)
    assert held.account.balance == CASH
    assert held.account.equity == near(CASH - 3, dtype)
    closed = step(held.account, order_of(dtype, 0.0), bar(days=1.0), rules)
    assert closed.financing == 0  # nothing is held at the close
    assert (closed.account.financing, closed.account.balance) == (0, near(CASH - 3, dtype))
    assert closed.closed.profit_at_open[0] == near(-3, dtype)
    short = step(holding(rules, dtype, -50.0), order_of(dtype), bar(days=1.0), rules)
    assert short.financing == near(-0.5, dtype)  # received


def test_a_trailing_stop_follows_the_favourable_extreme_and_acts_from_the_next_bar(dtype):
    rules = BrokerRules(trailing=True)
    opened = step(
        open_account(rules, (), 1, dtype), order_of(dtype, 1.0, 0.05), bar_of(dtype, 100, 110, 99, 108), rules
    )
    assert len(fills_of(opened)) == 1  # the stop moved to 105 only at the bar's end
    assert opened.account.stop[0] == near(105.0, dtype)
    lower = step(opened.account, order_of(dtype), bar_of(dtype, 108, 109, 106, 107), rules)
    assert lower.account.stop[0] == near(105.0, dtype)  # never away from the price
    out = step(lower.account, order_of(dtype), bar_of(dtype, 107, 108, 104, 106), rules)
    assert fills_of(out) == [Fill("stop", -100.0, near(105.0, dtype))]


def test_ruin_is_judged_at_the_mark_and_ends_the_account(dtype):
    rules = BrokerRules(ruin=0.5, max_leverage=1.0)
    held = holding(rules, dtype, 100.0)
    ruined = step(held, order_of(dtype), bar_of(dtype, 60, 61, 45, 50, 2.0), rules)
    assert fills_of(ruined) == [Fill("ruin", -100.0, 49.0)]
    assert bool(ruined.ruined)
    assert ruined.account.equity == near(4_900, dtype)  # below the line by half the spread: recorded, not clipped
    after = step(ruined.account, order_of(dtype, 1.0), bar_of(dtype, 50, 61, 45, 55, before=50), rules)
    assert fills_of(after) == []
    assert (after.account.equity, after.reward) == (ruined.account.equity, 0)
    assert not bool(after.ruined)


def test_a_gap_below_zero_is_recorded_and_the_reward_is_floored(dtype):
    rules = BrokerRules(max_leverage=5.0)
    outcome = step(holding(rules, dtype, 500.0), order_of(dtype), bar_of(dtype, 70, 71, 69, 70), rules)
    assert outcome.account.equity == near(CASH - 15_000, dtype)
    assert bool(outcome.ruined)
    assert outcome.reward == pytest.approx(math.log(1e-6), rel=1e-6)


def test_the_end_closes_at_the_close_only_where_asked(dtype):
    bar = bar_of(dtype, 100, 103, 99, 102, 1.0, last=True)
    closed = step(holding(BrokerRules(), dtype, 50.0), order_of(dtype), bar, BrokerRules())
    assert fills_of(closed) == [Fill("end", -50.0, 101.5)]
    assert closed.account.equity == near(CASH + 75, dtype)
    kept = BrokerRules(close_at_end=False)
    open_still = step(holding(kept, dtype, 50.0), order_of(dtype), bar, kept)
    assert fills_of(open_still) == []
    assert open_still.account.equity == near(CASH + 100, dtype)

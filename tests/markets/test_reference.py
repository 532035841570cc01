"""The kernel against the reference: two brokers written apart from the same rules must agree on random markets."""

from collections import Counter
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.broker import Result, replay
from reference.random_markets import Scenario, random_rules, random_scenario

from markets import broker
from markets.account import REASONS, Bar, Order, Outcome
from markets.rules import BrokerRules

CALENDARS = ("none", "fx", "us_equity", "crypto")
BARS = 60
LEDGER = ("units", "entry", "stop", "take_profit", "cash", "equity", "financing", "reward")
CLOSED = ("ended_at_open", "profit_at_open", "ended_after", "profit_after")
FILLS = ("units", "price", "commission", "slippage", "fee")


# --- The kernel on the same input -------------------------------------------------------------------------------


@partial(jax.jit, static_argnames="rules")
def _scan(bars: Bar, orders: Order, rules: BrokerRules) -> Outcome:
    accounts, instruments = orders.target.shape[1:]
    account = broker.open_account(rules, (accounts,), instruments, jnp.float64)

    def bar_by_bar(account, row):
        bar, order = row
        outcome = broker.step(account, order, bar, rules)
        return outcome.account, outcome

    return jax.lax.scan(bar_by_bar, account, (bars, orders))[1]


def kernel(scenario: Scenario, days: np.ndarray, rules: BrokerRules) -> Outcome:
    """All bars but the first through the kernel in float64; leaves are [bars − 1, …] NumPy arrays."""
    bid, ask = (np.moveaxis(side, 0, 1) for side in (scenario.bid, scenario.ask))
    if rules.spread is not None or rules.spread_rate is not None:
        mid = (bid + ask) / 2
        half = ((rules.spread or 0.0) + (rules.spread_rate or 0.0) * mid) / 2
        bid, ask = mid - half, mid + half
    volume = np.moveaxis(scenario.volume, 0, 1)
    volume = np.where((volume > 0).any(axis=0), volume, np.inf)
    sides = [side[1:, ..., column] for column in range(4) for side in (bid, ask)]
    last = np.zeros((len(bid) - 1, bid.shape[1]), bool)
    last[-1] = True
    bars = Bar(
        *sides,
        decision_close=(bid + ask)[:-1, ..., 3] / 2,
        decision_volume=volume[:-1],
        days=np.broadcast_to(days[1:, None, None], sides[0].shape),
        last=last,
    )
    orders = Order(*(np.moveaxis(column, 0, 1)[:-1] for column in (scenario.targets, scenario.stops, scenario.takes)))
    with jax.enable_x64(True):
        outcome = _scan(jax.tree.map(jnp.asarray, bars), jax.tree.map(jnp.asarray, orders), rules)
        return jax.tree.map(np.asarray, outcome)


# --- Laying both side by side -----------------------------------------------------------------------------------


def ledger_of(outcome: Outcome, rules: BrokerRules, one: int) -> dict[str, np.ndarray]:
    account = jax.tree.map(lambda leaf: leaf[:, one], outcome.account)
    held = account.units != 0
    return {
        "units": account.units,
        "entry": np.where(held, account.entry, np.nan),
        "stop": np.where(held, account.stop, np.nan),
        "take_profit": np.where(held, account.take_profit, np.nan),
        "cash": account.balance - account.financing - (account.units * account.entry).sum(axis=-1),
        "equity": account.equity,
        "financing": outcome.financing[:, one],
        "reward": outcome.reward[:, one],
    }


def fills_of(result: Result, bars: int, instruments: int) -> dict[str, np.ndarray]:
    """The reference's lists in the kernel's layout [bars − 1, slot, instruments]."""
    laid = {name: np.zeros((bars - 1, 4, instruments)) for name in ("reason", *FILLS)}
    for name in CLOSED:
        laid[name] = np.zeros((bars - 1, instruments))
    for fill in result.fills:
        at = fill.bar - 1, fill.slot, fill.instrument
        assert laid["reason"][at] == 0, "one fill a slot"
        laid["reason"][at] = REASONS.index(fill.reason)
        for name in FILLS:
            laid[name][at] = getattr(fill, name)
    for trade in result.trades:
        when = "at_open" if trade.slot < 2 else "after"
        at = trade.bar - 1, trade.instrument
        laid[f"ended_{when}"][at] += 1
        laid[f"profit_{when}"][at] = trade.profit
    return laid


def differences(outcome: Outcome, result: Result, rules: BrokerRules, one: int) -> list[str]:
    """What differs for one account by more than 1e-9 of its scale, in words."""
    bars, instruments = result.units.shape
    found = []

    def compare(name: str, ours: np.ndarray, theirs: np.ndarray, scale: float) -> None:
        same = np.isclose(ours, theirs, rtol=1e-9, atol=1e-9 * scale, equal_nan=True)
        if not same.all():
            at = tuple(int(index) for index in np.argwhere(~same)[0])
            found.append(f"{name} at row {at}: kernel {ours[at]!r}, reference {theirs[at]!r}")

    laid = fills_of(result, bars, instruments)
    compare("reason", outcome.fills.reason[:, :, one].astype(float), laid["reason"], 0.0)
    filled = laid["reason"] > 0
    for name in FILLS:
        ours = np.where(filled, getattr(outcome.fills, name)[:, :, one], 0.0)
        compare(name, ours, laid[name], rules.cash if name in ("commission", "slippage", "fee") else 1.0)
    for name in CLOSED:
        compare(name, getattr(outcome.closed, name)[:, one].astype(float), laid[name], rules.cash)
    compare("ruined", outcome.ruined[:, one].astype(float), result.ruined[1:].astype(float), 0.0)
    compare("liquidated", outcome.liquidated[:, one].astype(float), result.liquidated[1:].astype(float), 0.0)
    money = max(rules.cash, float(np.nanmax(np.abs(result.cash))))
    for name, ours in ledger_of(outcome, rules, one).items():
        compare(name, ours, getattr(result, name)[1:], money if name in ("cash", "equity", "financing") else 1.0)
    return found


def agree(seed: int, *, accounts: int, instruments: int, grid: bool) -> Counter[str]:
    """One set of random rules on many random accounts; counts what happened."""
    rng = np.random.default_rng(seed)
    rules = random_rules(rng, grid=grid)
    scenario = random_scenario(rng, accounts, BARS, instruments, rules, grid=grid)
    days = rng.choice(np.array([0.0, 1 / 24, 1.0, 3.0]), BARS)
    outcome = kernel(scenario, days, rules)
    happened: Counter[str] = Counter()
    wrong = []
    for one in range(accounts):
        result = replay(
            *(leaf[one] for leaf in (scenario.bid, scenario.ask, scenario.volume)),
            days,
            *(leaf[one] for leaf in (scenario.targets, scenario.stops, scenario.takes)),
            rules,
        )
        if result.dust:
            happened["dust"] += 1
            continue
        happened.update(f"{fill.slot} {fill.reason}" for fill in result.fills)
        found = differences(outcome, result, rules, one)
        if found:
            wrong.append((one, found))
    if wrong:
        one, found = wrong[0]
        lines = "\n  ".join(found)
        pytest.fail(f"{len(wrong)} of {accounts} accounts differ under {rules}\nseed {seed}, account {one}:\n  {lines}")
    return happened


EVERYTHING = {"0 stop", "0 take_profit", "0 liquidation", "1 order", "2 stop", "2 take_profit", "2 liquidation"}


@pytest.mark.parametrize("instruments", [1, 2, 4])
@pytest.mark.parametrize("grid", [False, True], ids=["wild", "ties"])
def test_kernel_agrees_with_the_reference_in_every_cell_and_fill(instruments: int, grid: bool) -> None:
    happened: Counter[str] = Counter()
    for seed in range(6):
        happened += agree(1000 * instruments + seed, accounts=100, instruments=instruments, grid=grid)
    assert set(happened) >= EVERYTHING | {"3 ruin", "3 end"}

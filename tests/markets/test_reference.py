"""The kernel against the reference: two brokers written apart from the same rules must agree on random markets."""

import dataclasses
from collections import Counter
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.books import Result
from reference.broker import replay
from reference.random_markets import Scenario, random_rules, random_scenario

from markets import broker
from markets.account import REASONS, Bar, Order, Outcome
from markets.rules import BrokerRules

pytestmark = pytest.mark.usefixtures("plainly_compiled")

BARS = 60
NUMBERS = tuple(
    entry.name
    for entry in dataclasses.fields(BrokerRules)
    if entry.name not in ("spread", "spread_rate", "calendar", "trailing", "close_at_end")
)
LEDGER = ("units", "entry", "stop", "take_profit", "cash", "equity", "financing", "reward")
CLOSED = ("ended_at_open", "profit_at_open", "ended_after", "profit_after")
FILLS = ("units", "price", "commission", "slippage", "fee")


# --- The kernel on the same input -------------------------------------------------------------------------------


@partial(jax.jit, static_argnames="rules")
def _scan(bars: Bar, orders: Order, rules: BrokerRules, numbers: dict[str, jax.Array]) -> Outcome:
    accounts, instruments = orders.target.shape[1:]
    terms = broker.vary(rules, **numbers) if numbers else rules
    account = broker.open_account(terms, (accounts,), instruments, jnp.float64)

    def bar_by_bar(account, row):
        bar, order = row
        outcome = broker.step(account, order, bar, terms)
        return outcome.account, outcome

    return jax.lax.scan(bar_by_bar, account, (bars, orders))[1]


def kernel(scenario: Scenario, days: np.ndarray, rules: list[BrokerRules]) -> Outcome:
    """All bars but the first through the kernel in float64; leaves are [bars − 1, …] NumPy arrays.

    `rules` is one for all accounts, or one an account: then what is a number differs by account, and the rest is alike.
    """
    numbers = {} if len(rules) == 1 else {name: np.array([[getattr(r, name)] for r in rules]) for name in NUMBERS}
    numbers = {name: column for name, column in numbers.items() if column.dtype != object}  # None is no number
    # One compiled program for all their numbers; the spread is in the bars already.
    shape = dataclasses.replace(rules[0], spread=None, spread_rate=None, **dict.fromkeys(numbers, 0.5))
    sides = [_quotes(scenario, one, rules[one % len(rules)]) for one in range(len(scenario.bid))]
    bid, ask = (np.stack([pair[side] for pair in sides], axis=1) for side in range(2))
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
        outcome = _scan(jax.tree.map(jnp.asarray, bars), jax.tree.map(jnp.asarray, orders), shape, numbers)
        return jax.tree.map(np.asarray, outcome)


def _quotes(scenario: Scenario, one: int, rules: BrokerRules) -> tuple[np.ndarray, np.ndarray]:
    bid, ask = scenario.bid[one], scenario.ask[one]
    if rules.spread is None and rules.spread_rate is None:
        return bid, ask
    mid = (bid + ask) / 2
    half = ((rules.spread or 0.0) + (rules.spread_rate or 0.0) * mid) / 2
    return mid - half, mid + half


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


def agree(
    rng: np.random.Generator, rules: list[BrokerRules], *, accounts: int, instruments: int, grid: bool
) -> Counter:
    """Random accounts under one set of rules, or one set an account; counts what happened."""
    scenario = random_scenario(rng, accounts, BARS, instruments, rules[0], grid=grid)
    days = rng.choice(np.array([0.0, 1 / 24, 1.0, 3.0]), BARS)
    outcome = kernel(scenario, days, rules)
    happened: Counter[str] = Counter(accounts=accounts)
    wrong = []
    for one in range(accounts):
        own = rules[one % len(rules)]
        result = replay(
            *(leaf[one] for leaf in (scenario.bid, scenario.ask, scenario.volume)),
            days,
            *(leaf[one] for leaf in (scenario.targets, scenario.stops, scenario.takes)),
            own,
        )
        happened.update(f"{fill.slot} {fill.reason}" for fill in result.fills)
        found = differences(outcome, result, own, one)
        if found and result.doubtful:
            happened["decided by rounding"] += 1
        elif found:
            wrong.append(f"account {one} under {own}:\n  " + "\n  ".join(found))
    if wrong:
        pytest.fail(f"{len(wrong)} of {accounts} accounts differ; the first is {wrong[0]}")
    return happened


EVERYTHING = {
    "0 stop",
    "0 take_profit",
    "0 liquidation",
    "1 order",
    "2 stop",
    "2 take_profit",
    "2 liquidation",
    "3 ruin",
}
STRUCTURES = (
    {"trailing": False, "close_at_end": True, "participation": None},
    {"trailing": True, "close_at_end": False, "participation": None},
    {"trailing": True, "close_at_end": True, "participation": 0.1},
    {"trailing": False, "close_at_end": False, "participation": 0.3},
)


@pytest.mark.parametrize("instruments", [1, 3])
@pytest.mark.parametrize("grid", [False, True], ids=["wild", "ties"])
def test_kernel_agrees_with_the_reference_in_every_cell_and_fill(instruments: int, grid: bool) -> None:
    """Every account has rules of its own."""
    rng = np.random.default_rng([instruments, grid])
    happened: Counter[str] = Counter()
    for structure in STRUCTURES:
        rules = [dataclasses.replace(random_rules(rng, grid=grid), **structure) for _ in range(200)]
        happened += agree(rng, rules, accounts=200, instruments=instruments, grid=grid)
    assert set(happened) >= EVERYTHING | {"3 ruin", "3 end"} - ({"0 liquidation"} if grid else set())
    assert happened["decided by rounding"] <= (0.02 if grid else 0.003) * happened["accounts"]


@pytest.mark.parametrize("seed", range(4))
def test_kernel_agrees_under_plain_rules(seed: int) -> None:
    """Rules as plain numbers, as they are everywhere but in a pool of differing costs."""
    rng = np.random.default_rng([7, seed])
    grid = seed == 0
    happened = agree(rng, [random_rules(rng, grid=grid)], accounts=100, instruments=(1, 2, 4)[seed % 3], grid=grid)
    assert happened["1 order"] > 100


# --- Worked bars (docs/accounting.md) ---------------------------------------------------------------------------

WORKED = {  # units, open, high, low; stop, take-profit; reason and price of the exit
    "both in range": (1, (100, 106, 94), (95, 105), ("stop", 95)),
    "gap through the stop": (1, (90, 101, 88), (95, 120), ("stop", 90)),
    "gap through the take-profit, stop touched later": (1, (106, 107, 94), (95, 105), ("take_profit", 106)),
    "take-profit only": (1, (100, 106, 96), (95, 105), ("take_profit", 105)),
    "take-profit only touched": (1, (100, 105, 96), (95, 105), None),
    "short, gap against": (-1, (112, 113, 108), (110, 90), ("stop", 112)),
}


EXACT = {  # bought at 64 with E_0 = 8192: exposure, bar, stop distance; slot, reason and price of the exit
    "equity is exactly ruin at the mark": (1.0, (60, 60, 32, 32), np.nan, (3, "ruin", 32)),
    "equity is a little above ruin": (1.0, (60, 60, 32, 32.25), np.nan, None),
    "equity meets maintenance exactly at the open": (2.0, (32, 40, 32, 40), np.nan, (0, "liquidation", 32)),
    "equity meets maintenance exactly at the extreme": (2.0, (60, 60, 32, 60), np.nan, (2, "liquidation", 32)),
    "stop and maintenance at the same price": (2.0, (60, 60, 32, 60), 0.5, (2, "stop", 32)),
    "stop exactly at the extreme": (1.0, (60, 60, 56, 60), 0.125, (2, "stop", 56)),
    "stop exactly at the open": (1.0, (56, 60, 56, 60), 0.125, (0, "stop", 56)),
}


def test_both_brokers_give_the_worked_bars() -> None:
    rules = BrokerRules(cash=1000.0, close_at_end=False)
    cases = list(WORKED.values())
    bars = [(*bar, bar[0]) for _, bar, _, _ in cases]
    levels = np.array([levels for _, _, levels, _ in cases])
    exposures = [units * 100 / rules.cash for units, _, _, _ in cases]
    results = enter_and_follow(rules, 100.0, bars, exposures, *(np.abs(levels - 100) / 100).T)
    for (name, (units, _, _, exit_)), result in zip(WORKED.items(), results, strict=True):
        assert (result.fills[0].units, result.fills[0].price) == (units, 100), name
        assert [(fill.reason, fill.price) for fill in result.fills[1:]] == ([] if exit_ is None else [exit_]), name


def test_both_brokers_count_equality_as_met() -> None:
    """Numbers that are exact in binary, so that equal is equal."""
    rules = BrokerRules(cash=8192.0, max_leverage=2.0, ruin=0.5, close_at_end=False)
    exposures, bars, stops, exits = zip(*EXACT.values(), strict=True)
    results = enter_and_follow(rules, 64.0, bars, exposures, stops, np.full(len(stops), np.nan))
    for name, exit_, result in zip(EXACT, exits, results, strict=True):
        left = [(fill.slot, fill.reason, fill.price) for fill in result.fills[1:]]
        assert left == ([] if exit_ is None else [exit_]), name


def enter_and_follow(rules, price, bars, exposures, stops, takes) -> list[Result]:
    """Enter at `price` on the second bar and meet one bar more, a case an account, in both brokers; they must agree."""
    quiet = (price,) * 4
    mid = np.array([[quiet, quiet, bar] for bar in bars], np.float64)[:, :, None]
    orders = np.full((3, len(bars), 3, 1), np.nan)
    for column, values in zip(orders, (exposures, stops, takes), strict=True):
        column[:, 0, 0] = values
    scenario = Scenario(mid, mid, np.zeros(orders.shape[1:]), *orders)
    outcome = kernel(scenario, np.zeros(3), [rules])
    results = []
    for one in range(len(bars)):
        result = replay(mid[one], mid[one], np.zeros((3, 1)), np.zeros(3), *orders[:, one], rules)
        assert not differences(outcome, result, rules, one)
        results.append(result)
    return results

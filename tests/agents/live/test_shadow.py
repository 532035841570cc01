"""The shadow account does what the arena's broker does: random markets and orders, every key of the rules in play."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.random_markets import random_rules, random_scenario

from agents.live.bar import Bar
from agents.live.decision import Decision
from agents.live.shadow import Shadow
from markets import broker
from markets.account import Bar as Met
from markets.account import Order
from markets.bars import Bars
from markets.rules import BrokerRules

ACCOUNTS, BARS = 12, 60
NUMBERS = [
    field.name
    for field in dataclasses.fields(BrokerRules)
    if field.name not in ("spread", "spread_rate", "participation", "calendar", "trailing", "close_at_end")
]


def _kernel(rules: BrokerRules, scenario, days):
    """Equity and units after every bar but the first, float64 [bars − 1, accounts]."""
    numbers = {name: getattr(rules, name) for name in NUMBERS}
    shape = dataclasses.replace(rules, spread=None, spread_rate=None, close_at_end=False, **dict.fromkeys(NUMBERS, 0.5))
    time = np.arange(BARS) * np.timedelta64(1, "h") + np.datetime64("2020-01-01", "us")
    quoted = [
        Bars("X", time, scenario.bid[one, :, 0], scenario.ask[one, :, 0], scenario.volume[one, :, 0]).with_spread(
            rules.spread, rules.spread_rate
        )
        for one in range(ACCOUNTS)
    ]
    bid, ask = (np.stack([getattr(bars, side) for bars in quoted], 1)[:, :, None] for side in ("bid", "ask"))
    volume = np.moveaxis(scenario.volume, 0, 1)
    volume = np.where((volume > 0).any(axis=0), volume, np.inf)
    prices = [side[1:, ..., column] for column in range(4) for side in (bid, ask)]
    bars = Met(
        *prices,
        decision_close=(0.5 * (bid + ask))[:-1, ..., 3],
        decision_volume=volume[:-1],
        days=np.broadcast_to(days[1:, None, None], prices[0].shape),
        last=np.zeros((BARS - 1, ACCOUNTS), bool),
    )
    orders = Order(*(np.moveaxis(part, 0, 1)[:-1] for part in (scenario.targets, scenario.stops, scenario.takes)))
    with jax.enable_x64(True):
        passed = _scan(jax.tree.map(jnp.asarray, (bars, orders)), numbers, shape)
        return tuple(np.asarray(part) for part in passed)


def _scan(rows, numbers, shape):
    def run(rows, numbers):
        terms = broker.vary(shape, **numbers)

        def one(account, row):
            after = broker.step(account, row[1], row[0], terms).account
            return after, (after.equity, after.units[..., 0])

        return jax.lax.scan(one, broker.open_account(terms, (ACCOUNTS,), 1, jnp.float64), rows)[1]

    return jax.jit(run)(rows, {name: jnp.asarray([[value]], jnp.float64) for name, value in numbers.items()})


@pytest.mark.parametrize("grid", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_it_books_what_the_broker_books(seed: int, grid: bool) -> None:
    rng = np.random.default_rng([seed, grid])
    rules = random_rules(rng, grid=grid)
    scenario = random_scenario(rng, ACCOUNTS, BARS, 1, rules, grid=grid)
    days = rng.choice([0.0, 0.0, 1.0, 3.0], BARS)
    equity, units = _kernel(rules, scenario, days)
    for one in range(ACCOUNTS):
        shadow = Shadow(dataclasses.asdict(rules))
        shadow.traded = bool((scenario.volume[one] > 0).any())
        order = None
        for row in range(BARS):
            bar = Bar(
                row * 3600.0, scenario.bid[one, row, 0], scenario.ask[one, row, 0], float(scenario.volume[one, row, 0])
            )
            shadow.meet(bar, order, days=float(days[row]))
            if row:
                np.testing.assert_allclose(shadow.units, units[row - 1, one], rtol=1e-9, atol=1e-9)
                np.testing.assert_allclose(shadow.equity, equity[row - 1, one], rtol=1e-9, atol=1e-6)
            target, stop, take = (
                None if np.isnan(part[one, row, 0]) else float(part[one, row, 0])
                for part in (scenario.targets, scenario.stops, scenario.takes)
            )
            order = Decision(0, target, stop, take, (0.0,), "unknown", 0.0)
    assert (units != 0).mean() > 0.1

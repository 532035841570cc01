"""The oracle through the broker: its edge is there to be earned, after the spread, by whoever plays as it does."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from markets.account import Bar, Order
from markets.bars import CLOSE, HIGH, LOW, OPEN
from markets.broker import open_account, step
from markets.rules import BrokerRules
from markets.synthetic import SyntheticPath, SyntheticSettings, law_of, oracle_exposures, oracle_of, simulate_paths


def played(paths: list[SyntheticPath], targets: np.ndarray) -> np.ndarray:
    """Simple returns of equity by bar, [bars − 1, symbols], for targets [bars, symbols]; NaN is no order."""
    rules = BrokerRules(close_at_end=False)

    def advance(account, seen):
        bid, ask, close, target = seen
        sides = [side[:, column, None] for column in (OPEN, HIGH, LOW, CLOSE) for side in (bid, ask)]
        empty = jnp.full_like(target, jnp.nan)[:, None]
        bar = Bar(
            *sides,
            decision_close=close[:, None],
            decision_volume=jnp.full((len(paths), 1), jnp.inf),
            days=jnp.zeros((len(paths), 1)),
            last=jnp.asarray(False),
        )
        after = step(account, Order(target[:, None], empty, empty), bar, rules).account
        return after, after.equity / account.equity - 1.0

    with jax.enable_x64(True):
        bid, ask, close = (
            jnp.asarray(np.stack(each, axis=1))
            for each in (
                [path.bars.bid for path in paths],
                [path.bars.ask for path in paths],
                [path.bars.mid[:, CLOSE] for path in paths],
            )
        )
        start = open_account(rules, (len(paths),), dtype=jnp.float64)
        run = jax.jit(lambda account, seen: jax.lax.scan(advance, account, seen)[1])
        return np.asarray(run(start, (bid[1:], ask[1:], close[:-1], jnp.asarray(targets[:-1]))))


@pytest.mark.slow
@pytest.mark.parametrize("edge", [2.0, 8.0])
def test_through_the_broker_the_oracle_earns_its_edge_after_costs(edge):
    settings = SyntheticSettings(bars=2_500, symbols=240, edge=edge)
    oracle, year = oracle_of(settings), math.sqrt(law_of(settings).periods)
    paths = simulate_paths(settings, 31)
    returns = played(paths, np.stack([oracle_exposures(settings, path) for path in paths], axis=1))
    scaled = returns / np.stack([path.sigma[:-1] for path in paths], axis=1)
    error = year / math.sqrt(returns.size)
    assert abs(scaled.mean() / scaled.std() * year - edge) < 3 * error
    assert abs(returns.mean() / returns.std() * year - oracle.plain_sharpe) < 3 * error


def test_the_same_exposures_earn_nothing_where_there_is_no_edge():
    settings = SyntheticSettings(bars=1_000, symbols=160, cost=0.0)
    plan = dataclasses.replace(settings, edge=4.0, cost=0.05)
    paths = simulate_paths(settings, 32)
    returns = played(paths, np.stack([oracle_exposures(plan, path) for path in paths], axis=1))
    assert abs(returns.sum() / math.sqrt((returns**2).sum())) < 4
    dear = simulate_paths(dataclasses.replace(settings, cost=0.05), 32)
    paid = played(dear, np.stack([oracle_exposures(plan, path) for path in dear], axis=1))
    assert paid.sum() / math.sqrt((paid**2).sum()) < -2

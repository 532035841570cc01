"""Benchmarks against what the broker's rules say in closed form."""

import jax.numpy as jnp
import numpy as np
import pytest
from small_worlds import make_settings, market_of

from arena.benchmarks import follow, hold
from markets.bars import CLOSE, OPEN
from markets.preparation import Market

pytestmark = pytest.mark.usefixtures("plainly_compiled")

COMMISSION = 1e-3
SETTINGS = make_settings(broker={"commission": COMMISSION, "spread_rate": 4e-4, "calendar": "none"})
BARS = SETTINGS.episodes.bars


@pytest.fixture(scope="module")
def market() -> Market:
    return market_of(SETTINGS)


def sides(market: Market) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(market.tape.bid, np.float64)[:, 0], np.asarray(market.tape.ask, np.float64)[:, 0]


def bought(market: Market, first: int, direction: int) -> float:
    """Log return of all-in at the first open and out at the last close, with E_0 = 1.

    Units are decided at the close, |u| = 1 / C, and held to what the equity allows at the open: |u| ≤ 1 / O.
    """
    bid, ask = sides(market)
    mid = 0.5 * (bid + ask)
    units = min(1 / mid[first, CLOSE], 1 / mid[first + 1, OPEN])
    entry = (ask if direction > 0 else bid)[first + 1, OPEN]
    leave = (bid if direction > 0 else ask)[first + BARS, CLOSE]
    return float(np.log(1 + units * (direction * (leave - entry) - COMMISSION * (entry + leave))))


@pytest.mark.parametrize("direction", [1, -1])
def test_buy_and_hold_earns_the_price_ratio_less_costs(market: Market, direction: int) -> None:
    first = market.tape.validation[0][:3]
    stats = hold(SETTINGS, market.tape, first, float(direction))
    want = sum(bought(market, int(row), direction) for row in first)
    np.testing.assert_allclose(stats.log_return[0, -1], want, rtol=1e-3, atol=2e-6)
    assert stats.trades[0, -1] == 3
    assert stats.episodes[0, -1] == 3


def test_flat_is_nothing_at_all(market: Market) -> None:
    stats = hold(SETTINGS, market.tape, market.tape.validation[0], 0.0)
    for name in ("log_return", "square", "drawdown", "trades"):
        np.testing.assert_array_equal(getattr(stats, name), 0.0)


def test_a_path_of_directions_is_followed_bar_by_bar(market: Market) -> None:
    """Long for five bars of a window: bought at the open after the first, sold at the open after the last."""
    first = int(market.tape.validation[0, 0])
    told = np.zeros((len(market.tape.regime), 1), np.float32)
    told[first + 4 : first + 9] = 1.0
    stats = follow(SETTINGS, market.tape, jnp.asarray(told), market.tape.validation[0][:1])
    bid, ask = sides(market)
    mid = 0.5 * (bid + ask)
    enter, leave = first + 5, first + 10
    units = min(1 / mid[first + 4, CLOSE], 1 / mid[enter, OPEN])
    earned = units * (bid[leave, OPEN] - ask[enter, OPEN] - COMMISSION * (bid[leave, OPEN] + ask[enter, OPEN]))
    np.testing.assert_allclose(stats.log_return[0, -1], np.log1p(earned), rtol=2e-3, atol=1e-6)
    assert stats.trades[0, -1] == 1

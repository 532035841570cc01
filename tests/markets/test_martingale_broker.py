"""Edge 0 pays nobody: a grid of exposures, stops, targets and trailing stops through the broker itself, before costs.

Every account trades the synthetic market without an edge through `markets.broker`. The return of each bar is a
martingale difference, so that Σ r / √Σ r² is about standard normal for each cell of the grid. Where a stop and a target
lie in one bar the rules take the stop, although the target may have come first; such cells may only lose.
"""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from markets.account import Bar, Order
from markets.bars import CLOSE, HIGH, LOW, OPEN
from markets.broker import open_account, step
from markets.rules import BrokerRules
from markets.synthetic import SyntheticPath, SyntheticSettings, simulate_paths

MARKET = SyntheticSettings(bars=1_500, symbols=40, edge=0.0, cost=0.0)
NONE = float("nan")
DISTANCES = (NONE, 0.001, 0.003, 0.01)
"""Fractions of the entry price: a third of a bar's volatility, one, and three."""
PLANS = ("long", "short", "momentum", "reversion", "in and out")
"""Exposures asked for at each close, all from what is known there; `orders_of` says when."""


class Cell(NamedTuple):
    plan: str
    stop: float
    target: float

    @property
    def may_lose(self) -> bool:
        """Whether one bar can hold both exits."""
        return not (np.isnan(self.stop) or np.isnan(self.target))


CELLS = [Cell(*each) for each in itertools.product(PLANS, DISTANCES, DISTANCES)]
BOUND = 4.6
"""Standard normal: two-sided, over all cells of both runs, a false alarm in a thousand (Bonferroni)."""


def exposures(path: SyntheticPath) -> dict[str, np.ndarray]:
    """What each plan asks for at the closes of a path; NaN is no order."""
    z = path.z
    bar = np.arange(len(z))
    return {
        "long": np.full(len(z), 0.5),  # asked anew at every close: held at this exposure
        "short": np.full(len(z), -1.0),
        "momentum": np.where(bar % 3 == 0, np.sign(z), np.nan),
        "reversion": np.where(np.abs(z) > 1, -0.7 * np.sign(z), np.nan),
        "in and out": np.where(bar % 7 == 0, 1.0, np.where(bar % 7 == 4, 0.0, np.nan)),
    }


def earnings(paths: list[SyntheticPath], mid: np.ndarray, trailing: bool) -> np.ndarray:
    """Simple returns of equity by bar, [bars − 1, symbols, cells].

    Args:
        paths: symbols.
        mid: their prices, [symbols, bars, 4].
        trailing: whether stops trail.
    """
    rules = BrokerRules(trailing=trailing)
    asked = [exposures(path) for path in paths]
    plans = np.stack([[each[plan] for plan in PLANS] for each in asked])  # [symbols, plans, bars]
    plan = np.array([PLANS.index(cell.plan) for cell in CELLS])
    stop = jnp.asarray([[cell.stop] for cell in CELLS])
    target = jnp.asarray([[cell.target] for cell in CELLS])
    shape = (len(paths), len(CELLS))

    def advance(account, seen):
        price, close, exposure = seen
        sides = [price[:, None, None, column] for column in (OPEN, HIGH, LOW, CLOSE)]
        bar = Bar(
            *[side for side in sides for _ in range(2)],
            decision_close=close[:, None, None],
            decision_volume=jnp.full((len(paths), 1, 1), jnp.inf),
            days=jnp.zeros((len(paths), 1, 1)),
            last=jnp.asarray(False),
        )
        order = Order(
            exposure[:, plan, None],
            jnp.broadcast_to(stop, (*shape, 1)),
            jnp.broadcast_to(target, (*shape, 1)),
        )
        after = step(account, order, bar, rules).account
        return after, after.equity / account.equity - 1.0

    with jax.enable_x64(True):
        prices = jnp.asarray(mid.transpose(1, 0, 2))
        orders = jnp.asarray(plans.transpose(2, 0, 1))
        start = open_account(rules, shape, dtype=jnp.float64)
        run = jax.jit(lambda account, seen: jax.lax.scan(advance, account, seen)[1])
        return np.asarray(run(start, (prices[1:], prices[:-1, :, CLOSE], orders[:-1])))


def scores(returns: np.ndarray) -> np.ndarray:
    """Σ r / √Σ r² of each cell."""
    return returns.sum(axis=(0, 1)) / np.sqrt((returns**2).sum(axis=(0, 1)))


@pytest.fixture(scope="module")
def paths():
    return simulate_paths(MARKET, 2024)


@pytest.fixture(scope="module")
def mid(paths):
    return np.stack([path.bars.mid for path in paths])


@pytest.mark.slow
@pytest.mark.parametrize("trailing", [False, True])
def test_no_exposure_stop_target_or_trailing_stop_earns_anything(paths, mid, trailing):
    z = scores(earnings(paths, mid, trailing))
    assert np.all(np.isfinite(z))
    for cell, score in zip(CELLS, z, strict=True):
        assert score < BOUND, f"{cell} earns: {score:.1f} standard errors"
        assert cell.may_lose or score > -BOUND, f"{cell} loses: {score:.1f} standard errors"


@pytest.mark.slow
def test_the_grid_would_notice_wicks_that_pay(paths, mid):
    """Wicks cut to the body of the bar spare stops the worst of it; wicks drawn too long hand money to targets."""
    body_high, body_low = mid[..., [OPEN, CLOSE]].max(axis=-1), mid[..., [OPEN, CLOSE]].min(axis=-1)
    cut, long = mid.copy(), mid.copy()
    cut[..., HIGH], cut[..., LOW] = body_high, body_low
    long[..., HIGH] = body_high + 1.5 * (mid[..., HIGH] - body_high)
    long[..., LOW] = body_low - 1.5 * (body_low - mid[..., LOW])
    with_stop = [not np.isnan(cell.stop) and np.isnan(cell.target) for cell in CELLS]
    with_target = [np.isnan(cell.stop) and not np.isnan(cell.target) for cell in CELLS]
    assert scores(earnings(paths, cut, False))[with_stop].max() > 2 * BOUND
    assert scores(earnings(paths, long, False))[with_target].max() > 2 * BOUND

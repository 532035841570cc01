"""Random bars, orders and rules that reach every corner of the accounting rules.

Two kinds of bars. Wild ones walk with gaps and long wicks on two sides, so that everything happens and nothing is a
tie. Grid ones live on a handful of prices that are exact in binary, with distances that lead from one to another, so
that levels are touched to the last bit and ties are decided by the rules instead of by rounding.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from markets.rules import BrokerRules

__all__ = ["Scenario", "random_rules", "random_scenario"]

Array = NDArray[np.float64]

GRID = np.array([48.0, 56.0, 60.0, 62.0, 63.0, 64.0, 66.0, 68.0, 72.0, 80.0])
GRID_DISTANCES = np.array([1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4])


@dataclass(frozen=True)
class Scenario:
    """Many accounts, each with a market and orders of its own."""

    bid: Array
    """[accounts, bars, instruments, 4]"""
    ask: Array
    volume: Array
    """[accounts, bars, instruments]"""
    targets: Array
    stops: Array
    takes: Array


def random_rules(rng: np.random.Generator, *, grid: bool) -> BrokerRules:
    """Rules with every key in play; on the grid, only those that keep prices exact."""

    def sometimes(low: float, high: float, probability: float = 0.6) -> float:
        return float(rng.uniform(low, high)) if rng.random() < probability else 0.0

    leverage = float(rng.choice([0.5, 1.0, 2.0, 4.0, 8.0, 20.0]))
    return BrokerRules(
        cash=8192.0 if grid else float(rng.uniform(1_000, 100_000)),
        spread=None if grid or rng.random() < 0.7 else float(rng.uniform(0, 0.3)),
        spread_rate=None if grid or rng.random() < 0.7 else float(rng.uniform(0, 0.004)),
        commission=0.0 if grid else sometimes(0, 0.003),
        commission_per_unit=0.0 if grid else sometimes(0, 0.05),
        commission_fixed=0.0 if grid else sometimes(0, 20),
        slippage=0.0 if grid else sometimes(0, 0.003),
        max_leverage=leverage,
        maintenance=0.0 if rng.random() < 0.3 else float(rng.choice([0.25, 0.5, 0.9])) / leverage / 2,
        liquidation_fee=sometimes(0, 0.02),
        lot_size=float(rng.choice([0.0, 1.0, 4.0] if grid else [0.0, 0.0, 0.01, 0.1, 1.0, 10.0, 7.3])),
        min_units=float(rng.choice([0.0, 0.0, 3.0, 20.0])),
        participation=float(rng.choice([0.05, 0.25])) if rng.random() < 0.5 else None,
        financing_long=float(rng.uniform(-1, 2)) if rng.random() < 0.6 else 0.0,
        financing_short=float(rng.uniform(-1, 2)) if rng.random() < 0.6 else 0.0,
        trailing=bool(rng.random() < 0.5),
        ruin=float(rng.choice([0.0, 0.3, 0.9])),
        close_at_end=bool(rng.random() < 0.5),
    )


def random_scenario(
    rng: np.random.Generator, accounts: int, bars: int, instruments: int, rules: BrokerRules, *, grid: bool
) -> Scenario:
    """Bars and orders for many accounts."""
    shape = (accounts, bars, instruments)
    bid, ask = _grid_bars(rng, shape) if grid else _wild_bars(rng, shape)

    size = 0.05 * rules.cash  # units at a price near 64 that participation can bind on
    volume = rng.exponential(size, shape) * (rng.random(shape) > 0.15)
    if grid:
        volume = np.round(volume)
    volume *= rng.random((accounts, 1, instruments)) > 0.2  # some markets have no volume at all

    exposure = rng.uniform(-1.3, 1.3, shape) * rules.max_leverage
    round_number = rng.choice(np.array([-1.0, -0.5, 0.0, 0.0, 0.5, 1.0]), shape) * rules.max_leverage
    targets = np.where(rng.random(shape) < (0.8 if grid else 0.5), round_number, exposure)
    targets[rng.random(shape) < rng.uniform(0.2, 0.9, (accounts, 1, 1))] = np.nan

    def distances(low: float, high: float) -> Array:
        drawn = rng.choice(GRID_DISTANCES, shape) if grid else np.exp(rng.uniform(np.log(low), np.log(high), shape))
        drawn[rng.random(shape) < rng.uniform(0, 0.8, (accounts, 1, 1))] = np.nan
        return np.asarray(drawn, np.float64)

    return Scenario(bid, ask, volume, targets, distances(1e-4, 0.4), distances(1e-4, 1.5))


def _wild_bars(rng: np.random.Generator, shape: tuple[int, int, int]) -> tuple[Array, Array]:
    accounts, _, instruments = shape
    calm = np.exp(rng.uniform(np.log(1e-3), np.log(0.05), (accounts, 1, instruments)))

    def moves(scale: float, wild: float) -> Array:
        return rng.normal(0, scale, shape) * np.where(rng.random(shape) < wild, 8.0, 1.0)

    gaps, bodies = calm * moves(0.7, 0.1), calm * moves(1.0, 0.05)
    gaps += rng.normal(0, 0.2, shape) * (rng.random(shape) < 0.02)
    close = 64 * np.exp(np.clip(np.cumsum(gaps + bodies, axis=1), -3, 3))
    previous = np.concatenate([np.full((accounts, 1, instruments), 64.0), close[:, :-1]], axis=1)
    opens = previous * np.exp(gaps)
    high = np.maximum(opens, close) * np.exp(np.abs(calm * moves(0.7, 0.1)))
    low = np.minimum(opens, close) * np.exp(-np.abs(calm * moves(0.7, 0.1)))
    still = rng.random(shape) < 0.05  # bars that do not move at all
    high, low, close = (np.where(still, opens, price) for price in (high, low, close))
    bid = np.stack([opens, high, low, close], axis=-1)
    wide = calm[..., None] * rng.exponential(0.3, (*shape, 4)) * (rng.random((accounts, 1, 1, 1)) > 0.3)
    return _valid(bid), _valid(bid * (1 + wide))


def _grid_bars(rng: np.random.Generator, shape: tuple[int, int, int]) -> tuple[Array, Array]:
    """Neighbouring bars move a few steps along the grid."""
    steps = np.cumsum(rng.integers(-2, 3, shape), axis=1) + 5
    last = 2 * (len(GRID) - 1)
    at = np.abs((steps % last) - last // 2)  # reflected at both ends
    around = np.clip(at[..., None] + rng.integers(-3, 4, (*shape, 4)), 0, len(GRID) - 1)
    bid = GRID[around]
    bid[:, 1:, :, 0] = np.where(
        rng.random((shape[0], shape[1] - 1, shape[2])) < 0.6, bid[:, :-1, :, 3], bid[:, 1:, :, 0]
    )
    spread = rng.choice(np.array([0.0, 0.0, 2.0]), (shape[0], 1, shape[2], 1))
    return _valid(bid), _valid(bid + spread)


def _valid(quotes: Array) -> Array:
    """High and low enclose the rest."""
    quotes[..., 1] = quotes.max(axis=-1)
    quotes[..., 2] = quotes.min(axis=-1)
    return quotes

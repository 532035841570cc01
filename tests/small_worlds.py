"""Small worlds for the tests of the compiled core: few agents, few bars, few features, and one way to make them."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from arena.founding import found, spread
from arena.plan import Plan, make_plan
from arena.records import GenerationRecord
from arena.rollout import Trader
from arena.settings import Settings
from arena.state import ArenaState
from arena.tally import REGIMES
from markets.bars import Bars
from markets.preparation import Market, prepare
from markets.synthetic import SyntheticSettings, simulate
from markets.windows import WindowSettings

__all__ = ["FEATURES", "founded", "make_settings", "marked", "market_of", "on_host", "small_bars"]

FEATURES: dict[str, Any] = {
    "returns": [1, 4],
    "mean_distance": [8],
    "rsi": [],
    "macd": False,
    "atr": [],
    "bollinger": [],
    "volatility_ratio": False,
    "range_position": [],
    "volume_z": [],
    "trend_strength": [],
    "gap_length": False,
    "clock": False,
}
"""Three features of at most eight bars."""

_SMALL: dict[str, Any] = {
    "seed": 7,
    "features": FEATURES,
    "regimes": {"returns": 8, "ranks": 24},
    "broker": {"commission": 1e-4, "spread_rate": 2e-4},
    "species": {"qnetwork": {"hidden": [4]}},
    "episodes": {"episodes": 8, "bars": 24, "validation": 4, "stratum": 20},
    "fitness": {"bars": 8},
    "archive": {"bars": 4},
    "trust": {"block": 4},
    "scars": {"enabled": True, "damage": True, "memory": {"enabled": True}, "drawdown": 0.002, "count": 3},
    "selection": {"pool": 8},
    "evolution": {"agents": 8, "islands": 1},
    "device": {"block": 4, "chunk": 8, "count": 1},
}


def make_settings(**changes: Any) -> Settings:
    """Small settings; a mapping changes keys of its group, anything else replaces."""
    values = dict(_SMALL)
    for name, change in changes.items():
        merges = isinstance(change, dict) and name not in ("species", "costs")
        values[name] = {**values.get(name, {}), **change} if merges else change
    return Settings.build(values)


@functools.cache
def small_bars(count: int = 900, symbols: int = 1, seed: int = 3) -> tuple[Bars, ...]:
    """Bars of the synthetic market."""
    return tuple(simulate(SyntheticSettings(bars=count, symbols=symbols), seed))


def market_of(
    settings: Settings, bars: tuple[Bars, ...] | None = None, *, mode: str = "pool", context: int = 0
) -> Market:
    """The market prepared under these settings."""
    return prepare(
        bars or small_bars(),
        mode=mode,
        feature_settings=settings.features,
        regime_settings=settings.regimes,
        split_settings=settings.split,
        scaling_settings=settings.scaling,
        rules=settings.broker,
        costs=settings.costs,
        windows=WindowSettings(
            settings.episodes.bars, settings.episodes.validation, settings.episodes.stratum, context=context
        ),
    )


def founded(settings: Settings, market: Market) -> tuple[Plan, ArenaState]:
    """The plan of a run, and its founders laid out over devices."""
    plan = make_plan(settings, len(market.features))
    return plan, spread(plan, found(plan, market.tape))


def on_host(record: GenerationRecord) -> GenerationRecord:
    """A record as NumPy arrays."""
    copied: GenerationRecord = jax.tree.map(np.asarray, jax.device_get(record))
    return copied


def marked(state: ArenaState, count: int) -> tuple[Trader, ...]:
    """The first founders of each species, so many of them, with memories of scars and some trust in each regime."""
    rng = np.random.default_rng(4)
    made = []
    for population in state.populations:
        some = jax.tree.map(lambda leaf: leaf[0, :count], population)
        memory = some.memory._replace(
            features=jnp.asarray(rng.normal(size=some.memory.features.shape), jnp.float32),
            weight=jnp.ones_like(some.memory.weight),
        )
        trust = jnp.asarray(rng.uniform(size=(count, REGIMES)), jnp.float32)
        made.append(Trader(some.genome, some.genes, memory, trust))
    return tuple(made)

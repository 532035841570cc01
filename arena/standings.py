"""Champions beside flat, buy and hold and, where there is one, the oracle: by regime, on training and validation.

Everybody trades the same fixed windows through the same broker, so the numbers are after costs and comparable. Training
windows are a fixed, evenly spaced set; no row of the holdout is there to be read.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
from jaxtyping import Array
from numpy.typing import NDArray

from agents.population import NOBODY
from arena.archive import Archive
from arena.benchmarks import evaluate, follow, hold
from arena.fitness import Stats
from arena.frames import measures
from arena.plan import Plan
from arena.schemas import REGIME_NAMES
from markets.preparation import Market

__all__ = ["standings"]


def standings(
    plan: Plan, market: Market, archive: Archive, oracle: NDArray[np.float32] | None = None, replicate: int = 0
) -> pl.DataFrame:
    """Let champions and benchmarks trade the reference windows of training and the validation windows.

    Args:
        plan: of the run.
        market: of the run.
        archive: its champions.
        oracle: what the oracle asks for at each row of the tape [rows, instruments], or None.
        replicate: whose champions.

    Returns:
        One row a split, player and regime: `split, player, id, regime, bars, log_return, annual, sharpe, max_drawdown,
        trades`; `annual` is log return for a year of such bars, `sharpe` is annualised; both are null where undefined.
    """
    settings = plan.settings
    periods = float(np.mean([segment.periods for segment in market.segments]))
    own_market = replicate if len(market.reference) > 1 else 0
    champions = _champions(archive, replicate)
    rows: list[pl.DataFrame] = []
    for split, first in (
        ("train", jnp.asarray(market.reference[own_market])),
        ("validation", market.tape.validation[own_market]),
    ):
        for species, places in champions.items():
            traders = jax.tree.map(partial(_picked, replicate=replicate, places=places), archive.traders[species])
            stats = evaluate(plan.rollouts[species], traders, market.tape, first, settings.episodes.bars)
            for row, place in enumerate(places):
                own = Stats(*(leaf[row, place][None] for leaf in stats))
                identity = int(archive.id[replicate, place])
                rows.append(_row(split, "champion", identity, own, (REGIME_NAMES[place],), periods))
        players = {
            "flat": hold(settings, market.tape, first, 0.0),
            "buy and hold": hold(settings, market.tape, first),
        }
        if oracle is not None:
            players["oracle"] = follow(settings, market.tape, jnp.asarray(oracle), first)
        for player, result in players.items():
            rows.append(_row(split, player, None, Stats(*(leaf[0] for leaf in result)), REGIME_NAMES, periods))
    return pl.concat(rows)


def _picked(leaf: Array, replicate: int, places: list[int]) -> Array:
    return leaf[replicate, np.asarray(places)]


def _champions(archive: Archive, replicate: int) -> dict[int, list[int]]:
    """Groups that have a champion, by the champion's species."""
    found: dict[int, list[int]] = {}
    for place in range(len(REGIME_NAMES)):
        if int(archive.id[replicate, place]) != int(NOBODY):
            found.setdefault(int(archive.species[replicate, place]), []).append(place)
    return found


def _row(
    split: str, player: str, identity: int | None, stats: Stats, regimes: tuple[str, ...], periods: float
) -> pl.DataFrame:
    values = measures(stats)
    bars = values["bars"]
    with np.errstate(divide="ignore", invalid="ignore"):
        annual = np.where(bars > 0, values["log_return"] / bars * periods, np.nan)
    count = len(regimes)
    return pl.DataFrame(
        {
            "split": [split] * count,
            "player": [player] * count,
            "id": pl.Series([identity] * count, dtype=pl.UInt64),
            "regime": list(regimes),
            "bars": bars.astype(np.int64),
            "log_return": values["log_return"],
            "annual": annual,
            "sharpe": values["sharpe"] * np.sqrt(periods),
            "max_drawdown": values["max_drawdown"],
            "trades": values["trades"].astype(np.int64),
        }
    ).with_columns(pl.col("annual", "sharpe").fill_nan(None))

"""Champions beside flat, buy and hold and, where there is one, the oracle: by regime, on training and validation.

Everybody trades the same fixed windows through the same broker, so the numbers are after costs and comparable. Training
windows are a fixed, evenly spaced set; no row of the holdout is there to be read.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
from numpy.typing import NDArray

from agents.population import NOBODY
from arena.archive import Archive
from arena.benchmarks import evaluate_each, follow_each
from arena.fitness import Stats
from arena.frames import measures
from arena.plan import Plan
from arena.schemas import REGIME_NAMES
from markets.preparation import Market

__all__ = ["standings"]

_SPLITS = ("train", "validation")


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
    archive = jax.tree.map(np.asarray, archive)
    sets = (jnp.asarray(market.reference[own_market]), market.tape.validation[own_market])
    rows: dict[str, list[pl.DataFrame]] = {split: [] for split in _SPLITS}

    def add(player: str, results: Sequence[Stats], agent: int, groups: list[int], identity: int | None) -> None:
        """Rows of one agent, those of some groups."""
        for split, stats in zip(_SPLITS, results, strict=True):
            own: Stats = jax.tree.map(lambda leaf: np.asarray(leaf)[agent, groups], stats)
            rows[split].append(_row(split, player, identity, own, tuple(REGIME_NAMES[g] for g in groups), periods))

    for species, places in _champions(archive, replicate).items():
        own = archive.traders[species]
        traders = jax.tree.map(lambda leaf, places=places: jnp.asarray(leaf[replicate, places]), own)
        results = evaluate_each(plan.rollouts[species], traders, market.tape, sets, settings.episodes.bars)
        for agent, place in enumerate(places):
            add("champion", results, agent, [place], int(archive.id[replicate, place]))
    flat = np.zeros(market.tape.atr.shape, np.float32)
    players = {"flat": flat, "buy and hold": flat + 1.0} | ({} if oracle is None else {"oracle": oracle})
    for player, told in players.items():
        results = follow_each(settings, market.tape, jnp.asarray(told), sets)
        add(player, results, 0, list(range(len(REGIME_NAMES))), None)
    return pl.concat([frame for split in _SPLITS for frame in rows[split]])


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

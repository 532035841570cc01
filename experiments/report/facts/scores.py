"""What `fitness` says, in one pass over its parts: each agent's life by regime, and each generation's best and median.

Rows are counted into arrays as the parts come, so that a run of many millions of rows takes the memory of one part.
Numbers are log returns a bar in bp, 1e-4.
"""

import dataclasses
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from arena.schemas import REGIME_NAMES
from experiments.report.facts.agents import NOBODY, Agents
from experiments.report.facts.sources import Sources

__all__ = ["BP", "Scores", "read_scores"]

BP = 1e4
_ALL = len(REGIME_NAMES) - 1
_COLUMNS = ("generation", "id", "split", "regime", "bars", "log_return", "trust")
_WORDS = ("split", "regime")
_JUDGED = ("sharpe", "max_drawdown", "trades")


@dataclasses.dataclass(frozen=True, eq=False)
class Scores:
    """Sums over lives, and curves.

    Attributes:
        gained: [rows, regimes] log return in training, over the agent's life.
        bars: [rows, regimes] bars behind it.
        judged: [rows] generations in which it was judged.
        trust: [rows] mean trust over regimes after its last; NaN where it was never judged.
        validation: rows of the split of that name, in the order they were written, with the agents' `row`.
        best, median: [replicates, species, regimes, generations] of the agents of a species, in bp a bar; NaN where
            nobody had `least` bars of the regime.
        least: bars of a regime that a score wants.
    """

    gained: NDArray[np.float64]
    bars: NDArray[np.float64]
    judged: NDArray[np.uint32]
    trust: NDArray[np.float32]
    validation: pl.DataFrame
    best: NDArray[np.float64]
    median: NDArray[np.float64]
    least: int

    def per_bar(self, rows: NDArray[Any], *, least: int = 1) -> NDArray[np.float64]:
        """[rows, regimes] bp a bar over the lives of some agents; NaN where there were fewer than `least` bars."""
        return rate(self.gained[rows], self.bars[rows], least)


def read_scores(sources: Sources, agents: Agents) -> Scores:
    """Read `fitness` once; agents whose births are unknown are passed over."""
    rows, regimes = len(agents), len(REGIME_NAMES)
    least = max(1, sources.setting("fitness", "bars", default=1))
    gained, bars = np.zeros((rows, regimes)), np.zeros((rows, regimes))
    judged, trust = np.zeros(rows, np.uint32), np.full(rows, np.nan, np.float32)
    shape = (sources.replicates[0], len(agents.names), regimes, sources.done)
    replicate = sources.replicate_of(agents.island)
    best, median = np.full(shape, np.nan), np.full(shape, np.nan)
    tried: list[pl.DataFrame] = []
    for frame in sources.frames("fitness", [*_COLUMNS, *_JUDGED], words=_WORDS):
        frame = _placed(frame, agents)
        tried.append(frame.filter(pl.col("split") == "validation").drop("split"))
        frame = frame.filter(pl.col("split") == "train")
        row, regime = frame["row"].to_numpy(), frame["regime"].to_numpy()
        where = row * regimes + regime
        np.add.at(gained.reshape(-1), where, frame["log_return"].fill_null(0).to_numpy())
        np.add.at(bars.reshape(-1), where, frame["bars"].to_numpy())
        whole = regime == _ALL
        np.add.at(judged, row[whole], 1)
        trust[row[whole]] = frame["trust"].to_numpy()[whole]
        _add_curves(frame, agents.species, replicate, least, best, median)
    return Scores(gained, bars, judged, trust, _validation(tried), best, median, least)


def rate(gained: NDArray[Any], bars: NDArray[Any], least: int = 1) -> NDArray[np.float64]:
    """Log return a bar in bp; NaN where there were fewer than `least` bars."""
    enough = bars >= max(least, 1)
    return np.where(enough, BP * gained / np.where(enough, bars, 1), np.nan)


def _placed(frame: pl.DataFrame, agents: Agents) -> pl.DataFrame:
    """Rows of known agents and regimes, with `row` for the id and the regime's index for its name."""
    regime = (
        pl.col("regime")
        .cast(pl.String)
        .replace_strict(list(REGIME_NAMES), range(len(REGIME_NAMES)), default=None, return_dtype=pl.UInt8)
    )
    placed = frame.with_columns(regime, row=pl.Series(agents.rows_of(frame["id"].to_numpy())))
    return placed.filter((pl.col("row") >= 0) & pl.col("regime").is_not_null())


def _add_curves(
    frame: pl.DataFrame,
    species: NDArray[np.uint8],
    replicate: NDArray[np.int64],
    least: int,
    best: NDArray[np.float64],
    median: NDArray[np.float64],
) -> None:
    """Best and median of each generation, replicate, species and regime in a part; agents' species and replicate."""
    scored = frame.filter(pl.col("bars") >= least).select(
        "generation", "regime", "row", score=BP * pl.col("log_return").cast(pl.Float64) / pl.col("bars")
    )
    row = scored["row"].to_numpy()
    scored = scored.with_columns(species=pl.Series(species[row]), replicate=pl.Series(replicate[row]))
    found = (
        scored.filter(pl.col("species") != NOBODY)
        .group_by("replicate", "species", "regime", "generation")
        .agg(pl.col("score").max().alias("best"), pl.col("score").median().alias("median"))
    )
    where = tuple(found[name].to_numpy() for name in ("replicate", "species", "regime", "generation"))
    best[where], median[where] = found["best"].to_numpy(), found["median"].to_numpy()


def _validation(tried: list[pl.DataFrame]) -> pl.DataFrame:
    schema = {"generation": pl.UInt32, "regime": pl.UInt8, "row": pl.Int64, "bars": pl.UInt32}
    empty = pl.DataFrame(
        schema={
            **schema,
            "log_return": pl.Float32,
            "sharpe": pl.Float32,
            "max_drawdown": pl.Float32,
            "trades": pl.UInt32,
        }
    )
    return pl.concat([empty, *(frame.select(empty.columns) for frame in tried)])

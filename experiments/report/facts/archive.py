"""Who holds and who ever held a regime, from `archive`, as bits an agent."""

import dataclasses
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from arena.schemas import REGIME_NAMES
from experiments.report.facts.agents import Agents
from experiments.report.facts.sources import Sources

__all__ = ["Archive", "read_archive"]


@dataclasses.dataclass(frozen=True, eq=False)
class Archive:
    """The improvements of the archive.

    Attributes:
        table: `generation, regime` (index), `id, row, replicate, score`, in the order they were written; `row` is -1
            and `replicate` 0 for an agent whose birth is unknown.
        won: [rows] bit r: was the champion of regime r at some time.
        holds: [rows] bit r: is so now.
    """

    table: pl.DataFrame
    won: NDArray[np.uint8]
    holds: NDArray[np.uint8]

    @property
    def current(self) -> pl.DataFrame:
        """The rows of `table` about champions of now, by replicate and regime."""
        last = self.table.group_by("replicate", "regime", maintain_order=True).last()
        return last.sort("replicate", "regime").select(self.table.columns)


def read_archive(sources: Sources, agents: Agents | None) -> Archive:
    """Read `archive`; empty where there is none."""
    table = sources.frame("archive", ["generation", "regime", "id", "score"])
    regime = pl.col("regime").replace_strict(
        list(REGIME_NAMES), range(len(REGIME_NAMES)), default=None, return_dtype=pl.UInt8
    )
    table = table.with_columns(regime).drop_nulls()
    ids = table["id"].to_numpy()
    row = agents.rows_of(ids) if agents else np.full(len(ids), -1)
    _, islands = sources.replicates
    replicate = np.zeros(len(ids), np.uint32)
    if agents and sources.replicates[0] > 1:
        replicate[row >= 0] = agents.island[row[row >= 0]] // islands
    table = table.with_columns(row=pl.Series(row, dtype=pl.Int64), replicate=pl.Series(replicate))
    count = len(agents) if agents else 0
    archive = Archive(table, np.zeros(count, np.uint8), np.zeros(count, np.uint8))
    for rows, bits in ((table, archive.won), (archive.current, archive.holds)):
        _mark(rows, bits)
    return archive


def _mark(rows: pl.DataFrame, bits: NDArray[Any]) -> None:
    known = rows.filter(pl.col("row") >= 0)
    np.bitwise_or.at(bits, known["row"].to_numpy(), np.uint8(1) << known["regime"].to_numpy())

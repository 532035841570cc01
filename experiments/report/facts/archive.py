"""Who holds and who ever held a regime, from `archive`, as bits an agent."""

import dataclasses
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from arena.schemas import REGIME_NAMES
from experiments.report.facts.agents import Agents
from experiments.report.facts.sources import Sources
from experiments.runs.champions import holders, placed

__all__ = ["Archive", "placed_archive", "read_archive"]

_COLUMNS = ("generation", "fold", "regime", "id", "score")


@dataclasses.dataclass(frozen=True, eq=False)
class Archive:
    """The improvements of the archive.

    Attributes:
        table: `generation, fold, regime` (index), `id, score, replicate, row`, in the order they were written; `row` is
            -1 for an agent whose birth is unknown. Where there are several replicates, such agents are left out.
        won: [rows] bit r: was the champion of regime r at some time.
        holds: [rows] bit r: is so now.
    """

    table: pl.DataFrame
    won: NDArray[np.uint8]
    holds: NDArray[np.uint8]

    @property
    def current(self) -> pl.DataFrame:
        """The rows of `table` about champions of now, by replicate and regime."""
        return holders(self.table).sort("replicate", "regime").select(self.table.columns)


def placed_archive(sources: Sources) -> pl.DataFrame:
    """The rows of `archive` that can be used, with the `replicate` each is of; the run is told what is left out."""
    archive = sources.frame("archive", _COLUMNS)
    count, islands = sources.replicates
    births = sources.frame("births", ("id", "island")) if count > 1 else None
    table = placed(archive, births, islands)
    if lost := archive.height - table.height:
        rows = f"{lost:,} row{'' if lost == 1 else 's'}"
        why = f"The table archive has {rows} without a regime, an agent or a score, left out here."
        sources.problems["archive"]["archive.parquet", why] = None
    if lost := table.filter(pl.col("replicate").is_null())["id"].n_unique():
        births_of = "The birth of 1 agent" if lost == 1 else f"The births of {lost:,} agents"
        why = (
            f"{births_of} of the archive {'is' if lost == 1 else 'are'} not there, so the replicate is not known: what "
            "they won is left out, and may be shown with whoever held it before."
        )
        for part in ("standings", "curves", "champions"):
            sources.missing.add(part, "births.parquet", why)
    return table.drop_nulls("replicate")


def read_archive(sources: Sources, agents: Agents | None) -> Archive:
    """Read `archive`; empty where there is none."""
    regime = pl.col("regime").replace_strict(
        list(REGIME_NAMES), range(len(REGIME_NAMES)), default=None, return_dtype=pl.UInt8
    )
    table = placed_archive(sources).with_columns(regime)
    ids = table["id"].to_numpy()
    row = agents.rows_of(ids) if agents else np.full(len(ids), -1)
    table = table.with_columns(row=pl.Series(row, dtype=pl.Int64))
    count = len(agents) if agents else 0
    archive = Archive(table, np.zeros(count, np.uint8), np.zeros(count, np.uint8))
    for rows, bits in ((table, archive.won), (archive.current, archive.holds)):
        _mark(rows, bits)
    return archive


def _mark(rows: pl.DataFrame, bits: NDArray[Any]) -> None:
    known = rows.filter(pl.col("row") >= 0)
    np.bitwise_or.at(bits, known["row"].to_numpy(), np.uint8(1) << known["regime"].to_numpy())

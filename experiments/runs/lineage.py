"""Lineage: one row an agent, ancestors first, from the births and deaths a run recorded."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from arena.schemas import LINEAGE
from experiments.runs.directory import RunDirectory
from experiments.runs.files import write_table

__all__ = ["lineage", "write_lineage"]


def lineage(births: pl.DataFrame, deaths: pl.DataFrame) -> pl.DataFrame:
    """Who descends from whom.

    Ids count births, so an ancestor's id is always the smaller one and sorting by id puts ancestors first.

    Args:
        births: the table of that name.
        deaths: the table of that name.

    Returns:
        The `LINEAGE` table: a root is its own ancestor, a living agent has no `destruction_time`.
    """
    born = births.sort("id")
    ended = deaths.select("id", destruction_time="generation", cause="cause")
    parent = born["parent_id"].fill_null(pl.Series(born["id"])).to_numpy()
    table = born.join(ended, on="id", how="left", maintain_order="left").with_columns(
        ancestor_id=pl.Series(parent, dtype=pl.UInt64),
        origin_time="generation",
        depth=pl.Series(_depth(born["id"].to_numpy(), parent), dtype=pl.UInt32),
    )
    return table.select(pl.col(name).cast(kind) for name, kind in LINEAGE.items())


def write_lineage(run: RunDirectory) -> None:
    """Write `lineage.parquet` of a run, whole or not at all.

    Raises:
        UserError: a part of births or deaths is damaged.
        OSError: the disk is full, or the folder cannot be written.
    """
    write_table(run.lineage, lineage(run.read("births"), run.read("deaths")), scratch=run.root)


def _depth(ids: NDArray[np.uint64], parent: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Births between each agent and its founder, by doubling the reach of every pointer until all point at a root."""
    place = np.searchsorted(ids, parent)
    depth: NDArray[np.uint32] = (place != np.arange(len(ids))).astype(np.uint32)
    while True:
        further = place[place]
        if np.array_equal(further, place):
            return depth
        depth = depth + depth[place]
        place = further

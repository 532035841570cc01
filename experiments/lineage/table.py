"""The lineage table: one row an agent, ancestors first, from the births and deaths a run recorded."""

import numpy as np
import polars as pl

from arena.schemas import LINEAGE
from experiments.lineage.passes import blocks_of, path_sums
from markets.errors import UserError

__all__ = ["lineage"]


def lineage(births: pl.DataFrame, deaths: pl.DataFrame) -> pl.DataFrame:
    """Who descends from whom.

    Ids count births, so an ancestor's id is always the smaller one and sorting by id puts ancestors first.

    Args:
        births: the table of that name.
        deaths: the table of that name.

    Returns:
        The `LINEAGE` table: a root is its own ancestor, a living agent has no `destruction_time`.

    Raises:
        UserError: an agent dies twice.
    """
    twice = deaths.filter(pl.col("id").is_duplicated())["id"]
    if len(twice):
        raise UserError(f"lineage: agent {twice[0]} dies twice; whoever is dead stays dead")
    born = births.sort("id")
    ended = deaths.select("id", destruction_time="generation", cause="cause")
    parent = born["parent_id"].fill_null(pl.Series(born["id"])).to_numpy()
    place = np.searchsorted(born["id"].to_numpy(), parent)
    child = (place != np.arange(len(place))).astype(np.uint32)
    table = born.join(ended, on="id", how="left", maintain_order="left").with_columns(
        ancestor_id=pl.Series(parent, dtype=pl.UInt64),
        origin_time="generation",
        depth=pl.Series(path_sums(place, child, blocks_of(place)), dtype=pl.UInt32),
    )
    return table.select(pl.col(name).cast(kind) for name, kind in LINEAGE.items())

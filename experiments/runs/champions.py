"""The champions of a run: who holds which regime of which replicate, with what score and since when, by its records.

Where a run has several folds each of them has champions of its own; those of the run are those of its last.
"""

import polars as pl

from arena.schemas import REGIME_NAMES
from experiments.runs.directory import RunDirectory

__all__ = ["best_scores", "fold_reached", "holders", "placed", "replicates"]


def best_scores(directory: RunDirectory, fold: int | None = None) -> dict[tuple[str, int], tuple[float, int]]:
    """Score (log return a bar on validation) and id of each champion, by regime and replicate (0 is the first).

    Args:
        directory: of the run.
        fold: whose champions; the last that has any where none is named.

    Raises:
        UserError: a part of the archive is damaged.
    """
    count, islands = replicates(directory)
    births = directory.read("births") if count > 1 else None
    held = holders(placed(directory.read("archive"), births, islands), fold)
    rows = {(row["regime"], row["replicate"]): (row["score"], row["id"]) for row in held.iter_rows(named=True)}
    order = {regime: place for place, regime in enumerate(REGIME_NAMES)}
    return dict(sorted(rows.items(), key=lambda item: (order[item[0][0]], item[0][1])))


def fold_reached(directory: RunDirectory) -> int:
    """The last fold of a run that has champions; 0 where there are none.

    Raises:
        UserError: a part of the archive is damaged.
    """
    return _last(placed(directory.read("archive"), None, 1))


def placed(archive: pl.DataFrame, births: pl.DataFrame | None, islands: int) -> pl.DataFrame:
    """The rows of `archive` that say what they should, with the `replicate` each is of.

    Args:
        archive: the table, in the order it was written.
        births: `id, island`; None where there is one replicate.
        islands: of a replicate.

    Returns:
        Rows with a known regime and a finite score, and `replicate` from 0, null for agents whose birth is not there.
    """
    whole = pl.col("regime").is_in(REGIME_NAMES) & pl.col("score").is_finite()
    archive = archive.filter(whole, pl.all_horizontal(pl.col("generation", "id").is_not_null()))
    if births is None:
        return archive.with_columns(replicate=pl.lit(0, pl.UInt32))
    born = births.select("id", replicate=(pl.col("island") // islands).cast(pl.UInt32)).unique("id", keep="first")
    # Nobody leaves the replicate they are born in.
    return archive.join(born, on="id", how="left", maintain_order="left")


def holders(table: pl.DataFrame, fold: int | None = None) -> pl.DataFrame:
    """Who holds what now: the last row of each replicate and regime, those of no known replicate left out.

    Args:
        table: of `placed`; further columns come along.
        fold: who held what at the end of it; the last that has rows where none is named.

    Returns:
        In the order of first rows, with `since`: the generation since which it is held without a break.
    """
    reign = pl.col("generation").filter(pl.col("id").rle_id() == pl.col("id").rle_id().max())
    table = table.filter(pl.col("fold").fill_null(0) == (_last(table) if fold is None else fold))
    known = table.drop_nulls("replicate").group_by("replicate", "regime", maintain_order=True)
    return known.agg(pl.all().last(), since=reign.first())


def _last(table: pl.DataFrame) -> int:
    """The last fold that has rows; one that is not on record is the first."""
    return int(str(table["fold"].fill_null(0).max())) if len(table) else 0


def replicates(directory: RunDirectory) -> tuple[int, int]:
    """How many replicates a run has, and how many islands each of them."""
    evolution = directory.read_config().get("evolution")
    known = evolution if isinstance(evolution, dict) else {}
    found = [known.get(key, 1) for key in ("replicates", "islands")]
    count, islands = (value if isinstance(value, int) and value > 0 else 1 for value in found)
    return count, islands

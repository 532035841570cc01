"""The champions of a run: their scores, by regime and replicate, read from its records."""

import polars as pl

from arena.schemas import REGIME_NAMES
from experiments.runs.directory import RunDirectory

__all__ = ["best_scores", "replicates"]


def best_scores(directory: RunDirectory) -> dict[tuple[str, int], tuple[float, int]]:
    """Score (log return a bar on validation) and id of each champion, by regime and replicate (0 is the first).

    Raises:
        UserError: a part of the archive is damaged.
    """
    count, islands = replicates(directory)
    archive = directory.read("archive").with_columns(replicate=pl.lit(0, pl.UInt32))
    if count > 1:  # an agent never leaves the replicate it was born in
        born = directory.read("births").select("id", replicate=pl.col("island") // islands)
        archive = archive.drop("replicate").join(born, on="id", how="left", maintain_order="left")
    last = archive.group_by("regime", "replicate", maintain_order=True).last()
    rows = {(row["regime"], row["replicate"]): (row["score"], row["id"]) for row in last.iter_rows(named=True)}
    order = {regime: place for place, regime in enumerate(REGIME_NAMES)}
    return dict(sorted(rows.items(), key=lambda item: (order[item[0][0]], item[0][1])))


def replicates(directory: RunDirectory) -> tuple[int, int]:
    """How many replicates a run has, and how many islands each of them."""
    evolution = directory.read_config().get("evolution")
    known = evolution if isinstance(evolution, dict) else {}
    found = [known.get(key, 1) for key in ("replicates", "islands")]
    count, islands = (value if isinstance(value, int) and value > 0 else 1 for value in found)
    return count, islands

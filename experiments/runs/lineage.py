"""Lineage of a run: its table of who descends from whom, written beside what it was made from."""

import polars as pl

from experiments.lineage.origins import named
from experiments.lineage.table import lineage
from experiments.runs.directory import RunDirectory
from experiments.runs.files import write_table
from experiments.runs.origins import read_origins, write_origins
from markets.errors import UserError

__all__ = ["read_lineage", "write_lineage"]


def read_lineage(run: RunDirectory) -> pl.DataFrame:
    """The lineage of a run as far as it is on record; the run may be going on.

    Births and deaths are written one after the other, and a run may be killed in between, or write while they are read.
    Whoever dies in generation g is replaced by one born in g + 1, so where one table is ahead of the other its last
    generations are left out. A run that bundles founded has two columns more: see `experiments.lineage.origins.named`.

    Raises:
        UserError: a part of births or deaths is damaged, deaths are not there where they must be, or are there twice.
    """
    births, deaths = run.read("births"), run.read("deaths")
    born, died = (int(str(-1 if table.is_empty() else table["generation"].max())) for table in (births, deaths))
    if born > 0 and died < 0:
        raise UserError(run.lost(run.table("deaths"), f"it is empty, but agents were born up to generation {born}"))
    last = min(born - 1, died)
    try:
        table = lineage(births.filter(pl.col("generation") <= last + 1), deaths.filter(pl.col("generation") <= last))
    except UserError as error:
        raise UserError(run.lost(run.table("deaths"), str(error).removeprefix("lineage: "))) from None
    origins = read_origins(run)
    return table if origins.is_empty() else named(table, origins)


def write_lineage(run: RunDirectory) -> None:
    """Write `lineage.parquet` of a run, whole or not at all, and `origins.parquet` where it should be there and is not.

    Raises:
        UserError: a part of births or deaths is damaged.
        OSError: the disk is full, or the folder cannot be written.
    """
    if not run.origins.exists():
        write_origins(run)
    write_table(run.lineage, read_lineage(run), scratch=run.root)

"""Lineage of a run: its table of who descends from whom, written beside what it was made from."""

from experiments.lineage.table import lineage
from experiments.runs.directory import RunDirectory
from experiments.runs.files import write_table

__all__ = ["write_lineage"]


def write_lineage(run: RunDirectory) -> None:
    """Write `lineage.parquet` of a run, whole or not at all.

    Raises:
        UserError: a part of births or deaths is damaged.
        OSError: the disk is full, or the folder cannot be written.
    """
    write_table(run.lineage, lineage(run.read("births"), run.read("deaths")), scratch=run.root)

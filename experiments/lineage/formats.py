"""What a lineage can be written as: one name a format, how it is written, and how a file of it begins."""

import contextlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import polars as pl

from arena.schemas import LINEAGE
from experiments.lineage.alife import write_alife
from experiments.lineage.graphml import write_graphml
from experiments.lineage.newick import write_newick
from experiments.lineage.tree import Tree

__all__ = ["FORMATS", "Format", "is_of"]

_NOTES = ("species", "island", "operator", "cause", "mutation_strength")
_HEAD = 1 << 16  # bytes of a file that tell what it is


class Format(NamedTuple):
    """One format.

    Attributes:
        title: what people call it.
        begins: what a file of it begins with.
        both: whether it is a graph, with both parents, unless told otherwise.
        write: writes a lineage and its tree, in the same order of rows, to a file; `both` says whether second parents
            are parents like the first, `notes` whether what is known of agents is noted in comments.
    """

    title: str
    begins: "re.Pattern[bytes]"
    both: bool
    write: "Callable[[Tree, pl.DataFrame, Path, bool, bool], None]"


def is_of(form: Format, path: Path) -> bool:
    """Whether a file may be of a format, or is empty.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head or not form.begins.match(head):
        return not head
    with contextlib.suppress(pl.exceptions.PolarsError):
        return form is not FORMATS["parquet"] or "ancestor_id" in pl.read_parquet_schema(path)
    return False


def _alife(tree: Tree, table: pl.DataFrame, path: Path, both: bool, notes: bool) -> None:
    del tree, notes
    write_alife(table, path, both=both)


def _newick(tree: Tree, table: pl.DataFrame, path: Path, both: bool, notes: bool) -> None:
    del both
    labels = table["taxon_label"] if "taxon_label" in table.columns else None
    write_newick(tree, path, labels=labels, notes=table.select(_NOTES) if notes else None)


def _graphml(tree: Tree, table: pl.DataFrame, path: Path, both: bool, notes: bool) -> None:
    del tree, notes
    write_graphml(table if both else table.with_columns(second_parent_id=pl.lit(None, pl.UInt64)), path)


def _parquet(tree: Tree, table: pl.DataFrame, path: Path, both: bool, notes: bool) -> None:
    del tree, both, notes
    further: list[str] = [name for name in ("origin_run_id", "origin_id") if name in table.columns]
    if "taxon_label" in table.columns and (table["taxon_label"] != table["id"].cast(pl.String)).any():
        further.append("taxon_label")
    table.select(*LINEAGE, *further).write_parquet(path, compression="zstd")


FORMATS: Mapping[str, Format] = {
    "alife": Format("CSV of the ALife data standard", re.compile(rb"[^\n]*\bancestor_list\b"), False, _alife),
    "newick": Format("Newick", re.compile(rb"\s*[(']|[^\n<,]*;\s*$"), False, _newick),
    "graphml": Format("GraphML", re.compile(rb"\s*<\?xml[^\0]*<graphml", re.DOTALL), True, _graphml),
    "parquet": Format("Parquet", re.compile(rb"PAR1"), False, _parquet),
}
"""Formats by the name that `arena lineage --format` knows them by."""

"""The ALife data standard for phylogenies: the CSV that tools of artificial life write and read, out and in.

One row a taxon (here an agent): `id`, `ancestor_list` (`[none]`, `[3]`, `[3,8]`), `origin_time` and `destruction_time`
(`inf` for the living); further columns are whatever a tool likes. The standard has room for several ancestors, but most
of its tools, phylotrackpy among them, know one and refuse a file with more. So the list holds the first parent unless
both are asked for, and the second has a column of its own, which is read back.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from arena.schemas import LINEAGE
from experiments.lineage.tree import Tree, depth, tree_of
from markets.errors import UserError

__all__ = ["ALIFE_COLUMNS", "read_alife", "write_alife"]

ALIFE_COLUMNS = ("id", "ancestor_list", "origin_time", "destruction_time")
"""What the standard asks for or has a name for; the columns after them are ours."""

_OURS = ("taxon_label", "species", "island", "operator", "depth", "second_parent_id", "cause", "mutation_strength")
_LIVING = ("", "inf", "+inf", "infinity", "+infinity", "none", "nan", "null")
_NONE = ("", "none", "null", "nan")
_ROWS = 1 << 20  # written at a time
_LAST = 2**32 - 1  # generations and islands are UInt32
_RIGHT = "right is a table of the ALife data standard: id, ancestor_list, origin_time, destruction_time"


def write_alife(table: pl.DataFrame, path: Path, *, both: bool = False) -> None:
    """Write a lineage as CSV of the ALife data standard.

    Columns of ours that hold nothing are left out. `taxon_label` is the id, unless the table has labels of its own.

    Args:
        table: of `LINEAGE`, perhaps with `taxon_label`.
        path: the file.
        both: whether the ancestor list holds second parents too, where they are in the table; phylotrackpy reads no
            such file.

    Raises:
        OSError: the disk is full, or the file cannot be written.
    """
    ours = [name for name in _OURS if name not in table.columns or table[name].null_count() < table.height]
    if "taxon_label" not in table.columns:
        table = table.with_columns(taxon_label=pl.col("id").cast(pl.String))
    first = pl.col("ancestor_id").cast(pl.String)
    listed = pl.concat_str(pl.lit("["), first, pl.lit("]"))
    if both:
        second = pl.col("second_parent_id")
        pair = pl.concat_str(pl.lit("["), first, pl.lit(","), second.cast(pl.String), pl.lit("]"))
        there = second.is_in(table["id"].implode()) & (second != pl.col("ancestor_id"))
        listed = pl.when(there).then(pair).otherwise(listed)
    root = pl.col("ancestor_id") == pl.col("id")
    columns: tuple[pl.Expr | str, ...] = (
        pl.col("id"),
        pl.when(root).then(pl.lit("[none]")).otherwise(listed).alias("ancestor_list"),
        pl.col("origin_time"),
        pl.col("destruction_time").cast(pl.String).fill_null("inf"),
        *ours,
    )
    with path.open("wb") as file:
        for start in range(0, max(table.height, 1), _ROWS):
            rows = table.slice(start, _ROWS).select(columns)
            file.write(rows.write_csv(include_header=not start).encode())


def read_alife(path: Path, tell: Callable[[str], object] | None = None) -> pl.DataFrame:
    """Read a phylogeny that any tool wrote to the ALife data standard.

    Rows may be in any order, ids need not be dense, `ancestor_list` may be `[none]`, `['none']`, `[NONE]`, `[]` or have
    one or two ancestors, and the living may have `inf`, `none` or nothing as their time of destruction. Where
    `origin_time` is missing, the longest line from a root stands for it; where `destruction_time` is, whoever has no
    child lives, and the others died when their last child was born. Columns of ours are taken where they hold what
    they do with us; others are ignored.

    Args:
        path: the file.
        tell: is told in one line what the file leaves out, and what stands for it.

    Returns:
        The `LINEAGE` table, ancestors first; null where the file says nothing. It has a further column `taxon_label`
        where the file has one.

    Raises:
        UserError: no such table; the file and the row are named.
    """
    text, say = _read(path), tell or (lambda _: None)
    table = pl.DataFrame({"id": _numbers(text, "id", path, "is no id; right is a whole number, each once")})
    if wrong := _first(table["id"].is_duplicated() & ~table["id"].is_first_distinct()):
        raise _wrong(path, wrong, f"agent {table['id'][wrong - 1]} stands in an earlier row too; right is each once")
    table = _with_parents(table, text, path)
    born = "origin_time" in text.columns
    died = "destruction_time" in text.columns
    table = table.with_columns(origin_time=_times(text, "origin_time", path) if born else pl.lit(0, pl.UInt32))
    living = pl.lit(None, pl.UInt32)
    table = table.with_columns(destruction_time=_times(text, "destruction_time", path) if died else living)
    _check_times(table, path)
    table = table.with_columns(*_ours(text))
    try:
        tree = tree_of(table)
    except UserError as error:  # a circle of ancestors; all that belongs to one row has been looked at
        raise UserError(f"{path}: {str(error).removeprefix('lineage: ')}") from None
    table = table[_places(table["id"].to_numpy(), tree.id)]
    levels = _levels(tree) if not born or not died else None
    if levels is not None and not born:
        say("origin_time is missing: births from the founder on, along the longest line, stand for it")
        table = table.with_columns(origin_time=pl.Series(levels, dtype=pl.UInt32))
    if not died:
        say("destruction_time is missing: who has no child is taken to live, others to die at their last child's birth")
        table = table.with_columns(destruction_time=_last_births(tree, table["origin_time"].to_numpy()))
    labels = [name for name in ("taxon_label",) if name in table.columns]
    table = table.with_columns(depth=pl.Series(depth(tree)))
    return table.select(*(pl.col(name).cast(kind) for name, kind in LINEAGE.items()), *labels)


def _read(path: Path) -> pl.DataFrame:
    """The columns that mean something here, as text, null where empty."""
    if not path.is_file():
        raise UserError(f"{path}: is no regular file; {_RIGHT}")
    try:
        head = pl.read_csv(path, infer_schema=False, n_rows=0).columns
        named = {name.strip(): name for name in reversed(head)}  # of two that differ in blanks the first
        names = {given: name for name, given in named.items() if name in (*ALIFE_COLUMNS, *_OURS)}
        text = pl.read_csv(path, infer_schema=False, columns=[*names]).rename(names)
    except pl.exceptions.NoDataError:
        raise UserError(f"{path}: is empty; {_RIGHT}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    except pl.exceptions.PolarsError as error:
        raise UserError(f"{path}: cannot be read as CSV ({str(error).splitlines()[0]}); {_RIGHT}") from None
    if not "".join(head).isprintable():
        raise UserError(f"{path}: is no text; {_RIGHT}")
    for name in ("id", "ancestor_list"):
        if name not in text.columns:
            raise UserError(f"{path}: has no column {name}, but {', '.join(head)}; {_RIGHT}")
    said = text.select(pl.any_horizontal(pl.all().is_not_null())).to_series().arg_true()
    text = text.head(0 if said.is_empty() else int(said[-1]) + 1)  # blank lines may follow
    if not text.height:
        raise UserError(f"{path}: has no rows; {_RIGHT}")
    return text


def _numbers(text: pl.DataFrame, name: str, path: Path, why: str) -> pl.Series:
    numbers = text[name].str.strip_chars().cast(pl.UInt64, strict=False)
    if wrong := _first(numbers.is_null()):
        raise _wrong(path, wrong, f"{name} {text[name][wrong - 1] or ''!r} {why}")
    return numbers


def _with_parents(table: pl.DataFrame, text: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Add `ancestor_id` and `second_parent_id`."""
    bare = text["ancestor_list"].fill_null("").str.replace_all(r"[\[\]\s'\"]", "")
    cells = bare.str.split_exact(",", 2).struct.unnest()
    own, listed = table["id"], []
    for place in range(2):
        cell = cells[f"field_{place}"].fill_null("")
        none = cell.str.to_lowercase().is_in(_NONE)
        number = cell.cast(pl.UInt64, strict=False)
        unknown = number.is_not_null() & ~number.is_in(own.implode())
        for wrong, why in (
            (_first(~none & number.is_null()), "is no list of ancestors; right is [none], [3] or [3,8]"),
            (_first(unknown), "names an agent that has no row; right is ancestors that are in the file"),
        ):
            if wrong:
                raise _wrong(path, wrong, f"ancestor_list {text['ancestor_list'][wrong - 1] or ''!r} {why}")
        listed.append(number)
    if wrong := _first(cells["field_2"].is_not_null()):
        named = text["ancestor_list"][wrong - 1]
        raise _wrong(path, wrong, f"ancestor_list {named!r} names more than two; right is one parent or two")
    first, second = listed[0].fill_null(own), listed[1]
    if "second_parent_id" in text.columns:  # as we write it, with the first parent alone in the list
        second = second.fill_null(text["second_parent_id"].str.strip_chars().cast(pl.UInt64, strict=False))
    return table.with_columns(ancestor_id=first, second_parent_id=second)


def _times(text: pl.DataFrame, name: str, path: Path) -> pl.Series:
    """Generations, which tools may write as 3 or as 3.0; null for the living."""
    cells = text[name].fill_null("").str.strip_chars()
    numbers = cells.cast(pl.Float64, strict=False)
    none = cells.str.to_lowercase().is_in(_LIVING if name == "destruction_time" else ())
    whole = (numbers == numbers.floor()) & numbers.is_between(0, _LAST)
    wrong = _first(~(none | whole.fill_null(value=False)))
    if wrong:
        right = "a whole number of generations, at least 0" + (", or inf" if name == "destruction_time" else "")
        raise _wrong(path, wrong, f"{name} {text[name][wrong - 1] or ''!r} is no time; right is {right}")
    return pl.select(pl.when(~none).then(numbers).cast(pl.UInt32)).to_series()


def _check_times(table: pl.DataFrame, path: Path) -> None:
    """Nobody is born before a parent, or dies before its birth."""
    births = table.select(parent="id", of_parent="origin_time")
    for name, what in (("ancestor_id", "its ancestor"), ("second_parent_id", "its second ancestor")):
        rows = table.select("origin_time", parent=name).join(births, on="parent", how="left", maintain_order="left")
        if wrong := _first((rows["origin_time"] < rows["of_parent"]).fill_null(value=False)):
            born, before = rows["origin_time"][wrong - 1], rows["of_parent"][wrong - 1]
            said = f"origin_time {born} is before that of {what}, {before}; right is the same or later"
            raise _wrong(path, wrong, said)
    if wrong := _first((table["destruction_time"] < table["origin_time"]).fill_null(value=False)):
        row = table.row(wrong - 1, named=True)
        said = f"destruction_time {row['destruction_time']} is before origin_time {row['origin_time']}"
        raise _wrong(path, wrong, f"{said}; right is the same or later")


def _ours(text: pl.DataFrame) -> list[pl.Series]:
    """Our further columns; null where the file has none, or one of that name that holds something else."""
    made = []
    for name in ("species", "island", "operator", "cause", "mutation_strength"):
        cells = text[name] if name in text.columns else pl.Series(name, [None] * text.height, dtype=pl.String)
        cast = cells.cast(LINEAGE[name], strict=False)
        made.append(cast if cast.null_count() == cells.null_count() else cast.clear(text.height))
    if "taxon_label" in text.columns:
        made.append(text["taxon_label"])
    return made


def _levels(tree: Tree) -> NDArray[np.int64]:
    """[rows] births on the longest line from a root, over both parents."""
    if not (tree.second >= 0).any():
        return depth(tree).astype(np.int64)
    levels: list[int] = []
    for row, (first, second) in enumerate(zip(tree.parent.tolist(), tree.second.tolist(), strict=True)):
        above = [levels[parent] for parent in (first, second) if 0 <= parent < row]
        levels.append(max(above, default=-1) + 1)
    return np.array(levels, np.int64)


def _last_births(tree: Tree, born: NDArray[np.uint32]) -> pl.Series:
    """[rows] when each row's last child was born, over both parents; null without one."""
    last = np.full(len(tree), -1, np.int64)
    for parent in (tree.parent, tree.second):
        child = (parent >= 0) & (parent != tree.rows)
        np.maximum.at(last, parent[child], born[child].astype(np.int64))
    numbers = pl.Series(last)
    return pl.select(pl.when(numbers >= 0).then(numbers).cast(pl.UInt32)).to_series()


def _places(ids: NDArray[np.uint64], wanted: NDArray[np.uint64]) -> NDArray[np.int64]:
    order = np.argsort(ids, kind="stable")
    places: NDArray[np.int64] = order[np.searchsorted(ids[order], wanted)]
    return places


def _first(wrong: pl.Series) -> int:
    """The first row that is wrong, counted from 1; 0 where none is."""
    at = wrong.arg_max() if wrong.any() else None
    return 0 if at is None else at + 1


def _wrong(path: Path, row: int, what: str) -> UserError:
    """A mistake in a row, which is counted as an editor does, the header first."""
    return UserError(f"{path}: row {row + 1}: {what}")

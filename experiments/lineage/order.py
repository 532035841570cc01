"""From a table to rows in order: what can be wrong with a table of descent, and how its ancestors come to lie first."""

import heapq
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from markets.errors import UserError

__all__ = ["Agents", "checked", "ordered"]

Rows = NDArray[np.signedinteger[Any]]
Ids = NDArray[np.uint64]
Agents = tuple[Ids, Rows, Rows, NDArray[np.int64], NDArray[np.int64]]
"""Id, row of the first parent, row of the second or -1, generation of birth, of death or -1."""

_COLUMNS = {
    "id": pl.UInt64,
    "ancestor_id": pl.UInt64,
    "second_parent_id": pl.UInt64,
    "origin_time": pl.Int64,
    "destruction_time": pl.Int64,
}
_OPTIONAL = ("second_parent_id", "destruction_time")
_DENSE = 4  # ids below that many times the rows are looked up in a table of places


def checked(table: pl.DataFrame) -> Agents:
    """Columns of a lineage table, with parents as rows of the same table, in the table's order.

    Raises:
        UserError: see `experiments.lineage.tree.tree_of`.
    """
    columns = {name: _column(table, name) for name in _COLUMNS}
    ids, born = columns["id"].to_numpy(), columns["origin_time"].to_numpy()
    died = columns["destruction_time"].fill_null(-1).to_numpy()
    place = _places(ids)
    parent, second = place(columns["ancestor_id"]), place(columns["second_parent_id"])
    named = columns["ancestor_id"]
    _refuse(born < 0, ids, lambda at: f"is born in generation {born[at]}; generations count from 0")
    _refuse(parent < 0, ids, lambda at: f"descends from {named[at]}, which is not there; a root is its own ancestor")
    _refuse(born < born[parent], ids, lambda at: f"is older than its ancestor {named[at]}, or one of them is misdated")
    rows = np.arange(len(ids), dtype=parent.dtype)
    _refuse(second == rows, ids, "is its own second parent")
    late = (second >= 0) & (born < born[second])
    _refuse(late, ids, lambda at: f"is older than its second parent {ids[second[at]]}, or one of them is misdated")
    ended = columns["destruction_time"].is_not_null().to_numpy()
    _refuse(ended & (died < born), ids, lambda at: f"dies in {died[at]}, before its birth in {born[at]}")
    return ids, parent, second, born, died


def ordered(ids: Ids, parent: Rows, second: Rows, born: NDArray[np.int64], died: NDArray[np.int64]) -> Agents:
    """The same agents sorted by birth, then id, ancestors first.

    Raises:
        UserError: agents descend from themselves, all born in the same generation.
    """
    rows = np.arange(len(ids), dtype=parent.dtype)
    later = np.diff(born)
    if not ((later > 0) | ((later == 0) & (ids[1:] > ids[:-1]))).all():
        ids, parent, second, born, died = _arranged(np.lexsort((ids, born)), ids, parent, second, born, died)
    if (parent > rows).any() or (second >= rows).any():
        ids, parent, second, born, died = _arranged(
            _ancestors_first(ids, parent, second), ids, parent, second, born, died
        )
    return ids, parent, second, born, died


def _column(table: pl.DataFrame, name: str) -> pl.Series:
    """One column with its type, whose missing values are allowed or refused."""
    if name not in table.columns:
        raise UserError(f"lineage: no column {name}; there are {', '.join(table.columns) or 'none'}")
    given = table[name]
    try:
        column = given.cast(_COLUMNS[name])
        broken = given.dtype.is_float() and bool((given != column).any())
    except pl.exceptions.PolarsError:
        broken = True
    if broken:
        raise UserError(f"lineage: {name} holds what is no whole number of the kind {_COLUMNS[name]}")
    if name not in _OPTIONAL and column.null_count():
        raise UserError(f"lineage: row {column.is_null().arg_max()} has no {name}")
    return column


def _places(ids: Ids) -> Callable[[pl.Series], Rows]:
    """What finds the rows of named ids; -1 where the name is missing or nobody's.

    Raises:
        UserError: an id is there twice.
    """
    kind = np.int32 if len(ids) < 2**31 else np.int64
    rows = np.arange(len(ids), dtype=kind)
    dense = len(ids) == 0 or int(ids.max()) < _DENSE * len(ids) + 1024
    if dense:
        table = np.full(int(ids.max()) + 1 if len(ids) else 1, -1, kind)
        table[ids] = rows
        twice = table[ids] != rows
    else:
        order = np.argsort(ids, kind="stable")
        known = ids[order]
        twice = np.zeros(len(ids), np.bool_)
        twice[order[:-1]] = known[1:] == known[:-1]
    _refuse(twice, ids, "is there twice")

    def place(names: pl.Series) -> Rows:
        wanted = names.fill_null(0).to_numpy()
        if dense:
            at = np.minimum(wanted, np.uint64(len(table) - 1))
            found = np.where(at == wanted, table[at], kind(-1))
        else:
            nearest = np.minimum(np.searchsorted(known, wanted), len(ids) - 1)
            found = np.where(known[nearest] == wanted, rows[order[nearest]], kind(-1))
        return np.where(names.is_null().to_numpy(), kind(-1), found) if names.null_count() else found

    return place


def _refuse(wrong: NDArray[np.bool_], ids: Ids, what: str | Callable[[int], str]) -> None:
    if wrong.any():
        at = int(wrong.argmax())
        raise UserError(f"lineage: agent {ids[at]} {what if isinstance(what, str) else what(at)}")


def _arranged(
    order: NDArray[np.int64],
    ids: Ids,
    parent: Rows,
    second: Rows,
    born: NDArray[np.int64],
    died: NDArray[np.int64],
) -> Agents:
    """The agents in another order of rows."""
    place = np.empty_like(parent)
    place[order] = np.arange(len(order), dtype=parent.dtype)
    above = second[order]
    found = np.where(above >= 0, place[above], above) if len(order) else above
    return ids[order], place[parent[order]], found, born[order], died[order]


def _ancestors_first(ids: Ids, parent: Rows, second: Rows) -> NDArray[np.int64]:
    """An order in which parents of either kind come first, else as they lie; row by row, for tables of another make.

    Raises:
        UserError: there is none.
    """
    rows = np.arange(len(ids))
    children: list[list[int]] = [[] for _ in rows]
    waiting = [0] * len(ids)
    for above, below in ((parent, np.flatnonzero(parent != rows)), (second, np.flatnonzero(second >= 0))):
        for child in below.tolist():
            children[above[child]].append(child)
            waiting[child] += 1
    ready = [row for row in rows.tolist() if not waiting[row]]  # sorted, so it is a heap
    order = []
    while ready:
        row = heapq.heappop(ready)
        order.append(row)
        for child in children[row]:
            waiting[child] -= 1
            if not waiting[child]:
                heapq.heappush(ready, child)
    _refuse(np.array(waiting) > 0, ids, "descends from itself, or from one that does")
    return np.array(order, np.int64)

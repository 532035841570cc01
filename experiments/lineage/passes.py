"""The passes that every question about a tree is made of: sums down from the roots, sums and maxima up from the leaves.

A parent lies before its children, so one walk over the rows gives either. A walk row by row is slow in Python, and one
over the levels of the tree needs them sorted; here rows are taken in blocks instead, as they lie: a block is a run of
rows none of which is the parent of another, in a run of the arena a generation or more. Within a block everything is
one array operation. Where blocks would be short, as in a chain, where each is one row, the rows are walked after all,
over plain lists. Either way the work is linear in rows.
"""

import itertools
import operator
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Blocks", "blocks_of", "path_sums", "subtree_maxima", "subtree_sums"]

Number = TypeVar("Number", bound=np.generic)
Blocks = list[int] | None
"""Where blocks begin, and at last the number of rows; None where they would be too short to be worth it."""

_SHORT = 32
"""Rows of a block on average, below which walking the rows costs less than the array operations of a block."""
_SPARE = 1024
"""Blocks that are too few for the question to matter."""


def blocks_of(parent: NDArray[np.integer[Any]]) -> Blocks:
    """Cut rows into runs none of which holds a row together with its parent.

    Args:
        parent: [rows] the row of each row's parent, which lies before it; a root's own row.
    """
    rows = len(parent)
    own = np.arange(rows, dtype=parent.dtype)
    # The nearest parent of all rows so far; where it enters a block, that block has to end.
    nearest = np.maximum.accumulate(np.where(parent == own, -1, parent)) if rows else own
    starts = [0]
    while starts[-1] < rows:
        starts.append(int(nearest.searchsorted(nearest.dtype.type(starts[-1]))))
        if len(starts) > _SPARE + rows // _SHORT:
            return None
    return starts


def path_sums(parent: NDArray[np.integer[Any]], values: NDArray[Number], blocks: Blocks) -> NDArray[Number]:
    """For each row the sum of values over the path from its root down to it, both counted.

    Args:
        parent: [rows] as in `blocks_of`.
        values: [rows] a number a row.
        blocks: what `blocks_of` says of `parent`.

    Returns:
        [rows], of the type of `values`.
    """
    if blocks is None:
        return _walk_down(parent, values)
    total = values.copy()
    for first, end in itertools.pairwise(blocks):
        above = parent[first:end]
        gained = total[above]
        gained[above >= first] = 0  # a root is its own parent
        np.add(total[first:end], gained, out=total[first:end])
    return total


def subtree_sums(parent: NDArray[np.integer[Any]], values: NDArray[Number], blocks: Blocks) -> NDArray[Number]:
    """For each row the sum of values over the row and all that descends from it.

    Args:
        parent: [rows] as in `blocks_of`.
        values: [rows] a number a row.
        blocks: what `blocks_of` says of `parent`.

    Returns:
        [rows], of the type of `values`.
    """
    return _walk_up(parent, values, operator.add) if blocks is None else _up(parent, values, blocks, np.add)


def subtree_maxima(parent: NDArray[np.integer[Any]], values: NDArray[Number], blocks: Blocks) -> NDArray[Number]:
    """For each row the largest value of the row and all that descends from it; else as `subtree_sums`."""
    return _walk_up(parent, values, max) if blocks is None else _up(parent, values, blocks, np.maximum)


def _up(
    parent: NDArray[np.integer[Any]], values: NDArray[Number], blocks: list[int], join: np.ufunc
) -> NDArray[Number]:
    """From each row to its parent, block by block."""
    total = values.copy()
    for first, end in zip(blocks[-2:0:-1], blocks[:1:-1], strict=True):
        above, given = parent[first:end], total[first:end]
        inside = above < first
        if not inside.all():  # roots, which are their own parents
            above, given = above[inside], given[inside]
        join.at(total[:first], above, given)  # apart from `given`, so that nothing is copied
    return total


def _walk_down(parent: NDArray[np.integer[Any]], values: NDArray[Number]) -> NDArray[Number]:
    """`path_sums`, row by row."""
    total = values.tolist()
    for row, above in enumerate(parent.tolist()):
        if above != row:
            total[row] += total[above]
    return np.array(total, values.dtype)


def _walk_up(
    parent: NDArray[np.integer[Any]], values: NDArray[Number], join: Callable[[Any, Any], Any]
) -> NDArray[Number]:
    """From each row to its parent, row by row."""
    total, above = values.tolist(), parent.tolist()
    for row in range(len(total) - 1, -1, -1):
        if above[row] != row:
            total[above[row]] = join(total[above[row]], total[row])
    return np.array(total, values.dtype)

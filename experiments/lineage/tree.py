"""A tree of descent as arrays: one row an agent, ancestors first, and what can be asked of it in one or two passes.

The tree follows first parents, so every agent has one line up to a founder; second parents are kept beside it. Every
answer is computed for all rows at once, in time linear in rows: see `experiments.lineage.passes`.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from experiments.lineage.order import checked, ordered
from experiments.lineage.passes import Blocks, blocks_of, path_sums, subtree_maxima, subtree_sums

__all__ = [
    "Tree",
    "alive",
    "ancestors",
    "branch_lengths",
    "children",
    "depth",
    "descendants",
    "extant",
    "kept",
    "ladder",
    "mrca",
    "root",
    "take",
    "tree_of",
]

Rows = NDArray[np.signedinteger[Any]]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Tree:
    """Who descends from whom.

    Rows are in order of birth, ancestors before descendants: sorted by generation of birth, then id. (Where a table has
    parents and children of one generation and ids that run the other way, a parent still comes first.)

    Attributes:
        id: [rows] agents, each once.
        parent: [rows] the row of the first parent; a root's own row.
        second: [rows] the row of the second parent; -1 where there is none, or it is not in this tree.
        born: [rows] generation of birth.
        died: [rows] generation of death; -1 while alive.
    """

    id: NDArray[np.uint64]
    parent: Rows
    second: Rows
    born: NDArray[np.int64]
    died: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.id)

    @functools.cached_property
    def rows(self) -> Rows:
        """[rows] each row's own number."""
        return np.arange(len(self), dtype=self.parent.dtype)

    @functools.cached_property
    def blocks(self) -> Blocks:
        """Runs of rows that can be worked on at once."""
        return blocks_of(self.parent)

    @property
    def is_root(self) -> Mask:
        """[rows] whether a row has no parent."""
        mask: Mask = self.parent == self.rows
        return mask

    def down(self, values: NDArray[Any]) -> NDArray[Any]:
        """[rows] sums of values over each row's path from its root, both ends counted."""
        return path_sums(self.parent, values, self.blocks)

    def up(self, values: NDArray[Any]) -> NDArray[Any]:
        """[rows] sums of values over each row and its descendants."""
        return subtree_sums(self.parent, values, self.blocks)

    def latest(self, values: NDArray[Any]) -> NDArray[Any]:
        """[rows] the largest of values over each row and its descendants."""
        return subtree_maxima(self.parent, values, self.blocks)


def tree_of(table: pl.DataFrame) -> Tree:
    """The tree of a lineage table.

    Args:
        table: at least the columns `id, ancestor_id, second_parent_id, origin_time, destruction_time` of
            `arena.schemas.LINEAGE`, rows in any order. A second parent that is not in the table is left out.

    Raises:
        UserError: a column is missing or holds what it cannot; an agent is there twice, has an ancestor that is not in
            the table, that is younger or that descends from itself, or dies before it is born.
    """
    return Tree(*ordered(*checked(table)))


def alive(tree: Tree) -> Mask:
    """[rows] who has not died."""
    mask: Mask = tree.died < 0
    return mask


def depth(tree: Tree) -> NDArray[np.int32]:
    """[rows] births between each agent and its founder, along first parents; founders 0."""
    return tree.down((~tree.is_root).astype(np.int32))


def root(tree: Tree) -> Rows:
    """[rows] the row of each row's founder; a founder's own."""
    return tree.down(np.where(tree.is_root, tree.rows, 0).astype(tree.rows.dtype))


def children(tree: Tree) -> NDArray[np.int32]:
    """[rows] how many have each row as their first parent."""
    counts = np.bincount(tree.parent, minlength=len(tree)).astype(np.int32)
    return counts - tree.is_root


def descendants(tree: Tree) -> NDArray[np.int32]:
    """[rows] how many descend from each row along first parents, itself not counted."""
    return tree.up(np.ones(len(tree), np.int32)) - np.int32(1)


def ancestors(tree: Tree, row: int) -> NDArray[np.int64]:
    """Rows from a row's first parent up to its root, nearest first; empty for a root.

    Raises:
        IndexError: there is no such row.
    """
    if not 0 <= row < len(tree):
        raise IndexError(f"row {row} of a tree with {len(tree)}")
    line, above = [], int(tree.parent[row])
    while above != row:
        line.append(above)
        row, above = above, int(tree.parent[above])
    return np.array(line, np.int64)


def mrca(tree: Tree, rows: Mask | Rows | Sequence[int]) -> int | None:
    """The row of the most recent common ancestor; of a single row it is itself.

    Args:
        tree: any.
        rows: some rows, or a mask over all.

    Returns:
        A row, or None where the rows descend from several roots, or there are none.
    """
    wanted = np.asarray(rows)
    marked = np.zeros(len(tree), np.int32)
    marked[wanted if wanted.size else []] = 1
    below = tree.up(marked)
    common = np.flatnonzero(below == marked.sum()) if marked.any() else marked
    return int(common[-1]) if len(common) and marked.any() else None  # they lie on one line, the youngest last


def kept(tree: Tree, mask: Mask) -> Mask:
    """[rows] the rows of a mask and all their ancestors along first parents."""
    marked: Mask = tree.up(mask.astype(np.int32)) > 0
    return marked


def take(tree: Tree, mask: Mask) -> Tree:
    """The tree of some rows alone.

    Args:
        tree: any.
        mask: [rows] whom to keep; with every row its first parent, as `kept` gives it.

    Returns:
        A tree whose `second` is -1 where a second parent was not kept.

    Raises:
        ValueError: a row is kept without its first parent.
    """
    if not mask[tree.parent[mask]].all():
        raise ValueError("a row cannot be kept without its parent")
    place = np.cumsum(mask, dtype=tree.parent.dtype) - 1
    second = tree.second[mask]
    there = (second >= 0) & mask[second]
    return Tree(
        tree.id[mask], place[tree.parent[mask]], np.where(there, place[second], -1), tree.born[mask], tree.died[mask]
    )


def extant(tree: Tree) -> Tree:
    """The living and their ancestors alone: the tree without its extinct lines."""
    return take(tree, kept(tree, alive(tree)))


def branch_lengths(tree: Tree) -> NDArray[np.int64]:
    """[rows] generations from the birth of each row's first parent to its own; roots 0."""
    lengths: NDArray[np.int64] = tree.born - tree.born[tree.parent]
    return lengths


def ladder(tree: Tree) -> NDArray[np.int64]:
    """An order of rows for drawing without crossings: every row before its descendants, and these right behind it.

    Of children, and of roots, those with fewer descendants come first, of equal ones the older row.

    Returns:
        [rows] the row at each place; `np.argsort` of it, or its inverse, is the place of each row.
    """
    size = tree.up(np.ones(len(tree), np.int64))
    among = np.where(tree.is_root, -1, tree.parent)
    siblings = np.lexsort((size, among))  # stable, so equal ones stay in order of rows
    before = np.cumsum(size[siblings]) - size[siblings]
    first = np.r_[True, among[siblings][1:] != among[siblings][:-1]][: len(tree)]
    before -= before[first][np.cumsum(first) - 1]  # rows of earlier siblings alone
    offset = np.empty_like(before)
    offset[siblings] = before
    place = tree.down(offset + ~tree.is_root)
    order = np.empty_like(place)
    order[place] = tree.rows
    return order

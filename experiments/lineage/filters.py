"""Whom of a lineage one wants to see: champions, the living, some generations, a species; and all their ancestors.

Filters leave those whom all of them mean; whoever these descend from is kept with them, so that what is left is again a
lineage, whole up to its founders.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from experiments.lineage.passes import blocks_of
from experiments.lineage.tree import Tree, alive, kept
from markets.errors import UserError

__all__ = ["Filters", "parse_generations", "select", "with_ancestors"]

Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Whom to keep; None means everybody.

    Attributes:
        ids: these agents, such as champions; those that are not in the lineage are passed over.
        extant: the living alone.
        generations: those born from the first of these generations to the last, both counted.
        species: those of this species.
        islands: those born on an island from the first of these up to, and without, the last.
    """

    ids: Collection[int] | None = None
    extant: bool = False
    generations: tuple[int, int] | None = None
    species: str | None = None
    islands: tuple[int, int] | None = None

    def __bool__(self) -> bool:
        """Whether anybody may be left out."""
        return self != Filters()


def parse_generations(text: str) -> tuple[int, int]:
    """Generations as a user writes them: `10-20`, `10-` or `10`.

    Raises:
        UserError: it is none of these.
    """
    found = re.fullmatch(r"\s*(\d{1,9})\s*(?:(-)\s*(\d{1,9})?)?\s*", text, flags=re.ASCII)
    if not found:
        raise UserError(f"--generations: {text!r} are no generations; right is 10-20, 10- or 10")
    first = int(found[1])
    last = int(found[3]) if found[3] else 10**9 if found[2] else first
    if last < first:
        raise UserError(f"--generations: {text!r} ends before it begins; right is {last}-{first}")
    return first, last


def select(tree: Tree, table: pl.DataFrame, filters: Filters) -> Mask:
    """Whom the filters mean, without ancestors.

    Args:
        tree: of the table.
        table: of `LINEAGE`, in the tree's order of rows.
        filters: what is wanted.

    Returns:
        [rows] whether all filters mean them.

    Raises:
        UserError: the lineage has no such species, or nobody is left.
    """
    mask = np.ones(len(tree), bool)
    if filters.ids is not None:
        mask &= np.isin(tree.id, np.fromiter(filters.ids, np.uint64))
    if filters.extant:
        mask &= alive(tree)
    if filters.generations is not None:
        first, last = filters.generations
        mask &= (tree.born >= first) & (tree.born <= last)
    if filters.species is not None:
        own = (table["species"] == filters.species).fill_null(value=False).to_numpy()
        if not own.any():
            there = ", ".join(sorted(table["species"].drop_nulls().unique()))
            right = f"there are: {there}" if there else "this lineage names none"
            raise UserError(f"--species: {filters.species!r} is no species of this lineage; {right}")
        mask &= own
    if filters.islands is not None:
        first, last = filters.islands
        mask &= table["island"].is_between(first, last, closed="left").fill_null(value=False).to_numpy()
    if not mask.any():
        born = f"; {len(tree):,} agents were born in generations {tree.born.min()} to {tree.born.max()}" * bool(
            len(tree)
        )
        raise UserError(f"nobody is left{' of those filters' if filters else ''}{born}; ask for less at once")
    return mask


def with_ancestors(tree: Tree, mask: Mask, *, both: bool = False) -> Mask:
    """[rows] those of a mask and all their ancestors, along first parents or over both.

    Linear in rows: from the youngest block of rows to the oldest, none of which holds a row with a parent of its own.
    """
    if not both:
        return kept(tree, mask)
    marked = mask.copy()
    nearest = np.where(tree.is_root, tree.second, np.maximum(tree.parent, tree.second))
    nearest = np.where(nearest < 0, tree.rows, nearest)
    blocks = blocks_of(nearest)
    if blocks is None:
        flags = marked.tolist()
        parents, seconds = tree.parent.tolist(), tree.second.tolist()
        for row in range(len(flags) - 1, -1, -1):
            if flags[row]:
                flags[parents[row]] = True
                if seconds[row] >= 0:
                    flags[seconds[row]] = True
        return np.array(flags, bool)
    for first, end in zip(blocks[-2::-1], blocks[:0:-1], strict=True):
        rows = np.flatnonzero(marked[first:end]) + first
        second = tree.second[rows]
        marked[tree.parent[rows]] = True
        marked[second[second >= 0]] = True
    return marked

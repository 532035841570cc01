"""Newick: a tree as nested brackets, the one format that every program that draws or measures trees reads.

Children stand in brackets before their parent, `(5:1,9:3)2:4`. So the text of a tree is that of its nodes in postorder:
the brackets that open there, the label, the length, and what parts the node from the next. All of it follows from the
places of nodes in preorder, their descendants and their depths, so the text is made by whole columns, without
recursion, and a line of a million generations is as good as any other tree.
"""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from experiments.lineage.tree import Tree, branch_lengths, depth, descendants, ladder

__all__ = ["write_newick"]

_ROWS = 1 << 20  # written at a time
_PLAIN = r"^[A-Za-z0-9.+-]+$"  # labels that need no quotes; a bare underscore would be read as a blank
_CONTROL = r"[\x00-\x1f\x7f]"
_SPECIAL = r"[\[\]\"'=,{}\x00-\x1f\x7f]"  # what would end a note


def write_newick(tree: Tree, path: Path, *, labels: pl.Series | None = None, notes: pl.DataFrame | None = None) -> None:
    """Write a tree along first parents as one Newick tree on one line.

    Every node has its label, inner ones too, and as the length of its branch the generations from its parent's birth to
    its own. Several roots are joined under one more without a label, at the time of the oldest, because many programs
    read one tree alone. Of children, those with fewer descendants come first.

    Args:
        tree: any with at least one row.
        path: the file.
        labels: [rows] text; ids by default, and where it is null. What is not plain is quoted.
        notes: [rows, columns] text or numbers, written as `[&name=value,…]` behind the label where not null; BEAST's
            family of programs reads them (FigTree, IcyTree, DendroPy), to others they are comments.

    Raises:
        OSError: the disk is full, or the file cannot be written.
    """
    order, opened = _postorder(tree)
    roots, several = tree.is_root, int(tree.is_root.sum()) > 1
    length = branch_lengths(tree)
    length[roots] = tree.born[roots] - tree.born.min()
    closes = np.ones(len(order), np.uint8)
    closes[:-1] = tree.parent[order[:-1]] == order[1:]
    closes[-1] = 2
    mark = pl.Series([",", ")", ");\n" if several else ";\n"])
    ids = pl.Series(tree.id).cast(pl.String)
    names = ids if labels is None else _quoted(labels.fill_null(ids))
    with path.open("wb") as file:
        file.write(b"(" if several else b"")
        for start in range(0, len(order), _ROWS):
            part = slice(start, start + _ROWS)
            rows = order[part]
            counts, which = np.unique(opened[part], return_inverse=True)
            pieces = [
                pl.Series(["(" * count for count in counts.tolist()])[which],
                names[rows],
                *([] if notes is None else [_noted(notes[rows])]),
                pl.Series(length[rows]).cast(pl.String),
                mark[closes[part]],
            ]
            pieces.insert(-2, pl.repeat(":", len(rows), eager=True))
            file.write(pl.select(pl.concat_str(pieces).str.join()).item().encode())


def _postorder(tree: Tree) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every row behind its descendants.

    Before a row in postorder come those before it in preorder, less its ancestors, and its descendants:
    post = pre − depth + descendants.

    Returns:
        [rows] the row at each place, and how many brackets open before it.
    """
    below = descendants(tree).astype(np.int64)
    preorder = ladder(tree)
    place = below - depth(tree)
    place[preorder] += np.arange(len(preorder))
    order = np.empty_like(preorder)
    order[place] = np.arange(len(preorder))
    inner = below > 0
    opened = np.bincount(place[inner] - below[inner], minlength=len(order))
    return order, opened


def _quoted(labels: pl.Series) -> pl.Series:
    """Labels as Newick has them: in quotes unless they are plain, an apostrophe twice."""
    label = pl.lit(labels.cast(pl.String)).str.replace_all(_CONTROL, " ")
    quoted = pl.concat_str(pl.lit("'"), label.str.replace_all("'", "''", literal=True), pl.lit("'"))
    return pl.select(pl.when(label.str.contains(_PLAIN)).then(label).otherwise(quoted)).to_series()


def _noted(notes: pl.DataFrame) -> pl.Series:
    """`[&species="forest",island=3]` for each row; nothing for a row without any."""
    said = []
    for name, kind in notes.schema.items():
        value = pl.col(name).cast(pl.String)
        if kind == pl.String:
            value = pl.concat_str(pl.lit('"'), value.str.replace_all(_SPECIAL, "_"), pl.lit('"'))
        said.append(pl.concat_str(pl.lit(f"{name}="), value))
    text = pl.concat_str(said, separator=",", ignore_nulls=True)
    return notes.select(
        pl.when(text == "").then(pl.lit("")).otherwise(pl.concat_str(pl.lit("[&"), text, pl.lit("]")))
    ).to_series()

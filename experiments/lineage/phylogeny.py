"""What a metric looks at: a tree with or without its extinct lines, and which agents in it are its taxa.

Metrics of phylogenies are defined on the taxa of today and what joins them. In an arena agents are the taxa, ancestors
may still live beside their descendants, and most lines have died out; whether those are in changes every number. So
nobody asks a metric of a bare tree, but of a `Phylogeny`, which says.
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.lineage.tree import Tree, alive, children, extant, mrca

__all__ = ["Phylogeny", "phylogeny"]


@dataclass(frozen=True, eq=False)
class Phylogeny:
    """A tree and its taxa.

    Attributes:
        tree: what is looked at; every row has a taxon at or below it.
        taxa: [rows] whom the metrics are about.
        extinct: whether extinct lines are in.
        time: the generation it is looked at in.
    """

    tree: Tree
    taxa: NDArray[np.bool_]
    extinct: bool
    time: int

    @functools.cached_property
    def roots(self) -> int:
        """Founders in the tree."""
        return int(self.tree.is_root.sum())

    @functools.cached_property
    def mrca(self) -> int | None:
        """Row of the most recent common ancestor of the taxa, which may be one of them; None without one."""
        return mrca(self.tree, self.taxa)

    @functools.cached_property
    def degree(self) -> NDArray[np.int32]:
        """[rows] children in the tree."""
        return children(self.tree)

    @functools.cached_property
    def below(self) -> NDArray[np.int64]:
        """[rows] taxa at or below each row; at least 1."""
        return self.tree.up(self.taxa.astype(np.int64))


def phylogeny(tree: Tree, *, extinct: bool = False, time: int | None = None) -> Phylogeny:
    """Look at a tree as it is at its end.

    Args:
        tree: of all who ever lived, or some of them with their ancestors.
        extinct: False: extinct lines are left out, so the living are the taxa and every ancestor has a living
            descendant, as phylotrackpy tracks a running population. True: all who ever lived are in, and the last of a
            line that died out (a dead agent without children) is a taxon beside the living, as phylotrackpy reads a
            whole file by `load_from_file(…, assume_leaves_extant=True)`.
        time: the generation it is looked at in; the last with a birth or death where it is not given.

    Raises:
        ValueError: `time` is before a birth.
    """
    last = int(max(tree.born.max(initial=0), tree.died.max(initial=0)))
    if time is not None and time < tree.born.max(initial=0):
        raise ValueError(f"time {time} is before the birth of an agent in generation {tree.born.max()}")
    seen = tree if extinct else extant(tree)
    living = alive(seen)
    return Phylogeny(
        seen, living | (children(seen) == 0) if extinct else living, extinct, last if time is None else time
    )

"""How evenly a phylogeny branches: Sackin's index, and a Colless-like one for trees with any number of branches."""

import numpy as np
from numpy.typing import NDArray

from experiments.lineage.phylogeny import Phylogeny

__all__ = ["colless_like_index", "sackin_index"]


def sackin_index(seen: Phylogeny) -> int | None:
    """The sum over taxa of the branchings above them (Sackin 1972; Shao and Sokal 1990).

    A branching is an agent with several children in the tree. Counted are those between a taxon and the most recent
    common ancestor, and one for that ancestor; a taxon that is the ancestor itself has 1. Without a common ancestor all
    branchings up to its founder are counted for each taxon, and one more.

    Returns:
        None without any taxa.
    """
    if not seen.taxa.any():
        return None
    branching = (seen.degree > 1).astype(np.int64)
    if seen.mrca is not None:
        branching[seen.mrca] = 0
    above = seen.tree.down(branching) - branching
    return int((above[seen.taxa] + 1).sum())


def colless_like_index(seen: Phylogeny, *, unary: bool = True) -> float | None:
    """The sum over branchings of how unequal in size their branches are (Mir, Rotger and Rosselló 2018).

    The size of a subtree is the sum of ln(k + e) over its nodes, k being a node's children; unequal is the mean
    deviation of the sizes from their median. That is the index they recommend, C with MDM and ln(n + e).

    It is defined on trees in which every node branches or ends, so lines of single children have to be passed over.
    phylotrackpy passes over them, but counts the first of a line, ln(1 + e), in place of the branching or end that the
    line leads to; so does this, unless asked for the index as it was defined.

    Args:
        seen: the phylogeny.
        unary: True: with the first of every line of single children, as phylotrackpy has it. False: as if there were
            no single children, as Mir et al. have it.

    Returns:
        None without a common ancestor of the taxa.
    """
    if seen.mrca is None:
        return None
    tree, degree = seen.tree, seen.degree
    branches = ~tree.is_root & (degree > 1)[tree.parent]  # the first of every branch
    weight = np.log(degree + np.e)
    counted = branches if unary else degree != 1
    size = tree.up(np.where(counted, weight, 0.0))
    rows = np.flatnonzero(branches)
    return _deviations(tree.parent[rows], size[rows])


def _deviations(group: NDArray[np.signedinteger], values: NDArray[np.float64]) -> float:
    """The sum over groups of the mean absolute deviation from the group's median."""
    if not len(values):
        return 0.0
    order = np.lexsort((values, group))
    group, values = group[order], values[order]
    first = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    count = np.diff(np.r_[first, len(values)])
    median = (values[first + (count - 1) // 2] + values[first + count // 2]) / 2.0
    distance = np.abs(values - np.repeat(median, count))
    return float((np.add.reduceat(distance, first) / count).sum())

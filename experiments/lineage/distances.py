"""How far apart the taxa of a phylogeny are: distances of all pairs, and how much history is a taxon's own.

Neither lists pairs nor walks up from every taxon: both come from sums over subtrees and paths.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.lineage.phylogeny import Phylogeny

__all__ = ["Moments", "distinctiveness", "moments", "pairwise"]


@dataclass(frozen=True)
class Moments:
    """What is said of many numbers.

    Attributes:
        sum: of them; 0 of none.
        mean: None of none.
        variance: with n − 1 below; None of fewer than two.
    """

    sum: float
    mean: float | None
    variance: float | None


def pairwise(seen: Phylogeny, *, branch_only: bool = False) -> Moments:
    """Distances between all pairs of taxa that have a common ancestor, in births.

    The distance of two taxa is the number of edges on the path between them; mean: Webb and Losos 2000 (there of
    Webb 2000), sum and variance: Tucker et al. 2017, richness and regularity. Pairs of different founders have none and
    are left out.

    At a node m with n taxa at or below, a branch v of m with n_v taxa whose distances to m sum to a_v, and their
    squares to b_v, meets n − n_v others. Over the pairs that meet at m the distances sum to Σ_v (n − n_v) a_v, and the
    squares to Σ_v (n − n_v) b_v + (Σ_u a_u − a_v) a_v. No term is negative, so nothing cancels.

    Args:
        seen: the phylogeny.
        branch_only: count only edges below agents that are taxa or where lines part, so that a line of ancestors is
            one edge, as in a tree made from the living alone.
    """
    tree = seen.tree
    edge = ~tree.is_root
    if branch_only:
        edge = edge & (seen.taxa | (seen.degree > 1))
    step = edge.astype(np.int64)
    count = seen.below
    here = step * count
    first = tree.up(here)  # [rows] distances of the taxa below each row to its parent
    second = tree.up((step * (2 * first - here)).astype(np.float64))  # [rows] and their squares
    child = np.flatnonzero(~tree.is_root)
    above = tree.parent[child]
    inner = first - here  # [rows] the same distances to the row itself
    others = (count[above] - count[child]).astype(np.float64)
    near = first[child].astype(np.float64)
    total = float(others @ near)
    squares = float(others @ second[child] + (inner[above] - first[child]).astype(np.float64) @ near)
    founders = count[tree.is_root].astype(object)
    pairs = int((founders * (founders - 1) // 2).sum())
    return _moments(pairs, total, squares)


def distinctiveness(seen: Phylogeny) -> NDArray[np.float64] | None:
    """How much history is each taxon's own: evolutionary distinctiveness (Isaac et al. 2007), in generations.

    Every edge from the most recent common ancestor down to a taxon is shared equally among the taxa at or below it; a
    taxon's own time, from its birth to `seen.time`, among itself and the taxa below it. That holds of taxa that have
    died too: their last edge reaches to `seen.time`. A taxon that is the common ancestor itself has 0.

    Returns:
        [taxa] in order of rows; None without a common ancestor.
    """
    if seen.mrca is None:
        return None
    tree, count = seen.tree, seen.below
    length = (tree.born - tree.born[tree.parent]) / count
    length[count == count[seen.mrca]] = 0.0  # the common ancestor and the line above it
    shared = tree.down(length) + (seen.time - tree.born) / count
    shared[seen.mrca] = 0.0
    own: NDArray[np.float64] = shared[seen.taxa]
    return own


def moments(values: NDArray[np.float64]) -> Moments:
    """Sum, mean and variance of numbers as they are."""
    return Moments(
        float(values.sum()),
        float(values.mean()) if len(values) else None,
        float(values.var(ddof=1)) if len(values) > 1 else None,
    )


def _moments(count: int, total: float, squares: float) -> Moments:
    """Of numbers that are known by their number, their sum and the sum of their squares, all whole."""
    whole = int(total)
    spread = max(count * int(squares) - whole * whole, 0)  # of whole numbers, so that nothing more is lost
    return Moments(total, whole / count if count else None, spread / (count * (count - 1)) if count > 1 else None)

"""Metrics of a phylogeny, by the names that phylotrackpy has for them, and all of them at once.

Each is the number that phylotrackpy 0.2.4 gives, held equal by tests, in time linear in agents where that walks up from
every taxon or lists every pair. An edge is a birth and has length 1, but for evolutionary distinctiveness, where it is
as long as the generations between two births. A metric that is not defined is None: phylotrackpy then says -1, 0, NaN
or something that is not meant.

With several founders, as nearly every run has them, there is no most recent common ancestor until one of them has taken
over. What needs one is None then; the docstrings say what the others do.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.lineage.balance import colless_like_index, sackin_index
from experiments.lineage.distances import distinctiveness, moments, pairwise
from experiments.lineage.phylogeny import Phylogeny, phylogeny
from experiments.lineage.tree import Tree, depth, root

__all__ = [
    "Metrics",
    "colless_like_index",
    "founder_diversity",
    "mean_evolutionary_distinctiveness",
    "mean_pairwise_distance",
    "metrics",
    "mrca_depth",
    "out_degree_distribution",
    "phylogenetic_diversity",
    "phylogeny",
    "sackin_index",
    "shannon_diversity",
    "sum_evolutionary_distinctiveness",
    "sum_pairwise_distance",
    "variance_evolutionary_distinctiveness",
    "variance_pairwise_distance",
]


@dataclass(frozen=True)
class Metrics:
    """All metrics of one phylogeny.

    Attributes:
        extinct: whether extinct lines are in, see `phylogeny`.
        time: the generation it was looked at in.
        agents: rows of the tree that was looked at.
        taxa: agents that the metrics are about.
        founders: roots of the tree.
        mrca_depth: see the function of that name, as with all that follow.
    """

    extinct: bool
    time: int
    agents: int
    taxa: int
    founders: int
    mrca_depth: int | None
    phylogenetic_diversity: int | None
    mean_pairwise_distance: float | None
    sum_pairwise_distance: float
    variance_pairwise_distance: float | None
    mean_evolutionary_distinctiveness: float | None
    sum_evolutionary_distinctiveness: float | None
    variance_evolutionary_distinctiveness: float | None
    colless_like_index: float | None
    sackin_index: int | None
    out_degree_distribution: dict[int, int]
    shannon_diversity: float | None
    founder_diversity: float | None


def metrics(tree: Tree, *, extinct: bool = False, time: int | None = None) -> Metrics:
    """All metrics of a tree.

    Args:
        tree: one run's, of one replicate: what descends from founders that never meet says nothing together.
        extinct: whether extinct lines are in; see `experiments.lineage.phylogeny.phylogeny`.
        time: the generation it is looked at in; the last with a birth or death where it is not given.
    """
    seen = phylogeny(tree, extinct=extinct, time=time)
    between = pairwise(seen)
    shares = distinctiveness(seen)
    own = None if shares is None else moments(shares)
    return Metrics(
        extinct=extinct,
        time=seen.time,
        agents=len(seen.tree),
        taxa=int(seen.taxa.sum()),
        founders=seen.roots,
        mrca_depth=mrca_depth(seen),
        phylogenetic_diversity=phylogenetic_diversity(seen),
        mean_pairwise_distance=between.mean,
        sum_pairwise_distance=between.sum,
        variance_pairwise_distance=between.variance,
        mean_evolutionary_distinctiveness=None if own is None else own.mean,
        sum_evolutionary_distinctiveness=None if own is None else own.sum,
        variance_evolutionary_distinctiveness=None if own is None else own.variance,
        colless_like_index=colless_like_index(seen),
        sackin_index=sackin_index(seen),
        out_degree_distribution=out_degree_distribution(seen),
        shannon_diversity=shannon_diversity(seen),
        founder_diversity=founder_diversity(seen),
    )


def mrca_depth(seen: Phylogeny) -> int | None:
    """Births from the founder to the most recent common ancestor of the taxa; None without one (phylotrackpy: -1).

    A taxon may be the common ancestor of the others and itself.
    """
    return None if seen.mrca is None else int(depth(seen.tree)[seen.mrca])


def phylogenetic_diversity(seen: Phylogeny) -> int | None:
    """Edges of the tree that joins the taxa to their founder (Faith 1992, with edges of length 1): agents - 1.

    With several founders it is agents - 1 too, by phylotrackpy's convention, as if all but one of them hung on the
    first; the edges there are would be agents - founders. None without any taxa.
    """
    return len(seen.tree) - 1 if len(seen.tree) else None


def mean_pairwise_distance(seen: Phylogeny, *, branch_only: bool = False) -> float | None:
    """Births between two taxa on average over all pairs (Webb and Losos 2000); None without a pair.

    Pairs of different founders have no distance and are left out, here and in the sum and variance. `branch_only`
    counts an unbranched line of dead ancestors as one edge; see `experiments.lineage.distances.pairwise`.
    """
    return pairwise(seen, branch_only=branch_only).mean


def sum_pairwise_distance(seen: Phylogeny, *, branch_only: bool = False) -> float:
    """Births between two taxa, summed over all pairs (Tucker et al. 2017); 0 without a pair."""
    return pairwise(seen, branch_only=branch_only).sum


def variance_pairwise_distance(seen: Phylogeny, *, branch_only: bool = False) -> float | None:
    """Variance (n - 1) of births between two taxa over all pairs (Tucker et al. 2017); None below two pairs."""
    return pairwise(seen, branch_only=branch_only).variance


def mean_evolutionary_distinctiveness(seen: Phylogeny) -> float | None:
    """Generations of history that are a taxon's own, on average (Isaac et al. 2007); None without a common ancestor.

    The definition stands at `experiments.lineage.distances.distinctiveness`.
    """
    shares = distinctiveness(seen)
    return None if shares is None else moments(shares).mean


def sum_evolutionary_distinctiveness(seen: Phylogeny) -> float | None:
    """The same, summed over taxa."""
    shares = distinctiveness(seen)
    return None if shares is None else moments(shares).sum


def variance_evolutionary_distinctiveness(seen: Phylogeny) -> float | None:
    """Its variance (n - 1) over taxa; None also below two taxa."""
    shares = distinctiveness(seen)
    return None if shares is None else moments(shares).variance


def out_degree_distribution(seen: Phylogeny) -> dict[int, int]:
    """How many agents of the tree have how many children in it, by number of children."""
    counts = np.bincount(seen.degree) if len(seen.tree) else np.zeros(0, np.int64)
    return {degree: int(count) for degree, count in enumerate(counts) if count}


def shannon_diversity(seen: Phylogeny, groups: NDArray[Any] | None = None) -> float | None:
    """Shannon's entropy, in bits, of the taxa over groups (phylotrackpy: `calc_diversity`); None without any taxa.

    Args:
        seen: the phylogeny.
        groups: [rows] what each agent counts as, such as its species; each is a group of its own where not given, so
            that it is log2 of their number.
    """
    if not seen.taxa.any():
        return None
    if groups is None:
        return float(np.log2(seen.taxa.sum()))
    counts = np.unique(groups[seen.taxa], return_counts=True)[1]
    share = counts / counts.sum()
    return float(np.abs(share @ np.log2(share)))


def founder_diversity(seen: Phylogeny) -> float | None:
    """Shannon's entropy, in bits, of the taxa over the founders they descend from; 0 once one has taken over."""
    return shannon_diversity(seen, root(seen.tree))

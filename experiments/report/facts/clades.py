"""The Muller plot: how many of the living descend from each founder, generation by generation, small clades pooled."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.lineage.tree import alive, descendants, root
from experiments.report.facts.agents import Agents
from experiments.report.facts.sources import Sources
from experiments.report.facts.thinning import Thinning

__all__ = ["SHOWN", "clades"]

SHOWN = 24
"""Clades of a replicate that are drawn by themselves, at most; one more holds all others."""


def clades(sources: Sources, agents: Agents | None) -> dict[str, Any] | None:
    """Founder clades of each replicate: those that lived most, each agent's life counted in generations, and all others
    as one.

    An agent counts in each generation in which it was judged. Where there are more generations than points, the counts
    are those of the generations named, not means, so that they still add up to the living of the replicate.
    """
    if agents is None or not sources.done:
        return None
    tree, done = agents.tree, sources.done
    founder = root(tree)
    born = np.minimum(tree.born, done)
    end = np.minimum(np.where(tree.died < 0, done, tree.died + 1), done)  # the first generation without it
    lived = np.bincount(founder, weights=np.maximum(end - born, 0), minlength=len(tree))
    size, living = descendants(tree), np.bincount(founder[alive(tree)], minlength=len(tree))
    replicate = sources.replicate_of(agents.island)[founder]
    thinning = Thinning.of(done, sources.replicates[0])
    groups: list[dict[str, Any]] = []
    for place in range(sources.replicates[0]):
        founders = np.flatnonzero(tree.is_root & (replicate == place))
        ranked = founders[np.argsort(-lived[founders], kind="stable")]
        shown = np.sort(ranked[:SHOWN]) if len(ranked) > SHOWN + 1 else np.sort(ranked)
        pooled = len(ranked) - len(shown)
        slot = np.full(len(tree), len(shown))
        slot[shown] = np.arange(len(shown))
        own = np.flatnonzero(replicate == place)
        counts = _counts(slot[founder[own]], born[own], end[own], len(shown) + (pooled > 0), done)
        entries: list[dict[str, Any]] = [
            {
                "id": int(tree.id[row]),
                "species": int(agents.species[row]),
                "size": int(size[row]),
                "alive": int(living[row]),
            }
            for row in shown
        ]
        if pooled:
            entries.append({"id": None, "pooled": pooled})
        drawn = counts[:, thinning.generations].tolist()
        groups.append({"replicate": place, "clades": entries, "counts": drawn})
    return {"generations": thinning.generations.tolist(), "every": thinning.every, "replicates": groups}


def _counts(
    slot: NDArray[np.int64], born: NDArray[np.int64], end: NDArray[np.int64], slots: int, done: int
) -> NDArray[np.int64]:
    """[slots, generations] how many of each slot live in each generation, from who comes and who goes."""
    change = np.zeros((slots, done + 1), np.int64)
    np.add.at(change, (slot, born), 1)
    np.add.at(change, (slot, np.maximum(end, born)), -1)
    return np.cumsum(change, axis=1)[:, :done]

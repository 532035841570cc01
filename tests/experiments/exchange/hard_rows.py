"""Rows that a reader of tree models must not get wrong: on thresholds, an ulp beside them, and odd numbers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.exchange.ensemble import LEAF, Ensemble

__all__ = ["hard_rows", "thresholds"]


def thresholds(ensemble: Ensemble) -> list[NDArray[np.float64]]:
    """Thresholds of each feature, ascending."""
    found: list[set[float]] = [set() for _ in ensemble.features]
    for tree in ensemble.trees:
        for feature, threshold in zip(tree.feature, tree.threshold, strict=True):
            if feature != LEAF:
                found[feature].add(float(threshold))
    return [np.array(sorted(each)) for each in found]


def hard_rows(cuts: Sequence[NDArray[np.float64]], kind: type[np.floating], seed: int) -> NDArray[np.floating]:
    """Random rows in which one feature, and then all of them, hold a threshold, a neighbour of one or an odd number.

    Args:
        cuts: thresholds of each feature.
        kind: number format whose neighbours are meant.
        seed: of what is random.
    """
    rng, info = np.random.default_rng(seed), np.finfo(kind)
    odd = np.array(
        [np.nan, 0.0, np.inf, info.max, info.tiny, info.smallest_subnormal, np.float32(1e-35), 1e-35, 1e-300, 1.0], kind
    )
    odd = np.concatenate([odd, -odd])
    pools = []
    for cut in cuts:
        own = np.concatenate([odd, cut.astype(kind)])
        with np.errstate(over="ignore"):  # the largest number's neighbour is infinite
            pools.append(np.concatenate([own, np.nextafter(own, kind(np.inf)), np.nextafter(own, kind(-np.inf))]))
    blocks = [rng.normal(size=(200, len(cuts))).astype(kind)]
    for feature, pool in enumerate(pools):
        block = rng.normal(size=(len(pool), len(cuts))).astype(kind)
        block[:, feature] = pool
        blocks.append(block)
    blocks.append(np.stack([rng.choice(pool, 600) for pool in pools], axis=1))
    return np.concatenate(blocks)

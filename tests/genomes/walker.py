"""Decision trees walked row by row in plain NumPy: what the compiled ones are held against."""

import itertools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomes.trees import Layout, Trees

__all__ = ["Tree", "drawn_trees", "each_tree", "ends_instead", "goes_right", "leaf_of", "reached", "rows_of"]


class Tree(NamedTuple):
    """One tree, as NumPy arrays."""

    feature: NDArray[Any]
    threshold: NDArray[Any]
    nan_right: NDArray[Any]
    leaf: NDArray[Any]


def each_tree(trees: Trees) -> list[Tree]:
    """The trees of any batch, one after another."""
    arrays = [np.asarray(part) for part in trees]
    inner = (1, 1, 1, 2)
    flat = [part.reshape(-1, *part.shape[part.ndim - kept :]) for part, kept in zip(arrays, inner, strict=True)]
    return [Tree(*parts) for parts in zip(*flat, strict=True)]


def goes_right(value: np.floating, threshold: np.floating, nan_right: bool) -> bool:
    """Where one value turns at one node."""
    if np.isnan(value):
        return bool(nan_right)
    return float(value) >= float(threshold)


def leaf_of(layout: Layout, tree: Tree, row: NDArray[Any]) -> int:
    """The number of the leaf that a row ends in."""
    place = 0
    for level in range(layout.depth):
        node = level if layout.oblivious else 2**level - 1 + place
        own = tree.feature[node]
        place = 2 * place + goes_right(row[own], tree.threshold[node], tree.nan_right[node])
    return place


def rows_of(tree: Tree, inputs: int) -> NDArray[Any]:
    """Rows that take every way through a tree which any row can take.

    Of each input that the tree asks for all values between which it makes a difference, and none; in all combinations.
    """
    values: list[list[float]] = [[0.0]] * inputs
    for own in set(tree.feature.tolist()):
        marks = tree.threshold[tree.feature == own].astype(np.float32)
        below = np.nextafter(marks, np.float32(-np.inf))
        values[own] = sorted({*marks.tolist(), *below.tolist(), -np.inf, np.inf} - {np.nan}) + [np.nan]
    return np.asarray(list(itertools.product(*values)), np.float32)


def reached(layout: Layout, tree: Tree, inputs: int) -> set[int]:
    """The leaves that any row reaches, found by trying."""
    rows = rows_of(tree, inputs).astype(np.float64)
    place = np.zeros(len(rows), int)
    for level in range(layout.depth):
        node = np.full(len(rows), level) if layout.oblivious else 2**level - 1 + place
        value = rows[np.arange(len(rows)), tree.feature[node]]
        right = np.where(np.isnan(value), tree.nan_right[node], value >= tree.threshold[node].astype(np.float64))
        place = 2 * place + right
    return set(place.tolist())


def ends_instead(layout: Layout, found: set[int]) -> list[int]:
    """For each leaf, the one in which a row ends that turns towards it wherever any row turns so."""
    ends = []
    for leaf in range(layout.leaves):
        place = 0
        for level in range(layout.depth):
            rest = layout.depth - 1 - level
            wanted = 2 * place + ((leaf >> rest) & 1)
            place = wanted if any(other >> rest == wanted for other in found) else wanted ^ 1
        ends.append(place)
    return ends


def drawn_trees(
    rng: np.random.Generator, layout: Layout, count: int, inputs: int, actions: int, marks: NDArray[Any]
) -> Trees:
    """Trees of random questions at thresholds out of `marks`; leaves hold their own number, times 256^tree."""
    number = np.arange(layout.leaves)[:, None] * np.ones(actions)
    return Trees(
        feature=rng.integers(0, inputs, (count, layout.nodes)).astype(np.int32),
        threshold=rng.choice(marks.astype(np.float32), (count, layout.nodes)),
        nan_right=rng.random((count, layout.nodes)) < 0.5,
        leaf=(number * 256.0 ** np.arange(count)[:, None, None]).astype(np.float32),
    )

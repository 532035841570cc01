"""A tree ensemble as its library means it: every split, leaf and constant, and nothing of any file format.

Readers make one, writers take one, and the arena's forests are made from one and turned into one. It predicts by
itself, in NumPy, in the number formats of its library, so that what was read can be held against the original.
"""

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAF", "ZERO", "Ensemble", "Tree", "deepest", "levels"]

LEAF = -1
"""Feature, left and right of a leaf; number of an inner node."""

ZERO = 1e-35
"""Largest magnitude that counts as zero where zero counts as missing (LightGBM's `kZeroThreshold`, a float32)."""


@dataclasses.dataclass(frozen=True, eq=False)
class Tree:
    """One binary tree; node 0 is the root.

    Attributes:
        feature: column that an inner node looks at, `LEAF` at leaves, int32 [nodes].
        threshold: it compares with; see `Ensemble.strict`, float64 [nodes].
        left, right: children, `LEAF` at leaves, int32 [nodes].
        missing_left: whether a missing value goes left, bool [nodes].
        zero_missing: whether zeros (|x| ≤ `ZERO`) count as missing too, bool [nodes].
        value: of each leaf, 0 at inner nodes, float64 [nodes, outputs].
        number: of each leaf, as its library counts them, `LEAF` at inner nodes, int32 [nodes].
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    missing_left: NDArray[np.bool_]
    zero_missing: NDArray[np.bool_]
    value: NDArray[np.float64]
    number: NDArray[np.int32]

    @cached_property
    def depth(self) -> int:
        """Splits on the longest way from the root to a leaf.

        Raises:
            ValueError: the nodes are no tree; see `levels`.
        """
        return len(levels(self.left, self.right)) - 1

    def check(self, *, features: int, outputs: int) -> None:
        """See that this is one whole tree that rows of so many features can walk down.

        Raises:
            ValueError: it is not; one line says which node is wrong and how.
        """
        count = len(self.feature)
        for field in dataclasses.fields(self):
            shape = (count, outputs) if field.name == "value" else (count,)
            if np.shape(getattr(self, field.name)) != shape:
                raise ValueError(f"{field.name} is {list(np.shape(getattr(self, field.name)))}; right is {list(shape)}")
        inner = self.feature != LEAF
        _see(inner == (self.left != LEAF), "has a feature but no left child, or the other way round")
        _see(~inner | ((self.feature >= 0) & (self.feature < features)), f"looks at no feature of the {features:,}")
        _see(inner | np.isfinite(self.value).all(axis=1), "has no finite value")
        if (reached := sum(len(level) for level in levels(self.left, self.right))) < count:
            raise ValueError(f"{count - reached:,} nodes hang on nothing; right is one tree")


@dataclasses.dataclass(frozen=True, eq=False)
class Ensemble:
    """Trees whose leaves are summed.

    A row's raw score is `scale · Σ leaves + base`, computed in `sums`. Rounding makes the order matter: a float32 sum
    that is not scaled starts from the base and takes the leaves one by one (XGBoost); any other starts from 0 and has
    the base added last (CatBoost). The arena itself adds the base behind the trees of the market and before those of
    the state, so that the values of its agents may differ in the last bit. A row goes left where x < threshold
    (`strict`) or x ≤ threshold, x rounded to `inputs` first. NaN is missing.

    Attributes:
        library: that it is of: `xgboost`, `lightgbm`, `catboost` or `arena`.
        features: names of the columns, in order; what the library calls them where the file names none.
        trees: in the order in which they are summed.
        base: added once, float64 [outputs].
        scale: that the sum of leaves is multiplied by.
        strict: whether a value on the threshold itself goes right (XGBoost, the arena) or left (LightGBM, CatBoost).
        inputs, sums: number formats of comparing and of summing.
        link: what the library makes of raw scores: `identity`, `logistic` (one score, of class 1), `softmax` or
            `exponential` (the score is the logarithm of what is predicted).
        classes: as the library calls them, in the order of the scores (of two for `logistic`); none in a regression.
    """

    library: Literal["xgboost", "lightgbm", "catboost", "arena"]
    features: tuple[str, ...]
    trees: tuple[Tree, ...]
    base: NDArray[np.float64]
    scale: float = 1.0
    strict: bool = True
    inputs: Literal["float32", "float64"] = "float32"
    sums: Literal["float32", "float64"] = "float32"
    link: Literal["identity", "logistic", "softmax", "exponential"] = "identity"
    classes: tuple[str, ...] = ()

    @property
    def outputs(self) -> int:
        """Scores of a row."""
        return len(self.base)

    def nodes(self, rows: NDArray[np.floating]) -> NDArray[np.int32]:
        """The leaf that each row ends in, in each tree.

        Args:
            rows: [rows, features], NaN where a value is missing.

        Returns:
            Index of the node, int32 [rows, trees].

        Raises:
            ValueError: the rows have another number of columns.
        """
        if rows.ndim != 2 or rows.shape[1] != len(self.features):
            raise ValueError(f"rows are {list(rows.shape)}; right is [rows, {len(self.features)}]")
        with np.errstate(over="ignore"):  # beyond float32 is infinite there, as in the libraries
            seen = rows.astype(self.inputs, copy=False)
        ends = [self._descend(tree, seen) for tree in self.trees]
        return np.stack(ends, axis=1) if ends else np.zeros((len(rows), 0), np.int32)

    def leaves(self, rows: NDArray[np.floating]) -> NDArray[np.int32]:
        """The leaf that each row ends in, numbered as the library does, int32 [rows, trees]."""
        ends = self.nodes(rows)
        numbers = [tree.number[ends[:, index]] for index, tree in enumerate(self.trees)]
        return np.stack(numbers, axis=1) if numbers else ends

    def predict(self, rows: NDArray[np.floating]) -> NDArray[np.floating]:
        """Raw scores [rows, outputs], in the number format of `sums`."""
        ends, kind = self.nodes(rows), np.dtype(self.sums)
        base, first = self.base.astype(kind), self.sums == "float32" and self.scale == 1.0
        total = np.tile(base if first else np.zeros_like(base), (len(rows), 1))
        for index, tree in enumerate(self.trees):
            total += tree.value.astype(kind)[ends[:, index]]
        return total if first else np.asarray(kind.type(self.scale) * total + base)

    def _descend(self, tree: Tree, rows: NDArray[np.floating]) -> NDArray[np.int32]:
        with np.errstate(over="ignore"):
            threshold = tree.threshold.astype(self.inputs)
        node = np.zeros(len(rows), np.int32)
        for _ in range(tree.depth):
            feature = tree.feature[node]
            inner = feature != LEAF
            value = rows[np.arange(len(rows)), np.where(inner, feature, 0)]
            own = threshold[node]
            left = value < own if self.strict else value <= own
            missing = np.isnan(value) | (tree.zero_missing[node] & (np.abs(value) <= np.float32(ZERO)))
            left = np.where(missing, tree.missing_left[node], left)
            node = np.where(inner, np.where(left, tree.left[node], tree.right[node]), node)
        return node


def deepest(trees: Sequence[Tree]) -> int:
    """Depth of the deepest tree, 0 without any."""
    return max((tree.depth for tree in trees), default=0)


def levels(left: NDArray[np.integer], right: NDArray[np.integer]) -> list[NDArray[np.int64]]:
    """The nodes that hang on node 0, level by level, in ascending order.

    Args:
        left: child of each node for small values, `LEAF` at leaves, [nodes].
        right: the other child, likewise.

    Raises:
        ValueError: a child out of range, only one child, or a node with two parents (so that there is no end); one
            line names the node.
    """
    count, level = len(left), np.zeros(1, np.int64)
    if not count:
        raise ValueError("has no nodes; right is at least a leaf")
    parents, found = np.zeros(count, np.int64), [level]
    parents[0] = 1
    while True:
        inner = level[(left[level] != LEAF) | (right[level] != LEAF)]
        if not len(inner):
            return found
        children = np.stack([left[inner], right[inner]]).astype(np.int64)
        out = (children < 0) | (children >= count)
        if out.any():
            side, index = np.argwhere(out)[0]
            raise ValueError(f"node {inner[index]} has child {children[side, index]}; right is 1 to {count - 1}")
        np.add.at(parents, children.ravel(), 1)
        if (shared := children[parents[children] > 1]).size:
            raise ValueError(f"node {shared[0]} hangs on two nodes or on itself; right is one parent")
        found.append(level := np.sort(children.ravel()))


def _see(right: NDArray[np.bool_], what: str) -> None:
    if not right.all():
        raise ValueError(f"node {int(np.argmin(right))} {what}")

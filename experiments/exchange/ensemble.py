"""A tree ensemble as its library means it: every split, leaf and constant, and nothing of any file format.

Readers make one, writers take one, and the arena's forests are made from one and turned into one. It predicts by
itself, in NumPy, in the number formats of its library, so that what was read can be held against the original.
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAF", "ZERO", "Ensemble", "Tree", "deepest"]

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

    @property
    def depth(self) -> int:
        """Splits on the longest way from the root to a leaf."""
        deepest, level = 0, [0]
        while level := [int(child) for n in level for child in (self.left[n], self.right[n]) if child != LEAF]:
            deepest += 1
        return deepest


@dataclasses.dataclass(frozen=True, eq=False)
class Ensemble:
    """Trees whose leaves are summed.

    A row's raw score is `scale · Σ leaves + base`, computed in `sums`; a row goes left where x < threshold (`strict`)
    or x ≤ threshold, x rounded to `inputs` first. NaN is missing.

    Attributes:
        library: that it is of: `xgboost`, `lightgbm`, `catboost` or `arena`.
        features: names of the columns, in order; what the library calls them where the file names none.
        trees: in the order in which they are summed.
        base: added once, float64 [outputs].
        scale: that the sum of leaves is multiplied by.
        strict: whether a value on the threshold itself goes right (XGBoost, the arena) or left (LightGBM, CatBoost).
        inputs, sums: number formats of comparing and of summing.
        link: what the library makes of raw scores: `identity`, `logistic` (one score, of class 1) or `softmax`.
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
    link: Literal["identity", "logistic", "softmax"] = "identity"
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
        """
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
        total = np.zeros((len(rows), self.outputs), kind)
        for index, tree in enumerate(self.trees):
            total += tree.value.astype(kind)[ends[:, index]]
        return np.asarray(kind.type(self.scale) * total + self.base.astype(kind))

    def _descend(self, tree: Tree, rows: NDArray[np.floating]) -> NDArray[np.int32]:
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

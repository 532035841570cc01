"""Any ensemble in the arena's own form: strict float32 thresholds, float32 leaves, nothing but NaN missing.

Every float32 row ends in the same leaf as before, so a split is rewritten by what it does to float32 numbers alone:

- `x ≤ t` is `x < u`, u the smallest float32 above t;
- `x < t`, t a float64, is `x < u`, u the smallest float32 that is not below t;
- a split that no number passes (t is NaN) has u = −∞, and so has one that every number passes, +∞ too (`x ≤ ∞`),
  with its sides exchanged;
- zeros that count as missing go with the numbers where one threshold says so (see `_without_zeros`).
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from experiments.exchange.ensemble import LEAF, ZERO, Ensemble, Tree
from markets.errors import UserError

__all__ = ["canonical", "constant"]

_INFINITY = np.float32(np.inf)
_FIRST, _AFTER = -np.float32(ZERO), np.nextafter(np.float32(ZERO), _INFINITY)
"""Numbers in [_FIRST, _AFTER) are zeros where zeros count as missing."""


def canonical(ensemble: Ensemble) -> Ensemble:
    """The same trees in the arena's own form: each float32 row ends in the leaf it ended in.

    Nodes and leaves keep their places and numbers. `scale` goes into the leaves, which are then rounded to float32, as
    the base is; it stays apart. A canonical ensemble comes back as it is.

    Raises:
        UserError: no threshold of a node says where zeros go that count as missing there, or a leaf or the base is not
            finite in float32. One line names the tree.
    """
    trees = tuple(_tree(ensemble, index) for index in range(len(ensemble.trees)))
    base = _narrow(ensemble.base, "the base score")
    plain = dataclasses.replace(ensemble, library="arena", trees=trees, base=base, scale=1.0)
    return dataclasses.replace(plain, strict=True, inputs="float32", sums="float32")


def constant(value: NDArray[np.float64]) -> Tree:
    """A tree of one leaf, [outputs]; first among others it starts their sums, as a base does."""
    leaf, no = np.array([LEAF], np.int32), np.zeros(1, np.bool_)
    return Tree(leaf, np.zeros(1), leaf, leaf, no, no, value[None, :], np.zeros(1, np.int32))


def _tree(ensemble: Ensemble, index: int) -> Tree:
    tree = ensemble.trees[index]
    inner = tree.feature != LEAF
    threshold, all_pass = _thresholds(tree.threshold, strict=ensemble.strict, single=ensemble.inputs == "float32")
    all_pass &= inner
    left, right = np.where(all_pass, tree.right, tree.left), np.where(all_pass, tree.left, tree.right)
    tree = dataclasses.replace(
        tree,
        threshold=np.where(inner, threshold, 0).astype(np.float64),
        left=left,
        right=right,
        missing_left=inner & (tree.missing_left ^ all_pass),
        zero_missing=inner & tree.zero_missing,
        value=_narrow(ensemble.scale * tree.value, f"tree {index}: a leaf"),
    )
    return _without_zeros(tree, index) if tree.zero_missing.any() else tree


def _thresholds(
    threshold: NDArray[np.float64], *, strict: bool, single: bool
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Thresholds that float32 numbers lie strictly below, and where all of them pass, +∞ too (−∞ stands there)."""
    with np.errstate(over="ignore"):
        near = threshold.astype(np.float32)
        following = np.nextafter(near, _INFINITY)
    meant = near.astype(np.float64) if single else threshold
    own = np.where(near < meant if strict else near <= meant, following, near)
    all_pass = np.zeros(len(threshold), np.bool_) if strict else meant == np.inf
    return np.where(all_pass | np.isnan(meant), -_INFINITY, own), all_pass


def _without_zeros(tree: Tree, index: int) -> Tree:
    """The tree in which zeros go by the threshold, where that takes them the way of missing values.

    Of the numbers [low, high) of its feature that reach a node, those that go left must stay all those below one
    threshold. If missing values go left, zeros do too, so the threshold moves above them; what lies between the old
    threshold and the zeros would go left with them, so nothing may.
    """
    threshold = tree.threshold.copy()
    reach: list[tuple[int, dict[int, tuple[float, float]]]] = [(0, {})]
    while reach:
        node, bounds = reach.pop()
        feature = int(tree.feature[node])
        if feature == LEAF:
            continue
        low, high = bounds.get(feature, (-np.inf, np.inf))
        own = float(threshold[node])
        if tree.zero_missing[node] and low < _AFTER and high > _FIRST:
            with_zeros = max(own, float(_AFTER)) if tree.missing_left[node] else min(own, float(_FIRST))
            gap = (own, float(_FIRST)) if tree.missing_left[node] else (float(_AFTER), own)
            if max(gap[0], low) < min(gap[1], high):
                side = "left" if tree.missing_left[node] else "right"
                raise UserError(
                    f"tree {index}: zeros count as missing and go {side} at node {node}, and some numbers on either "
                    "side of them do not; train with zero_as_missing=false"
                )
            threshold[node] = own = with_zeros
        reach.append((int(tree.left[node]), bounds | {feature: (low, min(high, own))}))
        reach.append((int(tree.right[node]), bounds | {feature: (max(low, own), high)}))
    return dataclasses.replace(tree, threshold=threshold, zero_missing=np.zeros_like(tree.zero_missing))


def _narrow(values: NDArray[np.float64], whose: str) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32).astype(np.float64)
    if not np.isfinite(narrow).all():
        worst = values[~np.isfinite(narrow)].flat[0]
        raise UserError(f"{whose} is {worst:g}; it must be a finite float32")
    return narrow

"""A forest in NumPy: which leaf each tree ends in, to the bit, and the sum of what the leaves say (`genomes.trees`).

Numbers are compared as ordered integers, so that subnormal numbers, zeros of both signs, infinities and missing values
turn as they do in the arena, whatever the processor does to subnormals.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.live.leaves import Leaves
from markets.errors import UserError

__all__ = ["Forest", "ordered"]

Array = NDArray[np.float32]
Whole = NDArray[np.int32]

# Arrays of no dimension: NumPy takes them several times faster than scalars.
_MISSING = np.array(2**31 - 1, np.int32)
_INFINITY = np.array(0x7F800000, np.int32)
_SIGN = np.array(31, np.int32)
_NEGATIVE_ZERO = np.array(-1, np.int32)
"""What −0 is before it is made 0; no other number is."""

_BLOCK = 2**21
"""Questions answered at a time, which bounds memory where there are many rows."""


def ordered(values: Array) -> Whole:
    """Integers that compare as float32 numbers do: −0 is 0, and NaN is above all."""
    bits = np.ascontiguousarray(values, np.float32).view(np.int32)
    key = bits >> _SIGN
    key &= _MISSING
    key ^= bits
    key += key == _NEGATIVE_ZERO
    np.copyto(key, _MISSING, where=(bits & _MISSING) > _INFINITY)
    return np.asarray(key)


class Forest:
    """Trees that read the market, then trees that may read the account too; the layout is one for all of them."""

    def __init__(self, leaves: Leaves, features: int, account: int, actions: int, settings: Mapping[str, Any]) -> None:
        """Take the trees of a bundle.

        Args:
            leaves: of its tensors.
            features: market features it reads.
            account: numbers of its account it reads.
            actions: it puts a value on.
            settings: of the species: `layout`, `depth`, `market_trees`, `state_trees`.

        Raises:
            UserError: a tensor of another shape than the settings say, or a question for an input that is not there.
        """
        self._depth, self._oblivious = int(settings["depth"]), settings["layout"] == "oblivious"
        self._inner = (1 << self._depth) - 1
        self._market_trees = int(settings["market_trees"])
        last, nodes = 1 << self._depth, self._depth if self._oblivious else self._inner
        kinds = (("market", self._market_trees, features), ("state", int(settings["state_trees"]), features + account))
        feature, threshold, missing, said = [], [], [], []
        for kind, trees, inputs in kinds:
            name = f"genome.{kind}"
            asked = leaves.whole(f"{name}.feature", (trees, nodes))
            if asked.size and not (asked.min() >= 0 and asked.max() < inputs):
                raise UserError(f"{leaves.where}: {name}.feature: expected inputs from 0 to {inputs - 1}")
            feature.append(asked)
            threshold.append(leaves.numbers(f"{name}.threshold", (trees, nodes), finite=False))
            missing.append(leaves.flags(f"{name}.nan_right", (trees, nodes)))
            said.append(leaves.numbers(f"{name}.leaf", (trees, last, actions)))
        trees = len(feature[0]) + len(feature[1])
        self._bias = leaves.numbers("genome.bias", (actions,))
        self._feature = np.concatenate(feature).astype(np.intp).reshape(-1)
        self._threshold = ordered(np.concatenate(threshold).reshape(-1))
        # How many integers from the threshold on turn right: all, or all but the highest, which is NaN.
        span = (np.int64(_MISSING) - self._threshold).astype(np.uint32)
        self._span = span + np.concatenate(missing).reshape(-1).astype(np.uint32)
        self._said = np.concatenate(said).reshape(trees * last, actions)
        self._trees, self._nodes = trees, trees * nodes
        self._first_leaf = np.arange(trees) * last
        self._root = np.arange(trees) * nodes
        self._powers = 1 << np.arange(self._depth - 1, -1, -1)

    def leaves(self, features: Array, view: Array) -> NDArray[np.intp]:
        """Which leaf each tree ends in [*rows, trees], market trees first, of features [*rows, features] and views."""
        seen = ordered(np.concatenate((features, view), axis=-1))
        if seen.ndim == 1:
            return self._ends(self._turns(seen))
        rows, block = seen.reshape(-1, seen.shape[-1]), max(1, _BLOCK // self._nodes)
        parts = [self._ends(self._turns(rows[first : first + block])) for first in range(0, len(rows), block)]
        ends = np.concatenate(parts) if parts else np.zeros((0, self._trees), np.intp)
        return ends.reshape(*seen.shape[:-1], self._trees)

    def values(self, features: Array, view: Array) -> Array:
        """What each action is worth, float32 [*rows, actions], of features [*rows, features] and views [*rows, 4]."""
        said = self._said.take(self.leaves(features, view) + self._first_leaf, axis=0)
        market, state = said[..., : self._market_trees, :], said[..., self._market_trees :, :]
        first = np.add.reduce(market, axis=-2, keepdims=True)
        first += self._bias
        return np.asarray(np.add.reduce(np.concatenate((first, state), axis=-2), axis=-2))

    def _turns(self, seen: Whole) -> NDArray[np.bool_]:
        """Whether each row turns right at each node [*rows, nodes of all trees].

        What is below the threshold wraps around to above everything.
        """
        asked = seen.take(self._feature, axis=-1)
        asked -= self._threshold
        return np.asarray(asked.view(np.uint32) < self._span)

    def _ends(self, right: NDArray[np.bool_]) -> NDArray[np.intp]:
        """The leaf of each tree, by the turns at all nodes."""
        if self._oblivious:
            return np.asarray(right.reshape(*right.shape[:-1], self._trees, self._depth).dot(self._powers))
        flat = right.reshape(-1)
        root = self._root if right.ndim == 1 else self._root + self._nodes * np.arange(len(right))[:, None]
        node, down = root.copy(), 1 - root
        for _ in range(self._depth):
            turned = flat.take(node)
            node += node
            node += down
            node += turned
        node -= root
        node -= self._inner
        return node

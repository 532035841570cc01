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

_MISSING = np.int32(2**31 - 1)
_INFINITY = np.int32(0x7F800000)
_NEGATIVE_ZERO = np.int32(-(2**31))


def ordered(values: Array) -> Whole:
    """Integers that compare as float32 numbers do: −0 is 0, and NaN is above all."""
    bits = np.ascontiguousarray(values, np.float32).view(np.int32)
    key = np.where(bits == _NEGATIVE_ZERO, np.int32(0), bits ^ ((bits >> 31) & _MISSING))
    return np.where((bits & _MISSING) > _INFINITY, _MISSING, key)


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
        self._feature = np.concatenate(feature).astype(np.intp)
        self._threshold = ordered(np.concatenate(threshold))
        # How many integers from the threshold on turn right: all, or all but the highest, which is NaN.
        span = (np.int64(_MISSING) - self._threshold).astype(np.uint32)
        self._span = span + np.concatenate(missing).astype(np.uint32)
        self._said = np.concatenate(said).reshape(trees * last, actions)
        self._first_leaf = np.arange(trees) * last
        self._first_node = np.arange(trees) * nodes
        self._powers = 1 << np.arange(self._depth - 1, -1, -1)
        self._flat = self._feature.reshape(-1), self._threshold.reshape(-1), self._span.reshape(-1)

    def leaves(self, features: Array, view: Array) -> NDArray[np.intp]:
        """Which leaf each tree ends in [*rows, trees], market trees first, of features [*rows, features] and views."""
        seen = ordered(np.concatenate([features, view], axis=-1))
        if self._oblivious:
            return self._turn(seen.take(self._feature, axis=-1), self._threshold, self._span) @ self._powers
        feature, threshold, span = self._flat
        rows = seen.reshape(-1, seen.shape[-1])
        starts = np.arange(len(rows))[:, None] * seen.shape[-1]
        flat, place = rows.reshape(-1), np.zeros((len(rows), len(self._first_node)), np.intp)
        for _ in range(self._depth):
            node = place + self._first_node
            right = self._turn(flat.take(feature.take(node) + starts), threshold.take(node), span.take(node))
            place = 2 * place + 1 + right
        return (place - self._inner).reshape(*seen.shape[:-1], -1)

    def values(self, features: Array, view: Array) -> Array:
        """What each action is worth, float32 [*rows, actions], of features [*rows, features] and views [*rows, 4]."""
        said = self._said.take(self.leaves(features, view) + self._first_leaf, axis=0)
        market, state = said[..., : self._market_trees, :], said[..., self._market_trees :, :]
        first = np.add.reduce(market, axis=-2, keepdims=True) + self._bias
        return np.asarray(np.add.reduce(np.concatenate([first, state], axis=-2), axis=-2))

    @staticmethod
    def _turn(seen: Whole, threshold: Whole, span: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """Whether each turns right: what is below the threshold wraps around to above everything."""
        return np.asarray((seen - threshold).view(np.uint32) < span)

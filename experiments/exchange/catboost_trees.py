"""CatBoost's trees, as its JSON has them.

A row goes right where x > border, in float32. Trees of one kind have the same split at all nodes of a level: they
become complete binary trees. Those of `grow_policy` Depthwise and Lossguide are written node in node.

What the JSON says twice is held against itself: the library finds a split by `split_index` in the borders of all
features one after another, people by `border` and `float_feature_index`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.exchange.ensemble import LEAF, Tree
from markets.errors import UserError

__all__ = ["AGAIN", "NUMBERS_ALONE", "Column", "Splits", "free_tree", "listed", "number", "symmetric_tree"]

AGAIN = "the file is damaged; save the model again"
NUMBERS_ALONE = "which is not supported; train it on numbers alone"
"""Ends of messages."""

_TREATMENTS = ("AsIs", "AsFalse", "AsTrue")
_DEEPEST = 64
_LARGEST = float(np.finfo(np.float32).max)


class Column:
    """A float feature.

    Attributes:
        name: what the library calls it.
        place: where it stands in a row.
        index: its number among the float features.
        borders: ascending, each a float32.
        missing_left: whether NaN goes left.
    """

    def __init__(self, where: str, entry: Any) -> None:
        self.place = _whole(where, entry, "flat_feature_index")
        self.index = _whole(where, entry, "feature_index")
        name = next((entry[key] for key in ("feature_id", "feature_name") if entry.get(key)), str(self.place))
        treatment = entry.get("nan_value_treatment")
        if not isinstance(name, str) or treatment not in _TREATMENTS or not isinstance(entry.get("has_nans"), bool):
            raise UserError(f"{where}: its name, has_nans or nan_value_treatment is none; {AGAIN}")
        self.name = name
        self.borders = [_border(where, value) for value in listed(where, entry, "borders")]
        if any(low >= high for low, high in zip(self.borders, self.borders[1:], strict=False)):
            raise UserError(f"{where}: its borders do not ascend; {AGAIN}")
        # Where the training data had no NaN the library compares it as it is, and no comparison with NaN holds.
        self.missing_left = treatment != "AsTrue" or not entry["has_nans"]


_Split = tuple[int, float, bool]
"""Column, border, and whether NaN goes left."""


class Splits:
    """The library's one list of all borders of all features, in which `split_index` points."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._all: list[_Split] = []
        self._index: list[int] = []
        for column in columns:
            self._all += [(column.place, each, column.missing_left) for each in column.borders]
            self._index += [column.index] * len(column.borders)

    def find(self, where: str, entry: Any) -> _Split:
        """The split that an entry of a tree means.

        Raises:
            UserError: no split by a number, or not the one that its `split_index` says.
        """
        kind = entry.get("split_type", "FloatFeature") if isinstance(entry, dict) else None
        if isinstance(kind, str) and kind != "FloatFeature":
            feature = entry.get("cat_feature_index", entry.get("split_index"))
            raise UserError(f"{where}: split {str(feature)[:40]} is of type {kind[:40]}, {NUMBERS_ALONE}")
        index = _whole(where, entry, "split_index")
        feature, value = _whole(where, entry, "float_feature_index"), _border(where, entry.get("border"))
        if index >= len(self._all) or self._index[index] != feature or self._all[index][1] != value:
            raise UserError(
                f"{where}: split_index {index} is not border {value:.9g} of float feature {feature}; {AGAIN}"
            )
        return self._all[index]


def symmetric_tree(where: str, entry: Any, splits: Splits) -> Tree:
    """A complete binary tree, level by level: node i has the children 2i + 1 and 2i + 2.

    Raises:
        UserError: the entry is no such tree; it begins with `where`.
    """
    levels = [splits.find(where, split) for split in listed(where, entry, "splits", empty=True)]
    written = listed(where, entry, "leaf_values")
    depth = len(levels)
    outputs, rest = divmod(len(written), 1 << depth) if depth <= _DEEPEST else (0, 1)
    if rest or outputs < 1:
        raise UserError(f"{where}: has {depth} splits and {len(written)} leaf_values; {AGAIN}")
    inner, leaves = (1 << depth) - 1, 1 << depth
    level = np.repeat(np.arange(depth), 1 << np.arange(depth))
    place, cut, missing_left = (np.array([split[part] for split in levels]) for part in range(3))
    # The way to the p-th leaf from the left is p in binary, the root first; the library's number has the root last.
    way = np.arange(leaves)
    order = sum(((way >> (depth - 1 - bit) & 1) << bit for bit in range(depth)), np.zeros(leaves, np.int64))
    values = np.array([number(where, value) for value in written], np.float64).reshape(leaves, outputs)
    blank = np.full(leaves, LEAF)
    return _arrays(
        feature=np.concatenate([place[level] if depth else [], blank]),
        threshold=np.concatenate([cut[level] if depth else [], np.zeros(leaves)]),
        left=np.concatenate([2 * np.arange(inner) + 1, blank]),
        right=np.concatenate([2 * np.arange(inner) + 2, blank]),
        missing_left=np.concatenate([missing_left[level] if depth else [], np.zeros(leaves)]),
        value=np.concatenate([np.zeros((inner, outputs)), values[order]]),
        number=np.concatenate([np.full(inner, LEAF), order]),
    )


def free_tree(where: str, entry: Any, splits: Splits) -> Tree:
    """A tree written node in node, depth first.

    Raises:
        UserError: the entry is no such tree; it begins with `where`.
    """
    found: list[_Split | None] = []
    children: list[list[int]] = []
    values: list[list[float]] = []
    waiting: list[tuple[Any, int, int]] = [(entry, LEAF, 0)]
    while waiting:
        node, parent, side = waiting.pop()
        if not isinstance(node, dict):
            raise UserError(f"{where}: a node is missing; {AGAIN}")
        if parent != LEAF:
            children[parent][side] = len(found)
        if "value" in node:
            value = node["value"] if isinstance(node["value"], list) else [node["value"]]
            values.append([number(where, each) for each in value])
            found.append(None)
            if not value or len(value) != len(values[0]):
                raise UserError(f"{where}: a leaf has {len(value)} values, the first {len(values[0])}; {AGAIN}")
        else:
            waiting += [(node.get("right"), len(found), 1), (node.get("left"), len(found), 0)]
            found.append(splits.find(where, node.get("split")))
        children.append([LEAF, LEAF])
    leaf = np.array([split is None for split in found])
    filled = [split or (LEAF, 0.0, False) for split in found]
    value_of = np.zeros((len(found), len(values[0])))
    value_of[leaf] = values
    order = np.where(leaf, np.cumsum(leaf) - 1, LEAF)
    place, cut, missing_left = (np.array([split[part] for split in filled]) for part in range(3))
    sides = np.array(children)
    return _arrays(
        feature=place,
        threshold=cut,
        left=sides[:, 0],
        right=sides[:, 1],
        missing_left=missing_left,
        value=value_of,
        number=order,
    )


def _arrays(**parts: Any) -> Tree:
    integers = {key: parts[key].astype(np.int32) for key in ("feature", "left", "right", "number")}
    return Tree(
        **integers,
        threshold=parts["threshold"].astype(np.float64),
        missing_left=parts["missing_left"].astype(np.bool_),
        zero_missing=np.zeros(len(parts["feature"]), np.bool_),
        value=parts["value"],
    )


def listed(where: str, entry: Any, key: str, *, empty: bool = False) -> list[Any]:
    """The list under a key; null stands for one without elements where it may be `empty`.

    Raises:
        UserError: there is none; it begins with `where`.
    """
    found = entry.get(key) if isinstance(entry, dict) else None
    if found is None and empty and isinstance(entry, dict) and key in entry:
        return []
    if not isinstance(found, list):
        raise UserError(f"{where}: {key} is missing or no list; {AGAIN}")
    return found


def _whole(where: str, entry: Any, key: str) -> int:
    """The whole number from 0 on under a key."""
    found = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise UserError(f"{where}: {key} is missing or no whole number; {AGAIN}")
    return found


def number(where: str, value: Any) -> float:
    """A finite number.

    Raises:
        UserError: the value is none.
    """
    try:
        if isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(float(value)):
            return float(value)
    except OverflowError:
        pass
    raise UserError(f"{where}: {str(value)[:40]!r} is no finite number; {AGAIN}")


def _border(where: str, value: Any) -> float:
    """A border, which is a float32."""
    found = number(where, value)
    if abs(found) > _LARGEST:
        raise UserError(f"{where}: border {found:.9g} is no float32; {AGAIN}")
    return float(np.float32(found))

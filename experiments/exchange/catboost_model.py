"""CatBoost's models: JSON, and its own binary form (.cbm) by letting the library write JSON where it is installed.

A row goes right where x > border, in float32. Trees of one kind have the same split at all nodes of a level: they
become complete binary trees. Those of `grow_policy` Depthwise and Lossguide are written node in node.

What the JSON says twice is held against itself: the library finds a split by `split_index` in the borders of all
features one after another, people by `border` and `float_feature_index`.

The library's own reader of JSON is off in the last bit of some numbers; scores here are those of the model that was
saved, not of the model that the library reads back from the JSON.
"""

import contextlib
import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from experiments.exchange.ensemble import LEAF, Ensemble, Tree
from experiments.exchange.reading import read_content
from markets.errors import UserError

__all__ = ["read_catboost"]

_RIGHT = "right is what CatBoost's save_model(…, format='json') wrote"
_AGAIN = "the file is damaged; save the model again"
_NUMBERS_ALONE = "which is not supported; train it on numbers alone"
_BINARY = b"CBM1"
_HEAD = 8
"""Bytes of a .cbm before its core: a mark, and how long the core is."""
_DEEPEST = 64
_LARGEST = float(np.finfo(np.float32).max)

_LOGISTIC = frozenset({"Logloss", "CrossEntropy", "Focal"})
_EXPONENTIAL = frozenset({"Poisson", "Tweedie"})
_IDENTITY = frozenset(
    (
        *("RMSE", "MAE", "Quantile", "MultiQuantile", "Expectile", "Lq", "Huber", "LogCosh", "MAPE"),
        *("MultiRMSE", "MultiRMSEWithMissingValues", "QueryRMSE", "QuerySoftMax", "QueryCrossEntropy", "GroupQuantile"),
        *("PairLogit", "PairLogitPairwise", "YetiRank", "YetiRankPairwise", "LambdaMart", "StochasticFilter"),
        *("StochasticRank", "PythonUserDefinedPerObject", "PythonUserDefinedMultiTarget", "UserPerObjMetric"),
    )
)
_TREATMENTS = ("AsIs", "AsFalse", "AsTrue")

_REFUSED, _PATIENCE = 3, 600
_PROGRAM = f"""
import sys
import catboost
model = catboost.CatBoost()
try:
    model.load_model(sys.argv[1])
    kinds = ("categorical", model._get_cat_feature_indices()), ("text", model._get_text_feature_indices())
    for kind, features in (*kinds, ("embedding", model._get_embedding_feature_indices())):
        if len(features):
            print(f"feature {{features[0]}} is {{kind}}")
            sys.exit({_REFUSED})
    model.save_model(sys.argv[2], format="json")
except Exception as error:
    print(" ".join(str(error).split()))
    sys.exit(1)
"""
"""Turns the .cbm of its first argument into the JSON of its second; what is wrong it prints."""

_Link = Literal["identity", "logistic", "softmax", "exponential"]


class _Column:
    """A float feature: where it stands in a row, its borders, and where NaN goes."""

    def __init__(self, where: str, entry: Any) -> None:
        self.place = _whole(where, entry, "flat_feature_index")
        self.index = _whole(where, entry, "feature_index")
        name = next((entry[key] for key in ("feature_id", "feature_name") if entry.get(key)), str(self.place))
        treatment = entry.get("nan_value_treatment")
        if not isinstance(name, str) or treatment not in _TREATMENTS or not isinstance(entry.get("has_nans"), bool):
            raise UserError(f"{where}: its name, has_nans or nan_value_treatment is none; {_AGAIN}")
        self.name = name
        self.borders = [_border(where, value) for value in _list(where, entry, "borders")]
        if any(low >= high for low, high in zip(self.borders, self.borders[1:], strict=False)):
            raise UserError(f"{where}: its borders do not ascend; {_AGAIN}")
        # Where the training data had no NaN the library compares it as it is, and no comparison with NaN holds.
        self.missing_left = treatment != "AsTrue" or not entry["has_nans"]


_Split = tuple[int, float, bool]
"""Column, border, and whether NaN goes left."""


def read_catboost(path: Path) -> Ensemble:
    """The ensemble that a CatBoost file means.

    Its raw scores equal `predict(prediction_type="RawFormulaVal")` of the saved model to the bit. Leaves of symmetric
    trees are numbered as in `calc_leaf_indexes` (the first split is the lowest bit); the JSON of other trees does not
    tell their numbers, and they are counted depth first, left before right, as the library does when it reads one.

    Raises:
        UserError: no such file, not a CatBoost model, damaged, a .cbm without the library, or a model with categorical,
            text or embedding features or with a loss whose scores no link of an `Ensemble` describes.
    """
    raw = read_content(path)
    model = _parsed(path, _converted(path, raw) if raw.startswith(_BINARY) else raw)
    columns = _columns(path, model)
    where = f"{path}"
    scale, bias = _scale_and_bias(path, model)
    written = [key for key in ("oblivious_trees", "trees") if key in model]
    if len(written) != 1:
        raise UserError(f"{path}: has neither oblivious_trees nor trees, or both; {_RIGHT}")
    listed = _list(where, model, written[0])
    splits = _Splits(columns)
    read = _symmetric if written[0] == "oblivious_trees" else _free
    trees = [read(f"{path}: tree {index}", entry, splits) for index, entry in enumerate(listed)]
    outputs = trees[0].value.shape[1] if trees else max(len(bias), 1)
    for index, tree in enumerate(trees):
        if tree.value.shape[1] != outputs:
            raise UserError(
                f"{path}: tree {index}: leaves have {tree.value.shape[1]} values where tree 0 has {outputs}; {_AGAIN}"
            )
    if len(bias) != outputs:
        if any(bias):
            raise UserError(f"{path}: scale_and_bias: {len(bias)} biases for {outputs} scores; {_AGAIN}")
        bias = [0.0] * outputs
    link, classes = _link(path, model, outputs)
    return Ensemble(
        library="catboost",
        features=tuple(column.name for column in sorted(columns, key=lambda column: column.place)),
        trees=tuple(trees),
        base=np.array(bias, np.float64),
        scale=scale,
        strict=False,
        inputs="float32",
        sums="float64",
        link=link,
        classes=classes,
    )


def _converted(path: Path, raw: bytes) -> bytes:
    """The JSON that the library makes of a binary model, in a process of its own: over some damage it crashes."""
    if importlib.util.find_spec("catboost") is None:
        raise UserError(f"{path}: a .cbm needs CatBoost itself: pip install 'lineage-arena[trees]'")
    if len(raw) < _HEAD or len(raw) < _HEAD + int.from_bytes(raw[len(_BINARY) : _HEAD], "little"):
        raise UserError(f"{path}: has {len(raw):,} bytes and tells of more, so it was cut off; save the model again")
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "model.cbm", Path(folder) / "model.json"
        source.write_bytes(raw)
        command = [sys.executable, "-P", "-c", _PROGRAM, str(source), str(target)]
        try:
            done = subprocess.run(command, capture_output=True, timeout=_PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            raise UserError(f"{path}: CatBoost does not get done with it; save the model again") from None
        if done.returncode == 0 and target.is_file():
            return target.read_bytes()
        said = done.stdout.decode(errors="replace").strip()[:200]
    if done.returncode == _REFUSED:
        raise UserError(f"{path}: {said}, {_NUMBERS_ALONE}")
    raise UserError(f"{path}: CatBoost cannot read it ({said or 'it crashed'}); save the model again")


def _parsed(path: Path, raw: bytes) -> dict[str, Any]:
    def refuse(text: str) -> float:
        raise ValueError(text)

    try:
        model = json.loads(raw, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: is no JSON ({str(error)[:120]}); {_RIGHT}") from None
    if not isinstance(model, dict) or not isinstance(model.get("features_info"), dict):
        raise UserError(f"{path}: is no CatBoost model: features_info is missing; {_RIGHT}")
    return model


def _columns(path: Path, model: dict[str, Any]) -> Sequence[_Column]:
    """The float features, in the order in which borders are counted."""
    info = model["features_info"]
    for key in ("categorical_features", "text_features", "embedding_features", "ctrs"):
        entries = info.get(key) or []
        if entries:
            first = entries[0] if isinstance(entries, list) and isinstance(entries[0], dict) else {}
            name = first.get("feature_id") or first.get("feature_name") or first.get("flat_feature_index", 0)
            what = "a ctr of categories" if key == "ctrs" else key.removesuffix("_features")
            raise UserError(f"{path}: feature {str(name)[:80]} is {what}, {_NUMBERS_ALONE}")
    entries = _list(f"{path}: features_info", info, "float_features")
    columns = [_Column(f"{path}: feature {index}", entry) for index, entry in enumerate(entries)]
    if [column.index for column in columns] != list(range(len(columns))):
        raise UserError(f"{path}: features_info: feature_index does not count from 0 on; {_AGAIN}")
    places = {column.place for column in columns}
    if places != set(range(len(columns))):
        missing = min(set(range(len(columns))) - places)
        raise UserError(f"{path}: feature {missing} is none of its float features, {_NUMBERS_ALONE}")
    return columns


def _scale_and_bias(path: Path, model: dict[str, Any]) -> tuple[float, list[float]]:
    """Scale, and bias of each score; older models write one number, still older ones nothing."""
    where = f"{path}: scale_and_bias"
    pair = model.get("scale_and_bias", [1, []])
    if not isinstance(pair, list) or len(pair) != 2:
        raise UserError(f"{where}: is not a pair; {_AGAIN}")
    bias = pair[1] if isinstance(pair[1], list) else [pair[1]]
    return _number(where, pair[0]), [_number(where, value) for value in bias]


def _link(path: Path, model: dict[str, Any], outputs: int) -> tuple[_Link, tuple[str, ...]]:
    """What the library makes of raw scores, and what it calls their classes."""
    info = model.get("model_info")
    name = _loss(info) if isinstance(info, dict) else None
    if not isinstance(info, dict) or name is None:
        raise UserError(f"{path}: model_info.params.loss_function.type is missing; {_AGAIN}")
    if name in _LOGISTIC and outputs == 1:
        return "logistic", _classes(path, info, 2)
    if name == "MultiClass" and outputs > 1:
        return "softmax", _classes(path, info, outputs)
    if name in _IDENTITY:
        return "identity", ()
    if name in _EXPONENTIAL and outputs == 1:
        return "exponential", ()
    raise UserError(
        f"{path}: loss_function {name[:80]} makes of {outputs} raw scores what is not supported; "
        "right is Logloss, CrossEntropy, MultiClass or a regression or ranking that predicts its raw scores"
    )


def _loss(info: dict[str, Any]) -> str | None:
    """Name of the loss function; a sum of models has it as a text of JSON outside of `params`."""
    params, loss = info.get("params"), info.get("loss_function")
    if isinstance(params, dict):
        loss = params.get("loss_function")
    elif isinstance(loss, str):
        with contextlib.suppress(ValueError, RecursionError):
            loss = json.loads(loss)
    name = loss.get("type") if isinstance(loss, dict) else None
    return name if isinstance(name, str) else None


def _classes(path: Path, info: dict[str, Any], count: int) -> tuple[str, ...]:
    """Labels as the library shows them: a class 0 is 0 among whole numbers and 0.0 among others.

    `class_to_label` says which of the classes each score is of: some may have names and nothing in the training data,
    and the library predicts −∞ for them.
    """
    where = f"{path}: model_info.class_params"
    params = info.get("class_params") or {}
    if not isinstance(params, dict):
        raise UserError(f"{where}: is no object; {_AGAIN}")
    names, labels = params.get("class_names") or [], params.get("class_to_label") or list(range(count))
    if not isinstance(names, list) or not all(isinstance(name, str | int | float) for name in names):
        raise UserError(f"{where}.class_names: is no list of names; {_AGAIN}")
    if not isinstance(labels, list) or len(labels) != count or not all(isinstance(label, int) for label in labels):
        raise UserError(f"{where}.class_to_label: is no list of {count} whole numbers; {_AGAIN}")
    if not names:
        return tuple(str(label) for label in labels)
    if not 0 <= min(labels) <= max(labels) < len(names):
        raise UserError(f"{where}: class_to_label is beyond the {len(names)} class_names; {_AGAIN}")
    if params.get("class_label_type") == "Float":
        names = [_number(f"{where}.class_names", name) for name in names]
    return tuple(str(names[label]) for label in labels)


class _Splits:
    """The library's one list of all borders of all features, in which `split_index` points."""

    def __init__(self, columns: Sequence[_Column]) -> None:
        self._all: list[_Split] = []
        self._index: list[int] = []
        for column in columns:
            self._all += [(column.place, border, column.missing_left) for border in column.borders]
            self._index += [column.index] * len(column.borders)

    def find(self, where: str, entry: Any) -> _Split:
        """The split that an entry of a tree means."""
        kind = entry.get("split_type", "FloatFeature") if isinstance(entry, dict) else None
        if isinstance(kind, str) and kind != "FloatFeature":
            feature = entry.get("cat_feature_index", entry.get("split_index"))
            raise UserError(f"{where}: split {str(feature)[:40]} is of type {kind[:40]}, {_NUMBERS_ALONE}")
        index = _whole(where, entry, "split_index")
        feature, border = _whole(where, entry, "float_feature_index"), _border(where, entry.get("border"))
        if index >= len(self._all) or self._index[index] != feature or self._all[index][1] != border:
            raise UserError(
                f"{where}: split_index {index} is not border {border:.9g} of float feature {feature}; {_AGAIN}"
            )
        return self._all[index]


def _symmetric(where: str, entry: Any, splits: _Splits) -> Tree:
    """A complete binary tree, level by level: node i has the children 2i + 1 and 2i + 2."""
    levels = [splits.find(where, split) for split in _list(where, entry, "splits", empty=True)]
    written = _list(where, entry, "leaf_values")
    depth = len(levels)
    outputs, rest = divmod(len(written), 1 << depth) if depth <= _DEEPEST else (0, 1)
    if rest or outputs < 1:
        raise UserError(f"{where}: has {depth} splits and {len(written)} leaf_values; {_AGAIN}")
    inner, leaves = (1 << depth) - 1, 1 << depth
    level = np.repeat(np.arange(depth), 1 << np.arange(depth))
    place, border, missing_left = (np.array([split[part] for split in levels]) for part in range(3))
    # The way to the p-th leaf from the left is p in binary, the root first; the library's number has the root last.
    way = np.arange(leaves)
    number = sum(((way >> (depth - 1 - bit) & 1) << bit for bit in range(depth)), np.zeros(leaves, np.int64))
    values = np.array([_number(where, value) for value in written], np.float64).reshape(leaves, outputs)
    blank = np.full(leaves, LEAF)
    return _arrays(
        feature=np.concatenate([place[level] if depth else [], blank]),
        threshold=np.concatenate([border[level] if depth else [], np.zeros(leaves)]),
        left=np.concatenate([2 * np.arange(inner) + 1, blank]),
        right=np.concatenate([2 * np.arange(inner) + 2, blank]),
        missing_left=np.concatenate([missing_left[level] if depth else [], np.zeros(leaves)]),
        value=np.concatenate([np.zeros((inner, outputs)), values[number]]),
        number=np.concatenate([np.full(inner, LEAF), number]),
    )


def _free(where: str, entry: Any, splits: _Splits) -> Tree:
    """A tree written node in node, depth first."""
    found: list[_Split | None] = []
    children: list[list[int]] = []
    values: list[list[float]] = []
    waiting: list[tuple[Any, int, int]] = [(entry, LEAF, 0)]
    while waiting:
        node, parent, side = waiting.pop()
        if not isinstance(node, dict):
            raise UserError(f"{where}: a node is missing; {_AGAIN}")
        if parent != LEAF:
            children[parent][side] = len(found)
        if "value" in node:
            value = node["value"] if isinstance(node["value"], list) else [node["value"]]
            values.append([_number(where, each) for each in value])
            found.append(None)
            if not value or len(value) != len(values[0]):
                raise UserError(f"{where}: a leaf has {len(value)} values, the first {len(values[0])}; {_AGAIN}")
        else:
            waiting += [(node.get("right"), len(found), 1), (node.get("left"), len(found), 0)]
            found.append(splits.find(where, node.get("split")))
        children.append([LEAF, LEAF])
    leaf = np.array([split is None for split in found])
    filled = [split or (LEAF, 0.0, False) for split in found]
    value_of = np.zeros((len(found), len(values[0])))
    value_of[leaf] = values
    number = np.where(leaf, np.cumsum(leaf) - 1, LEAF)
    place, border, missing_left = (np.array([split[part] for split in filled]) for part in range(3))
    sides = np.array(children)
    return _arrays(
        feature=place,
        threshold=border,
        left=sides[:, 0],
        right=sides[:, 1],
        missing_left=missing_left,
        value=value_of,
        number=number,
    )


def _arrays(**parts: Any) -> Tree:
    whole = {key: parts[key].astype(np.int32) for key in ("feature", "left", "right", "number")}
    return Tree(
        **whole,
        threshold=parts["threshold"].astype(np.float64),
        missing_left=parts["missing_left"].astype(np.bool_),
        zero_missing=np.zeros(len(parts["feature"]), np.bool_),
        value=parts["value"],
    )


def _list(where: str, entry: Any, key: str, *, empty: bool = False) -> list[Any]:
    """The list under a key; null stands for one without elements where that may be."""
    found = entry.get(key) if isinstance(entry, dict) else None
    if found is None and empty and isinstance(entry, dict) and key in entry:
        return []
    if not isinstance(found, list):
        raise UserError(f"{where}: {key} is missing or no list; {_AGAIN}")
    return found


def _whole(where: str, entry: Any, key: str) -> int:
    found = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise UserError(f"{where}: {key} is missing or no whole number; {_AGAIN}")
    return found


def _number(where: str, value: Any) -> float:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(float(value)):
            return float(value)
    except OverflowError:
        pass
    raise UserError(f"{where}: {str(value)[:40]!r} is no finite number; {_AGAIN}")


def _border(where: str, value: Any) -> float:
    """A border, which is a float32."""
    number = _number(where, value)
    if abs(number) > _LARGEST:
        raise UserError(f"{where}: border {number:.9g} is no float32; {_AGAIN}")
    return float(np.float32(number))

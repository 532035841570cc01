"""CatBoost's models: JSON, and its own binary form (.cbm) by letting the library write JSON where it is installed.

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

from experiments.exchange.catboost_trees import (
    AGAIN,
    NUMBERS_ALONE,
    Column,
    Splits,
    free_tree,
    listed,
    number,
    symmetric_tree,
)
from experiments.exchange.ensemble import Ensemble
from experiments.exchange.reading import read_content
from markets.errors import UserError

__all__ = ["read_catboost"]

_RIGHT = "right is what CatBoost's save_model(…, format='json') wrote"
_BINARY = b"CBM1"
_HEAD = 8
"""Bytes of a .cbm before its core: a mark, and how long the core is."""

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
    entries = listed(where, model, written[0])
    splits = Splits(columns)
    read = symmetric_tree if written[0] == "oblivious_trees" else free_tree
    trees = [read(f"{path}: tree {index}", entry, splits) for index, entry in enumerate(entries)]
    outputs = trees[0].value.shape[1] if trees else max(len(bias), 1)
    for index, tree in enumerate(trees):
        if tree.value.shape[1] != outputs:
            raise UserError(
                f"{path}: tree {index}: leaves have {tree.value.shape[1]} values where tree 0 has {outputs}; {AGAIN}"
            )
    if len(bias) != outputs:
        if any(bias):
            raise UserError(f"{path}: scale_and_bias: {len(bias)} biases for {outputs} scores; {AGAIN}")
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
        raise UserError(f"{path}: {said}, {NUMBERS_ALONE}")
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


def _columns(path: Path, model: dict[str, Any]) -> Sequence[Column]:
    """The float features, in the order in which borders are counted."""
    info = model["features_info"]
    for key in ("categorical_features", "text_features", "embedding_features", "ctrs"):
        entries = info.get(key) or []
        if entries:
            first = entries[0] if isinstance(entries, list) and isinstance(entries[0], dict) else {}
            name = first.get("feature_id") or first.get("feature_name") or first.get("flat_feature_index", 0)
            what = "a ctr of categories" if key == "ctrs" else key.removesuffix("_features")
            raise UserError(f"{path}: feature {str(name)[:80]} is {what}, {NUMBERS_ALONE}")
    entries = listed(f"{path}: features_info", info, "float_features")
    columns = [Column(f"{path}: feature {index}", entry) for index, entry in enumerate(entries)]
    if [column.index for column in columns] != list(range(len(columns))):
        raise UserError(f"{path}: features_info: feature_index does not count from 0 on; {AGAIN}")
    places = {column.place for column in columns}
    if places != set(range(len(columns))):
        missing = min(set(range(len(columns))) - places)
        raise UserError(f"{path}: feature {missing} is none of its float features, {NUMBERS_ALONE}")
    return columns


def _scale_and_bias(path: Path, model: dict[str, Any]) -> tuple[float, list[float]]:
    """Scale, and bias of each score; older models write one number, still older ones nothing."""
    where = f"{path}: scale_and_bias"
    pair = model.get("scale_and_bias", [1, []])
    if not isinstance(pair, list) or len(pair) != 2:
        raise UserError(f"{where}: is not a pair; {AGAIN}")
    bias = pair[1] if isinstance(pair[1], list) else [pair[1]]
    return number(where, pair[0]), [number(where, value) for value in bias]


def _link(path: Path, model: dict[str, Any], outputs: int) -> tuple[_Link, tuple[str, ...]]:
    """What the library makes of raw scores, and what it calls their classes."""
    info = model.get("model_info")
    name = _loss(info) if isinstance(info, dict) else None
    if not isinstance(info, dict) or name is None:
        raise UserError(f"{path}: model_info.params.loss_function.type is missing; {AGAIN}")
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
        raise UserError(f"{where}: is no object; {AGAIN}")
    names, labels = params.get("class_names") or [], params.get("class_to_label") or list(range(count))
    if not isinstance(names, list) or not all(isinstance(name, str | int | float) for name in names):
        raise UserError(f"{where}.class_names: is no list of names; {AGAIN}")
    if not isinstance(labels, list) or len(labels) != count or not all(isinstance(label, int) for label in labels):
        raise UserError(f"{where}.class_to_label: is no list of {count} whole numbers; {AGAIN}")
    if not names:
        return tuple(str(label) for label in labels)
    if not 0 <= min(labels) <= max(labels) < len(names):
        raise UserError(f"{where}: class_to_label is beyond the {len(names)} class_names; {AGAIN}")
    if params.get("class_label_type") == "Float":
        names = [number(f"{where}.class_names", name) for name in names]
    return tuple(str(names[label]) for label in labels)

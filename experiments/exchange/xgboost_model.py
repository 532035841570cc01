"""Tree models that XGBoost saved, as JSON or UBJSON, by XGBoost 1.7 to 3.x: the same leaves, the same margins.

Read from the file alone; XGBoost need not be installed. What a model of XGBoost means beyond its arrays:

- A row goes left where x < split_conditions (float32), NaN by default_left. A leaf's value is its split_conditions.
- Nodes that pruning cut off stay in the arrays, with nothing leading to them, and numbers of nodes count them.
- tree_info names the score that a tree adds to: its class, or its target. num_parallel_tree of them grow at once.
- weight_drop of DART multiplies the leaves of a tree, in float32.
- base_score is what the objective predicts before the first tree; margins start from its inverse link. It is a text
  with one number before 3.1, an array within a text since.
- Numbers in JSON are the shortest decimals that mean one float32, which reading them as float64 first can miss.
"""

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.exchange import ubjson
from experiments.exchange.ensemble import LEAF, Ensemble, Tree, levels
from experiments.exchange.fields import Written, part, single, whole, whole_numbers
from experiments.exchange.reading import read_content
from markets.errors import UserError

__all__ = ["read_xgboost"]


class _Objective(NamedTuple):
    """What an objective makes of margins, and how the base score becomes one."""

    link: Literal["identity", "logistic", "softmax", "exponential"]
    margin: Literal["itself", "logit", "log"]


_OBJECTIVES = {
    **dict.fromkeys(
        (
            *("reg:squarederror", "reg:linear", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror"),
            *("reg:quantileerror", "binary:logitraw", "binary:hinge", "rank:pairwise", "rank:ndcg", "rank:map"),
        ),
        _Objective("identity", "itself"),
    ),
    **dict.fromkeys(("binary:logistic", "reg:logistic"), _Objective("logistic", "logit")),
    **dict.fromkeys(("multi:softprob", "multi:softmax"), _Objective("softmax", "itself")),
    **dict.fromkeys(
        ("count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft"), _Objective("exponential", "log")
    ),
}

_UNREAD = frozenset({"base_weights", "loss_changes", "sum_hessian", "parents"})
"""Arrays of a tree that its predictions do not need."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_BOUNDED = (3, 2)
"""Version that began to keep the base score of logistic objectives this far from 0 and 1."""
_EPSILON = np.float32(1e-6)

_MOST_FEATURES = 1 << 20
_MOST_VALUES = 1 << 27
"""Leaves' values that are kept, in all: a GiB."""


def read_xgboost(path: Path) -> Ensemble:
    """The trees of a model that XGBoost saved with `save_model`, as JSON or UBJSON (told apart by content).

    A model that was stopped early says in its attribute `best_iteration` which round was best, and holds the rounds
    after it too. Only the rounds up to the best come in, as XGBoost's scikit-learn wrappers predict; the same from a
    `Booster` is `predict(…, iteration_range=(0, best_iteration + 1))`, since it takes all rounds by default.

    Margins are those of `Booster.predict(DMatrix(rows), output_margin=True)`, leaf by leaf summed in float32. The
    logarithm in the base score of logistic and exponential objectives is rounded correctly; that of a C library may
    differ in the last bit.

    Raises:
        UserError: not readable, damaged, or no sum of trees over numbers: linear boosters, leaves that are vectors,
            splits by categories, objectives it does not know. One line names the file and the tree.
    """
    content = read_content(path)
    try:
        return _ensemble(_parsed(content))
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    except RecursionError:
        raise UserError(f"{path}: damaged, or no model of XGBoost: too many arrays within each other") from None


def _parsed(content: bytes) -> Any:
    form = "UBJSON" if ubjson.begins(content) else "JSON"
    try:
        if form == "UBJSON":
            return ubjson.loads(content)
        text = content.decode("utf-8-sig")
        return json.loads(text, parse_float=Written, object_hook=_read_keys)
    except ValueError as error:
        raise ValueError(f"damaged, or no model of XGBoost; as {form}: {error}") from None


def _read_keys(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in _UNREAD}


def _ensemble(model: Any) -> Ensemble:
    if not isinstance(model, dict):
        raise ValueError("no model of XGBoost; right is an object with a learner")
    learner = part(model, "learner", dict)
    booster, weights = _booster(learner)
    shape = part(learner, "learner_model_param", dict)
    count = whole(shape, "num_feature", most=_MOST_FEATURES)
    nodes = part(booster, "trees", list)
    groups = whole(shape, "num_class"), whole(shape, "num_target") if "num_target" in shape else 1
    outputs = max(*groups, 1)
    if outputs > max(len(nodes), 1):
        raise ValueError(f"{outputs:,} scores (num_class, num_target) and {len(nodes):,} trees; right is a tree each")
    objective = _objective(learner, outputs)
    trees = _trees(booster, nodes, weights, features=count, outputs=outputs)
    return Ensemble(
        library="xgboost",
        features=_features(learner, count),
        trees=tuple(trees)[: _kept(learner, booster, len(trees), outputs)],
        base=_base(shape, objective, outputs, bounded=_version(model) >= _BOUNDED),
        link=objective.link,
        classes=_classes(objective, outputs),
    )


def _booster(learner: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """The model of the trees, and DART's weights of them (None without)."""
    booster = part(learner, "gradient_booster", dict)
    name = part(booster, "name", str)
    if name not in ("gbtree", "dart"):
        raise ValueError(f"its booster is {name}, which has no trees; right is gbtree or dart")
    trees = part(booster, "gbtree", dict) if "gbtree" in booster else booster
    model = part(trees, "model", dict)
    weights = booster.get("weight_drop", model.get("weight_drop"))
    if name == "dart" and weights is None:
        raise ValueError("weight_drop is missing; a dart model has a weight for each tree")
    return model, weights


def _objective(learner: dict[str, Any], outputs: int) -> _Objective:
    name = part(part(learner, "objective", dict), "name", str)
    if name not in _OBJECTIVES:
        raise ValueError(f"its objective is {name}; right is one of {', '.join(_OBJECTIVES)}")
    if _OBJECTIVES[name].link == "logistic" and outputs > 1:
        raise ValueError(f"{name} of {outputs:,} labels at once; right is one label, or multi:softprob for classes")
    return _OBJECTIVES[name]


def _classes(objective: _Objective, outputs: int) -> tuple[str, ...]:
    count = {"logistic": 2, "softmax": outputs}.get(objective.link, 0)
    return tuple(str(index) for index in range(count))


def _features(learner: dict[str, Any], count: int) -> tuple[str, ...]:
    names = part(learner, "feature_names", list) if "feature_names" in learner else []
    if not len(names):
        return tuple(f"f{index}" for index in range(count))
    if len(names) != count or not all(isinstance(name, str) for name in names):
        raise ValueError(f"feature_names are {len(names):,}; right is a text for each of {count:,} features")
    return tuple(map(str, names))


def _version(model: dict[str, Any]) -> tuple[int, ...]:
    return tuple(whole_numbers(model, "version").tolist()) if "version" in model else ()


def _base(shape: dict[str, Any], objective: _Objective, outputs: int, *, bounded: bool) -> NDArray[np.float64]:
    """The base score as margins, float64 [outputs], each a float32."""
    written = part(shape, "base_score", str)
    texts = [text.strip() for text in written.strip().removeprefix("[").removesuffix("]").split(",")]
    if not all(_NUMBER.fullmatch(text) for text in texts):
        raise ValueError(f"base_score is {written!r}; right is a number or an array of numbers")
    scores = single([Written(text) for text in texts])
    if len(scores) not in (1, outputs):
        raise ValueError(
            f"base_score holds {len(scores):,} numbers; right is one, or one for each of {outputs:,} scores"
        )
    margins = [_margin(score, objective.margin, bounded=bounded) for score in scores]
    if not np.isfinite(margins).all():
        raise ValueError(f"base_score is {written!r}, which this objective cannot predict")
    return np.broadcast_to(np.array(margins, np.float64), (outputs,)).copy()


def _margin(score: np.float32, kind: str, *, bounded: bool) -> float:
    """`ObjFunction::ProbToMargin`: the logit −log(1/p − 1) or the logarithm, in float32; NaN where there is none."""
    one = np.float32(1)
    if kind == "itself":
        return float(score)
    if kind == "logit":
        if bounded and 0 <= score <= 1:
            score = np.clip(score, _EPSILON, one - _EPSILON)
        if not 0 < score < 1:
            return math.nan
        return -float(np.float32(math.log(one / score - one)))
    return float(np.float32(math.log(score))) if score > 0 else math.nan


def _kept(learner: dict[str, Any], booster: dict[str, Any], trees: int, outputs: int) -> int:
    """Trees up to the best round, all without one."""
    attributes = part(learner, "attributes", dict) if "attributes" in learner else {}
    if "best_iteration" not in attributes:
        return trees
    best = whole(attributes, "best_iteration")
    if "iteration_indptr" in booster:
        ends = whole_numbers(booster, "iteration_indptr")
        if not len(ends) or ends[0] != 0 or ends[-1] != trees or (np.diff(ends) < 0).any():
            raise ValueError(
                f"iteration_indptr does not part {trees:,} trees into rounds; right is from 0 to {trees:,}"
            )
    else:  # before 2.0 every round has as many
        each = max(whole(part(booster, "gbtree_model_param", dict), "num_parallel_tree"), 1) * outputs
        ends = np.arange(0, trees + 1, each)
    if best + 1 >= len(ends):
        raise ValueError(
            f"best_iteration is {best:,} of {len(ends) - 1:,} rounds; right is one of them, or none "
            "(set_attr(best_iteration=None))"
        )
    return int(ends[best + 1])


def _trees(booster: dict[str, Any], nodes: list[Any], weights: Any, *, features: int, outputs: int) -> list[Tree]:
    groups = whole_numbers(booster, "tree_info")
    if len(groups) != len(nodes):
        raise ValueError(f"tree_info names {len(groups):,} trees of {len(nodes):,}; right is all")
    told = whole(part(booster, "gbtree_model_param", dict), "num_trees")
    if told != len(nodes):
        raise ValueError(f"num_trees is {told:,} and there are {len(nodes):,} trees; a damaged file")
    factors = np.ones(len(nodes), np.float32)
    if weights is not None:
        given = single(weights, "weight_drop")
        if len(given) > len(nodes):
            raise ValueError(f"weight_drop weighs {len(given):,} trees of {len(nodes):,}; right is each once")
        factors[: len(given)] = given
    trees: list[Tree | None] = [None] * len(nodes)
    room = _MOST_VALUES
    for position, node in enumerate(nodes):
        with _within(f"tree {position}"):
            if not isinstance(node, dict):
                raise ValueError("is no object")
            index = whole(node, "id")
            if index >= len(nodes) or trees[index] is not None:
                raise ValueError(f"its id is {index:,}; right is one of 0 to {len(nodes) - 1:,}, each once")
            if not 0 <= groups[index] < outputs:
                raise ValueError(f"adds to score {groups[index]}; right is 0 to {outputs - 1}")
            tree = _tree(node, features, (int(groups[index]), outputs), factors[index], room)
            trees[index] = tree
            room -= tree.value.size
    return [tree for tree in trees if tree is not None]


def _tree(node: dict[str, Any], features: int, place: tuple[int, int], weight: np.float32, room: int) -> Tree:
    shape = part(node, "tree_param", dict)
    if (vector := whole(shape, "size_leaf_vector") if "size_leaf_vector" in shape else 1) > 1:
        raise ValueError(f"its leaves are {vector:,} numbers each; right is multi_strategy=one_output_per_tree")
    left, right = whole_numbers(node, "left_children"), whole_numbers(node, "right_children")
    feature, default = whole_numbers(node, "split_indices"), whole_numbers(node, "default_left")
    kind = whole_numbers(node, "split_type") if "split_type" in node else np.zeros_like(left)
    number = single(part(node, "split_conditions", list), "split_conditions")
    count = whole(shape, "num_nodes")
    lengths = {len(each) for each in (left, right, feature, default, kind, number)}
    if lengths != {count}:
        raise ValueError(f"its arrays are of {sorted(lengths)} nodes; right is num_nodes, {count:,}, for all")
    kept = np.sort(np.concatenate(levels(left, right)))
    if len(kept) * place[1] > room:
        raise ValueError(f"more than {_MOST_VALUES:,} values of leaves up to here; right is fewer trees or classes")
    again = np.full(count, LEAF, np.int32)
    again[kept] = np.arange(len(kept), dtype=np.int32)
    left, right, feature, kind, number = left[kept], right[kept], feature[kept], kind[kept], number[kept]
    inner = left != LEAF
    _see(~inner | (kind == 0), kept, "splits by categories; right is features that are numbers (no enable_categorical)")
    _see(~inner | ((feature >= 0) & (feature < features)), kept, f"looks at no feature of the {features:,}")
    _see(~inner | ~np.isnan(number), kept, "has no number for a threshold")
    value = np.zeros((len(kept), place[1]), np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        value[:, place[0]] = np.where(inner, np.float32(0), number * weight)
    _see(np.isfinite(value[:, place[0]]), kept, "has no finite value")
    return Tree(
        feature=np.where(inner, feature, LEAF).astype(np.int32),
        threshold=np.where(inner, number, np.float32(0)).astype(np.float64),
        left=np.where(inner, again[left], LEAF).astype(np.int32),
        right=np.where(inner, again[right], LEAF).astype(np.int32),
        missing_left=inner & (default[kept] == 1),
        zero_missing=np.zeros(len(kept), np.bool_),
        value=value,
        number=np.where(inner, LEAF, kept).astype(np.int32),
    )


@contextmanager
def _within(where: str) -> Iterator[None]:
    """Put before what is wrong where it is."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _see(right: NDArray[np.bool_], kept: NDArray[np.int64], what: str) -> None:
    if not right.all():
        raise ValueError(f"node {kept[np.argmin(right)]} {what}")

"""Out to XGBoost: its JSON model, which XGBoost 2 and 3 load and predict the same with.

XGBoost keeps one output a tree, so a tree whose leaves hold a vector becomes one tree an output, next to each other.
XGBoost 2 knows one base score for all outputs and XGBoost 3 one of each; what both read is one number. Where outputs
start from different scores, or from one that the objective would pass through its link first, the base score is what
leaves margins at 0 and a first tree of one leaf an output holds them instead. Sums then start from them all the same,
so margins are equal to the last bit.

XGBoost looks for a right child behind its left sister and nowhere else (what `right_children` says is not used to
predict), so trees of another order are numbered anew.
"""

import dataclasses
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.exchange.canonical import canonical, constant
from experiments.exchange.ensemble import LEAF, Ensemble, Tree
from markets.errors import UserError

__all__ = ["to_xgboost"]

_VERSION = [2, 0, 0]
"""Of the format: later ones add fields that nothing here needs."""

_ROOT = 2**31 - 1
"""Parent of a root."""

_NEUTRAL = {"logistic": 0.5, "exponential": 1.0}
"""Base score of a link that leaves margins at 0; one that is added as it is may be any number."""


def to_xgboost(ensemble: Ensemble) -> bytes:
    """The ensemble as a JSON model for `xgboost.Booster().load_model(bytearray(…))`, or a file of it.

    Trees are made canonical first. `output_margin` gives to the last bit the scores that the canonical ensemble
    predicts, and `pred_leaf` the index of the node in each tree, of those whose sisters do not stand side by side
    counted level by level. `predict` applies the link: softmax (the action is the largest), logistic, exponential or
    none. Names of classes, which XGBoost has no place for, are the attribute `classes`, as JSON. Equal ensembles give
    equal bytes.

    Raises:
        UserError: the ensemble has no canonical form, or a feature a name that XGBoost refuses.
    """
    form = canonical(ensemble)
    _see_names(form.features)
    score, trees = _split(form)
    info = [output for output, _ in trees]
    turns = [index for index in range(len(info)) if not index or info[index] <= info[index - 1]]
    softmax = form.link == "softmax"
    learner = {
        "attributes": {"classes": json.dumps(form.classes)} if form.classes else {},
        "feature_names": list(form.features),
        "feature_types": ["float"] * len(form.features),
        "gradient_booster": {
            "model": {
                "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": str(len(trees))},
                "iteration_indptr": [*turns, len(trees)],
                "tree_info": info,
                "trees": [_tree(tree, output, index, len(form.features)) for index, (output, tree) in enumerate(trees)],
            },
            "name": "gbtree",
        },
        "learner_model_param": {
            "base_score": json.dumps(_short(np.array([score]))[0]),
            "boost_from_average": "0",
            "num_class": str(form.outputs if softmax else 0),
            "num_feature": str(len(form.features)),
            "num_target": str(1 if softmax else form.outputs),
        },
        "objective": _objective(form),
    }
    return json.dumps({"learner": learner, "version": _VERSION}, separators=(",", ":")).encode()


def _see_names(names: tuple[str, ...]) -> None:
    for index, name in enumerate(names):
        if any(sign in name for sign in "[]<"):
            raise UserError(f"feature {name!r}: XGBoost takes no [, ] or < in a name; rename it")
        if name in names[:index]:
            raise UserError(f"feature {name!r}: XGBoost takes a name only once; rename one of the two")


def _objective(form: Ensemble) -> dict[str, Any]:
    if form.link == "softmax":
        return {"name": "multi:softprob", "softmax_multiclass_param": {"num_class": str(form.outputs)}}
    if form.link == "exponential":
        return {"name": "reg:gamma", "reg_loss_param": {"scale_pos_weight": "1"}}
    name = "binary:logistic" if form.link == "logistic" else "reg:squarederror"
    return {"name": name, "reg_loss_param": {"scale_pos_weight": "1"}}


def _split(form: Ensemble) -> tuple[float, list[tuple[int, Tree]]]:
    """The base score, and each tree with the output that it adds to.

    A tree that adds nothing but zeros is of the output whose turn it is.
    """
    score, trees = _NEUTRAL.get(form.link, 0.0), []
    if form.link not in _NEUTRAL and len(set(form.base)) == 1:
        score = float(form.base[0])
    elif form.base.any():
        trees = [(output, constant(form.base)) for output in range(form.outputs)]
    for tree in map(_side_by_side, form.trees):
        turn = (trees[-1][0] + 1) % form.outputs if trees else 0
        trees += [(int(output), tree) for output in np.flatnonzero(tree.value.any(axis=0))] or [(turn, tree)]
    return score, trees


def _side_by_side(tree: Tree) -> Tree:
    """The tree with each right child behind its left sister; one that is so already as it is."""
    inner = tree.feature != LEAF
    if (tree.right[inner] == tree.left[inner] + 1).all():
        return tree
    rows = [np.zeros(1, np.int64)]
    while len(parents := rows[-1][inner[rows[-1]]]):
        rows.append(np.stack([tree.left[parents], tree.right[parents]], axis=1).ravel().astype(np.int64))
    order = np.concatenate(rows)
    place = np.full(len(inner), LEAF, np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    moved = Tree(*(getattr(tree, field.name)[order] for field in dataclasses.fields(tree)))
    left, right = (np.where(inner[order], place[side], LEAF) for side in (moved.left, moved.right))
    return dataclasses.replace(moved, left=left, right=right)


def _tree(tree: Tree, output: int, index: int, features: int) -> dict[str, Any]:
    count, leaf = len(tree.feature), tree.feature == LEAF
    parents = np.full(count, _ROOT)
    parents[tree.left[~leaf]] = parents[tree.right[~leaf]] = np.flatnonzero(~leaf)
    return {
        "base_weights": _short(tree.value[:, output]),
        "categories": [],
        "categories_nodes": [],
        "categories_segments": [],
        "categories_sizes": [],
        "default_left": tree.missing_left.astype(np.int64).tolist(),
        "id": index,
        "left_children": tree.left.tolist(),
        "loss_changes": [0.0] * count,
        "parents": parents.tolist(),
        "right_children": tree.right.tolist(),
        "split_conditions": _short(np.where(leaf, tree.value[:, output], tree.threshold)),
        "split_indices": np.where(leaf, 0, tree.feature).tolist(),
        "split_type": [0] * count,
        "sum_hessian": [0.0] * count,
        "tree_param": {
            "num_deleted": "0",
            "num_feature": str(features),
            "num_nodes": str(count),
            "size_leaf_vector": "1",
        },
    }


def _short(values: NDArray[np.floating]) -> list[float]:
    """Numbers that JSON writes with no more digits than float32 needs."""
    return [float(str(value)) for value in values.astype(np.float32)]

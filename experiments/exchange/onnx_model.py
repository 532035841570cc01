"""Out to ONNX: one node that onnxruntime and MetaTrader 5 run, leaf for leaf the ensemble.

A `TreeEnsembleRegressor` of `ai.onnx.ml` 3, float32 in and out, shapes fixed, no operator beside it: what every
runtime of the last years knows. Its values are raw scores, one of each action or class; the largest is the decision.

The base is a first tree of one leaf, not `base_values`: a runtime adds those last, while a canonical ensemble's sums
start from the base, and float32 sums in another order differ in their last bits. The arena's own sums have the base
between the trees of the market and those of the state, so that its values may differ from these in the last bit.
"""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.exchange.canonical import canonical, constant
from experiments.exchange.ensemble import LEAF, Ensemble, Tree

__all__ = ["IR", "ML_OPSET", "OPSET", "to_onnx"]

IR, OPSET, ML_OPSET = 8, 15, 3
"""Format and operator sets; none newer than the onnxruntime that MetaTrader 5's manual names, 1.14, reads."""


def to_onnx(ensemble: Ensemble, *, rows: int = 1) -> bytes:
    """The ensemble as an ONNX model: `features` float32 [rows, features] to `values` float32 [rows, outputs].

    Trees are made canonical first, and every float32 row ends in the leaf it ends in here: NaN is missing, infinities
    and subnormal numbers are numbers. Values are those of the canonical ensemble to the last bit where a runtime adds
    leaves in order; onnxruntime with several threads adds parts of many trees at once. Equal ensembles give equal
    bytes. Metadata: `features` and `classes`, their names in order as JSON, and `link`, what turns values into
    predictions.

    Args:
        ensemble: of any library.
        rows: that a call gives at once; the shape is fixed, as MetaTrader 5 wants it.

    Raises:
        UserError: the ensemble has no canonical form.
    """
    from onnx import TensorProto, helper  # takes long to load, and few commands want it

    if rows < 1:
        raise ValueError(f"a call gives {rows} rows; right is 1 or more")
    form = canonical(ensemble)
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        ["values"],
        domain="ai.onnx.ml",
        n_targets=form.outputs,
        aggregate_function="SUM",
        post_transform="NONE",
        **_attributes(form),
    )
    shapes = {"features": [rows, len(form.features)], "values": [rows, form.outputs]}
    ends = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    model = helper.make_model(
        helper.make_graph([node], "ensemble", [ends["features"]], [ends["values"]]),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=IR,
        producer_name="lineage-arena",
    )
    metadata = {"features": json.dumps(form.features), "classes": json.dumps(form.classes), "link": form.link}
    helper.set_model_props(model, metadata)
    return bytes(model.SerializeToString(deterministic=True))


def _attributes(form: Ensemble) -> dict[str, Any]:
    """Nodes of all trees one after the other, then the weights of all leaves, in the order of their addition."""
    trees = [*([constant(form.base)] if form.base.any() or not form.trees else []), *form.trees]
    parts = [_tree(tree, index) for index, tree in enumerate(trees)]
    return {name: np.concatenate([part[name] for part in parts]).tolist() for name in parts[0]}


def _tree(tree: Tree, index: int) -> dict[str, NDArray[Any]]:
    leaf = tree.feature == LEAF
    leaves = np.flatnonzero(leaf)
    used = np.flatnonzero(tree.value.any(axis=0)) if tree.value.any() else np.zeros(1, np.int64)
    return {
        "nodes_treeids": np.full(len(leaf), index),
        "nodes_nodeids": np.arange(len(leaf)),
        "nodes_featureids": np.where(leaf, 0, tree.feature),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LT"),
        "nodes_values": tree.threshold,
        "nodes_truenodeids": np.where(leaf, 0, tree.left),
        "nodes_falsenodeids": np.where(leaf, 0, tree.right),
        "nodes_missing_value_tracks_true": tree.missing_left.astype(np.int64),
        "target_treeids": np.full(len(leaves) * len(used), index),
        "target_nodeids": np.repeat(leaves, len(used)),
        "target_ids": np.tile(used, len(leaves)),
        "target_weights": tree.value[np.ix_(leaves, used)].ravel(),
    }

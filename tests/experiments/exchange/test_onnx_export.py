"""onnxruntime takes the same leaves, and sums them to the same bits."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import random_ensembles as made
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from experiments.exchange.canonical import canonical
from experiments.exchange.ensemble import Ensemble
from experiments.exchange.onnx_model import to_onnx
from experiments.exchange.reading import read_model

runtime = pytest.importorskip("onnxruntime", reason="no onnxruntime: pip install '.[oracles]'")

SEEDS = st.integers(0, 2**32 - 1)
KINDS = st.sampled_from(sorted(made.KINDS))


@settings(deadline=None, max_examples=40)
@given(seed=SEEDS, kind=KINDS)
def test_onnxruntime_takes_the_same_leaves(seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    original = made.ensemble(rng, kind)
    rows = made.rows(rng, original)
    np.testing.assert_array_equal(_values(made.probe(original), rows), original.nodes(rows))


@settings(deadline=None, max_examples=40)
@given(seed=SEEDS, kind=KINDS, outputs=st.integers(1, 3), trees=st.sampled_from([0, 1, 5, 120]))
def test_onnxruntime_sums_to_the_same_bits(seed: int, kind: str, outputs: int, trees: int) -> None:
    rng = np.random.default_rng(seed)
    original = made.ensemble(rng, kind, outputs=outputs, trees=trees)
    rows = made.rows(rng, original, count=50)
    np.testing.assert_array_equal(_values(original, rows), canonical(original).predict(rows))
    alone = np.concatenate([_values(original, row[None]) for row in rows[:3]])
    np.testing.assert_array_equal(alone, canonical(original).predict(rows[:3]))


def test_thousands_of_rows_of_deep_trees_end_in_the_same_leaves() -> None:
    rng = np.random.default_rng(0)
    original = made.ensemble(rng, "lightgbm", trees=100, splits=300, edges=0.05)
    rows = made.rows(rng, original, count=3000)
    np.testing.assert_array_equal(_values(made.probe(original), rows), original.nodes(rows))


@pytest.mark.parametrize("library", ["lightgbm", "catboost"])
def test_what_another_library_trained_takes_its_leaves_in_onnxruntime(library: str, tmp_path: Path) -> None:
    trainer: Any = pytest.importorskip(library, reason=f"no {library}: pip install '.[trees]'")
    rng = np.random.default_rng(11)
    rows = np.round(rng.normal(size=(500, 3)), 1).astype(np.float32)  # many rows on thresholds, many zeros
    rows[rng.random(rows.shape) < 0.1] = np.nan
    labels = np.nan_to_num(rows).sum(axis=1)
    path = tmp_path / "model"
    if library == "lightgbm":
        choices = {"objective": "regression", "verbose": -1, "num_threads": 1}
        trained = trainer.train(choices, trainer.Dataset(rows.astype(float), labels), 10)
        trained.save_model(path)
        leaves, scores = trained.predict(rows.astype(float), pred_leaf=True), trained.predict(rows.astype(float))
    else:
        choices = {"iterations": 10, "depth": 4, "thread_count": 1, "verbose": 0, "allow_writing_files": False}
        trained = trainer.CatBoostRegressor(**choices).fit(rows, labels)
        trained.save_model(str(path), format="json")
        leaves, scores = trained.calc_leaf_indexes(rows), trained.predict(rows)
    original = read_model(path)
    ends = _values(made.probe(original), rows).astype(int)
    numbers = np.stack([tree.number[ends[:, index]] for index, tree in enumerate(original.trees)], axis=1)
    np.testing.assert_array_equal(numbers, leaves)
    np.testing.assert_allclose(_values(original, rows)[:, 0], scores, rtol=0, atol=1e-5)


@pytest.mark.parametrize("base", [0.0, -0.5])
@pytest.mark.parametrize("trees", [0, 1, 3])
def test_trees_without_splits_are_constants(trees: int, base: float) -> None:
    original = made.ensemble(np.random.default_rng(1), trees=trees, splits=0, outputs=2)
    original = dataclasses.replace(original, base=np.full(2, base))
    rows = np.array([[0, np.nan, np.inf]], np.float32)
    np.testing.assert_array_equal(_values(original, rows), original.predict(rows))


def test_the_model_is_one_plain_node_that_the_checker_accepts() -> None:
    original = dataclasses.replace(
        made.ensemble(np.random.default_rng(2), "catboost", outputs=3), link="softmax", classes=("short", "flat", "ß")
    )
    model = onnx.load_from_string(to_onnx(original, rows=7))
    onnx.checker.check_model(model, full_check=True)
    assert [(node.domain, node.op_type) for node in model.graph.node] == [("ai.onnx.ml", "TreeEnsembleRegressor")]
    assert not model.graph.initializer
    assert model.ir_version == 8
    assert {each.domain: each.version for each in model.opset_import} == {"": 15, "ai.onnx.ml": 3}
    shapes = {
        end.name: (end.type.tensor_type.elem_type, [size.dim_value for size in end.type.tensor_type.shape.dim])
        for end in [*model.graph.input, *model.graph.output]
    }
    assert shapes == {"features": (onnx.TensorProto.FLOAT, [7, 3]), "values": (onnx.TensorProto.FLOAT, [7, 3])}
    said = {each.key: each.value for each in model.metadata_props}
    assert json.loads(said["features"]) == ["trend", "range", "hour"]
    assert json.loads(said["classes"]) == ["short", "flat", "ß"]
    assert said["link"] == "softmax"


def test_equal_ensembles_give_equal_bytes() -> None:
    first, second = (made.ensemble(np.random.default_rng(3), "lightgbm", outputs=3) for _ in range(2))
    assert to_onnx(first) == to_onnx(second) == to_onnx(canonical(first))
    assert to_onnx(first) != to_onnx(first, rows=2)


def _values(original: Ensemble, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1  # with more, it adds up parts of many trees at once, in another order
    session: Any = runtime.InferenceSession(to_onnx(original, rows=len(rows)), options)
    (values,) = session.run(["values"], {"features": rows})
    return np.asarray(values)

"""A bundle's model keeps to what MetaTrader 5 takes, and onnxruntime gives the arena's own values with it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, TensorProto
from small_bundles import small_bundle

from experiments.bundles.model_rules import broken_rules
from experiments.bundles.models import network_model
from genomes.qnetwork import Layer, Network

pytestmark = pytest.mark.slow

SCALARS = {AttributeProto.FLOAT, AttributeProto.INT, AttributeProto.STRING, AttributeProto.FLOATS, AttributeProto.INTS}
LISTS = {AttributeProto.STRINGS}


@pytest.fixture(scope="module", params=["qnetwork", "forest"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bundle(tmp_path_factory, request.param)


def _types(graph: onnx.GraphProto) -> Iterator[onnx.ValueInfoProto]:
    yield from (*graph.input, *graph.output, *graph.value_info)


def test_the_graph_is_what_metatrader_5_takes(bundle: Path) -> None:
    model = onnx.load(bundle / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    sets = {own.domain or "ai.onnx": own.version for own in model.opset_import}
    assert sets["ai.onnx"] <= 15
    assert sets.get("ai.onnx.ml", 0) <= 3
    assert set(sets) <= {"ai.onnx", "ai.onnx.ml"}
    assert model.ir_version <= 8
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    assert [own.name for own in graph.input] == ["features"]
    assert [own.name for own in graph.output] == ["values"]
    for own in _types(graph):
        assert own.type.tensor_type.elem_type == TensorProto.FLOAT, own.name
        assert all(size.dim_value > 0 and not size.dim_param for size in own.type.tensor_type.shape.dim), own.name
    assert {own.data_type for own in graph.initializer} <= {TensorProto.FLOAT}
    operators = [node.op_type for node in graph.node]
    assert set(operators) <= {"Gemm", "Relu"} or operators == ["TreeEnsembleRegressor"]
    for node in graph.node:
        assert {attribute.type for attribute in node.attribute} <= SCALARS | LISTS, "no graphs, no tensors"
    with np.load(bundle / "golden.npz") as golden:
        inputs = golden["features"].shape[1] + golden["view"].shape[1]
    shapes = [[size.dim_value for size in own.type.tensor_type.shape.dim] for own in (*graph.input, *graph.output)]
    assert shapes == [[1, inputs], [1, 3]]
    assert broken_rules((bundle / "model.onnx").read_bytes(), inputs=inputs, outputs=3) == []


def test_onnxruntime_gives_the_arena_s_values(bundle: Path) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="no onnxruntime: pip install '.[live]'")
    session = runtime.InferenceSession((bundle / "model.onnx").read_bytes())
    with np.load(bundle / "golden.npz") as golden:
        rows = np.concatenate([golden["features"], golden["view"]], axis=1)
        values = np.concatenate([session.run(None, {"features": row[None]})[0] for row in rows])
        apart = np.abs(values - golden["values"]).max(1) / np.abs(golden["values"]).max(1)
        assert apart.max() <= 1e-5
        best = np.sort(golden["values"], axis=1)
        clear = best[:, -1] - best[:, -2] > 1e-4
        np.testing.assert_array_equal(values.argmax(1)[clear], golden["action"][clear])


def test_a_network_of_known_weights_answers_as_by_hand() -> None:
    runtime = pytest.importorskip("onnxruntime", reason="no onnxruntime: pip install '.[live]'")
    one = np.float32(1.0)
    genome = Network(
        market=np.array([[one, -one]]),  # two units, of one feature
        account=np.zeros((4, 2), np.float32),
        bias=np.array([0.0, 0.5], np.float32),
        hidden=(),
        output=Layer(np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]], np.float32), np.array([0.0, 0.0, 0.25], np.float32)),
    )
    session = runtime.InferenceSession(network_model(genome, ["x"], ["neutral", "buy", "sell"]))
    for x, right in ((2.0, [2.0, 0.0, 0.25]), (-2.0, [0.0, 5.0, 0.25]), (0.25, [0.25, 0.5, 0.25])):
        row = np.array([[x, 9.0, 9.0, 9.0, 9.0]], np.float32)
        np.testing.assert_array_equal(session.run(None, {"features": row})[0][0], np.float32(right))


@pytest.mark.parametrize(
    ("breaks", "said"),
    [
        (lambda model: setattr(model, "ir_version", 10), "IR version 10"),
        (lambda model: setattr(model.opset_import[0], "version", 18), "ai.onnx 18"),
        (lambda model: setattr(model.graph.input[0].type.tensor_type.shape.dim[0], "dim_param", "rows"), "rows"),
        (lambda model: model.graph.input[0].type.tensor_type.shape.dim[1].Clear(), "inputs"),
    ],
)
def test_a_model_that_metatrader_5_would_not_take_is_told(
    tmp_path_factory: pytest.TempPathFactory, breaks: object, said: str
) -> None:
    model = onnx.load(small_bundle(tmp_path_factory, "qnetwork") / "model.onnx")
    inputs = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    assert callable(breaks)
    breaks(model)
    told = broken_rules(model.SerializeToString(), inputs=inputs, outputs=3)
    assert any(said in line for line in told), told

"""What MetaTrader 5's `OnnxRun` asks of a model: static shapes, plain types, operators of ONNX 1.14's sets."""

from typing import Any

import onnx
from onnx import TensorProto

from experiments.exchange.onnx_model import IR, ML_OPSET, OPSET

__all__ = ["broken_rules"]

_OPERATORS = {("", "Gemm"), ("", "Relu"), ("ai.onnx.ml", "TreeEnsembleRegressor")}
_NEWEST = {"": OPSET, "ai.onnx.ml": ML_OPSET}


def broken_rules(content: bytes, *, inputs: int, outputs: int) -> list[str]:
    """What is wrong with a model, one line each.

    Args:
        content: the file.
        inputs: numbers that it is to take.
        outputs: values that it is to give.
    """
    try:
        model = onnx.load_model_from_string(content)
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # protobuf's and ONNX's own, which share no base class but this
        return [f"no ONNX model: {(str(error).splitlines() or [type(error).__name__])[0]}"]
    graph, wrong = model.graph, []
    if model.ir_version > IR:
        wrong.append(f"is of IR version {model.ir_version}; right is {IR} or older")
    for own in model.opset_import:
        if own.version > _NEWEST.get(own.domain, 0):
            wrong.append(f"wants {own.domain or 'ai.onnx'} {own.version}; right is {_NEWEST.get(own.domain, 'none')}")
    for kind, ends, width in (("input", graph.input, inputs), ("output", graph.output, outputs)):
        shapes = [_shape(end) for end in ends]
        if shapes != [[1, width]]:
            wrong.append(f"has {kind}s {shapes}; right is one, [[1, {width}]]")
        if any(end.type.tensor_type.elem_type != TensorProto.FLOAT for end in ends):
            wrong.append(f"has an {kind} that is not float32")
    wrong += [
        f"has the operator {node.op_type}" for node in graph.node if (node.domain, node.op_type) not in _OPERATORS
    ]
    wrong += [f"has {own.name}, not of float32" for own in graph.initializer if own.data_type != TensorProto.FLOAT]
    return wrong


def _shape(end: Any) -> list[int | str]:
    return [size.dim_value if size.HasField("dim_value") else size.dim_param for size in end.type.tensor_type.shape.dim]

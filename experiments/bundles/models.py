"""A champion as an ONNX model: `features` float32 [1, inputs] to `values` float32 [1, actions].

Inputs are the market's features, scaled, then the account's numbers. What MetaTrader 5's `OnnxRun` takes fixes the
form: static shapes, float32 alone, operators of `ai.onnx` 15 and `ai.onnx.ml` 3 or older, one input, one output.
"""

import json
from collections.abc import Sequence

import numpy as np

from experiments.exchange.onnx_model import IR, OPSET, to_onnx
from experiments.forests.champions import forest_values
from experiments.founders.files import input_names
from genomes.forest import Forest, ForestSpecies
from genomes.qnetwork import Network
from genomes.species import Genome, Species
from markets.errors import UserError

__all__ = ["model_of", "network_model"]


def model_of(species: Species, genome: Genome, features: Sequence[str]) -> bytes:
    """The model of a brain.

    Args:
        species: its own.
        genome: of one individual, leaves in NumPy.
        features: names of the market's features, in order.

    Raises:
        UserError: the species has no form in ONNX.
    """
    if isinstance(species, ForestSpecies) and isinstance(genome, Forest):
        return to_onnx(forest_values(genome, species, features))
    if isinstance(genome, Network):
        return network_model(genome, features, species.shape.actions.names)
    raise UserError(f"agents of the species {species.name} have no form in ONNX yet, so that none can be exported")


def network_model(genome: Network, features: Sequence[str], actions: Sequence[str]) -> bytes:
    """A network as plain Gemm and Relu, layer after layer.

    Equal networks give equal bytes. Metadata: `features` and `classes`, names in order as JSON.

    Args:
        genome: of one individual, leaves in NumPy.
        features: names of the market's features, in order.
        actions: names of the outputs.
    """
    from onnx import TensorProto, helper, numpy_helper  # takes long to load

    names = input_names(features)
    first = (np.concatenate([genome.market, genome.account]), genome.bias)
    layers = [first, *((layer.weight, layer.bias) for layer in genome.hidden), tuple(genome.output)]
    nodes, constants, flowing = [], [], "features"
    for index, (weight, bias) in enumerate(layers):
        final = index == len(layers) - 1
        made = "values" if final else f"sum_{index}"
        for name, array in ((f"weight_{index}", weight), (f"bias_{index}", bias)):
            constants.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
        nodes.append(helper.make_node("Gemm", [flowing, f"weight_{index}", f"bias_{index}"], [made]))
        if not final:
            flowing = f"unit_{index}"
            nodes.append(helper.make_node("Relu", [made], [flowing]))
    ends = {"features": [1, len(names)], "values": [1, len(actions)]}
    infos = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in ends.items()}
    model = helper.make_model(
        helper.make_graph(nodes, "network", [infos["features"]], [infos["values"]], constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR,
        producer_name="lineage-arena",
    )
    helper.set_model_props(model, {"features": json.dumps(names), "classes": json.dumps(list(actions))})
    return bytes(model.SerializeToString(deterministic=True))

"""A champion's genome as it can be drawn: a network's layers, a forest's trees, and of any other species its arrays."""

from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from experiments.exchange.ensemble import Tree
from experiments.forests.questions import Answer, Question, simplified
from experiments.founders.brains import ensemble_of
from experiments.founders.files import input_names
from genomes.forest import Forest, ForestSpecies
from genomes.qnetwork import Network, QNetwork
from genomes.species import Species
from markets.scaling import Scaler

__all__ = ["genome_facts"]

_WEIGHTS = 50_000
"""Weights of a network that is drawn at most."""

_LARGEST = float(np.finfo(np.float32).max)


def genome_facts(genome: Any, species: Species, features: list[str], scaler: Scaler | None = None) -> dict[str, Any]:
    """A genome in plain values.

    Args:
        genome: of one individual, NumPy leaves.
        species: its own.
        features: names of the market's features, in order.
        scaler: of the market, where it is at hand: thresholds of trees then stand in the features' own units too.

    Returns:
        `{kind: "network", activation, layers: [{name, inputs, outputs, weights [inputs][outputs], bias}]}`, or
        `{kind: "forest", actions, bias, asked: {feature: trees}, trees: [{index, sees, root}], silent}` with nodes
        `{feature, threshold, scaled, missing, left, right}` and leaves `{values}`; a row goes right where its value is
        at least the threshold; `threshold` is None where the scaler is not at hand; `silent` counts trees that say the
        same to everybody. Of other species `{kind: "other", text}`.
    """
    if isinstance(species, QNetwork) and isinstance(genome, Network):
        if sum(leaf.size for leaf in jax.tree.leaves(genome)) <= _WEIGHTS:
            return _network(genome, species, features)
    elif isinstance(species, ForestSpecies) and isinstance(genome, Forest):
        return _forest(genome, species, features, scaler)
    return {"kind": "other", "text": _listing(genome)}


def _network(genome: Network, species: QNetwork, features: list[str]) -> dict[str, Any]:
    """Layers from what is seen to what is valued."""
    actions = list(species.shape.actions.names)
    first = np.concatenate([genome.market, genome.account])
    dense = [(first, genome.bias), *((layer.weight, layer.bias) for layer in (*genome.hidden, genome.output))]
    inputs, layers = list(input_names(features)), []
    for number, (weight, bias) in enumerate(dense, 1):
        last = number == len(dense)
        outputs = actions if last else [f"unit {number}.{unit}" for unit in range(1, len(bias) + 1)]
        layers.append(
            {
                "name": "values" if last else f"hidden {number}",
                "inputs": inputs,
                "outputs": outputs,
                "weights": [_numbers(row) for row in np.asarray(weight)],
                "bias": _numbers(np.asarray(bias)),
            }
        )
        inputs = outputs
    return {"kind": "network", "activation": "relu", "layers": layers}


def _forest(genome: Forest, species: ForestSpecies, features: list[str], scaler: Scaler | None) -> dict[str, Any]:
    """Trees without what no row reaches and without questions that change nothing."""
    ensemble = ensemble_of(genome, species, features)
    trees, asked, silent = [], dict.fromkeys(ensemble.features, 0), 0
    for index, tree in enumerate(ensemble.trees):
        shown = simplified(tree)
        if isinstance(shown, Answer):
            silent += 1
            if not tree.value[shown.node].any():
                continue
        used = {ensemble.features[tree.feature[node]] for node in _asked(shown)}
        for name in used:
            asked[name] += 1
        sees = "market" if index < species.settings.market_trees else "account"
        root = _node(shown, tree, ensemble.features, features, scaler)
        trees.append({"index": index, "sees": sees, "root": root})
    return {
        "kind": "forest",
        "actions": list(species.shape.actions.names),
        "bias": _numbers(np.asarray(genome.bias)),
        "asked": {name: count for name, count in sorted(asked.items(), key=lambda item: -item[1]) if count},
        "trees": trees,
        "silent": silent,
    }


def _asked(at: Question | Answer | None) -> list[int]:
    """Nodes that ask, from one on."""
    return [at.node, *_asked(at.left), *_asked(at.right)] if isinstance(at, Question) else []


def _node(
    at: Question | Answer | None, tree: Tree, names: tuple[str, ...], features: list[str], scaler: Scaler | None
) -> dict[str, Any]:
    """A node and all below it."""
    assert at is not None  # trees of the arena are shallower than what `simplified` goes down
    if isinstance(at, Answer):
        return {"values": _numbers(tree.value[at.node])}
    place, scaled = int(tree.feature[at.node]), float(tree.threshold[at.node])
    return {
        "feature": names[place],
        "threshold": _unscaled(scaled, place, len(features), scaler),
        "scaled": _number(scaled),
        "missing": "left" if tree.missing_left[at.node] else "right",
        "left": _node(at.left, tree, names, features, scaler),
        "right": _node(at.right, tree, names, features, scaler),
    }


def _unscaled(scaled: float, place: int, features: int, scaler: Scaler | None) -> float | None:
    """A threshold in a feature's own units; what an account says of itself is not scaled."""
    if place >= features:
        return _number(scaled)
    if scaler is None:
        return None
    return _number(scaled * float(scaler.scale[place]) + float(scaler.centre[place]))


def _listing(genome: Any) -> str:
    """Every array by name, with what is in it."""
    lines = []
    for path, leaf in jax.tree_util.tree_flatten_with_path(genome)[0]:
        name, values = jax.tree_util.keystr(path, simple=True, separator="."), np.asarray(leaf)
        if values.size == 1:
            said = f"{values.item():.6g}" if values.dtype.kind in "fiu" else str(values.item())
        elif not values.size:
            said = "nothing"
        else:
            wide = values.astype(np.float64)
            said = f"{wide.min():.4g} to {wide.max():.4g}, mean {wide.mean():.4g}, deviation {wide.std():.4g}"
        shape = " × ".join(map(str, values.shape)) or "1"
        lines.append(f"{name or 'genome'}  {values.dtype} {shape}: {said}")
    return "\n".join(lines)


def _numbers(values: NDArray[Any]) -> list[float]:
    return [_number(value) for value in values.tolist()]


def _number(value: float) -> float:
    """In five figures; an infinite threshold is the largest number there is."""
    return float(f"{min(max(value, -_LARGEST), _LARGEST):.5g}")

"""Random ensembles of every kind, and rows on and beside everything they compare with."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.exchange.ensemble import LEAF, ZERO, Ensemble, Tree

KINDS: dict[str, dict[str, Any]] = {
    "xgboost": {"library": "xgboost", "strict": True, "inputs": "float32", "sums": "float32"},
    "lightgbm": {"library": "lightgbm", "strict": False, "inputs": "float64", "sums": "float64"},
    "catboost": {"library": "catboost", "strict": False, "inputs": "float32", "sums": "float64", "scale": 0.75},
    "arena": {"library": "arena", "strict": True, "inputs": "float32", "sums": "float32"},
    "double": {"library": "arena", "strict": True, "inputs": "float64", "sums": "float64", "scale": -2.0},
}
"""How each library compares and sums, and a kind that none of them is: strict, but in float64."""

_SINGLE = np.finfo(np.float32)
SUBNORMAL, NORMAL, LARGEST = float(_SINGLE.smallest_subnormal), float(_SINGLE.tiny), float(_SINGLE.max)
EDGES = [0.0, SUBNORMAL, 2 * SUBNORMAL, 1e-40, NORMAL, ZERO, 1.0, 1e30, LARGEST, float("inf")]
"""Magnitudes around which number formats and rules of zeros turn."""
BEYOND = [1e-50, 1e-46, 1e39, 1e300, 1.0 + 2.0**-40, LARGEST * (1 + 2.0**-26)]
"""Magnitudes that are no float32."""


def tree(
    rng: np.random.Generator,
    *,
    features: int = 3,
    outputs: int = 1,
    splits: int = 6,
    edges: float = 0.5,
    zeros: bool = False,
) -> Tree:
    """A tree with that many splits, grown at random leaves.

    Args:
        rng: source of everything.
        features, outputs, splits: sizes.
        edges: probability that a threshold is one of `EDGES` or `BEYOND`.
        zeros: whether zeros count as missing at half of the nodes.
    """
    nodes = 2 * splits + 1
    feature, left, right = (np.full(nodes, LEAF, np.int32) for _ in range(3))
    threshold, value = np.zeros(nodes), np.zeros((nodes, outputs))
    leaves = [0]
    for split in range(splits):
        node = leaves.pop(int(rng.integers(len(leaves))))
        left[node], right[node] = 2 * split + 1, 2 * split + 2
        leaves += [2 * split + 1, 2 * split + 2]
        feature[node] = rng.integers(features)
        sharp = float(rng.choice([-1.0, 1.0]) * rng.choice(EDGES + BEYOND))
        threshold[node] = sharp if rng.random() < edges else rng.choice([rng.normal(), np.float32(rng.normal())])
    inner = feature != LEAF
    value[~inner] = rng.normal(size=(splits + 1, outputs)).astype(np.float32)
    number = np.full(nodes, LEAF, np.int32)
    number[~inner] = rng.permutation(splits + 1)
    missing_left, zero_missing = inner & (rng.random(nodes) < 0.5), inner & zeros & (rng.random(nodes) < 0.5)
    return Tree(feature, threshold, left, right, missing_left, zero_missing, value, number)


def ensemble(
    rng: np.random.Generator, kind: str = "arena", *, trees: int = 4, outputs: int = 1, splits: int = 6, **others: Any
) -> Ensemble:
    """An ensemble of that kind, of trees with up to `splits` splits."""
    sizes = rng.integers(0, splits, size=trees, endpoint=True)
    grown = tuple(tree(rng, outputs=outputs, splits=int(size), **others) for size in sizes)
    base = rng.normal(size=outputs).astype(np.float32).astype(np.float64)
    return Ensemble(features=("trend", "range", "hour"), trees=grown, base=base, **KINDS[kind])


def rows(rng: np.random.Generator, made: Ensemble, *, count: int = 400) -> NDArray[np.float32]:
    """Rows whose every number is a threshold of that feature, next to one, or an edge of float32, or NaN."""
    columns = []
    for column in range(len(made.features)):
        own = [each.threshold[each.feature == column] for each in made.trees]
        with np.errstate(over="ignore"):
            near = np.concatenate([*own, EDGES, -np.array(EDGES), rng.normal(size=20)]).astype(np.float32)
            beside = [np.nextafter(near, np.float32(end)) for end in (np.inf, -np.inf)]
        values = np.concatenate([near, *beside, [np.nan, -0.0]])
        columns.append(rng.choice(values, size=count))
    return np.stack(columns, axis=1).astype(np.float32)


def probe(original: Ensemble) -> Ensemble:
    """An ensemble of the same trees with one output a tree: the index of the node that a row ends in."""
    trees = []
    for index, tree in enumerate(original.trees):
        value = np.zeros((len(tree.feature), len(original.trees)))
        value[:, index] = np.arange(len(tree.feature))
        trees.append(dataclasses.replace(tree, value=value))
    return dataclasses.replace(original, trees=tuple(trees), base=np.zeros(len(trees)), scale=1.0)


def fields(made: Ensemble) -> list[Any]:
    """Everything an ensemble says, in a form that compares, with the sign of zeros and the types of arrays."""
    arrays = [[getattr(each, field.name) for field in dataclasses.fields(each)] for each in made.trees]
    trees = [[(array.dtype.str, array.shape, array.tobytes()) for array in each] for each in arrays]
    others = [made.library, made.features, made.base.tobytes(), made.scale, made.strict, made.inputs, made.sums]
    return [*others, made.link, made.classes, *trees]

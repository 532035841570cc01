"""Between ensembles and the genomes of forests: the same answer to every float32 row, leaf for leaf.

An ensemble becomes a genome in the arena's own form (`experiments.exchange.canonical`), its trees made complete: below
a leaf of a shallower tree the question above it is repeated, and all leaves there say the same. Room that is left is
filled with silent trees.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.exchange.canonical import canonical
from experiments.exchange.ensemble import LEAF, Ensemble, Tree
from experiments.founders.files import input_names
from experiments.founders.labels import BUY, CLASSES, NEUTRAL, SELL
from genomes.forest import Forest, ForestSpecies
from genomes.trees import DEEPEST, Layout, Trees
from markets.errors import UserError

__all__ = ["brain", "ensemble_of"]

_KEY = "species.forest"

_SIGNS = {0.0: NEUTRAL, 1.0: BUY, -1.0: SELL}
"""Classes called by their direction, as some libraries allow."""


def brain(ensemble: Ensemble, species: ForestSpecies, *, whose: str = "") -> Forest:
    """The genome that answers as the ensemble does.

    Three scores are neutral, buy and sell, in this order or that of their names; one score s (binary, regression) says
    (0, s, −s); two say as much of their difference. Trees that ask for the account are state trees, and so are those
    behind the market's room of an ensemble that knows the account.

    Args:
        ensemble: over the market's features, or those and the account's numbers (`match_features`).
        species: whose genome it becomes; says depth, layout and how many trees.
        whose: the file or library, for messages; the ensemble's library by default.

    Returns:
        NumPy leaves; trees that nothing fills are silent.

    Raises:
        UserError: trees that are too deep, too many or of another layout, or scores that say no direction.
    """
    whose = whose or ensemble.library
    shape, settings = species.shape, species.settings
    if len(ensemble.features) not in (shape.features, shape.features + shape.account):
        raise ValueError(f"{len(ensemble.features)} columns; right is {shape.features}, or {shape.account} more")
    actions = _actions(ensemble, whose)
    try:
        plain = canonical(ensemble)
    except UserError as error:
        raise UserError(f"{whose}: {error}") from None
    of_market = [not (tree.feature >= shape.features).any() for tree in plain.trees]
    if len(ensemble.features) > shape.features:
        of_market = [alone and sum(of_market[:index]) < settings.market_trees for index, alone in enumerate(of_market)]
    for key, count in (("market_trees", sum(of_market)), ("state_trees", len(of_market) - sum(of_market))):
        if count > getattr(settings, key):
            raise UserError(
                f"{whose}: has {count} trees for {_KEY}.{key}={getattr(settings, key)}; right is {_KEY}.{key}={count}, "
                "or a model with fewer trees"
            )
    made = [_complete(tree, species.layout, f"{whose}: tree {index}") for index, tree in enumerate(plain.trees)]
    spoken = [_Questions(*tree[:-1], (tree.leaf @ actions).astype(np.float32)) for tree in made]
    inputs = np.arange(shape.features, shape.features + shape.account) if shape.account else np.arange(shape.features)
    bias: Any = (plain.base @ actions).astype(np.float32)
    return Forest(
        bias=bias,
        market=_filled(
            [tree for tree, alone in zip(spoken, of_market, strict=True) if alone],
            species.layout,
            settings.market_trees,
            np.arange(shape.features),
        ),
        state=_filled(
            [tree for tree, alone in zip(spoken, of_market, strict=True) if not alone],
            species.layout,
            settings.state_trees,
            inputs,
        ),
    )


def ensemble_of(genome: Forest, species: ForestSpecies, names: Sequence[str]) -> Ensemble:
    """The ensemble that answers as one genome does: complete trees, those of the market first, then the state's.

    Args:
        genome: of one individual.
        species: its own.
        names: of the market's features, in order; the account's numbers come after them.
    """
    return Ensemble(
        library="arena",
        features=input_names(names),
        trees=tuple(tree for kind in (genome.market, genome.state) for tree in _unpacked(kind, species.layout)),
        base=np.asarray(genome.bias, np.float64),
        classes=CLASSES,
    )


class _Questions(NamedTuple):
    """One tree of a layout, or several on a leading axis; as in `Trees`, on the host."""

    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    nan_right: NDArray[np.bool_]
    leaf: NDArray[np.floating]


def _actions(ensemble: Ensemble, whose: str) -> NDArray[np.float64]:
    """What each score adds to each action [scores, actions]."""
    named = _directions(ensemble.classes)
    if ensemble.outputs == len(CLASSES) and (named is None or sorted(named) == [NEUTRAL, BUY, SELL]):
        return np.eye(len(CLASSES))[named or [NEUTRAL, BUY, SELL]]
    if named is not None and sorted(named) != [BUY, SELL]:
        raise UserError(
            f"{whose}: its classes are {', '.join(ensemble.classes)}; right is {' '.join(CLASSES)}, or buy sell"
        )
    rises = np.asarray([0.0, 1.0, -1.0]) * (-1.0 if named == [BUY, SELL] else 1.0)
    if ensemble.outputs == 2 and ensemble.link == "softmax":
        return np.stack([-rises, rises])
    if ensemble.outputs == 1 and ensemble.link in ("logistic", "identity"):
        return rises[None]
    raise UserError(
        f"{whose}: gives {ensemble.outputs} scores ({ensemble.link}); right is one of each of neutral, buy and sell, "
        "two classes, or one that is positive where prices rise"
    )


def _directions(classes: Sequence[str]) -> list[int] | None:
    """The actions that classes are called after, by name or as −1, 0 and 1; none where they only count."""
    if not classes:
        return None
    if all(name.lower() in CLASSES for name in classes):
        return [CLASSES.index(name.lower()) for name in classes]
    try:
        signs = [float(name) for name in classes]
    except ValueError:
        return None
    return [_SIGNS[sign] for sign in signs] if -1.0 in signs and set(signs) <= _SIGNS.keys() else None


def _complete(tree: Tree, layout: Layout, whose: str) -> "_Questions":
    """One tree of the layout, its leaves the scores of the ensemble [leaves, scores].

    Raises:
        UserError: it is too deep, or asks two questions in a level that may have one.
    """
    if tree.depth > layout.depth:
        room = tree.depth <= DEEPEST
        right = f"{_KEY}.depth={tree.depth}, or a model of depth {layout.depth}" if room else ""
        raise UserError(
            f"{whose} asks {tree.depth} questions in a row; right is {right or f'a model of depth at most {DEEPEST}'}"
        )
    feature = np.zeros(layout.nodes, np.int32)
    threshold = np.zeros(layout.nodes, np.float32)
    nan_right = np.zeros(layout.nodes, np.bool_)
    at = np.zeros(1, np.int64)
    for level in range(layout.depth):
        inner = tree.feature[at] != LEAF
        own = slice(level, level + 1) if layout.oblivious else slice(2**level - 1, 2 ** (level + 1) - 1)
        above = slice(level - 1, level) if layout.oblivious else slice(2 ** (level - 1) - 1, 2**level - 1)
        for answer, column in (
            (feature, tree.feature[at]),
            (threshold, tree.threshold[at].astype(np.float32)),
            (nan_right, ~tree.missing_left[at]),
        ):
            # Below a leaf the question above it is repeated.
            before = answer[above] if level else answer[:1]
            if not layout.oblivious:
                answer[own] = np.where(inner, column, np.repeat(before, 2) if level else before)
            elif not inner.any():
                answer[own] = before
            elif (column[inner] == column[inner][0]).all():
                answer[own] = column[inner][0]
            else:
                raise UserError(
                    f"{whose} asks different questions in level {level}; right is {_KEY}.layout=ordinary, or a model "
                    "of trees that ask one question a level, as CatBoost's do"
                )
        at = np.stack([np.where(inner, tree.left[at], at), np.where(inner, tree.right[at], at)], axis=1).ravel()
    return _Questions(feature, threshold, nan_right, tree.value[at])


def _filled(trees: list[_Questions], layout: Layout, count: int, inputs: NDArray[np.intp]) -> Trees:
    """Trees of one kind as one, and silent ones behind them, which ask for these inputs in turn."""
    actions = len(CLASSES)
    turn = (np.arange(count)[:, None] + np.arange(layout.nodes)) % max(len(inputs), 1)
    full = _Questions(
        feature=inputs[turn].astype(np.int32),
        threshold=np.zeros((count, layout.nodes), np.float32),
        nan_right=np.zeros((count, layout.nodes), np.bool_),
        leaf=np.zeros((count, layout.leaves, actions), np.float32),
    )
    for index, tree in enumerate(trees):
        for whole, own in zip(full, tree, strict=True):
            whole[index] = own
    leaves: Any = full
    return Trees(*leaves)


def _unpacked(trees: Trees, layout: Layout) -> list[Tree]:
    """Each tree, node by node in heap order, its leaves last."""
    inner, leaves = 2**layout.depth - 1, layout.leaves
    place = np.arange(inner)
    asked = np.floor(np.log2(place + 1)).astype(int) if layout.oblivious else place
    ends = np.full(leaves, LEAF)
    found = []
    for feature, threshold, nan_right, leaf in zip(*map(np.asarray, trees), strict=True):
        silent = np.zeros((inner, leaf.shape[-1]))
        found.append(
            Tree(
                feature=np.append(feature[asked], ends).astype(np.int32),
                threshold=np.append(threshold[asked], np.zeros(leaves)).astype(np.float64),
                left=np.append(2 * place + 1, ends).astype(np.int32),
                right=np.append(2 * place + 2, ends).astype(np.int32),
                missing_left=np.append(~nan_right[asked], np.zeros(leaves, np.bool_)),
                zero_missing=np.zeros(inner + leaves, np.bool_),
                value=np.concatenate([silent, leaf.astype(np.float64)]),
                number=np.append(np.full(inner, LEAF), np.arange(leaves)).astype(np.int32),
            )
        )
    return found

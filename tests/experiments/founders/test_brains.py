"""From ensemble to genome and back: the same leaf for every row, in NumPy and in the species' own compiled code."""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray

from agents.observation import ACCOUNT_VIEW
from experiments.exchange.ensemble import LEAF, Ensemble, Tree
from experiments.founders.brains import brain, ensemble_of
from experiments.founders.labels import BUY, NEUTRAL, SELL
from genomes.forest import Forest, ForestSpecies, Settings, make
from genomes.species import Shape, genome_form
from genomes.trees import Trees
from markets.errors import UserError

_FEATURES, _ACCOUNT = 3, len(ACCOUNT_VIEW)
_NAMES = ("return_1", "return_4", "mean_distance_8")
_POOL = np.asarray([0.0, -0.0, 1e-45, -1e-45, 1.5, -1.5, np.inf, -np.inf, np.finfo(np.float32).max, 0.1], np.float32)


def species(layout: str = "ordinary", **changes: object) -> ForestSpecies:
    """A species of small forests."""
    settings = Settings(layout=layout, depth=3, market_trees=5, state_trees=2)
    return make(dataclasses.replace(settings, **changes), Shape(_FEATURES, _ACCOUNT))


def grown(random: np.random.Generator, depth: int, outputs: int, inputs: int, *, oblivious: bool) -> Tree:
    """A random tree; an ordinary one has leaves anywhere, an oblivious one is complete."""
    asked = [(int(random.integers(inputs)), cut(random), bool(random.integers(2))) for _ in range(depth)]
    rows: list[list[object]] = []

    def node(level: int) -> int:
        place = len(rows)
        rows.append([])
        if level == depth or (not oblivious and level and random.uniform() < 0.25):
            rows[place] = [LEAF, 0.0, LEAF, LEAF, False, random.normal(size=outputs).astype(np.float32)]
            return place
        feature, threshold, left = asked[level]
        if not oblivious:
            feature, threshold, left = int(random.integers(inputs)), cut(random), bool(random.integers(2))
        rows[place] = [feature, threshold, node(level + 1), node(level + 1), left, np.zeros(outputs)]
        return place

    node(0)
    feature, threshold, left, right, missing, value = zip(*rows, strict=True)
    leaf = np.asarray(feature) == LEAF
    return Tree(
        feature=np.asarray(feature, np.int32),
        threshold=np.asarray(threshold, np.float64),
        left=np.asarray(left, np.int32),
        right=np.asarray(right, np.int32),
        missing_left=np.asarray(missing, bool),
        zero_missing=np.zeros(len(rows), bool),
        value=np.asarray(value, np.float64),
        number=np.where(leaf, np.cumsum(leaf) - 1, LEAF).astype(np.int32),
    )


def cut(random: np.random.Generator) -> float:
    """A threshold, odd ones among them."""
    return float(random.choice(_POOL)) if random.uniform() < 0.5 else float(np.float32(random.normal()))


def ensemble(
    seed: int,
    *depths: int,
    outputs: int = 3,
    oblivious: bool = False,
    inputs: int = _FEATURES,
    **changes: object,
) -> Ensemble:
    """A random ensemble, trees of these depths."""
    random = np.random.default_rng(seed)
    trees = tuple(grown(random, depth, outputs, inputs, oblivious=oblivious) for depth in depths)
    names = (*_NAMES, *ACCOUNT_VIEW)[:inputs]
    base = random.normal(size=outputs).astype(np.float32).astype(np.float64)
    return dataclasses.replace(Ensemble("xgboost", names, trees, base), **changes)


def rows_for(model: Ensemble, seed: int = 0, count: int = 400) -> NDArray[np.float32]:
    """Rows on thresholds, an ulp beside them, and of odd numbers."""
    random = np.random.default_rng(seed)
    cuts = np.concatenate([[0.0], *(tree.threshold[tree.feature != LEAF] for tree in model.trees)]).astype(np.float32)
    pool = np.concatenate([_POOL, cuts])
    with np.errstate(over="ignore"):
        pool = np.concatenate([pool, np.nextafter(pool, np.float32(np.inf)), np.nextafter(pool, -np.float32(np.inf))])
    pool = np.concatenate([pool, np.full(len(pool) // 8, np.nan, np.float32)])
    hard = random.choice(pool, (count, len(model.features)))
    return np.concatenate([hard, random.normal(size=(100, len(model.features))).astype(np.float32)])


@functools.cache
def compiled(own: ForestSpecies) -> object:
    """What the species answers, compiled as in a roll-out."""

    def answer(genome: Forest, features: jax.Array, account: jax.Array) -> jax.Array:
        code = jax.tree.map(lambda leaf: leaf[0], own.encode(genome, features[None]))
        return own.values(genome, code, account, ())[0]

    return jax.jit(answer)


def answers(own: ForestSpecies, genome: Forest, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Action values, rows of features alone or with the account's numbers behind them."""
    account = np.zeros((len(rows), _ACCOUNT), np.float32)
    if rows.shape[1] > _FEATURES:
        account = rows[:, _FEATURES:]
    return np.asarray(compiled(own)(jax.tree.map(jnp.asarray, genome), rows[:, :_FEATURES], account))


@pytest.mark.parametrize("layout", ["ordinary", "oblivious"])
@pytest.mark.parametrize("strict", [True, False])
def test_every_row_ends_in_the_leaf_it_ended_in(layout: str, strict: bool) -> None:
    own = species(layout)
    for seed in range(4):
        for tree in range(4):  # one tree alone: its answer is a leaf, to the bit
            depth = seed % 4 if tree else 3
            model = ensemble(10 * seed + tree, depth, oblivious=layout == "oblivious", strict=strict)
            model = dataclasses.replace(model, base=np.zeros(3))
            rows = rows_for(model, seed)
            genome = brain(model, own)
            np.testing.assert_array_equal(answers(own, genome, rows), model.predict(rows))
            back = ensemble_of(genome, own, _NAMES)
            wide = np.concatenate([rows, np.zeros((len(rows), _ACCOUNT), np.float32)], axis=1)
            np.testing.assert_array_equal(back.predict(wide), model.predict(rows))


@pytest.mark.parametrize("layout", ["ordinary", "oblivious"])
def test_many_trees_sum_to_the_same_scores(layout: str) -> None:
    own = species(layout)
    model = ensemble(5, 3, 1, 2, 0, 3, oblivious=layout == "oblivious")
    rows = rows_for(model)
    genome = brain(model, own)
    np.testing.assert_allclose(answers(own, genome, rows), model.predict(rows), atol=2e-6)
    for tree in ensemble_of(genome, own, _NAMES).trees:
        tree.check(features=_FEATURES + _ACCOUNT, outputs=3)


def random_genome(own: ForestSpecies) -> Forest:
    """A genome in which everything differs."""
    random = np.random.default_rng(8)

    def kind(count: int, inputs: int) -> Trees:
        asked = (count, own.layout.nodes)
        return Trees(
            feature=random.integers(inputs, size=asked, dtype=np.int32),
            threshold=random.normal(size=asked).astype(np.float32),
            nan_right=random.uniform(size=asked) < 0.5,
            leaf=random.normal(size=(count, own.layout.leaves, 3)).astype(np.float32),
        )

    bias = np.asarray([0.5, -1.0, 2.0], np.float32)
    return Forest(bias, kind(5, _FEATURES), kind(2, _FEATURES + _ACCOUNT))


@pytest.mark.parametrize("layout", ["ordinary", "oblivious"])
def test_a_genome_is_itself_again_after_being_an_ensemble(layout: str) -> None:
    own = species(layout)
    genome = random_genome(own)
    model = ensemble_of(genome, own, _NAMES)
    assert model.features == (*_NAMES, *ACCOUNT_VIEW)
    assert model.library == "arena"
    assert len(model.trees) == 7
    jax.tree.map(np.testing.assert_array_equal, brain(model, own), genome)
    rows = rows_for(model)
    np.testing.assert_allclose(answers(own, genome, rows), model.predict(rows), atol=2e-6)


def test_trees_that_ask_for_the_account_are_state_trees() -> None:
    own = species()
    model = ensemble(3, 3, inputs=_FEATURES + _ACCOUNT)
    assert (model.trees[0].feature >= _FEATURES).any()
    model = dataclasses.replace(model, trees=(*ensemble(4, 3).trees, *model.trees, *ensemble(5, 2).trees))
    genome = brain(model, own)
    silent = [int((np.abs(kind.leaf).max(axis=(1, 2)) == 0).sum()) for kind in (genome.market, genome.state)]
    assert silent == [3, 1]
    assert (genome.market.feature < _FEATURES).all()
    rows = rows_for(model)
    np.testing.assert_allclose(answers(own, genome, rows), model.predict(rows), atol=2e-6)


def test_room_that_is_left_is_silent_and_asks_what_there_is() -> None:
    genome = brain(ensemble(1, 2), species())
    assert not genome.state.leaf.any()
    assert not genome.market.leaf[1:].any()
    assert ((genome.state.feature >= _FEATURES) & (genome.state.feature < _FEATURES + _ACCOUNT)).all()
    assert ((genome.market.feature >= 0) & (genome.market.feature < _FEATURES)).all()
    assert np.isfinite(genome.state.threshold).all()
    form = genome_form(species())
    assert jax.tree.map(lambda leaf: (leaf.shape, np.dtype(leaf.dtype)), genome) == jax.tree.map(
        lambda leaf: (leaf.shape, np.dtype(leaf.dtype)), form
    )


@pytest.mark.parametrize(
    ("classes", "order"),
    [
        ((), (NEUTRAL, BUY, SELL)),
        (("0", "1", "2"), (NEUTRAL, BUY, SELL)),
        (("long", "short", "flat"), (NEUTRAL, BUY, SELL)),
        (("Buy", "neutral", "sell"), (BUY, NEUTRAL, SELL)),
        (("-1", "0", "1"), (SELL, NEUTRAL, BUY)),
        (("-1.0", "0.0", "1.0"), (SELL, NEUTRAL, BUY)),
    ],
)
def test_three_scores_go_to_the_actions_they_are_called_after(classes: tuple[str, ...], order: Sequence[int]) -> None:
    own = species()
    model = ensemble(2, 2, 3, link="softmax", classes=classes)
    rows = rows_for(model)
    said = answers(own, brain(model, own), rows)
    np.testing.assert_allclose(said[:, list(order)], model.predict(rows), atol=1e-6)


@pytest.mark.parametrize(
    ("link", "classes", "side"),
    [
        ("identity", (), 1),
        ("logistic", ("0", "1"), 1),
        ("logistic", ("-1", "1"), 1),
        ("logistic", ("sell", "buy"), 1),
        ("logistic", ("buy", "sell"), -1),
    ],
)
def test_one_score_is_a_direction(link: str, classes: tuple[str, ...], side: int) -> None:
    own = species()
    model = ensemble(4, 3, 2, outputs=1, link=link, classes=classes)
    rows = rows_for(model)
    score = side * model.predict(rows)[:, 0]
    said = answers(own, brain(model, own), rows)
    np.testing.assert_allclose(said, np.stack([0 * score, score, -score], axis=1), atol=1e-6)


def test_of_two_scores_the_difference_is_a_direction() -> None:
    own = species()
    model = ensemble(4, 3, 2, outputs=2, link="softmax", classes=("0", "1"))
    rows = rows_for(model)
    first, second = model.predict(rows).T
    said = answers(own, brain(model, own), rows)
    np.testing.assert_allclose(said, np.stack([0 * first, second - first, first - second], axis=1), atol=2e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outputs": 4}, r"^mine: gives 4 scores \(identity\); right is one of each of neutral, buy and sell"),
        ({"outputs": 2}, r"^mine: gives 2 scores \(identity\)"),
        ({"outputs": 1, "link": "exponential"}, r"^mine: gives 1 scores \(exponential\)"),
        (
            {"outputs": 1, "link": "logistic", "classes": ("neutral", "buy")},
            r"^mine: its classes are neutral, buy; right",
        ),
    ],
)
def test_scores_without_a_direction_are_refused(change: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        brain(ensemble(1, 2, **change), species(), whose="mine")


def test_what_does_not_fit_the_genome_names_the_key_that_would_make_it_fit() -> None:
    with pytest.raises(UserError, match=r"^xgboost: tree 1 asks 4 questions in a row; right is species.forest.depth=4"):
        brain(ensemble(1, 3, 4, oblivious=True), species())
    with pytest.raises(UserError, match=r"in a row; right is species.forest.depth=8, or a model of depth 3$"):
        brain(ensemble(1, 8, oblivious=True), species())
    with pytest.raises(UserError, match=r"tree 0 asks 9 questions in a row; right is a model of depth at most 8$"):
        brain(ensemble(1, 9, oblivious=True), species())
    with pytest.raises(
        UserError, match=r"^m: has 6 trees for species.forest.market_trees=5; right is species.forest.mar"
    ):
        brain(ensemble(1, *[2] * 6), species(), whose="m")
    with pytest.raises(
        UserError, match=r"^m: tree 0 asks different questions in level 2; .* species.forest.layout=ordin"
    ):
        brain(ensemble(12, 3), species("oblivious"), whose="m")
    asks = ensemble(3, *[3] * 6, inputs=_FEATURES + _ACCOUNT)
    with pytest.raises(UserError, match=r"^m: has \d trees for species.forest.state_trees=2"):
        brain(asks, species(), whose="m")
    with pytest.raises(ValueError, match="2 columns; right is 3, or 4 more"):
        brain(ensemble(1, 1, inputs=2), species())
    with pytest.raises(UserError, match=r"^m: .*must be a finite float32"):
        brain(ensemble(1, 1, base=np.asarray([1e39, 0, 0])), species(), whose="m")

"""Brains brought to another scaling answer as they did on the old one, wherever neither scaling clips."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from experiments.founders.scales import Change, change, grown, rescaled_forest, rescaled_network
from genomes.forest import Forest, ForestSpecies
from genomes.forest import Settings as ForestSettings
from genomes.forest import make as make_forest
from genomes.qnetwork import Network, QNetwork
from genomes.qnetwork import Settings as NetworkSettings
from genomes.qnetwork import make as make_network
from genomes.species import Shape, Species
from genomes.trees import Trees
from markets.scaling import Scaler

ROWS, KNOWN, MORE = 64, 3, 2
NAMES = ("a", "b", "c")

pytestmark = pytest.mark.usefixtures("plainly_compiled")

_ANSWERS: dict[Species, Any] = {}


def answers(species: Species, genome: Any, seen: NDArray[np.floating], account: NDArray[np.float32]) -> NDArray[Any]:
    """Action values of each row, by the species itself [rows, actions]."""

    def of(genome: Any, seen: Any, account: Any) -> Any:
        code = jax.tree.map(lambda leaf: leaf[0], species.encode(genome, seen[None]))
        return species.values(genome, code, account, ())[0]

    compiled = _ANSWERS.setdefault(species, jax.jit(of))
    return np.asarray(compiled(jax.tree.map(jnp.asarray, genome), jnp.asarray(seen, jnp.float32), jnp.asarray(account)))


def scalers(random: np.random.Generator, clip: float = 5.0) -> tuple[Scaler, Scaler]:
    """One of three features, and another of these in another order, with two more among them."""
    there = Scaler(NAMES, random.normal(size=KNOWN), np.exp(random.normal(size=KNOWN)), 5.0)
    order = random.permutation(KNOWN + MORE)
    names = [(*NAMES, "new", "other")[place] for place in order]
    centre = np.concatenate([there.centre + there.scale * random.uniform(-0.5, 0.5, KNOWN), random.normal(size=MORE)])
    scale = np.concatenate([there.scale * np.exp(random.uniform(-0.5, 0.5, KNOWN)), np.ones(MORE)])
    return there, Scaler(tuple(names), centre[order], scale[order], clip)


def rows(random: np.random.Generator, there: Scaler, here: Scaler, wide: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """The same raw rows as both scalings show them, so wide in the old one's deviations."""
    raw = random.normal(size=(ROWS, len(here.names)))
    for place, name in enumerate(there.names):
        raw[:, here.names.index(name)] = there.centre[place] + wide * there.scale[place] * random.normal(size=ROWS)
    return there.apply(raw[:, [here.names.index(name) for name in there.names]]), here.apply(raw)


def account_of(random: np.random.Generator) -> NDArray[np.float32]:
    return random.normal(size=(ROWS, 4)).astype(np.float32)


def network(random: np.random.Generator) -> Network:
    """Weights and biases as a bred network has them."""
    species = make_network(NetworkSettings(hidden=(5, 4)), Shape(KNOWN, 4))
    form = jax.eval_shape(species.init, jax.random.key(0), jax.ShapeDtypeStruct((KNOWN + 4, 2), jnp.float32))
    drawn: Network = jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype(np.float32), form)
    return drawn


def forest(random: np.random.Generator, species: ForestSpecies, beyond: float = 1.5) -> Forest:
    """Trees of all kinds of questions, thresholds of that deviation."""
    nodes, leaves, inputs = species.layout.nodes, species.layout.leaves, KNOWN + 4

    def kind(count: int, known: int) -> Trees:
        made: Any = (
            random.integers(known, size=(count, nodes)).astype(np.int32),
            (beyond * random.normal(size=(count, nodes))).astype(np.float32),
            random.integers(2, size=(count, nodes)).astype(bool),
            random.normal(size=(count, leaves, 3)).astype(np.float32),
        )
        return Trees(*made)

    bias: Any = random.normal(size=3).astype(np.float32)
    return Forest(bias, kind(species.settings.market_trees, KNOWN), kind(species.settings.state_trees, inputs))


def network_species(features: int) -> QNetwork:
    return make_network(NetworkSettings(hidden=(5, 4)), Shape(features, 4))


def forest_species(features: int, layout: Any = "oblivious", depth: int = 3, trees: int = 4) -> ForestSpecies:
    own = ForestSettings(layout=layout, depth=depth, market_trees=trees, state_trees=2)
    return make_forest(own, Shape(features, 4))


seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=40, deadline=None)
@given(seed=seeds)
def test_a_network_answers_the_same_where_nothing_is_clipped(seed: int) -> None:
    random = np.random.default_rng(seed)
    there, here = scalers(random)
    own, account = network(random), account_of(random)
    by = change(there, here)
    before, after = rows(random, there, here, 1.0)
    free = (np.abs(before) < 5).all(1) & ~by.clipped(after)
    old = answers(network_species(KNOWN), own, before, account)
    new = answers(network_species(KNOWN + MORE), rescaled_network(own, by), after, account)
    scale = np.abs(old).max() + np.abs(by.shift).max() * 10
    np.testing.assert_allclose(new[free], old[free], rtol=1e-4, atol=2e-5 * scale)
    np.testing.assert_allclose(by.apply(after)[free], before[free], atol=1e-4)


@pytest.mark.parametrize("layout", ["oblivious", "ordinary"])
@settings(max_examples=40, deadline=None)
@given(seed=seeds)
def test_a_forest_comes_to_the_same_leaves_where_nothing_is_clipped(layout: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    there, here = scalers(random)
    species = forest_species(KNOWN, layout)
    own, account = forest(random, species), account_of(random)
    by = change(there, here)
    before, after = rows(random, there, here, 1.0)
    old = answers(species, own, before, account)
    new = answers(forest_species(KNOWN + MORE, layout), rescaled_forest(own, by), after, account)
    away = ~by.clipped(after) & (nearest(own, before) > 1e-5)
    assert away.sum() > ROWS // 4
    np.testing.assert_array_equal(new[away], old[away])


def nearest(own: Forest, seen: NDArray[Any]) -> NDArray[Any]:
    """How near each row comes to a threshold of the market, which rounding may put it on the other side of [rows]."""
    apart = np.full(len(seen), np.inf)
    for trees in (own.market, own.state):
        for feature, threshold in zip(np.ravel(trees.feature), np.ravel(trees.threshold), strict=True):
            if feature < KNOWN:
                apart = np.minimum(apart, np.abs(seen[:, feature] - threshold))
    return apart


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_equal_scaling_changes_no_bit(seed: int) -> None:
    random = np.random.default_rng(seed)
    there, _ = scalers(random)
    by = change(there, there)
    own, trees = network(random), forest(random, forest_species(KNOWN), beyond=8.0)
    for given_, made in ((own, rescaled_network(own, by)), (trees, rescaled_forest(trees, by))):
        assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(given_), jax.tree.leaves(made), strict=True))
    assert not by.clipped(np.full((1, KNOWN), 5.0)).any()


@pytest.mark.parametrize("clip", [2.0, 5.0, 9.0])
@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_questions_beyond_the_clip_stay_answered_as_they_were(clip: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    there, here = scalers(random, clip)
    by = change(there, here)
    _, after = rows(random, there, here, 20.0)
    threshold = np.asarray([[5.1, 30.0, np.inf], [-5.0, -30.0, -np.inf], [4.9, -4.9, 0.0]], np.float32)
    trees: Any = Trees(
        np.tile(np.arange(3, dtype=np.int32), (3, 1)),
        threshold,
        np.zeros((3, 3), bool),
        np.zeros((3, 8, 3), np.float32),
    )
    none: Any = jax.tree.map(lambda leaf: leaf[:0], trees)
    moved = rescaled_forest(Forest(np.zeros(3, np.float32), trees, none), by).market
    seen = after[:, np.asarray(moved.feature)]
    right = seen >= moved.threshold
    assert not right[:, 0].any(), "above the clip nobody turns right"
    assert right[:, 1].all(), "below it everybody does"
    assert (np.abs(np.asarray(moved.threshold)[2]) <= clip).all(), "what could be told apart still can"


@settings(max_examples=25, deadline=None)
@given(seed=seeds, layouts=st.sampled_from([("oblivious", "oblivious"), ("oblivious", "ordinary"), ("ordinary",) * 2]))
def test_a_forest_with_more_room_says_the_same(seed: int, layouts: tuple[str, str]) -> None:
    random = np.random.default_rng(seed)
    small = forest_species(KNOWN, layouts[0], depth=2, trees=3)
    large = forest_species(KNOWN, layouts[1], depth=4, trees=5)
    own, account = forest(random, small), account_of(random)
    inputs = np.arange(KNOWN + 4)
    more = own._replace(
        market=grown(own.market, small.layout, large.layout, 5, inputs[:KNOWN]),
        state=grown(own.state, small.layout, large.layout, 2, inputs[KNOWN:]),
    )
    seen = random.normal(size=(ROWS, KNOWN))
    seen[random.random(seen.shape) < 0.1] = np.nan
    np.testing.assert_array_equal(answers(large, more, seen, account), answers(small, own, seen, account))


def test_how_often_scalings_clip_apart_is_counted() -> None:
    by = Change(np.asarray([1, 0]), np.asarray([2.0, 1.0]), np.asarray([0.0, 0.0]), 5.0, 5.0, 3)
    seen = np.asarray([[0.0, 2.4, 9.0], [0.0, 2.6, 0.0], [5.0, 0.0, 0.0], [0.0, 5.0, 0.0]])
    np.testing.assert_array_equal(by.clipped(seen), [False, True, False, True])


def test_a_hole_counts_where_the_centres_differ() -> None:
    there = Scaler(("a", "b"), np.asarray([1.0, 2.0]), np.asarray([1.0, 1.0]), 5.0)
    here = Scaler(("a", "b"), np.asarray([1.0, 2.5]), np.asarray([1.5, 1.0]), 5.0)
    raw = np.asarray([[1.5, 2.2], [np.nan, 2.2], [1.5, np.nan]])
    by, seen = change(there, here), here.apply(raw)
    apart = np.abs(by.apply(seen) - there.apply(raw)).max(axis=1) > 1e-6
    np.testing.assert_array_equal(apart, [False, False, True])
    np.testing.assert_array_equal(by.clipped(seen), apart)

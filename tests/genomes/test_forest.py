"""The forest beside what every species must do: no operator breaks one, and scars find the trees that spoke."""

import copy
import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from walker import Tree, each_tree, ends_instead, leaf_of, reached

from genomes import tree_variation as vary
from genomes.forest import Forest, ForestSpecies, Settings
from genomes.species import Shape
from genomes.trees import Layout, Trees
from markets.errors import UserError
from markets.settings import check

pytestmark = pytest.mark.usefixtures("plainly_compiled")

SHAPE = Shape(features=2, account=2)
INPUTS = SHAPE.features + SHAPE.account
KNOWN = np.asarray([[-1, -1, 0, 0, 1], [0, 0, 0, 0, 2], [-1, -0.5, 0, 0.5, 1], [3, 3, 3, 3, 3]], np.float32)
"""Quantiles of few values: questions are often answered before they are asked."""

QUANTILES = jnp.asarray(KNOWN)
HIGH = {"feature": 0.6, "graft": 0.6, "prune": 0.5, "split": 0.7, "regrow": 0.3, "shift": 0.6, "leaf": 0.5}
OFF = dict.fromkeys(HIGH, 0.0)
COUNT = 16
FULL = jnp.ones(COUNT)


def species(layout: str = "ordinary", **changes: Any) -> ForestSpecies:
    return ForestSpecies(
        Settings(**{"layout": layout, "depth": 3, "market_trees": 2, "state_trees": 2, **changes}), SHAPE
    )


@functools.cache
def compiled(own: ForestSpecies, operator: str) -> Callable[..., Any]:
    """An operator mapped over a population."""
    drawn = operator in ("init", "damage")
    function = getattr(own, operator)
    return jax.jit(jax.vmap(lambda *given: function(*given, QUANTILES) if drawn else function(*given)))


@functools.cache
def _mutating(own: ForestSpecies) -> Callable[..., Any]:
    def mutate(rates: dict[str, Any], key: jax.Array, genome: Forest, strength: jax.Array) -> Forest:
        rated = copy.copy(own.settings)
        for name, rate in rates.items():
            object.__setattr__(rated, name, rate)  # numbers that are known only when the program runs
        return dataclasses.replace(own, settings=rated).mutate(key, genome, strength, QUANTILES)

    return jax.jit(jax.vmap(mutate, (None, 0, 0, 0)))


def mutants(own: ForestSpecies, seed: int, population: Forest, strength: Any, rates: dict[str, float]) -> Forest:
    """A mutated population; all rates there are share a program, which is costly to compile."""
    made: Forest = _mutating(own)(rates, keys(seed), population, strength)
    return made


def keys(seed: int) -> jax.Array:
    return jax.random.split(jax.random.key(seed), COUNT)


@functools.cache
def founders(own: ForestSpecies, seed: int = 0) -> Forest:
    made: Forest = compiled(own, "init")(keys(seed))
    return made


def one(tree: Any, index: int) -> Any:
    return jax.tree.map(lambda x: x[index], tree)


def mates(population: Forest, by: int = 1) -> Forest:
    rolled: Forest = jax.tree.map(lambda x: jnp.roll(x, by, axis=0), population)
    return rolled


def differs(before: Forest, after: Forest) -> set[str]:
    """The parts in which two populations differ."""
    found = {"bias"} if not np.array_equal(before.bias, after.bias) else set()
    for kind in ("market", "state"):
        for name in Trees._fields:
            a, b = (getattr(getattr(forest, kind), name) for forest in (before, after))
            found |= set() if np.array_equal(a, b) else {name}
    return found


def trees_of(population: Forest) -> Iterator[tuple[Tree, int]]:
    """All trees, each with how many inputs it may ask for."""
    for trees, inputs in ((population.market, SHAPE.features), (population.state, INPUTS)):
        yield from ((tree, inputs) for tree in each_tree(trees))


def assert_sound(layout: Layout, population: Forest) -> None:
    """Every question can be asked, every leaf is reached or says what is said instead, every number is one."""
    assert np.isfinite(np.asarray(population.bias)).all()
    for tree, inputs in trees_of(population):
        assert (tree.feature >= 0).all()
        assert (tree.feature < inputs).all(), "trees of the market never ask for the account"
        least, most = KNOWN[tree.feature, 0], KNOWN[tree.feature, -1]
        assert ((tree.threshold > least) | (least == most)).all()
        assert ((tree.threshold >= least) & (tree.threshold <= most)).all()
        assert np.isfinite(tree.leaf).all()
        np.testing.assert_array_equal(tree.leaf, tree.leaf[ends_instead(layout, reached(layout, tree, inputs))])


@pytest.mark.parametrize("layout", ["ordinary", "oblivious"])
@given(seed=st.integers(0, 2**31 - 1))
@settings(max_examples=3, deadline=None)
def test_no_operator_ever_makes_a_forest_that_is_invalid_or_cannot_be_reached(layout: str, seed: int) -> None:
    own = species(layout)
    population = founders(own, seed)
    assert_sound(own.layout, population)
    population = mutants(own, seed ^ 1, population, jnp.linspace(0.2, 1.5, COUNT), HIGH)
    assert_sound(own.layout, population)
    population = compiled(own, "crossover")(keys(seed ^ 2), population, mates(population))
    assert_sound(own.layout, population)
    spoke = jax.random.uniform(jax.random.key(seed), (COUNT, own.units))
    population, _ = compiled(own, "damage")(keys(seed ^ 3), population, spoke, FULL)
    assert_sound(own.layout, population)


def test_many_leaves_would_be_dead_if_none_were_settled() -> None:
    """What the test above looks for is there to be found."""
    own = species("ordinary")
    dead = [own.layout.leaves - len(reached(own.layout, tree, inputs)) for tree, inputs in trees_of(founders(own))]
    assert np.mean(dead) > 0.5


@pytest.mark.parametrize(
    ("rate", "changes"),
    [
        ("shift", {"threshold"}),
        ("leaf", {"leaf", "bias"}),
        ("feature", {"feature", "threshold", "nan_right", "leaf"}),
        ("graft", {"feature", "threshold", "nan_right", "leaf"}),
        ("prune", {"leaf"}),
        ("split", set()),
        ("regrow", {"feature", "threshold", "nan_right", "leaf"}),
    ],
)
def test_each_operator_has_a_rate_of_its_own(rate: str, changes: set[str]) -> None:
    """With all others off; leaves that no row reaches follow the others."""
    own = species("oblivious")
    population = founders(own)
    found = differs(population, mutants(own, 1, population, FULL, {**OFF, rate: 1.0}))
    settled = (
        {"leaf"} if rate == "shift" else {"feature", "threshold", "nan_right", "leaf"} if rate == "split" else set()
    )
    assert changes <= found <= changes | settled
    # a founder has a constant subtree only where leaves that no row reaches are copies of others


def test_without_any_rate_nothing_changes() -> None:
    own = species("oblivious")
    population = founders(own)
    assert not differs(population, mutants(own, 1, population, FULL, OFF))


def test_a_level_is_not_constant_where_some_of_it_says_different_things() -> None:
    """An oblivious tree asks one question a level: a split there would undo what the other half says."""
    own = species("oblivious")
    population = founders(own)
    half = jnp.where(jnp.arange(8) < 4, 0, jnp.arange(8)).astype(jnp.float32)[:, None]
    trees = [
        kind._replace(leaf=jnp.broadcast_to(half, kind.leaf.shape)) for kind in (population.market, population.state)
    ]
    population = population._replace(market=trees[0], state=trees[1])
    assert differs(population, mutants(own, 1, population, FULL, {**OFF, "split": 1.0})) <= {"leaf"}


def test_means_of_numbers_whose_sum_is_none() -> None:
    most = jnp.float32(np.finfo(np.float32).max)
    for first, second in ((most, 0.75 * most), (-most, -0.5 * most), (most, most)):
        mean = float(vary.mean(first, second))
        assert min(first, second) <= mean <= max(first, second)
        np.testing.assert_allclose(mean, float(first) / 2 + float(second) / 2, rtol=1e-6)


def test_a_forest_of_new_trees_speaks_with_a_deviation_of_one() -> None:
    for own in (species("oblivious"), species(market_trees=3, state_trees=3, damage=0.5)):
        leaf = np.concatenate([tree.leaf.ravel() for tree, _ in trees_of(founders(own))])
        assert abs(leaf.std() * np.sqrt(own.units) - 1) < 0.1


@pytest.mark.parametrize("kind", ["market", "state"])
def test_trees_of_one_kind_are_a_forest_too(kind: str) -> None:
    own = species("oblivious", depth=1, **{f"{kind}_trees": 0})
    assert own.units == 2
    population = founders(own)
    child = compiled(own, "crossover")(keys(2), population, mates(population))
    assert_sound(own.layout, child)
    assert (np.asarray(compiled(own, "distance")(population, mates(population))) > 0).all()
    hurt, hit = compiled(own, "damage")(keys(3), population, jnp.ones((COUNT, own.units)), FULL)
    assert hit.shape == (COUNT, 2)
    assert_sound(own.layout, hurt)
    form = jax.eval_shape(own.mutate, jax.random.key(0), one(population, 0), jnp.float32(1.0), QUANTILES)
    assert jax.tree.map(jnp.shape, form) == jax.tree.map(jnp.shape, one(population, 0))


def test_a_child_by_swapping_has_each_tree_whole_from_one_parent() -> None:
    own = species(crossover="swap")
    population = founders(own)
    child = compiled(own, "crossover")(keys(1), population, mates(population))
    took = []
    for (now, _), (a, _), (b, _) in zip(*map(trees_of, (child, population, mates(population))), strict=True):
        fits = [all(np.array_equal(x, y) for x, y in zip(now, parent, strict=True)) for parent in (a, b)]
        assert any(fits)
        took.append(fits[0])
    assert 0.35 < np.mean(took) < 0.65


@given(seed=st.integers(0, 2**31 - 1))
@settings(max_examples=4, deadline=None)
def test_distance_is_a_metric(seed: int) -> None:
    own = species("oblivious")
    apart = compiled(own, "distance")
    first = founders(own, seed)
    second = mutants(own, seed, first, jnp.linspace(0.0, 1.0, COUNT), HIGH)
    third = mutants(own, seed ^ 1, second, FULL, HIGH)
    forests = (first, second, third, mates(first))
    for a in forests:
        np.testing.assert_array_equal(apart(a, a), 0.0)
    between = {(i, j): np.asarray(apart(forests[i], forests[j])) for i, j in itertools.permutations(range(4), 2)}
    for i, j, k in itertools.permutations(range(4), 3):
        np.testing.assert_array_equal(between[i, j], between[j, i])
        assert (between[i, j] >= 0).all()
        assert (between[i, j] <= (between[i, k] + between[k, j]) * (1 + 1e-5)).all()
    alike = [not differs(jax.tree.map(lambda x, n=n: x[n], first), one(second, n)) for n in range(COUNT)]
    np.testing.assert_array_equal(between[0, 1] == 0, alike)


def test_distance_is_half_a_threshold_a_whole_question_and_leaves_by_their_scale() -> None:
    own = species("oblivious", market_trees=1, state_trees=0, depth=2)
    tree = Trees(jnp.zeros((1, 2), jnp.int32), jnp.zeros((1, 2)), jnp.zeros((1, 2), bool), jnp.zeros((1, 4, 3)))
    none = one(founders(own), 0)
    first = none._replace(bias=jnp.zeros(3), market=tree)
    for part, value, want in (
        ("threshold", jnp.asarray([[0.5, 0.0]]), 0.125),
        ("threshold", jnp.asarray([[90.0, 0.0]]), 0.5),
        ("feature", jnp.asarray([[1, 0]], jnp.int32), 0.5),
        ("leaf", jnp.full((1, 4, 3), 2.0), 2.0 * np.sqrt(12 / 15)),
    ):
        second = first._replace(market=tree._replace(**{part: value}))
        np.testing.assert_allclose(own.distance(first, second), want, rtol=1e-6)


def test_activity_is_how_far_a_tree_sets_the_actions_apart_among_all() -> None:
    own = species("oblivious")
    genome = one(mutants(own, 1, founders(own), FULL, HIGH), 3)
    rng = np.random.default_rng(0)
    seen, account = rng.normal(size=(4, 5, 2)).astype(np.float32), rng.normal(size=(4, 5, 2)).astype(np.float32)
    active = jax.jit(own.activity)
    got = np.asarray(active(genome, seen, account))
    trees = list(trees_of(genome))
    for bar, row in itertools.product(range(4), range(5)):
        asked = np.concatenate([seen[bar, row], account[bar, row]])
        apart = [np.ptp(tree.leaf[leaf_of(own.layout, tree, asked)]) for tree, _ in trees]
        np.testing.assert_allclose(got[bar, row], np.asarray(apart) / np.sum(apart), rtol=1e-5)
    louder = genome._replace(
        state=genome.state._replace(leaf=genome.state.leaf * jnp.asarray([1.0, 3.0])[:, None, None])
    )
    after = np.asarray(active(louder, seen, account))
    np.testing.assert_allclose(after[..., 3] / after[..., 0], 3 * got[..., 3] / got[..., 0], rtol=1e-4)
    silent = genome._replace(market=genome.market._replace(leaf=jnp.full_like(genome.market.leaf, 0.7)))
    np.testing.assert_array_equal(active(silent, seen, account)[..., :2], 0.0)


@pytest.mark.parametrize("severity", [0.0, 0.3, 1.0])
def test_damage_silences_the_trees_that_spoke_most_and_leaves_the_silent(severity: float) -> None:
    own = species(market_trees=3, state_trees=3, damage=0.5)
    population = founders(own)
    spoke = jnp.stack([jax.random.permutation(key, jnp.arange(6.0)) for key in keys(4)])
    after, hit = compiled(own, "damage")(keys(2), population, spoke, jnp.full(COUNT, severity))
    count = int(np.ceil(severity * 0.5 * 6))
    np.testing.assert_array_equal(np.asarray(hit) > 0, np.asarray(spoke) >= 6 - count)
    np.testing.assert_array_equal(after.bias, population.bias)
    asked_anew = []
    for index in range(COUNT):
        pairs = zip(trees_of(one(population, index)), trees_of(one(after, index)), np.asarray(hit)[index], strict=True)
        for (was, _), (now, _), dropped in pairs:
            if dropped:
                assert (now.leaf == 0).all()
                asked_anew.append(not np.array_equal(was.threshold, now.threshold))
            else:
                assert all(np.array_equal(a, b) for a, b in zip(was, now, strict=True))
    assert len(asked_anew) == count * COUNT
    assert not asked_anew or np.mean(asked_anew) > 0.9


def test_leaves_and_bias_are_learned_and_questions_are_not() -> None:
    own = species()
    learns = own.learnable(one(founders(own), 0))
    trees = Trees(feature=False, threshold=False, nan_right=False, leaf=True)
    assert learns == Forest(bias=True, market=trees, state=trees)


def test_it_costs_what_its_questions_and_leaves_do() -> None:
    works = [species("oblivious", depth=depth).work for depth in range(1, 9)]
    assert works == sorted(works)
    assert species("ordinary").work > species("oblivious").work
    assert species(state_trees=3).work > species(market_trees=3).work
    assert species().products == 0


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"market_trees": 0, "state_trees": 0}, r"species\.forest\.market_trees: a forest needs a tree at least"),
        ({"depth": 9}, r"species\.forest\.depth"),
        ({"depth": 0}, r"species\.forest\.depth"),
        ({"graft": 1.5}, r"species\.forest\.graft"),
    ],
)
def test_settings_that_make_no_forest_are_refused_in_one_line(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint) as found:
        check(dataclasses.replace(Settings(), **changes), "species.forest")
    assert "\n" not in str(found.value)

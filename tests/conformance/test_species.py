"""What every species must do, whichever it is: one suite over the registry, and over a trivial species of the tests."""

import functools
import importlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genomes import registry
from genomes.species import DEFAULT_ACTIONS, ActionSpace, Shape, Species
from markets.errors import UserError
from markets.settings import build, check

pytestmark = pytest.mark.usefixtures("plainly_compiled")

SHAPE = Shape(features=5, account=4)
QUANTILES = jnp.linspace(-2.0, 2.0, 9) * jnp.ones((SHAPE.features + SHAPE.account, 1))
NAMES = (*registry.SPECIES, "threshold")
COUNT = 6


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each registered species, and one of the tests' own, registered by one line."""
    monkeypatch.setitem(registry.SPECIES, "threshold", "threshold_species")
    return str(request.param)


@pytest.fixture
def species(name: str) -> Species:
    return registry.make_species(name, registry.settings_class(name)(), SHAPE)


def keys(seed: int, count: int = COUNT) -> jax.Array:
    return jax.random.split(jax.random.key(seed), count)


@functools.cache
def compiled(species: Species, operator: str, many: bool = True) -> Callable[..., Any]:
    """One of its operators, compiled once for all tests; `many` maps it over individuals."""
    given = getattr(species, operator)
    drawn = operator in ("init", "mutate", "damage")

    def function(*operands: Any) -> Any:
        return given(*operands, QUANTILES) if drawn else given(*operands)

    return jax.jit(jax.vmap(function) if many else function)


@functools.cache
def founders(species: Species, seed: int = 0) -> Any:
    return compiled(species, "init")(keys(seed))


def one(tree: Any, index: int | slice) -> Any:
    return jax.tree.map(lambda x: x[index], tree)


def same(first: Any, second: Any) -> bool:
    """Whether two trees are equal to the last bit."""
    assert jax.tree.structure(first) == jax.tree.structure(second)
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True))


def form(tree: Any) -> Any:
    return jax.tree.map(lambda x: (x.shape, x.dtype), tree)


def features(bars: int, rows: int = 3, seed: int = 1) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=(bars, rows, SHAPE.features)), jnp.float32)


def account(rows: int = 3, seed: int = 2) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=(rows, SHAPE.account)), jnp.float32)


def activity(species: Species, seed: int = 3) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).permutation(species.units) + 1.0, jnp.float32)


def test_it_is_what_the_registry_says(name: str, species: Species) -> None:
    assert species.name == name
    assert species.shape == SHAPE
    assert species.context >= 0
    assert species.units >= 1
    assert species.products >= 0
    assert species.work > 0
    hash(species)  # static: it is closed over by compiled programs
    again = registry.make_species(name, registry.settings_class(name)(), SHAPE)
    assert again == species


def test_founders_follow_from_their_key_alone(species: Species) -> None:
    first, second, other = founders(species), founders(species), founders(species, seed=9)
    assert same(first, second)
    assert not any(same(one(first, i), one(other, j)) for i in range(COUNT) for j in range(COUNT))


def test_every_number_of_a_founder_is_a_number(species: Species) -> None:
    for leaf in jax.tree.leaves(founders(species)):
        assert np.isfinite(leaf).all()
        assert leaf.dtype == jnp.float32 or not jnp.issubdtype(leaf.dtype, jnp.floating)


def test_operators_keep_shape_and_type(species: Species) -> None:
    genome = one(founders(species), 0)
    other = one(founders(species), 1)
    key = jax.random.key(4)
    want = form(genome)
    assert form(compiled(species, "mutate", False)(key, genome, jnp.float32(0.3))) == want
    assert form(compiled(species, "crossover", False)(key, genome, other)) == want
    hurt, hit = compiled(species, "damage", False)(key, genome, activity(species), jnp.float32(0.5))
    assert form(hurt) == want
    assert hit.shape == (species.units,)
    assert not any(getattr(leaf, "weak_type", False) for leaf in jax.tree.leaves(hurt))


def test_many_at_once_are_each_alone(species: Species) -> None:
    """Batched and compiled or one by one: the same children."""
    population = founders(species)
    strength = jnp.linspace(0.1, 1.0, COUNT)
    severity = jnp.linspace(0.0, 1.0, COUNT)
    spoke = jnp.stack([activity(species, i) for i in range(COUNT)])
    mutants = compiled(species, "mutate")(keys(1), population, strength)
    crossed = compiled(species, "crossover")(keys(2), population, jax.tree.map(lambda x: x[::-1], population))
    hurt, hit = compiled(species, "damage")(keys(3), population, spoke, severity)
    for i in (0, COUNT - 1):
        alone = compiled(species, "mutate", False)(keys(1)[i], one(population, i), strength[i])
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), alone, one(mutants, i))
        alone = compiled(species, "crossover", False)(keys(2)[i], one(population, i), one(population, COUNT - 1 - i))
        assert same(alone, one(crossed, i))
        alone, units = compiled(species, "damage", False)(keys(3)[i], one(population, i), spoke[i], severity[i])
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), alone, one(hurt, i))
        np.testing.assert_array_equal(units, hit[i])


def test_mutation_of_strength_0_changes_nothing_and_any_other_something(species: Species) -> None:
    population = founders(species)
    mutate = compiled(species, "mutate")
    assert same(mutate(keys(5), population, jnp.zeros(COUNT)), population)
    moved = mutate(keys(5), population, jnp.full(COUNT, 0.5))
    for i in range(COUNT):
        assert not same(one(moved, i), one(population, i))


def test_mutation_of_larger_strength_strays_farther(species: Species) -> None:
    population = founders(species)
    mutate, apart = compiled(species, "mutate"), compiled(species, "distance")
    near = apart(population, mutate(keys(6), population, jnp.full(COUNT, 0.01)))
    far = apart(population, mutate(keys(6), population, jnp.full(COUNT, 1.0)))
    assert float(near.mean()) < 0.5 * float(far.mean())


def test_a_child_of_equal_parents_is_that_parent(species: Species) -> None:
    population = founders(species)
    assert same(compiled(species, "crossover")(keys(7), population, population), population)


def test_every_number_of_a_child_lies_between_its_parents_and_both_give(species: Species) -> None:
    population = founders(species)
    mates = jax.tree.map(lambda x: jnp.roll(x, 1, axis=0), population)
    children = compiled(species, "crossover")(keys(8), population, mates)
    own, others = 0, 0
    for child, a, b in zip(*map(jax.tree.leaves, (children, population, mates)), strict=True):
        assert np.all((np.minimum(a, b) <= child) & (child <= np.maximum(a, b)))
        own, others = own + int(((child != b) & (a != b)).sum()), others + int(((child != a) & (a != b)).sum())
    assert own > 0
    assert others > 0, "both parents give"


def test_distance_is_one(species: Species) -> None:
    population = founders(species)
    apart = compiled(species, "distance")
    mates, third = (jax.tree.map(lambda x, by=by: jnp.roll(x, by, axis=0), population) for by in (1, 2))
    np.testing.assert_array_equal(apart(population, population), 0.0)
    forth, back = np.asarray(apart(population, mates)), np.asarray(apart(mates, population))
    assert (forth > 0).all()
    np.testing.assert_allclose(forth, back, rtol=1e-6)
    around = np.asarray(apart(population, third)) + np.asarray(apart(third, mates))
    assert (forth <= around * (1 + 1e-5)).all(), "no way round is shorter"


def test_damage_of_severity_0_is_none(species: Species) -> None:
    genome = one(founders(species), 0)
    hurt, hit = compiled(species, "damage", False)(jax.random.key(1), genome, activity(species), jnp.float32(0.0))
    assert same(hurt, genome)
    np.testing.assert_array_equal(hit, 0.0)


def test_damage_hits_the_most_active_units_and_more_of_them_when_severe(species: Species) -> None:
    genome, spoke = one(founders(species), 0), activity(species)
    counts = []
    for severity in (0.05, 0.5, 1.0):
        hurt, hit = compiled(species, "damage", False)(jax.random.key(1), genome, spoke, jnp.float32(severity))
        hit = np.asarray(hit)
        assert set(np.unique(hit)) <= {0.0, 1.0}
        counts.append(int(hit.sum()))
        if 0 < counts[-1] < species.units:
            assert np.asarray(spoke)[hit > 0].min() > np.asarray(spoke)[hit == 0].max()
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(hurt))
        assert not same(hurt, genome)
    assert counts[0] >= 1
    assert counts == sorted(counts)


def test_damage_without_any_activity_yields_numbers(species: Species) -> None:
    genome = one(founders(species), 0)
    hurt, _ = compiled(species, "damage", False)(jax.random.key(1), genome, jnp.zeros(species.units), jnp.float32(1.0))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(hurt))


def test_a_chunk_is_encoded_as_its_bars_one_by_one(species: Species) -> None:
    genome, seen = one(founders(species), 0), features(species.context + 8)
    together = compiled(species, "encode", False)(genome, seen)
    assert all(leaf.shape[0] == 8 for leaf in jax.tree.leaves(together))
    for bar in range(8):
        alone = compiled(species, "encode", False)(genome, seen[bar : bar + species.context + 1])
        for own, among in zip(jax.tree.leaves(alone), jax.tree.leaves(together), strict=True):
            np.testing.assert_allclose(own[0], among[bar], rtol=1e-5, atol=1e-6)


def test_no_bar_knows_a_later_one(species: Species) -> None:
    genome, seen = one(founders(species), 0), features(species.context + 8)
    before = compiled(species, "encode", False)(genome, seen)
    for bar in range(7):
        changed = compiled(species, "encode", False)(genome, seen.at[species.context + bar + 1 :].set(jnp.nan))
        assert same(jax.tree.map(lambda x, bar=bar: x[: bar + 1], changed), one(before, slice(bar + 1)))


def _values(species: Species, genome: Any, code: Any, view: jax.Array) -> np.ndarray:
    values, _ = species.values(genome, code, view, species.initial_carry(view.shape[0]))
    return np.asarray(values)


def test_rows_do_not_see_each_other(species: Species) -> None:
    genome, seen, view = one(founders(species), 0), features(species.context + 1), account()
    code = one(compiled(species, "encode", False)(genome, seen), 0)
    values = _values(species, genome, code, view)
    assert values.shape == (3, len(SHAPE.actions))
    assert np.isfinite(values).all()
    other = one(compiled(species, "encode", False)(genome, seen.at[:, 1].add(5.0)), 0)
    changed = _values(species, genome, other, view.at[1].add(-3.0))
    np.testing.assert_array_equal(changed[[0, 2]], values[[0, 2]])


def test_the_carry_keeps_its_form(species: Species) -> None:
    genome, seen, view = one(founders(species), 0), features(species.context + 1), account()
    carry = species.initial_carry(3)
    _, after = species.values(genome, one(compiled(species, "encode", False)(genome, seen), 0), view, carry)
    assert jax.tree.structure(after) == jax.tree.structure(carry)
    assert form(after) == form(carry)


def test_activity_is_one_number_a_unit_and_never_negative(species: Species) -> None:
    genome, seen = one(founders(species), 0), features(species.context + 1)
    spoke = np.asarray(species.activity(genome, seen, account()[None]))
    assert spoke.shape == (1, 3, species.units)
    assert np.isfinite(spoke).all()
    assert (spoke >= 0).all()


def test_learnable_names_leaves_of_the_genome(species: Species) -> None:
    genome = one(founders(species), 0)
    learnable = species.learnable(genome)
    assert jax.tree.structure(learnable) == jax.tree.structure(genome)
    assert all(isinstance(leaf, bool) for leaf in jax.tree.leaves(learnable))


def test_a_genome_survives_being_taken_apart(species: Species) -> None:
    genome = one(founders(species), 0)
    leaves, tree = jax.tree.flatten(jax.device_get(genome))
    again = jax.tree.unflatten(
        tree, [np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape) for x in map(np.asarray, leaves)]
    )
    assert same(again, genome)
    seen = features(species.context + 1)
    assert same(compiled(species, "encode", False)(again, seen), compiled(species, "encode", False)(genome, seen))


def test_its_settings_are_frozen_typed_and_checked(name: str) -> None:
    cls = registry.settings_class(name)
    check(cls(), f"species.{name}")
    assert build(cls, {}, f"species.{name}") == cls()
    assert importlib.import_module(registry.SPECIES[name]).make(cls(), SHAPE).name == name
    with pytest.raises(UserError, match=rf"species\.{name}\.nonsense: unknown key"):
        build(cls, {"nonsense": 1}, f"species.{name}")
    with pytest.raises(AttributeError):
        cls().anything = 1


def test_any_action_space_will_do(name: str) -> None:
    if name == "threshold":
        pytest.skip("the tests' own species speaks of three actions only")
    space = ActionSpace(("flat", "half", "long", "short"), (0.0, 0.5, 1.0, -1.0))
    species = registry.make_species(name, registry.settings_class(name)(), Shape(5, 4, space))
    genome = species.init(jax.random.key(0), QUANTILES)
    code = one(compiled(species, "encode", False)(genome, features(species.context + 1)), 0)
    assert _values(species, genome, code, account()).shape == (3, 4)


def test_the_default_actions_are_neutral_buy_sell_in_this_order() -> None:
    assert DEFAULT_ACTIONS.names == ("neutral", "buy", "sell")
    np.testing.assert_array_equal(DEFAULT_ACTIONS.directions(), [0.0, 1.0, -1.0])


def test_an_unknown_species_is_named_with_those_there_are() -> None:
    with pytest.raises(KeyError, match="qnetwork"):
        registry.make_species("nobody", None, SHAPE)

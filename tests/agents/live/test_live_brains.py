"""Both brains in NumPy against those of the arena: values, and leaves to the bit."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hand_bundles import hand_bundle
from numpy.typing import NDArray

from agents.live import Champion
from agents.live.forest import Forest, ordered
from agents.live.leaves import Leaves
from genomes.trees import Layout, Trees, answers, by_input
from genomes.trees import ordered as arena_ordered
from markets.errors import UserError

pytestmark = pytest.mark.usefixtures("plainly_compiled")

FEATURES, ACCOUNT, ACTIONS = 5, 4, 3
EDGES = np.asarray(
    [0.0, -0.0, 1e-45, -1e-45, 1.1754942e-38, -1.1754942e-38, 1.0, -1.0, 5.0, 3.4e38, -3.4e38, np.inf, -np.inf, np.nan],
    np.float32,
)
NEGATIVE_NAN = np.asarray([0xFFC00001], np.uint32).view(np.float32)


def random_trees(rng: np.random.Generator, layout: Layout, count: int, inputs: int) -> dict[str, NDArray[Any]]:
    """Trees whose thresholds are mostly edges of the number line."""
    shape = (count, layout.nodes)
    return {
        "feature": rng.integers(0, inputs, shape, np.int32),
        "threshold": rng.choice([*EDGES, *rng.normal(size=6).astype(np.float32)], shape).astype(np.float32),
        "nan_right": rng.random(shape) < 0.5,
        "leaf": rng.normal(size=(count, layout.leaves, ACTIONS)).astype(np.float32),
    }


def random_forest(rng: np.random.Generator, layout: Layout, market: int, state: int) -> tuple[dict[str, Any], Forest]:
    tensors: dict[str, Any] = {"genome.bias": rng.normal(size=ACTIONS).astype(np.float32)}
    for kind, count, inputs in (("market", market, FEATURES), ("state", state, FEATURES + ACCOUNT)):
        parts = random_trees(rng, layout, count, inputs)
        tensors |= {f"genome.{kind}.{name}": part for name, part in parts.items()}
    about = {
        "layout": "oblivious" if layout.oblivious else "ordinary",
        "depth": layout.depth,
        "market_trees": market,
        "state_trees": state,
    }
    return tensors, Forest(Leaves("x", tensors), FEATURES, ACCOUNT, ACTIONS, about)


def arena_leaves(layout: Layout, tensors: dict[str, Any], rows: NDArray[np.float32]) -> NDArray[np.int64]:
    """The arena's own answer of trees that say their leaf's number [rows, trees]."""
    found = []
    for kind in ("market", "state"):
        parts = {name: tensors[f"genome.{kind}.{name}"] for name in ("feature", "threshold", "nan_right")}
        numbers = np.broadcast_to(np.arange(layout.leaves, dtype=np.float32)[:, None], (layout.leaves, 1))
        trees = Trees(**parts, leaf=np.broadcast_to(numbers, (len(parts["feature"]), *numbers.shape)))
        trees = jax.tree.map(jnp.asarray, trees)
        found.append(np.asarray(answers(layout, trees, by_input(jnp.asarray(rows))))[:, 0])
    return np.concatenate(found).T.astype(np.int64)


def test_numbers_are_ordered_as_in_the_arena() -> None:
    bits = np.random.default_rng(0).integers(0, 2**32, 20_000, np.uint32).view(np.float32)
    values = np.concatenate([EDGES, NEGATIVE_NAN, bits])
    got = ordered(values)
    np.testing.assert_array_equal(got, arena_ordered(jnp.asarray(values)))
    real = np.sort(values[~np.isnan(values)])
    assert (np.diff(ordered(real).astype(np.int64)) >= 0).all()
    assert len(np.unique(got)) == len(np.unique(real)) + 1


@pytest.mark.parametrize(("depth", "oblivious"), [(4, True), (3, False)])
def test_leaves_are_those_of_the_arena_to_the_bit(depth: int, oblivious: bool) -> None:
    rng, layout = np.random.default_rng(depth), Layout(depth, oblivious)
    tensors, forest = random_forest(rng, layout, 6, 5)
    rows = rng.choice([*EDGES, *NEGATIVE_NAN, *rng.normal(size=9)], (400, FEATURES + ACCOUNT)).astype(np.float32)
    got = forest.leaves(rows[:, :FEATURES], rows[:, FEATURES:])
    np.testing.assert_array_equal(got, arena_leaves(layout, tensors, rows))
    assert len(np.unique(got)) == layout.leaves
    alone = [forest.leaves(row[:FEATURES], row[FEATURES:]) for row in rows[:50]]
    np.testing.assert_array_equal(alone, got[:50])


def test_many_rows_are_answered_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, layout = np.random.default_rng(3), Layout(3, False)
    _, forest = random_forest(rng, layout, 2, 2)
    rows = rng.normal(size=(50, FEATURES + ACCOUNT)).astype(np.float32)
    whole = forest.leaves(rows[:, :FEATURES], rows[:, FEATURES:])
    monkeypatch.setattr("agents.live.forest._BLOCK", 28 * 7)
    np.testing.assert_array_equal(forest.leaves(rows[:, :FEATURES], rows[:, FEATURES:]), whole)
    assert forest.leaves(rows[:0, :FEATURES], rows[:0, FEATURES:]).shape == (0, 4)
    assert forest.values(rows[:0, :FEATURES], rows[:0, FEATURES:]).shape == (0, ACTIONS)


@pytest.mark.parametrize(("market", "state"), [(0, 3), (3, 0)])
def test_a_forest_may_lack_either_kind_of_tree(market: int, state: int) -> None:
    rng = np.random.default_rng(4)
    tensors, forest = random_forest(rng, Layout(2, True), market, state)
    rows = rng.normal(size=(20, FEATURES + ACCOUNT)).astype(np.float32)
    leaf = np.concatenate([tensors["genome.market.leaf"], tensors["genome.state.leaf"]])
    ends = forest.leaves(rows[:, :FEATURES], rows[:, FEATURES:])
    wanted = tensors["genome.bias"] + leaf[np.arange(3), ends].astype(np.float64).sum(1)
    np.testing.assert_allclose(forest.values(rows[:, :FEATURES], rows[:, FEATURES:]), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        ("qnetwork", {"hidden": [8, 6]}),
        ("qnetwork", {"hidden": [5]}),
        ("forest", {"depth": 3, "state_trees": 2}),
        ("forest", {"layout": "ordinary", "depth": 3, "market_trees": 5, "state_trees": 2}),
    ],
)
def test_values_are_those_of_the_arena(kind: str, own: dict[str, Any], tmp_path: Path) -> None:
    hand = hand_bundle(tmp_path / "b", kind, settings=own)
    champion, rng = Champion.load(tmp_path / "b"), np.random.default_rng(1)
    rows = np.clip(rng.normal(0, 2, size=(300, len(hand.scaler.names) + 4)), -5, 5).astype(np.float32)
    features, view = rows[:, :-4], rows[:, -4:]

    @jax.jit
    def arena(genome: Any, features: Any, view: Any) -> Any:
        code = hand.species.encode(genome, features[None])
        return hand.species.values(genome, jax.tree.map(lambda leaf: leaf[0], code), view, ())[0]

    wanted = np.asarray(arena(jax.tree.map(jnp.asarray, hand.genome), features, view))
    got = champion.values(features, view)
    assert got.dtype == np.float32
    scale = np.abs(wanted).max(axis=1, keepdims=True)
    assert np.max(np.abs(got - wanted) / scale) < 1e-5
    alone = np.stack([champion.values(*row) for row in zip(features[:20], view[:20], strict=True)])
    np.testing.assert_allclose(alone, got[:20], rtol=1e-5, atol=1e-6)


def test_a_network_has_no_leaves(tmp_path: Path) -> None:
    hand_bundle(tmp_path / "b")
    with pytest.raises(UserError, match="only a forest has leaves"):
        Champion.load(tmp_path / "b").leaves(np.zeros((1, 20), np.float32), np.zeros((1, 4), np.float32))

"""Each operator on trees alone: what it may change and what it may not, how often, and where thresholds may lie."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from walker import each_tree

from genomes import tree_variation as vary
from genomes.numbers import spend
from genomes.trees import Layout, Trees

pytestmark = pytest.mark.usefixtures("plainly_compiled")

RNG = np.random.default_rng(0)
POINTS = 33
KNOWN = np.stack(
    [
        np.sort(RNG.normal(size=POINTS)),
        np.full(POINTS, 1.5),
        np.repeat([0.0, 1.0], [POINTS - 1, 1]),
        np.repeat([0.0, 1.0], [1, POINTS - 1]),
        np.repeat([-2.0, -1.0, 0.0, 4.0], [8, 9, 9, 7]),
        np.repeat([1.0, np.nextafter(np.float32(1), np.float32(2))], [20, 13]),
        np.sort(RNG.normal(size=POINTS)) ** 3,
    ]
).astype(np.float32)
"""Quantiles: all different, one value, two of which one is rare, few, neighbours, and of uneven density."""

QUANTILES = jnp.asarray(KNOWN)
INPUTS, OWN, ACTIONS, COUNT = len(KNOWN), 2, 2, 600
LAYOUTS = [Layout(3, False), Layout(3, True)]
FULL, NONE = jnp.float32(1.0), jnp.float32(0.0)

both = pytest.mark.parametrize("layout", LAYOUTS, ids=["ordinary", "oblivious"])


@functools.cache
def operator(name: str, layout: Layout) -> Callable[..., Any]:
    """The operator with all that is static about it, compiled once."""
    given: dict[str, Callable[..., Any]] = {
        "grow": lambda numbers, q, own: vary.grow(numbers, layout, COUNT, ACTIONS, q, own, 0.5),
        "shift": lambda numbers, t, rate, strength: vary.shift(numbers, t, QUANTILES, rate, strength),
        "change_feature": lambda numbers, t, chance: vary.change_feature(numbers, t, QUANTILES, OWN, chance),
        "graft": lambda numbers, t, chance: vary.graft(numbers, layout, t, chance),
        "prune": lambda numbers, t, chance: vary.prune(numbers, layout, t, chance),
        "split": lambda numbers, t, chance, scale: vary.split(numbers, layout, t, QUANTILES, OWN, chance, scale),
        "stir": lambda numbers, t, rate, scale: vary.stir(numbers, t, rate, scale),
        "swap": vary.swap,
        "mean_of_kin": vary.mean_of_kin,
    }
    static = {"grow": (2,), "shift": (2,), "stir": (2,)}

    def drawn(key: jax.Array, *operands: Any) -> Any:
        return spend(key, lambda numbers: given[name](numbers, *operands))

    return jax.jit(drawn, static_argnums=static.get(name, ()))


def key(seed: int) -> jax.Array:
    return jax.random.key(seed)


@functools.cache
def grown(layout: Layout, seed: int = 0) -> Trees:
    made: Trees = operator("grow", layout)(key(seed), QUANTILES, OWN)
    return made


def same(first: Trees, second: Trees) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def changed(before: Trees, after: Trees) -> dict[str, Any]:
    """Where each part differs."""
    return {name: np.asarray(getattr(before, name) != getattr(after, name)) for name in Trees._fields}


def near(share: float, want: float, of: int) -> bool:
    """Whether a share of so many trials is what chance gives."""
    return abs(share - want) < 4 * np.sqrt(want * (1 - want) / of) + 1e-9


def assert_valid(trees: Trees, inputs: int = INPUTS) -> None:
    """Inputs there are; thresholds among the values of theirs, some of them on either side where there are two."""
    feature, threshold = np.asarray(trees.feature), np.asarray(trees.threshold)
    assert feature.min() >= 0
    assert feature.max() < inputs
    known = KNOWN[feature]
    least, most = known[..., 0], known[..., -1]
    assert (threshold >= least).all()
    assert (threshold <= most).all()
    two = least < most
    assert (threshold[two] > least[two]).all(), "some value is below"
    assert np.isfinite(np.asarray(trees.leaf)).all()


def subtree(layout: Layout, node: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and leaves of what is decided from a node on, by walking down."""
    if layout.oblivious:
        return np.arange(layout.nodes) >= node, np.ones(layout.leaves, bool)
    nodes, leaves, todo = np.zeros(layout.nodes, bool), np.zeros(layout.leaves, bool), [node]
    while todo:
        at = todo.pop()
        if at >= layout.nodes:
            leaves[at - layout.nodes] = True
        else:
            nodes[at] = True
            todo += [2 * at + 1, 2 * at + 2]
    return nodes, leaves


def blocks(layout: Layout, node: int) -> list[list[int]]:
    """Leaves that are one where what is decided from a node on makes no difference."""
    if not layout.oblivious:
        return [np.flatnonzero(subtree(layout, node)[1]).tolist()]
    width = 2 ** (layout.depth - node)
    return [list(range(first, first + width)) for first in range(0, layout.leaves, width)]


def is_constant(layout: Layout, leaf: np.ndarray, node: int) -> bool:
    return all((leaf[block] == leaf[block[0]]).all() for block in blocks(layout, node))


@both
def test_new_trees_ask_anything_at_any_rank(layout: Layout) -> None:
    trees = grown(layout)
    assert_valid(trees)
    feature, total = np.asarray(trees.feature), COUNT * layout.nodes
    assert near((feature >= INPUTS - OWN).mean(), 0.5, total), "half ask for the account"
    for own in range(INPUTS):
        want = 0.5 / OWN if own >= INPUTS - OWN else 0.5 / (INPUTS - OWN)
        assert near((feature == own).mean(), want, total)
    assert near(np.asarray(trees.nan_right).mean(), 0.5, total)
    dense = np.asarray(trees.threshold)[feature == 0]
    rank = np.interp(dense, KNOWN[0], np.linspace(0, 1, POINTS))
    assert near((rank < 0.25).mean(), 0.25, len(rank))
    assert near((rank < 0.75).mean(), 0.75, len(rank))
    leaf = np.asarray(trees.leaf)
    assert leaf.shape == (COUNT, 8, ACTIONS)
    assert abs(leaf.std() / 0.5 - 1) < 0.03
    assert abs(leaf.mean()) < 0.03
    market = operator("grow", layout)(key(1), QUANTILES[:3], 0)
    assert_valid(market, 3)
    assert near((np.asarray(market.feature) == 0).mean(), 1 / 3, total)


@both
def test_what_has_no_chance_changes_nothing(layout: Layout) -> None:
    trees = operator("prune", layout)(key(9), grown(layout), jnp.float32(0.5))
    for name in ("change_feature", "graft", "prune"):
        assert same(operator(name, layout)(key(1), trees, NONE), trees), name
    assert same(operator("split", layout)(key(1), trees, NONE, FULL), trees)
    assert same(operator("shift", layout)(key(1), trees, 0.0, FULL), trees)
    assert same(operator("shift", layout)(key(1), trees, 1.0, NONE), trees)
    assert same(operator("stir", layout)(key(1), trees, 0.0, FULL), trees)
    assert same(operator("stir", layout)(key(1), trees, 1.0, NONE), trees)
    assert same(vary.regrow(trees, grown(layout, 1), jnp.zeros(COUNT, bool)), trees)


@both
def test_a_shift_moves_thresholds_and_nothing_else(layout: Layout) -> None:
    trees = grown(layout)
    after = operator("shift", layout)(key(2), trees, 0.25, FULL)
    assert_valid(after)
    found = changed(trees, after)
    assert not any(found[name].any() for name in ("feature", "nan_right", "leaf"))
    dense = np.asarray(trees.feature) == 0
    assert near(found["threshold"][dense].mean(), 0.25, dense.sum())
    assert not found["threshold"][np.asarray(trees.feature) == 1].any(), "an input of one value has one threshold"
    assert_valid(operator("shift", layout)(key(3), trees, 1.0, jnp.float32(50.0)))


def test_a_shift_is_a_step_in_rank_as_long_where_values_are_rare() -> None:
    layout, uneven = LAYOUTS[0], INPUTS - 1
    trees = grown(layout)
    middle = jnp.full_like(trees.threshold, KNOWN[uneven, POINTS // 2])
    trees = trees._replace(feature=jnp.full_like(trees.feature, uneven), threshold=middle)
    for strength in (0.1, 0.4):
        after = operator("shift", layout)(key(4), trees, 1.0, jnp.float32(strength))
        rank = np.interp(np.asarray(after.threshold), KNOWN[uneven], np.linspace(0, 1, POINTS))
        assert abs((rank - 0.5).std() / (0.25 * strength) - 1) < 0.06
        assert abs((rank - 0.5).mean()) < 0.02


def test_thresholds_from_elsewhere_come_back_among_the_values() -> None:
    """Genomes that other libraries trained may hold any."""
    layout = LAYOUTS[0]
    trees = grown(layout)
    for far in (np.inf, -np.inf, 1e30, -1e30):
        strange = trees._replace(threshold=jnp.full_like(trees.threshold, far))
        assert_valid(operator("shift", layout)(key(5), strange, 1.0, FULL))


@both
def test_a_changed_feature_is_a_new_question_and_no_other_answer(layout: Layout) -> None:
    trees = grown(layout)
    after = operator("change_feature", layout)(key(2), trees, jnp.float32(0.3))
    assert_valid(after)
    found = changed(trees, after)
    assert not found["leaf"].any()
    asked = found["feature"] | found["threshold"] | found["nan_right"]
    dense = np.asarray(trees.feature) == 0
    assert near(asked[dense].mean(), 0.3, dense.sum())
    every = operator("change_feature", layout)(key(3), trees, FULL)
    feature = np.asarray(every.feature)
    assert near((feature >= INPUTS - OWN).mean(), 0.5, feature.size)
    assert near(np.asarray(every.nan_right != trees.nan_right).mean(), 0.5, feature.size)


@both
def test_a_graft_is_a_subtree_of_another_tree_in_its_own_place(layout: Layout) -> None:
    trees = grown(layout)
    after = operator("graft", layout)(key(2), trees, FULL)
    old, new = each_tree(trees), each_tree(after)
    taken = []
    for was, now in list(zip(old, new, strict=True))[:60]:
        differs = np.any([a != b for a, b in zip(was[:3], now[:3], strict=True)], axis=0)
        fits = []
        for node in range(layout.nodes):
            nodes, leaves = subtree(layout, node)
            if differs[~nodes].any() or (was.leaf != now.leaf)[~leaves].any():
                continue
            for donor in old:
                parts = [np.array_equal(a[nodes], b[nodes]) for a, b in zip(donor[:3], now[:3], strict=True)]
                if all(parts) and np.array_equal(donor.leaf[leaves], now.leaf[leaves]):
                    fits.append(node)
                    break
        assert fits
        taken.append(fits[-1])
    assert len(set(taken)) == layout.nodes, "any node"
    some = operator("graft", layout)(key(3), trees, jnp.float32(0.3))
    assert near(changed(trees, some)["leaf"].any((1, 2)).mean(), 0.3, COUNT)
    lone = jax.tree.map(lambda x: x[:1], trees)
    assert same(spend(key(4), lambda numbers: vary.graft(numbers, layout, lone, FULL)), lone), "there is no other tree"


@both
def test_a_pruned_subtree_is_a_constant_the_mean_of_what_it_said(layout: Layout) -> None:
    trees = grown(layout)
    after = operator("prune", layout)(key(2), trees, FULL)
    found = changed(trees, after)
    assert not any(found[name].any() for name in ("feature", "threshold", "nan_right"))
    pruned = []
    for was, now in zip(np.asarray(trees.leaf), np.asarray(after.leaf), strict=True):
        constant = [node for node in range(layout.nodes) if is_constant(layout, now, node)]
        assert constant
        node = constant[0]  # the ones below it are constant too
        assert constant == np.flatnonzero(subtree(layout, node)[0]).tolist()
        outside = ~subtree(layout, node)[1]
        np.testing.assert_array_equal(now[outside], was[outside])
        for block in blocks(layout, node):
            np.testing.assert_allclose(now[block[0]], was[block].mean(0), atol=1e-6)
        pruned.append(node)
    assert all(near(np.mean(np.asarray(pruned) == n), 1 / layout.nodes, COUNT) for n in range(layout.nodes))
    some = operator("prune", layout)(key(3), trees, jnp.float32(0.3))
    assert near(changed(trees, some)["leaf"].any((1, 2)).mean(), 0.3, COUNT)


@both
def test_a_split_asks_again_where_a_subtree_is_constant_and_nowhere_else(layout: Layout) -> None:
    trees = grown(layout)
    assert same(operator("split", layout)(key(2), trees, FULL, FULL), trees), "no subtree is constant"
    pruned = operator("prune", layout)(key(2), trees, jnp.float32(0.7))
    after = operator("split", layout)(key(3), pruned, FULL, jnp.float32(0.5))
    assert_valid(after)
    steps, split = [], []
    for was, now in zip(each_tree(pruned), each_tree(after), strict=True):
        constant = [node for node in range(layout.nodes) if is_constant(layout, was.leaf, node)]
        parts = zip(was[:3], now[:3], strict=True)
        asked = np.flatnonzero(np.any([a != b for a, b in parts], axis=0))
        if not constant:
            assert asked.size == 0
            np.testing.assert_array_equal(now.leaf, was.leaf)
            continue
        assert set(asked) <= set(constant)
        assert asked.size <= 1
        step = now.leaf - was.leaf
        fits = []
        for node in constant:
            want = np.zeros_like(step)
            for block in blocks(layout, node):
                half = len(block) // 2
                want[block[:half]], want[block[half:]] = step[block[0]], -step[block[0]]
            if np.allclose(step, want, atol=1e-6) and (step[blocks(layout, node)[0][0]] != 0).all():
                fits.append(node)
        assert fits, "one way on the left, as far the other way on the right"
        assert asked.size == 0 or asked[0] in fits
        split.append(fits[0] - constant[0])
        steps.append(step[blocks(layout, fits[0])[0][0]])
    assert abs(np.std(steps) / 0.5 - 1) < 0.1
    assert len(set(split)) > 1, "any constant subtree"
    still = operator("split", layout)(key(4), pruned, FULL, NONE)
    np.testing.assert_array_equal(still.leaf, pruned.leaf)
    can = np.asarray([any(is_constant(layout, t.leaf, n) for n in range(layout.nodes)) for t in each_tree(pruned)])
    some = operator("split", layout)(key(5), pruned, jnp.float32(0.3), FULL)
    assert near(changed(pruned, some)["leaf"].any((1, 2))[can].mean(), 0.3, can.sum())


def test_what_is_regrown_is_new_and_whole() -> None:
    layout = LAYOUTS[0]
    trees, fresh = grown(layout), grown(layout, 1)
    hit = jnp.arange(COUNT) % 3 == 0
    after = vary.regrow(trees, fresh, hit)
    for index, (was, new, now) in enumerate(zip(*map(each_tree, (trees, fresh, after)), strict=True)):
        assert all(np.array_equal(a, b) for a, b in zip(now, new if index % 3 == 0 else was, strict=True))


@both
def test_leaf_noise_moves_leaves_and_nothing_else(layout: Layout) -> None:
    trees = grown(layout)
    after = operator("stir", layout)(key(2), trees, 0.25, jnp.float32(0.1))
    found = changed(trees, after)
    assert not any(found[name].any() for name in ("feature", "threshold", "nan_right"))
    assert near(found["leaf"].mean(), 0.25, found["leaf"].size)
    steps = np.asarray(after.leaf - trees.leaf)[found["leaf"]]
    assert abs(steps.std() / 0.1 - 1) < 0.05


@both
def test_swapped_trees_come_whole_from_either_parent(layout: Layout) -> None:
    first, second = grown(layout), grown(layout, 1)
    child = operator("swap", layout)(key(2), first, second)
    took = []
    for own, a, b in zip(*map(each_tree, (child, first, second)), strict=True):
        of_first, of_second = (all(np.array_equal(x, y) for x, y in zip(own, parent, strict=True)) for parent in (a, b))
        assert of_first != of_second
        took.append(of_second)
    assert near(float(np.mean(took)), 0.5, COUNT)


def test_trees_of_kin_are_averaged_and_others_swapped() -> None:
    layout = LAYOUTS[0]
    first, second = grown(layout), grown(layout, 1)
    kin = np.arange(COUNT) % 2 == 0
    second = second._replace(feature=jnp.where(kin[:, None], first.feature, second.feature))
    child = operator("mean_of_kin", layout)(key(2), first, second)
    strange = [np.asarray(getattr(child, name))[~kin] for name in ("threshold", "leaf")]
    for name, own in zip(("threshold", "leaf"), strange, strict=True):
        a, b = np.asarray(getattr(first, name)), np.asarray(getattr(second, name))
        np.testing.assert_allclose(np.asarray(getattr(child, name))[kin], ((a + b) / 2)[kin], rtol=1e-6, atol=1e-7)
        whole = [np.array_equal(x, y) or np.array_equal(x, z) for x, y, z in zip(own, a[~kin], b[~kin], strict=True)]
        assert all(whole)
    np.testing.assert_array_equal(np.asarray(child.feature)[kin], np.asarray(first.feature)[kin])
    side = np.asarray(child.nan_right)
    ways = [(side == np.asarray(parent.nan_right)).all(1)[kin] for parent in (first, second)]
    assert (ways[0] | ways[1]).all()
    assert (ways[0] & ~ways[1]).any()
    assert (ways[1] & ~ways[0]).any(), "sides for missing values come from either"


def test_the_mean_of_any_two_thresholds_is_a_threshold() -> None:
    """The farthest there are, too; and of two equal ones it is that, to the bit."""
    layout = LAYOUTS[1]
    trees = grown(layout)
    most = float(np.finfo(np.float32).max)
    tiny = float(np.finfo(np.float32).smallest_subnormal)
    marks = jnp.asarray([most, -most, np.inf, -np.inf, tiny, 0.0], jnp.float32)
    ends = [trees._replace(threshold=jnp.tile(each[:, None], (100, 3))) for each in (marks, marks[::-1])]
    twin = operator("mean_of_kin", layout)(key(1), ends[0], ends[0])
    np.testing.assert_array_equal(
        np.asarray(twin.threshold).view(np.int32), np.asarray(ends[0].threshold).view(np.int32)
    )
    child = np.asarray(operator("mean_of_kin", layout)(key(1), *ends).threshold)
    assert not np.isnan(child).any()
    low, high = (np.asarray(f(ends[0].threshold, ends[1].threshold)) for f in (jnp.minimum, jnp.maximum))
    assert ((child >= low) & (child <= high)).all()

"""How trees vary: each operator a small pure function of the numbers it is handed, mapped over agents by its caller.

Thresholds are drawn and moved by rank among the quantiles of their input, so that a step is as large where values are
dense as where they are rare. A node's *subtree* is what is decided from it on; in an oblivious tree that is its level
and all later ones, for every row.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32

from genomes.numbers import Numbers
from genomes.species import Quantiles
from genomes.trees import Layout, Trees

__all__ = [
    "change_feature",
    "graft",
    "grow",
    "mean",
    "mean_of_kin",
    "prune",
    "regrow",
    "shift",
    "split",
    "stir",
    "swap",
]

Rate = float | Float[Array, ""]
"""A chance in [0, 1]."""

Seen = tuple[int, ...] | None
"""Places of the account's numbers that are shown at all; None is all of them."""

_STEP = 0.25
"""A threshold's step at full strength, in rank: a quarter of all values."""


def grow(
    numbers: Numbers,
    layout: Layout,
    count: int,
    actions: int,
    quantiles: Quantiles,
    own: int,
    scale: float,
    seen: Seen = None,
) -> Trees:
    """New trees: any inputs, thresholds uniform in rank, normal leaves.

    Args:
        numbers: to draw from.
        layout: of the trees.
        count: how many.
        actions: values of a leaf.
        quantiles: of the inputs.
        own: how many inputs at the end are the account's; half of all questions ask for these, where there are any.
        scale: standard deviation of a leaf's values.
        seen: which of the account's may be asked for.
    """
    shape = (count, layout.nodes)
    feature = _any_input(numbers, shape, quantiles.shape[0], own, seen)
    return Trees(
        feature=feature,
        threshold=_at_rank(quantiles[feature], numbers.uniform(*shape)),
        nan_right=numbers.chance(0.5, *shape),
        leaf=scale * numbers.normal(count, layout.leaves, actions),
    )


def shift(numbers: Numbers, trees: Trees, quantiles: Quantiles, rate: Rate, strength: Float[Array, ""]) -> Trees:
    """Thresholds move by Gaussian steps in rank, each with chance `rate`."""
    known = quantiles[trees.feature]
    rank = _rank_of(known, trees.threshold)
    rank = jnp.clip(rank + _STEP * strength * numbers.normal(*rank.shape), 0.0, 1.0)
    hit = numbers.chance(rate, *rank.shape) & (strength > 0)
    return trees._replace(threshold=jnp.where(hit, _at_rank(known, rank), trees.threshold))


def change_feature(
    numbers: Numbers, trees: Trees, quantiles: Quantiles, own: int, chance: Float[Array, ""], seen: Seen = None
) -> Trees:
    """Nodes ask a new question, each with that chance: any input, any threshold, either side for missing values."""
    hit = numbers.chance(chance, *trees.feature.shape)
    return _ask(numbers, trees, hit, quantiles, own, seen)


def graft(numbers: Numbers, layout: Layout, trees: Trees, chance: Float[Array, ""]) -> Trees:
    """Trees receive the subtree at one node from another tree of the forest, each with that chance."""
    count = trees.feature.shape[0]
    hit = numbers.chance(chance, count)
    node = numbers.below(layout.nodes, count)
    donor = numbers.below(count, count)
    nodes = hit[:, None] & jnp.asarray(layout.below)[node]
    leaves = hit[:, None] & jnp.asarray(layout.under)[node]
    return Trees(
        feature=jnp.where(nodes, trees.feature[donor], trees.feature),
        threshold=jnp.where(nodes, trees.threshold[donor], trees.threshold),
        nan_right=jnp.where(nodes, trees.nan_right[donor], trees.nan_right),
        leaf=jnp.where(leaves[..., None], trees.leaf[donor], trees.leaf),
    )


def prune(numbers: Numbers, layout: Layout, trees: Trees, chance: Float[Array, ""]) -> Trees:
    """The subtree at one node becomes a constant, the mean of its leaves, in each tree with that chance."""
    count = trees.feature.shape[0]
    hit = numbers.chance(chance, count)
    node = numbers.below(layout.nodes, count)
    leaves = hit[:, None] & jnp.asarray(layout.under)[node]
    constant = jax.vmap(lambda leaf, level: _means(layout, leaf)[level])(trees.leaf, jnp.asarray(layout.level)[node])
    return trees._replace(leaf=jnp.where(leaves[..., None], constant, trees.leaf))


def split(
    numbers: Numbers,
    layout: Layout,
    trees: Trees,
    quantiles: Quantiles,
    own: int,
    chance: Float[Array, ""],
    scale: Float[Array, ""],
    seen: Seen = None,
) -> Trees:
    """A subtree that is constant asks a question again, in each tree that has one with that chance.

    What it said moves one way on the left and as far the other way on the right.
    """
    constant = jax.vmap(lambda leaf: _constant(layout, leaf))(trees.leaf)
    count = trees.feature.shape[0]
    node = jnp.argmax(jnp.where(constant, 1.0 + numbers.uniform(*constant.shape), 0.0), axis=1)
    hit = numbers.chance(chance, count) & constant.any(1)
    chosen = hit[:, None] & (node[:, None] == jnp.arange(layout.nodes))
    asking = _ask(numbers, trees, chosen, quantiles, own, seen)
    step = scale * numbers.normal(count, 1, trees.leaf.shape[-1])
    right = jnp.asarray(layout.side)[:, jnp.asarray(layout.level)[node]].T
    leaves = hit[:, None] & jnp.asarray(layout.under)[node]
    moved = trees.leaf + jnp.where(right[..., None], step, -step)
    return asking._replace(leaf=jnp.where(leaves[..., None], moved, trees.leaf))


def regrow(trees: Trees, fresh: Trees, hit: Bool[Array, "trees"]) -> Trees:
    """Trees that are dropped, and new ones in their place."""
    grown: Trees = jax.tree.map(
        lambda old, new: jnp.where(hit.reshape(-1, *(1,) * (old.ndim - 1)), new, old), trees, fresh
    )
    return grown


def stir(numbers: Numbers, trees: Trees, rate: Rate, scale: Float[Array, ""]) -> Trees:
    """Leaves' values make Gaussian steps of that scale, each with chance `rate`."""
    hit = numbers.chance(rate, *trees.leaf.shape)
    return trees._replace(leaf=trees.leaf + jnp.where(hit, scale * numbers.normal(*trees.leaf.shape), 0.0))


def swap(numbers: Numbers, first: Trees, second: Trees) -> Trees:
    """Each tree whole from either parent, with equal chance."""
    return regrow(first, second, numbers.chance(0.5, first.feature.shape[0]))


def mean_of_kin(numbers: Numbers, first: Trees, second: Trees) -> Trees:
    """Trees that ask for the same inputs in both parents are averaged, the others come whole from either."""
    kin = (first.feature == second.feature).all(1)
    taken = swap(numbers, first, second)
    mixed = taken._replace(threshold=mean(first.threshold, second.threshold), leaf=mean(first.leaf, second.leaf))
    return regrow(taken, mixed, kin)


def mean(first: Float[Array, "*shape"], second: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Half way between any two numbers there are, infinite ones too; of equal ones that number, subnormal or not."""
    half_way = 0.5 * first + 0.5 * second  # their sum may be more than a number can hold
    return jnp.where((first == second) | jnp.isnan(half_way), first, half_way)


def _any_input(numbers: Numbers, shape: tuple[int, ...], inputs: int, own: int, seen: Seen) -> Int32[Array, "*shape"]:
    """Inputs at random; of the account, which is the last `own` of them, every second where it may be asked for."""
    asked = numbers.below(inputs - own, *shape)
    count = own if seen is None else min(own, len(seen))
    if not count:
        return asked
    from_account, place = numbers.chance(0.5, *shape), numbers.below(count, *shape)
    return jnp.where(from_account, inputs - own + (place if seen is None else jnp.asarray(seen)[place]), asked)


def _ask(
    numbers: Numbers, trees: Trees, hit: Bool[Array, "trees nodes"], quantiles: Quantiles, own: int, seen: Seen
) -> Trees:
    """The trees with new questions at the nodes that are hit."""
    feature = _any_input(numbers, hit.shape, quantiles.shape[0], own, seen)
    threshold = _at_rank(quantiles[feature], numbers.uniform(*hit.shape))
    missing = numbers.chance(0.5, *hit.shape)
    return trees._replace(
        feature=jnp.where(hit, feature, trees.feature),
        threshold=jnp.where(hit, threshold, trees.threshold),
        nan_right=jnp.where(hit, missing, trees.nan_right),
    )


def _at_rank(known: Float[Array, "*nodes points"], rank: Float[Array, "*nodes"]) -> Float[Array, "*nodes"]:
    """The threshold at a rank in [0, 1], with some of the values on either side of it where they differ at all."""
    last = known.shape[-1] - 1
    place = jnp.clip(rank * last, 0.0, last)
    index = jnp.clip(place.astype(jnp.int32), 0, last - 1)
    low = jnp.take_along_axis(known, index[..., None], axis=-1)[..., 0]
    high = jnp.take_along_axis(known, index[..., None] + 1, axis=-1)[..., 0]
    threshold = low + (place - index) * (high - low)
    least = known[..., 0]
    second = jnp.where(known > least[..., None], known, jnp.inf).min(-1)
    middle = 0.5 * (least + second)
    middle = jnp.where(middle > least, middle, second)  # between neighbours there is no number
    between = jnp.where(jnp.isfinite(second), middle, least)
    return jnp.clip(threshold, between, jnp.maximum(between, known[..., -1]))


def _rank_of(known: Float[Array, "*nodes points"], threshold: Float[Array, "*nodes"]) -> Float[Array, "*nodes"]:
    """The rank of a threshold among the quantiles of its input, in [0, 1]; the inverse of `_at_rank`."""
    last = known.shape[-1] - 1
    index = jnp.clip((known < threshold[..., None]).sum(-1) - 1, 0, last - 1)
    low = jnp.take_along_axis(known, index[..., None], axis=-1)[..., 0]
    high = jnp.take_along_axis(known, index[..., None] + 1, axis=-1)[..., 0]
    share = jnp.where(high > low, (threshold - low) / jnp.maximum(high - low, 1e-30), 0.5)
    return jnp.clip((index + jnp.clip(share, 0.0, 1.0)) / last, 0.0, 1.0)


def _means(layout: Layout, leaf: Float[Array, "leaves actions"]) -> Float[Array, "levels leaves actions"]:
    """Mean over all leaves that share their first `level` turns, in the place of each of them."""
    levels = []
    for level in range(layout.depth):
        shared = leaf.reshape(2**level, -1, leaf.shape[-1])
        levels.append(jnp.broadcast_to(shared.mean(1, keepdims=True), shared.shape).reshape(leaf.shape))
    return jnp.stack(levels)


def _constant(layout: Layout, leaf: Float[Array, "leaves actions"]) -> Bool[Array, "nodes"]:
    """Whether what is decided from each node on makes no difference, whatever was decided before."""
    levels = []
    for level in range(layout.depth):
        shared = leaf.reshape(2**level, -1, leaf.shape[-1])
        same = (shared == shared[:, :1]).all((1, 2))
        levels.append(same.all(keepdims=True) if layout.oblivious else same)
    return jnp.concatenate(levels)

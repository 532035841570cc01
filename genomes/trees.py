"""Complete decision trees as arrays, many different ones answered at once without a branch.

A tree of depth D asks D questions on the way to one of its 2^D leaves. An oblivious tree asks the same question in a
whole level, an ordinary one has a question for each node, in heap order: below node n lie 2n + 1 (left) and 2n + 2
(right). A row turns right where its value is at least the threshold; where the value is missing, the node says which
way. The turn at the root is the highest bit of the leaf's number, a right turn is a 1.

Values are compared as ordered integers, so that subnormal numbers, zeros of both signs and infinities fall as they do
in any other library, whatever the hardware does to subnormals.
"""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental.layout import Layout as MemoryLayout
from jax.experimental.layout import with_layout_constraint
from jaxtyping import Array, Bool, Float, Int32, Num, UInt32
from numpy.typing import NDArray

__all__ = [
    "DEEPEST",
    "WORD",
    "Layout",
    "Trees",
    "answers",
    "by_input",
    "choose",
    "leaf_of",
    "ordered",
    "settled",
    "threshold_bounds",
    "told",
    "turn",
    "turns",
]

DEEPEST = 8
"""Questions on the way to a leaf at most: what is written out for each leaf grows with their number."""

WORD = 30
"""Turns that one integer holds."""

_MISSING = 2**31 - 1
_NEGATIVE_ZERO = -(2**31)
_INFINITY = 0x7F800000
_LEAST = -_INFINITY - 1
"""−∞ as an ordered integer."""


class Trees(NamedTuple):
    """Trees of one layout, all of them complete."""

    feature: Int32[Array, "*batch trees nodes"]
    """Which input a node asks for."""
    threshold: Float[Array, "*batch trees nodes"]
    """A row with at least so much of it turns right."""
    nan_right: Bool[Array, "*batch trees nodes"]
    """Whether a row without a value turns right."""
    leaf: Float[Array, "*batch trees leaves actions"]
    """What a tree says for each action."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """How the questions of a tree are laid out.

    Attributes:
        depth: questions on the way to a leaf.
        oblivious: whether a level asks one question.
    """

    depth: int
    oblivious: bool

    @property
    def nodes(self) -> int:
        """Questions of a tree."""
        return self.depth if self.oblivious else self.leaves - 1

    @property
    def leaves(self) -> int:
        """Leaves of a tree."""
        return 1 << self.depth

    @functools.cached_property
    def path(self) -> NDArray[np.intp]:
        """The nodes that lie on the way to each leaf, from the root on [leaves, depth]."""
        level = np.arange(self.depth)
        if self.oblivious:
            return np.broadcast_to(level, (self.leaves, self.depth))
        leaf = np.arange(self.leaves)[:, None]
        return np.asarray(2**level - 1 + (leaf >> (self.depth - level)))

    @functools.cached_property
    def side(self) -> NDArray[np.bool_]:
        """Whether the way to each leaf turns right, from the root on [leaves, depth]."""
        leaf = np.arange(self.leaves)[:, None]
        return np.asarray((leaf >> (self.depth - 1 - np.arange(self.depth))) & 1, bool)

    @functools.cached_property
    def level(self) -> NDArray[np.intp]:
        """Questions before each node [nodes]."""
        return np.asarray([np.argwhere(self.path == node)[0, 1] for node in range(self.nodes)])

    @functools.cached_property
    def under(self) -> NDArray[np.bool_]:
        """Whether each leaf lies below each node [nodes, leaves]."""
        return np.stack([(self.path == node).any(1) for node in range(self.nodes)])

    @functools.cached_property
    def below(self) -> NDArray[np.bool_]:
        """Whether each node is the other or lies below it [nodes, nodes]; of a level all later ones do."""
        found = np.zeros((self.nodes, self.nodes), bool)
        for way in self.path:
            for place, node in enumerate(way):
                found[node, way[place:]] = True
        return found


def ordered(x: Float[Array, "*shape"]) -> Int32[Array, "*shape"]:
    """Integers that compare as float32 numbers do: −0 is 0, and NaN is above all."""
    bits = lax.bitcast_convert_type(x, jnp.int32)
    key = jnp.where(bits == _NEGATIVE_ZERO, 0, bits ^ ((bits >> 31) & _MISSING))
    return jnp.where((bits & _MISSING) > _INFINITY, _MISSING, key)


def by_input(features: Float[Array, "*rows inputs"]) -> Int32[Array, "inputs rows"]:
    """Rows as `ordered` integers, inputs first, and laid out so in memory: a node reads one run of numbers.

    Left to itself the compiler would turn the transposition into strides, and every read of every node would jump.
    """
    turned = jnp.moveaxis(ordered(features), -1, 0).reshape(features.shape[-1], -1)
    laid_out: Array = with_layout_constraint(turned, MemoryLayout((0, 1)))
    return laid_out


def turns(trees: Trees, seen: Int32[Array, "inputs rows"]) -> Int32[Array, "trees words rows"]:
    """Whether each row would turn right at each node, one bit a node, in words of `WORD`.

    Args:
        trees: of one genome.
        seen: the rows, `by_input`.
    """
    threshold, span = threshold_bounds(trees)

    def tree(feature: Array, threshold: Array, span: Array) -> Array:
        words = []
        for first in range(0, len(feature), WORD):
            word = jnp.zeros(seen.shape[-1], jnp.int32)
            for bit, n in enumerate(range(first, min(first + WORD, len(feature)))):
                word = word | (turn(seen[feature[n]], threshold[n], span[n]).astype(jnp.int32) << bit)
            words.append(word)
        return jnp.stack(words)

    turned: Array = jax.vmap(tree)(trees.feature, threshold, span)
    return turned


def answers(layout: Layout, trees: Trees, seen: Int32[Array, "inputs rows"]) -> Float[Array, "trees actions rows"]:
    """What each tree says of each row.

    Args:
        layout: of the trees.
        trees: of one genome.
        seen: the rows, `by_input`.
    """
    threshold, span = threshold_bounds(trees)

    def tree(feature: Array, threshold: Array, span: Array, leaf: Array) -> Array:
        right = [turn(seen[feature[n]], threshold[n], span[n]) for n in range(layout.nodes)]
        return jnp.stack(choose(layout, right, leaf))

    # One tree is written out, and mapped: this becomes one loop over rows that keeps all turns in registers. Written
    # out for all trees it is too long a program, and with the turns as an array they go through memory.
    said: Array = jax.vmap(tree)(trees.feature, threshold, span, trees.leaf)
    return said


def choose(
    layout: Layout, right: list[Bool[Array, "rows"]], leaf: Num[Array, "leaves actions"]
) -> list[Num[Array, "rows"]]:
    """What each row of one tree is told, action by action, by its turns at all nodes; no turn is a branch."""
    said = []
    for action in range(leaf.shape[-1]):
        left = [leaf[place, action] for place in range(layout.leaves)]
        for level in reversed(range(layout.depth)):
            first = level if layout.oblivious else 2**level - 1
            step = 0 if layout.oblivious else 1
            left = [
                jnp.where(right[first + step * place], left[2 * place + 1], left[2 * place])
                for place in range(2**level)
            ]
        said.append(left[0])
    return said


def leaf_of(layout: Layout, right: list[Bool[Array, "rows"]]) -> Int32[Array, "rows"]:
    """The number of the leaf in which each row of one tree ends, by its turns at all nodes."""
    if layout.oblivious:
        bits = [turned.astype(jnp.int32) << (layout.depth - 1 - level) for level, turned in enumerate(right)]
        return functools.reduce(jnp.bitwise_or, bits)
    return choose(layout, right, jnp.arange(layout.leaves, dtype=jnp.int32)[:, None])[0]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def told(
    layout: Layout, leaf: Float[Array, "trees leaves actions"], place: Int32[Array, "trees rows"]
) -> Float[Array, "actions rows"]:
    """What rows that end in these leaves are told by all trees together; leaves can be learned through it.

    Autodiff would turn every choice on the way to a leaf around. The gradient of a leaf is simply the sum over the rows
    that ended in it, for all leaves one product with who ended where.
    """
    bits = dataclasses.replace(layout, oblivious=True)

    def tree(leaf: Array, place: Array) -> Array:
        right = [(place >> (layout.depth - 1 - level)) & 1 == 1 for level in range(layout.depth)]
        return jnp.stack(choose(bits, right, leaf))

    said: Array = jax.vmap(tree)(leaf, place).sum(0)
    return said


def _told_forward(layout: Layout, leaf: Array, place: Array) -> tuple[Array, Array]:
    return told(layout, leaf, place), place


def _told_backward(layout: Layout, place: Array, slope: Float[Array, "actions rows"]) -> tuple[Array, None]:
    trees, rows = place.shape
    ended = place[:, None] == jnp.arange(layout.leaves, dtype=jnp.int32)[:, None]
    of_leaf = ended.reshape(trees * layout.leaves, rows).astype(slope.dtype) @ slope.T
    return of_leaf.reshape(trees, layout.leaves, -1), None


told.defvjp(_told_forward, _told_backward)


def threshold_bounds(trees: Trees) -> tuple[Int32[Array, "*nodes"], UInt32[Array, "*nodes"]]:
    """Ordered thresholds, and how many integers from there on turn right: all, or all but the highest, which is NaN."""
    threshold = ordered(trees.threshold)
    span = lax.bitcast_convert_type(_MISSING - threshold, jnp.uint32)
    return threshold, span + trees.nan_right.astype(jnp.uint32)


def turn(seen: Int32[Array, "rows"], threshold: Int32[Array, ""], span: UInt32[Array, ""]) -> Bool[Array, "rows"]:
    """Whether rows turn right, by one comparison: what is below the threshold wraps around to above everything."""
    return lax.bitcast_convert_type(seen - threshold, jnp.uint32) < span


def settled(layout: Layout, trees: Trees) -> Trees:
    """The same trees, with leaves that no row can reach made copies of those it ends in instead.

    A node whose question is answered before it is reached (the same input was asked for above it) has one side that no
    row takes. Its leaves say nothing, and would drift unseen until a later mutation woke them. Walking to such a leaf,
    a row takes the other side instead; the leaf that it ends in is copied. No answer changes, of no row, missing or
    not.
    """

    def tree(feature: Array, threshold: Array, nan_right: Array, leaf: Array) -> Array:
        key = ordered(threshold)

        def end(wanted: Array) -> Array:
            """The leaf that a row ends in which turns this way wherever it can."""
            asked: list[_Asked] = []
            place = jnp.zeros((), jnp.int32)
            for level in range(layout.depth):
                node = level if layout.oblivious else 2**level - 1 + place
                own = feature[node], key[node], nan_right[node]
                right = jnp.where(_can_turn(asked, *own, wanted[level]), wanted[level], ~wanted[level])
                asked.append(_Asked(*own, right))
                place = 2 * place + right.astype(jnp.int32)
            return place

        return leaf[jax.vmap(end)(jnp.asarray(layout.side))]

    return trees._replace(leaf=jax.vmap(tree)(trees.feature, trees.threshold, trees.nan_right, trees.leaf))


class _Asked(NamedTuple):
    """A question on a row's way, and the turn it took there."""

    feature: Array
    threshold: Array
    nan_right: Array
    right: Array


def _can_turn(asked: list[_Asked], feature: Array, threshold: Array, nan_right: Array, right: Array) -> Array:
    """Whether any row that came this way, with a value or without one, turns so here."""
    least, beyond = jnp.int32(_LEAST), jnp.int32(_INFINITY + 1)
    missing = nan_right == right
    for question in [*asked, _Asked(feature, threshold, nan_right, right)]:
        same = question.feature == feature
        least = jnp.where(same & question.right, jnp.maximum(least, question.threshold), least)
        beyond = jnp.where(same & ~question.right, jnp.minimum(beyond, question.threshold), beyond)
        missing = missing & (~same | (question.nan_right == question.right))
    possible: Array = (least < beyond) | missing
    return possible

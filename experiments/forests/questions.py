"""What trees ask for, counted, and a tree as a person reads it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.exchange.ensemble import LEAF, Ensemble, Tree, levels

__all__ = ["Answer", "Asked", "Question", "asked_most", "is_oblivious", "simplified", "tree_lines"]

_DEEPEST = 16
"""Questions in a row that are shown; further ones would not fit."""

_WIDTH = 80

_Bounds = Mapping[int, tuple[float, float | None, bool]]
"""Of the rows on a way: what a feature is at least, what it is below (None for anything), whether it may be missing."""


class Asked(NamedTuple):
    """How often trees ask for a feature, and how much that decides."""

    feature: int
    questions: int
    """Nodes that ask for it; a level of an oblivious tree is one."""
    share: float
    """Of all that questions decide, NaN where they decide nothing."""


def asked_most(ensemble: Ensemble) -> list[Asked]:
    """The features that trees ask for, the most asked for first.

    A tree's leaves spread about their mean. With a leaf d questions down weighing 2^−d, that spread (the sum of
    squares, over all scores) is a sum over its nodes: 2^−d · |mean on the left − mean on the right|² / 4 for a node d
    questions down. A feature's share is what its nodes contribute, of all trees. Under softmax, what a leaf adds to all
    scores alike is left out: it decides nothing.
    """
    count = np.zeros(len(ensemble.features), np.int64)
    decided = np.zeros(len(ensemble.features))
    for tree in ensemble.trees:
        inner = tree.feature != LEAF
        np.add.at(decided, tree.feature[inner], _decided(tree, centred=ensemble.link == "softmax")[inner])
        if is_oblivious(tree):
            asked = [tree.feature[level[0]] for level in levels(tree.left, tree.right)[:-1]]
        else:
            asked = list(tree.feature[inner])
        np.add.at(count, np.asarray(asked, np.int64), 1)
    total = decided.sum()
    shares = decided / total if total > 0 else np.full(len(decided), np.nan)
    found = [Asked(int(own), int(count[own]), float(shares[own])) for own in np.flatnonzero(count)]
    return sorted(found, key=lambda own: (-own.questions, -np.nan_to_num(own.share), own.feature))


def is_oblivious(tree: Tree) -> bool:
    """Whether each level asks one question, and all leaves lie at the end."""
    *asking, last = levels(tree.left, tree.right)
    questions = (tree.feature, tree.threshold, tree.missing_left, tree.zero_missing)
    same = all((column[level] == column[level[0]]).all() for level in asking for column in questions)
    return same and bool((tree.feature[last] == LEAF).all())


class Answer(NamedTuple):
    """A leaf that rows come to."""

    node: int
    """One of the tree's that says so."""


class Question(NamedTuple):
    """A question that decides something for some row."""

    node: int
    left: "Question | Answer | None"
    right: "Question | Answer | None"
    """None where questions go on beyond the deepest that was wanted."""


def simplified(tree: Tree, deepest: int = _DEEPEST) -> "Question | Answer | None":
    """A tree without what cannot happen on the way to a question, and without questions that change nothing.

    Args:
        tree: of a canonical ensemble.
        deepest: questions in a row at most.

    Returns:
        The tree from its root on; it says of every row what the whole tree says.
    """
    return _Reader(tree).below(0, {}, deepest)


def tree_lines(tree: Tree, features: Sequence[str]) -> list[str]:
    """A tree, a question or an answer a line, of at most 80 columns; `simplified`.

    Args:
        tree: of a canonical ensemble.
        features: names of the columns.
    """
    used = np.flatnonzero(tree.value.any(axis=0))

    def lines(at: "Question | Answer | None", first: str, rest: str) -> Iterator[str]:
        if at is None:
            yield f"{first}… further questions"
        elif isinstance(at, Answer):
            answer = tree.value[at.node]
            yield first + "  ".join(
                _shown(answer[output]) for output in (used if len(used) == 1 else range(len(answer)))
            )
        else:
            missing = "" if tree.missing_left[at.node] else " or missing"
            yield f"{first}{features[tree.feature[at.node]]} ≥ {_shown(tree.threshold[at.node])}{missing}"
            yield from lines(at.left, f"{rest}├ no  ", f"{rest}│ ")
            yield from lines(at.right, f"{rest}└ yes ", f"{rest}  ")

    shown = lines(simplified(tree), "  ", "  ")
    return [line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…" for line in shown]


class _Reader:
    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._same, self._leaf = _constant(tree)

    def below(self, node: int, bounds: _Bounds, room: int) -> "Question | Answer | None":
        """What is asked and answered from a node on, of rows within some bounds."""
        tree = self._tree
        while not self._same[node]:  # pass over questions that are answered already
            left, right = self._sides(node, bounds)
            if left is not None and right is not None:
                break
            node = int(tree.right[node] if left is None else tree.left[node])
        else:
            return Answer(int(self._leaf[node]))
        if not room:
            return None
        no, yes = self.below(int(tree.left[node]), left, room - 1), self.below(int(tree.right[node]), right, room - 1)
        if isinstance(no, Answer) and isinstance(yes, Answer) and (tree.value[no.node] == tree.value[yes.node]).all():
            return no
        return Question(node, no, yes)

    def _sides(self, node: int, bounds: _Bounds) -> tuple[_Bounds | None, _Bounds | None]:
        """The bounds of rows that turn left and right; None where none does."""
        feature, threshold = int(self._tree.feature[node]), float(self._tree.threshold[node])
        missing_left = bool(self._tree.missing_left[node])
        least, beyond, missing = bounds.get(feature, (-np.inf, None, True))
        below = threshold if beyond is None else min(beyond, threshold)
        from_here = max(least, threshold)
        left = least < below
        right = beyond is None or from_here < beyond
        sides = (
            (left, missing and missing_left, (least, below)),
            (right, missing and not missing_left, (from_here, beyond)),
        )
        made = [
            {**bounds, feature: (*(span if numbers else (np.inf, -np.inf)), none)} if numbers or none else None
            for numbers, none, span in sides
        ]
        return made[0], made[1]


def _decided(tree: Tree, *, centred: bool) -> NDArray[np.float64]:
    """What each node contributes to the spread of a tree's leaves [nodes]."""
    mean = tree.value - tree.value.mean(axis=1, keepdims=True) if centred else tree.value.copy()
    found = np.zeros(len(tree.feature))
    for depth, level in reversed(list(enumerate(levels(tree.left, tree.right)))):
        inner = level[tree.feature[level] != LEAF]
        left, right = mean[tree.left[inner]], mean[tree.right[inner]]
        mean[inner] = 0.5 * (left + right)
        found[inner] = 0.5**depth * ((0.5 * (left - right)) ** 2).sum(axis=1)
    return found


def _constant(tree: Tree) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Whether all leaves below a node say the same [nodes], and which is one of them [nodes]."""
    same, leaf = tree.feature == LEAF, np.arange(len(tree.feature))
    for level in reversed(levels(tree.left, tree.right)):
        inner = level[tree.feature[level] != LEAF]
        left, right = tree.left[inner], tree.right[inner]
        alike = (tree.value[leaf[left]] == tree.value[leaf[right]]).all(axis=1)
        same[inner] = same[left] & same[right] & alike
        leaf[inner] = leaf[left]
    return same, leaf


def _shown(value: float) -> str:
    """A number with its sign, in three figures."""
    return f"{value + 0.0:+.3g}"

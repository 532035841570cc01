"""What trees ask for is counted as it decides, and a tree is shown as rows go through it."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.exchange.ensemble import LEAF, Ensemble, Tree
from experiments.forests.questions import asked_most, is_oblivious, tree_lines

SEEDS = st.integers(0, 2**32 - 1)


def tree_of(*rows: tuple[int, float, int, int, bool, list[float]]) -> Tree:
    """A tree by its nodes: feature, threshold, left, right, missing left, value."""
    feature, threshold, left, right, missing, value = zip(*rows, strict=True)
    return Tree(
        np.asarray(feature, np.int32),
        np.asarray(threshold, np.float64),
        np.asarray(left, np.int32),
        np.asarray(right, np.int32),
        np.asarray(missing, bool),
        np.zeros(len(rows), bool),
        np.asarray(value, np.float64),
        np.asarray([-1 if own != LEAF else place for place, own in enumerate(feature)], np.int32),
    )


def leaf(*value: float) -> tuple[int, float, int, int, bool, list[float]]:
    return LEAF, 0.0, LEAF, LEAF, False, list(value)


def grown(rng: np.random.Generator, *, outputs: int = 1, splits: int = 7, features: int = 3) -> Tree:
    """A tree grown at random leaves; every number is a quarter of a small integer, or an infinite threshold."""
    count = 2 * splits + 1
    rows: list[tuple[int, float, int, int, bool, list[float]]] = [leaf(*[0.0] * outputs)] * count
    leaves = [0]
    for split in range(splits):
        node = leaves.pop(int(rng.integers(len(leaves))))
        cut = float(rng.choice([-np.inf, *np.arange(-4, 5) / 4, np.inf], p=[0.05, *[0.1] * 9, 0.05]))
        sides = 2 * split + 1, 2 * split + 2
        rows[node] = (int(rng.integers(features)), cut, *sides, bool(rng.integers(2)), [0.0] * outputs)
        leaves += sides
    for node in leaves:
        rows[node] = leaf(*(rng.integers(-3, 4, size=outputs) / 4).tolist())
    return tree_of(*rows)


def ensemble_of(*trees: Tree, features: int, link: str = "identity") -> Ensemble:
    base = np.zeros(trees[0].value.shape[1])
    return Ensemble("arena", tuple("abcdef"[:features]), trees, base, link=link)


def test_shares_are_what_questions_decide() -> None:
    # Means 2 | (4, 8): the root sets 2 and 6 apart by 4, its right child 4 and 8 by 4 at half the weight.
    tree = tree_of((0, 0, 1, 2, True, [0]), leaf(2), (1, 0, 3, 4, True, [0]), leaf(4), leaf(8))
    found = asked_most(ensemble_of(tree, features=3))
    assert [own[:2] for own in found] == [(0, 1), (1, 1)]
    assert [own.share for own in found] == pytest.approx([4 / 6, 2 / 6])


def test_what_all_scores_share_decides_nothing_under_softmax() -> None:
    alike = tree_of((0, 0, 1, 2, True, [0, 0]), leaf(5, 5), leaf(-5, -5))
    apart = tree_of((1, 0, 1, 2, True, [0, 0]), leaf(1, 0), leaf(0, 1))
    shares = {own.feature: own.share for own in asked_most(ensemble_of(alike, apart, features=2, link="softmax"))}
    assert shares == {0: 0.0, 1: 1.0}
    assert {own.feature for own in asked_most(ensemble_of(alike, apart, features=2)) if own.share > 0} == {0, 1}
    (nothing,) = asked_most(ensemble_of(alike, features=2, link="softmax"))
    assert nothing[:2] == (0, 1)
    assert np.isnan(nothing.share)


def test_a_level_of_an_oblivious_tree_is_one_question() -> None:
    inner = (1, 0.5, 3, 4, True, [0.0])
    same = tree_of((0, 0, 1, 2, True, [0]), inner, (1, 0.5, 5, 6, True, [0]), *map(leaf, (1, 2, 3, 4)))
    other = tree_of((0, 0, 1, 2, True, [0]), inner, (1, 0.5, 5, 6, False, [0]), *map(leaf, (1, 2, 3, 4)))
    assert is_oblivious(same)
    assert not is_oblivious(other)
    assert {own.feature: own.questions for own in asked_most(ensemble_of(same, features=2))} == {0: 1, 1: 1}
    assert {own.feature: own.questions for own in asked_most(ensemble_of(other, features=2))} == {0: 1, 1: 2}


@settings(deadline=None, max_examples=50)
@given(seed=SEEDS, outputs=st.integers(1, 3))
def test_shares_are_of_the_spread_of_leaves(seed: int, outputs: int) -> None:
    rng = np.random.default_rng(seed)
    tree = grown(rng, outputs=outputs)
    tree.value[np.flatnonzero(tree.feature == LEAF)[0]] += 10  # so that leaves spread
    total = {own.feature: own.share for own in asked_most(ensemble_of(tree, features=3))}
    assert sum(total.values()) == pytest.approx(1)

    def spread(tree: Tree) -> float:
        weight, way = np.zeros(len(tree.feature)), [(0, 1.0)]
        while way:
            node, own = way.pop()
            weight[node] = own * (tree.feature[node] == LEAF)
            if tree.feature[node] != LEAF:
                way += [(int(tree.left[node]), own / 2), (int(tree.right[node]), own / 2)]
        mean = (weight[:, None] * tree.value).sum(0)
        return float((weight[:, None] * (tree.value - mean) ** 2).sum())

    # Without a feature's last questions the spread is less by what they decided.
    last = [
        node
        for node in np.flatnonzero(tree.feature != LEAF)
        if tree.feature[tree.left[node]] == LEAF and tree.feature[tree.right[node]] == LEAF
    ]
    node = int(rng.choice(last))
    value = tree.value.copy()
    sides = [int(tree.left[node]), int(tree.right[node])]
    value[sides] = value[sides].mean(0)
    merged = ensemble_of(dataclasses.replace(tree, value=value), features=3)
    feature = int(tree.feature[node])
    after = {own.feature: own.share for own in asked_most(merged)}
    gone = spread(tree) - spread(merged.trees[0])
    assert total[feature] * spread(tree) == pytest.approx(after[feature] * spread(merged.trees[0]) + gone, abs=1e-9)


VALUES = np.asarray([np.nan, -np.inf, *np.arange(-5, 5) / 4, np.inf], np.float32)
"""One value of every kind that a question of `grown` can tell from others."""


@settings(deadline=None, max_examples=60)
@given(seed=SEEDS, splits=st.integers(0, 9))
def test_a_shown_tree_leads_every_row_to_what_it_is_told_and_shows_nothing_else(seed: int, splits: int) -> None:
    rng = np.random.default_rng(seed)
    whole = ensemble_of(grown(rng, splits=splits, features=2), features=2)
    lines = tree_lines(whole.trees[0], whole.features)
    rows = np.stack(np.meshgrid(VALUES, VALUES), axis=-1).reshape(-1, 2)
    ends = [walk(lines, dict(zip(whole.features, row.tolist(), strict=True))) for row in rows]
    np.testing.assert_array_equal([float(lines[end].split()[-1]) for end in ends], whole.predict(rows)[:, 0])
    assert set(ends) == {place for place, line in enumerate(lines) if " ≥ " not in line}


def walk(lines: list[str], row: dict[str, float]) -> int:
    """The line that a reader of the lines ends in with a row."""
    at, indent = 0, 2
    while True:
        text = lines[at][indent:]
        text = text[6:] if text[:1] in "├└" else text
        if " ≥ " not in text:
            return at
        name, _, rest = text.partition(" ≥ ")
        threshold, _, missing = rest.partition(" or ")
        value = row[name]
        right = missing == "missing" if np.isnan(value) else value >= float(threshold)
        depth = indent if at == 0 else indent + 2
        mark = "└" if right else "├"
        at = next(place for place in range(at + 1, len(lines)) if lines[place][depth : depth + 1] == mark)
        indent = depth


def test_questions_that_change_nothing_are_not_shown() -> None:
    inner = [(0, 1.0, 3, 4, True, [0.0]), (0, -1.0, 5, 6, True, [0.0])]
    tree = tree_of((0, 0.0, 1, 2, True, [0]), *inner, *map(leaf, (1, 2, 3, 4)))
    # On the left x < 0, so x ≥ 1 is answered; on the right x ≥ 0, so x ≥ −1 is, and nothing is missing there.
    assert tree_lines(tree, ["x"]) == ["  x ≥ +0", "  ├ no  +1", "  └ yes +4"]
    same = tree_of((0, 0.0, 1, 2, True, [0]), *inner, *map(leaf, (1, 1, 1, 1)))
    assert tree_lines(same, ["x"]) == ["  +1"]
    other = tree_of((0, 0.0, 1, 2, False, [0]), *inner, *map(leaf, (1, 2, 3, 4)))
    assert tree_lines(other, ["x"]) == [
        "  x ≥ +0 or missing",
        "  ├ no  +1",
        "  └ yes x ≥ -1",  # a missing one came this way
        "    ├ no  +3",
        "    └ yes +4",
    ]


def test_trees_without_end_and_names_without_end_stay_in_80_columns() -> None:
    rows: list[tuple[int, float, int, int, bool, list[float]]] = []
    for level in range(1500):
        rows += [(0, float(level), 2 * level + 1, 2 * level + 2, False, [0.0]), leaf(float(level))]
    tree = tree_of(*rows, leaf(-1.0))
    lines = tree_lines(tree, ["a" * 90])
    assert max(map(len, lines)) <= 80
    assert lines[-1].endswith("… further questions")
    assert len(lines) == 33

"""XGBoost takes the same leaves and sums them to the same bits; what comes back in goes out unchanged from then on."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import random_ensembles as made
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from experiments.exchange.canonical import canonical
from experiments.exchange.ensemble import Ensemble
from experiments.exchange.xgboost_json import to_xgboost
from experiments.exchange.xgboost_model import read_xgboost
from markets.errors import UserError

xgboost = pytest.importorskip("xgboost", reason="no xgboost: pip install '.[trees]'")

SEEDS = st.integers(0, 2**32 - 1)
KINDS = st.sampled_from(sorted(made.KINDS))
LINKS = [("identity", 1), ("identity", 3), ("softmax", 3), ("logistic", 1), ("exponential", 1)]
tries = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


@tries
@given(seed=SEEDS, kind=KINDS)
def test_xgboost_takes_the_same_leaves(seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    original = made.ensemble(rng, kind)
    rows = made.rows(rng, original)
    np.testing.assert_array_equal(_margins(_booster(made.probe(original)), rows), original.nodes(rows))


@tries
@given(seed=SEEDS, kind=KINDS, link=st.sampled_from(LINKS), one_base=st.booleans(), trees=st.sampled_from([1, 5, 40]))
def test_xgboost_sums_to_the_same_bits(seed: int, kind: str, link: tuple[Any, int], one_base: bool, trees: int) -> None:
    rng = np.random.default_rng(seed)
    original = _linked(rng, kind, *link, one_base=one_base, trees=trees)
    rows = made.rows(rng, original, count=50)
    np.testing.assert_array_equal(_margins(_booster(original), rows), canonical(original).predict(rows))


@tries
@given(seed=SEEDS, kind=KINDS, link=st.sampled_from(LINKS), one_base=st.booleans())
def test_it_comes_back_as_it_went_and_then_stays(
    seed: int, kind: str, link: tuple[Any, int], one_base: bool, tmp_path: Path
) -> None:
    rng = np.random.default_rng(seed)
    original = _linked(rng, kind, *link, one_base=one_base)
    rows = made.rows(rng, original)
    back = _read(tmp_path, to_xgboost(original))
    np.testing.assert_array_equal(back.predict(rows), canonical(original).predict(rows))
    assert (back.features, back.link) == (original.features, original.link)
    assert made.fields(_read(tmp_path, to_xgboost(back))) == made.fields(back)
    finite = rows[~np.isinf(rows).any(axis=1)]
    matrix = xgboost.DMatrix(finite, feature_names=list(original.features))
    numbers = _booster(original).predict(matrix, pred_leaf=True, strict_shape=True).reshape(len(finite), -1)
    np.testing.assert_array_equal(numbers, back.leaves(finite))


@pytest.mark.parametrize(
    "choices",
    [
        {"objective": "reg:squarederror", "num_parallel_tree": 2},
        {"objective": "binary:logistic"},
        {"objective": "multi:softprob", "num_class": 3, "num_parallel_tree": 2, "gamma": 1},
        {"objective": "reg:gamma"},
    ],
)
def test_what_xgboost_trained_predicts_the_same_after_a_round_trip(choices: dict[str, Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 3)).astype(np.float32)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    labels = rng.integers(1, 3, 300) if "gamma" in choices["objective"] else rng.integers(0, 2, 300)
    matrix = xgboost.DMatrix(rows, labels)
    trained = xgboost.train(choices | {"max_depth": 4, "nthread": 1}, matrix, 5)
    first = _read(tmp_path, bytes(trained.save_raw("json")))
    second = _read(tmp_path, to_xgboost(first))
    third = _read(tmp_path, to_xgboost(second))
    assert made.fields(third) == made.fields(second)
    matrix.feature_names = list(first.features)
    expected = trained.predict(xgboost.DMatrix(rows), output_margin=True)
    back = _booster(first).predict(matrix, output_margin=True)
    np.testing.assert_allclose(back, expected, rtol=0, atol=1e-6)  # the logarithm of a base score is rounded here


def test_three_actions_are_probabilities_whose_largest_is_the_action() -> None:
    rng = np.random.default_rng(5)
    original = dataclasses.replace(made.ensemble(rng, outputs=3), link="softmax", classes=("short", "flat", "long"))
    rows = rng.normal(size=(200, 3)).astype(np.float32)
    booster = _booster(original)
    chances = booster.predict(xgboost.DMatrix(rows, feature_names=list(original.features)))
    np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(chances.argmax(axis=1), original.predict(rows).argmax(axis=1))
    assert json.loads(booster.attr("classes")) == ["short", "flat", "long"]
    assert (booster.feature_names, booster.feature_types) == (list(original.features), ["float"] * 3)


def test_a_right_child_stands_behind_its_sister() -> None:
    """XGBoost goes there whatever `right_children` says, and crashes where it is another's."""
    model = json.loads(to_xgboost(made.ensemble(np.random.default_rng(6), "lightgbm", trees=20, splits=20)))
    for tree in model["learner"]["gradient_booster"]["model"]["trees"]:
        left, right = np.array(tree["left_children"]), np.array(tree["right_children"])
        np.testing.assert_array_equal(right[left >= 0], left[left >= 0] + 1)
        for node in np.flatnonzero(left >= 0):
            assert tree["parents"][left[node]] == tree["parents"][right[node]] == node


def test_trees_of_zeros_are_of_the_class_whose_turn_it_is() -> None:
    original = made.ensemble(np.random.default_rng(10), trees=6, outputs=3)
    silent = [dataclasses.replace(tree, value=np.zeros_like(tree.value)) for tree in original.trees]
    written = to_xgboost(dataclasses.replace(original, trees=tuple(silent), base=np.zeros(3)))
    model = json.loads(written)["learner"]["gradient_booster"]["model"]
    assert (model["tree_info"], model["iteration_indptr"]) == ([0, 1, 2, 0, 1, 2], [0, 3, 6])


@pytest.mark.parametrize("trees", [0, 1, 3])
def test_trees_without_splits_are_constants(trees: int) -> None:
    original = made.ensemble(np.random.default_rng(7), trees=trees, splits=0, outputs=2)
    rows = np.array([[0, np.nan, np.inf]], np.float32)
    np.testing.assert_array_equal(_margins(_booster(original), rows), original.predict(rows))


def test_equal_ensembles_give_equal_bytes() -> None:
    first, second = (made.ensemble(np.random.default_rng(8), "lightgbm", outputs=3) for _ in range(2))
    assert to_xgboost(first) == to_xgboost(second) == to_xgboost(canonical(first))


@pytest.mark.parametrize(("names", "told"), [(("a", "b<c", "d"), "no \\[, \\] or <"), (("a", "b", "a"), "only once")])
def test_names_that_xgboost_refuses_are_told(names: tuple[str, ...], told: str) -> None:
    with pytest.raises(UserError, match=f"^feature '.*': XGBoost takes .*{told}"):
        to_xgboost(dataclasses.replace(made.ensemble(np.random.default_rng(9)), features=names))


def _linked(
    rng: np.random.Generator, kind: str, link: Any, outputs: int, *, one_base: bool, trees: int = 4
) -> Ensemble:
    original = made.ensemble(rng, kind, outputs=outputs, trees=trees)
    base = np.full(outputs, original.base[0]) if one_base else original.base
    return dataclasses.replace(original, link=link, base=base)


def _booster(original: Ensemble) -> Any:
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(to_xgboost(original)))
    return booster


def _margins(booster: Any, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Raw scores; in place, because a DMatrix refuses infinities."""
    found = booster.inplace_predict(rows, predict_type="margin", validate_features=False)
    return np.asarray(found).reshape(len(rows), -1)


def _read(folder: Path, model: bytes) -> Ensemble:
    path = folder / "model.json"
    path.write_bytes(model)
    return read_xgboost(path)

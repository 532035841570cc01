"""CatBoost models come in: every row takes the library's leaf and gets its score, and damage is said in one line."""

import contextlib
import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hard_rows import hard_rows, thresholds
from hypothesis import given
from hypothesis import strategies as st
from make_lightgbm_catboost import MODELS, answers, sample
from numpy.typing import NDArray

from experiments.exchange import catboost_model
from experiments.exchange.catboost_model import read_catboost
from experiments.exchange.ensemble import Ensemble
from markets.errors import UserError

FIXTURES = ("catboost_binary", "catboost_classes", "catboost_free")
TARGETS: dict[str, Callable[[NDArray[np.float64]], NDArray[Any]]] = {
    "RMSE": lambda y: y,
    "Quantile:alpha=0.3": lambda y: y,
    "MultiRMSE": lambda y: np.stack([y, y**2], axis=1),
    "Logloss": lambda y: y > 0,
    "CrossEntropy": lambda y: 1 / (1 + np.exp(-y)),
    "Poisson": np.abs,
    "MultiClass": lambda y: np.digitize(y, [-0.5, 0.7]),
    "MultiClassOneVsAll": lambda y: np.digitize(y, [-0.5, 0.7]),
}


@pytest.fixture(scope="module")
def catboost() -> Any:
    return pytest.importorskip("catboost")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("catboost")


def train(catboost: Any, x: Any, y: Any, *, cat_features: list[int] | None = None, **options: Any) -> Any:
    settings = {"iterations": 4, "depth": 4, "border_count": 32, "verbose": 0, "thread_count": 1, **options}
    model = catboost.CatBoost({"allow_writing_files": False, **settings})
    return model.fit(catboost.Pool(x, y, cat_features=cat_features))


def saved(model: Any, folder: Path, form: str = "json") -> Path:
    path = folder / f"model.{form}"
    model.save_model(str(path), format=form)
    return path


def raw_scores(model: Any, rows: NDArray[np.floating]) -> NDArray[np.float64]:
    scores: NDArray[np.float64] = model.predict(rows, prediction_type="RawFormulaVal").reshape(len(rows), -1)
    return scores


def both_kinds(ensemble: Ensemble, seed: int) -> Iterator[NDArray[np.floating]]:
    """Rows with float32 neighbours, and rows with float64 ones, which the library rounds."""
    for kind in (np.float32, np.float64):
        yield hard_rows(thresholds(ensemble), kind, seed)


@pytest.mark.parametrize("name", FIXTURES)
def test_stored_models_give_the_leaves_and_scores_that_the_library_gave(name: str) -> None:
    ensemble, (rows, leaves, raw) = read_catboost(MODELS / f"{name}.json"), answers(name)
    np.testing.assert_array_equal(ensemble.leaves(rows), leaves)
    np.testing.assert_array_equal(ensemble.predict(rows), raw)
    for tree in ensemble.trees:
        tree.check(features=len(ensemble.features), outputs=ensemble.outputs)


def test_what_a_file_says_beside_its_trees_is_read() -> None:
    binary, classes, free = (read_catboost(MODELS / f"{name}.json") for name in FIXTURES)
    assert binary.features == ("0", "1", "2", "3")
    assert (binary.link, binary.classes, binary.outputs) == ("logistic", ("down", "up"), 1)
    assert (classes.link, classes.classes, classes.outputs) == ("softmax", ("0", "1", "2"), 3)
    assert (free.link, free.classes, free.outputs) == ("identity", (), 1)
    assert all(each.inputs == "float32" and each.sums == "float64" and not each.strict for each in (binary, free))


@pytest.mark.parametrize(("missing", "nan_mode"), [(False, "Forbidden"), (True, "Min"), (True, "Max"), (False, "Max")])
@pytest.mark.parametrize("loss", ["RMSE", "Logloss", "MultiClass", "MultiRMSE", "Quantile:alpha=0.3", "CrossEntropy"])
def test_leaves_and_raw_scores_are_the_librarys_to_the_bit(
    catboost: Any, folder: Path, loss: str, nan_mode: str, *, missing: bool
) -> None:
    for seed, scale in enumerate((1.0, 1e-41)):  # the second column has subnormal borders, too
        x, y = sample(seed, missing=missing, scale=scale)
        model = train(catboost, x, TARGETS[loss](y), loss_function=loss, nan_mode=nan_mode)
        if seed:
            scaled = np.array(model.get_scale_and_bias()[1]) + 0.3
            model.set_scale_and_bias(1.7, scaled.tolist())
        ensemble = read_catboost(saved(model, folder))
        for rows in both_kinds(ensemble, seed):
            np.testing.assert_array_equal(ensemble.leaves(rows), model.calc_leaf_indexes(rows))
            np.testing.assert_array_equal(ensemble.predict(rows), raw_scores(model, rows))


@pytest.mark.parametrize("policy", ["Depthwise", "Lossguide"])
@pytest.mark.parametrize("loss", ["RMSE", "MultiClass"])
def test_trees_that_are_not_symmetric_are_the_librarys_too(catboost: Any, folder: Path, policy: str, loss: str) -> None:
    x, y = sample(0)
    model = train(catboost, x, TARGETS[loss](y), loss_function=loss, grow_policy=policy, nan_mode="Max")
    path = saved(model, folder)
    again = catboost.CatBoost().load_model(str(path), format="json")
    ensemble = read_catboost(path)
    for rows in both_kinds(ensemble, 0):
        np.testing.assert_array_equal(ensemble.predict(rows), raw_scores(model, rows))
        np.testing.assert_array_equal(ensemble.leaves(rows), again.calc_leaf_indexes(rows))
        # The model itself may count its leaves in another order, which its JSON does not tell.
        for mine, its in zip(ensemble.leaves(rows).T, model.calc_leaf_indexes(rows).T, strict=True):
            pairs = set(zip(mine.tolist(), its.tolist(), strict=True))
            assert len(pairs) == len(set(mine)) == len(set(its))


@pytest.mark.parametrize("policy", ["SymmetricTree", "Lossguide"])
def test_a_binary_model_is_the_same_as_its_json(catboost: Any, folder: Path, policy: str) -> None:
    x, y = sample(0)
    model = train(catboost, x, TARGETS["MultiClass"](y), loss_function="MultiClass", grow_policy=policy)
    binary, plain = read_catboost(saved(model, folder, "cbm")), read_catboost(saved(model, folder))
    for rows in both_kinds(plain, 0):
        np.testing.assert_array_equal(binary.leaves(rows), plain.leaves(rows))
        np.testing.assert_array_equal(binary.predict(rows), raw_scores(model, rows))
    assert (binary.features, binary.classes, binary.link) == (plain.features, plain.classes, plain.link)


def test_nan_goes_left_where_the_training_data_had_none(catboost: Any, tmp_path: Path) -> None:
    model = stored("catboost_binary")
    for has_nans in (False, True):
        for treatment in ("AsIs", "AsFalse", "AsTrue"):
            for feature in model["features_info"]["float_features"]:
                feature |= {"has_nans": has_nans, "nan_value_treatment": treatment}
            path = write(tmp_path, model)
            ensemble, library = read_catboost(path), catboost.CatBoost().load_model(str(path), format="json")
            for rows in both_kinds(ensemble, 0):
                np.testing.assert_array_equal(ensemble.leaves(rows), library.calc_leaf_indexes(rows))


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (np.array(["no", "yes"]), ("no", "yes")),
        (np.array([False, True]), ("False", "True")),
        (np.array([0.0, 1.0]), ("0.0", "1.0")),
        (np.array([0.5, 1.5]), ("0.5", "1.5")),
        (np.array([7, 9]), ("7", "9")),
    ],
    ids=str,
)
def test_classes_are_called_as_in_the_library(catboost: Any, folder: Path, labels: Any, names: tuple[str, ...]) -> None:
    x, y = sample(0)
    model = train(catboost, x, labels[(y > 0) * 1], loss_function="Logloss")
    assert read_catboost(saved(model, folder)).classes == names == tuple(str(name) for name in model.classes_)


@pytest.mark.parametrize(
    ("options", "names"),
    [({"classes_count": 6}, "024"), ({"class_names": [4, 3, 2, 0]}, "420"), ({"class_names": [4, 0, 2]}, "402")],
    ids=str,
)
def test_classes_without_data_have_no_score(catboost: Any, folder: Path, options: dict[str, Any], names: str) -> None:
    x, y = sample(0)
    model = train(catboost, x, 2 * np.digitize(y, [-0.5, 0.7]), loss_function="MultiClass", **options)
    ensemble = read_catboost(saved(model, folder))
    assert ensemble.classes == tuple(names)
    its = raw_scores(model, x)[:, [model.classes_.tolist().index(int(name)) for name in names]]
    np.testing.assert_array_equal(ensemble.predict(x), its)


def test_columns_are_called_as_in_the_library(catboost: Any, folder: Path) -> None:
    x, y = sample(0)
    x[:, 0] = 1.0
    pool = catboost.Pool(x, y, feature_names=["constant", "an ask", "ünï", "3"])
    options = {"iterations": 4, "ignored_features": [1], "verbose": 0, "allow_writing_files": False}
    model = catboost.CatBoost(options).fit(pool)
    ensemble = read_catboost(saved(model, folder))
    assert list(ensemble.features) == model.feature_names_
    np.testing.assert_array_equal(ensemble.leaves(x), model.calc_leaf_indexes(x))


@pytest.mark.parametrize("loss", ["Logloss", "CrossEntropy", "MultiClass"])
def test_the_link_of_raw_scores_gives_the_librarys_probabilities(catboost: Any, folder: Path, loss: str) -> None:
    x, y = sample(1)
    model = train(catboost, x, TARGETS[loss](y), loss_function=loss)
    ensemble = read_catboost(saved(model, folder))
    raw = ensemble.predict(x)
    odds = np.exp(np.hstack([np.zeros_like(raw), raw]) if ensemble.link == "logistic" else raw)
    mine, its = odds / odds.sum(axis=1, keepdims=True), model.predict(x, prediction_type="Probability")
    np.testing.assert_allclose(mine, its, rtol=1e-13)


def test_the_exponential_of_a_poisson_score_is_what_the_library_predicts(catboost: Any, folder: Path) -> None:
    x, y = sample(1)
    model = train(catboost, x, np.abs(y), loss_function="Poisson")
    ensemble = read_catboost(saved(model, folder))
    assert ensemble.link == "exponential"
    its = model.predict(x, prediction_type="Exponent")
    np.testing.assert_allclose(np.exp(ensemble.predict(x))[:, 0], its, rtol=1e-14)


def test_a_sum_of_models_is_read(catboost: Any, folder: Path) -> None:
    x, y = sample(1)
    parts = [train(catboost, x, y, depth=depth) for depth in (2, 3)]
    model = catboost.sum_models(parts, weights=[0.3, 2.0])
    ensemble = read_catboost(saved(model, folder))
    for rows in both_kinds(ensemble, 0):
        np.testing.assert_array_equal(ensemble.leaves(rows), model.calc_leaf_indexes(rows))
        np.testing.assert_array_equal(ensemble.predict(rows), raw_scores(model, rows))


def test_what_an_ensemble_cannot_hold_is_refused_by_name(catboost: Any, folder: Path) -> None:
    x, y = sample(2, missing=False)
    kinds = [[row[0], f"kind {row[3]:.0f}"] for row in x]
    words = [[row[0], f"word{row[3]:.0f} of many"] for row in x]
    for options, form in (({"one_hot_max_size": 9}, "json"), ({"one_hot_max_size": 1}, "json"), ({}, "cbm")):
        model = train(catboost, kinds, y > 0, cat_features=[1], loss_function="Logloss", **options)
        refused(saved(model, folder, form), "feature 1 is categorical, which is not supported")
    pool = catboost.Pool(words, y > 0, text_features=[1])
    options = {"iterations": 3, "verbose": 0, "loss_function": "Logloss", "allow_writing_files": False}
    refused(saved(catboost.CatBoost(options).fit(pool), folder, "cbm"), "feature 1 is text, which is not supported")
    vectors = [[row[0], [float(row[1]), float(row[2])]] for row in x]
    pool = catboost.Pool(vectors, y > 0, embedding_features=[1])
    refused(saved(catboost.CatBoost(options).fit(pool), folder, "cbm"), "feature 1 is embedding, which is not supp")
    model = train(catboost, x, TARGETS["MultiClassOneVsAll"](y), loss_function="MultiClassOneVsAll")
    refused(saved(model, folder), "loss_function MultiClassOneVsAll makes of 3 raw scores what is not supported")


def test_a_damaged_binary_model_is_told(catboost: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = sample(2)
    content = saved(train(catboost, x, y), folder, "cbm").read_bytes()
    path = folder / "cut.cbm"
    for end in range(4, len(content), len(content) // 90):
        path.write_bytes(content[:end])
        refused(path, "cut.cbm: has .* bytes and tells of more")
    path.write_bytes(content[:8] + bytes(len(content)))
    refused(path, "cut.cbm: CatBoost cannot read it")
    # The library does crash over some damage; here it does so at once.
    monkeypatch.setattr(catboost_model, "_PROGRAM", "import os; os._exit(9)")
    refused(path, r"cut.cbm: CatBoost cannot read it \(it crashed\)")


def test_a_binary_model_without_the_library_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "catboost", None)
    path = tmp_path / "model.cbm"
    path.write_bytes(b"CBM1 and more")
    refused(path, r"pip install 'lineage-arena\[trees\]'")


def stored(name: str) -> dict[str, Any]:
    model: dict[str, Any] = json.loads((MODELS / f"{name}.json").read_text())
    return model


def write(folder: Path, model: Any) -> Path:
    path = folder / "model.json"
    path.write_text(json.dumps(model))
    return path


def refused(path: Path, match: str) -> None:
    with pytest.raises(UserError, match=match) as caught:
        read_catboost(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_older_forms_of_scale_and_bias_are_read(tmp_path: Path) -> None:
    model, (rows, _, raw) = stored("catboost_binary"), answers("catboost_binary")
    for pair, scale, bias in (([2, 0.5], 2.0, 0.5), ([1, []], 1.0, 0.0), (None, 1.0, 0.0)):
        model["scale_and_bias"] = pair
        if pair is None:
            del model["scale_and_bias"]
        np.testing.assert_array_equal(read_catboost(write(tmp_path, model)).predict(rows), scale * raw + bias)


def test_a_tree_without_a_split_is_one_leaf(tmp_path: Path) -> None:
    for splits in ([], None):
        model = stored("catboost_binary")
        model["oblivious_trees"] = [{"leaf_values": [0.25], "splits": splits}]
        ensemble = read_catboost(write(tmp_path, model))
        np.testing.assert_array_equal(ensemble.predict(np.zeros((2, 4))), [[0.25], [0.25]])
        np.testing.assert_array_equal(ensemble.leaves(np.zeros((2, 4))), [[0], [0]])


DAMAGE: list[tuple[str, tuple[Any, ...], Any, str]] = [
    ("binary", ("oblivious_trees",), ..., "has neither oblivious_trees nor trees"),
    ("binary", ("trees",), [], "has neither oblivious_trees nor trees, or both"),
    ("binary", ("oblivious_trees", 1), 5, "tree 1: splits is missing or no list"),
    ("binary", ("oblivious_trees", 1, "splits"), ..., "tree 1: splits is missing or no list"),
    ("binary", ("oblivious_trees", 1, "leaf_values"), ..., "tree 1: leaf_values is missing or no list"),
    ("binary", ("oblivious_trees", 1, "leaf_values"), [], "tree 1: has 3 splits and 0 leaf_values"),
    ("binary", ("oblivious_trees", 1, "leaf_values"), [1.0] * 9, "tree 1: has 3 splits and 9 leaf_values"),
    ("binary", ("oblivious_trees", 1, "leaf_values"), [1.0] * 16, "tree 1: leaves have 2 values where tree 0 has 1"),
    ("binary", ("oblivious_trees", 1, "leaf_values", 2), "x", "tree 1: 'x' is no finite number"),
    ("binary", ("oblivious_trees", 1, "leaf_values", 2), True, "tree 1: 'True' is no finite number"),
    ("binary", ("oblivious_trees", 1, "leaf_values", 2), 10**400, "tree 1: '10000000.*' is no finite number"),
    ("binary", ("oblivious_trees", 1, "splits", 0, "split_index"), 999, "tree 1: split_index 999 is not border"),
    ("binary", ("oblivious_trees", 1, "splits", 0, "split_index"), -1, "tree 1: split_index is missing or no whole"),
    (
        "binary",
        ("oblivious_trees", 1, "splits", 0, "border"),
        0.3,
        r"tree 1: split_index \d+ is not border 0.300000012 of",
    ),
    ("binary", ("oblivious_trees", 1, "splits", 0, "border"), 1e39, "tree 1: border 1e.39 is no float32"),
    ("binary", ("oblivious_trees", 1, "splits", 0, "float_feature_index"), 9, "is not border .* of float feature 9"),
    ("binary", ("oblivious_trees", 1, "splits", 0, "split_type"), "OnlineCtr", "tree 1: split .* is of type OnlineCtr"),
    ("binary", ("oblivious_trees", 1, "splits"), [5] * 70, "tree 1: split_index is missing"),
    ("binary", ("features_info",), ..., "features_info is missing"),
    ("binary", ("features_info", "ctrs"), [{"feature_id": "x"}], "feature x is a ctr of categories"),
    ("binary", ("features_info", "float_features"), ..., "float_features is missing or no list"),
    (
        "binary",
        ("features_info", "float_features", 2),
        ...,
        "feature 2: feature_index is missing|does not count from 0",
    ),
    ("binary", ("features_info", "float_features", 2, "flat_feature_index"), 7, "feature 2 is none of its float feat"),
    ("binary", ("features_info", "float_features", 0, "nan_value_treatment"), "No", "feature 0: its name, has_nans or"),
    ("binary", ("features_info", "float_features", 0, "has_nans"), 1, "feature 0: its name, has_nans or"),
    ("binary", ("features_info", "float_features", 0, "borders"), [1.0, 0.0], "feature 0: its borders do not ascend"),
    ("binary", ("features_info", "float_features", 0, "borders", 0), None, "feature 0: 'None' is no finite number"),
    ("binary", ("model_info",), ..., "model_info.params.loss_function.type is missing"),
    ("binary", ("model_info", "params", "loss_function", "type"), "Magic", "loss_function Magic makes of 1 raw scores"),
    ("binary", ("model_info", "class_params", "class_names"), ["a"], "class_to_label is beyond the 1 class_names"),
    ("binary", ("model_info", "class_params", "class_names"), [[], {}], "class_names: is no list of names"),
    ("binary", ("model_info", "class_params", "class_to_label"), [0], "class_to_label: is no list of 2 whole numbers"),
    ("binary", ("model_info", "class_params"), [1], "class_params: is no object"),
    ("binary", ("scale_and_bias",), [1], "scale_and_bias: is not a pair"),
    ("binary", ("scale_and_bias",), [1, [1, 2]], "scale_and_bias: 2 biases for 1 scores"),
    ("binary", ("scale_and_bias",), ["1", [1]], "scale_and_bias: '1' is no finite number"),
    ("free", ("trees", 0, "left"), ..., "tree 0: a node is missing"),
    ("free", ("trees", 0, "right"), [], "tree 0: a node is missing"),
    ("free", ("trees", 2, "split"), ..., "tree 2: split_index is missing"),
    ("free", ("trees", 2), {"value": []}, "tree 2: a leaf has 0 values"),
    ("free", ("trees", 2, "left"), {"value": [1, 2]}, "tree 2: a leaf has . values, the first"),
]


@pytest.mark.parametrize(("name", "place", "value", "match"), DAMAGE)
def test_a_damaged_file_is_told_by_file_and_tree(
    tmp_path: Path, name: str, place: tuple[Any, ...], value: Any, match: str
) -> None:
    model = stored(f"catboost_{name}")
    change(model, place, value)
    refused(write(tmp_path, model), f"model.json: .*({match})")


def change(model: Any, place: tuple[Any, ...], value: Any) -> None:
    """Put a value at a place; `...` takes away what is there."""
    for key in place[:-1]:
        model = model[key]
    if value is ...:
        del model[place[-1]]
    else:
        model[place[-1]] = value


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "none.json", "no such file")
    path = tmp_path / "model.json"
    for content in (b"", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000, b"1" * 9000, b"NaN", b"{,}"):
        path.write_bytes(content)
        refused(path, "model.json: ")


def test_numbers_that_are_none_are_no_json(tmp_path: Path) -> None:
    text = (MODELS / "catboost_binary.json").read_text()
    for word in ("NaN", "Infinity", "-Infinity", "1e999"):
        damaged, found = re.subn(r'"leaf_values":\[[^,]*,', f'"leaf_values":[{word},', text, count=1)
        assert found
        (tmp_path / "model.json").write_text(damaged)
        refused(tmp_path / "model.json", "is no JSON|tree 0: 'inf' is no finite number")


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    content, path = (MODELS / "catboost_free.json").read_bytes().rstrip(), tmp_path / "model.json"
    for end in range(0, len(content), 41):
        path.write_bytes(content[:end])
        refused(path, "model.json: ")


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*at, key)
        yield from places(inner, (*at, key))


WHOLE = {name: stored(name) for name in FIXTURES}
PLACES = {
    name: [place for place in places(model) if place[:1] != ("model_info",) or len(place) < 3]
    for name, model in WHOLE.items()
}


@given(data=st.data())
def test_damage_is_told_in_one_line_or_leaves_a_model_that_predicts(folder: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(FIXTURES))
    model = copy.deepcopy(WHOLE[name])
    odd: list[Any] = [..., None, True, -1, 0, 3, 10**400, 1e300, "", "x", [], {}, [[]], [1, 2, 3], 1e-50]
    change(model, data.draw(st.sampled_from(PLACES[name])), data.draw(st.sampled_from(odd)))
    with contextlib.suppress(UserError):
        ensemble = read_catboost(write(folder, model))
        for tree in ensemble.trees:
            tree.check(features=len(ensemble.features), outputs=ensemble.outputs)
        assert np.isfinite(ensemble.predict(np.zeros((2, len(ensemble.features))))).all()

"""Models of XGBoost come in leaf for leaf and, on the same logarithm, bit for bit; damaged ones in one line."""

import copy
import json
import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost_samples as samples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.exchange.ensemble import Ensemble
from experiments.exchange.fields import Written, single
from experiments.exchange.xgboost_model import read_xgboost
from markets.errors import UserError

_MODELS = Path(__file__).parent / "models"
_STEMS = sorted(path.stem for path in _MODELS.glob("xgboost-*.npz"))
_QUIET = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _saved(stem: str) -> Any:
    return json.loads((_MODELS / f"{stem}.json").read_text(encoding="utf-8"))


def _read(model: Any, folder: Path) -> Ensemble:
    path = folder / "model.json"
    path.write_text(json.dumps(model), encoding="utf-8")
    return read_xgboost(path)


def _trees(model: Any) -> Any:
    return model["learner"]["gradient_booster"]["model"]["trees"]


def _refusal(model: Any, folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        _read(model, folder)
    line = str(caught.value)
    assert line.startswith(f"{folder / 'model.json'}: ")
    assert "\n" not in line
    return line


def _agrees(ensemble: Ensemble, booster: Any, *, rows: int) -> None:
    seen = samples.telling_rows(booster, rows, infinite=False)
    leaves, margins = samples.predicted(booster, seen)
    np.testing.assert_array_equal(ensemble.leaves(seen), leaves)
    np.testing.assert_array_equal(ensemble.predict(seen), margins)
    assert ensemble.predict(seen).dtype == np.float32


def test_there_are_saved_models_of_two_versions() -> None:
    assert {stem.split("-")[1] for stem in _STEMS} == {"1.7", "2.1"}
    assert {stem.split("-")[2] for stem in _STEMS} == set(samples.SAMPLES)


@pytest.mark.parametrize("form", ["json", "ubj"])
@pytest.mark.parametrize("stem", _STEMS)
def test_saved_models_predict_as_the_version_that_saved_them(stem: str, form: str) -> None:
    ensemble = read_xgboost(_MODELS / f"{stem}.{form}")
    with np.load(_MODELS / f"{stem}.npz") as told:
        np.testing.assert_array_equal(ensemble.leaves(told["rows"]), told["leaves"])
        np.testing.assert_array_equal(ensemble.predict(told["rows"]), told["margins"])
        # A DMatrix takes no infinite values. What does, subtracts the base score from each tree of DART in between.
        rounding = 2e-7 if stem.endswith("dart") else 0.0
        infinite = ensemble.predict(told["infinite_rows"])
        np.testing.assert_allclose(infinite, told["infinite_margins"], rtol=rounding, atol=rounding)
        assert np.isinf(told["infinite_rows"]).any()


@pytest.mark.parametrize("form", ["json", "ubj"])
@pytest.mark.parametrize("kind", list(samples.SAMPLES))
def test_leaves_and_margins_are_those_of_the_installed_library(kind: str, form: str, tmp_path: Path) -> None:
    pytest.importorskip("xgboost")
    booster = samples.trained(kind)
    booster.save_model(path := tmp_path / f"model.{form}")
    _agrees(read_xgboost(path), booster, rows=1500)
    wide = samples.telling_rows(booster, 500, infinite=True)
    rounding = 2e-7 if kind == "dart" else 0.0
    own, theirs = read_xgboost(path).predict(wide), samples.margins_in_place(booster, wide)
    np.testing.assert_allclose(own, theirs, rtol=rounding, atol=rounding)


_OBJECTIVES: dict[str, Callable[[float], float]] = {
    **dict.fromkeys(["reg:squarederror", "reg:squaredlogerror", "reg:pseudohubererror"], float),
    **dict.fromkeys(["reg:absoluteerror", "binary:logitraw", "binary:hinge", "rank:pairwise"], float),
    **dict.fromkeys(["binary:logistic", "reg:logistic"], lambda p: -math.log(1 / p - 1)),
    **dict.fromkeys(["count:poisson", "reg:gamma", "reg:tweedie", "survival:cox"], math.log),
}


@pytest.mark.parametrize("objective", list(_OBJECTIVES))
def test_the_base_score_becomes_a_margin_as_the_objective_makes_it(objective: str, tmp_path: Path) -> None:
    xgboost = pytest.importorskip("xgboost")
    rows = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    train = xgboost.DMatrix(rows, np.tile([0.0, 1.0], 10) + (objective in ("reg:gamma", "survival:cox")))
    if objective.startswith("rank"):
        train.set_group([20])
    for score in (0.25, 0.7):
        options = {"objective": objective, "base_score": score, "max_depth": 2, "nthread": 1, "verbosity": 0}
        booster = xgboost.train(options, train, 3)
        booster.save_model(path := tmp_path / "model.ubj")
        ensemble = read_xgboost(path)
        assert ensemble.base[0] == pytest.approx(_OBJECTIVES[objective](score), rel=1e-6)
        _agrees(ensemble, booster, rows=50)


def test_links_and_classes_are_the_objective_s(tmp_path: Path) -> None:
    for stem, link, classes in [
        ("xgboost-2.1-binary", "logistic", ("0", "1")),
        ("xgboost-2.1-softprob", "softmax", ("0", "1", "2")),
        ("xgboost-2.1-squarederror", "identity", ()),
        ("xgboost-2.1-poisson", "exponential", ()),
    ]:
        ensemble = read_xgboost(_MODELS / f"{stem}.ubj")
        assert (ensemble.link, ensemble.classes, ensemble.library) == (link, classes, "xgboost")


def test_columns_have_the_names_of_the_model_or_those_of_the_library() -> None:
    assert read_xgboost(_MODELS / "xgboost-2.1-squarederror.json").features == (
        "open",
        "high",
        "the \"low\" 'é'",
        "close",
    )
    assert read_xgboost(_MODELS / "xgboost-2.1-binary.ubj").features == ("f0", "f1", "f2", "f3")


def test_a_base_score_may_be_a_number_or_an_array_of_them(tmp_path: Path) -> None:
    model = _saved("xgboost-2.1-softprob")
    shape = model["learner"]["learner_model_param"]
    for written, base in [("5E-1", [0.5] * 3), ("[5E-1]", [0.5] * 3), ("[1E0,-2.5E-1,0E0]", [1.0, -0.25, 0.0])]:
        shape["base_score"] = written
        assert _read(model, tmp_path).base.tolist() == base


def test_the_base_of_a_logit_is_kept_off_its_ends_from_the_version_on_that_does_so(tmp_path: Path) -> None:
    model = _saved("xgboost-2.1-binary")
    model["learner"]["learner_model_param"]["base_score"] = "[1E-8]"
    assert _read(model, tmp_path).base[0] == pytest.approx(math.log(1e-8), rel=1e-6)
    model["version"] = [3, 2, 0]
    assert _read(model, tmp_path).base[0] == pytest.approx(math.log(1e-6), rel=1e-6)


@pytest.mark.parametrize("stem", ["xgboost-1.7-stopped", "xgboost-2.1-stopped"])
def test_rounds_after_the_best_stay_out(stem: str, tmp_path: Path) -> None:
    model = _saved(stem)
    assert ("iteration_indptr" in model["learner"]["gradient_booster"]["model"]) == ("2.1" in stem)
    best = int(model["learner"]["attributes"]["best_iteration"])
    assert len(_read(model, tmp_path).trees) == best + 1 < len(_trees(model))
    del model["learner"]["attributes"]["best_iteration"]
    assert len(_read(model, tmp_path).trees) == len(_trees(model))
    model["learner"]["attributes"]["best_iteration"] = str(len(_trees(model)))
    assert "best_iteration" in _refusal(model, tmp_path)


@pytest.mark.parametrize(("stem", "first"), [("xgboost-2.1-softprob", 3), ("xgboost-2.1-forest", 9)])
@pytest.mark.parametrize("told", [True, False])
def test_a_round_has_a_tree_for_each_class_and_parallel_tree(stem: str, first: int, told: bool, tmp_path: Path) -> None:
    model = _saved(stem)
    model["learner"]["attributes"]["best_iteration"] = "0"
    if not told:  # as before 2.0
        del model["learner"]["gradient_booster"]["model"]["iteration_indptr"]
    assert len(_read(model, tmp_path).trees) == first


def test_nodes_that_pruning_cut_off_are_left_out_and_the_others_keep_their_numbers() -> None:
    ensemble = read_xgboost(_MODELS / "xgboost-2.1-pruned.json")
    for tree, saved in zip(ensemble.trees, _trees(_saved("xgboost-2.1-pruned")), strict=True):
        assert len(tree.feature) < int(saved["tree_param"]["num_nodes"])
        assert tree.number.max() > len(tree.feature)
        tree.check(features=4, outputs=1)


def test_trees_are_told_apart_by_their_ids_and_not_by_their_places(tmp_path: Path) -> None:
    model = _saved("xgboost-2.1-softprob")
    straight = _read(model, tmp_path)
    _trees(model).reverse()
    rows = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    np.testing.assert_array_equal(_read(model, tmp_path).leaves(rows), straight.leaves(rows))
    np.testing.assert_array_equal(_read(model, tmp_path).predict(rows), straight.predict(rows))


def test_weights_of_dart_beside_the_trees_count_too_and_trees_without_one_weigh_one(tmp_path: Path) -> None:
    """XGBoost 3.4 keeps them there, in a booster named gbtree."""
    model = _saved("xgboost-2.1-dart")
    told = _read(model, tmp_path)
    dart = model["learner"]["gradient_booster"]
    dart["weight_drop"][-1] = 1.0
    one = _read(model, tmp_path)
    model["learner"]["gradient_booster"] = gbtree = dart["gbtree"]
    gbtree["model"]["weight_drop"] = dart["weight_drop"][:-1]
    rows = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    np.testing.assert_array_equal(_read(model, tmp_path).predict(rows), one.predict(rows))
    assert (told.predict(rows) != one.predict(rows)).any()


def test_decimals_are_read_as_the_nearest_float32_and_not_by_way_of_float64() -> None:
    near = single([Written("7.038531e-26"), Written("1.5"), 2, math.inf], "here")
    assert near.view(np.uint32)[0] == 0x15AE43FD
    assert near[1:].tolist() == [1.5, 2.0, math.inf]
    assert np.float32(float("7.038531e-26")).view(np.uint32) == 0x15AE43FE


@given(st.integers(0, 0x7F7FFFFE), st.sampled_from([-1, 0, 1]), st.booleans())
def test_decimals_around_the_middle_of_two_float32_fall_to_the_right_side(bits: int, side: int, negative: bool) -> None:
    low, high = np.array([bits, bits + 1], np.uint32).view(np.float32)
    with localcontext(prec=400):
        middle = (Decimal(float(low)) + Decimal(float(high))) / 2
        written = format(middle + side * middle * Decimal("1e-40"), "e")
    right = (low, low if bits % 2 == 0 else high, high)[side + 1]
    sign = "-" if negative else ""
    assert single([Written(sign + written)], "here")[0] == (-right if negative else right)


# --- what cannot come in --------------------------------------------------------------------------------------------


def test_boosters_leaves_and_splits_of_other_kinds_are_refused_by_name(tmp_path: Path) -> None:
    xgboost = pytest.importorskip("xgboost")
    random = np.random.default_rng(0)
    rows = random.normal(size=(60, 3)).astype(np.float32)
    rows[:, 1] = random.integers(0, 5, 60)
    plain, labels = xgboost.DMatrix(rows), rows[:, 0] + rows[:, 1] % 2

    def refusal(train: Any, **options: Any) -> str:
        booster = xgboost.train({"nthread": 1, "verbosity": 0} | options, train, 2)
        booster.save_model(path := tmp_path / "model.ubj")
        with pytest.raises(UserError) as caught:
            read_xgboost(path)
        assert str(caught.value).startswith(f"{path}: ")
        return str(caught.value)

    both = np.stack([labels, labels > 0], 1)
    plain.set_label(labels)
    assert "gblinear" in refusal(plain, booster="gblinear")
    vectors = refusal(xgboost.DMatrix(rows, both), multi_strategy="multi_output_tree", tree_method="hist")
    assert "tree 0" in vectors
    assert "one_output_per_tree" in vectors
    kinds = xgboost.DMatrix(rows, labels, feature_types=["q", "c", "q"], enable_categorical=True)
    assert "categories" in refusal(kinds, tree_method="hist")
    assert "labels at once" in refusal(xgboost.DMatrix(rows, both > 0), objective="binary:logistic")


def test_targets_each_with_trees_of_its_own_come_in(tmp_path: Path) -> None:
    xgboost = pytest.importorskip("xgboost")
    rows = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(rows, np.stack([rows[:, 0], rows[:, 1] * 3], 1)), 3)
    booster.save_model(path := tmp_path / "model.json")
    ensemble = read_xgboost(path)
    assert ensemble.outputs == 2
    _agrees(ensemble, booster, rows=300)


def _change(path: str, value: Any) -> Callable[[Any], None]:
    """Put a value where the keys lead; `...` takes away what is there."""

    def change(model: Any) -> None:
        *keys, last = (int(key) if key.isdigit() else key for key in path.split("/"))
        place = model
        for key in keys:
            place = place[key]
        if value is ...:
            del place[last]
        else:
            place[last] = value

    return change


_BOOSTER = "learner/gradient_booster"
_TREE = f"{_BOOSTER}/model/trees/1"


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("learner", ..., "learner is missing"),
        ("learner", [], "learner is an array"),
        ("learner/objective/name", "reg:mine", "reg:mine; right is one of reg:squarederror"),
        ("learner/objective/name", ..., "name is missing"),
        ("learner/learner_model_param/base_score", "", "base_score is ''"),
        ("learner/learner_model_param/base_score", "[1,2,nan]", "base_score is"),
        ("learner/learner_model_param/base_score", "[1E-1,2E-1]", "base_score holds 2 numbers"),
        ("learner/learner_model_param/base_score", "1E0", "cannot predict"),
        ("learner/learner_model_param/base_score", 0.5, "base_score is '0.5'; right is text"),
        ("learner/learner_model_param/num_feature", "4294967295", "num_feature"),
        ("learner/learner_model_param/num_feature", "2", "tree 0: node 1 looks at no feature of the 2"),
        ("learner/learner_model_param/num_class", "2000000000", "a tree each"),
        ("learner/feature_names", ["a", "b"], "feature_names are 2"),
        ("learner/feature_names", [1, 2, 3, 4], "feature_names"),
        (f"{_BOOSTER}/name", "gblinear", "gblinear"),
        (f"{_BOOSTER}/name", "dart", "weight_drop is missing"),
        (f"{_BOOSTER}/weight_drop", [1.0] * 9, "weight_drop weighs 9 trees"),
        (f"{_BOOSTER}/weight_drop", [1.0, None], "weight_drop"),
        (f"{_BOOSTER}/weight_drop", [1e300, 1e300], "tree 0: node"),
        (f"{_BOOSTER}/model/tree_info", [0], "tree_info names 1"),
        (f"{_BOOSTER}/model/tree_info", [0, 0, 5], "tree 2: adds to score 5"),
        (f"{_BOOSTER}/model/tree_info", [0, 0, "0"], "tree_info"),
        (f"{_BOOSTER}/model/gbtree_model_param/num_trees", "7", "num_trees is 7"),
        (_TREE, 3, "tree 1: is no object"),
        (f"{_TREE}/id", 0, "tree 1: its id is 0"),
        (f"{_TREE}/id", -1, "tree 1: id is -1"),
        (f"{_TREE}/id", True, "tree 1: id is True"),
        (f"{_TREE}/left_children", ..., "tree 1: left_children is missing"),
        (f"{_TREE}/left_children", {}, "tree 1: left_children is an object"),
        (f"{_TREE}/left_children/0", 99, "tree 1: node 0 has child 99"),
        (f"{_TREE}/left_children/0", -2, "tree 1: node 0 has child -2"),
        (f"{_TREE}/left_children/0", -1, "tree 1: node 0 has child -1"),
        (f"{_TREE}/left_children/0", 2, "tree 1: node 2 hangs on two"),
        (f"{_TREE}/left_children/1", 0, "tree 1: node 0 hangs on two"),
        (f"{_TREE}/left_children/1", 1, "tree 1: node 1 hangs on two"),
        (f"{_TREE}/left_children/0", 2**80, "tree 1: left_children"),
        (f"{_TREE}/left_children/0", 1.5, "tree 1: left_children"),
        (f"{_TREE}/split_indices/0", 4, "tree 1: node 0 looks at no feature of the 4"),
        (f"{_TREE}/split_indices/0", -3, "tree 1: node 0 looks at no feature of the 4"),
        (f"{_TREE}/split_conditions", [1.0], "tree 1: its arrays are of [1, "),
        (f"{_TREE}/split_conditions/0", math.nan, "tree 1: node 0 has no number"),
        (f"{_TREE}/split_conditions/0", "1.5", "tree 1: split_conditions has something"),
        (f"{_TREE}/split_conditions/0", 10**400, "tree 1: split_conditions has a number beyond"),
        (f"{_TREE}/split_conditions", [math.inf] * 9, "tree 1: "),
        (f"{_TREE}/split_type/0", 1, "tree 1: node 0 splits by categories"),
        (f"{_TREE}/tree_param/num_nodes", "8", "tree 1: its arrays"),
        (f"{_TREE}/tree_param/num_nodes", "9" * 5000, "tree 1: num_nodes"),
        (f"{_TREE}/tree_param/size_leaf_vector", "2", "tree 1: its leaves are 2 numbers each"),
        (f"{_TREE}/tree_param", [], "tree 1: tree_param"),
    ],
)
def test_a_damaged_model_is_one_line_that_names_file_and_tree(path: str, value: Any, says: str, tmp_path: Path) -> None:
    model = _saved("xgboost-2.1-binary")
    _change(path, value)(model)
    assert says in _refusal(model, tmp_path)


def test_rounds_that_do_not_part_the_trees_are_refused(tmp_path: Path) -> None:
    model = _saved("xgboost-2.1-stopped")
    for ends in ([], [0, 1], [1, 2, 3, 4], [0, 3, 1, 4]):
        model["learner"]["gradient_booster"]["model"]["iteration_indptr"] = ends
        assert "iteration_indptr" in _refusal(model, tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "{}", '{"learner": 1', '{"learner": 1}', "[" * 200_000])
def test_what_is_no_model_is_refused(text: str, tmp_path: Path) -> None:
    (path := tmp_path / "model.json").write_text(text)
    with pytest.raises(UserError) as caught:
        read_xgboost(path)
    assert str(caught.value).startswith(f"{path}: ")


# --- properties -----------------------------------------------------------------------------------------------------


def _tried(path: Path) -> None:
    """A model or one line; nothing else may come of a file."""
    try:
        ensemble = read_xgboost(path)
    except UserError as error:
        line = str(error)
    else:
        line = f"{path}: came in"
        for tree in ensemble.trees:
            tree.check(features=len(ensemble.features), outputs=ensemble.outputs)
        ensemble.predict(np.zeros((2, len(ensemble.features)), np.float32))
    assert line.startswith(f"{path}: ")


@_QUIET
@given(st.data())
def test_bytes_that_went_wrong_are_a_model_or_one_line(tmp_path: Path, data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(["json", "ubj"]))
    content = bytearray((_MODELS / f"xgboost-2.1-binary.{form}").read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (path := tmp_path / "model").write_bytes(content)
    _tried(path)
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    _tried(path)


_ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-3, 12),
    st.floats(),
    st.text(max_size=3),
    st.sampled_from([[], {}, [[]], "0", "-1", "1E400", "4294967296"]),
)


@_QUIET
@given(st.data())
def test_values_that_went_wrong_are_a_model_or_one_line(tmp_path: Path, data: st.DataObject) -> None:
    model = _saved(data.draw(st.sampled_from(["xgboost-2.1-dart", "xgboost-2.1-stopped", "xgboost-1.7-stopped"])))
    for _ in range(data.draw(st.integers(1, 2))):
        place: Any = model
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if not isinstance(place[key], (dict, list)) or not data.draw(st.integers(0, 9)):
                place[key] = data.draw(_ANYTHING)
                break
            place = place[key]
    (path := tmp_path / "model.json").write_text(json.dumps(model), encoding="utf-8")
    _tried(path)


def _walked(tree: Any, row: Any) -> int:
    """The node that a row ends in, by the words of XGBoost's documentation; no arrays, no rounds."""
    node = 0
    while tree["left_children"][node] != -1:
        value = row[tree["split_indices"][node]]
        left = (
            bool(tree["default_left"][node]) if np.isnan(value) else value < np.float32(tree["split_conditions"][node])
        )
        node = tree["left_children" if left else "right_children"][node]
    return node


@st.composite
def _grown(draw: st.DrawFn) -> Any:
    """A tree with its nodes numbered anyhow, some of them cut off, whose thresholds rows will meet."""
    inner = draw(st.integers(0, 6))
    count = 2 * inner + 1 + (lost := draw(st.integers(0, 3)))
    numbers = [0, *draw(st.permutations(range(1, count)))]
    left, right, open_ends = [-1] * count, [-1] * count, [0]
    for index in range(inner):
        node = open_ends.pop(draw(st.integers(0, len(open_ends) - 1)))
        left[node], right[node] = numbers[2 * index + 1], numbers[2 * index + 2]
        open_ends += [left[node], right[node]]
    for node in numbers[count - lost :] if lost else []:
        left[node] = draw(st.integers(-1, count + 1))
    numbers_of = st.sampled_from([-1.0, -0.0, 0.0, 0.5, 1.0, 1e-45, 3.4e38])
    return {
        "id": 0,
        "left_children": left,
        "right_children": right,
        "split_indices": draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)),
        "split_conditions": draw(st.lists(numbers_of, min_size=count, max_size=count)),
        "default_left": draw(st.lists(st.booleans(), min_size=count, max_size=count)),
        "tree_param": {"num_nodes": str(count), "size_leaf_vector": "0"},
    }


@_QUIET
@given(_grown(), st.integers(0, 2**32 - 1))
def test_any_tree_is_walked_as_the_library_s_words_say(tmp_path: Path, tree: Any, seed: int) -> None:
    model = _saved("xgboost-2.1-squarederror")
    booster = model["learner"]["gradient_booster"]["model"]
    booster |= {"trees": [tree], "tree_info": [0], "iteration_indptr": [0, 1]}
    booster["gbtree_model_param"]["num_trees"] = "1"
    told = copy.deepcopy(tree)
    values = np.array([np.nan, -np.inf, np.inf, -1, -0.0, 0.0, 1e-45, 0.5, 1, 3.4e38], np.float32)
    rows = np.random.default_rng(seed).choice(values, (30, 4))
    ensemble = _read(model, tmp_path)
    ends = [_walked(told, row) for row in rows]
    assert ensemble.leaves(rows)[:, 0].tolist() == ends
    leaf = np.array([told["split_conditions"][end] for end in ends], np.float32)
    np.testing.assert_array_equal(ensemble.predict(rows)[:, 0], np.float32(ensemble.base[0]) + leaf)

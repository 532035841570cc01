"""LightGBM texts come in: every row takes the library's leaf and gets its score, and damage is said in one line."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hard_rows import hard_rows, thresholds
from hypothesis import given
from hypothesis import strategies as st
from make_lightgbm_catboost import MODELS, answers, sample
from numpy.typing import NDArray

from experiments.exchange.ensemble import Ensemble
from experiments.exchange.lightgbm_model import read_lightgbm
from markets.errors import UserError

FIXTURES = ("lightgbm_binary", "lightgbm_classes", "lightgbm_forest")
ZERO = float(np.float32(1e-35))


@pytest.fixture(scope="module")
def lightgbm() -> Any:
    return pytest.importorskip("lightgbm")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lightgbm")


def train(lightgbm: Any, x: NDArray[np.float64], y: NDArray[np.float64], rounds: int = 4, **options: Any) -> Any:
    settings = {"num_leaves": 7, "min_data_in_leaf": 5, "verbose": -1, "num_threads": 1, **options}
    return lightgbm.train(settings, lightgbm.Dataset(x, y), rounds)


def saved(model: Any, folder: Path, **options: Any) -> Path:
    path = folder / "model.txt"
    model.save_model(path, **options)
    return path


def assert_same_leaves(model: Any, ensemble: Ensemble, rows: NDArray[np.floating]) -> None:
    leaves = model.predict(rows, pred_leaf=True).reshape(len(rows), -1)
    np.testing.assert_array_equal(ensemble.leaves(rows), leaves)


def assert_same(model: Any, ensemble: Ensemble, *, seed: int = 0) -> None:
    """Leaves and raw scores to the bit, on rows of either number format."""
    for kind in (np.float64, np.float32):
        rows = hard_rows(thresholds(ensemble), kind, seed)
        assert_same_leaves(model, ensemble, rows)
        raw = model.predict(rows, raw_score=True).reshape(len(rows), -1)
        np.testing.assert_array_equal(ensemble.predict(rows), raw)


def linked(ensemble: Ensemble, rows: NDArray[np.floating]) -> NDArray[np.floating]:
    raw = ensemble.predict(rows)
    if ensemble.link == "logistic":
        return 1 / (1 + np.exp(-raw))
    if ensemble.link == "exponential":
        return np.exp(raw)
    if ensemble.link == "softmax":
        odds = np.exp(raw - raw.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)
    return raw


@pytest.mark.parametrize("name", FIXTURES)
def test_stored_models_give_the_leaves_and_scores_that_the_library_gave(name: str) -> None:
    ensemble, (rows, leaves, raw) = read_lightgbm(MODELS / f"{name}.txt"), answers(name)
    np.testing.assert_array_equal(ensemble.leaves(rows), leaves)
    if ensemble.scale == 1:
        np.testing.assert_array_equal(ensemble.predict(rows), raw)
    else:  # the library divides by the number of trees, here the sum is multiplied by one over it
        np.testing.assert_allclose(ensemble.predict(rows), raw, rtol=1e-15)
    for tree in ensemble.trees:
        tree.check(features=len(ensemble.features), outputs=ensemble.outputs)


def test_what_a_text_says_beside_its_trees_is_read() -> None:
    binary, classes, forest = (read_lightgbm(MODELS / f"{name}.txt") for name in FIXTURES)
    assert binary.features == ("Column_0", "Column_1", "Column_2", "Column_3")
    assert (binary.link, binary.classes, binary.scale) == ("logistic", ("0", "1"), 1.0)
    assert (classes.link, classes.classes, len(classes.trees)) == ("softmax", ("0", "1", "2"), 9)
    assert (forest.link, forest.classes, forest.scale) == ("identity", (), 1 / 3)
    assert all(e.library == "lightgbm" and not e.strict and e.inputs == e.sums == "float64" for e in (binary, classes))


@pytest.mark.parametrize("missing", [False, True], ids=["numbers", "nan"])
@pytest.mark.parametrize("zero", [False, True], ids=["", "zero_as_missing"])
@pytest.mark.parametrize("used", [False, True], ids=["no_missing", "use_missing"])
@pytest.mark.parametrize(
    "options",
    [
        {"objective": "regression"},
        {"objective": "binary", "boosting": "dart"},
        {"objective": "multiclass", "num_class": 3},
        {"objective": "quantile", "extra_trees": True},
    ],
    ids=lambda options: options["objective"],
)
def test_leaves_and_raw_scores_are_the_librarys_to_the_bit(
    lightgbm: Any, folder: Path, options: dict[str, Any], *, used: bool, zero: bool, missing: bool
) -> None:
    for seed, scale in enumerate((1.0, 1e-35)):  # the second has thresholds where zero begins
        x, y = sample(seed, missing=missing, scale=scale)
        labels = {"binary": (y > 0) * 1.0, "multiclass": np.digitize(y, [-0.5, 0.7])}.get(options["objective"], y)
        model = train(lightgbm, x, labels, use_missing=used, zero_as_missing=zero, **options)
        path = saved(model, folder)
        assert_same(model, read_lightgbm(path), seed=seed)
        assert_same(lightgbm.Booster(model_file=path), read_lightgbm(path), seed=seed)


ODD = [0.0, -0.0, ZERO, -ZERO, ZERO / 2, -ZERO / 2, 5e-324, -5e-324, 1e-35, -1e-35, 1e300, -1e300, 1.0, -1.0, 0.1]
ODD += [float(np.nextafter(sign * ZERO, sign * side)) for sign in (1, -1) for side in (0, 1)]
ODD += [np.inf, -np.inf, 1.7976931348623157e308]


def written(splits: list[tuple[int, float, int]]) -> str:
    """A text with one tree: a chain of splits (feature, threshold, decision_type), a leaf at the other side of each."""
    count = len(splits)
    columns = {
        "split_feature": [str(feature) for feature, _, _ in splits],
        "threshold": [f"{threshold:.17g}" for _, threshold, _ in splits],
        "decision_type": [str(kind) for _, _, kind in splits],
        "left_child": [str(~index) for index in range(count)],
        "right_child": [str(index + 1) for index in range(count - 1)] + [str(~count)],
        "leaf_value": [str(index + 0.5) for index in range(count + 1)],
    }
    for index in range(1, count - 1, 2):  # every other split goes on to the left
        columns["left_child"][index], columns["right_child"][index] = str(index + 1), str(~index)
    lines = [f"{key}={' '.join(values)}" for key, values in columns.items()]
    head = "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=1\n"
    head += "objective=regression\nfeature_names=a b\nfeature_infos=[-1:1] [-1:1]\n\n"
    body = "\n".join([f"num_leaves={count + 1}", "num_cat=0", *lines, "shrinkage=1"])
    return f"{head}Tree=0\n{body}\n\n\nend of trees\n"


@given(
    splits=st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from(ODD) | st.floats(-2, 2), st.sampled_from([0, 2, 4, 6, 8, 10])),
        min_size=1,
        max_size=9,
    )
)
def test_any_threshold_and_kind_of_missing_decides_as_in_the_library(
    lightgbm: Any, folder: Path, splits: list[tuple[int, float, int]]
) -> None:
    text, path = written(splits), folder / "written.txt"
    path.write_text(text)
    ensemble, model = read_lightgbm(path), lightgbm.Booster(model_str=text)
    cuts = [np.array([cut for feature, cut, _ in splits if feature == column]) for column in (0, 1)]
    for kind in (np.float64, np.float32):
        with np.errstate(over="ignore"):
            rows = hard_rows(cuts, kind, 0)
        assert_same_leaves(model, ensemble, rows)


@pytest.mark.parametrize(
    "options",
    [
        {"objective": "binary", "sigmoid": 2.5},
        {"objective": "cross_entropy"},
        {"objective": "gamma"},
        {"objective": "multiclass", "num_class": 3, "boosting": "rf"},
        {"objective": "binary", "boosting": "rf", "sigmoid": 0.5},
        {"objective": "regression", "boosting": "rf"},
    ],
    ids=str,
)
def test_the_link_of_raw_scores_gives_what_the_library_predicts(
    lightgbm: Any, folder: Path, options: dict[str, Any]
) -> None:
    x, y = sample(1)
    labels = {
        "binary": (y > 0) * 1.0,
        "cross_entropy": 1 / (1 + np.exp(-y)),
        "gamma": np.exp(y),
        "multiclass": np.digitize(y, [-0.5, 0.7]),
    }.get(options["objective"], y)
    model = train(lightgbm, x, labels, bagging_fraction=0.6, bagging_freq=1, **options)
    ensemble = read_lightgbm(saved(model, folder))
    assert_same_leaves(model, ensemble, hard_rows(thresholds(ensemble), np.float64, 0))
    np.testing.assert_allclose(linked(ensemble, x), model.predict(x).reshape(len(x), -1), rtol=1e-14)


def test_trees_without_a_split_are_one_leaf(lightgbm: Any, folder: Path) -> None:
    x, y = sample(2)
    model = train(lightgbm, x, np.digitize(y, [-0.5, 0.7]), objective="multiclass", num_class=3, min_data_in_leaf=299)
    ensemble = read_lightgbm(saved(model, folder))
    assert [len(tree.feature) for tree in ensemble.trees] == [1] * model.num_trees()
    assert_same(model, ensemble)


def test_a_text_holds_the_iterations_it_was_saved_with(lightgbm: Any, folder: Path) -> None:
    x, y = sample(3)
    model = train(lightgbm, x, y, 6)
    assert len(read_lightgbm(saved(model, folder, num_iteration=2)).trees) == 2
    model.best_iteration = 3
    ensemble = read_lightgbm(saved(model, folder))
    assert len(ensemble.trees) == 3
    assert_same(model, ensemble)  # which takes its best iterations, too


def test_a_model_of_its_own_objective_predicts_raw_scores(lightgbm: Any, folder: Path) -> None:
    x, y = sample(4)

    def squares(raw: NDArray[np.float64], data: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return raw - data.get_label(), np.ones_like(raw)

    ensemble = read_lightgbm(saved(model := train(lightgbm, x, y, objective=squares), folder))
    assert (ensemble.link, ensemble.classes) == ("identity", ())
    assert_same(model, ensemble)


def test_windows_line_ends_and_texts_edited_by_hand_are_read(tmp_path: Path) -> None:
    text, path = (MODELS / "lightgbm_binary.txt").read_text(), tmp_path / "model.txt"
    rows, leaves, _ = answers("lightgbm_binary")
    sizes = next(line for line in text.splitlines() if line.startswith("tree_sizes="))
    for variant in (text.replace("\n", "\r\n"), text.replace(f"{sizes}\n", ""), text.replace("v4", "v2")):
        path.write_bytes(variant.encode())
        np.testing.assert_array_equal(read_lightgbm(path).leaves(rows), leaves)


def test_what_an_ensemble_cannot_hold_is_refused_by_name(lightgbm: Any, folder: Path) -> None:
    x, y = sample(5, missing=False)
    kinds = np.column_stack([x[:, :3], np.random.default_rng(0).integers(0, 3, len(x))])
    data = lightgbm.Dataset(kinds, y + 9 * (kinds[:, 3] == 1), categorical_feature=[3])
    model = lightgbm.train({"verbose": -1, "num_threads": 1}, data, 2)
    refused(saved(model, folder), "model.txt: tree 0: splits feature 3 by category")
    model = train(lightgbm, x, y, linear_tree=True, min_data_in_leaf=50)
    refused(saved(model, folder), r"model.txt: tree \d: has linear leaves")
    model = train(lightgbm, x, np.digitize(y, [-0.5, 0.7]), objective="multiclassova", num_class=3)
    refused(saved(model, folder), "model.txt: objective=multiclassova num_class:3 sigmoid:1 makes of 3 raw scores what")
    model = train(lightgbm, x, y, objective="regression", reg_sqrt=True)
    refused(saved(model, folder), "model.txt: objective=regression sqrt makes")


def refused(path: Path, match: str) -> None:
    with pytest.raises(UserError, match=match) as caught:
        read_lightgbm(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "none.txt", "no such file")
    path = tmp_path / "model.txt"
    for content, match in (
        (b"", "empty"),
        (b"\xff\xfe\x00tree", "no UTF-8 text"),
        (b'{"tree": 1}', "no LightGBM model"),
    ):
        path.write_bytes(content)
        refused(path, match)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (
            "num_leaves=6",
            "num_leaves=999999999",
            r"tree 0: (has|leaf_value has 6 values where 999999999 belong|more leav)",
        ),
        ("num_leaves=6", "num_leaves=0", "tree 0: num_leaves=0"),
        ("num_leaves=6", "num_leaves=6_0", "tree 0: num_leaves: '6_0' is no whole number"),
        ("\nthreshold=", "\nthreshold=nan ", "tree 0: threshold has 6 values where 5 belong"),
        ("\nleaf_value=", "\nleaf_values=", "tree 0: leaf_value is missing"),
        ("\nleft_child=", "\nleft_child=7 ", "tree 0: left_child has 6 values where 5 belong"),
        ("max_feature_idx=3", "max_feature_idx=99999999", "feature_names has 4 names where max_feature_idx=99999999"),
        ("num_class=1", "num_class=999999", "num_class=999999 and num_tree_per_iteration=1 do not fit 3 trees"),
        ("Tree=1", "Tree=7", "tree 1: begins with 'Tree=7', not with Tree=1"),
        ("end of trees", "end of", "the line 'end of trees' is missing"),
        ("sigmoid:1", "sigmoid:x", "objective: sigmoid: 'x' is no finite number"),
        ("sigmoid:1", "sigmoid:0", "objective: sigmoid:0 is not above 0"),
        (
            "objective=binary",
            "objective=magic",
            "objective=magic sigmoid:1 makes of 1 raw scores what is not supported",
        ),
    ],
)
def test_a_damaged_text_is_told_by_file_and_tree(tmp_path: Path, old: str, new: str, match: str) -> None:
    lines = (MODELS / "lightgbm_binary.txt").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("tree_sizes="))
    if old == "end of trees":  # either line says that the trees are over
        text = text.replace("feature_importances:", "features")
    assert old in text
    (tmp_path / "model.txt").write_text(text.replace(old, new, 1))
    refused(tmp_path / "model.txt", match)


@pytest.mark.parametrize(
    ("key", "values", "match"),
    [
        ("threshold", "nan", "threshold: 'nan' is no number"),
        ("leaf_value", "inf", "leaf_value: 'inf' is no finite number"),
        ("leaf_value", "1e999", "leaf_value: '1e999' is no finite number"),
        ("leaf_value", "0.1.2", r"leaf_value: '0\.1\.2' is no finite number"),
        ("split_feature", "4", "split_feature 4 is none of the 4 features"),
        ("split_feature", "-1", "split_feature -1 is none of the 4 features"),
        ("decision_type", "3", "splits feature . by category"),
        ("decision_type", "12", "decision_type 12 means nothing"),
        ("decision_type", "-2", "decision_type -2 means nothing"),
        ("left_child", "0", "hangs on two nodes or on itself"),
        ("left_child", "5", "child 5 is none of its 5 splits and 6 leaves"),
        ("left_child", "-7", "child -7 is none of its 5 splits and 6 leaves"),
        ("right_child", "99999999999", "'99999999999' is no whole number"),
    ],
)
def test_a_wrong_number_in_a_tree_is_told(tmp_path: Path, key: str, values: str, match: str) -> None:
    lines = (MODELS / "lightgbm_binary.txt").read_text().splitlines()
    at = [index for index, line in enumerate(lines) if line.startswith(f"{key}=")][1]
    lines[at] = f"{key}={' '.join([values, *lines[at].partition('=')[2].split()[1:]])}"
    text = "\n".join(line for line in lines if not line.startswith("tree_sizes="))
    (tmp_path / "model.txt").write_text(text)
    refused(tmp_path / "model.txt", f"model.txt: tree 1: .*{match}")


def test_a_number_that_lost_a_digit_is_told_by_the_sizes_of_trees(tmp_path: Path) -> None:
    text = (MODELS / "lightgbm_binary.txt").read_text()
    at = text.index("\n", text.index("leaf_value=", text.index("Tree=2")))
    (tmp_path / "model.txt").write_text(text[: at - 1] + text[at:])
    refused(tmp_path / "model.txt", "model.txt: tree 2: has .* characters where tree_sizes tells of")
    sizes = next(line for line in text.splitlines() if line.startswith("tree_sizes="))
    (tmp_path / "model.txt").write_text(text.replace(sizes, f"{sizes} 700"))
    refused(tmp_path / "model.txt", "model.txt: holds 3 trees where tree_sizes tells of 4")


def test_iterations_without_a_tree_for_every_class_are_told(tmp_path: Path) -> None:
    text = (MODELS / "lightgbm_classes.txt").read_text()
    lines = [line for line in text[: text.index("Tree=8")].splitlines() if not line.startswith("tree_sizes=")]
    (tmp_path / "model.txt").write_text("\n".join([*lines, "end of trees", ""]))
    refused(tmp_path / "model.txt", "num_class=3 and num_tree_per_iteration=3 do not fit 8 trees")


def test_splits_in_a_circle_are_refused(tmp_path: Path) -> None:
    text = written([(0, 0.0, 2)] * 4).replace("left_child=-1 2 -3 -4", "left_child=-1 2 1 -4")
    circle = text.replace("right_child=1 -2 3 -5", "right_child=-2 -3 3 -5")
    assert "left_child=-1 2 1 -4\nright_child=-2 -3 3 -5" in circle
    (tmp_path / "model.txt").write_text(circle)
    refused(tmp_path / "model.txt", "model.txt: tree 0: 6 nodes hang on nothing")


def test_a_text_cut_off_anywhere_is_refused_or_whole(tmp_path: Path) -> None:
    content, path = (MODELS / "lightgbm_binary.txt").read_bytes(), tmp_path / "model.txt"
    rows, leaves, _ = answers("lightgbm_binary")
    whole = content.index(b"end of trees") + len(b"end of trees")
    for end in range(0, len(content), 13):
        path.write_bytes(content[:end])
        if end < whole:
            refused(path, "model.txt: ")
        else:  # only parameters are missing, which trees do not need
            np.testing.assert_array_equal(read_lightgbm(path).leaves(rows), leaves)


@given(data=st.data())
def test_damage_is_told_in_one_line_or_leaves_a_model_that_predicts(folder: Path, data: st.DataObject) -> None:
    lines = (MODELS / "lightgbm_classes.txt").read_text().partition("end of trees")[0].splitlines()
    if data.draw(st.booleans()):
        lines = [line for line in lines if not line.startswith("tree_sizes=")]
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        key, sign, value = lines[at].partition("=")
        parts = value.split(" ")
        part = data.draw(st.integers(0, len(parts) - 1))
        token = data.draw(
            st.sampled_from(["", "-1", "0", "3", "nan", "inf", "1e400", "99999999999999", "x", "-", "1 2"])
        )
        lines[at] = data.draw(
            st.sampled_from(["", key, lines[at] * 2, key + sign + " ".join([*parts[:part], token, *parts[part + 1 :]])])
        )
    path = folder / "damaged.txt"
    path.write_text("\n".join([*lines, "end of trees", ""]))
    with contextlib.suppress(UserError):
        ensemble = read_lightgbm(path)
        assert np.isfinite(ensemble.predict(np.zeros((2, len(ensemble.features))))).all()

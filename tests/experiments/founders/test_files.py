"""Models by path: their columns find the market's, by name or by place, or the mistake is named."""

from pathlib import Path

import numpy as np
import pytest

from agents.observation import ACCOUNT_VIEW
from experiments.exchange.ensemble import Ensemble, Tree
from experiments.founders.files import input_names, match_features, read_files
from markets.errors import UserError

_NAMES = ("return_1", "return_4", "mean_distance_8")


def stump(column: int) -> Tree:
    """A tree of one question."""
    return Tree(
        feature=np.asarray([column, -1, -1], np.int32),
        threshold=np.asarray([0.25, 0, 0]),
        left=np.asarray([1, -1, -1], np.int32),
        right=np.asarray([2, -1, -1], np.int32),
        missing_left=np.asarray([True, False, False]),
        zero_missing=np.zeros(3, bool),
        value=np.asarray([[0.0], [-1.0], [1.0]]),
        number=np.asarray([-1, 0, 1], np.int32),
    )


def model(names: tuple[str, ...], *columns: int) -> Ensemble:
    """A regression over these columns, a tree for each that is asked for."""
    return Ensemble("xgboost", names, tuple(stump(column) for column in columns), np.zeros(1))


def test_columns_find_their_names_in_any_order_and_number() -> None:
    own = model(("mean_distance_8", "return_1"), 0, 1)
    found = match_features(own, _NAMES, whose="m")
    assert found.features == _NAMES
    assert [int(tree.feature[0]) for tree in found.trees] == [2, 0]
    rows = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    np.testing.assert_array_equal(found.predict(rows), own.predict(rows[:, [2, 0]]))


@pytest.mark.parametrize("form", ["f{}", "Column_{}", "{}"])
def test_columns_without_names_go_by_place(form: str) -> None:
    names = tuple(form.format(index) for index in range(3))
    found = match_features(model(names, 2), _NAMES, whose="m")
    assert found.features == _NAMES
    assert int(found.trees[0].feature[0]) == 2
    with pytest.raises(
        UserError, match=r"^m: has 2 columns without names, and the market has 3 features: return_1, ret"
    ):
        match_features(model(names[:2], 0), _NAMES, whose="m")


def test_a_name_wins_over_what_looks_like_none() -> None:
    found = match_features(model(("f1", "f0"), 0), ("f0", "f1"), whose="m")
    assert int(found.trees[0].feature[0]) == 1


def test_the_first_unknown_column_is_named() -> None:
    with pytest.raises(
        UserError,
        match=r"^m: asks for 'mean_distance_9', which the market has not; did you mean mean_distance_8\? there are: r",
    ):
        match_features(model(("return_4", "mean_distance_9", "zeta"), 0), _NAMES, whose="m")


def test_a_model_that_asks_for_the_account_gets_it() -> None:
    found = match_features(model(("drawdown", "return_4"), 0, 1), _NAMES, whose="m")
    assert found.features == (*_NAMES, *ACCOUNT_VIEW)
    assert [int(tree.feature[0]) for tree in found.trees] == [3 + ACCOUNT_VIEW.index("drawdown"), 1]


def test_a_users_column_keeps_its_name_beside_the_accounts() -> None:
    names = input_names(("position", "return_1"))
    assert names[:3] == ("position", "return_1", "account_position")
    assert len(set(names)) == len(names)
    found = match_features(model(("account_position",), 0), ("position", "return_1"), whose="m")
    assert int(found.trees[0].feature[0]) == 2


def test_saved_models_come_in_by_path_and_are_summed_up(tmp_path: Path) -> None:
    xgboost = pytest.importorskip("xgboost", reason="the extra [trees] is not installed")
    rows = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    paths = []
    for index, names in enumerate((None, [*reversed(_NAMES)])):
        data = xgboost.DMatrix(rows, rows[:, index], feature_names=names)
        booster = xgboost.train({"max_depth": 2, "nthread": 1}, data, 3 + index)
        paths.append(str(tmp_path / f"model{index}.json"))
        booster.save_model(paths[-1])
    found, note = read_files(paths, _NAMES)
    assert note == "models from 2 files (2 of xgboost), at most 4 trees"
    assert [own.features for own in found] == [_NAMES, _NAMES]
    said = booster.predict(xgboost.DMatrix(rows[:, ::-1], feature_names=[*reversed(_NAMES)]))
    np.testing.assert_allclose(found[1].predict(rows)[:, 0], said, atol=1e-6)
    assert read_files(paths[0], _NAMES)[1] == "models from 1 file (1 of xgboost), at most 3 trees"


@pytest.mark.parametrize("path", [None, (), "", ("a.json", "")])
def test_a_file_must_be_named(path: str | tuple[str, ...] | None) -> None:
    with pytest.raises(UserError, match=r"^training.path: founders from a file need one"):
        read_files(path, _NAMES)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.json: no such file"):
        read_files(str(tmp_path / "nothing.json"), _NAMES)

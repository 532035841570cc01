"""Makes the small models in `models/` and what the libraries answer to hard rows; run by hand where both are installed.

`python make_lightgbm_catboost.py` in this folder writes them anew; the tests read them without the libraries.
"""

import re
from pathlib import Path

import numpy as np
from hard_rows import hard_rows, thresholds
from numpy.typing import NDArray

from experiments.exchange.catboost_model import read_catboost
from experiments.exchange.lightgbm_model import read_lightgbm

__all__ = ["MODELS", "answers", "sample"]

MODELS = Path(__file__).parent / "models"
_ROWS = 90


def sample(
    seed: int, *, missing: bool = True, rows: int = 300, scale: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows of four columns with zeros, whole numbers and, if wanted, NaN, and a target that depends on all of them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4))
    x[rng.random(x.shape) < 0.15] = 0
    x[:, 3] = rng.integers(-1, 3, rows)
    if missing:
        x[rng.random(x.shape) < 0.1] = np.nan
    seen = np.nan_to_num(x)
    y = seen[:, 0] + (seen[:, 1] > 0) * np.sign(seen[:, 2]) + np.isnan(x[:, 0]) + (x[:, 3] == 0) / 2
    x[:, 1] *= scale
    return x, y + rng.normal(scale=0.1, size=rows)


def answers(name: str) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Rows, and the leaves and raw scores that the library gave them."""
    with np.load(MODELS / f"{name}.npz") as stored:
        return stored["rows"], stored["leaves"].astype(np.int64), stored["raw"]


def _store(name: str, rows: NDArray[np.floating], leaves: NDArray[np.integer], raw: NDArray[np.float64]) -> None:
    shape = (len(rows), -1)
    np.savez_compressed(
        MODELS / f"{name}.npz", rows=rows, leaves=leaves.reshape(shape).astype(np.uint8), raw=raw.reshape(shape)
    )


def _hard(cuts: list[NDArray[np.float64]], kind: type[np.floating]) -> NDArray[np.floating]:
    rows = hard_rows(cuts, kind, 0)
    return rows[np.random.default_rng(0).permutation(len(rows))[:_ROWS]]


def _lightgbm() -> None:
    import lightgbm

    x, y = sample(0)
    classes = np.digitize(y, [-0.5, 0.7])
    for name, labels, options in (
        ("lightgbm_binary", y > 0, {"objective": "binary"}),
        ("lightgbm_classes", classes, {"objective": "multiclass", "num_class": 3, "zero_as_missing": True}),
        ("lightgbm_forest", y, {"boosting": "rf", "bagging_fraction": 0.6, "bagging_freq": 1, "use_missing": False}),
    ):
        settings = {"num_leaves": 6, "min_data_in_leaf": 5, "verbose": -1, "num_threads": 1, **options}
        model = lightgbm.train(settings, lightgbm.Dataset(x, labels.astype(float)), 3)
        path = MODELS / f"{name}.txt"
        model.save_model(path)
        rows = _hard(thresholds(read_lightgbm(path)), np.float64)
        _store(name, rows, model.predict(rows, pred_leaf=True), model.predict(rows, raw_score=name[9:] != "forest"))


def _catboost() -> None:
    import catboost

    x, y = sample(0)
    for name, labels, options in (
        ("catboost_binary", np.where(y > 0, "up", "down"), {"loss_function": "Logloss", "nan_mode": "Max"}),
        ("catboost_classes", np.digitize(y, [-0.5, 0.7]), {"loss_function": "MultiClass"}),
        ("catboost_free", y, {"grow_policy": "Lossguide", "max_leaves": 6, "nan_mode": "Max"}),
    ):
        settings = {"iterations": 3, "depth": 3, "border_count": 12, "verbose": 0, "thread_count": 1, **options}
        model = catboost.CatBoost({"allow_writing_files": False, **settings}).fit(x, labels)
        path = MODELS / f"{name}.json"
        model.save_model(str(path), format="json")
        _shorten(path)
        rows = _hard(thresholds(read_catboost(path)), np.float32)
        again = catboost.CatBoost().load_model(str(path), format="json")  # it counts leaves as the JSON has them
        leaves = again.calc_leaf_indexes(rows)
        _store(name, rows, leaves, model.predict(rows, prediction_type="RawFormulaVal"))


def _shorten(path: Path) -> None:
    """Leave out blanks, who built the library and when it ran; numbers stay as they were written."""
    text = "".join(line.strip() for line in path.read_text().splitlines())
    path.write_text(re.sub(r'"(catboost_version_info|model_guid|train_finish_time)":"[^"]*",', "", text) + "\n")


if __name__ == "__main__":
    _lightgbm()
    _catboost()

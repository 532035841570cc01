"""Small models of XGBoost and rows that find every mistake in reading one, and how the saved ones were made.

`models/xgboost-2.1-*.json`, `.ubj` and `.npz` (rows, leaves, margins) hold what XGBoost 2.1.4 saved and predicted, and
`models/xgboost-1.7-*` what 1.7.6 did: `pip install 'xgboost==2.1.*' scipy` in an environment of its own, then
`python xgboost_samples.py models`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TRAIN = {"nthread": 1, "max_depth": 3, "eta": 0.4, "seed": 5, "base_score": None}

SAMPLES: dict[str, dict[str, Any]] = {
    "binary": {"objective": "binary:logistic", "rounds": 3},
    "softprob": {"objective": "multi:softprob", "num_class": 3, "max_depth": 2, "rounds": 2},
    "squarederror": {"objective": "reg:squarederror", "names": True, "rounds": 3},
    "poisson": {"objective": "count:poisson", "max_depth": 2},
    "dart": {"objective": "binary:logistic", "booster": "dart", "rate_drop": 0.4, "max_depth": 2, "rounds": 6},
    "forest": {"objective": "multi:softprob", "num_class": 3, "num_parallel_tree": 3, "max_depth": 2, "rounds": 1}
    | {"subsample": 0.7},
    "pruned": {"objective": "reg:squarederror", "tree_method": "exact", "gamma": 6.0, "max_depth": 4, "rounds": 2},
    "stopped": {"objective": "binary:logistic", "eta": 0.9, "max_depth": 2, "rounds": 30, "stop": 2},
}
"""What each sample is trained with; `rounds`, `names`, `stop` are not XGBoost's."""


def trained(kind: str, **changes: Any) -> Any:
    """A booster of this kind, trained on made-up rows of four features."""
    import xgboost

    options = _TRAIN | SAMPLES[kind] | changes
    rounds, names, stop = (options.pop(key, None) for key in ("rounds", "names", "stop"))
    random = np.random.default_rng(11)
    rows = random.normal(size=(240, 4)).astype(np.float32)
    signal = rows[:, 0] + np.abs(rows[:, 1]) * rows[:, 2] + 0.7 * random.normal(size=240)
    rows[random.random(rows.shape) < 0.15] = np.nan
    family = options["objective"].split(":")
    labels = {
        "binary": signal > 0,
        "multi": np.digitize(signal, [-0.5, 0.7]),
        "count": np.round(np.exp(0.5 * signal)),
    }.get(family[0], signal)
    if family[1] in ("gamma", "tweedie"):
        labels = np.exp(0.5 * signal)
    if family[1] == "logistic":
        labels = signal > 0
    columns = ["open", "high", "the \"low\" 'é'", "close"] if names else None
    train = xgboost.DMatrix(rows[:200], labels[:200], feature_names=columns)
    watch = {"evals": [(xgboost.DMatrix(rows[200:], labels[200:], feature_names=columns), "held")]} if stop else {}
    options = {key: value for key, value in options.items() if value is not None}
    return xgboost.train(options, train, rounds or 4, early_stopping_rounds=stop, verbose_eval=False, **watch)


def telling_rows(booster: Any, count: int, *, infinite: bool, seed: int = 3) -> NDArray[np.float32]:
    """Rows whose values lie on thresholds, a float32 on either side, or are NaN, ±0, subnormal, huge or ordinary.

    Args:
        booster: whose thresholds they lie on.
        count: of rows.
        infinite: whether ±∞ is among them; a DMatrix takes none.
        seed: of the draws.
    """
    learner = json.loads(booster.save_raw("json"))["learner"]
    model = learner["gradient_booster"].get("gbtree", learner["gradient_booster"])["model"]
    features = int(learner["learner_model_param"]["num_feature"])
    random, tiny = np.random.default_rng(seed), np.float32(1e-45)
    special = np.array([np.nan, 0.0, -0.0, tiny, -tiny, 1e-39, 3e38, -3e38], np.float32)
    if infinite:
        special = np.append(special, np.array([np.inf, -np.inf], np.float32))
    rows = random.normal(size=(count, features)).astype(np.float32)
    for feature in range(features):
        own = np.array(
            [
                condition
                for tree in model["trees"]
                for condition, index, left in zip(
                    tree["split_conditions"], tree["split_indices"], tree["left_children"], strict=True
                )
                if left != -1 and index == feature
            ],
            np.float32,
        )
        pool = np.concatenate([own, np.nextafter(own, -np.inf), np.nextafter(own, np.inf), special])
        chosen = random.random(count) < 0.7
        rows[chosen, feature] = random.choice(pool.astype(np.float32), chosen.sum())
    return rows


def predicted(booster: Any, rows: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Leaves [rows, trees] and margins [rows, outputs] by the library, up to the best round where there is one."""
    import xgboost

    best = booster.attr("best_iteration")
    upto = {} if best is None else {"iteration_range": (0, int(best) + 1)}
    matrix = xgboost.DMatrix(rows, feature_names=booster.feature_names)
    leaves = np.asarray(booster.predict(matrix, pred_leaf=True, **upto)).reshape(len(rows), -1)
    margins = np.asarray(booster.predict(matrix, output_margin=True, **upto)).reshape(len(rows), -1)
    return leaves.astype(np.int32), margins


def margins_in_place(booster: Any, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Margins [rows, outputs] without a DMatrix, which takes no infinite values."""
    best = booster.attr("best_iteration")
    upto = {} if best is None else {"iteration_range": (0, int(best) + 1)}
    names, booster.feature_names = booster.feature_names, None
    margins = np.asarray(booster.inplace_predict(rows, predict_type="margin", **upto)).reshape(len(rows), -1)
    booster.feature_names = names
    return margins


def _save(folder: Path) -> None:
    import xgboost

    old = xgboost.__version__.startswith("1.")
    for kind in ("binary", "stopped") if old else SAMPLES:
        booster = trained(kind)
        stem = folder / f"xgboost-{'.'.join(xgboost.__version__.split('.')[:2])}-{kind}"
        rows, wide = telling_rows(booster, 120, infinite=False), telling_rows(booster, 40, infinite=True, seed=4)
        leaves, margins = predicted(booster, rows)
        booster.save_model(f"{stem}.json")
        booster.save_model(f"{stem}.ubj")
        np.savez_compressed(
            f"{stem}.npz",
            rows=rows,
            leaves=leaves.astype(np.uint8),
            margins=margins,
            infinite_rows=wide,
            infinite_margins=margins_in_place(booster, wide),
        )


if __name__ == "__main__":
    _save(Path(sys.argv[1]))

"""XGBoost, LightGBM and CatBoost: one model each way, saved by its library, stopped where later examples say so.

Here the libraries differ; whoever calls sees them alike. Columns and classes go by number, so that neither a name that
a library refuses nor its own order of classes comes in. On the CPU one thread fits a model: sums then come in one
order and the model is the same whatever the number of cores. Imports are inside functions: the libraries are optional.
"""

import contextlib
import dataclasses
import importlib
import io
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.founders.parts import Examples
from markets.errors import UserError

__all__ = ["LIBRARIES", "Library", "Recipe", "Source", "quiet"]

Source = Literal["xgboost", "xgboost_rf", "xgboost_dart", "lightgbm", "catboost"]

_DROP = 0.1
"""Share of the trees so far that a round of DART leaves out; at least one."""

_TRIAL = 64
"""Examples that a GPU is tried with."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How one model is fitted.

    Attributes:
        source: which kind.
        depth: questions on the way to a leaf at most.
        rounds: of boosting at most.
        trees: side by side in a round, for each class (a forest has many, and one round).
        leaf: least share of the examples of its round that a leaf holds.
        learning_rate: weight of a round.
        subsample: share of the examples that a round sees.
        columns: share of the features that a node (CatBoost: a level) may ask for.
        patience: rounds without a gain on the later part after which fitting ends.
        seed: of all that is drawn, below 2^31.
        device: as the library calls it; `cpu` or what `Library.gpu` found.
    """

    source: Source
    depth: int
    rounds: int
    trees: int
    leaf: float
    learning_rate: float
    subsample: float
    columns: float
    patience: int
    seed: int
    device: str = "cpu"


class Library(NamedTuple):
    """One of the libraries."""

    name: str
    module: str
    per_class: bool
    """Whether a round makes a tree for each class, and not one for all."""
    fit: Callable[[Recipe, Examples, Examples, Path], int]
    """Fit to the first examples, keep the rounds that say most about the second, save; the rounds kept. Labels are
    numbers from 0 without a gap, of the first examples; the second have no others."""
    gpu: Callable[[], str | None]
    """The GPU as the library calls it, where it has one and can use it."""

    def load(self) -> None:
        """Import the library.

        Raises:
            UserError: it is not installed, or cannot be loaded.
        """
        try:
            importlib.import_module(self.module)
        except (ImportError, OSError) as error:
            raise UserError(
                f"species.founders: {self.name} cannot be loaded ({error}); pip install 'lineage-arena[trees]'"
            ) from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what libraries tell the terminal, in Python or past it, off it."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(AttributeError, OSError, ValueError):
                stream.flush()
        for redirect in (contextlib.redirect_stdout, contextlib.redirect_stderr):
            stack.enter_context(redirect(io.StringIO()))
        nowhere = os.open(os.devnull, os.O_WRONLY)
        stack.callback(os.close, nowhere)
        for number in (1, 2):
            with contextlib.suppress(OSError):  # closed from the start
                known = os.dup(number)
                stack.callback(os.close, known)
                stack.callback(os.dup2, known, number)
                os.dup2(nowhere, number)
        yield


class _Best:
    """Which round says most about the later examples: the least mean loss, every class weighing the same."""

    def __init__(self, later: Examples, patience: int) -> None:
        self._label, self._weight, self._patience = later.label, later.weights(), patience
        self._loss = np.inf
        self.rounds = self._since = 0

    def improved(self, chances: NDArray[np.floating]) -> bool:
        """Whether one more round is better than all before it, by its chances of each class [examples, classes]."""
        right = np.take_along_axis(chances.astype(np.float64), self._label[:, None], 1)[:, 0]
        loss = float(np.mean(self._weight * -np.log(np.maximum(right, 1e-15))))
        better = loss < self._loss
        self._since = 0 if better else self._since + 1
        self.rounds += 1
        if better:
            self._loss = loss
        return better

    @property
    def over(self) -> bool:
        """Whether it has not got better for long enough."""
        return self._since >= self._patience


def _fit_xgboost(recipe: Recipe, earlier: Examples, later: Examples, path: Path) -> int:
    import xgboost

    terms: dict[str, Any] = {
        "booster": "dart" if recipe.source == "xgboost_dart" else "gbtree",
        "objective": "multi:softprob",
        "num_class": len(earlier.classes),
        "tree_method": "hist",
        "device": recipe.device,
        "max_depth": recipe.depth,
        "num_parallel_tree": recipe.trees,
        "min_child_weight": recipe.leaf * recipe.subsample * _curvature(earlier),
        "eta": recipe.learning_rate,
        "subsample": recipe.subsample,
        "colsample_bynode": recipe.columns,
        "seed": recipe.seed,
        "nthread": 1,
        "verbosity": 0,
    }
    if recipe.source == "xgboost_dart":
        terms |= {"rate_drop": _DROP, "one_drop": 1}
    shown = xgboost.DMatrix(earlier.features, earlier.label, weight=earlier.weights(), nthread=1)
    tried = xgboost.DMatrix(later.features, nthread=1)
    booster, best, kept = xgboost.Booster(terms, [shown]), _Best(later, recipe.patience), 0
    for round_ in range(recipe.rounds):
        booster.update(shown, round_)
        if best.improved(booster.predict(tried)):
            kept = best.rounds
            # A later round of DART weighs the trees before it anew, so the best model is the one saved now.
            booster.save_model(path)
        if best.over:
            break
    return kept


def _curvature(earlier: Examples) -> float:
    """Second derivative of all examples' loss by one class's score, where all classes are as likely, as XGBoost has it.

    Weights have a mean of 1. The sum that a leaf is held to is over the examples that its round sees alone.
    """
    chance = 1.0 / len(earlier.classes)
    return 2.0 * chance * (1.0 - chance) * len(earlier.label)


def _xgboost_gpu() -> str | None:
    import xgboost

    # Without a GPU it trains on the CPU and only warns; what it came to use stands in its own configuration.
    booster = xgboost.train({"device": "cuda", "verbosity": 0}, xgboost.DMatrix(*_trial()), 1)
    used = json.loads(booster.save_config())["learner"]["generic_param"]["device"]
    return "cuda" if str(used).startswith("cuda") else None


def _fit_lightgbm(recipe: Recipe, earlier: Examples, later: Examples, path: Path) -> int:
    import lightgbm

    terms: dict[str, Any] = {
        "objective": "multiclass",
        "num_class": len(earlier.classes),
        "device_type": recipe.device,
        "max_depth": recipe.depth,
        "num_leaves": 2**recipe.depth,
        "learning_rate": recipe.learning_rate,
        "min_data_in_leaf": max(1, round(recipe.leaf * recipe.subsample * len(earlier.label))),
        "bagging_fraction": recipe.subsample,
        "bagging_freq": 1,
        "feature_fraction_bynode": recipe.columns,
        "seed": recipe.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }
    shown = lightgbm.Dataset(earlier.features, earlier.label, weight=earlier.weights(), params=terms)
    booster, best, kept = lightgbm.Booster(terms, shown), _Best(later, recipe.patience), 0
    for _ in range(recipe.rounds):
        finished = booster.update()
        # Threads are the whole library's: a prediction that asks for none would let the next round have them all.
        if best.improved(np.asarray(booster.predict(later.features, num_threads=1))):
            kept = best.rounds
        if finished or best.over:
            break
    booster.save_model(path, num_iteration=kept)
    return kept


def _lightgbm_gpu() -> str | None:
    import lightgbm

    features, label = _trial()
    for kind in ("cuda", "gpu"):
        with contextlib.suppress(lightgbm.basic.LightGBMError):
            terms = {"objective": "binary", "device_type": kind, "verbosity": -1}
            lightgbm.train(terms, lightgbm.Dataset(features, label), 1)
            return kind
    return None


def _fit_catboost(recipe: Recipe, earlier: Examples, later: Examples, path: Path) -> int:
    import catboost

    terms: dict[str, Any] = {
        "loss_function": "MultiClass",
        "task_type": recipe.device.upper(),
        "iterations": recipe.rounds,
        "depth": recipe.depth,
        "learning_rate": recipe.learning_rate,
        "l2_leaf_reg": max(1.0, recipe.leaf * recipe.subsample * len(earlier.label)),
        "bootstrap_type": "Bernoulli",
        "subsample": recipe.subsample,
        "boosting_type": "Plain",
        "random_seed": recipe.seed,
        "od_type": "Iter",
        "od_wait": recipe.patience,
        "use_best_model": True,
        "thread_count": 1,
        "allow_writing_files": False,
        "logging_level": "Silent",
    }
    if recipe.device == "cpu":
        terms["rsm"] = recipe.columns  # its GPU trees choose from all features
    shown, tried = (
        catboost.Pool(part.features, part.label, weight=part.weights(), thread_count=1) for part in (earlier, later)
    )
    model = catboost.CatBoost(terms)
    model.fit(shown, eval_set=tried)
    model.save_model(str(path), format="json")
    return int(model.tree_count_)


def _catboost_gpu() -> str | None:
    import catboost

    features, label = _trial()
    terms = {"task_type": "GPU", "loss_function": "Logloss", "iterations": 1, "depth": 2}
    with contextlib.suppress(catboost.CatBoostError):
        catboost.CatBoost({**terms, "allow_writing_files": False, "logging_level": "Silent"}).fit(features, label)
        return "gpu"
    return None


def _trial() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    features = np.linspace(-1, 1, 2 * _TRIAL, dtype=np.float32).reshape(_TRIAL, 2)
    return features, (np.arange(_TRIAL) // 8) % 2


_XGBOOST = Library("XGBoost", "xgboost", True, _fit_xgboost, _xgboost_gpu)

LIBRARIES: Mapping[Source, Library] = {
    "xgboost": _XGBOOST,
    "xgboost_rf": _XGBOOST,
    "xgboost_dart": _XGBOOST,
    "lightgbm": Library("LightGBM", "lightgbm", True, _fit_lightgbm, _lightgbm_gpu),
    "catboost": Library("CatBoost", "catboost", False, _fit_catboost, _catboost_gpu),
}
"""Which library trains each kind."""

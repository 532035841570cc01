"""Founders from other libraries: a few different models of what would have been right, fitted to the training part.

Models differ by their seed, by the examples and features that this draws for each round and node, and by the horizon
of their labels. All are fitted to the earlier examples and cut back to the rounds that say most about the later ones.
"""

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, cast

import numpy as np

from experiments.exchange.ensemble import Ensemble, Tree, deepest
from experiments.exchange.reading import read_model
from experiments.founders.files import read_files
from experiments.founders.labels import CLASSES, Labels, label_market
from experiments.founders.libraries import LIBRARIES, Library, Recipe, Source, quiet
from experiments.founders.parts import Examples, examples_of, part
from markets.errors import UserError
from markets.preparation import Market
from markets.rules import BrokerRules
from markets.settings import setting

__all__ = ["SOURCES", "TrainingSettings", "founding_models", "training_device"]

SOURCES: tuple[str, ...] = (*LIBRARIES, "file")
"""Where founders may come from, beside chance."""

_LEAST = 50
"""Examples each part needs."""

_BELOW = 10.0
"""How far the score of a class without an example stays below all others: e^10 to one."""

_WHERE = "training"


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """How other libraries train founders.

    Attributes:
        models: how many different ones; founders take them in turn.
        horizons: bars from fill to exit that labels are made with, taken in turn by the models.
        stopping: share of the examples, the later ones, that say when to stop.
        patience: rounds without a gain on those after which a model is done.
        leaf: least share of a round's examples that a leaf holds (of their curvature for XGBoost; for CatBoost the
            weight of a prior at nothing). So few numbers are fitted that what is right by luck on the training part
            stays small, on which evolution goes on to judge.
        learning_rate: weight of a round; with few trees each has to say something.
        subsample: share of the examples a round sees.
        columns: share of the features a node may ask for.
        examples: most examples of each part, the earlier and the later, drawn at random.
        device: `auto` takes a GPU where the library can use one.
        path: saved models, for founders from files: one, or a list.
    """

    models: int = setting(8, ge=1, le=1024)
    horizons: tuple[int, ...] = setting((4, 8, 16, 32), ge=1, le=100_000)
    stopping: float = setting(0.25, gt=0.0, lt=1.0)
    patience: int = setting(5, ge=1)
    leaf: float = setting(0.1, ge=0.0, lt=0.5)
    learning_rate: float = setting(0.15, gt=0.0, le=1.0)
    subsample: float = setting(0.7, gt=0.0, le=1.0)
    columns: float = setting(0.7, gt=0.0, le=1.0)
    examples: int = setting(100_000, ge=2 * _LEAST)
    device: Literal["auto", "cpu", "gpu"] = "auto"
    path: str | tuple[str, ...] | None = None

    def problems(self, where: str) -> Iterator[str]:
        """What is missing, one line each."""
        for key in ("horizons", "path"):
            if getattr(self, key) == ():
                yield f"{where}.{key}: expected at least one" + (", for example [8, 32]" if key == "horizons" else "")


def founding_models(
    source: str,
    market: Market,
    rules: BrokerRules,
    settings: TrainingSettings,
    *,
    depth: int,
    trees: int,
    seed: int,
    replicate: int = 0,
) -> tuple[list[Ensemble], str]:
    """The models that founders are made of.

    Args:
        source: one of `SOURCES`.
        market: prepared; nothing behind its training part is read.
        rules: of the broker, for what a decision would have cost.
        settings: the group `training`.
        depth: questions on the way to a leaf that a genome has room for.
        trees: trees that a genome has room for.
        seed: of all that is drawn. The same data, settings and seed give the same models on a CPU, on any number of
            cores; a GPU may differ in the last bits.
        replicate: which of the markets on the tape.

    Returns:
        The models, their scores in the order of `CLASSES` where they were trained here, and a sentence that says what
        they are.

    Raises:
        UserError: a library that is not installed, too few examples, too few trees, no GPU where one is asked for, or
            files that cannot be read or matched; a library that fails, but on a GPU that nobody asked for.
    """
    if source == "file":
        return read_files(settings.path, market.features, where=f"{_WHERE}.path")
    if source not in LIBRARIES:
        raise ValueError(f"{source!r} trains no founders; right is one of {', '.join(SOURCES)}")
    kind = cast(Source, source)
    library = LIBRARIES[kind]
    library.load()
    labels = {h: label_market(market, rules, horizon=h, replicate=replicate) for h in sorted(set(settings.horizons))}
    parts = {h: _see_enough(part(own, market, stopping=settings.stopping), h) for h, own in labels.items()}
    lessons = [
        _Lesson.drawn(index, parts, market, settings, np.random.SeedSequence([seed, replicate, index]))
        for index in range(settings.models)
    ]
    device, says = training_device(library, settings)
    try:
        models = [_fit(lesson, kind, library, settings, device, depth, trees) for lesson in lessons]
    except _FitError as error:
        if device == "cpu" or settings.device == "gpu":
            raise
        says = f"the CPU (the GPU failed: {error.first[:80]})"
        models = [_fit(lesson, kind, library, settings, "cpu", depth, trees) for lesson in lessons]
    found = [dataclasses.replace(model, features=market.features) for model, _ in models]
    return found, _note(kind, found, [kept for _, kept in models], lessons, says)


class _FitError(UserError):
    """A library gave up; whatever it raised, in one line."""

    def __init__(self, library: Library, device: str, error: Exception) -> None:
        self.first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        place, right = ("CPU", "another library") if device == "cpu" else ("GPU", f"{_WHERE}.device=cpu")
        super().__init__(f"species.founders: {library.name} failed on the {place}: {self.first}; try {right}")


@dataclasses.dataclass(frozen=True)
class _Lesson:
    """What one model is fitted to; at most `TrainingSettings.examples` of each part.

    Attributes:
        seed: of the library's draws.
        earlier: examples it is fitted to.
        later: examples that say when to stop.
    """

    seed: int
    earlier: Examples
    later: Examples

    @classmethod
    def drawn(
        cls,
        index: int,
        parts: dict[int, tuple[Labels, Labels]],
        market: Market,
        settings: TrainingSettings,
        entropy: np.random.SeedSequence,
    ) -> "_Lesson":
        random = np.random.default_rng(entropy)
        earlier, later = parts[settings.horizons[index % len(settings.horizons)]]
        drawn = cls(
            seed=int(random.integers(2**31)),
            earlier=examples_of(earlier, market, most=settings.examples, random=random),
            later=examples_of(later, market, most=settings.examples, random=random),
        )
        classes = drawn.earlier.classes
        if len(classes) < 2 or not np.isin(drawn.later.label, classes).any():
            raise UserError(
                f"{_WHERE}.examples: at {earlier.horizon} bars, {settings.examples} of {len(earlier)} earlier examples "
                f"and as many of {len(later)} later ones say too little of rare labels to tell any apart; draw more, "
                "or choose another of training.horizons"
            )
        return drawn


def _see_enough(both: tuple[Labels, Labels], horizon: int) -> tuple[Labels, Labels]:
    earlier, later = both
    if min(len(earlier), len(later)) < _LEAST:
        raise UserError(
            f"{_WHERE}.horizons: at {horizon} bars, the training part leaves {len(earlier)} examples to fit and "
            f"{len(later)} later ones to stop by, and {_LEAST} each are needed; give more bars, a larger split.train "
            "or shorter horizons"
        )
    classes = np.unique(earlier.label)
    if len(classes) < 2 or not np.isin(later.label, classes).any():
        alike = f"every earlier example is {CLASSES[classes[0]]}" if len(classes) < 2 else "no later label came before"
        raise UserError(
            f"{_WHERE}.horizons: at {horizon} bars, {alike}, so nothing can be told apart; choose longer horizons "
            "where costs are high, shorter ones where prices only rise or fall"
        )
    return both


def training_device(library: Library, settings: TrainingSettings) -> tuple[str, str]:
    """The device as the library calls it, and as people do.

    Raises:
        UserError: no GPU where one is asked for, or a library that is not there.
    """
    library.load()
    if settings.device == "cpu":
        return "cpu", "the CPU (training.device)"
    with quiet():
        try:
            found = library.gpu()
        except Exception:  # whatever a library raises without a GPU, a driver or its memory
            found = None
    if found is None and settings.device == "gpu":
        raise UserError(f"{_WHERE}.device: there is no GPU that {library.name} can use; right is auto or cpu")
    return (found, "the GPU") if found else ("cpu", f"the CPU (no GPU that {library.name} can use)")


def _fit(
    lesson: _Lesson,
    source: Source,
    library: Library,
    settings: TrainingSettings,
    device: str,
    depth: int,
    trees: int,
) -> tuple[Ensemble, int]:
    """One model, its scores in the order of `CLASSES`, and its rounds."""
    if not np.ptp(lesson.earlier.features, axis=0).any():
        raise UserError("features: none of them moves in the training part, so nothing can be learned from them")
    classes = lesson.earlier.classes
    known = np.isin(lesson.later.label, classes)
    rounds = trees // len(classes) if library.per_class else trees
    if not rounds:
        raise UserError(
            f"species.forest.market_trees: {trees} has no room for a model of {source}, which takes "
            f"{len(classes) if library.per_class else 1} trees a round; give at least so many"
        )
    forest = source == "xgboost_rf"
    recipe = Recipe(
        source=source,
        depth=depth,
        rounds=1 if forest else rounds,
        trees=rounds if forest else 1,
        leaf=settings.leaf,
        learning_rate=1.0 if forest else settings.learning_rate,
        subsample=settings.subsample,
        columns=settings.columns,
        patience=settings.patience,
        seed=lesson.seed,
        device=device,
    )
    earlier, later = (
        Examples(own.features, np.searchsorted(classes, own.label))
        for own in (lesson.earlier, Examples(lesson.later.features[known], lesson.later.label[known]))
    )
    with tempfile.TemporaryDirectory(prefix="arena-") as folder:
        path = Path(folder) / "model"
        try:
            with quiet():
                kept = library.fit(recipe, earlier, later, path)
        except Exception as error:  # whatever a library raises
            raise _FitError(library, device, error) from error
        return _whole(read_model(path), classes), kept


def _whole(ensemble: Ensemble, classes: tuple[int, ...]) -> Ensemble:
    """The ensemble with a score for every class; one without an example is a constant that never wins."""
    count, place = len(CLASSES), list(classes)
    lowest = ensemble.base + sum((ensemble.scale * tree.value[tree.number >= 0]).min(axis=0) for tree in ensemble.trees)
    base = np.full(count, float(np.min(lowest)) - _BELOW)
    base[place] = ensemble.base

    def widened(tree: Tree) -> Tree:
        value = np.zeros((len(tree.value), count))
        value[:, place] = tree.value
        return dataclasses.replace(tree, value=value)

    return dataclasses.replace(
        ensemble, trees=tuple(map(widened, ensemble.trees)), base=base, link="softmax", classes=CLASSES
    )


def _note(source: str, models: list[Ensemble], rounds: list[int], lessons: list[_Lesson], device: str) -> str:
    """What was trained, where, and how much it says about the later part."""
    right, chance = zip(
        *(_right(model, lesson.later) for model, lesson in zip(models, lessons, strict=True)), strict=True
    )
    count = f"{len(models)} {source} models" if len(models) > 1 else f"1 {source} model"
    trees = _span([len(model.trees) for model in models])
    depth = max(deepest(model.trees) for model in models)
    best = "" if source == "xgboost_rf" else f", best after {_span(rounds)} round{'s' * (max(rounds) > 1)}"
    return (
        f"{count} on {device}, {trees} trees of depth {depth}{best}; {100 * np.mean(right):.0f} % right on the "
        f"later part ({100 * np.mean(chance):.0f} % by chance)"
    )


def _right(model: Ensemble, later: Examples) -> tuple[float, float]:
    """Share that is right, each class that occurs weighing the same, and what a guess would get."""
    said = model.predict(later.features).argmax(axis=1)
    return float(np.mean(later.weights() * (said == later.label))), 1 / len(later.classes)


def _span(counts: list[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low}" if low == high else f"{low} to {high}"

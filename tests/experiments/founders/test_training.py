"""Models of other libraries: what they learn, in which order they say it, when they stop, and that nothing is left to
chance or to the machine."""

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from small_worlds import make_settings, market_of, small_bars

from arena.settings import Settings
from experiments.exchange.ensemble import Ensemble, deepest
from experiments.exchange.reading import read_model
from experiments.founders import libraries, training
from experiments.founders.labels import BUY, CLASSES, NEUTRAL, SELL, Labels, label_market
from experiments.founders.libraries import LIBRARIES, Library, Recipe, Source, quiet
from experiments.founders.parts import Examples, examples_of
from experiments.founders.training import SOURCES, TrainingSettings, founding_models
from markets.errors import UserError
from markets.preparation import Market
from markets.settings import build

_SOURCES = tuple(LIBRARIES)
_PACKAGES = ("xgboost", "lightgbm", "catboost")

for package in _PACKAGES:
    pytest.importorskip(package, reason="the extra [trees] is not installed")


@pytest.fixture(scope="module")
def world() -> tuple[Settings, Market]:
    """A market in which one feature is what would have been right at a horizon of 4 bars."""
    settings = make_settings(broker={"commission": 4e-4, "spread_rate": 2e-4})
    market = market_of(settings, small_bars(2_000))
    labels = label_market(market, settings.broker, horizon=4)
    hint = market.tape.features.at[labels.row, labels.instrument, 1].set(jnp.asarray(labels.label, jnp.float32) - 1.0)
    return settings, dataclasses.replace(market, tape=market.tape._replace(features=hint))


def models(world: tuple[Settings, Market], source: str, **changes: object) -> tuple[list[Ensemble], str]:
    """Two models of a source."""
    settings, market = world
    room = {"depth": 3, "trees": 9, "seed": 5} | {
        key: changes.pop(key) for key in ("depth", "trees", "seed") if key in changes
    }
    own = TrainingSettings(**{"models": 2, "horizons": (4,), "columns": 1.0, "device": "cpu"} | changes)
    return founding_models(source, market, settings.broker, own, **room)


def lesson(count: int = 400, classes: int = 3, *, seed: int = 0, noise: float = 0.0) -> Examples:
    """Examples whose class is the third their first feature lies in, but for some."""
    random = np.random.default_rng(seed)
    features = random.uniform(-1, 1, (count, 4)).astype(np.float32)
    label = np.floor((features[:, 0] + 1) / 2 * classes).astype(np.int64)
    label = np.where(random.uniform(size=count) < noise, random.integers(0, classes, count), label)
    return Examples(features, label)


def recipe(source: Source, **changes: object) -> Recipe:
    """A small model of a source."""
    forest = source == "xgboost_rf"
    own = Recipe(source, 3, 1 if forest else 4, 4 if forest else 1, 0.02, 0.3, 0.8, 0.8, 9, 11)
    return dataclasses.replace(own, **changes)


def digest(ensemble: Ensemble) -> str:
    """Every number of an ensemble, in one."""
    parts = [ensemble.base, *(getattr(tree, f.name) for tree in ensemble.trees for f in dataclasses.fields(tree))]
    return hashlib.sha256(b"".join(np.ascontiguousarray(own).tobytes() for own in parts)).hexdigest()


@pytest.mark.parametrize("source", _SOURCES)
def test_a_model_says_neutral_buy_and_sell_in_this_order_and_has_room_in_the_genome(
    world: tuple[Settings, Market], source: str
) -> None:
    settings, market = world
    found, note = models(world, source)
    assert len(found) == 2
    assert digest(found[0]) != digest(found[1])
    labels = label_market(market, settings.broker, horizon=4)
    seen = np.asarray(market.tape.features)[labels.row, labels.instrument]
    for model in found:
        assert model.classes == CLASSES
        assert model.features == market.features
        assert model.outputs == 3
        assert 0 < len(model.trees) <= 9
        assert deepest(model.trees) <= 3
        said = model.predict(seen).argmax(axis=1)
        for label in (NEUTRAL, BUY, SELL):
            assert (said == label)[labels.label == label].mean() > 0.9
    assert note.startswith(f"2 {source} models on the CPU (training.device), ")
    assert "% right on the later part (33 % by chance)" in note
    assert int(note.split("; ")[1].split(" %")[0]) > 90


@pytest.mark.parametrize("source", _SOURCES)
def test_what_is_read_back_predicts_as_the_library_does(source: Source, tmp_path: Path) -> None:
    own, rows = lesson(noise=0.3), lesson(seed=9).features
    path = tmp_path / "model"
    with quiet():
        LIBRARIES[source].fit(recipe(source), own, lesson(100, seed=2), path)
        said = library_scores(source, path, rows)
    np.testing.assert_allclose(read_model(path).predict(rows), said, rtol=0, atol=2e-6)


def library_scores(source: Source, path: Path, rows: np.ndarray) -> np.ndarray:
    """Raw scores of the library itself."""
    if source == "lightgbm":
        import lightgbm

        return np.asarray(lightgbm.Booster(model_file=str(path)).predict(rows, raw_score=True))
    if source == "catboost":
        import catboost

        model = catboost.CatBoost().load_model(str(path), format="json")
        return np.asarray(model.predict(rows, prediction_type="RawFormulaVal"))
    import xgboost

    return np.asarray(xgboost.Booster(model_file=str(path)).predict(xgboost.DMatrix(rows), output_margin=True))


@pytest.mark.parametrize("source", _SOURCES)
@pytest.mark.parametrize("missing", [NEUTRAL, BUY, SELL])
def test_a_class_without_an_example_has_a_score_that_never_wins(source: Source, missing: int) -> None:
    present = [label for label in range(3) if label != missing]
    both = [
        dataclasses.replace(own, label=np.asarray(present)[own.label])
        for own in (lesson(classes=2, noise=0.2), lesson(200, classes=2, seed=1, noise=0.2))
    ]
    model, _ = training._fit(
        training._Lesson(3, both[0], both[1]), source, LIBRARIES[source], TrainingSettings(), "cpu", 3, 8
    )
    assert model.outputs == 3
    assert len(model.trees) <= 8
    rows = np.concatenate([lesson(seed=3).features, np.full((1, 4), np.nan, np.float32)])
    scores = model.predict(rows)
    assert len(np.unique(scores[:, missing])) == 1
    assert (scores[:, present].min(axis=1) - scores[:, missing] >= 9.99).all()
    assert set(scores.argmax(axis=1)) == set(present)


@pytest.mark.parametrize("source", [own for own in _SOURCES if own != "xgboost_rf"])
def test_it_keeps_the_rounds_that_say_most_about_the_later_examples(source: Source, tmp_path: Path) -> None:
    earlier, later = lesson(300, noise=0.5), lesson(300, seed=1, noise=0.5)
    path, rounds = tmp_path / "model", 40
    with quiet():
        kept = LIBRARIES[source].fit(recipe(source, rounds=rounds, patience=rounds), earlier, later, path)
    model = read_model(path)
    assert 0 < kept < rounds
    each = 3 if LIBRARIES[source].per_class else 1
    assert len(model.trees) == kept * each
    losses = []
    for count in range(1, kept + 1):
        raw = dataclasses.replace(model, trees=model.trees[: count * each]).predict(later.features).astype(np.float64)
        chance = np.take_along_axis(raw, later.label[:, None], 1)[:, 0] - np.log(np.exp(raw).sum(axis=1))
        losses.append(float(np.mean(later.weights() * -chance)))
    if source != "xgboost_dart":  # whose trees have other weights in the rounds before
        assert int(np.argmin(losses)) == kept - 1


def test_it_stops_where_nothing_has_got_better_for_long_enough() -> None:
    label = np.asarray([0, 1])
    best = libraries._Best(Examples(np.zeros((2, 1), np.float32), label), 2)
    said = []
    for sure in (0.5, 0.7, 0.6, 0.6, 0.9):
        said.append((best.improved(np.asarray([[sure, 1 - sure], [1 - sure, sure]])), best.over))
    assert said == [(True, False), (True, False), (False, False), (False, True), (True, False)]


_ONE_CORE = """
import json, os, sys
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
sys.path[:0] = sys.argv[1:]
from pathlib import Path
from test_training import digest, lesson, recipe
from experiments.exchange.reading import read_model
from experiments.founders.libraries import LIBRARIES, quiet
made = {}
for source in LIBRARIES:
    path = Path(f"model-{source}")
    with quiet():
        LIBRARIES[source].fit(recipe(source), lesson(5000, noise=0.4), lesson(1000, seed=2, noise=0.4), path)
    made[source] = digest(read_model(path))
print(json.dumps(made))
"""


def test_the_same_models_come_of_the_same_seed_on_any_number_of_cores(tmp_path: Path) -> None:
    here = Path(__file__).resolve()
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    elsewhere = subprocess.run(
        [sys.executable, "-c", _ONE_CORE, str(here.parent), str(here.parents[2])],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(here.parents[3]), "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert elsewhere.returncode == 0, elsewhere.stderr
    known = json.loads(elsewhere.stdout)
    for source in LIBRARIES:
        own, others = lesson(5000, noise=0.4), lesson(1000, seed=2, noise=0.4)
        with quiet():
            LIBRARIES[source].fit(recipe(source), own, others, tmp_path / source)
        assert digest(read_model(tmp_path / source)) == known[source], source
        with quiet():
            LIBRARIES[source].fit(recipe(source, seed=12), own, others, tmp_path / source)
        assert digest(read_model(tmp_path / source)) != known[source], source


def test_a_seed_makes_the_same_founders_again_and_another_seed_others(world: tuple[Settings, Market]) -> None:
    first, second, third = (models(world, "xgboost", seed=seed)[0] for seed in (1, 1, 2))
    assert [digest(own) for own in first] == [digest(own) for own in second]
    assert not {digest(own) for own in first} & {digest(own) for own in third}


def test_models_take_the_horizons_in_turn(world: tuple[Settings, Market], monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[int] = []

    def noted(labels: Labels, market: Market, *, most: int, random: np.random.Generator) -> Examples:
        shown.append(labels.horizon)
        return examples_of(labels, market, most=most, random=random)

    monkeypatch.setattr(training, "examples_of", noted)
    models(world, "xgboost_rf", models=3, horizons=(8, 2))
    assert shown == [8, 8, 2, 2, 8, 8]  # the earlier and the later part of each


def test_nothing_reaches_the_terminal(world: tuple[Settings, Market], capfd: pytest.CaptureFixture[str]) -> None:
    for source in _SOURCES:
        _, note = models(world, source, models=1, device="auto")
        place = "GPU, " if Path("/dev/nvidia0").exists() else f"CPU (no GPU that {LIBRARIES[source].name} can use), "
        assert note.startswith(f"1 {source} model on the {place}")
    with quiet():
        print("unheard")
        os.write(2, b"unheard")
    assert capfd.readouterr() == ("", "")
    print("heard again")
    assert capfd.readouterr().out == "heard again\n"


def test_a_gpu_that_fails_leaves_it_to_the_cpu_and_says_so(
    world: tuple[Settings, Market], monkeypatch: pytest.MonkeyPatch
) -> None:
    true = LIBRARIES["xgboost"]

    def fit(recipe: Recipe, *rest: object) -> int:
        if recipe.device != "cpu":
            raise RuntimeError("out of memory\nand more")
        return true.fit(recipe, *rest)

    broken = Library("XGBoost", "xgboost", True, fit, lambda: "cuda")
    monkeypatch.setattr(training, "LIBRARIES", {**LIBRARIES, "xgboost": broken})
    _, note = models(world, "xgboost", device="auto")
    assert note.startswith("2 xgboost models on the CPU (the GPU failed: out of memory), ")
    with pytest.raises(
        UserError, match=r"^species.founders: XGBoost failed on the GPU: out of memory; try training.device=cpu$"
    ):
        models(world, "xgboost", device="gpu")
    monkeypatch.setattr(training, "LIBRARIES", {"xgboost": broken._replace(fit=true.fit)})
    monkeypatch.setattr(training, "_fit", lambda lesson, source, library, settings, device, depth, trees: fake(device))
    assert models(world, "xgboost", device="auto")[1].startswith("2 xgboost models on the GPU, ")


@pytest.mark.parametrize(("error", "told"), [(ValueError("no\nmore"), "no"), (MemoryError(), "MemoryError")])
def test_a_library_that_fails_on_the_cpu_is_named_in_one_line(
    world: tuple[Settings, Market], monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    def fit(*_: object) -> int:
        raise error

    broken = LIBRARIES["lightgbm"]._replace(fit=fit, gpu=lambda: "cuda")
    monkeypatch.setattr(training, "LIBRARIES", {"lightgbm": broken})
    for device in ("cpu", "auto"):
        with pytest.raises(
            UserError, match=rf"^species.founders: LightGBM failed on the CPU: {told}; try another library$"
        ):
            models(world, "lightgbm", device=device)


def fake(device: str) -> tuple[Ensemble, int]:
    """A model of nothing, where the device is the GPU."""
    assert device == "cuda"
    return Ensemble("xgboost", ("a", "b", "c"), (), np.zeros(3), classes=CLASSES), 1


def test_without_a_gpu_asking_for_one_is_a_mistake(
    world: tuple[Settings, Market], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> str | None:
        raise RuntimeError("no driver")

    monkeypatch.setattr(training, "LIBRARIES", {"lightgbm": LIBRARIES["lightgbm"]._replace(gpu=none)})
    with pytest.raises(
        UserError, match=r"^training.device: there is no GPU that LightGBM can use; right is auto or cp"
    ):
        models(world, "lightgbm", device="gpu")
    assert "(no GPU that LightGBM can use)" in models(world, "lightgbm", device="auto")[1]


@pytest.mark.parametrize("source", _SOURCES)
def test_a_library_that_is_not_installed_is_named(
    world: tuple[Settings, Market], source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, LIBRARIES[source].module, None)
    with pytest.raises(UserError, match=r"^species.founders: .*pip install 'lineage-arena\[trees\]'$"):
        models(world, source)


def test_what_cannot_be_learned_from_is_refused_in_one_line(world: tuple[Settings, Market]) -> None:
    settings, market = world
    with pytest.raises(ValueError, match=r"^'forest' trains no founders; right is one of xgboost, "):
        models(world, "forest")
    with pytest.raises(UserError, match=r"^training.horizons: at 5000 bars, the training part leaves 0 examples"):
        models(world, "xgboost", horizons=(4, 5_000))
    with pytest.raises(UserError, match=r"^species.forest.market_trees: 2 has no room for a model of xgboost"):
        models(world, "xgboost", trees=2)
    assert len(models(world, "catboost", trees=1)[0][0].trees) == 1
    dear = dataclasses.replace(settings, broker=dataclasses.replace(settings.broker, commission=0.2))
    with pytest.raises(UserError, match=r"every earlier example is neutral"):
        models((dear, market), "xgboost")
    still = dataclasses.replace(market, tape=market.tape._replace(features=jnp.zeros_like(market.tape.features)))
    with pytest.raises(UserError, match=r"^features: none of them moves"):
        models((settings, still), "catboost")


@pytest.mark.parametrize("kept", [[NEUTRAL] * 100, [NEUTRAL] * 50 + [BUY] * 50])
def test_a_draw_that_loses_a_class_is_refused_in_one_line(
    world: tuple[Settings, Market], monkeypatch: pytest.MonkeyPatch, kept: list[int]
) -> None:
    def drawn(labels: Labels, market: Market, *, most: int, random: np.random.Generator) -> Examples:
        own = examples_of(labels, market, most=most, random=random)
        first = not shown
        shown.append(labels)
        return dataclasses.replace(own, label=np.asarray(kept if first else [SELL] * len(own.label)))

    shown: list[Labels] = []
    monkeypatch.setattr(training, "examples_of", drawn)
    with pytest.raises(UserError, match=r"^training.examples: at 4 bars, 100 of \d+ earlier examples .*; draw more, "):
        models(world, "catboost", examples=100)


@pytest.mark.parametrize("source", ["xgboost", "xgboost_rf", "xgboost_dart"])
def test_a_leaf_of_xgboost_is_held_to_its_share_of_what_its_round_sees(source: Source, tmp_path: Path) -> None:
    own, path = lesson(2_000, classes=2, noise=0.1), tmp_path / "model.json"
    terms = recipe(source, leaf=0.4, subsample=0.5, depth=1, columns=1.0)
    with quiet():
        LIBRARIES[source].fit(terms, own, lesson(400, classes=2, seed=2, noise=0.1), path)
    held = 0.4 * 0.5 * libraries._curvature(own)
    trees = json.loads(path.read_text())["learner"]["gradient_booster"]
    trees = trees.get("gbtree", trees)["model"]["trees"]
    first = trees[:2]  # of the first round, where both classes are as likely
    for tree in first:
        root, *leaves = tree["sum_hessian"]
        assert root == pytest.approx(held / 0.4, rel=0.1)  # the half of all that it sees
        assert len(leaves) == 2  # there is room for a split
        assert min(leaves) >= held
        assert sum(leaves) == pytest.approx(root, rel=1e-4)


def test_settings_say_what_is_wrong_with_them() -> None:
    made = build(TrainingSettings, {"path": ["a", "b"], "horizons": [3]}, "training")
    assert made.path == ("a", "b")
    assert build(TrainingSettings, {"path": "a"}, "training").path == "a"
    with pytest.raises(UserError, match=r"^training.horizons: expected at least one, for example"):
        build(TrainingSettings, {"horizons": []}, "training")
    with pytest.raises(UserError, match=r"^training.path: expected at least one"):
        build(TrainingSettings, {"path": []}, "training")
    assert (*_SOURCES, "file") == SOURCES

"""Runs of forests, stopped and gone on with, and founded by models of other libraries: what founders are, what is kept.

Runs of forests are in one file, for they share one compiled generation.
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import SMALL_FORESTS, arena, assert_same, crashing, evolve

from agents.observation import ACCOUNT_VIEW
from experiments.champions.champions import find_champion
from experiments.configuration.compose import compose
from experiments.configuration.study import load_market, make_study
from experiments.exchange.reading import read_model
from experiments.exchange.xgboost_json import to_xgboost
from experiments.forests.champions import read_forest
from experiments.founders.brains import ensemble_of
from experiments.founders.training import founding_models
from experiments.runs.directory import RunDirectory
from experiments.runs.founders import load_founders
from experiments.runs.job import Job
from genomes.forest import Forest
from genomes.trees import ordered

FORESTS = (
    *SMALL_FORESTS,
    "species.forest.layout=ordinary",
    "species.forest.market_trees=18",
    "market.edge=8",
    "evolution.generations=2",
    "record.checkpoint=1",
    "training.models=3",
    "training.horizons=[4,8]",
    "training.examples=1000",
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("plainly_compiled", "cache", "quick")]


def test_a_run_is_founded_by_lightgbm_and_founded_alike_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lightgbm")
    run, said = evolve(tmp_path / "first", "species.founders=lightgbm", study=FORESTS)
    assert "3 lightgbm models on the CPU" in said
    again, _ = evolve(tmp_path / "again", "species.founders=lightgbm", study=FORESTS)
    assert run.root.name == again.root.name
    assert_same(run, again)
    births = run.read("births")
    assert births.filter(generation=0).height == 16
    assert births.filter(generation=0)["parent_id"].null_count() == 16
    other, _ = evolve(tmp_path / "first", "species.founders=random", study=FORESTS)
    assert other.root.name != run.root.name
    assert not other.founders.exists()

    # Killed before its first checkpoint, it begins with the models it had, whatever the library would make of it now.
    for path in (*again.checkpoints.iterdir(), *again.genomes.iterdir()):
        path.unlink()
    again.note(state="interrupted", generations=0)
    code, said, complaint = arena("resume", str(again.root))
    assert (code, complaint) == (0, "")
    assert "founders as they were made" in said
    assert_same(run, again)

    # Where the library is not, what it made goes on nevertheless.
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, said, complaint = arena("resume", str(again.root))
    assert (code, complaint) == (0, "")
    assert "finished before" in said


def test_a_run_of_forests_that_is_stopped_goes_on_to_the_same_tables(tmp_path: Path) -> None:
    study = (*FORESTS, "terminal.progress=false", "evolution.generations=6")
    whole, _ = evolve(tmp_path / "whole", study=study)
    with crashing(4):
        words = (*study, f"runs_dir={tmp_path}/cut", "record.flush=1", "record.checkpoint=3")
        assert arena("evolve", *words)[0] == 130
    cut = RunDirectory(tmp_path / "cut" / whole.root.name)
    code, said, complaint = arena("resume", str(cut.root))
    assert code == 0, complaint
    assert "going on after 3 generations" in said
    assert_same(whole, cut)

    ids = set(cut.read("archive")["id"])
    assert ids
    for identity in ids:
        read = read_forest(cut, find_champion(cut, str(identity)))
        market, state = read.trader.genome.market, read.trader.genome.state
        assert (market.leaf.shape, state.leaf.shape) == ((18, 4, 3), (1, 4, 3))
        assert market.feature.max() < read.species.shape.features
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(read.trader.genome))


def test_the_first_agents_of_each_island_are_the_models_and_the_others_kin(tmp_path: Path) -> None:
    pytest.importorskip("catboost")
    overrides = [*FORESTS, f"runs_dir={tmp_path}", "species.founders=catboost"]
    job = Job(make_study(compose(overrides)))
    run, _ = evolve(tmp_path, "species.founders=catboost", "evolution.generations=1", study=FORESTS)
    (brains,) = load_founders(run, job.plan)
    species = job.plan.rollouts[0].species
    study = job.study
    _, market = load_market(study)
    models, _ = founding_models(
        "catboost", market, study.settings.broker, study.training, depth=2, trees=18, seed=study.settings.seed
    )
    features = market.tape.features[200:260]
    account = jnp.zeros((1, len(ACCOUNT_VIEW)))

    @jax.jit
    def answer(own: Forest) -> jax.Array:
        return jax.vmap(lambda code: species.values(own, code, account, ())[0][0])(species.encode(own, features))

    for index, model in enumerate(models):
        own = jax.tree.map(lambda leaf, index=index: leaf[0, index], brains)
        told = answer(own)
        said = model.predict(np.asarray(features[:, 0]))
        factor = np.median(told / said)
        assert np.log2(factor) == pytest.approx(np.round(np.log2(factor)), abs=1e-5), "doubled or halved as a whole"
        np.testing.assert_allclose(told, factor * said, rtol=1e-5, atol=1e-6)
    assert job.like.populations[0].genome.bias.shape == (2, 8, 3)


def test_a_saved_model_founds_a_run_and_its_content_is_part_of_what_the_run_is(tmp_path: Path) -> None:
    pytest.importorskip("xgboost")
    job = Job(make_study(compose([*FORESTS, f"runs_dir={tmp_path}"])))
    species = job.plan.rollouts[0].species
    quantiles = jnp.linspace(-2.0, 2.0, 9) * jnp.ones((job.plan.features + 4, 1))
    for name, seed in (("one.json", 1), ("other.json", 2)):
        genome = species.init(jax.random.key(seed), quantiles)
        few = genome._replace(
            market=jax.tree.map(lambda leaf: leaf[:6], genome.market),
            state=jax.tree.map(lambda leaf: leaf[:0], genome.state),
        )
        ensemble = ensemble_of(jax.tree.map(np.asarray, few), species, job.market.features)
        alone = dataclasses.replace(ensemble, features=job.market.features)
        (tmp_path / name).write_bytes(to_xgboost(alone))
    assert len(read_model(tmp_path / "one.json").trees) > 0
    given = ["species.founders=file"]
    one, said = evolve(tmp_path / "runs", *given, f"training.path={tmp_path / 'one.json'}", study=FORESTS)
    assert "models from 1 file (1 of xgboost)" in said
    other, _ = evolve(tmp_path / "runs", *given, f"training.path={tmp_path / 'other.json'}", study=FORESTS)
    assert one.root.name != other.root.name
    moved = tmp_path / "elsewhere.json"
    moved.write_bytes((tmp_path / "one.json").read_bytes())
    again, said = evolve(tmp_path / "runs", *given, f"training.path={moved}", study=FORESTS)
    assert again.root == one.root
    assert "finished before" in said


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["species=qnetwork", "species.founders=lightgbm"], "species.founders: lightgbm founds forests, and none take"),
        (["species=forest", "species.founders=gbm"], "species.founders: 'gbm' is not one of random, xgboost,"),
        (["species=forest", "species.founders=[1]"], "species.founders: [1] is not one of"),
        (["species=forest", "species.founders=file"], "training.path: founders from a file need one"),
        (["species=forest", "species.founders=file", "training.path=none.json"], "none.json: no such file"),
        (["species=forest", "training.models=0"], "training.models: 0 must be at least 1"),
    ],
)
def test_what_cannot_found_a_run_is_told_before_anything_is_made_ready(
    overrides: list[str], says: str, tmp_path: Path
) -> None:
    code, _, complaint = arena("evolve", *overrides, f"runs_dir={tmp_path / 'runs'}")
    assert code == 2
    assert says in complaint
    assert complaint.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_founders_that_are_damaged_are_named(tmp_path: Path) -> None:
    pytest.importorskip("lightgbm")
    run, _ = evolve(tmp_path, "species.founders=lightgbm", study=FORESTS)
    for path in (*run.checkpoints.iterdir(), *run.genomes.iterdir()):
        path.unlink()
    run.founders.write_bytes(run.founders.read_bytes()[:-8])
    code, _, complaint = arena("resume", str(run.root))
    assert code == 2
    assert str(run.founders) in complaint
    assert complaint.count("\n") == 1


def test_thresholds_at_zero_part_zero_from_subnormals() -> None:
    """What the hardware does to subnormals is of no account."""
    tiny = np.float32(1e-45)
    keys = np.asarray(jax.jit(ordered)(np.asarray([-tiny, -0.0, 0.0, tiny], np.float32)))
    assert keys[0] < keys[1] == keys[2] < keys[3]

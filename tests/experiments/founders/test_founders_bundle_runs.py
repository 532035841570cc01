"""A run that bundles founded: champions act there as they did, it goes on without its bundles, and its lineage reaches
back into the run that they come from, and from a bundle of its own into both."""

import json
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import polars as pl
import pytest
from small_bundles import champion_of, make_bundle, small_bundle
from small_runs import BOTH, arena, assert_same, crashing, made_once, make_small, without_compiling_again

from agents.live import Champion
from arena.schemas import LINEAGE, ORIGINS
from experiments.configuration.compose import compose
from experiments.configuration.study import make_study
from experiments.founders.bundles import BundleSettings, hashes, open_bundles
from experiments.founders.scales import change
from experiments.lineage.alife import read_alife
from experiments.lineage.origins import FIRST
from experiments.lineage.tree import root, tree_of
from experiments.runs.directory import RunDirectory
from experiments.runs.founders import load_founders
from experiments.runs.identity import founders_mark
from experiments.runs.job import Job
from experiments.runs.origins import earlier, read_origins
from markets.features import compute_features, features

SPECIES = ("qnetwork", "forest")

NEWER = ("seed=7", "evolution.generations=3", "record.checkpoint=1", "species.founders=bundle")
"""Other bars, so another scaling; and few generations."""

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("plainly_compiled", "cache", "no_table")]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: small_bundle(tmp_path_factory, name) for name in SPECIES}  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def bred(tmp_path_factory: pytest.TempPathFactory, cache: Path, bundles: dict[str, Path]) -> RunDirectory:
    """A run that a champion of each species founded; not to be changed."""

    def make(folder: Path) -> None:
        make_small(folder, *NEWER, _paths(bundles))

    return RunDirectory(made_once(tmp_path_factory, "bred-on", make))


@pytest.fixture(scope="module")
def job(bred: RunDirectory) -> Job:
    """What the run is made of."""
    return Job(make_study(bred.read_config(), founded=True), founders={})


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory, bred: RunDirectory) -> Path:
    """A bundle of the run that bundles founded."""
    return made_once(tmp_path_factory, "bred-on-bundle", lambda folder: make_bundle(bred, "qnetwork", folder))


def _paths(bundles: dict[str, Path]) -> str:
    return f"bundle.path=[{','.join(map(str, bundles.values()))}]"


@pytest.mark.parametrize("name", SPECIES)
def test_founders_act_on_new_bars_as_the_champion_does(
    name: str, bundles: dict[str, Path], bred: RunDirectory, job: Job
) -> None:
    champion = Champion.load(bundles[name])
    (bundle,) = open_bundles(BundleSettings(str(bundles[name])))
    place = job.plan.names.index(name)
    species = job.plan.rollouts[place].species
    brain = load_founders(bred, job.plan)[place]
    own = jax.tree.map(lambda leaf: leaf[0, 0], brain)

    here, (bars,) = np.asarray(job.market.tape.features)[:, 0], job.supply.bars
    chosen = features(job.study.settings.features)
    there = bundle.scaler.apply(compute_features(chosen, bars))[: len(here)]
    warm = slice(job.market.window, None)
    here, there = here[warm], there[warm]
    view = np.random.default_rng(0).normal(size=(len(here), 4)).astype(np.float32)

    def answer(own: Any, seen: Any, view: Any) -> Any:
        code = jax.tree.map(lambda leaf: leaf[0], species.encode(own, seen[None]))
        return species.values(own, code, view, ())[0]

    told, said = np.asarray(jax.jit(answer)(own, here, view)), champion.values(there, view)
    free = ~change(bundle.scaler, job.market.scalers[0]).clipped(here)
    assert 0 < np.count_nonzero(~free) < 0.05 * len(free), "a few bars are clipped, or nothing is compared"
    close = np.isclose(told, said, rtol=1e-4, atol=1e-5).all(axis=1)
    assert np.count_nonzero(~close & free) <= (len(here) // 500 if name == "forest" else 0), (
        "but for rounded thresholds"
    )
    assert not np.array_equal(bundle.scaler.centre, job.market.scalers[0].centre)


def test_the_lines_of_the_champions_are_kept_with_the_run(bundles: dict[str, Path], bred: RunDirectory) -> None:
    origins = pl.read_parquet(bred.origins)
    assert origins.schema == ORIGINS
    first = small_run_id(bundles)
    assert set(origins["run_id"]) == {first}
    founders = bred.read("births").filter(generation=0)
    named = origins.filter(pl.col("founders").is_not_null())
    for row in named.iter_rows(named=True):
        assert row["id"] == json.loads((bundles[row["species"]] / "manifest.json").read_text())["champion"]["id"]
        assert row["founders"] == founders.filter(species=row["species"])["id"].to_list()
    table = pl.read_parquet(bred.lineage)
    assert list(table.columns) == [*LINEAGE, "origin_run_id", "origin_id"]
    mine = table.filter(pl.col("origin_id").is_not_null())
    assert mine["id"].to_list() == founders["id"].sort().to_list()
    assert (mine["ancestor_id"] == mine["id"]).all(), "a founder is a root of this run"


def small_run_id(bundles: dict[str, Path]) -> str:
    found: str = json.loads((bundles["forest"] / "manifest.json").read_text())["champion"]["run_id"]
    return found


def test_commands_say_where_founders_come_from(bundles: dict[str, Path], bred: RunDirectory, tmp_path: Path) -> None:
    first = small_run_id(bundles)
    code, said, _ = arena("show", str(bred.root))
    assert code == 0
    assert f"bred on qnetwork {_champion(bundles, 'qnetwork')} of run {first}" in said
    code, said, _ = arena("lineage", str(bred.root), "--json")
    told = json.loads(said)
    assert [one["run_id"] for one in told["origins"]] == [first, first]
    assert {one["founders"] for one in told["origins"]} == {16}
    assert told["founders"] == 32, "agents of earlier runs are no founders of this one"
    assert all(line["origin"].startswith(f"{first}/") for line in told["champions"])

    whole = {}
    for form in ("alife", "newick", "graphml", "parquet"):
        out = tmp_path / f"whole.{form}"
        code, said, complaint = arena("lineage", str(bred.root), "--format", form, "--out", str(out))
        assert (code, complaint) == (0, "")
        assert "in earlier runs; generation 0 of this run stands at time" in said
        assert form == "parquet" or f"{first}/{_champion(bundles, 'forest')}" in out.read_text()
        whole[form] = out
    table = read_alife(whole["alife"])
    tree = tree_of(table)
    assert (tree.id[root(tree)] >= FIRST).all(), "every line begins in the earlier run"
    assert len(tree) == pl.read_parquet(bred.lineage).height + (tree.id >= FIRST).sum()
    assert pl.read_parquet(whole["parquet"])["id"].to_list() == table["id"].to_list()
    code, said, _ = arena("lineage", str(bred.root), "--format", "alife", "--out", str(tmp_path / "own"), "--own")
    assert (code, "earlier" in said) == (0, False)
    assert read_alife(tmp_path / "own").height == pl.read_parquet(bred.lineage).height


def _champion(bundles: dict[str, Path], name: str) -> int:
    found: int = json.loads((bundles[name] / "manifest.json").read_text())["champion"]["id"]
    return found


def test_stopped_and_gone_on_with_where_the_bundles_are_no_more(
    bundles: dict[str, Path], bred: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_compiling_again(monkeypatch, [])
    moved = {name: Path(shutil.copytree(path, tmp_path / name)) for name, path in bundles.items()}
    with crashing(2):
        code, said, _ = arena("evolve", *BOTH, *NEWER, _paths(moved), f"runs_dir={tmp_path / 'runs'}")
    assert code == 130
    # A run is what its bundles hold, wherever they lie.
    run = RunDirectory(tmp_path / "runs" / bred.read_manifest()["run_id"])
    assert f"qnetwork {_champion(bundles, 'qnetwork')} of run {small_run_id(bundles)}" in said
    for path in moved.values():
        shutil.rmtree(path)
    run.origins.unlink()
    code, _, complaint = arena("resume", str(run.root))
    assert (code, complaint) == (0, "")
    assert_same(run, bred)
    assert pl.read_parquet(run.origins).equals(pl.read_parquet(bred.origins)), "it is made of the founders' file again"

    for path in (*run.checkpoints.iterdir(), *run.genomes.iterdir()):  # as if killed before its first checkpoint
        path.unlink()
    run.note(state="interrupted", generations=0)
    code, said, complaint = arena("resume", str(run.root))
    assert (code, complaint) == (0, "")
    assert "founders as they were made" in said
    assert_same(run, bred)


def test_a_bundle_of_such_a_run_reaches_back_through_both(
    bundles: dict[str, Path], bred: RunDirectory, second: Path
) -> None:
    first, own = small_run_id(bundles), bred.read_manifest()["run_id"]
    (bundle,) = open_bundles(BundleSettings(str(second)))
    runs = [ancestor.run_id for ancestor in bundle.line]
    assert runs == sorted(runs, key=[first, own].index)
    assert set(runs) == {first, own}
    founder = bundle.line[runs.index(own)]
    assert founder.parent_id is None
    assert [one["id"] for one in earlier(bred, founder.id)] == [one.id for one in bundle.line[: runs.index(own)]]
    assert bundle.line[runs.index(own) - 1].id == _champion(bundles, "qnetwork")
    assert bundle.line[-1].id == champion_of(bred, "qnetwork")
    study = make_study(compose([*BOTH, "species.founders=bundle", f"bundle.path={second}"]))
    assert study.founders == "bundle"


def test_bundles_are_part_of_what_a_run_is_by_their_content(
    bundles: dict[str, Path], second: Path, tmp_path: Path
) -> None:
    study = make_study(compose([*BOTH, "species.founders=bundle", _paths(bundles)]))
    mark = founders_mark(study.founders, study.training, study.bundle)
    assert mark == {"founders": hashes(open_bundles(study.bundle))}
    elsewhere = shutil.copytree(bundles["forest"], tmp_path / "elsewhere")
    one, other = (
        founders_mark("bundle", study.training, BundleSettings(str(path))) for path in (bundles["forest"], elsewhere)
    )
    assert one == other
    assert founders_mark("bundle", study.training, BundleSettings(str(second))) != one
    assert read_origins(RunDirectory(tmp_path)).is_empty()

"""What a run keeps: genomes of those that improved the archive, and after pruning still all that anybody reads."""

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_bundles import champion_of, make_bundle, small_bundle, small_run
from small_runs import arena

from agents.population import NOBODY
from arena.schemas import REGIME_NAMES, TABLES
from experiments.configuration.study import RecordSettings
from experiments.report.report import report_facts
from experiments.runs.checkpoint import checkpoints
from experiments.runs.directory import RunDirectory
from experiments.runs.files import TEMPORARY
from experiments.runs.genomes import champion_file
from experiments.runs.lineage import read_lineage
from experiments.runs.lock import only_one
from experiments.runs.recording import Recorder
from experiments.runs.retention import holdings, prune
from experiments.runs.trees import metadata_of, save_tree

pytestmark = pytest.mark.usefixtures("plainly_compiled")

GONE = 2**22 + 1
"""A process that cannot be: Linux numbers at most 2²² of them."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return small_run(tmp_path_factory)


@pytest.fixture
def run(made: RunDirectory, tmp_path: Path) -> RunDirectory:
    """A copy with everything in it that may go, and things that are nobody's business."""
    copy = RunDirectory(Path(shutil.copytree(made.root, tmp_path / "run")))
    last = checkpoints(copy)[-1]
    for generation in (2, 4):
        shutil.copy(last, last.with_name(f"{generation:08d}.safetensors"))  # never read: a later one is there
    save_tree(copy.genomes / "77777.safetensors", {"x": np.ones(2)}, {"id": "77777", "generation": "3"})
    named = next(iter(copy.genomes.glob("[0-9]*.safetensors")))
    save_tree(copy.genomes / f"{named.stem.split('-')[0]}-99.safetensors", {"x": np.ones(2)}, {"generation": "99"})
    for folder in (copy.root, copy.genomes, copy.checkpoints, copy.table("births")):
        (folder / f"{TEMPORARY}{GONE}-x").write_bytes(b"half")
    (copy.root / "report.html").write_text("a report")
    (copy.root / "certificate-2.json").write_text("{}")
    (copy.root / "notes.txt").write_text("mine")
    (copy.genomes / "favourite.safetensors").write_bytes(b"mine")
    return copy


def files(run: RunDirectory) -> dict[str, bytes]:
    return {str(path.relative_to(run.root)): path.read_bytes() for path in run.root.rglob("*") if path.is_file()}


def free(run: RunDirectory, **options: bool) -> set[str]:
    return {str(path.relative_to(run.root)) for each in holdings(run, **options) if each.free for path in each.paths}


def debris(run: RunDirectory) -> set[str]:
    genomes = {f"genomes/{path.name}" for path in run.genomes.glob("*-99.safetensors")}
    halves = {f"{place}{TEMPORARY}{GONE}-x" for place in ("", "genomes/", "checkpoints/", "births.parquet/")}
    older = {f"checkpoints/{generation:08d}.safetensors" for generation in (2, 4)}
    return {*genomes, *halves, *older, "genomes/77777.safetensors"}


def test_what_may_go_is_told_and_nothing_goes_before_it_is_asked_for(run: RunDirectory) -> None:
    before = files(run)
    assert free(run) >= debris(run)
    assert free(run) - debris(run) <= {f"checkpoints/{path.name}" for path in checkpoints(run)[:-1]}
    told = [path for each in holdings(run) for path in each.paths]
    assert sorted(str(path.relative_to(run.root)) for path in told) == sorted(before)
    code, said, _ = arena("prune", str(run.root))
    assert code == 0
    assert said.splitlines()[-1].endswith("can go; --yes frees it.")
    assert "notes" not in said
    assert all(len(line) <= 80 for line in said.splitlines())
    assert files(run) == before
    assert free(run, report=True) - free(run) == {"report.html"}


def test_after_pruning_there_is_all_that_report_bundle_lineage_and_certificate_read(
    run: RunDirectory, made: RunDirectory, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before, gone, told = files(run), free(run), report_facts(run, only_records=True)
    code, said, _ = arena("prune", str(run.root), "--yes")
    assert code == 0
    assert said.splitlines()[-1].startswith("Freed ")
    assert files(run) == {name: content for name, content in before.items() if name not in gone}
    assert free(run) == set()
    assert arena("prune", str(run.root), "--yes")[1].splitlines()[-1] == "There is nothing to free."
    assert_kept(run, made)
    for facts, other in zip(report_facts(run, only_records=True), told, strict=True):
        assert plain(facts) == plain(other)
    known = small_bundle(tmp_path_factory, "qnetwork")
    make_bundle(run, "qnetwork", tmp_path / "bundle")
    assert champion_of(run, "qnetwork") == champion_of(made, "qnetwork")
    for path in known.rglob("*"):
        if path.is_file():
            assert (tmp_path / "bundle" / path.relative_to(known)).read_bytes() == path.read_bytes()
    arena("prune", str(run.root), "--yes", "--report")
    assert not (run.root / "report.html").exists()


def test_what_somebody_else_is_writing_stays_until_he_is_gone(run: RunDirectory) -> None:
    """A report or a grid writes without the lock of the run."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as writer:
        growing = run.root / f"{TEMPORARY}{writer.pid}-report.html"
        growing.write_bytes(b"half")
        own = {each.what: each for each in holdings(run)}["being written"]
        assert (own.paths, own.free) == ((growing,), False)
        prune(run)
        assert growing.exists()
        assert not (run.root / f"{TEMPORARY}{GONE}-x").exists()
        writer.communicate()
    prune(run)
    assert not growing.exists()


def plain(facts: Any) -> str:
    """Facts as text, without when they were gathered."""
    return json.dumps({**facts, "made": None} if isinstance(facts, dict) else facts, sort_keys=True, default=str)


def assert_kept(run: RunDirectory, made: RunDirectory) -> None:
    """Tables, lineage, every champion's file and the last checkpoint are those of the run as it was made."""
    shutil.rmtree(run.root / "extra", ignore_errors=True)
    for name in TABLES:
        assert run.read(name).equals(made.read(name))
    assert read_lineage(run).equals(read_lineage(made))
    for identity, generation in made.read("archive").select("id", "generation").unique().iter_rows():
        paths = [champion_file(each, identity, generation) for each in (run, made)]
        assert paths[0].read_bytes() == paths[1].read_bytes()
    assert checkpoints(run)[-1].read_bytes() == checkpoints(made)[-1].read_bytes()


def test_being_stopped_half_way_loses_nothing(
    run: RunDirectory, made: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_unlink, left = Path.unlink, 0

    def unlink(self: Path, missing_ok: bool = False) -> None:
        nonlocal left
        if self.name != ".lock":
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
        true_unlink(self, missing_ok=missing_ok)

    for after in (0, 1, 3, 5, 99):
        left = after
        with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
            patch.setattr(Path, "unlink", unlink)
            prune(run)
        assert_kept(run, made)
    assert free(run) == set()


def _of_a_running_one(run: RunDirectory) -> contextlib.AbstractContextManager[object]:
    return only_one(run.root)


def _with_a_damaged_checkpoint(run: RunDirectory) -> contextlib.AbstractContextManager[object]:
    last = checkpoints(run)[-1]
    content = bytearray(last.read_bytes())
    content[-1] ^= 1
    last.write_bytes(content)
    return contextlib.nullcontext()


def _with_a_checkpoint_of_another_name(run: RunDirectory) -> contextlib.AbstractContextManager[object]:
    shutil.copy(checkpoints(run)[-1], run.checkpoints / "00000090.safetensors")
    return contextlib.nullcontext()


def _without_a_part(run: RunDirectory) -> contextlib.AbstractContextManager[object]:
    next(run.table("fitness").glob("0*.parquet")).unlink()
    return contextlib.nullcontext()


def _with_a_damaged_genome(run: RunDirectory) -> contextlib.AbstractContextManager[object]:
    next(run.genomes.glob("[0-9]*.safetensors")).write_bytes(b"torn")
    return contextlib.nullcontext()


REFUSED = {
    "at work on this run": _of_a_running_one,
    "damaged, its content does not match its checksum": _with_a_damaged_checkpoint,
    "its generation does not match its name": _with_a_checkpoint_of_another_name,
    "is missing": _without_a_part,
    "cannot be read": _with_a_damaged_genome,
}


@pytest.mark.parametrize("line", REFUSED)
def test_a_run_that_is_at_work_or_damaged_is_left_as_it_is(line: str, run: RunDirectory) -> None:
    with REFUSED[line](run):
        before = files(run)
        for words in ((), ("--yes",)):
            code, _, complaint = arena("prune", str(run.root), *words)
            assert code == 2
            assert line in complaint
            assert complaint.count("\n") == 1
        assert files(run) == before


IDS = st.integers(0, 5)


@settings(max_examples=10, deadline=None)
@given(rows=st.lists(st.tuples(IDS, st.sets(st.integers(0, 4), min_size=1)), max_size=6), more=st.sets(IDS))
def test_only_genomes_that_improved_a_regime_are_kept_each_as_it_was_then(
    rows: list[tuple[int, set[int]]], more: set[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    run = RunDirectory(tmp_path_factory.mktemp("run"))
    run.create({})
    recorder = Recorder(run, RecordSettings(), ("ants",), np.zeros(1, "datetime64[us]"), 1)
    named = []
    for generation, (identity, groups) in enumerate(rows):
        recorder._save_champions(record(generation, identity, groups))
        named += [{"generation": generation, "regime": REGIME_NAMES[group], "id": identity} for group in groups]
    part = run.table("archive") / "00000000-00000009-0.parquet"
    pl.DataFrame([dict.fromkeys(TABLES["archive"]) | row for row in named], schema=TABLES["archive"]).write_parquet(
        part
    )
    about = {(int(a["id"]), int(a["generation"])) for a in map(metadata_of, run.genomes.iterdir())}
    improved = {(row["id"], row["generation"]) for row in named}
    assert about == improved
    assert len(list(run.genomes.iterdir())) == len(improved)
    for identity in more:
        if not (run.genomes / f"{identity}-9.safetensors").exists():
            save_tree(run.genomes / f"{identity}-9.safetensors", {"x": np.ones(1)}, {"generation": "9"})
    prune(run)
    assert len(list(run.genomes.iterdir())) == len(improved)
    for identity, generation in improved:
        assert metadata_of(champion_file(run, identity, generation))["generation"] == str(generation)


def record(generation: int, identity: int, groups: set[int]) -> Any:
    """A generation in which an agent improved some groups of the archive; the others are held by nobody."""
    improved = np.isin(np.arange(5), list(groups))[None]
    return SimpleNamespace(
        generation=np.int32(generation),
        archive=SimpleNamespace(
            improved=improved,
            id=np.where(improved, identity, NOBODY),
            species=np.zeros((1, 5), int),
            traders=({"x": np.full((1, 5, 2), float(generation))},),
        ),
    )

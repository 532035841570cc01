"""However a run was stopped, it goes on to the same tables; and what cannot be gone on with is said in one line."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import plainly
import pytest
from safetensors.numpy import load_file, save_file
from small_runs import SMALL, arena, assert_same, crashing, evolve, without_compiling_again, without_table

from arena.schemas import TABLES
from experiments.runs import job
from experiments.runs.directory import RunDirectory
from experiments.runs.files import TEMPORARY
from experiments.runs.interruption import interruptible
from experiments.runs.lock import only_one
from experiments.terminal import Progression

QUIET = "terminal.progress=false"

pytestmark = pytest.mark.usefixtures("plainly_compiled", "cache", "quick")


@pytest.fixture(scope="module")
def reference(
    cache: Path, program: list[jax.stages.Compiled], tmp_path_factory: pytest.TempPathFactory
) -> RunDirectory:
    with pytest.MonkeyPatch.context() as patch:
        without_compiling_again(patch, program)
        without_table(patch)
        return evolve(tmp_path_factory.mktemp("runs"), QUIET)[0]


def parts(run: RunDirectory, name: str = "births") -> list[str]:
    return sorted(path.name for path in run.table(name).iterdir())


def test_a_crash_is_gone_on_from_the_last_checkpoint_to_the_same_tables(
    reference: RunDirectory, tmp_path: Path
) -> None:
    with crashing(4):
        code, _, complaint = arena(
            "evolve", *SMALL, f"runs_dir={tmp_path}", QUIET, "record.flush=1", "record.checkpoint=3"
        )
    assert (code, complaint) == (130, "arena: interrupted\n")
    run = RunDirectory(tmp_path / reference.root.name)
    assert run.read_manifest()["state"] == "interrupted"
    assert not run.lineage.exists()
    assert [path.name for path in run.checkpoints.iterdir()] == ["00000003.safetensors"]
    assert parts(run)[-1] == "00000003-00000003-0.parquet"  # beyond the checkpoint
    torn = [run.root / f"{TEMPORARY}1-00000004-00000004-0.parquet", run.genomes / f"{TEMPORARY}1-9.safetensors"]
    for path in torn:
        path.write_bytes(b"PAR1")

    code, said, _ = arena("resume", str(run.root))
    assert code == 0
    assert "going on after 3 generations" in said
    assert_same(reference, run)
    assert not any(path.exists() for path in torn)
    assert [session["generation"] for session in run.read_manifest()["sessions"]] == [0, 3]
    for name in TABLES:
        assert parts(run, name) == [f"{k:08d}-{k:08d}-0.parquet" for k in range(6)]
    assert run.read("timings")["generation"].to_list() == list(range(6))


def test_ctrl_c_finishes_the_generation_and_keeps_it(
    reference: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_show = Progression.show

    def ask(self: Progression, made: Any) -> None:
        true_show(self, made)
        if int(made["generations"]["generation"][0]) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)  # a shell may have had it ignored for what runs in the background
    with monkeypatch.context() as patch:
        patch.setattr(Progression, "show", ask)
        run, said = evolve(tmp_path, code=130)
    done = run.read_manifest()["generations"]
    assert 2 <= done < 6
    assert run.read_manifest()["state"] == "interrupted"
    assert "stopping after this generation" in said
    assert f"interrupted after {done} generations; go on with: arena resume {run.root}" in said
    assert run.read("generations")["generation"].unique().to_list() == list(range(done))
    assert signal.getsignal(signal.SIGINT) is before

    code, said, _ = arena("resume", run.root.name, "--runs-dir", str(tmp_path))
    assert code == 0
    assert said.splitlines()[-1] == str(run.root)
    assert_same(reference, run)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_request_to_stop_is_noted_and_the_second_obeyed_at_once(number: signal.Signals) -> None:
    heard: list[str] = []
    with interruptible(lambda: heard.append("asked")) as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        assert stop.is_set()
        assert heard == ["asked"]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)


def test_a_larger_target_goes_on_and_equals_a_run_started_longer(reference: RunDirectory, tmp_path: Path) -> None:
    short, _ = evolve(tmp_path, QUIET, "evolution.generations=2")
    assert short.root.name == reference.root.name
    assert short.read("births")["generation"].max() == 2
    longer, said = evolve(tmp_path, QUIET)
    assert longer.root == short.root
    assert "going on after 2 generations" in said
    assert longer.read_config()["evolution"]["generations"] == 6
    assert_same(reference, longer)
    shorter, said = evolve(tmp_path, QUIET, "evolution.generations=3")
    assert "finished before, 6 generations" in said
    assert_same(reference, shorter)


@pytest.mark.slow
def test_a_killed_run_leaves_nothing_torn_and_goes_on_to_the_same_tables(cache: Path, tmp_path: Path) -> None:
    words = [*SMALL, QUIET, "record.flush=3", "record.checkpoint=2"]
    process = subprocess.Popen(
        [
            sys.executable,
            plainly.__file__,
            "evolve",
            *words,
            f"runs_dir={tmp_path}",
            "evolution.generations=9999",
        ],
        env={**os.environ, "JAX_COMPILATION_CACHE_DIR": str(cache)},
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 180
    while not list(tmp_path.glob("*/checkpoints/[0-9]*")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    (root,) = tmp_path.iterdir()
    run = RunDirectory(root)
    for name in TABLES:
        run.read(name)  # whole parts only, or this raises
    assert run.read_manifest()["state"] == "running"
    done = max(int(path.stem) for path in run.checkpoints.glob("[0-9]*"))
    target = f"evolution.generations={done + 2}"
    evolve(tmp_path, QUIET, target)
    assert list(root.rglob(f"{TEMPORARY}*")) == []
    assert run.read("timings")["generation"].to_list() == list(range(done + 2))
    assert_same(evolve(tmp_path / "again", QUIET, target)[0], run)


@pytest.fixture
def copy(reference: RunDirectory, tmp_path: Path) -> RunDirectory:
    return RunDirectory(Path(shutil.copytree(reference.root, tmp_path / reference.root.name)))


def complaint(run: RunDirectory) -> str:
    """What `arena resume` says of a run that it refuses; it leaves everything as it was."""
    before = {path: path.read_bytes() for path in run.root.rglob("*") if path.is_file()}
    code, _, said = arena("resume", str(run.root))
    assert code == 2
    assert said.count("\n") == 1
    assert {path: path.read_bytes() for path in run.root.rglob("*") if path.is_file()} == before
    return said


def test_no_such_run_names_those_there_are(copy: RunDirectory, tmp_path: Path) -> None:
    code, _, said = arena("resume", "nothing", "--runs-dir", str(tmp_path))
    assert (code, said) == (2, f"arena: nothing: no such run; there are: {copy.root.name}\n")
    code, _, said = arena("resume", "nothing", "--runs-dir", str(tmp_path / "empty"))
    assert (code, said) == (2, f"arena: nothing: no such run; there are none in {tmp_path / 'empty'}\n")


@pytest.mark.parametrize("value", ["[", "'", "!!python/name:os.system", "2026-99-99", "[" * 2000])
def test_a_place_that_cannot_be_read_is_named_by_its_word(value: str) -> None:
    code, _, said = arena("resume", "X", f"device.count={value}")
    assert code == 2
    assert said.startswith(f"arena: device.count={value[:800]}")
    assert said.endswith(": cannot read the value; write a number, or HOST:PORT for device.coordinator\n")


@pytest.mark.parametrize("device", ["cpu", "[1]", "3"])
def test_devices_that_are_no_group_are_named_with_their_file(device: str, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.config.write_text(f"device: {device}\n")
    said = complaint(run)
    assert said.startswith(f"arena: {run.config}: device: expected a group of keys, got ")
    assert said.count("\n") == 1


def test_a_damaged_manifest_is_named(copy: RunDirectory) -> None:
    for text in ("", "{", "[1]", '{"sessions": 3}', '{"state": ["running"]}', "\x00" * 99):
        copy.manifest.write_text(text)
        assert complaint(copy).startswith(f"arena: {copy.manifest}: damaged")


def test_a_damaged_configuration_is_named(copy: RunDirectory) -> None:
    text = copy.config.read_text()
    for damage, says in (
        ("market: [", "damaged"),
        ("- 1\n", "damaged"),
        (text.replace("agents: 16", "agents: 15"), "evolution.agents: 15 agents cannot live on 2 islands"),
        (text.replace("record:", "recorded:"), "record: missing"),
        (text.replace("name: synthetic", "name: [synthetic]"), "market: ['synthetic'] is not a market"),
        (text.replace("seed: 0", "seed: -1"), "seed: -1 must be at least 0"),
    ):
        copy.config.write_text(damage)
        said = complaint(copy)
        assert said.startswith(f"arena: {copy.config}: ")
        assert says in said


def test_another_configuration_or_other_bars_are_refused(copy: RunDirectory) -> None:
    text = copy.config.read_text()
    copy.config.write_text(text.replace("scars:\n  enabled: true", "scars:\n  enabled: false"))
    assert copy.config.read_text() != text
    assert f"its configuration changed since it was run {copy.root.name}" in complaint(copy)
    copy.config.write_text(text.replace("edge: 8.0", "edge: 4.0"))
    assert "its bars changed" in complaint(copy)


def test_a_damaged_or_foreign_checkpoint_is_named(copy: RunDirectory) -> None:
    (path,) = copy.checkpoints.iterdir()
    whole = path.read_bytes()
    remedy = f"; delete it, and arena resume {copy.root} begins again from the start\n"
    flipped = bytearray(whole)
    flipped[-100] ^= 1
    for content, says in (
        (b"", "cannot be read"),
        (whole[: len(whole) // 2], "cannot be read"),
        (whole[:-1], "cannot be read"),
        (b"\0" * len(whole), "cannot be read"),
        (b"PAR1" * 99, "cannot be read"),
        (bytes(flipped), "damaged, its content does not match its checksum"),
    ):
        path.write_bytes(content)
        said = complaint(copy)
        assert said.startswith(f"arena: {path}: {says}")
        assert said.endswith(remedy)
    path.write_bytes(whole)
    leaves = load_file(path)
    name = next(name for name in leaves if name.endswith("epsilon"))
    for foreign, says in (
        ({**leaves, name: leaves[name][:1]}, f"{name} is float32[1, 8], expected float32[2, 8], so it is of another"),
        ({key: leaf for key, leaf in leaves.items() if key != name}, f"{name} is missing"),
        ({**leaves, "tail": leaves[name]}, "holds tail, which this run does not know"),
        (leaves, "damaged, its content does not match its checksum"),
    ):
        save_file(foreign, path, {"generation": "6"})
        said = complaint(copy)
        assert says in said
        assert said.endswith(remedy)
    path.write_bytes(whole)
    path.rename(path.with_name("00000005.safetensors"))
    assert "its generation does not match its name" in complaint(copy)


def test_a_damaged_checkpoint_is_not_passed_over_in_silence_but_the_whole_one_before_it_is_named(
    reference: RunDirectory, tmp_path: Path
) -> None:
    run, _ = evolve(tmp_path, QUIET, "record.checkpoint=2", "record.keep=3")
    early, late, last = sorted(run.checkpoints.iterdir())
    for path in (late, last):
        path.write_bytes(path.read_bytes()[:-1])
    said = complaint(run)
    assert said.startswith(f"arena: {last}: cannot be read")
    again = f"and arena resume {run.root} goes on after 2 generations, where {early.name} is whole"
    assert said.endswith(f"; delete it and {late.name}, {again}\n")
    last.unlink()
    assert complaint(run).endswith(f"; delete it, {again}\n")
    late.unlink()
    code, said, _ = arena("resume", str(run.root))
    assert (code, "going on after 2 generations" in said) == (0, True)
    assert_same(reference, run)


def test_a_damaged_part_is_named_and_everything_can_be_made_again(reference: RunDirectory, tmp_path: Path) -> None:
    run, _ = evolve(tmp_path, QUIET, "record.flush=3", "evolution.generations=5")
    first, second = sorted(run.table("scars").iterdir())
    target = run.config.read_text().replace("generations: 5", "generations: 6")
    run.config.write_text(target)
    whole = second.read_bytes()
    for content in (b"", b"PAR1", whole[:-9], whole[len(whole) // 2 :], first.read_bytes()[:-4] + b"PAR2"):
        second.write_bytes(content)
        said = complaint(run)
        assert said.startswith(f"arena: {second}: damaged (")
    shutil.copy(sorted(run.table("deaths").iterdir())[1], second)
    assert complaint(run).startswith(f"arena: {second}: damaged (its columns are not those of scars)")
    second.unlink()
    assert complaint(run).startswith(f"arena: {run.table('scars')}: damaged (the part with generation 3 is missing)")
    shutil.copy(first, run.table("scars") / "00000002-00000004-0.parquet")
    assert "(generations 2 to 4 are not what follows 2)" in complaint(run)
    shutil.copy(first, run.table("scars") / "mine.parquet")
    assert complaint(run).startswith(f"arena: {run.table('scars') / 'mine.parquet'}: no part of this run")
    (run.table("scars") / "mine.parquet").unlink()
    shutil.rmtree(run.checkpoints)
    assert arena("resume", str(run.root))[0] == 0
    assert_same(reference, run)


def test_a_run_without_its_manifest_or_configuration_is_not_begun_again_in_silence(copy: RunDirectory) -> None:
    copy.manifest.unlink()
    assert complaint(copy).startswith(f"arena: {copy.manifest}: missing, though there are checkpoints")
    copy.config.unlink()
    assert "no such run" in complaint(copy)
    copy.manifest.write_text("{}")
    assert complaint(copy).startswith(f"arena: {copy.config}: missing; bring it back")


def test_a_second_process_on_a_run_is_refused_in_one_line(reference: RunDirectory, tmp_path: Path) -> None:
    run, _ = evolve(tmp_path, QUIET, "evolution.generations=2")
    with only_one(run.root):
        before = sorted(run.root.rglob("*"))
        code, _, said = arena("evolve", *SMALL, f"runs_dir={tmp_path}", QUIET)
        assert code == 2
        assert said.startswith(f"arena: {run.root}: another process ({os.getpid()} on ")
        assert said.endswith(") is at work on this run; wait until it ends, or stop it first\n")
        assert sorted(run.root.rglob("*")) == before
        assert run.state({"state": "running"}) == "running"
    assert run.state({"state": "running"}) == "interrupted"


def test_what_another_process_did_while_this_one_made_ready_is_noticed(
    copy: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy.note(state="running")

    def meanwhile(*args: Any) -> None:
        shutil.copy(copy.checkpoints / "00000006.safetensors", copy.checkpoints / "00000007.safetensors")

    monkeypatch.setattr(job, "check_room", meanwhile)
    code, _, said = arena("resume", str(copy.root))
    assert (code, said) == (2, f"arena: {copy.root}: another process was at work on it just now; try again\n")


def test_without_its_last_checkpoint_a_run_goes_on_from_the_one_before(reference: RunDirectory, tmp_path: Path) -> None:
    run, _ = evolve(tmp_path, QUIET, "record.checkpoint=2")
    kept = sorted(path.name for path in run.checkpoints.iterdir())
    assert kept == ["00000004.safetensors", "00000006.safetensors"]
    (run.checkpoints / kept[-1]).unlink()
    code, said, _ = arena("resume", str(run.root))
    assert code == 0
    assert "going on after 4 generations" in said
    assert_same(reference, run)


def test_other_hardware_and_another_version_are_said_and_recorded(
    reference: RunDirectory, copy: RunDirectory, tmp_path: Path
) -> None:
    manifest = copy.read_manifest()
    begun = {**manifest["bits"], "backend": "abacus"}
    for path in copy.checkpoints.iterdir():
        path.unlink()
    from experiments.runs.identity import run_id

    name = run_id(copy.read_config(), manifest["data_hash"], begun)
    assert name != reference.root.name
    copy.manifest.write_text(json.dumps({**manifest, "run_id": name, "bits": begun, "source_hash": "0"}))
    code, said, _ = arena("resume", str(copy.root))
    assert code == 0
    assert "note: begun on abacus" in said
    assert "note: begun by another version of this program" in said
    after = copy.read_manifest()
    assert (after["run_id"], after["bits"]["backend"]) == (name, "abacus")
    assert after["sessions"][-1]["bits"] == manifest["bits"]
    assert after["sessions"][-1]["source_hash"] == manifest["source_hash"]
    assert_same(reference, copy)

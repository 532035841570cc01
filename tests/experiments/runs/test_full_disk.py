"""A disk that is full or cannot be written ends a run in one line; nothing is torn, and afterwards it goes on as if
nothing had been.
"""

import errno
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import polars as pl
import pytest
from small_runs import SMALL, arena, assert_same, evolve, without_compiling_again, without_table

from arena.schemas import TABLES
from experiments.runs.directory import RunDirectory
from experiments.runs.files import TEMPORARY, make_folder, write_json, write_table, write_whole
from experiments.runs.lock import LOCK, is_held, only_one
from experiments.runs.trees import save_tree
from markets.errors import UserError

QUIET = "terminal.progress=false"
OFTEN = ("record.flush=1", "record.checkpoint=2", QUIET)

pytestmark = pytest.mark.usefixtures("plainly_compiled", "cache")


@pytest.fixture(scope="module")
def reference(
    cache: Path, program: list[jax.stages.Compiled], tmp_path_factory: pytest.TempPathFactory
) -> RunDirectory:
    with pytest.MonkeyPatch.context() as patch:
        without_table(patch)
        without_compiling_again(patch, program)
        return evolve(tmp_path_factory.mktemp("runs"), QUIET)[0]


def fail_writes(patch: pytest.MonkeyPatch, name: str, skip: int, number: int) -> None:
    """From some write of such a name on, half of the bytes fit and the disk is full; so for every file after it."""
    seen = 0

    def limited(true_write: Callable[..., int]) -> Callable[..., int]:
        def write(path: Path, content: Any, *args: Any, **options: Any) -> int:
            nonlocal seen
            seen += bool(seen > skip or re.search(name, str(path)))
            if seen <= skip:
                return true_write(path, content, *args, **options)
            true_write(path, content[: len(content) // 2], *args, **options)
            raise OSError(number, os.strerror(number))

        return write

    for method in ("write_bytes", "write_text"):
        patch.setattr(Path, method, limited(getattr(Path, method)))


@pytest.mark.parametrize(
    ("name", "skip", "told"),
    [
        (r"-00000003-00000003-0\.parquet$", 3, r"[a-z]+\.parquet/00000003-00000003-0\.parquet"),
        (r"genomes/", 1, r"genomes/\d+(-\d+)?\.safetensors"),
        (r"checkpoints/", 1, r"checkpoints/00000004\.safetensors"),
        (r"-lineage\.parquet$", 0, r"lineage\.parquet"),
        (r"-manifest\.json$", 1, r"manifest\.json"),
    ],
)
def test_a_full_disk_ends_a_run_in_one_line_and_it_goes_on_to_the_same_rows(
    name: str, skip: int, told: str, reference: RunDirectory, tmp_path: Path, quick: None
) -> None:
    run = RunDirectory(tmp_path / reference.root.name)
    with pytest.MonkeyPatch.context() as patch:
        fail_writes(patch, name, skip, errno.ENOSPC)
        code, _, said = arena("evolve", *SMALL, f"runs_dir={tmp_path}", *OFTEN)
    assert code == 2
    assert re.fullmatch(
        rf"arena: {re.escape(str(run.root))}/{told}: cannot be written, the disk is full "
        rf"\(No space left on device\); free space there, then arena resume {re.escape(str(run.root))}\n",
        said,
    ), said
    assert not list(run.root.rglob(f"{TEMPORARY}*"))
    for table in TABLES:
        run.read(table)
    assert run.state(run.read_manifest()) == "interrupted"
    code, _, said = arena("resume", str(run.root))
    assert code == 0, said
    assert_same(reference, run)


def test_a_disk_that_is_full_from_the_start_leaves_no_run(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_writes(monkeypatch, "", 0, errno.EDQUOT)
    code, _, said = arena("evolve", *SMALL, f"runs_dir={tmp_path}", QUIET)
    assert code == 2
    assert re.search(r"config\.yaml: cannot be written, the disk is full \(.*\); free space there, then the same", said)
    assert said.count("\n") == 1
    assert arena("runs", "--runs-dir", str(tmp_path))[1] == f"no runs in {tmp_path}\n"


def test_a_folder_that_goes_away_while_the_run_goes_on_is_said_in_one_line(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from experiments.runs import recording

    true_add = recording.Recorder.add

    def add(self: recording.Recorder, record: Any, timing: dict[str, float]) -> Any:
        if int(record.generation) == 2:
            (root,) = tmp_path.iterdir()
            shutil.rmtree(root)
        return true_add(self, record, timing)

    monkeypatch.setattr(recording.Recorder, "add", add)
    code, _, said = arena("evolve", *SMALL, f"runs_dir={tmp_path}", *OFTEN)
    assert code == 2
    assert re.fullmatch(
        r"arena: .*: cannot be written \(No such file or directory\), the run's folder is gone; .*\n", said
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["file", "file/below"])
def test_a_file_where_runs_should_lie_is_named(where: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    code, _, said = arena("evolve", *SMALL, f"runs_dir={tmp_path / where}", QUIET)
    assert code == 2
    assert re.fullmatch(r"arena: runs_dir: .* cannot be written \(.*\); name another folder\n", said), said
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_system_s_own_limit_is_an_error_that_names_the_file_and_leaves_the_old_one(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    table, tree = pl.DataFrame({"a": np.random.default_rng(0).random(9999)}), {"a": np.zeros(9999)}
    writers: dict[str, Callable[[Path], None]] = {
        "a.parquet": lambda path: write_table(path, table),
        "a.safetensors": lambda path: save_tree(path, tree, {}),
        "a.json": lambda path: write_json(path, {"a": "b" * 9999}),
    }
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for name, write in writers.items():
        path = tmp_path / name
        path.write_text("old")
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        try:
            with pytest.raises(OSError, match="File too large") as caught:
                write(path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert caught.value.filename == str(path)
        assert path.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(writers)


def test_bytes_are_on_disk_before_the_name_and_the_name_before_anybody_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    true_sync, true_replace = os.fsync, os.replace

    def sync(handle: int) -> None:
        status = os.fstat(handle)
        names = {path.stat().st_ino: path.name for path in (tmp_path, *tmp_path.rglob("*"))}
        done.append(f"sync {re.sub(rf'{re.escape(TEMPORARY)}[0-9]+-', 'new ', names[status.st_ino])}")
        true_sync(handle)

    def replace(source: Any, target: Any, **options: Any) -> None:
        done.append(f"name {Path(target).name}")
        true_replace(source, target, **options)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", replace)
    folder = tmp_path / "a" / "b"
    make_folder(folder)
    assert done == [f"sync {tmp_path.name}", "sync a"]
    done.clear()
    write_whole(folder / "c", lambda temporary: temporary.write_bytes(b"x"))
    assert done == ["sync new c", "name c", "sync b"]


def test_a_lock_is_for_one_and_ends_with_its_holder(tmp_path: Path) -> None:
    assert is_held(tmp_path) is False
    with only_one(tmp_path):
        assert is_held(tmp_path) is True
        with (
            pytest.raises(UserError, match=rf"another process \({os.getpid()} on .*\) is at work on this run"),
            only_one(tmp_path),
        ):
            pytest.fail("held twice")
    assert is_held(tmp_path) is False
    assert list(tmp_path.iterdir()) == []
    holder = (
        "import sys, time, pathlib; from experiments.runs.lock import only_one\n"
        "with only_one(pathlib.Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", holder, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    assert is_held(tmp_path) is True
    process.kill()
    process.communicate()
    assert (tmp_path / LOCK).exists()
    assert is_held(tmp_path) is False
    with only_one(tmp_path):
        assert is_held(tmp_path) is True


def test_where_there_are_no_locks_nothing_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.runs.lock._fcntl", None)
    with only_one(tmp_path), only_one(tmp_path):
        assert is_held(tmp_path) is None
    assert RunDirectory(tmp_path).state({"state": "running"}) == "running"

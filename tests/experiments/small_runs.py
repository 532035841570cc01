"""Small runs for the tests of run directories: one small study, made through the command, and ways to compare."""

import contextlib
import fcntl
import io
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import polars as pl
import pytest
from jax.experimental.compilation_cache import compilation_cache
from plainly import plainly
from polars.testing import assert_frame_equal
from safetensors import safe_open

from arena.api import Arena
from arena.schemas import TABLES
from experiments.cli import main
from experiments.runs import job
from experiments.runs.directory import RunDirectory
from experiments.runs.recording import Recorder

__all__ = [
    "BOTH",
    "RECORDED",
    "SMALL",
    "SMALL_FORESTS",
    "arena",
    "assert_same",
    "compiled_once",
    "crashing",
    "evolve",
    "made_once",
    "make_small",
    "without_compiling_again",
    "without_table",
]

SMALL = (
    "market.bars=3000",
    "features.returns=[1,4]",
    "features.mean_distance=[8]",
    "features.rsi=[]",
    "features.macd=false",
    "features.atr=[]",
    "features.bollinger=[]",
    "features.volatility_ratio=false",
    "features.range_position=[]",
    "features.volume_z=[]",
    "features.trend_strength=[]",
    "features.gap_length=false",
    "features.clock=false",
    "regimes.returns=8",
    "regimes.ranks=24",
    "episodes.episodes=4",
    "episodes.bars=32",
    "episodes.validation=4",
    "episodes.stratum=20",
    "species.qnetwork.hidden=[4]",
    "fitness.bars=8",
    "archive.bars=4",
    "archive.judged=1",
    "archive.trials=24",
    "trust.block=4",
    "scars=both",
    "scars.drawdown=0.01",
    "scars.count=2",
    "selection.pool=8",
    "broker.ruin=0.98",
    "turnover.age=3",
    "evolution.agents=16",
    "evolution.islands=2",
    "evolution.generations=6",
    "evolution.migration.every=2",
    "evolution.migration.agents=1",
    "device.block=4",
    "device.chunk=8",
    "device.count=1",
)
"""A study in which everything happens within six generations: scars, ruin, old age, migration, new champions."""

SMALL_FORESTS = (
    *(word for word in SMALL if not word.startswith("species.")),
    "species=forest",
    "species.forest.depth=2",
    "species.forest.market_trees=3",
    "species.forest.state_trees=1",
)
"""The same with forests."""

BOTH = (
    *SMALL,
    "species=[qnetwork,forest]",
    "species.forest.depth=2",
    "species.forest.market_trees=3",
    "species.forest.state_trees=1",
)
"""The small study with networks and forests."""

RECORDED = tuple(name for name in TABLES if name != "timings")
"""The tables that two equal runs share."""


@contextlib.contextmanager
def compiled_once(factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep compiled programs between the runs of a test session, and say where."""
    known = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if known:
        yield Path(known)
        return
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "compiled"
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    compilation_cache.reset_cache()
    try:
        yield folder
    finally:
        jax.config.update("jax_compilation_cache_dir", None)
        compilation_cache.reset_cache()


def arena(*words: str) -> tuple[int, str, str]:
    """What the command answers: exit code, output, errors."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(words))
    return code, out.getvalue(), err.getvalue()


def evolve(runs_dir: Path, *overrides: str, code: int = 0, study: Sequence[str] = SMALL) -> tuple[RunDirectory, str]:
    """Evolve the small study, or another, with overrides; the run's directory and what was said."""
    answered, said, complaint = arena("evolve", *study, f"runs_dir={runs_dir}", *overrides)
    assert answered == code, complaint or said
    last = said.splitlines()[-1]
    return RunDirectory(Path(last.rpartition("arena resume ")[2])), said


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that one worker of a test session makes and all of them read.

    Args:
        factory: of the session.
        name: of the folder.
        make: fills it.
    """
    base = factory.getbasetemp()
    home = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made-once"
    home.mkdir(exist_ok=True)
    with (home / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / name).is_dir():
            shutil.rmtree(home / f"{name}.part", ignore_errors=True)
            (home / f"{name}.part").mkdir()
            make(home / f"{name}.part")
            (home / f"{name}.part").rename(home / name)
    return home / name


def make_small(folder: Path, *overrides: str) -> None:
    """Evolve the small study into that folder; its program is compiled plainly, which takes a quarter of the time."""
    with plainly(), pytest.MonkeyPatch.context() as patch:
        without_table(patch)
        run, _ = evolve(folder / "runs", *overrides, study=BOTH)
    for path in list(run.root.iterdir()):
        path.rename(folder / path.name)
    shutil.rmtree(folder / "runs")


@contextlib.contextmanager
def crashing(generation: int) -> Iterator[None]:
    """Somebody stops every run for good while that generation is written."""
    true_add = Recorder.add

    def crash(self: Recorder, record: Any, timing: dict[str, float]) -> Any:
        if int(record.generation) == generation:
            raise KeyboardInterrupt
        return true_add(self, record, timing)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recorder, "add", crash)
        yield


def without_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the table at the end, which costs seconds, where it is not what is tested."""
    monkeypatch.setattr(job, "standings_lines", lambda *args: [])
    monkeypatch.setattr(job, "standings", lambda *args: None)


def without_compiling_again(monkeypatch: pytest.MonkeyPatch, program: list[jax.stages.Compiled]) -> None:
    """Let runs of one and the same study share a program, where compiling is not what is tested.

    Args:
        monkeypatch: of the test.
        program: empty at first; holds the program after.
    """
    true_compile = Arena.compile

    def compile_once(self: Arena) -> float:
        took = 0.0
        if not program:
            took = true_compile(self)
            assert self._compiled is not None
            program.append(self._compiled)
        self._compiled = program[0]
        return took

    monkeypatch.setattr(Arena, "compile", compile_once)


def assert_same(first: RunDirectory, second: RunDirectory) -> None:
    """Two runs left the same tables, lineage, genomes and last state."""
    for name in RECORDED:
        assert_frame_equal(first.read(name), second.read(name), check_exact=True)
    assert_frame_equal(pl.read_parquet(first.lineage), pl.read_parquet(second.lineage))
    paths = sorted(first.genomes.iterdir())
    assert [path.name for path in paths] == sorted(path.name for path in second.genomes.iterdir())
    for path in paths:
        assert _content(path) == _content(second.genomes / path.name)
    last, other = (max(run.checkpoints.iterdir()) for run in (first, second))
    assert last.name == other.name
    assert _content(last) == _content(other)


def _content(path: Path) -> tuple[dict[str, str], dict[str, bytes]]:
    """Metadata and leaves of a tree's file; their order in the file is of no account."""
    with safe_open(path, framework="numpy") as file:
        return file.metadata(), {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118

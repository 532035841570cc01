"""Sweeps: mistakes before the first job, a failing job among others, stopping, and starting once more."""

import argparse
import errno
import gc
import os
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax.experimental.compilation_cache import compilation_cache
from small_runs import SMALL, arena, assert_same, evolve

from experiments.commands.overrides import add_override_arguments, run_jobs
from experiments.hardware import launchers
from experiments.hardware.programs import shared_programs
from experiments.mistakes import MistakesError
from experiments.runs.directory import RunDirectory
from experiments.runs.sweeps import Outcome, Runner
from experiments.terminal import Progression, console, say
from markets.errors import UserError

TOY = "toy_conf_of_sweeps"
QUIET = ("terminal.progress=false", "evolution.generations=2")

pytestmark = pytest.mark.usefixtures("plainly_compiled", "cache", "no_table")


@pytest.fixture(scope="module", autouse=True)
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("sweeps")
    (folder / TOY).mkdir()
    (folder / TOY / "__init__.py").write_text("")
    (folder / TOY / "config.yaml").write_text("seed: 0\nagents: 3\nforce: false\ndevice:\n  block: 1\n")
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))


def start(*words: str, job: Runner, check: Callable[[dict[str, Any]], object] | None = None) -> int:
    parser = argparse.ArgumentParser()
    add_override_arguments(parser)
    return run_jobs(parser.parse_intermixed_args(["-m", *words]), job, module=TOY, check=check)


def refused(*words: str, check: Callable[[dict[str, Any]], object] | None = None) -> list[str]:
    with pytest.raises(UserError) as caught:
        start(*words, job=lambda *_: pytest.fail("a job was started"), check=check)
    return caught.value.lines if isinstance(caught.value, MistakesError) else [str(caught.value)]


def check(config: dict[str, Any]) -> None:
    """As settings are: the first mistake alone is raised."""
    if not isinstance(config["seed"], int):
        raise UserError(f"seed: expected a whole number, got {config['seed']!r}")
    if config["seed"] < 0:
        raise UserError(f"seed: {config['seed']} must be at least 0")
    if config["agents"] < 2:
        raise UserError(f"agents: {config['agents']} must be at least 2")
    if config["agents"] % config["device"]["block"]:
        raise UserError(f"agents: {config['agents']} is no multiple of {config['device']['block']}")


def table(said: str) -> list[list[str]]:
    """Rows of the table at the end of a sweep, split at two blanks or more."""
    lines = said[said.index("\nsweep of ") :].splitlines()[3:]
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]


def test_jobs_run_in_order_under_headings_and_a_table_says_how_each_ended(capsys: pytest.CaptureFixture[str]) -> None:
    jobs: list[list[str]] = []

    def job(overrides: list[str], outcome: Outcome) -> int:
        jobs.append(overrides)
        outcome.end, outcome.root = "finished", Path("runs") / f"run{len(jobs)}"
        print("running")
        return 0

    assert start("seed=1,2", "agents=5", job=job) == 0
    assert jobs == [["seed=1", "agents=5"], ["seed=2", "agents=5"]]
    assert capsys.readouterr().out == (
        "job 1 of 2: seed=1\nrunning\njob 2 of 2: seed=2\nrunning\n\n"
        "sweep of 2 jobs\n"
        "  job  end       run   overrides\n"
        "    1  finished  run1  seed=1\n"
        "    2  finished  run2  seed=2\n"
    )


@pytest.mark.parametrize(("number", "speaks"), [(0, True), (1, False)])
def test_of_several_processes_the_first_alone_speaks(
    number: int, speaks: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def job(overrides: list[str], outcome: Outcome) -> int:
        say("running")
        if overrides == ["seed=2"]:
            raise UserError("seed: 2 is wrong")
        return 0

    monkeypatch.setattr(console, "quiet", False)
    monkeypatch.setattr(launchers, "find_place", lambda device: launchers.Place(number, 2, "node", 1))
    assert start("seed=1,2", job=job) == 2
    out, err = capsys.readouterr()
    assert ("job 1 of 2" in out, "sweep of 2 jobs" in out, "running" in out) == (speaks,) * 3
    assert out or not speaks
    assert err == "arena: job 2 of 2: seed=2: seed: 2 is wrong\n"


def test_every_bad_value_is_one_line_and_no_job_starts() -> None:
    assert refused("seed=1,-1,x,2", check=check) == [
        "seed=-1: seed: -1 must be at least 0",
        "seed=x: seed: expected a whole number, got 'x'",
    ]
    # Each job raises for its seed first; the agents show once the seed is left out, once for all seeds.
    assert refused("seed=-1,-2", "agents=1,5,0", check=check) == [
        "seed=-1: seed: -1 must be at least 0",
        "agents=1: agents: 1 must be at least 2",
        "agents=0: agents: 0 must be at least 2",
        "seed=-2: seed: -2 must be at least 0",
    ]


def test_a_mistake_that_all_jobs_share_is_told_once_and_as_it_is() -> None:
    assert refused("seed=1,2", "agents=1", check=check) == ["agents: 1 must be at least 2"]
    assert refused("seed=1,2", "agent=1", check=check) == ["agent: unknown key; did you mean agents?"]
    assert refused("seed=1,2", "agent=1", "agents=1", check=check) == [
        "agent: unknown key; did you mean agents?",
        "agents: 1 must be at least 2",
    ]


def test_no_mistake_is_made_up_by_leaving_one_out() -> None:
    # Without agents=-4 the default of 3 would be no multiple of 2.
    assert refused("seed=1,2", "agents=-4", "device.block=2", check=check) == ["agents: -4 must be at least 2"]


def test_what_holds_for_the_process_cannot_vary_even_in_disguise() -> None:
    assert refused("device.block=1,2", "seed=1,2") == [
        "device.block=1,2: cannot vary inside one process; start one command for each value"
    ]
    (line,) = refused("device.block=${seed}", "seed=1,2")
    assert line.startswith("device: differs from job to job, and cannot vary inside one process")


def test_a_sweep_of_runs_is_refused_with_a_line_for_each_value_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, said, complaint = arena("evolve", "-m", "evolution.agents=64,-3,0", "selection=lexicase,lexicas")
    assert (code, said) == (2, "")
    lines = complaint.splitlines()
    assert [line.partition(": ")[2].partition(":")[0] for line in lines] == [
        "selection=lexicas",
        "evolution.agents=-3",
        "evolution.agents=0",
    ]
    assert lines[1].startswith("arena: evolution.agents=-3: evolution.agents: -3 must be ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code", "why"),
    [
        (UserError("bars.csv: no rows"), 2, "bars.csv: no rows"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "No space left on device"),
        (MemoryError(), 2, "not enough memory; fewer evolution.agents or "),
        (RuntimeError("RESOURCE_EXHAUSTED: out of memory"), 2, "not enough memory; fewer evolution.agents or "),
        (ZeroDivisionError("by\nzero"), 1, "ZeroDivisionError: by zero"),
    ],
)
def test_a_failing_job_names_itself_and_the_others_go_on(
    error: Exception, code: int, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs: list[str] = []

    def job(overrides: list[str], outcome: Outcome) -> int:
        jobs.append(overrides[0])
        outcome.root = tmp_path
        if overrides == ["seed=2", "agents=5"]:
            raise error
        outcome.end = "finished"
        return 0

    assert start("seed=1,2,3", "agents=5", job=job) == code
    assert jobs == ["seed=1", "seed=2", "seed=3"]
    captured = capsys.readouterr()
    last = captured.err.splitlines()[-1]
    assert last.startswith(f"arena: job 2 of 3: seed=2 ({tmp_path}): {why}")
    assert ("Traceback" in captured.err) == (code == 1)
    assert captured.err.count("\n") == 1 or code == 1
    rows = table(captured.out)
    assert [row[1] for row in rows] == ["finished", "failed", "finished"]
    assert rows[1][3].startswith(f"seed=2: {why}")


def test_a_fault_of_ours_is_graver_than_a_mistake_of_the_users() -> None:
    def job(overrides: list[str], outcome: Outcome) -> int:
        raise {"seed=1": UserError("mistake"), "seed=2": RuntimeError("fault"), "seed=3": UserError("mistake")}[
            overrides[0]
        ]

    assert start("seed=1,2,3", job=job) == 1


def test_a_reader_that_goes_away_ends_the_sweep() -> None:
    jobs: list[str] = []

    def job(overrides: list[str], outcome: Outcome) -> int:
        jobs.append(overrides[0])
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        start("seed=1,2", job=job)
    assert jobs == ["seed=1"]


@pytest.mark.parametrize("raised", [True, False])
def test_an_interrupted_sweep_says_how_to_go_on(raised: bool, capsys: pytest.CaptureFixture[str]) -> None:
    jobs: list[str] = []

    def job(overrides: list[str], outcome: Outcome) -> int:
        jobs.append(overrides[0])
        if raised:
            raise KeyboardInterrupt
        return 130

    assert start("seed=range(1,4)", "agents=5", job=job) == 130
    assert jobs == ["seed=1"]
    captured = capsys.readouterr()
    assert captured.err == (
        "arena: interrupted, 2 of 3 jobs not started; go on with: arena evolve -m 'seed=range(1,4)' agents=5\n"
    )
    assert [row[1] for row in table(captured.out)] == ["interrupted", "not started", "not started"]
    assert start("seed=1,2", "force=true", job=job) == 130
    assert capsys.readouterr().err == "arena: interrupted, 1 of 2 jobs not started\n"


def test_equal_jobs_run_once(capsys: pytest.CaptureFixture[str]) -> None:
    jobs: list[list[str]] = []

    def job(overrides: list[str], outcome: Outcome) -> int:
        jobs.append(overrides)
        outcome.end = "finished"
        return 0

    assert start("seed=1,1,2", "agents=3", job=job) == 0
    assert jobs == [["seed=1", "agents=3"], ["seed=2", "agents=3"]]
    assert [row[1] for row in table(capsys.readouterr().out)] == ["finished", "same as job 1", "finished"]
    jobs.clear()
    assert start("seed=1,2", "seed=5", job=job) == 0
    assert jobs == [["seed=1", "seed=5"]]


def test_arrays_of_a_failed_job_are_let_go() -> None:
    held: list[weakref.ref[Any]] = []

    def job(overrides: list[str], outcome: Outcome) -> int:
        gc.collect()
        assert all(each() is None for each in held), "an earlier job's arrays are still there"
        array = jnp.ones(8)
        held.append(weakref.ref(array))
        raise UserError(f"failed with {array.shape}")

    assert start("seed=1,2,3", job=job) == 2
    assert len(held) == 3


@pytest.fixture
def kept_in() -> Iterator[Callable[[str | None], None]]:
    """Has JAX keep compiled programs in a folder, or nowhere, as the user may have it; put back after the test."""
    before = jax.config.values["jax_compilation_cache_dir"]

    def keep(folder: str | None) -> None:
        jax.config.update("jax_compilation_cache_dir", folder)
        compilation_cache.reset_cache()

    yield keep
    keep(before)


@pytest.mark.parametrize("given", [False, True])
def test_programs_are_let_go_after_each_job_and_settings_put_back(
    given: bool, tmp_path: Path, kept_in: Callable[[str | None], None]
) -> None:
    folder = str(tmp_path) if given else None
    kept_in(folder)
    least = jax.config.values["jax_persistent_cache_min_compile_time_secs"]
    with shared_programs() as release:
        used = jax.config.values["jax_compilation_cache_dir"]
        assert used
        assert (used == folder) == given
        traced = jax.jit(lambda x: x + 1)
        traced(jnp.ones(3))
        assert traced._cache_size() == 1  # type: ignore[attr-defined]
        release()
        assert traced._cache_size() == 0  # type: ignore[attr-defined]
    assert Path(used).exists() == given
    assert jax.config.values["jax_compilation_cache_dir"] == folder
    assert jax.config.values["jax_persistent_cache_min_compile_time_secs"] == least


def sweep(runs_dir: Path, *overrides: str, code: int = 0) -> tuple[list[list[str]], str, str]:
    """Sweep the small study; the rows of the table, what was said, and what was complained of."""
    answered, said, complaint = arena("evolve", "-m", *SMALL, *QUIET, f"runs_dir={runs_dir}", *overrides)
    assert answered == code, complaint or said
    return table(said), said, complaint


def test_a_second_start_shows_what_is_finished_and_runs_what_is_missing(tmp_path: Path) -> None:
    rows, _, _ = sweep(tmp_path / "runs", "record.fitness=all,births")
    assert [(row[1], row[3]) for row in rows] == [
        ("finished", "record.fitness=all"),
        ("finished", "record.fitness=births"),
    ]
    first, second = (RunDirectory(tmp_path / "runs" / row[2]) for row in rows)
    stamps = first.manifest.stat().st_mtime_ns
    # Out of one process came what each alone would have left.
    alone, _ = evolve(tmp_path / "alone", *QUIET, "record.fitness=births")
    assert alone.root.name == second.root.name
    assert_same(alone, second)

    rows, said, _ = sweep(tmp_path / "runs", "record.fitness=all,archive")
    assert [(row[1], row[3]) for row in rows] == [
        ("finished before", "record.fitness=all"),
        ("finished", "record.fitness=archive"),
    ]
    assert rows[0][2] == first.root.name
    assert f"job 1 of 2: record.fitness=all\nfinished before, 2 generations: {first.root}\njob 2 of 2" in said
    assert first.manifest.stat().st_mtime_ns == stamps


def test_the_order_of_targets_does_not_matter(tmp_path: Path) -> None:
    rows, _, _ = sweep(tmp_path, "evolution.generations=2,4,3")
    assert [row[1] for row in rows] == ["finished", "resumed after 2", "finished before"]
    assert len({row[2] for row in rows}) == 1
    run = RunDirectory(tmp_path / rows[0][2])
    assert run.read("generations")["generation"].unique().to_list() == [0, 1, 2, 3]
    assert run.read_manifest()["state"] == "finished"


def test_a_job_that_finds_its_bars_wanting_does_not_stop_the_others(tmp_path: Path) -> None:
    rows, _, complaint = sweep(tmp_path / "runs", "check=true", "market.bars=50,3000", code=2)
    assert [row[1] for row in rows] == ["failed", "checked"]
    assert complaint.startswith("arena: job 1 of 2: market.bars=50: ")
    assert complaint.count("\n") == 1
    files = ",".join(str(tmp_path / name) for name in ("one.csv", "two.csv"))
    code, _, complaint = arena("evolve", "-m", "market=bars", f"market.path={files}", f"runs_dir={tmp_path / 'no'}")
    assert code == 2
    for number, line in enumerate(complaint.splitlines(), 1):
        assert line.startswith(f"arena: job {number} of 2: market.path=")
        assert line.endswith("no such file")
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_sweep_is_gone_on_with_by_the_same_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true_show = Progression.show

    def ask(self: Progression, made: Any) -> None:
        true_show(self, made)
        if int(made["generations"]["generation"][0]) == 0:
            os.kill(os.getpid(), signal.SIGINT)

    words = ("record.fitness=all,births", "evolution.generations=4")
    with monkeypatch.context() as patch:
        patch.setattr(Progression, "show", ask)
        rows, said, complaint = sweep(tmp_path, *words, code=130)
    assert [row[1] for row in rows] == ["interrupted", "not started"]
    assert "arena: interrupted, 1 of 2 jobs not started; go on with: arena evolve -m " in complaint
    assert "job 2 of 2" not in said
    rows, _, _ = sweep(tmp_path, *words)
    assert rows[0][1].startswith("resumed after ")
    assert rows[1][1] == "finished"


def test_groups_and_ranges_are_swept_and_checked_without_running(tmp_path: Path) -> None:
    rows, _, _ = sweep(tmp_path / "runs", "check=true", "selection=lexicase,tournament", "seed=range(0,2)")
    assert [row[1] for row in rows] == ["checked"] * 4
    assert len({row[2] for row in rows}) == 4
    assert rows[-1][3] == "selection=tournament seed=1"
    assert not (tmp_path / "runs").exists()


def test_the_command_itself_answers_a_bad_sweep_with_its_lines_and_code_2(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "experiments.cli", "evolve", "-m", "seed=-1,1", "evolution.agents=16,-2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert [line.split(": ")[:2] for line in done.stderr.splitlines()] == [
        ["arena", "seed=-1"],
        ["arena", "evolution.agents=-2"],
    ]
    assert list(tmp_path.iterdir()) == []

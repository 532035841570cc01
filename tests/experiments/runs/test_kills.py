"""Runs that are killed again and again, at random and at named moments inside every kind of write, and gone on with
each time, end with the very rows of a run that nobody disturbed.

Every kill is a real SIGKILL of a process (see mortal.py). Some twenty of them happen in each test session, one at
each kind of moment; the other moments that have names, and ARENA_SOAK_KILLS at random, run with `-m soak`. Random
moments are drawn anew each time: a failure shows the seed, and ARENA_KILL_SEED brings it back.
"""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from small_runs import SMALL, assert_same, compiled_once

from arena.schemas import TABLES
from experiments.runs.directory import RunDirectory
from experiments.runs.files import TEMPORARY

pytestmark = [
    pytest.mark.usefixtures("plainly_compiled"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork"),
    pytest.mark.slow,
    pytest.mark.timeout(1200),
]

GENERATIONS = 12
KILLS = 2  # at random, for each of the tests that do
KILLED = -int(signal.SIGKILL)
PART = r"^\d{8}-\d{8}-0\.parquet$"
CHECKPOINT = r"^checkpoints/\d{8}\.safetensors$"
GENOME = r"^genomes/\d+(-\d+)?\.safetensors$"

MANY = (
    # Of a run that has made nothing yet.
    ("begin", "^config.yaml$", 0),
    ("half", "^config.yaml$", 0),
    ("rename", "^config.yaml$", 0),
    ("half", "^manifest.json$", 0),
    ("rename", "^manifest.json$", 0),
    ("remove", f"^{TEMPORARY}", 0),  # going on clears what the life before left
    # Of a run on its way: a part every generation, a checkpoint every second, one of them kept.
    ("half", GENOME, 0),
    ("remove", f"^genomes/{TEMPORARY}", 0),
    ("rename", GENOME, 2),
    ("remove", GENOME, 1),  # going on forgets genomes that the checkpoint does not know
    ("half", PART, 3),
    ("rename", r"^scars\.parquet/", 0),  # between the parts of a flush
    ("remove", r"^births\.parquet/", 0),  # going on forgets parts
    ("sync", r"^generations\.parquet$", 1),  # a part has its name, its folder is not on disk yet
    ("remove", r"^[a-z]+\.parquet/", 3),
    ("begin", CHECKPOINT, 0),  # flushed, no checkpoint yet
    ("half", CHECKPOINT, 0),
    ("rename", CHECKPOINT, 0),
    ("remove", r"^[a-z]+\.parquet/", 0),
    ("sync", "^checkpoints$", 0),  # it has its name, its folder is not on disk yet
    ("remove", CHECKPOINT, 0),  # a new checkpoint is there, and so is the old one
    ("half", PART, 11),
    ("begin", CHECKPOINT, 1),
    ("half", "^manifest.json$", 0),  # a session begins
    # Of its end.
    ("half", r"^lineage\.parquet$", 0),
    ("rename", r"^lineage\.parquet$", 0),
    ("half", "^manifest.json$", 1),  # the second time it is written in a session: finished
    ("rename", "^manifest.json$", 1),
)
"""All moments that have names, in an order in which each is reached."""

ALIKE = {1, 4, 6, 7, 14, 17, 18, 21, 22, 23, 24, 27}
"""Numbers of those whose kind another one has too; they are left to the soak."""

FEW = tuple(moment for number, moment in enumerate(MANY) if number not in ALIKE)


class Mortals:
    """Commands in processes that can be killed.

    Args:
        home: a folder for what they hand on.
        cache: folder of compiled programs.
    """

    def __init__(self, home: Path, cache: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("mortal.py")), str(home), *SMALL],
            env={
                **os.environ,
                "JAX_COMPILATION_CACHE_DIR": str(cache),
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.05",
                "OPENBLAS_NUM_THREADS": "1",
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, **moment: Any) -> tuple[int, str]:
        """The exit code (below zero: of a signal) and what was said."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"words": words, **moment}) + "\n")
        self._process.stdin.flush()
        found = json.loads(self._process.stdout.readline())
        return found["code"], found["said"]

    def close(self) -> None:
        """Let the process end."""
        self._process.communicate()


@pytest.fixture(scope="module")
def mortals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mortals]:
    with compiled_once(tmp_path_factory) as cache:
        made = Mortals(tmp_path_factory.mktemp("mortal"), cache)
        yield made
        made.close()


class Run:
    """One run that is killed and gone on with."""

    def __init__(self, mortals: Mortals, folder: Path, *overrides: str, generations: int = GENERATIONS) -> None:
        self._mortals, self._folder = mortals, folder
        quiet = ("terminal.progress=false", f"evolution.generations={generations}")
        self._evolve = ("evolve", *SMALL, *quiet, *overrides, f"runs_dir={folder}")
        self.kills = 0

    @property
    def directory(self) -> RunDirectory | None:
        """Where it lies, once it is a run."""
        found = list(self._folder.glob("*/config.yaml"))
        return RunDirectory(found[0].parent) if found else None

    def live(self, *intervals: str, **moment: Any) -> bool:
        """Begin it or go on, with other intervals perhaps; whether the process was killed.

        What it leaves is whole, whatever happened.
        """
        known = self.directory
        words = ("resume", str(known.root)) if known and not intervals else (*self._evolve, *intervals)
        code, said = self._mortals.run(*words, folder=str(self._folder), **moment)
        assert code in (0, KILLED), said
        self.kills += code == KILLED
        if (left := self.directory) is not None:
            for name in TABLES:
                left.read(name)
            manifest = left.read_manifest()
            # Who is killed after its last word was written has finished all the same.
            assert left.state(manifest) in (("interrupted", "finished") if code else ("finished",))
        return code == KILLED


@pytest.fixture(scope="module")
def undisturbed(mortals: Mortals, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    run = Run(mortals, tmp_path_factory.mktemp("undisturbed"))
    assert not run.live()
    assert run.directory is not None
    return run.directory


@pytest.fixture
def chance() -> random.Random:
    seed = int(os.environ.get("ARENA_KILL_SEED", random.SystemRandom().randrange(2**32)))
    print(f"ARENA_KILL_SEED={seed}")  # pytest shows it where a test fails
    return random.Random(seed)


def assert_undisturbed(run: Run, undisturbed: RunDirectory) -> None:
    """The run ended as if nothing had ever happened to it."""
    found = run.directory
    assert found is not None
    assert_same(undisturbed, found)
    assert found.read("timings")["generation"].to_list() == list(range(undisturbed.read("timings").height))
    left = [path.name for path in found.root.rglob("*") if path.name.startswith(".")]
    assert set(left) <= {".lock"}  # which locks nothing once its holder is gone


@pytest.mark.parametrize("moments", [FEW, pytest.param(MANY, marks=pytest.mark.soak)], ids=["few", "many"])
def test_a_kill_at_each_named_moment_costs_no_row(
    moments: tuple[tuple[str, str, int], ...], mortals: Mortals, undisturbed: RunDirectory, tmp_path: Path
) -> None:
    run = Run(mortals, tmp_path, "record.flush=1", "record.checkpoint=2", "record.keep=1")
    for event in moments:
        assert run.live(event=event), f"{event} was not reached"
    assert not run.live()
    assert run.kills == len(moments)
    assert_undisturbed(run, undisturbed)


def drawn(chance: random.Random) -> list[str]:
    """Intervals of writing; a life may have others than the one before."""
    return [f"record.{key}={chance.randint(1, 5)}" for key in ("flush", "checkpoint", "keep")]


def harass(
    kills: int,
    draw: Callable[[], tuple[list[str], dict[str, Any]]],
    mortals: Mortals,
    undisturbed: RunDirectory,
    folder: Path,
) -> None:
    """Kill as often as asked, run after run where one ends before that, and compare each.

    Args:
        kills: how many.
        draw: intervals (none: as before) and moment of the next life.
        mortals, undisturbed, folder: of the test.
    """
    for attempt in itertools.count():
        run = Run(mortals, folder / str(attempt), "record.flush=2", "record.checkpoint=5")
        alive = False
        while run.kills < kills and not alive:
            intervals, moment = draw()
            alive = not run.live(*intervals, **moment)
        assert alive or not run.live()
        assert_undisturbed(run, undisturbed)
        kills -= run.kills
        if not kills:
            return


@pytest.mark.parametrize("changing", [False, True])
def test_kills_at_any_event_of_writing_cost_no_row(
    changing: bool, mortals: Mortals, undisturbed: RunDirectory, tmp_path: Path, chance: random.Random
) -> None:
    def draw() -> tuple[list[str], dict[str, Any]]:
        return drawn(chance) if changing else [], {"event": (None, "", chance.randrange(150))}

    harass(KILLS, draw, mortals, undisturbed, tmp_path)


def test_kills_by_the_clock_cost_no_row(
    mortals: Mortals, undisturbed: RunDirectory, tmp_path: Path, chance: random.Random
) -> None:
    harass(KILLS, lambda: ([], {"clock": chance.uniform(0.0, 0.3)}), mortals, undisturbed, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(24 * 3600)
def test_hundreds_of_kills_cost_no_row(
    mortals: Mortals, undisturbed: RunDirectory, tmp_path: Path, chance: random.Random
) -> None:
    def draw() -> tuple[list[str], dict[str, Any]]:
        by_clock = chance.random() < 0.3
        moment = {"clock": chance.uniform(0, 1)} if by_clock else {"event": (None, "", chance.randrange(200))}
        return drawn(chance) if chance.random() < 0.3 else [], moment

    harass(int(os.environ.get("ARENA_SOAK_KILLS", "300")), draw, mortals, undisturbed, tmp_path)

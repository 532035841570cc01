"""Two processes leave what one leaves, go on with its run and it with theirs, and end in order whatever happens."""

import dataclasses
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
import small_runs
from plainly import plainly
from safetensors.numpy import load_file
from small_runs import SMALL, arena, assert_same, evolve

from experiments.configuration.compose import compose
from experiments.configuration.study import make_study
from experiments.exchange.xgboost_json import to_xgboost
from experiments.founders.brains import ensemble_of
from experiments.runs.checkpoint import last_checkpoint
from experiments.runs.directory import RunDirectory
from experiments.runs.job import Job
from genomes.forest import ForestSpecies

WORLD = ("evolution.replicates=2", "terminal.progress=true")
ENDLESS = "evolution.generations=100000"
FORESTS = (
    *(line for line in SMALL if not line.startswith(("species", "scars", "trust", "evolution.generations"))),
    "scars=none",
    "trust=none",
    "species=forest",
    "species.forest.layout=ordinary",
    "species.forest.market_trees=6",
    "species.forest.state_trees=0",
    "species.forest.depth=1",
    "evolution.generations=2",
    "evolution.stops=false",
    "archive.candidates=1",
)

pytestmark = [pytest.mark.usefixtures("plain", "cache", "no_table"), pytest.mark.slow, pytest.mark.timeout(900)]


Pair = tuple[subprocess.Popen[str], subprocess.Popen[str]]


def start(cache: Path, runs_dir: Path, *overrides: str, second: tuple[str, ...] = ()) -> Pair:
    """Start two processes on one run."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    def one(number: int, own: tuple[str, ...]) -> subprocess.Popen[str]:
        place = (f"device.coordinator=127.0.0.1:{port}", "device.processes=2", f"device.process={number}")
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "experiments.cli",
                "evolve",
                *small_runs.SMALL,
                *WORLD,
                f"runs_dir={runs_dir}",
                *overrides,
            ]
            + [*place, *own],
            env={
                **os.environ,
                "JAX_COMPILATION_CACHE_DIR": str(cache),
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
                "PYTHONUNBUFFERED": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return one(0, ()), one(1, second)


def end(pair: Pair) -> list[tuple[int, str, str]]:
    """Exit code, output and errors of both."""
    said = [each.communicate(timeout=500) for each in pair]
    return [(each.returncode, *own) for each, own in zip(pair, said, strict=True)]


def await_generation(pair: Pair, number: int) -> None:
    """Wait until that generation is on record."""
    assert pair[0].stdout is not None
    for line in pair[0].stdout:
        if line.startswith(f"{number:6d}  "):
            return
    raise AssertionError(end(pair))


@pytest.fixture(scope="module")
def plain() -> Iterator[None]:
    """Compiled without optimizations but fused as for users, so that the number of devices changes no bit."""
    with plainly(fused=True):
        jax.clear_caches()
        yield
    jax.clear_caches()


def only_run(runs_dir: Path) -> RunDirectory:
    (root,) = runs_dir.iterdir()
    return RunDirectory(root)


def assert_same_state(first: RunDirectory, second: RunDirectory) -> None:
    """The last checkpoints are equal, leaf for leaf."""
    paths = [last_checkpoint(run) for run in (first, second)]
    one, other = (load_file(path) for path in paths if path is not None)
    assert one.keys() == other.keys()
    for name, leaf in one.items():
        assert leaf.tobytes() == other[name].tobytes(), name


def test_two_processes_make_the_run_that_one_makes_and_either_goes_on_with_the_others(
    cache: Path, tmp_path: Path
) -> None:
    pair = start(cache, tmp_path / "two", ENDLESS, "record.flush=1", "record.checkpoint=1")
    await_generation(pair, 2)
    pair[1].kill()  # one that is gone ends the other
    (code, _, complaint), _ = end(pair)
    assert code == 2
    assert complaint.splitlines()[-1].startswith("arena: process 1: gone")
    assert "Traceback" not in complaint
    two = only_run(tmp_path / "two")
    manifest = two.read_manifest()
    assert manifest["state"] == "interrupted"
    assert manifest["device"] == {"kind": manifest["device"]["kind"], "count": 2, "processes": 2}

    one, _ = evolve(tmp_path / "one", *WORLD, "evolution.generations=2")
    assert one.root.name == two.root.name
    pair = start(cache, tmp_path / "one", ENDLESS)
    await_generation(pair, 2)
    pair[1].send_signal(signal.SIGINT)  # one that is asked to stop stops both
    (code, said, complaint), (other_code, other_said, other_complaint) = end(pair)
    assert (code, other_code) == (130, 130), complaint
    assert (other_said, other_complaint) == ("", "")
    assert "Gloo" not in said
    done = one.read_manifest()["generations"]
    assert done > 2
    assert one.read_manifest()["state"] == "interrupted"

    path = last_checkpoint(two)
    assert path is not None
    kept = int(path.stem)
    assert kept >= 1
    last = f"evolution.generations={max(done, kept) + 1}"
    for run, before in ((one, done), (two, kept)):
        again, told = evolve(run.root.parent, *WORLD, last)
        assert again.root == run.root
        assert f"going on after {before} generations" in told

    # The first `kept` generations were computed by two processes here and the first 2 by one there.
    assert_same(one, two)
    assert_same_state(one, two)
    for run in (one, two):
        assert {part.stem.rpartition("-")[2] for part in run.table("births").iterdir()} == {"0"}
        assert {run.read_config()["device"][key] for key in ("coordinator", "processes", "process")} == {None}


@pytest.mark.soak  # compiles forests for two processes and for one: minutes, for what each half has tests of its own
def test_two_processes_found_a_run_by_a_saved_model_as_one_does(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("small_runs.SMALL", FORESTS)
    job = Job(make_study(compose([*FORESTS, f"runs_dir={tmp_path}"])))
    species = job.plan.rollouts[0].species
    assert isinstance(species, ForestSpecies)
    inputs = species.shape.features + species.shape.account
    genome = jax.device_get(species.init(jax.random.key(1), jnp.tile(jnp.linspace(-2.0, 2.0, 9), (inputs, 1))))
    few = genome._replace(market=jax.tree.map(lambda leaf: leaf[:2], genome.market))
    model = dataclasses.replace(ensemble_of(few, species, job.market.features), features=job.market.features)
    (tmp_path / "model.json").write_bytes(to_xgboost(model))

    founded = ("species.founders=file", f"training.path={tmp_path / 'model.json'}")
    ((code, said, complaint), (other_code, other_said, _)) = end(start(cache, tmp_path / "two", *founded))
    assert (code, other_code, other_said) == (0, 0, ""), complaint
    assert "models from 1 file (1 of xgboost)" in said
    two = only_run(tmp_path / "two")
    one, _ = evolve(tmp_path / "one", *WORLD, *founded, study=FORESTS)
    assert one.root.name == two.root.name
    first, second = (load_file(run.founders) for run in (one, two))
    assert {name: leaf.tobytes() for name, leaf in first.items()} == {n: leaf.tobytes() for n, leaf in second.items()}
    assert_same(one, two)
    assert_same_state(one, two)


def test_processes_that_differ_end_in_one_line_each_and_leave_nothing(cache: Path, tmp_path: Path) -> None:
    for code, said, complaint in end(start(cache, tmp_path / "runs", second=("seed=1",))):
        assert (code, said) == (2, "")
        assert complaint == "arena: seed: differs between process 0 and process 1 (0 and 1); give all the same\n"
    assert not (tmp_path / "runs").exists()


def test_a_second_process_that_never_comes_is_missed_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    place = (f"device.coordinator=127.0.0.1:{port}", "device.processes=2", "device.timeout=1")
    code, _, complaint = arena("evolve", *SMALL, f"runs_dir={tmp_path / 'runs'}", *place, "device.process=0")
    assert code == 2
    assert complaint.startswith(f"arena: device.processes: process 1 of 2 did not come to 127.0.0.1:{port} within 1 s")
    assert len(complaint.splitlines()) == 1
    assert not (tmp_path / "runs").exists()

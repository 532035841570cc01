"""What a run is said to need: growing with its sizes, refused where it cannot fit, and never less than it takes."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import polars as pl
import pytest
from plainly import plainly
from small_runs import SMALL

from arena.founding import found, spread
from arena.generation import make_generation
from arena.plan import Plan, make_plan
from experiments.configuration.compose import compose
from experiments.configuration.study import RecordSettings, load_market, make_study
from experiments.hardware.machine import Speed
from experiments.runs import estimate as module
from experiments.runs.estimate import Estimate, check_market, check_room, estimate, measured, size
from markets.errors import UserError
from markets.preparation import Market
from markets.source import MarketSettings
from markets.synthetic import SyntheticSettings

MIB = 2**20
SPEED = Speed(matrix=1e11, compile=0.5)


def prepared(*overrides: str) -> tuple[Plan, Market, RecordSettings]:
    study = make_study(compose([*SMALL, *overrides]))
    market = load_market(study)[1]
    return make_plan(study.settings, len(market.features)), market, study.record


def needs(*overrides: str, generations: int = 10, speed: Speed | None = SPEED) -> Estimate:
    return estimate(*prepared(*overrides), generations, speed)


def asking(**arrays: int) -> Estimate:
    """Needs of a run that asks for so much and for no disk."""
    return Estimate(1, 1, arrays={"evolution.agents": 0, **arrays}, program=0, on_host=True, disk=1)


def test_needs_grow_with_what_causes_them() -> None:
    base = needs()
    assert base.agent_bars == 16 * 4 * 32
    assert needs("episodes.episodes=8").agent_bars == 2 * base.agent_bars
    assert needs("evolution.replicates=3").agent_bars == 3 * base.agent_bars
    many = needs("evolution.agents=1600")
    assert many.agent_bars == 100 * base.agent_bars
    assert many.state > 10 * base.state
    assert many.arrays["evolution.agents"] > 50 * base.arrays["evolution.agents"]
    assert many.memory > base.memory
    assert needs(generations=1000).disk > 30 * base.disk
    assert needs("archive.trials=2400").arrays["archive.trials"] == 100 * base.arrays["archive.trials"] > 0
    assert needs("record.fitness=archive").disk < base.disk


def test_time_grows_with_work_and_shrinks_with_speed() -> None:
    base = needs()
    assert base.seconds is not None
    for more in ("episodes.episodes=16", "evolution.replicates=4", "species.qnetwork.hidden=[256,256]"):
        longer = needs(more).seconds
        assert longer is not None
        assert longer > 2 * base.seconds
    for less in ("archive=none", "scars=none"):
        shorter = needs(less).seconds
        assert shorter is not None
        assert shorter < base.seconds
    twice = needs(speed=dataclasses.replace(SPEED, matrix=2e11)).seconds
    assert twice == pytest.approx(base.seconds / 2)
    launched = needs(speed=dataclasses.replace(SPEED, launch=1.0)).seconds
    assert launched is not None
    assert launched > base.seconds + 32  # a bar of a block at least
    assert base.total_seconds(10) == pytest.approx(base.total_seconds(0) + 10 * base.seconds)
    assert needs(speed=None).total_seconds(1) is None


def test_cost_is_linear_in_agents() -> None:
    few, many = (needs(f"evolution.agents={agents}", "device.block=4") for agents in (1024, 102_400))
    assert few.seconds is not None
    assert many.seconds is not None
    assert many.seconds / few.seconds == pytest.approx(100, rel=0.2)
    assert many.arrays["evolution.agents"] / few.arrays["evolution.agents"] == pytest.approx(100, rel=0.15)


def test_times_that_were_measured_are_believed() -> None:
    base = needs()
    timings = pl.DataFrame({"seconds": [9.0, 1.0, 2.0, 3.0], "compile_seconds": [7.0, 0.0, 0.0, 0.0]})
    known = measured(base, timings)
    assert (known.compile_seconds, known.seconds) == (7.0, 2.5)
    assert measured(base, timings.clear()) == base


def test_what_fits_passes_even_where_the_folder_is_not_there_yet(tmp_path: Path) -> None:
    check_room(asking(), tmp_path / "runs" / "deep" / "down")


def test_too_little_memory_or_disk_is_refused_with_the_key_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "host_memory", lambda: 100 * MIB)
    monkeypatch.setattr(module, "disk_free", lambda folder: (10 * MIB, tmp_path))
    check_room(asking(market=100 * MIB), tmp_path)
    with pytest.raises(UserError, match=r"evolution\.agents: needs about 101 MiB of memory, 100 MiB are there"):
        check_room(asking(**{"evolution.agents": 101 * MIB}), tmp_path)
    with pytest.raises(UserError, match=r"device\.block: needs about 111 MiB of memory, .* a smaller device\.block"):
        check_room(asking(**{"evolution.agents": 50 * MIB, "device.block": 61 * MIB}), tmp_path)
    with pytest.raises(UserError, match=r"runs_dir: needs about 11 MiB of disk, 10 MiB are free at .*record\.fitness"):
        check_room(dataclasses.replace(asking(), disk=11 * MIB), tmp_path / "new")


def test_a_gpu_is_asked_for_its_own_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "host_memory", lambda: 100 * MIB)
    monkeypatch.setattr(module, "device_memory", lambda: 1000 * MIB)
    large = dataclasses.replace(asking(**{"evolution.agents": 900 * MIB}), on_host=False)
    check_room(large, tmp_path)
    with pytest.raises(UserError, match=r"evolution\.agents: needs about 1.1 GiB of device memory, 1,000 MiB"):
        check_room(dataclasses.replace(large, arrays={"evolution.agents": 1100 * MIB}), tmp_path)


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (("evolution.agents=100000000",), "evolution.agents"),
        (("evolution.islands=50000000", "evolution.agents=100000000"), "evolution.agents"),
        (("episodes.episodes=1000000000",), "episodes.episodes"),
        (("species.qnetwork.hidden=[1000000,1000000]",), "species.qnetwork"),
        (("species.qnetwork.hidden=[2000000000,2000000000]",), "species.qnetwork"),
        (("evolution.agents=2000000", "episodes.episodes=100000", "device.block=1000000"), "device.block"),
    ],
)
def test_absurd_sizes_are_refused_at_once(tmp_path: Path, overrides: tuple[str, ...], key: str) -> None:
    with pytest.raises(UserError, match=f"^{key}: "):
        check_room(needs(*overrides, speed=None), tmp_path)


def test_bars_that_cannot_be_drawn_are_refused_before_they_are() -> None:
    check_market(MarketSettings("synthetic", "pool", SyntheticSettings()))
    with pytest.raises(UserError, match=r"^market\.bars: 1,000,000,000,000 bars need"):
        check_market(MarketSettings("synthetic", "pool", SyntheticSettings(bars=10**12)))


@pytest.mark.parametrize(
    ("count", "said"),
    [(3 * MIB / 2, "1.5 MiB"), (40 * MIB, "40 MiB"), (1536 * MIB, "1.5 GiB"), (5 * 2**40, "5.0 TiB")],
)
def test_bytes_are_said_in_units_of_their_size(count: float, said: str) -> None:
    assert size(count) == said


def compiled_bytes(plan: Plan, market: Market) -> int:
    """What the compiler says that a generation takes on all devices: what goes in, what comes out, and between."""
    state: Any = spread(plan, found(plan, market.tape))
    with plainly():  # how memory is laid out is settled before code is made
        program = make_generation(plan).lower(state, market.tape).compile().memory_analysis()
    return int(plan.mesh.devices.size) * (
        program.argument_size_in_bytes
        + program.output_size_in_bytes
        - program.alias_size_in_bytes
        + program.temp_size_in_bytes
    )


def test_learning_adds_memory_and_time_and_its_batch_can_be_made_smaller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, learning = needs(), needs("learning=lamarckian")
    born = needs("learning=baldwinian")
    assert base.arrays["learning.batch"] == 0
    assert base.state < learning.state < born.state
    assert base.arrays["episodes.episodes"] < learning.arrays["episodes.episodes"], "a trajectory"
    assert base.seconds is not None
    assert learning.seconds is not None
    assert base.compile_seconds is not None
    assert learning.compile_seconds is not None
    assert base.seconds < learning.seconds
    assert base.compile_seconds < learning.compile_seconds
    often = needs("learning=lamarckian", "learning.every=4").seconds
    assert often is not None
    assert often > learning.seconds
    large = needs("learning=lamarckian", "learning.batch=1000000", speed=None)
    monkeypatch.setattr(module, "host_memory", lambda: 2**31)
    with pytest.raises(UserError, match=r"^learning\.batch: needs .*a smaller learning\.batch"):
        check_room(large, tmp_path)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="how the compiler for CPUs lays out memory")
def test_the_estimate_is_no_less_than_the_compiler_says_and_not_twice_as_much() -> None:
    words = ("evolution.agents=512", "species.qnetwork.hidden=[32,32]", "device.block=32", "learning=lamarckian")
    plan, market, record = prepared(*words)
    said = sum(estimate(plan, market, record, 1).arrays.values())
    taken = compiled_bytes(plan, market)
    assert taken <= said <= 2 * taken

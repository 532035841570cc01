"""What a run is said to need: growing with its sizes, and refused where it cannot fit."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from small_runs import SMALL

from arena.plan import make_plan
from experiments import estimate as module
from experiments.configuration import compose
from experiments.estimate import Estimate, check_room, estimate
from experiments.study import load_market, make_study
from markets.errors import UserError

MIB = 2**20


def needs(*overrides: str, generations: int = 10) -> Estimate:
    study = make_study(compose([*SMALL, *overrides]))
    market = load_market(study)[1]
    return estimate(make_plan(study.settings, len(market.features)), market, study.record, generations)


def test_needs_grow_with_what_causes_them() -> None:
    base = needs()
    assert base.agent_bars == 16 * 4 * 32
    assert needs("episodes.episodes=8").agent_bars == 2 * base.agent_bars
    assert needs("evolution.replicates=3").agent_bars == 3 * base.agent_bars
    many = needs("evolution.agents=1600")
    assert many.agent_bars == 100 * base.agent_bars
    assert many.state > 10 * base.state
    assert many.memory > base.memory
    assert needs(generations=1000).disk > 50 * base.disk
    assert needs("record.fitness=archive").disk < base.disk


def test_what_fits_passes_even_where_the_folder_is_not_there_yet(tmp_path: Path) -> None:
    check_room(Estimate(1, 1, 1, 1), tmp_path / "runs" / "deep" / "down")


def test_too_little_memory_or_disk_is_refused_with_the_key_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_memory", lambda: 100 * MIB)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=10 * MIB))
    check_room(Estimate(1, 1, 100 * MIB, 10 * MIB), tmp_path)
    with pytest.raises(UserError, match=r"evolution\.agents: needs about 101 MiB of memory, 100 are there"):
        check_room(Estimate(1, 1, 101 * MIB, 1), tmp_path)
    with pytest.raises(UserError, match=r"runs_dir: needs about 11 MiB of disk, 10 are free at .*record\.fitness"):
        check_room(Estimate(1, 1, 1, 11 * MIB), tmp_path / "new")

"""What a job says of its study before anything is compiled."""

import socket
from pathlib import Path
from typing import Any

import pytest
from small_runs import SMALL

from experiments.configuration.compose import compose
from experiments.configuration.study import make_study
from experiments.hardware.processes import Processes
from experiments.runs import job as module
from experiments.runs.directory import RunDirectory
from experiments.runs.job import Job
from markets.errors import UserError


@pytest.mark.parametrize(("replicates", "shown"), [(1, "SYN1, SYN2  "), (3, "SYN1, SYN2 × 3 replicates  ")])
def test_symbols_are_named_once_however_many_replicates_have_a_market_of_their_own(
    replicates: int, shown: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = Job(make_study(compose([*SMALL, "market.symbols=2", f"evolution.replicates={replicates}"])))
    assert job.symbols == ["SYN1", "SYN2"]
    job.describe(RunDirectory(tmp_path), done=job.target)
    assert f"\n  market  {shown}" in capsys.readouterr().out


def test_one_that_is_lost_while_devices_connect_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = socket.socketpair()
    monkeypatch.setattr(module, "join", lambda device: Processes(0, 2, [near]))
    monkeypatch.setattr(Processes, "exchange", lambda own, word: [word] * 2)

    def lose(mesh: Any) -> None:
        far.close()
        raise RuntimeError("Gloo connectFullMesh failed")

    monkeypatch.setattr(module, "acquaint", lose)
    with near, pytest.raises(UserError, match=r"^process 1: gone"):
        Job(make_study(compose(SMALL)))

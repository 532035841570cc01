"""What a job says of its study before anything is compiled."""

from pathlib import Path

import pytest
from small_runs import SMALL

from experiments.configuration.compose import compose
from experiments.configuration.study import make_study
from experiments.runs.directory import RunDirectory
from experiments.runs.job import Job


@pytest.mark.parametrize(("replicates", "shown"), [(1, "SYN1, SYN2  "), (3, "SYN1, SYN2 × 3 replicates  ")])
def test_symbols_are_named_once_however_many_replicates_have_a_market_of_their_own(
    replicates: int, shown: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = Job(make_study(compose([*SMALL, "market.symbols=2", f"evolution.replicates={replicates}"])))
    assert job.symbols == ["SYN1", "SYN2"]
    job.describe(RunDirectory(tmp_path), done=job.target)
    assert f"\n  market  {shown}" in capsys.readouterr().out

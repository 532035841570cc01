"""`arena runs` and `arena show` read a run's records and nothing else."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from arena.schemas import TABLES
from experiments.cli import main
from experiments.rundir import RunDirectory


def table(name: str, *rows: dict[str, Any]) -> pl.DataFrame:
    """Rows of a table; what is not given is null."""
    full = [{key: row.get(key) for key in TABLES[name]} for row in rows]
    return pl.DataFrame(full, schema=TABLES[name])


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    run = RunDirectory(tmp_path / "runs" / "0123456789ab")
    run.create({"seed": 3})
    run.note(run_id="0123456789ab", state="interrupted", generations=2, target=5, seed=3, symbols=["ABC"])
    parts = {
        "births": table(
            "births",
            {"id": 0, "species": "qnetwork", "island": 0, "generation": 0, "operator": "founder"},
            {"id": 1, "parent_id": 0, "species": "qnetwork", "island": 0, "generation": 1, "operator": "mutation"},
        ),
        "deaths": table("deaths", {"id": 0, "generation": 1, "cause": "culled"}),
        "archive": table(
            "archive",
            {"generation": 0, "fold": 0, "regime": "all", "id": 0, "score": 1e-5},
            {"generation": 1, "fold": 0, "regime": "all", "id": 1, "score": 2e-5, "previous_id": 0},
        ),
        "fitness": table(
            "fitness",
            {"generation": 1, "id": 1, "split": "train", "regime": "all", "bars": 100, "log_return": 0.03, "trades": 5},
            {"generation": 1, "id": 1, "split": "validation", "regime": "all", "bars": 50, "trades": 7},
        ),
    }
    for name, frame in parts.items():
        frame.write_parquet(run.table(name) / "00000000-00000001-0.parquet")
    return run


def test_runs_lists_state_and_best_score(directory: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--runs-dir", str(directory.root.parent)]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["run", "started", "state", "market"]
    assert row.split() == ["0123456789ab", "–", "interrupted", "ABC", "2/5", "3", "+0.200"]


def test_runs_lists_a_damaged_run_as_damaged(directory: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    directory.manifest.write_text("{")
    assert main(["runs", "--runs-dir", str(directory.root.parent)]) == 0
    assert "damaged" in capsys.readouterr().out


def test_show_names_the_champion_and_counts_lives(directory: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "0123456789ab", "--runs-dir", str(directory.root.parent)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "2: 1 founder, 1 mutation" in "\n".join(lines) or "2: 1 mutation, 1 founder" in "\n".join(lines)
    champion = next(line for line in lines if line.startswith("all "))
    assert champion.split() == ["all", "qnetwork", "mutation", "1", "1", "+0.200", "+3.000", "7"]
    assert lines[-1] == str(directory.root)


def test_a_run_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "nothing", "--runs-dir", str(tmp_path)]) == 2
    assert "no such run" in capsys.readouterr().err
    assert main(["runs", "--runs-dir", str(tmp_path / "none")]) == 2

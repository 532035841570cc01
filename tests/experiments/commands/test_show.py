"""`arena runs` and `arena show` read a run's records and nothing else."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from arena.schemas import TABLES
from experiments.cli import main
from experiments.runs.directory import RunDirectory
from experiments.runs.lock import only_one


def table(name: str, *rows: dict[str, Any]) -> pl.DataFrame:
    """Rows of a table; what is not given is null."""
    full = [{key: row.get(key) for key in TABLES[name]} for row in rows]
    return pl.DataFrame(full, schema=TABLES[name])


def part(run: RunDirectory, name: str) -> Path:
    """The only part of a table."""
    return run.table(name) / "00000000-00000001-0.parquet"


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
            {
                "generation": 1,
                "id": 1,
                "split": "validation",
                "regime": "all",
                "bars": 50,
                "log_return": 0.02,
                "trades": 7,
            },
            {"generation": 2, "id": 1, "split": "train", "regime": "all", "bars": 100, "log_return": 0.09, "trades": 9},
        ),
    }
    for name, frame in parts.items():
        frame.write_parquet(part(run, name))
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
    place, champion = next((p, line) for p, line in enumerate(lines) if line.startswith("all "))
    assert champion.split() == ["all", "qnetwork", "mutation", "1", "1", "+0.200", "+4.000", "+3.000", "7"], (
        "as when it won"
    )
    head = lines[place - 1]
    for column, value in (("score", "+0.200"), ("valid", "+4.000"), ("train", "+3.000"), ("trades", "7")):
        assert head.index(column) + len(column) == champion.index(f" {value}") + 1 + len(value), column
    assert max(map(len, lines[:-1])) <= 80
    assert lines[-1] == str(directory.root)


def test_a_run_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "nothing", "--runs-dir", str(tmp_path)]) == 2
    assert "no such run" in capsys.readouterr().err


def test_no_folder_of_runs_is_no_runs_and_a_file_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--runs-dir", str(tmp_path / "none")]) == 0
    assert capsys.readouterr().out == f"no runs in {tmp_path / 'none'}\n"
    (tmp_path / "file").touch()
    assert main(["runs", "--runs-dir", str(tmp_path / "file")]) == 2
    assert "not a folder" in capsys.readouterr().err


def test_a_run_that_nobody_is_at_work_on_was_interrupted(
    directory: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    directory.note(state="running")
    (directory.checkpoints / "00000002.safetensors").touch()
    directory.note(generations=0)  # as it was when the session began

    def state() -> str:
        assert main(["runs", "--runs-dir", str(directory.root.parent)]) == 0
        listed = capsys.readouterr().out.splitlines()[1].split()[2]
        assert main(["show", str(directory.root)]) == 0
        assert f"  state   {listed}, 2 of 5 generations" in capsys.readouterr().out
        return listed

    assert state() == "interrupted"
    with only_one(directory.root):
        assert state() == "running"
    assert state() == "interrupted"


def test_champions_are_told_apart_by_their_replicate(
    directory: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    directory.create({"evolution": {"islands": 1, "replicates": 2}})
    born = {"species": "qnetwork", "generation": 0, "operator": "founder"}
    table("births", *({**born, "id": i, "island": i} for i in (0, 1))).write_parquet(part(directory, "births"))
    rows = [(0, 0, "all", 1e-5), (0, 1, "all", 3e-5), (1, 0, "all", 2e-5), (1, 1, "calm_ranging", 4e-5)]
    table(
        "archive", *({"generation": g, "fold": 0, "id": i, "regime": r, "score": s} for g, i, r, s in rows)
    ).write_parquet(part(directory, "archive"))
    assert main(["runs", "--runs-dir", str(directory.root.parent)]) == 0
    assert capsys.readouterr().out.rstrip().endswith("+0.300 (replicate 2)")
    assert main(["show", str(directory.root)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    shown = [(line[0], line[1], line[4], line[6]) for line in lines if line[:1] in (["all"], ["calm_ranging"])]
    assert shown == [("calm_ranging", "2", "1", "+0.400"), ("all", "1", "0", "+0.200"), ("all", "2", "1", "+0.300")]


def test_a_run_with_a_damaged_table_is_listed_as_damaged_and_shown_in_one_line(
    directory: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    part(directory, "archive").write_bytes(b"PAR1")
    assert main(["runs", "--runs-dir", str(directory.root.parent)]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["0123456789ab", "–", "damaged", "ABC", "2/5", "3", "–"]
    assert main(["show", str(directory.root)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"arena: {part(directory, 'archive')}: damaged")
    assert error.count("\n") == 1

"""`arena report RUN`: one file, the same for the same run, whole or not at all, and nothing else changes."""

import datetime
import json
import re
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from small_runs import arena

from arena.schemas import TABLES
from experiments.report.report import write_report
from experiments.runs.directory import RunDirectory
from experiments.runs.lock import only_one


@pytest.fixture
def run(small_run: Path, tmp_path: Path) -> RunDirectory:
    """A copy of the small run."""
    shutil.copytree(small_run, tmp_path / "runs" / "0123456789ab")
    return RunDirectory(tmp_path / "runs" / "0123456789ab")


def facts_of(path: Path) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="facts">(.*?)</script>', path.read_text("utf-8"), re.S)
    assert found is not None
    content: dict[str, Any] = json.loads(found[1])
    return content


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_report_lies_in_the_run_and_nothing_else_changes(run: RunDirectory) -> None:
    before = snapshot(run.root)
    code, said, complaint = arena("report", str(run.root), "--only-records")
    assert (code, complaint) == (0, "")
    assert said.splitlines()[0] == "report on run 0123456789ab"
    assert said.splitlines()[-1] == str(run.root / "report.html")
    after = snapshot(run.root)
    assert set(after) == {*before, "report.html"}
    assert {name: after[name] for name in before} == before
    assert facts_of(run.root / "report.html")["run"]["done"] == 6


def test_a_run_is_found_by_its_id_even_while_somebody_is_at_work_on_it(run: RunDirectory, tmp_path: Path) -> None:
    run.note(state="running", finished=None)
    out = tmp_path / "somewhere.html"
    with only_one(run.root):
        code, said, complaint = arena(
            "report", "0123456789ab", "--runs-dir", str(run.root.parent), "--only-records", "--out", str(out)
        )
    assert (code, complaint) == (0, "")
    assert said.splitlines()[-1] == str(out)
    assert facts_of(out)["run"]["state"] == "running"
    assert not (run.root / "report.html").exists()


def test_the_same_run_gives_the_same_bytes_but_for_the_moment(run: RunDirectory, tmp_path: Path) -> None:
    texts = []
    for second in (1, 2):
        moment = datetime.datetime(2026, 1, 2, 3, 4, second, tzinfo=datetime.UTC)
        write_report(run, tmp_path / "again.html", only_records=True, made=moment)
        texts.append((tmp_path / "again.html").read_text("utf-8"))
    assert texts[0] != texts[1]
    assert texts[0].replace("2026-01-02T03:04:01+00:00", "2026-01-02T03:04:02+00:00") == texts[1]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["nowhere"], "arena: nowhere: no such run; there are: 0123456789ab\n"),
        (["RUN", "--out", "report.txt"], "arena: report.txt: does not end in .html; name a file that does\n"),
        (["RUN", "--out", "gone/x.html"], "arena: gone/x.html: there is no folder gone; make it first\n"),
        (["RUN", "--out", "x.html"], "arena: x.html: is a folder; right is the name of a file\n"),
        (["RUN", "--all"], "arena: report: unrecognized arguments: --all; see arena report --help\n"),
    ],
)
def test_what_a_user_did_wrong_is_one_line_and_nothing_is_written(
    run: RunDirectory, words: list[str], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.html").mkdir()
    code, said, error = arena("report", *(str(run.root) if word == "RUN" else word for word in words))
    assert (code, said, error) == (2, "", complaint)
    assert not (run.root / "report.html").exists()


def test_a_disk_that_is_full_leaves_the_old_report(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    (run.root / "report.html").write_text("old")

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    code, _, error = arena("report", str(run.root), "--only-records")
    assert code == 2
    assert error == f"arena: {run.root}/report.html: No space left on device\n"
    assert (run.root / "report.html").read_text() == "old"
    assert not list(run.root.glob(".part-*"))


def test_what_a_run_says_cannot_break_out_of_the_page(run: RunDirectory) -> None:
    nasty = "</script><script>alert(1)</script><!--<script>\ud800"
    run.manifest.write_text(json.dumps({**run.read_manifest(), "symbols": [nasty], "target": nasty}), encoding="utf-8")
    text = run.config.read_text("utf-8")
    run.config.write_text(f"{text}\n'{nasty[:-1]}': '{nasty[:-1]}'\n", encoding="utf-8")
    assert arena("report", str(run.root), "--only-records")[0] == 0
    page = (run.root / "report.html").read_text("utf-8")
    assert "alert(1)</script>" not in page
    facts = facts_of(run.root / "report.html")
    assert facts["run"]["market"]["symbols"] == [nasty]
    assert [nasty[:-1], nasty[:-1]] in facts["run"]["settings"]
    assert page.count("<script") == 3 + len(facts["columns"])


def test_whatever_is_missing_is_told_to_whoever_asked_too(run: RunDirectory) -> None:
    shutil.rmtree(run.table("scars"))
    code, said, _ = arena("report", str(run.root), "--only-records")
    assert code == 0
    assert said.count("scars.parquet: The table scars is not there.") == 1


def test_one_generation_is_one_generation(run: RunDirectory) -> None:
    for name in TABLES:
        for part in run.table(name).glob("*.parquet"):
            pl.read_parquet(part).filter(generation=0).write_parquet(part.with_name("00000000-00000000-0.parquet"))
            part.unlink()
    shutil.rmtree(run.checkpoints)
    run.note(state="running", generations=1, finished=None)
    said: list[tuple[str, str]] = []
    write_report(run, run.root / "report.html", only_records=True, tell=lambda *line: said.append(line))
    assert dict(said)["tables"].startswith("1 generation, ")
    assert dict(said)["tables"].endswith(" agents")

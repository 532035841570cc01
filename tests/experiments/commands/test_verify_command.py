"""`arena verify` says what it found in lines that fit a log, and knows a run from a bundle."""

from pathlib import Path

import pytest

from experiments.bundles.verify import Check
from experiments.cli import main


def test_a_check_stays_on_its_line_and_no_line_ends_in_blanks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    long = "figures that say more than eighty columns hold, " * 3 + "all of it"
    found = [
        Check("bundle", "files", True, long),
        Check("bundle", "runner", False, ""),
        Check("onnxruntime", "decisions", None, "[absent]"),
    ]
    monkeypatch.setattr("experiments.bundles.verify.verify", lambda path: found)
    assert main(["verify", str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"bundle       files      ok     {long}",
        "             runner     WRONG",
        "onnxruntime  decisions  –      [absent]",
        "",
        "1 of 3 checks failed",
    ]


def test_a_run_is_no_bundle_and_export_makes_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("config.yaml", "manifest.json"):  # a run has a manifest too
        (tmp_path / name).write_text("{}", encoding="utf-8")
    assert main(["verify", str(tmp_path)]) == 2
    complaint = capsys.readouterr().err
    assert f"{tmp_path}: a run, not a bundle; make one of it with arena export {tmp_path}" in complaint
    assert complaint.count("\n") == 1

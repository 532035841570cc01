"""What a terminal's encoding cannot write is printed as escapes, and is no reason to fail."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_names_that_no_encoding_holds_are_printed_as_escapes(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"b\xff\xc3\xa9.csv")
    path.write_text("timestamp,open,high,low,close\n2020-01-01,1,1,1,1\n")
    words = [sys.executable, "-m", "experiments.cli", "data", "check", str(path), str(tmp_path / "nö.csv")]
    told = subprocess.run(words, capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding}, check=False)
    assert (told.returncode, told.stderr) == (2, b"")
    assert rb"b\udcff" in told.stdout
    assert b"no such file" in told.stdout

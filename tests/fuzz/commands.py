"""The `arena` command as a user meets it, inside this process: its exit code, and what it printed and left behind."""

import contextlib
import io
import logging
import warnings
from pathlib import Path
from typing import NamedTuple

from experiments.cli import main

__all__ = ["Answer", "answer", "left", "refused"]

_SHOWN = (RuntimeWarning, UserWarning, FutureWarning, SyntaxWarning)
"""Warnings that Python prints unless it is told otherwise."""


class Answer(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str


def answer(*words: str, lines: int = 1) -> Answer:
    """Run a command and see that it behaved: code 0 or 2, a refusal in one line, no warnings, no traceback.

    Args:
        *words: what stands after `arena`.
        lines: the most lines on standard error.
    """
    out, err = io.StringIO(), io.StringIO()
    notes = logging.StreamHandler(err)
    logging.getLogger().addHandler(notes)
    try:
        with (
            warnings.catch_warnings(record=True) as caught,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            warnings.simplefilter("always")
            code = main(list(words))
    finally:
        logging.getLogger().removeHandler(notes)
    found = Answer(code, out.getvalue(), err.getvalue())
    assert code in (0, 2), found
    assert "Traceback" not in found.out + found.err
    assert len(found.err.splitlines()) <= lines, found.err
    assert not [str(each.message) for each in caught if issubclass(each.category, _SHOWN)]
    return found


def refused(found: Answer) -> bool:
    """Whether a command refused its input; then it said so in a line that can be printed."""
    if found.code == 0:
        return False
    said = (found.err or found.out).rstrip("\n")
    assert said, "a refusal says why"
    assert all(line.isprintable() for line in found.err.splitlines()), found.err
    assert len(found.err) < 2500
    return True


def left(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, with the content of files, to compare before and after."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }

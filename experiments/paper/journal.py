"""The journal: everything that a paper account is, one JSON object a line, brought to disk before anything follows.

It is only ever appended to, so that a process that is killed at any point leaves at most one torn line behind, the
last. That line is dropped when the journal is next opened: what it would have said has had no consequence yet.
"""

import dataclasses
import datetime
import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from agents.live import Bar, Decision
from experiments.runs.files import sync_folder
from markets.errors import UserError

__all__ = ["JOURNAL", "Journal", "Line", "bar_of", "told", "values_of"]

JOURNAL = "journal.jsonl"

Line = Mapping[str, Any]


class Journal:
    """The journal of a folder, open for more.

    Args:
        path: the file; made where there is none.

    Attributes:
        lines: that were there when it was opened, oldest first.
        torn: bytes of a torn last line, which were dropped.

    Raises:
        UserError: a line before the last that cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        raw = path.read_bytes() if path.exists() else b""
        whole = raw.rfind(b"\n") + 1
        self.torn = len(raw) - whole
        self.lines: list[Line] = [self._read(number, line) for number, line in enumerate(raw[:whole].splitlines(), 1)]
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        if self.torn:
            os.ftruncate(self._handle, whole)
        os.fsync(self._handle)
        sync_folder(path.parent)

    def append(self, lines: Iterable[Line]) -> None:
        """Write lines and the time of writing, and return when the disk has them."""
        at = {"at": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")}
        text = "".join(f"{json.dumps({**line, **at}, ensure_ascii=False, allow_nan=False)}\n" for line in lines)
        left = memoryview(text.encode())
        try:
            while left:
                left = left[os.write(self._handle, left) :]
            os.fsync(self._handle)
        except OSError as error:
            raise OSError(error.errno, os.strerror(error.errno or 0), str(self._path)) from error

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._handle)

    def _read(self, number: int, line: bytes) -> Line:
        try:
            read = json.loads(line)
        except ValueError:
            read = None
        if not isinstance(read, dict) or "kind" not in read:
            raise UserError(
                f"{self._path}: line {number} is damaged; bring the file back, or begin in another directory"
            )
        return read


def values_of(bar: Bar) -> dict[str, Any]:
    """A bar as JSON holds it, exactly."""
    values: dict[str, Any] = {"time": f"{bar.time}Z", "bid": bar.bid, "ask": bar.ask, "volume": bar.volume}
    if bar.columns:
        values["columns"] = {name: None if math.isnan(value) else value for name, value in bar.columns.items()}
    return values


def bar_of(values: Mapping[str, Any]) -> Bar:
    """The bar that `values_of` wrote."""
    columns = {name: math.nan if value is None else value for name, value in values.get("columns", {}).items()}
    time = np.datetime64(values["time"].removesuffix("Z"), "us")
    return Bar(time, values["bid"], values["ask"], values["volume"], columns)


def told(decision: Decision) -> dict[str, Any]:
    """A decision as JSON holds it."""
    values = decision.values
    shown = None if values is None else [value if math.isfinite(value) else None for value in values]
    return dataclasses.asdict(decision) | {"values": shown}

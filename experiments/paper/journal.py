"""The journal: everything that a paper account is, one JSON object a line, brought to disk before anything follows.

It is only ever appended to, so that a process that is killed at any point leaves at most one torn line behind, the
last. That line is dropped when the next one is written: what it would have said has had no consequence yet. Lines are
read one by one and not kept, because years of minute bars are many.
"""

import dataclasses
import datetime
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from agents.live import Bar, Decision
from experiments.runs.files import sync_folder
from markets.errors import UserError

__all__ = ["JOURNAL", "Journal", "Line", "bar_of", "told", "values_of"]

JOURNAL = "journal.jsonl"

_BLOCK = 1 << 16  # bytes that are read at once to find where the last line ends

Line = Mapping[str, Any]


class Journal:
    """The journal of a folder, open for more.

    Args:
        path: the file; made where there is none.

    Attributes:
        torn: bytes of a torn last line, which the first line that is appended takes the place of.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        size = os.fstat(self._handle).st_size
        self._whole = _whole(self._handle, size)
        self.torn = size - self._whole
        self._tears = self.torn > 0
        sync_folder(path.parent)

    def lines(self) -> Iterator[Line]:
        """The lines that were there when it was opened, oldest first, read as they are asked for.

        Raises:
            UserError: a line that cannot be read.
        """
        left = self._whole
        with self._path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if left <= 0:
                    return
                left -= len(line)
                yield self._read(number, line)

    def append(self, lines: Iterable[Line]) -> None:
        """Write lines and the time of writing, and return when the disk has them."""
        at = {"at": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")}
        text = "".join(f"{json.dumps({**line, **at}, allow_nan=False)}\n" for line in lines)
        left = memoryview(text.encode())
        try:
            if self._tears:
                os.ftruncate(self._handle, self._whole)
                self._tears = False
            while left:
                left = left[os.write(self._handle, left) :]
            os.fsync(self._handle)
        except OSError as error:
            raise OSError(error.errno, os.strerror(error.errno or 0), str(self._path)) from error

    def damaged(self, number: int, why: str = "") -> UserError:
        """What to raise of a line that cannot be what was written.

        Args:
            number: of the line, from 1.
            why: what is wrong with it.
        """
        said = f" ({why})" if why else ""
        return UserError(
            f"{self._path}: line {number} is damaged{said}; bring the file back, or begin in another directory"
        )

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._handle)

    def _read(self, number: int, line: bytes) -> Line:
        try:
            read = json.loads(line)
        except (ValueError, RecursionError):
            read = None
        if not isinstance(read, dict) or "kind" not in read:
            raise self.damaged(number)
        return read


def _whole(handle: int, size: int) -> int:
    """Bytes up to the end of the last whole line."""
    end = size
    while end > 0:
        start = max(end - _BLOCK, 0)
        found = os.pread(handle, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


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

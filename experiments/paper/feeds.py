"""Feeds: where closed bars come from, behind one small interface. Files and lines of JSON are here, exchanges in
`experiments.paper.exchange`.
"""

import json
import math
import os
import queue
import sys
import threading
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agents.live import Bar
from agents.live.bar import bars_in
from markets.bars import Bars
from markets.errors import UserError
from markets.settings import shown

__all__ = ["EndOfFeedError", "Feed", "FileFeed", "LinesFeed", "Prefaced", "standard_lines"]


_AHEAD = 4096  # lines that are read before they are asked for


class EndOfFeedError(Exception):
    """There will be no further bar."""


class Feed(Protocol):
    """Closed bars, older first."""

    live: bool
    """Whether bars come as time goes by, so that silence means something."""
    notes: list[str]
    """What a person should be told; whoever reads them takes them away."""

    def history(self, count: int) -> list[Bar]:
        """Up to so many bars to warm up with, as far as there are any beside those of `next`."""

    def after(self, time: np.datetime64) -> None:
        """Leave out bars that do not open later."""

    def next(self, timeout: float) -> Bar | None:
        """The next bar; None where there is none after so many seconds.

        Raises:
            EndOfFeedError: there will be none.
            UserError: something comes that is no bar.
        """

    def close(self) -> None:
        """Let go of whatever is open."""


class FileFeed:
    """The bars of a file.

    Args:
        bars: of the file.
        start: what opens before it is there to warm up with alone; None takes as many bars as are asked for.

    Attributes:
        begins: open of the first bar that is not before the start; None without one.
    """

    live = False

    def __init__(self, bars: Bars, start: np.datetime64 | None = None) -> None:
        self.notes: list[str] = []
        self._bars, self._start = bars, start
        self._place = 0 if start is None else int(np.searchsorted(bars.time, start))
        self.begins: np.datetime64 | None = (
            bars.time[self._place] if start is not None and self._place < len(bars) else None
        )

    @property
    def symbol(self) -> str:
        """Whose bars they are."""
        return self._bars.symbol

    @property
    def opens(self) -> NDArray[np.datetime64]:
        """Of the bars that are there to trade, those that a warm-up takes of them included."""
        return self._bars.time[self._place :]

    def history(self, count: int) -> list[Bar]:
        """The bars before the start."""
        if self._start is None:
            self._place = min(count, len(self._bars))
        return bars_in(self._bars[max(self._place - count, 0) : self._place])

    def after(self, time: np.datetime64) -> None:
        """Leave out bars that do not open later."""
        self._place = max(self._place, int(np.searchsorted(self._bars.time, time, side="right")))

    def next(self, timeout: float) -> Bar | None:
        """The next bar, at once."""
        del timeout
        if self._place >= len(self._bars):
            raise EndOfFeedError
        self._place += 1
        return bars_in(self._bars[self._place - 1 : self._place])[0]

    def close(self) -> None:
        """Nothing is open."""


class LinesFeed:
    """Bars as lines of JSON, an object each, such as another program writes them.

    Args:
        lines: of text.
        name: of their source, for messages.
        columns: of the user's own that the champion sees, which every line must have; other keys are passed over.
        symbol: that a line must be of, where it names one; None is any.
    """

    live = True

    def __init__(
        self,
        lines: Iterable[str],
        name: str = "standard input",
        *,
        columns: Sequence[str] = (),
        symbol: str | None = None,
    ) -> None:
        self.notes: list[str] = []
        self._columns, self._symbol = tuple(columns), symbol
        self._name, self._number, self._known = name, 0, 0
        self._after: np.datetime64 = np.datetime64("NaT", "us")
        self._lines: queue.Queue[str | None] = queue.Queue(_AHEAD)
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()

    def history(self, count: int) -> list[Bar]:
        """None but those that come."""
        del count
        return []

    def after(self, time: np.datetime64) -> None:
        """Leave out bars that do not open later; a producer may begin again at the beginning."""
        self._after = time

    def next(self, timeout: float) -> Bar | None:
        """The next line's bar."""
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            return None
        if line is None:
            self._tell()
            raise EndOfFeedError
        self._number += 1
        if not line.strip():
            return None
        bar = self._bar(line)
        if bar.time <= self._after:
            self._known += 1
            return None
        self._tell()
        return bar

    def close(self) -> None:
        """Standard input is nobody's to close; its thread ends with the process."""

    def _tell(self) -> None:
        if self._known:
            self.notes.append(f"{self._name}: {self._known} bars were known already and are passed over")
        self._known = 0

    def _read(self, lines: Iterable[str]) -> None:
        try:
            for line in lines:
                self._lines.put(line)
        except OSError as error:
            self._lines.put(f"cannot be read ({error.strerror})")  # no JSON, and so told with its number
        self._lines.put(None)

    def _bar(self, line: str) -> Bar:
        try:
            values: Any = json.loads(line)
        except (ValueError, RecursionError):  # no JSON, or nested beyond reading
            values = None
        if not isinstance(values, dict):
            right = '{"timestamp": "2024-05-01T13:00:00Z", "open": 1.5, "high": 1.6, "low": 1.4, "close": 1.5}'
            raise UserError(f"{self._name}: line {self._number} is no object of JSON; right is such as {right}")
        named = values.get("symbol")
        if self._symbol is not None and named is not None and named != self._symbol:
            raise UserError(
                f"{self._name}: line {self._number}: symbol {shown(named)}, but the account is of {self._symbol}; "
                "right is that, or none, or --any-symbol where they are one market"
            )
        try:
            known = {name: math.nan if value is None else value for name, value in values.items()}
            return Bar.from_mapping(known, columns=self._columns)
        except RecursionError:  # where a value is to be shown
            raise UserError(f"{self._name}: line {self._number}: a value is nested beyond reading") from None
        except (UserError, TypeError, ValueError, OverflowError) as error:
            raise UserError(f"{self._name}: line {self._number}: {error}") from None


class Prefaced:
    """A feed whose history is a file.

    Args:
        feed: whose bars are traded.
        bars: of the file; what the feed has of the same time is left out.

    Attributes:
        feed: whose bars are traded.
    """

    def __init__(self, feed: Feed, bars: Bars) -> None:
        self.feed, self._bars = feed, bars
        self.live, self.notes = feed.live, feed.notes
        self.after, self.next, self.close = feed.after, feed.next, feed.close

    def history(self, count: int) -> list[Bar]:
        """The last bars of the file."""
        return bars_in(self._bars[max(len(self._bars) - count, 0) :])


def standard_lines() -> Iterable[str]:
    """The lines of standard input.

    They are read past Python's own buffer: a thread that waits inside that one keeps the process from ending.
    """
    try:
        number = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):  # none, or not the system's
        yield from sys.stdin or ()
        return
    rest = b""
    while chunk := os.read(number, 1 << 16):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in lines)
    if rest:
        yield rest.decode(errors="replace")

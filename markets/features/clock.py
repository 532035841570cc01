"""Time features: where a bar's open stamp (UTC) stands in the day, the week and the year, and which sessions are open.

Sine and cosine come from tables looked up by whole numbers and rounded to 12 decimals, so their bits depend neither on
the array nor on the C library. A bar's own stamp is known when the bar opens, so all of them are causal, with a window
of 1.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from markets.bars import Bars
from markets.features import rolling

__all__ = ["CLOCK", "SESSIONS", "cycle", "session"]

MINUTES = 24 * 60

SESSIONS = {"asia": (0, 9), "london": (8, 17), "new_york": (13, 22)}
"""First hour and hour after the last, UTC, of each session: fixed hours, without daylight saving."""


def _stamp(time: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Microseconds since the epoch."""
    stamp: NDArray[np.int64] = time.astype("datetime64[us]").astype(np.int64)
    return stamp


def _minute(time: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Minute of the day, 0 … 1439."""
    return _stamp(time) // 60_000_000 % MINUTES


def _weekday(time: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """0 is Monday; the epoch was a Thursday."""
    return (_stamp(time) // 86_400_000_000 + 3) % 7


def _month(time: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """0 is January."""
    month: NDArray[np.int64] = time.astype("datetime64[M]").astype(np.int64)
    return month % 12


_CYCLES: dict[str, tuple[int, Callable[[NDArray[np.datetime64]], NDArray[np.int64]]]] = {
    "hour": (MINUTES, _minute),
    "weekday": (7, _weekday),
    "month": (12, _month),
}

_TABLES: dict[tuple[str, str], NDArray[np.float64]] = {
    (name, wave): np.array([round(turn(2 * math.pi * step / steps), 12) + 0.0 for step in range(steps)])
    for name, (steps, _) in _CYCLES.items()
    for wave, turn in (("sin", math.sin), ("cos", math.cos))
}


def cycle(bars: Bars, name: str, wave: str) -> NDArray[np.float64]:
    """Sine or cosine of a cycle: `hour` (of the day, to the minute), `weekday` (of seven) or `month` (of twelve)."""
    _, phase = _CYCLES[name]
    return rolling.looked_up(phase(bars.time), _TABLES[name, wave])


def session(bars: Bars, name: str) -> NDArray[np.float64]:
    """1 where the bar opens within the session's hours on Monday to Friday, else 0."""
    first, after = SESSIONS[name]
    minute = _minute(bars.time)
    open_now = (minute >= first * 60) & (minute < after * 60) & (_weekday(bars.time) < 5)
    return open_now.astype(np.float64)


CLOCK: dict[str, tuple[Callable[..., NDArray[np.float64]], tuple[str, ...]]] = {
    **{f"{name}_{wave}": (cycle, (name, wave)) for name in _CYCLES for wave in ("sin", "cos")},
    **{f"session_{name}": (session, (name,)) for name in SESSIONS},
}
"""The nine time features by name: function and its arguments after the bars."""

"""Row checks: what is wrong with a row by itself, and with its place among the others.

A row is named by its first fault only. Rows at fault in themselves are set aside before order and duplicates are
judged.
"""

import bisect
import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from markets.readers.layout import ASK, PRICES

__all__ = ["Faults", "mend_ranges", "order", "price_faults"]

_ROUNDING = 1e-9
"""Relative distance below which a high under a close is the rounding of whoever adjusted the prices, not a fault."""

Column = NDArray[np.float64]


@dataclasses.dataclass(slots=True)
class Faults:
    """The first fault of every row, gathered check by check.

    Attributes:
        reasons: texts of the reasons, in the order of the checks.
        code: index into `reasons` for each row [rows], −1 for a sound one.
    """

    reasons: list[str]
    code: NDArray[np.int32]

    @classmethod
    def none(cls, rows: int) -> "Faults":
        """No fault in any of `rows` rows."""
        return cls([], np.full(rows, -1, np.int32))

    def add(self, reason: str, bad: NDArray[np.bool_]) -> None:
        """Give the rows of a mask [rows] a reason, unless they have one."""
        new = bad & (self.code < 0)
        if new.any():
            self.code[new] = len(self.reasons)
            self.reasons.append(reason)

    @property
    def sound(self) -> NDArray[np.bool_]:
        """Rows without a fault [rows]."""
        return self.code < 0


def price_faults(columns: Mapping[str, Column]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """What can be wrong with the numbers of a row: reasons, each with the rows it holds for [rows].

    Args:
        columns: `open, high, low, close` and where present `ask_open …`, `spread`, `volume`, `adj_factor`,
            float64 [rows], NaN where missing or not a number.
    """
    sides = [PRICES, ASK] if "ask_open" in columns else [PRICES]
    for name in (*(name for side in sides for name in side), "spread", "volume", "adj_factor"):
        if name in columns:
            label = name.replace("_", " ") if name in ASK else name
            yield f"{label} is missing or not a number", np.isnan(columns[name])
            yield f"{label} is not finite", np.isinf(columns[name])
    for side in sides:
        for name in side:
            yield f"{name.replace('_', ' ')} is not positive", columns[name] <= 0
    for side in sides:
        label = "ask " if side is ASK else ""
        opened, high, low, close = (
            np.nan_to_num(columns[name], posinf=0, neginf=0) for name in side
        )  # what is no number is named above
        slack = _ROUNDING * np.abs(high)
        yield f"{label}high below {label}low", high < low - slack
        for name, value in (("open", opened), ("close", close)):
            yield f"{label}high below {label}{name}", high < value - slack
            yield f"{label}low above {label}{name}", low > value + slack
    if "ask_open" in columns:
        for name in PRICES:
            yield "ask below bid", columns[f"ask_{name}"] < columns[name]
    if "spread" in columns:
        yield "spread is negative", columns["spread"] < 0
    if "volume" in columns:
        yield "volume is negative", columns["volume"] < 0
    if "adj_factor" in columns:
        yield "adj_factor is not positive", columns["adj_factor"] <= 0


def mend_ranges(prices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Open, high, low, close [rows, 4] with high and low exactly around open and close.

    Only differences of rounding are left when this is called.
    """
    mended = prices.copy()
    mended[:, 1], mended[:, 2] = prices.max(axis=1), prices.min(axis=1)
    return mended


@dataclasses.dataclass(frozen=True, slots=True)
class Order:
    """Rows of one symbol put in order.

    Attributes:
        kept: places of the rows to keep, oldest first.
        late: places of the rows that stand out of order, in the order of the file.
        repeats: places of rows that repeat an earlier stamp.
        firsts: for each of `repeats`, the place of the row it repeats.
        newest_first: whether the file runs backwards.
    """

    kept: NDArray[np.intp]
    late: NDArray[np.intp]
    repeats: NDArray[np.intp]
    firsts: NDArray[np.intp]
    newest_first: bool


def order(time: NDArray[np.datetime64]) -> Order:
    """Put stamps in order: which rows repeat a stamp, which stand out of order, and the order of the rest.

    The first of equal stamps in the file is kept. A file most of whose steps go back in time is newest first, which is
    no fault. Rows out of order are the fewest whose removal leaves the others in order, so that one wild stamp does not
    put the blame on all that follow.

    Args:
        time: stamps in the order of the file [rows], none NaT.
    """
    _, first, inverse = np.unique(time, return_index=True, return_inverse=True)
    keeps = np.zeros(len(time), bool)
    keeps[first] = True
    repeats = np.flatnonzero(~keeps)
    rows = np.flatnonzero(keeps)
    ranks = inverse.reshape(-1)[rows]
    steps = np.diff(ranks)
    newest_first = int(np.sum(steps < 0)) > int(np.sum(steps > 0))
    in_line = _longest_rising(-ranks if newest_first else ranks)
    late = np.delete(rows, in_line)
    return Order(rows[np.argsort(ranks)], late, repeats, first[inverse.reshape(-1)[repeats]], newest_first)


def _longest_rising(values: NDArray[np.intp]) -> NDArray[np.intp]:
    """Places of the longest increasing subsequence of distinct values; of several, the one that keeps earlier places.

    Patience sorting from the end gives the longest run that starts at each place. Of two swapped rows the second is
    then the one left out: it is the one that goes back in time.
    """
    if not np.any(np.diff(values) < 0):
        return np.arange(len(values))
    starts: list[int] = []  # for each length, the largest value such a run starts with, negated
    lengths = np.empty(len(values), np.intp)
    for place, value in zip(range(len(values) - 1, -1, -1), (-values[::-1]).tolist(), strict=True):
        length = bisect.bisect_left(starts, value)
        if length == len(starts):
            starts.append(value)
        else:
            starts[length] = value
        lengths[place] = length + 1
    run: list[int] = []
    left, last = len(starts), -len(values) - 1
    for place, (value, length) in enumerate(zip(values.tolist(), lengths.tolist(), strict=True)):
        if length == left and value > last:
            run.append(place)
            left, last = left - 1, value
    return np.array(run, np.intp)

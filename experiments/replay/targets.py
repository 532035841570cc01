"""Targets of a replay: from a file or a frame to one order a bar.

A target names the bar at whose close it is decided by that bar's open stamp (UTC). Every row is checked before any
money moves: what cannot be meant is refused by its row.
"""

import difflib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from markets.bars import Bars
from markets.errors import UserError
from markets.readers.source import read_bytes, read_parquet
from markets.readers.stamps import parse_stamps
from markets.readers.table import text_columns

__all__ = ["Targets", "align_targets", "read_targets"]

_REQUIRED = ("timestamp", "target")
_DISTANCES = ("stop_loss", "take_profit")
_RIGHT = "targets are Parquet or CSV with timestamp, target[, stop_loss, take_profit]"


class Targets(NamedTuple):
    """What is asked for at the close of each bar, float64 [bars]; NaN is none."""

    target: NDArray[np.float64]
    """Signed exposure as a multiple of equity."""
    stop_loss: NDArray[np.float64]
    """Stop distance as a fraction of the entry price."""
    take_profit: NDArray[np.float64]
    """Take-profit distance as a fraction of the entry price."""


def read_targets(path: str | Path) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    """Read a file of targets, and the numbers by which a person counts its rows [rows].

    Args:
        path: Parquet, or CSV with a header line.

    Raises:
        UserError: the file cannot be read as either.
    """
    path = Path(path).expanduser()
    raw = read_bytes(path, right=_RIGHT)
    if raw[:4] != b"PAR1":
        return text_columns(raw, path, (*_REQUIRED, *_DISTANCES), right=_RIGHT)
    frame = read_parquet(raw, path, right=_RIGHT)
    return frame, np.arange(1, len(frame) + 1)


def align_targets(
    frame: pl.DataFrame, bars: Bars, *, source: object = "targets", rows: NDArray[np.int64] | None = None
) -> Targets:
    """Lay targets along the bars.

    Args:
        frame: `timestamp, target[, stop_loss, take_profit]` in any order of rows; stamps are bar opens, in UTC unless
            they name another zone. A null or NaN target is no order, as is a missing row.
        bars: the bars of the replay.
        source: name of the file, for messages.
        rows: number of each row, for messages; counted from 1 by default [rows].

    Raises:
        UserError: a missing column, a value that is no number, a distance ≤ 0, a stamp that is unreadable, repeated or
            no bar's open; the first such row is named.
    """
    _check_columns(frame, source)

    def refuse(wrong: NDArray[np.bool_], column: str, why: str) -> None:
        if wrong.any():
            row = int(np.argmax(wrong))
            more = f" (and {wrong.sum() - 1} more such rows)" if wrong.sum() > 1 else ""
            number = row + 1 if rows is None else rows[row]
            raise UserError(f"{source}: row {number}: {column} {_cell(frame[column], row)} {why}{more}")

    stamps = parse_stamps([frame["timestamp"]], day_first=None, source=source, key="timestamp").time
    refuse(np.isnat(stamps), "timestamp", "is not a time; right is a bar's open in UTC such as 2020-01-31 14:00:00")
    place = np.searchsorted(bars.time, stamps)
    known = bars.time[np.minimum(place, len(bars) - 1)] == stamps
    span = f"{bars.symbol} has bars from {_shown(bars.time[0])} to {_shown(bars.time[-1])}"
    refuse(~known, "timestamp", f"is no bar's open; {span}")
    first_of = np.unique(stamps, return_index=True)[1]
    repeated = np.ones(len(stamps), bool)
    repeated[first_of] = False
    refuse(repeated, "timestamp", "stands in an earlier row too; a bar takes one order")

    laid = []
    for column in (*_REQUIRED[1:], *_DISTANCES):
        values = np.full(len(bars), np.nan)
        if column in frame.columns:
            given, unread = _numbers(frame[column])
            refuse(unread, column, "is not a number")
            refuse(np.isinf(given), column, "is not finite")
            if column in _DISTANCES:
                refuse(given <= 0, column, "must be above 0; a distance is a fraction of the entry price")
            values[place] = given
        laid.append(values)
    return Targets(*laid)


def _check_columns(frame: pl.DataFrame, source: object) -> None:
    names = (*_REQUIRED, *_DISTANCES)
    for column in _REQUIRED:
        if column not in frame.columns:
            have = ", ".join(frame.columns)
            raise UserError(f"{source}: no column {column}; right is {', '.join(names)} (it has {have})")
    for column in frame.columns:
        if column not in names:
            close = difflib.get_close_matches(column.lower().replace(" ", "_"), names, n=1, cutoff=0.75)
            if close and close[0] not in frame.columns:
                raise UserError(f"{source}: column {column}: did you mean {close[0]}?")


def _numbers(column: pl.Series) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """A column as float64 [rows] with NaN for null, and which values are no number."""
    if column.dtype == pl.String:
        column = column.str.strip_chars()
        column = pl.select(
            pl.when(column.str.to_lowercase() == "nan").then(pl.lit("NaN")).otherwise(column)
        ).to_series()
        column = pl.select(pl.when(column != "").then(column)).to_series()
    elif not (column.dtype.is_numeric() or column.dtype == pl.Null):
        return np.full(len(column), np.nan), column.is_not_null().to_numpy()
    numbers = column.cast(pl.Float64, strict=False)
    unread = (column.is_not_null() & numbers.is_null()).to_numpy()
    return numbers.fill_null(float("nan")).to_numpy(), unread


def _cell(column: pl.Series, row: int) -> str:
    """A cell for people; where Python has no object for it, its type."""
    kind = column.dtype
    if isinstance(kind, pl.Datetime) or kind == pl.Date:
        far = np.isnat(parse_stamps([column], day_first=None, source="", key="").time[row])
        return f"({kind} beyond all markets)" if far and column.is_not_null()[row] else str(column[row])
    plain = kind in (pl.String, pl.Boolean, pl.Null) or kind.is_numeric()
    return str(column[row]) if plain else f"({kind})"


def _shown(stamp: np.datetime64) -> str:
    return str(stamp.astype("datetime64[s]")).replace("T", " ")

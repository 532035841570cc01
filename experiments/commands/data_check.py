"""`arena data check`: what is in files of bars, row by row where something is wrong, so that a file is mended before a
run is lost on it.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from experiments.commands.reading import add_reading_arguments, read_settings
from experiments.data.gaps import find_gaps
from markets.bars import Bars
from markets.errors import UserError
from markets.readers import Reading, ReadSettings, examine
from markets.readers.stamps import bar_length

__all__ = ["add_arguments", "check", "run"]

_ROWS_SHOWN = 10
_WIDE = 10_000
_HEADINGS = (
    *("symbol", "rows", "first (UTC)", "last (UTC)", "bar", "gaps", "longest gap", "weekends"),
    *("duplicates", "out of order", "bad rows"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena data check`; options are the keys of `market` that say how to read a file."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="bars in any supported form")
    add_reading_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run `arena data check`; the exit code, 0 or 2.

    Raises:
        UserError: an option whose value cannot be used.
    """
    return check([Path(name) for name in args.files], read_settings(args))


def check(paths: Sequence[Path], settings: ReadSettings, *, console: Console | None = None) -> int:
    """Print what is in files of bars.

    Args:
        paths: the files.
        settings: how to read them; with `repair: drop` bad rows are shown but no reason to fail.
        console: where to print; None is the terminal, or plain text where output is piped.

    Returns:
        0 where every file can be used as it is, else 2.
    """
    if console is None:
        console = Console(highlight=False)
        if not console.is_terminal:
            console = Console(highlight=False, width=_WIDE)
    usable = True
    for path in paths:
        try:
            reading = examine(path, settings)
        except UserError as error:
            console.print(str(error), style="red", markup=False, soft_wrap=True)
            usable = False
            continue
        _show(reading, settings, console)
        usable = usable and (settings.repair == "drop" or reading.problems.is_empty())
    return 0 if usable else 2


def _show(reading: Reading, settings: ReadSettings, console: Console) -> None:
    """Print one file: its form, a line a symbol, and what is wrong with which rows."""

    def line(text: str, style: str = "") -> None:
        console.print(text, style=style or None, markup=False, soft_wrap=True)

    line(f"{reading.source}: {reading.form}", "bold")
    for note in reading.notes:
        line(f"  note: {note}", "yellow")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in _HEADINGS:
        right = heading in ("rows", "gaps", "weekends", "duplicates", "out of order", "bad rows")
        table.add_column(heading, justify="right" if right else "left")
    counts = reading.problems.group_by("symbol", "kind").len().rows()
    of = {(symbol, kind): count for symbol, kind, count in counts}
    sound = {bars.symbol: bars for bars in reading.bars}
    for symbol, rows in reading.rows.items():
        cells = _line_of(sound[symbol]) if symbol in sound else ("", "", "", "", "", "")
        faults = (str(of.get((symbol, kind), 0)) for kind in ("duplicate", "order", "row"))
        table.add_row(symbol, str(rows), *cells, *faults)
    console.print(table)
    if reading.problems.is_empty():
        return
    # The row that a duplicate repeats is its own; only the kind of reason is counted.
    reasons = reading.problems.with_columns(pl.col("reason").str.replace(r" as row \d+$", " as an earlier row"))
    for reason, count in reasons["reason"].value_counts(sort=True).rows():
        line(f"  {count} row{'s' if count > 1 else ''}: {reason}", "red")
    many = len(reading.rows) > 1
    for row in reading.problems.head(_ROWS_SHOWN).iter_rows(named=True):
        line(f"  row {row['row']}{' ' + row['symbol'] if many else ''}: {row['reason']}")
    if len(reading.problems) > _ROWS_SHOWN:
        line(f"  … and {len(reading.problems) - _ROWS_SHOWN} more")
    late = int((reading.problems["kind"] == "order").sum())
    what = f"{len(reading.problems) - late} rows dropped, {late} sorted"
    if settings.repair == "drop":
        line(f"  repair=drop: {what}")
    else:
        line(f"  not usable as it is; market.repair=drop (here: --repair drop) would do, with {what}", "yellow")


def _line_of(bars: Bars) -> tuple[str, ...]:
    """First, last, bar length, gaps, longest gap, weekends."""
    length, gaps = bar_length(bars.time), find_gaps(bars.time)
    longest = "" if gaps.after is None else f"{_duration(gaps.longest)} after {_moment(gaps.after)}"
    size = "" if length is None else _duration(length)
    return _moment(bars.time[0]), _moment(bars.time[-1]), size, str(gaps.count), longest, str(gaps.weekends)


def _moment(time: np.datetime64) -> str:
    text = str(time.astype("datetime64[s]")).replace("T", " ")
    return text.removesuffix(":00").removesuffix(" 00:00")


def _duration(length: np.timedelta64) -> str:
    """The two largest units: `15m`, `1h`, `3d 4h`."""
    left = int(length / np.timedelta64(1, "us"))
    parts = []
    for unit, size in (("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("µs", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) or "0"

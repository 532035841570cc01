"""`arena data`: what is in a file of bars, and writing bars as Parquet.

`check` reads files in any supported form and says what it found, row by row where something is wrong, so that a file is
mended before a run is lost on it. `write_bars` writes what `arena data make` makes, complete or not at all.
"""

import argparse
import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from experiments.commands.reading import add_reading_arguments, read_settings
from markets.bars import Bars
from markets.errors import UserError
from markets.readers import Reading, ReadSettings, examine
from markets.readers.stamps import bar_length

__all__ = ["Gaps", "add_arguments", "check", "find_gaps", "run", "write_bars"]

_PRICES = ("open", "high", "low", "close")
_ROWS_SHOWN = 10
_WIDE = 10_000
_DAY = np.timedelta64(1, "D")
_LONGEST_WEEKEND = np.timedelta64(72, "h")
_HEADINGS = (
    *("symbol", "rows", "first (UTC)", "last (UTC)", "bar", "gaps", "longest gap", "weekends"),
    *("duplicates", "out of order", "bad rows"),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Gaps:
    """Where neighbouring bars are further apart than the length of a bar.

    Attributes:
        count: gaps that are no weekends.
        longest: the most time without a bar in one of them; zero without any.
        after: open of the bar before the longest, None without any.
        weekends: gaps that are weekends.
    """

    count: int
    longest: np.timedelta64
    after: np.datetime64 | None
    weekends: int


def find_gaps(time: NDArray[np.datetime64]) -> Gaps:
    """Count the gaps between bars, weekends apart.

    A weekend is a gap of at most three days over Saturday noon UTC, in a market that closes on more than half of its
    Saturdays; where Saturdays are traded a missing one is a gap like any other.

    Args:
        time: opens of the bars, sorted [bars].
    """
    length = bar_length(time)
    if length is None:
        return Gaps(0, np.timedelta64(0, "us"), None, 0)
    places = np.flatnonzero(np.diff(time) > length)
    starts, ends = time[places] + length, time[places + 1]
    # 1970-01-03 was a Saturday: count its noons up to a moment, and a gap holds one where the count grows.
    noon = np.datetime64("1970-01-03T12", "us")
    before = np.floor_divide(starts - noon + 7 * _DAY - np.timedelta64(1, "us"), 7 * _DAY)
    upto = np.floor_divide(ends - noon + 7 * _DAY - np.timedelta64(1, "us"), 7 * _DAY)
    weekend = (upto > before) & (ends - starts <= _LONGEST_WEEKEND)
    saturdays = (time[-1] - time[0]) / (7 * _DAY)
    if 2 * int(weekend.sum()) < saturdays - 1:
        weekend[:] = False
    others = np.flatnonzero(~weekend)
    if not len(others):
        return Gaps(0, np.timedelta64(0, "us"), None, int(weekend.sum()))
    lengths = (ends - starts)[others]
    worst = int(np.argmax(lengths))
    return Gaps(len(others), lengths[worst], time[places[others[worst]]], int(weekend.sum()))


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


def write_bars(bars: Sequence[Bars], out: Path) -> None:
    """Write bars as one Parquet file that `read_bars` reads back equal.

    One price a bar is written where bid and ask are the same throughout, else both sides. Own columns are written by
    their names, already late; read them back with a lag of 0. The file appears complete or not at all.

    Raises:
        UserError: no bars, a symbol twice, a column with the name of a price, or a place that cannot be written.
    """
    out = Path(out)
    symbols = [one.symbol for one in bars]
    if not any(map(len, bars)):
        raise UserError(f"{out}: no bars to write")
    if len(set(symbols)) < len(symbols):
        raise UserError(f"{out}: a symbol occurs twice among {', '.join(symbols)}; right is each once")
    sided = any(not np.array_equal(one.bid, one.ask) for one in bars)
    frame = pl.concat([_frame(one, sided=sided, out=out) for one in bars], how="diagonal")
    if out.is_dir():
        raise UserError(f"{out}: is a folder; right is the name of a file")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror})") from None
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
            pq.write_table(table, file, compression="zstd", write_page_checksum=True)
        umask = os.umask(0)
        os.umask(umask)
        part.chmod(0o666 & ~umask)
        part.replace(out)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror or error})") from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _frame(bars: Bars, *, sided: bool, out: Path) -> pl.DataFrame:
    columns: dict[str, pl.Series] = {
        "timestamp": pl.Series(bars.time.astype("datetime64[us]")).dt.replace_time_zone("UTC"),
        "symbol": pl.repeat(bars.symbol, len(bars), dtype=pl.String, eager=True),
    }
    columns |= {name: pl.Series(bars.bid[:, place]) for place, name in enumerate(_PRICES)}
    if sided:
        columns |= {f"ask_{name}": pl.Series(bars.ask[:, place]) for place, name in enumerate(_PRICES)}
    columns["volume"] = pl.Series(bars.volume)
    taken = {*columns, "spread", "adj_factor", "adj_close"}
    for name, values in bars.columns.items():
        if name.lower() in taken:
            raise UserError(f"{out}: a column cannot be called {name}; that name means something to bars")
        columns[name] = pl.Series(np.asarray(values, np.float64))
    return pl.DataFrame(columns)

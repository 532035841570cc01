"""From a file to `Bars`: columns, row checks, the clock, order, repair.

`examine` says everything about a file without refusing its bad rows (`arena data check` prints that); `read_bars` is
what training uses: it refuses them, or drops them where the user said so.
"""

import dataclasses
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from markets.bars import Bars
from markets.errors import UserError
from markets.readers.layout import PRICES
from markets.readers.quotes import Quotes, written_numbers
from markets.readers.rows import Faults, order, price_faults
from markets.readers.settings import ReadSettings
from markets.readers.source import read_bytes
from markets.readers.stamps import opens_of_closes, parse_stamps, to_utc
from markets.readers.symbols import symbol_of_path
from markets.readers.table import Table, table_of_bytes, table_of_frame
from markets.settings import check

__all__ = ["Reading", "examine", "read_bars", "read_frame"]

_LOG = logging.getLogger(__name__)
_SHOWN = 5
_MOST_SYMBOLS = 100_000
_UNPRINTABLE = r"[\p{C}\p{Zl}\p{Zp}]"
"""Control and format characters, line and paragraph marks: no part of a name, and a terminal may obey them."""


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """What a file holds.

    Attributes:
        source: the file.
        form: the form it was recognised as.
        bars: the sound rows, oldest first, one `Bars` a symbol, in the order in which the symbols first appear.
        rows: rows of each symbol in the file, sound or not.
        problems: bad rows, by number: `row` (as a person counts), `symbol`, `kind` (`row`, `duplicate` or `order`),
            `reason`.
        notes: what a user should know although nothing is wrong.
    """

    source: str
    form: str
    bars: tuple[Bars, ...]
    rows: Mapping[str, int]
    problems: pl.DataFrame
    notes: tuple[str, ...] = ()


def read_bars(path: str | Path, settings: ReadSettings | None = None, *, where: str = "market") -> list[Bars]:
    """Read the bars of a file, one `Bars` a symbol.

    Args:
        path: a file in any of the forms that are read, also packed with gzip or zip.
        settings: what the file does not say about itself; None for the defaults.
        where: dotted key under which the settings were given, for messages.

    Raises:
        UserError: the file cannot be used, or has bad rows and `repair` is `error`; one line naming file and rows.
    """
    settings = ReadSettings() if settings is None else settings
    return _judged(examine(path, settings, where=where), settings, where)


def read_frame(
    frame: pl.DataFrame, settings: ReadSettings | None = None, *, source: str = "frame", where: str = "market"
) -> list[Bars]:
    """Read the bars of a polars frame with the columns of a Parquet file; otherwise like `read_bars`."""
    settings = ReadSettings() if settings is None else settings
    check(settings, where)
    if not frame.height:
        raise UserError(f"{source}: no rows")
    try:
        reading = _examined(table_of_frame(frame, source), source, source, settings, where)
    except pl.exceptions.PolarsError as error:
        raise _no_table(source, error) from None
    return _judged(reading, settings, where)


def examine(path: str | Path, settings: ReadSettings | None = None, *, where: str = "market") -> Reading:
    """Read a file and say everything about it; bad rows are left out of the bars and listed.

    Raises:
        UserError: the file is no form of bars that is read, or no row of it is sound.
    """
    settings = ReadSettings() if settings is None else settings
    check(settings, where)
    path = Path(path).expanduser()
    try:
        table = table_of_bytes(read_bytes(path), path)
        return _examined(table, str(path), symbol_of_path(path, table.layout.form), settings, where)
    except pl.exceptions.PolarsError as error:
        raise _no_table(str(path), error) from None


def _no_table(source: str, error: pl.exceptions.PolarsError) -> UserError:
    return UserError(f"{source}: cannot be understood as a table ({str(error).splitlines()[0][:120]})")


def _judged(reading: Reading, settings: ReadSettings, where: str) -> list[Bars]:
    prefix = f"{where}." if where else ""
    bad = len(reading.problems)
    if bad and settings.repair == "error":
        rows = reading.problems.head(_SHOWN).iter_rows(named=True)
        many = reading.problems["symbol"].n_unique() > 1
        shown = "; ".join(f"row {row['row']}{' ' + row['symbol'] if many else ''}: {row['reason']}" for row in rows)
        more = "; …" if bad > _SHOWN else ""
        total = sum(reading.rows.values())
        raise UserError(
            f"{reading.source}: {bad} bad row{'s' if bad > 1 else ''} of {total}: {shown}{more}; "
            f"mend the file, or drop and sort such rows with {prefix}repair=drop"
        )
    if bad:
        dropped = bad - int((reading.problems["kind"] == "order").sum())
        _LOG.warning("%s: repaired: %d rows dropped, %d sorted", reading.source, dropped, bad - dropped)
    for note in reading.notes:
        _LOG.warning("%s: %s", reading.source, note)
    return list(reading.bars)


def _examined(table: Table, source: str, name: str, settings: ReadSettings, where: str) -> Reading:
    prefix = f"{where}." if where else ""
    layout = table.layout
    faults = Faults.none(len(table.rows))
    faults.add("wrong number of cells", table.ragged)
    local, utc, timezone, notes = _clock(table, source, settings, prefix, faults)
    symbols, codes = _symbols(table, table.symbol or name, settings, source, prefix, faults)
    numbers = written_numbers(table, source, settings)
    if not any(np.isfinite(numbers[side]).any() for side in PRICES):
        raise UserError(f"{source}: recognised as {layout.form}, but no cell of {', '.join(PRICES)} is a number")
    for reason, bad in price_faults(numbers):
        faults.add(reason, bad)
    own = _own_columns(table, source, settings, prefix, faults)
    quotes = Quotes.of(numbers, settings)
    faults.add("bid is not positive once the spread is taken off", np.any(quotes.bid <= 0, axis=1))
    faults.add("a price or volume is too large", ~quotes.finite)

    bars, problems, counts = [], [_listed(table, faults, symbols, codes)], {}
    for code, rows in enumerate(_groups(codes, len(symbols))):
        chosen = settings.symbol is None or "symbol" not in layout.roles or symbols[code] == settings.symbol
        if not chosen:
            continue
        counts[symbols[code]] = len(rows)
        rows = rows[faults.sound[rows]]
        if not len(rows):
            continue
        put = order(utc[rows])
        if len(put.repeats) or len(put.late):
            problems.append(_misplaced(table, symbols[code], rows, put.repeats, put.firsts, put.late))
        kept = rows[put.kept]
        opens = utc[kept]
        if settings.timestamps == "close":
            if len(kept) < 2:
                raise UserError(
                    f"{source}: one bar of {symbols[code]} does not tell how long a bar is; give two or more"
                )
            opens = opens_of_closes(local[kept], opens, timezone)
        columns = {column: _late(values[kept], settings.columns[column]) for column, values in own.items()}
        bars.append(quotes.bars(symbols[code], opens, kept, columns))
    listed = pl.concat(problems).sort("row", maintain_order=True)
    if settings.symbol is not None:
        listed = listed.filter(pl.col("symbol").is_in([settings.symbol, ""]))
    if not bars:
        row = listed.row(0, named=True)
        raise UserError(f"{source}: no sound row, as {layout.form}; row {row['row']}: {row['reason']}")
    form = layout.form if layout.form[0].isupper() else f"{table.packing}, {layout.form}"
    return Reading(source, form, tuple(bars), counts, listed, notes)


def _clock(
    table: Table, source: str, settings: ReadSettings, prefix: str, faults: Faults
) -> tuple[NDArray[np.datetime64], NDArray[np.datetime64], str | None, tuple[str, ...]]:
    """Stamps in the source's clock, in UTC, the clock's name, and notes on it."""
    layout = table.layout
    columns = [table.column(position) for position in layout.stamp]
    stamps = parse_stamps(columns, day_first=settings.day_first, source=source, key=f"{prefix}day_first")
    # MetaTrader counts seconds of the broker's clock as if they were UTC, so they are no instants.
    instants = layout.utc or stamps.kind == "zoned" or (stamps.kind == "counted" and not layout.clock)
    timezone = None if instants else settings.timezone
    notes: tuple[str, ...] = ()
    if layout.clock and not instants and settings.timezone is None:
        notes = (f"{layout.clock}; read as UTC, {prefix}timezone=… names another",)
    faults.add("timestamp is missing or unreadable", np.isnat(stamps.time))
    utc, repeated, skipped = to_utc(stamps.time, timezone)
    faults.add(f"timestamp is ambiguous in {timezone}, where clocks go back", repeated)
    faults.add(f"timestamp does not exist in {timezone}, where clocks go forward", skipped)
    return stamps.time, utc, timezone, notes


def _symbols(
    table: Table, name: str, settings: ReadSettings, source: str, prefix: str, faults: Faults
) -> tuple[list[str], NDArray[np.intp]]:
    """Names in the order they first appear, and the index of each row's [rows], −1 where it has none."""
    if "symbol" not in table.layout.roles:
        return [settings.symbol or name], np.zeros(len(table.rows), np.intp)
    place = table.layout.roles["symbol"]
    kind = table.column(place).dtype
    if kind not in (pl.String, pl.Null) and not kind.is_integer():
        raise UserError(f"{source}: column {table.layout.names[place]} holds {kind}; right is names")
    column = table.column(place).cast(pl.String).str.strip_chars().fill_null("")
    missing = (column == "").to_numpy().astype(bool)
    faults.add("symbol is missing", missing)
    odd = column.str.contains(_UNPRINTABLE).to_numpy().astype(bool)
    faults.add("symbol has letters that cannot be printed", odd)
    names = column.filter(pl.Series(~(missing | odd))).unique(maintain_order=True).to_list()
    if len(names) > _MOST_SYMBOLS:
        raise UserError(
            f"{source}: column {table.layout.names[place]} names {len(names):,} symbols, more than {_MOST_SYMBOLS:,}; "
            "right is the name of an instrument in every row"
        )
    if settings.symbol is not None and settings.symbol not in names:
        shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
        raise UserError(f"{source}: {prefix}symbol: no {settings.symbol!r} in it; it has {shown}")
    codes = column.replace_strict(names, list(range(len(names))), default=-1, return_dtype=pl.Int64)
    return names, codes.to_numpy().astype(np.intp)


def _groups(codes: NDArray[np.intp], count: int) -> Iterator[NDArray[np.intp]]:
    """Rows of each symbol, in the order of the file."""
    by_code = np.argsort(codes, kind="stable")
    edges = np.searchsorted(codes[by_code], np.arange(count + 1))
    for code in range(count):
        yield by_code[edges[code] : edges[code + 1]]


def _own_columns(
    table: Table, source: str, settings: ReadSettings, prefix: str, faults: Faults
) -> dict[str, NDArray[np.float64]]:
    """The user's own columns, NaN where absent, by name [rows]."""
    own = {}
    for name in settings.columns:
        if name not in table.layout.names:
            raise UserError(f"{source}: {prefix}columns.{name}: no such column; it has {', '.join(table.layout.names)}")
        position = table.layout.names.index(name)
        values = table.numbers(position, source)
        wrong = table.unreadable(position)
        if wrong.any() and np.isnan(values).all():
            raise UserError(f"{source}: {prefix}columns.{name}: not a column of numbers")
        faults.add(f"{name} is not a number", wrong)
        own[name] = np.where(np.isfinite(values), values, np.nan)
    return own


def _late(values: NDArray[np.float64], lag: int) -> NDArray[np.float64]:
    """A column as it becomes visible, `lag` bars late."""
    shifted = np.full(len(values), np.nan)
    shifted[lag:] = values[: len(values) - lag] if lag < len(values) else values[:0]
    return shifted


def _problems(rows: NDArray[np.int64], symbols: list[str], kinds: list[str], reasons: list[str]) -> pl.DataFrame:
    schema = {"row": pl.Int64, "symbol": pl.String, "kind": pl.String, "reason": pl.String}
    return pl.DataFrame({"row": rows, "symbol": symbols, "kind": kinds, "reason": reasons}, schema=schema)


def _listed(table: Table, faults: Faults, symbols: list[str], codes: NDArray[np.intp]) -> pl.DataFrame:
    """Rows at fault in themselves."""
    bad = np.flatnonzero(~faults.sound)
    names = [symbols[code] if code >= 0 else "" for code in codes[bad]]
    reasons = [faults.reasons[code] for code in faults.code[bad]]
    return _problems(table.rows[bad], names, ["row"] * len(bad), reasons)


def _misplaced(
    table: Table,
    symbol: str,
    rows: NDArray[np.intp],
    repeats: NDArray[np.intp],
    firsts: NDArray[np.intp],
    late: NDArray[np.intp],
) -> pl.DataFrame:
    """Rows at fault among their neighbours."""
    numbers = table.rows[rows]
    reasons = [f"same timestamp as row {first}" for first in numbers[firsts]] + ["out of order"] * len(late)
    kinds = ["duplicate"] * len(repeats) + ["order"] * len(late)
    return _problems(np.concatenate([numbers[repeats], numbers[late]]), [symbol] * len(reasons), kinds, reasons)

"""A table of any form: found out, and its columns read as numbers, stamps and text.

`table_of_bytes` asks the families in turn; `Table` is the same whatever the file was, so the row checks know no
formats.
"""

import csv
import dataclasses
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from markets.errors import UserError
from markets.readers import crypto, forex, metatrader, plain
from markets.readers.layout import ASK, PRICES, Head, Layout, plain_name
from markets.readers.source import read_lines, read_parquet, unknown_form

__all__ = ["Table", "table_of_bytes", "table_of_frame", "text_columns"]

_FAMILIES: tuple[Callable[[Head], Layout | None], ...] = (
    metatrader.recognise,
    forex.recognise,
    crypto.recognise,
    plain.recognise,
)
_SEPARATORS = (",", ";", "\t")
_BANNER_LINES = 8
_KNOWN = {*PRICES, *ASK, "timestamp", "date", "time", "volume", "spread", "symbol", "adj_close", "adj_factor"}
_UNIT = "\x1f"
_ABSENT = ("", "nan", "null", "none", "na", "n/a", "-")


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """The rows of a file, with what each column means.

    Attributes:
        layout: what stands where.
        frame: columns named by position, `"0"`, `"1"`, …; text from a text file, any type from Parquet.
        rows: number of each row as a person counts it: the line in a text file, the row in Parquet [rows].
        ragged: rows with more or fewer cells than the table has columns [rows].
        packing: `CSV` or `Parquet`, for people.
        symbol: the one symbol named outside the rows, if any.
    """

    layout: Layout
    frame: pl.DataFrame
    rows: NDArray[np.int64]
    ragged: NDArray[np.bool_]
    packing: str
    symbol: str | None = None

    def column(self, position: int) -> pl.Series:
        """A column as it stands."""
        return self.frame[str(position)]

    def numbers(self, position: int, source: object) -> NDArray[np.float64]:
        """A column as float64 [rows], NaN where it is missing or no number.

        Raises:
            UserError: a column of a type that is no number at all.
        """
        column = self.column(position)
        if column.dtype == pl.String:
            column = column.str.strip_chars()
        elif not (column.dtype.is_numeric() or column.dtype == pl.Null):
            raise UserError(f"{source}: column {self.layout.names[position]} holds {column.dtype}; right is numbers")
        return column.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy().astype(np.float64)

    def unreadable(self, position: int) -> NDArray[np.bool_]:
        """Cells of a text column that are neither absent nor numbers [rows]."""
        column = self.column(position)
        if column.dtype != pl.String:
            return np.zeros(len(column), bool)
        text = column.fill_null("").str.strip_chars().str.to_lowercase()
        wrong = ~text.is_in(list(_ABSENT)) & text.cast(pl.Float64, strict=False).is_null()
        return wrong.to_numpy().astype(bool)

    def decimals(self, positions: Sequence[int]) -> int:
        """The most decimals any cell of some columns is written with."""
        most = 0
        for position in positions:
            text = self.column(position).cast(pl.String, strict=False).str.strip_chars()
            found = text.str.extract(r"^\d+\.(\d+)$", 1).str.len_chars().max()
            most = max(most, int(str(found)) if found is not None else 0)
        return most


def table_of_bytes(raw: bytes, path: Path) -> Table:
    """Find out what a file is.

    Raises:
        UserError: no form that is read, or a header that lacks what bars need.
    """
    if raw[:4] == b"PAR1":
        return table_of_frame(read_parquet(raw, path), path)
    lines, numbers = read_lines(raw, path)
    start = _header_line(lines)
    if start is None:
        return _without_header(lines, numbers, path)
    header = lines[start]
    separator = max(_SEPARATORS, key=lambda mark: len(_known(header, mark)))
    raw_names = _cells(header, separator)
    body, body_numbers, symbol = lines[start + 1 :], numbers[start + 1 :], None
    if plain_name(raw_names[0]) == "price" and len(body) > 2 and plain_name(_cells(body[0], separator)[0]) == "ticker":
        raw_names, body, body_numbers, symbol = _yfinance(raw_names, body, body_numbers, separator, path)
    if not body:
        raise unknown_form(path, "no rows under the header")
    frame, ragged = _cut(body, separator, len(raw_names))
    layout = _named_layout(raw_names, frame, path)
    return Table(layout, _points(frame, layout, separator), np.array(body_numbers), ragged, "CSV", symbol)


def table_of_frame(frame: pl.DataFrame, source: object) -> Table:
    """A frame with the usual names as a table; rows are counted from 1.

    Raises:
        UserError: columns that bars need are missing.
    """
    names = frame.columns
    by_place = frame.rename({name: str(place) for place, name in enumerate(names)})
    cast = [pl.col(name).cast(pl.String) for name, kind in by_place.schema.items() if kind in (pl.Categorical, pl.Enum)]
    by_place = by_place.with_columns(cast)
    layout = _named_layout(names, by_place, source)
    return Table(layout, by_place, np.arange(1, len(frame) + 1), np.zeros(len(frame), bool), "Parquet")


def text_columns(
    raw: bytes, path: Path, known: Collection[str], *, right: str
) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    """The columns of a text file under one header line, as text, null where empty, and the line of each row.

    Args:
        raw: content of the file.
        path: its name, for messages.
        known: names of columns; the separator that finds most of them in the header is the file's.
        right: what the file should be, for messages.

    Raises:
        UserError: binary junk, a column named twice, or a row with more or fewer cells than the header.
    """
    lines, numbers = read_lines(raw, path, right=right)
    separator = max(_SEPARATORS, key=lambda mark: len({*known} & {*_cells(lines[0], mark)}))
    names = _cells(lines[0], separator)
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{path}: row {numbers[0]}: column {name or 'without a name'} stands there twice; {right}")
    frame, ragged = _cut(lines[1:], separator, len(names))
    if ragged.any():
        row = numbers[1 + int(np.argmax(ragged))]
        raise UserError(f"{path}: row {row}: more or fewer cells than the {len(names)} of the header; {right}")
    if separator != ",":
        frame = frame.with_columns(pl.all().str.replace(r"^\s*([+-]?\d*),(\d+)\s*$", "$1.$2"))
    frame = frame.with_columns(pl.when(pl.all().str.strip_chars() != "").then(pl.all()))
    frame.columns = names
    return frame, np.array(numbers[1:], np.int64)


def _named_layout(raw_names: Sequence[str], frame: pl.DataFrame, source: object) -> Layout:
    # Only text tells something about a form; other types may hold moments that Python has no object for.
    cells = tuple(str(column[0] or "") if column.dtype == pl.String and len(column) else "" for column in frame)
    head = Head(tuple(raw_names), tuple(map(plain_name, raw_names)), cells)
    for recognise in _FAMILIES:
        layout = recognise(head)
        if layout is not None:
            asks = [name for name in ASK if name in layout.roles]
            if asks and len(asks) < len(ASK):
                missing = [name for name in ASK if name not in layout.roles]
                raise UserError(f"{source}: has {asks[0]} but not {', '.join(missing)}; right is all four or none")
            return layout
    missing = [name for name in ("timestamp", *PRICES) if name not in head.names]
    raise UserError(f"{source}: no column {', '.join(missing)}; it has {', '.join(raw_names)}"[:400])


def _header_line(lines: Sequence[str]) -> int | None:
    """The first of the first lines that names at least three things bars are made of."""
    for place, line in enumerate(lines[:_BANNER_LINES]):
        if max(len(_known(line, mark)) for mark in _SEPARATORS) >= 3:
            return place
    return None


def _known(line: str, separator: str) -> set[str]:
    return _KNOWN & {plain_name(cell) for cell in _cells(line, separator)}


def _cells(line: str, separator: str) -> list[str]:
    return [cell.strip().strip('"') for cell in line.split(separator)]


def _yfinance(
    names: list[str], body: list[str], numbers: list[int], separator: str, path: Path
) -> tuple[list[str], list[str], list[int], str | None]:
    """Undo the three header lines (Price, Ticker, Date) of Yahoo data fetched for a list of symbols."""
    tickers = {cell for cell in _cells(body[0], separator)[1:] if cell}
    if len(tickers) != 1:
        raise UserError(
            f"{path}: prices of {len(tickers)} symbols side by side; right is one symbol a file, or a long table"
        )
    return [_cells(body[1], separator)[0], *names[1:]], body[2:], numbers[2:], tickers.pop()


def _without_header(lines: list[str], numbers: list[int], path: Path) -> Table:
    """A table whose columns are told by the shape of a row; a damaged first row does not hide the form."""
    for line in lines[:_BANNER_LINES]:
        for separator in _SEPARATORS:
            cells = _cells(line, separator)
            for recognise in _FAMILIES:
                layout = recognise(Head((), (), tuple(cells)))
                if layout is not None:
                    frame, ragged = _cut(lines, separator, len(cells))
                    return Table(layout, _points(frame, layout, separator), np.array(numbers), ragged, "CSV")
    raise unknown_form(path, f"unknown form (first line {lines[0][:60]!r})")


def _cut(lines: Sequence[str], separator: str, width: int) -> tuple[pl.DataFrame, NDArray[np.bool_]]:
    """Cut lines into columns; also which lines have too many or too few cells [rows]."""
    series = pl.Series("lines", lines, dtype=pl.String)
    if series.str.contains('"', literal=True).any():
        series = pl.Series("lines", [_UNIT.join(_unquoted(line, separator)) for line in lines], dtype=pl.String)
        separator = _UNIT
    frame = series.str.split_exact(separator, width - 1).struct.unnest()
    frame.columns = [str(place) for place in range(width)]
    cells = series.str.count_matches(separator, literal=True).to_numpy().astype(np.int64) + 1
    closed = series.str.ends_with(separator).to_numpy().astype(bool)
    return frame, ~((cells == width) | ((cells == width + 1) & closed))


def _unquoted(line: str, separator: str) -> list[str]:
    """Cells of a line in which some are quoted; a quote never reaches over the end of its line."""
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return line.split(separator)


def _points(frame: pl.DataFrame, layout: Layout, separator: str) -> pl.DataFrame:
    """Turn decimal commas into points where cells are cut at something else."""
    if separator == ",":
        return frame
    texts = {*layout.stamp, layout.roles.get("symbol", -1)}
    columns = [name for name in frame.columns if int(name) not in texts]
    if not frame[str(layout.roles["close"])].head(_BANNER_LINES).str.contains(",", literal=True).any():
        return frame
    return frame.with_columns(pl.col(columns).str.replace(",", ".", literal=True))

"""From a path to rows: unpacking, decoding, Parquet or text.

Here a file becomes lines with their numbers, or a frame; what the columns mean is found by the families. Text is cut at
separators line by line, so that one damaged line can spoil itself alone and every row keeps the number a person counts.
"""

import gzip
import io
import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from markets.errors import UserError

__all__ = ["FORMS", "read_bytes", "read_lines", "read_parquet", "unknown_form"]

FORMS = (
    "Parquet or CSV with timestamp, open, high, low, close; MetaTrader 4 and 5; HistData; Dukascopy; Binance; "
    "CryptoDataDownload; Yahoo"
)
"""The forms that are read, for messages."""

_CONTROLS = bytes(set(range(32)) - {9, 10, 13, 26})
_JUNK_SHARE = 0.02

_ROOM, _SWELL = 64 << 20, 100
"""An archive may unpack to 64 MiB, or to a hundred times its own size; bars pack about ten to one, bombs a thousand."""

_TABLE_ROOM = 1 << 30
"""The same for the numbers of a Parquet file, whose header says how many there will be: 1 GiB, or a hundred times."""

_DAMAGE = (
    *(OSError, EOFError, ValueError, OverflowError, RuntimeError, struct.error, zlib.error),
    *(lzma.LZMAError, zipfile.BadZipFile),
)
"""What the archive modules raise over bytes that are no archive."""

_NO_PARQUET = (
    *(OSError, ValueError, OverflowError, TypeError, KeyError, MemoryError),
    *(pa.ArrowException, pl.exceptions.PolarsError),
)
"""What pyarrow and polars raise over bytes that are no Parquet."""


_BARS = f"bars are read from {FORMS}"


def unknown_form(path: Path, why: str, right: str = _BARS) -> UserError:
    """The error for a file that is no bars at all; `right` says what it should have been."""
    return UserError(f"{path}: {why}; {right}")


def read_bytes(path: Path, *, right: str = _BARS) -> bytes:
    """The content of a file, unpacked where it is gzip or a zip archive with one table.

    Raises:
        UserError: no such file, a folder, a pipe or a device, no permission, empty, larger than memory, or an archive
            that is damaged or unpacks to far more than bars do.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise UserError(f"{path}: is no regular file but a pipe or a device; write its content to a file first")
        raw = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder; name the file itself") from None
    except MemoryError:
        raise UserError(f"{path}: larger than this machine's memory; split it") from None
    except UserError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{path}: cannot be read ({reason})") from None
    try:
        if raw[:2] == b"\x1f\x8b":
            with gzip.open(io.BytesIO(raw)) as file:
                raw = _unpacked(file.read, len(raw), path)
        elif raw[:4] == b"PK\x03\x04":
            raw = _only_member(raw, path)
    except UserError:
        raise
    except _DAMAGE as error:
        raise UserError(f"{path}: a damaged archive ({_first_line(error)}); fetch or pack it again") from None
    if not raw.strip():
        raise unknown_form(path, "empty", right)
    return raw


def _only_member(raw: bytes, path: Path) -> bytes:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        tables = [each for each in archive.infolist() if each.filename.lower().endswith((".csv", ".parquet"))]
        if len(tables) != 1:
            raise UserError(f"{path}: holds {len(tables)} tables; right is an archive with one CSV, or the file itself")
        with archive.open(tables[0]) as file:
            return _unpacked(file.read, len(raw), path)


def _unpacked(read: Callable[[int], bytes], packed: int, path: Path) -> bytes:
    """The content of an archive's file, never more than a bound in memory."""
    most = _ROOM + _SWELL * packed
    content = read(most + 1)
    if len(content) > most:
        raise UserError(
            f"{path}: unpacks to more than {most >> 20:,} MiB, {_SWELL} times its size and more; no bars do that, "
            "name the unpacked file if these are"
        )
    return content


def read_parquet(raw: bytes, path: Path, *, right: str = _BARS) -> pl.DataFrame:
    """A Parquet file as a frame; checksums are verified where the file has them.

    Raises:
        UserError: truncated, damaged, or with types that are no table of bars.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(raw), page_checksum_verification=True)
        cells = file.metadata.num_rows * file.metadata.num_columns
        if 8 * cells > _TABLE_ROOM + _SWELL * len(raw):
            raise unknown_form(path, f"damaged Parquet (its header tells of {file.metadata.num_rows:,} rows)", right)
        table = file.read()
        if table.num_rows != file.metadata.num_rows:
            raise unknown_form(
                path, f"damaged Parquet ({table.num_rows:,} of {file.metadata.num_rows:,} rows are there)"
            )
        table.validate(full=True)  # polars takes Arrow's word for it that text is text
        frame = pl.from_arrow(table)
    except UserError:
        raise
    except _NO_PARQUET as error:
        raise unknown_form(path, f"damaged Parquet ({_first_line(error)})", right) from None
    if not isinstance(frame, pl.DataFrame) or not frame.width or not frame.height:
        raise unknown_form(path, "no rows", right)
    return frame


def read_lines(raw: bytes, path: Path, *, right: str = _BARS) -> tuple[list[str], list[int]]:
    """The lines of a text file that are not blank, and the number of each, counted from 1.

    UTF-8 and UTF-16 are told by their marks; what is neither is read as Latin-1, where any byte is a letter.

    Raises:
        UserError: binary junk.
    """
    text = _decode(raw)
    head = text[:65536]
    junk = sum(map(head.count, map(chr, _CONTROLS)))
    if junk > _JUNK_SHARE * len(head):
        raise unknown_form(path, "not text (binary content)", right)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if len(lines) > 1 and all(map(str.strip, lines[:-1])) and not lines[-1].strip("\x1a"):
        return lines[:-1], list(range(1, len(lines)))
    numbers = [number for number, line in enumerate(lines, 1) if line.strip(" \t\x1a")]
    if not numbers:
        raise unknown_form(path, "empty", right)
    return [lines[number - 1] for number in numbers], numbers


def _decode(raw: bytes) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", errors="replace")
    head = raw[:4096]
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        # Text of ASCII letters in UTF-16 has every other byte zero.
        if head[first::2].count(0) > 0.45 * len(head) / 2 and head[1 - first :: 2].count(0) == 0:
            return raw.decode(encoding, errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:120]

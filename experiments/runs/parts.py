"""Parts of tables, read with suspicion: a damaged one is an error to tell, whatever stands in it.

Arrow reads and validates them; polars' own reader panics over some of what damage makes of a Parquet file.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from arena.schemas import LATER, TABLES
from experiments.runs.notes import see_regular

__all__ = ["PART", "filled", "fits", "part_schema", "read_part"]

PART = re.compile(r"(\d{8,})-(\d{8,})-(\d+)\.parquet")
"""Name of a part: first and last generation, and the process that wrote it, which has always been process 0."""

_DAMAGE = (pa.ArrowException, pl.exceptions.PolarsError, ValueError, TypeError, LookupError, OverflowError, MemoryError)


def read_part(path: Path, columns: Sequence[str] | None = None, *, words: Sequence[str] = ()) -> pl.DataFrame:
    """A part, whole.

    Args:
        path: of the part.
        columns: those wanted; all by default.
        words: columns of few different strings, which come as categories: less to read and quicker to compare.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged; one line says how.
    """
    with _suspicion(path):
        with pq.ParquetFile(path, read_dictionary=list(words)) as file:
            table = file.read(None if columns is None else list(columns))
        table.validate(full=True)
        return pl.DataFrame(table)


def part_schema(path: Path) -> pl.Schema:
    """The columns of a part, from its end alone.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged; one line says how.
    """
    with _suspicion(path):
        return pl.DataFrame(pq.read_schema(path).empty_table()).schema


def fits(schema: pl.Schema, name: str) -> bool:
    """Whether these are the columns of a table, or those it had when an older run wrote them."""
    later = LATER.get(name, ())
    return schema in (TABLES[name], {key: kind for key, kind in TABLES[name].items() if key not in later})


def filled(part: pl.DataFrame, name: str, columns: Sequence[str]) -> pl.DataFrame:
    """These columns of a part, null where it was written before there were such."""
    missing = [pl.lit(None, TABLES[name][key]).alias(key) for key in columns if key not in part.columns]
    return part.with_columns(missing).select(columns)


@contextlib.contextmanager
def _suspicion(path: Path) -> Iterator[None]:
    """See that it is a file, and tell of whatever is wrong inside as a `ValueError` of one line."""
    see_regular(path)
    try:
        yield
    except FileNotFoundError:
        raise
    except (*_DAMAGE, OSError) as error:  # Arrow tells of damage by OSError too
        raise ValueError((str(error).splitlines() or [type(error).__name__])[0]) from None

"""Parts of tables, read with suspicion: a damaged one is an error to tell, whatever stands in it.

Arrow reads and validates them; polars' own reader panics over some of what damage makes of a Parquet file.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from experiments.runs.notes import see_regular

__all__ = ["part_schema", "read_part"]

_DAMAGE = (pa.ArrowException, pl.exceptions.PolarsError, ValueError, TypeError, LookupError, OverflowError, MemoryError)


def read_part(path: Path) -> pl.DataFrame:
    """A part, whole.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged; one line says how.
    """
    with _suspicion(path):
        table = pq.ParquetFile(path).read()
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

"""Parts of tables, read with suspicion: a damaged one is an error to tell, whatever stands in it.

Arrow reads and validates them; polars' own reader panics over some of what damage makes of a Parquet file.
"""

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
    see_regular(path)
    try:
        table = pq.ParquetFile(path).read()
        table.validate(full=True)
        return pl.DataFrame(table)
    except FileNotFoundError:
        raise
    except (*_DAMAGE, OSError) as error:  # Arrow tells of damage by OSError too
        raise ValueError(_first_line(error)) from None


def part_schema(path: Path) -> pl.Schema:
    """The columns of a part, from its end alone.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged; one line says how.
    """
    see_regular(path)
    try:
        return pl.DataFrame(pq.read_schema(path).empty_table()).schema
    except FileNotFoundError:
        raise
    except (*_DAMAGE, OSError) as error:
        raise ValueError(_first_line(error)) from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]

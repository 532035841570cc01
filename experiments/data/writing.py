"""Writing bars as Parquet, complete or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from markets.bars import Bars
from markets.errors import UserError

__all__ = ["write_bars"]

_PRICES = ("open", "high", "low", "close")


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

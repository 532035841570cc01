"""Sound files of bars in every form that is read, small enough that thousands can be damaged in a minute."""

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from experiments.data.writing import write_bars
from markets.bars import Bars
from markets.errors import UserError
from markets.readers import Reading, ReadSettings, examine, read_bars

__all__ = ["bars_or_refusal", "made_bars", "one_line", "reading_or_refusal", "sound", "sound_files"]

_ROWS = 48
_START = np.datetime64("2020-03-12T06", "us")  # past the twelfth, day and month can be told apart


def made_bars(symbol: str = "EURUSD", rows: int = _ROWS, spread: float = 0.0002) -> Bars:
    """Hourly bars around 1.3."""
    rng = np.random.default_rng(len(symbol) + rows)
    close = 1.3 * np.exp(np.cumsum(0.001 * rng.standard_normal(rows)))
    open = np.append(1.3, close[:-1])
    high, low = np.maximum(open, close) + 0.0004, np.minimum(open, close) - 0.0004
    time = _START + np.arange(rows) * np.timedelta64(1, "h")
    return Bars.from_mid(symbol, time, np.stack([open, high, low, close], 1), spread, np.floor(100 * rng.random(rows)))


def _rows(stamp: str, form: str, *, newest_first: bool = False) -> str:
    """A line a bar: `form` takes t (the stamp), o, h, l, c, v and n (milliseconds since 1970)."""
    bars, lines = made_bars(spread=0.0), []
    for time, prices, volume in zip(bars.time, bars.bid, bars.volume, strict=True):
        moment = time.astype(object)
        o, h, l, c = (f"{price:.5f}" for price in prices)
        count = int(time.astype("datetime64[ms]").astype(int))
        lines.append(form.format(t=moment.strftime(stamp), o=o, h=h, l=l, c=c, v=int(volume), n=count))
    return "".join(reversed(lines) if newest_first else lines)


def _parquet(table: pa.Table, **options: object) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def _zip(name: str, raw: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name), raw, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def sound_files(folder: Path) -> dict[str, bytes]:
    """Name and content of a sound file of each form; `folder` is for the writer that wants a path."""
    iso = "%Y-%m-%d %H:%M:%S"
    own = "timestamp,open,high,low,close,volume,spread,adj_factor,symbol\n" + _rows(
        iso, "{t},{o},{h},{l},{c},{v},0.0002,1.0,GOLD\n"
    )
    mt5_rows = _rows("%Y.%m.%d\t%H:%M:%S", "{t}\t{o}\t{h}\t{l}\t{c}\t{v}\t0\t12\r\n")
    mt5 = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\r\n" + mt5_rows
    klines = "{n},{o},{h},{l},{c},{v},{n},7.5,3,1.5,2.5,0\n"
    dukascopy = "time,Open,High,Low,Close,Volume\n"
    prices = "Open,High,Low,Close,Adj Close,Volume\n"
    sides = "timestamp,open,high,low,close,ask_open,ask_high,ask_low,ask_close\n"
    commas = _rows("%Y/%m/%d %H:%M", "{t};{o};{h};{l};{c};{v}\n").replace(".", ",")
    write_bars([made_bars("A"), made_bars("B", 40)], folder / "own.parquet")
    parquet = (folder / "own.parquet").read_bytes()
    (folder / "own.parquet").unlink()
    table = pq.read_table(io.BytesIO(parquet))
    nanos = pl.from_arrow(table).with_columns(
        pl.col("timestamp").dt.cast_time_unit("ns"), pl.col("symbol").cast(pl.Categorical)
    )
    texts: dict[str, str] = {
        "own.csv": own,
        "sides_H1.csv": sides + _rows(iso, "{t},{o},{h},{l},{c},{o}1,{h}1,{l}1,{c}1\n"),
        "zones.csv": "time,open,high,low,close\n" + _rows("%Y-%m-%dT%H:%M:%S+02:00", "{t},{o},{h},{l},{c}\n"),
        "zulu.csv": "time,open,high,low,close\n" + _rows("%Y-%m-%dT%H:%M:%SZ", "{t},{o},{h},{l},{c}\n"),
        "bare.csv": _rows(iso, "{t},{o},{h},{l},{c},{v}\n"),
        "quoted.csv": "Date,Open,High,Low,Close\n" + _rows("%m/%d/%Y %H:%M", '"{t}","{o}","{h}","{l}","{c}"\n'),
        "commas.csv": "timestamp;open;high;low;close;volume\n" + commas,
        "mt5.csv": mt5,
        "mt5_bare.csv": mt5_rows,
        "mt5_python.csv": "time,open,high,low,close,tick_volume,spread,real_volume\n"
        + _rows("", "{n},{o},{h},{l},{c},{v},12,0\n"),
        "EURUSD60.csv": _rows("%Y.%m.%d,%H:%M", "{t},{o},{h},{l},{c},{v}\n"),
        "DAT_ASCII_EURUSD_M1_2020.csv": _rows("%Y%m%d %H%M%S", "{t};{o};{h};{l};{c};0\n"),
        "dukascopy.csv": "Gmt " + dukascopy + _rows("%d.%m.%Y %H:%M:%S.000", "{t},{o},{h},{l},{c},{v}\n"),
        "dukascopy_local.csv": "Local "
        + dukascopy
        + _rows("%d.%m.%Y %H:%M:%S.000 GMT+0200", "{t},{o},{h},{l},{c},{v}\n"),
        "BTCUSDT-1h-2020-03.csv": _rows("", klines),
        "klines_us.csv": _rows("", klines.replace("{n}", "{n}000")),
        "cdd.csv": "https://www.CryptoDataDownload.com\nunix,date,symbol,open,high,low,close,Volume BTC,Volume USDT\n"
        + _rows(iso, "{n},{t},BTC/USDT,{o},{h},{l},{c},{v},9\n", newest_first=True),
        "cdd_ampm.csv": "banner\nDate,Symbol,Open,High,Low,Close,Volume BTC,Volume USD\n"
        + _rows("%Y-%m-%d %I-%p", "{t},BTCUSD,{o},{h},{l},{c},{v},9\n", newest_first=True),
        "yahoo.csv": "Date," + prices + _rows("%Y-%m-%d %H:%M", "{t},{o},{h},{l},{c},1.2,{v}\n"),
        "yfinance.csv": "Price,Adj Close,Close,High,Low,Open,Volume\nTicker,A,A,A,A,A,A\nDate,,,,,,\n"
        + _rows(iso, "{t},{c},{c},{h},{l},{o},{v}\n"),
    }
    files = {name: text.encode() for name, text in texts.items()}
    return files | {
        "mt5_utf16.csv": mt5.encode("utf-16"),
        "mt5_utf16_unmarked.csv": mt5.encode("utf-16-be"),
        "own_marked.csv": own.encode("utf-8-sig"),
        "latin.csv": own.replace("GOLD", "GÖLD").encode("latin-1"),
        "returns.csv": own.replace("\n", "\r").encode(),
        "own.csv.gz": gzip.compress(own.encode(), mtime=0),
        "own.zip": _zip("own.csv", own.encode()),
        "packed.zip": _zip("own.parquet", parquet),
        "own.parquet": parquet,
        "plain.parquet": _parquet(table, compression="none", use_dictionary=False),
        "pages.parquet": _parquet(table, compression="gzip", data_page_size=64, data_page_version="2.0"),
        "groups.parquet": _parquet(nanos.to_arrow(), compression="snappy", row_group_size=7),
        "old.parquet": _parquet(table, compression="lz4", use_deprecated_int96_timestamps=True, write_statistics=False),
    }


def one_line(error: UserError, path: Path) -> None:
    """A refusal is one line of sensible length that names the file."""
    message = str(error)
    assert message.splitlines() == [message]
    assert message.isprintable() or all(letter.isprintable() for letter in message.replace(str(path), ""))
    assert len(message) < 2000
    assert path.name in message


def sound(bars: Bars) -> None:
    """What holds of all bars that a reader returns."""
    assert len(bars)
    assert bars.symbol
    assert bars.time.dtype == np.dtype("datetime64[us]")
    assert not np.isnat(bars.time).any()
    assert np.all(np.diff(bars.time) > np.timedelta64(0))
    for side in (bars.bid, bars.ask):
        assert side.shape == (len(bars), 4)
        assert side.dtype == np.float64
        assert np.all(np.isfinite(side))
        assert np.all(side > 0)
        assert np.all(side[:, 1] == side.max(axis=1))
        assert np.all(side[:, 2] == side.min(axis=1))
    assert np.all(bars.ask >= bars.bid)
    assert np.all(np.isfinite(bars.volume))
    assert np.all(bars.volume >= 0)
    for column in bars.columns.values():
        assert column.shape == (len(bars),)
        assert not np.any(np.isinf(column))


def reading_or_refusal(path: Path, options: ReadSettings) -> Reading | None:
    """What a file holds, checked; None where it was refused properly."""
    try:
        reading = examine(path, options)
    except UserError as error:
        one_line(error, path)
        return None
    for bars in reading.bars:
        sound(bars)
    assert len({bars.symbol for bars in reading.bars}) == len(reading.bars)
    dropped = len(reading.problems) - int((reading.problems["kind"] == "order").sum())
    assert (
        sum(map(len, reading.bars)) + dropped <= sum(reading.rows.values()) + (reading.problems["symbol"] == "").sum()
    )
    return reading


def bars_or_refusal(path: Path, options: ReadSettings) -> list[Bars] | None:
    """The bars of a file, checked; None where it was refused properly."""
    try:
        found = read_bars(path, options)
    except UserError as error:
        one_line(error, path)
        return None
    for bars in found:
        sound(bars)
    return found

"""Whatever happened to a file on its way, reading it gives sound bars or one line for its user, never a traceback."""

import datetime
import gzip
import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from markets.bars import Bars
from markets.errors import UserError
from markets.readers import ReadSettings, examine, read_bars, read_frame

HOURS = [f"2012.02.{1 + hour // 24:02} {hour % 24:02}:00:00" for hour in range(60)]


def _mt5() -> bytes:
    head = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\r\n"
    rows = "".join(f"{stamp.replace(' ', chr(9))}\t1.30\t1.31\t1.29\t1.305\t9\t0\t2\r\n" for stamp in HOURS)
    return (head + rows).encode()


def _yahoo() -> bytes:
    rows = "".join(f'{stamp[:10].replace(".", "-")},"1.5",2,1,1.25,1.0,7\n' for stamp in HOURS[::24])
    return f"Date,Open,High,Low,Close,Adj Close,Volume\n{rows}".encode()


def _klines() -> bytes:
    line = "{},1.5,2,1,1.25,7,{},8,3,4,5,0\n"
    return "".join(line.format(1577836800000 + i * 60000, 1577836859999 + i * 60000) for i in range(30)).encode()


def _parquet() -> bytes:
    stamps = pl.Series([stamp.replace(".", "-") for stamp in HOURS]).str.to_datetime(time_zone="UTC")
    frame = pl.DataFrame({"timestamp": stamps, "symbol": ["A", "B"] * 30})
    frame = frame.with_columns(**{name: pl.lit(1.5) for name in ("open", "high", "low", "close", "volume")})
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


FILES = {
    "mt5.csv": _mt5(),
    "mt5_utf16.csv": _mt5().decode().encode("utf-16"),
    "yahoo.csv": _yahoo(),
    "klines.csv": _klines(),
    "histdata.csv": b"".join(b"20120201 00%02d00;1.3066;1.3067;1.3065;1.3066;0\n" % minute for minute in range(40)),
    "bars.parquet": _parquet(),
    "bars.csv.gz": gzip.compress(_mt5(), mtime=0),
}


def bars_or_refusal(path: Path, options: ReadSettings) -> list[Bars]:
    try:
        return read_bars(path, options)
    except UserError as error:
        message = str(error)
    assert "\n" not in message
    assert path.name in message
    return []


def sound_or_refused(path: Path) -> None:
    for repair in ("error", "drop"):
        for bars in bars_or_refusal(path, ReadSettings(repair=repair)):
            assert len(bars)
            assert np.all(np.diff(bars.time) > np.timedelta64(0))
            for side in (bars.bid, bars.ask):
                assert np.all(np.isfinite(side))
                assert np.all(side > 0)
                assert np.all(side[:, 1] == side.max(axis=1))
                assert np.all(side[:, 2] == side.min(axis=1))
            assert np.all(bars.ask >= bars.bid)
            assert np.all(bars.volume >= 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files(folder: Path, name: str, data: st.DataObject) -> None:
    raw = bytearray(FILES[name])
    for place, bit in data.draw(st.lists(st.tuples(st.integers(0, len(raw) - 1), st.integers(0, 7)), max_size=12)):
        raw[place] ^= 1 << bit
    first, last = sorted(data.draw(st.tuples(st.integers(0, len(raw)), st.integers(0, len(raw)))))
    match data.draw(st.sampled_from(["flipped", "cut", "hole", "doubled"])):
        case "cut":
            raw = raw[:last]
        case "hole":
            raw = raw[:first] + raw[last:]
        case "doubled":
            raw = raw[:last] + raw[first:]
    path = folder / name
    path.write_bytes(raw)
    sound_or_refused(path)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace"))))
def test_arbitrary_bytes_under_a_good_header(folder: Path, body: bytes) -> None:
    for start in (b"", b"timestamp,open,high,low,close,volume\n", b"PAR1", b"\x1f\x8b", b"PK\x03\x04", b"\xff\xfe"):
        path = folder / "any"
        path.write_bytes(start + body)
        sound_or_refused(path)


CELL = st.sampled_from(
    [
        "",
        "1",
        "2",
        "0.5",
        "-1",
        "nan",
        "inf",
        "1e400",
        '"',
        '"1',
        "2020-01-01",
        "2020-01-02 03:00",
        "31.12.2020",
        "x",
        ",",
    ]
    + ["1577836800000", "99999999999999999999", "1e9", "9999-12-31", "null", "\x00", "２"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.lists(CELL, min_size=1, max_size=9), min_size=1, max_size=8), mark=st.sampled_from(",;\t"))
def test_arbitrary_cells(folder: Path, rows: list[list[str]], mark: str) -> None:
    header = mark.join(["timestamp", "symbol", "open", "high", "low", "close", "volume", "spread", "adj_factor"])
    text = "\n".join(mark.join(row) for row in rows)
    for start in ("", header + "\n"):
        (folder / "any.csv").write_text(start + text)
        sound_or_refused(folder / "any.csv")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\n\n  \n", "empty"),
        (b"timestamp,open,high,low,close\n", "no rows under the header"),
        (b"Dear reader,\nno bars here.\n", "unknown form"),
        (bytes(range(256)) * 40, "binary"),
        (b"PAR1" + b"\x00" * 100, "damaged Parquet"),
        (FILES["bars.parquet"][:-20], "damaged Parquet"),
        (FILES["bars.csv.gz"][:-20], "damaged archive"),
        (b"timestamp,open,high,low\n2020-01-01,1,1,1\n", "no column close; it has timestamp, open, high, low"),
        (b"timestamp,open,high,low,close,ask_open\n2020-01-01,1,1,1,1,1\n", "ask_high"),
    ],
)
def test_unusable_files_are_named_with_what_would_be_right(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "some.file"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        examine(path)
    assert "some.file" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_bars(tmp_path / "missing.csv")
    with pytest.raises(UserError, match="is a folder"):
        read_bars(tmp_path)
    with pytest.raises(UserError, match="cannot be read"):
        read_bars("bad\0name.csv")


@pytest.mark.parametrize("column", ["timestamp", "symbol", "open", "volume", "adj_factor", "extra"])
@pytest.mark.parametrize(
    "values",
    [
        [[1, 2]],
        [{"a": 1}],
        [True],
        [b"x"],
        [None],
        [datetime.timedelta(1)],
        [datetime.time(1)],
        [object()],
        ["x"],
        [1.5],
    ],
    ids=lambda values: type(values[0]).__name__,
)
def test_frames_of_odd_types(column: str, values: list[object]) -> None:
    frame = pl.DataFrame({"timestamp": ["2020-01-01"], **{name: [1.0] for name in ("open", "high", "low", "close")}})
    frame = frame.with_columns(pl.Series(column, values))
    options = ReadSettings(columns={"extra": 0} if column == "extra" else {})
    try:
        read = read_frame(frame, options)
    except UserError as error:
        message = str(error)
    else:
        assert len(read[0]) == 1
        return
    assert "\n" not in message
    assert "frame" in message

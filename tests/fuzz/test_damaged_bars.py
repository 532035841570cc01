"""Thousands of damaged files of bars, in every form that is read: sound bars or one line, never anything else.

Each case is named by its form and number, from which alone it is made; `-m soak` runs many more.
"""

import gzip
import io
import logging
import os
import random
import struct
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from bar_files import bars_or_refusal, one_line, reading_or_refusal, sound, sound_files
from damage import bit_flips, damaged
from hypothesis import given, settings
from hypothesis import strategies as st

from markets.errors import UserError
from markets.readers import ReadSettings, examine, read_bars, read_frame

CASES = 40  # of each form in each session; the soak goes on from there

FORMS = (
    *("own.csv", "sides_H1.csv", "zones.csv", "zulu.csv", "bare.csv", "quoted.csv", "commas.csv", "mt5.csv"),
    *("mt5_bare.csv", "mt5_python.csv", "EURUSD60.csv", "DAT_ASCII_EURUSD_M1_2020.csv", "dukascopy.csv"),
    *("dukascopy_local.csv", "BTCUSDT-1h-2020-03.csv", "klines_us.csv", "cdd.csv", "cdd_ampm.csv", "yahoo.csv"),
    *("yfinance.csv", "mt5_utf16.csv", "mt5_utf16_unmarked.csv", "own_marked.csv", "latin.csv", "returns.csv"),
    *("own.csv.gz", "own.zip", "packed.zip", "own.parquet", "plain.parquet", "pages.parquet", "groups.parquet"),
    *("old.parquet",),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bars")


@pytest.fixture(scope="module")
def files(folder: Path) -> dict[str, bytes]:
    return sound_files(folder)


@pytest.fixture(autouse=True)
def nothing_is_muttered() -> Iterator[None]:
    """A warning of a library is a fault; what is said to the user about repairs is not looked at here."""
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    logging.disable(logging.NOTSET)


def options(rng: random.Random) -> ReadSettings:
    return ReadSettings(
        timezone=rng.choice([None, None, "Europe/Athens", "Etc/GMT+5"]),
        timestamps=rng.choice(["open", "open", "close"]),
        repair=rng.choice(["error", "drop", "drop"]),
        symbol=rng.choice([None, None, None, "A", "GOLD"]),
        point=rng.choice([None, None, 1e-5, 1e300]),
        prices=rng.choice(["mid", "bid"]),
        day_first=rng.choice([None, None, True, False]),
        columns=rng.choice([{}, {}, {"volume": 1}, {"symbol": 0}, {"open": 10**30}]),
    )


def suffer(files: dict[str, bytes], folder: Path, form: str, cases: range) -> int:
    """Damage one form so many times; how often bars were left."""
    left = 0
    for case in cases:
        rng = random.Random(f"{form} {case}")
        path = folder / form
        path.write_bytes(damaged(files[form], rng, files[rng.choice(FORMS)]))
        if rng.random() < 0.6:
            left += reading_or_refusal(path, options(rng)) is not None
        else:
            left += bars_or_refusal(path, options(rng)) is not None
    return left


def test_every_form_is_there_and_sound(files: dict[str, bytes], folder: Path) -> None:
    assert tuple(files) == FORMS or set(files) == set(FORMS)
    for name, raw in files.items():
        (folder / name).write_bytes(raw)
        reading = reading_or_refusal(folder / name, ReadSettings())
        assert reading is not None, name
        assert reading.problems.is_empty(), name
        assert sum(reading.rows.values()) in (48, 88), name


@pytest.mark.parametrize("form", FORMS)
def test_damaged_files_give_sound_bars_or_one_line(form: str, files: dict[str, bytes], folder: Path) -> None:
    left = suffer(files, folder, form, range(CASES))
    assert left < CASES
    assert left > 0 or files[form][:2] in (b"PA", b"PK", b"\x1f\x8b"), "checksums apart, some damage is harmless"


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("form", FORMS)
def test_many_more_damaged_files(form: str, files: dict[str, bytes], folder: Path) -> None:
    suffer(files, folder, form, range(CASES, int(os.environ.get("ARENA_FUZZ_CASES", "4000"))))


@pytest.mark.parametrize("name", ["own.parquet", "pages.parquet", "groups.parquet", "old.parquet"])
def test_flipped_bits_in_the_footer_of_parquet(name: str, files: dict[str, bytes], folder: Path) -> None:
    raw = files[name]
    start = len(raw) - 8 - struct.unpack("<I", raw[-8:-4])[0]
    for case in range(120):
        path = folder / name
        path.write_bytes(raw[:start] + bit_flips(raw[start:], random.Random(case), 3))
        reading_or_refusal(path, ReadSettings(repair="drop"))


def _varint(number: int) -> bytes:
    """A number as Thrift's compact protocol writes a signed one."""
    left, out = 2 * number, b""
    while left > 127:
        out, left = out + bytes([left & 127 | 128]), left >> 7
    return out + bytes([left])


@pytest.mark.parametrize("rows", [2**62, 2**60, 2**40, 2**31, 10**9, 10**6, 89, 1])
def test_a_header_that_lies_about_its_rows_allocates_nothing(rows: int, files: dict[str, bytes], folder: Path) -> None:
    raw, path = files["own.parquet"], folder / "lie.parquet"
    start = len(raw) - 8 - struct.unpack("<I", raw[-8:-4])[0]
    footer = raw[start:-8].replace(b"\x16" + _varint(88), b"\x16" + _varint(rows), 1)
    assert footer != raw[start:-8]
    path.write_bytes(raw[:start] + footer + struct.pack("<I", len(footer)) + b"PAR1")
    with pytest.raises(UserError, match=f"damaged Parquet .*{rows:,} rows"):
        examine(path)


def _bomb(kind: str) -> bytes:
    swollen = b"timestamp,open,high,low,close\n" + bytes(160 << 20)
    if kind == "gzip":
        return gzip.compress(swollen, 1, mtime=0)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("a.csv", swollen)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["gzip", "zip"])
def test_a_bomb_is_not_unpacked(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.csv"
    path.write_bytes(_bomb(kind)[: None if kind == "zip" else -8])
    assert path.stat().st_size < 1 << 20
    with pytest.raises(UserError, match=r"bomb\.csv: unpacks to more than \d+ MiB"):
        read_bars(path)


def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    for path, why in (
        (tmp_path / "fifo", "a pipe or a device"),
        (Path("/dev/zero"), "a pipe or a device"),
        (Path("/dev/null"), "a pipe or a device"),
        (tmp_path / "loop", "cannot be read"),
        (tmp_path / "dangling", "no such file"),
        (tmp_path / "folder", "is a folder"),
        (tmp_path / "folder" / "fifo" / "x", "no such file"),
        (tmp_path / ("x" * 300), "cannot be read"),
        (tmp_path / "bad\udcff.csv", "no such file"),
    ):
        with pytest.raises(UserError, match=why) as caught:
            read_bars(path)
        assert str(caught.value).isprintable()


def test_text_that_is_no_text_inside_sound_parquet_is_refused(files: dict[str, bytes], folder: Path) -> None:
    raw, path = files["plain.parquet"], folder / "text.parquet"
    place = raw.index(b"\x01\x00\x00\x00A\x01\x00\x00\x00A") + 4
    path.write_bytes(raw[:place] + b"\xff" + raw[place + 1 :])
    with pytest.raises(UserError, match=r"damaged Parquet .*UTF"):
        examine(path)


@pytest.mark.parametrize("digits", [400, 5000])
def test_prices_of_many_decimals_leave_no_point_to_speak_of(digits: int, folder: Path) -> None:
    path = folder / "many_digits.csv"
    head = "<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<TICKVOL>,<VOL>,<SPREAD>\n"
    row = "2020.03.12,{}:00,1." + "1" * digits + ",2,1,1,1,1,1\n"
    path.write_text(head + row.format("01") + row.format("02"))
    (bars,) = read_bars(path)
    sound(bars)


def test_more_symbols_than_there_are_instruments_are_refused(folder: Path) -> None:
    path = folder / "symbols.csv"
    rows = "".join(f"2020-03-12,1,1,1,1,S{number}\n" for number in range(100_001))
    path.write_text(f"timestamp,open,high,low,close,ticker\n{rows}")
    with pytest.raises(UserError, match="column ticker names 100,001 symbols"):
        read_bars(path)


@pytest.mark.parametrize("sign", ["\x1b[31m", "\u202e", "\ue000", "\u2066"])
def test_symbols_that_a_terminal_would_obey_are_bad_rows(sign: str, folder: Path) -> None:
    path = folder / "signs.csv"
    path.write_text(
        f"timestamp,open,high,low,close,symbol\n2020-03-12,1,1,1,1,A{sign}B\n2020-03-13,1,1,1,1,A\n", "utf-8"
    )
    reading = examine(path)
    assert reading.problems["reason"].to_list() == ["symbol has letters that cannot be printed"]
    assert [bars.symbol for bars in reading.bars] == ["A"]


def test_the_name_of_a_file_makes_a_symbol_that_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "G\x1bO\nLD\udcff.csv"
    path.write_text("timestamp,open,high,low,close\n2020-03-12,1,1,1,1\n")
    assert [bars.symbol for bars in read_bars(path)] == ["G_O_LD_"]


@pytest.mark.parametrize("timezone", ["", "posixrules", "Factory", "right/UTC", "../UTC", "Mars", "\0", "x" * 5000])
def test_a_clock_that_stamps_cannot_be_moved_by_is_refused_beforehand(timezone: str, folder: Path) -> None:
    with pytest.raises(UserError, match=r"market\.timezone: .* is not a time zone"):
        read_bars(folder / "none.csv", ReadSettings(timezone=timezone))


NAMES = st.one_of(
    st.sampled_from(
        ["timestamp", "time", "date", "open", "high", "low", "close", "volume", "spread", "symbol", "adj_factor"]
        + ["ask_open", "ask_high", "ask_low", "ask_close", "Adj Close", "tick_volume", "real_volume", "unix", "", " "]
        + ["Open", "OPEN", "<OPEN>", "bid_open", "open_time", "close_time", "ticker", "\x1b[0m", "\n", "é"]
    ),
    st.text(max_size=6),
)
KINDS = (
    *(pl.Float64, pl.Float32, pl.Int64, pl.UInt8, pl.Int8, pl.String, pl.Boolean, pl.Binary, pl.Date, pl.Time, pl.Null),
    *(pl.Datetime("ns"), pl.Datetime("ms", "Asia/Tokyo"), pl.Duration("us"), pl.Categorical(), pl.Decimal(38, 10)),
    *(pl.List(pl.Float64), pl.Array(pl.Int8, 2), pl.Struct({"a": pl.Float64}), pl.Enum(["1", "2"]), pl.UInt64),
)
NUMBERS = st.one_of(
    st.sampled_from([None, 0.0, -0.0, 1.0, 2.0, -1.0, float("nan"), float("inf"), 5e-324, 1.7e308]), st.floats()
)
BASE = np.datetime64("2020-03-12", "us")


def _column(kind: pl.DataType, numbers: list[float | None]) -> pl.Series:
    """A column of whatever type, made of numbers; null where a number cannot be that."""
    series = pl.Series(numbers, dtype=pl.Float64)
    if isinstance(kind, pl.List | pl.Array | pl.Struct | pl.Binary) or kind == pl.Binary:
        made: dict[str, object] = {"List": [1.0], "Array": [1, 2], "Struct": {"a": 1.0}, "Binary": b"\xff"}
        return pl.Series([made[str(kind.base_type())]] * len(numbers), dtype=kind)
    if kind in (pl.Categorical, pl.Enum):
        return pl.Series([None if number is None else "1" for number in numbers], dtype=kind)
    if kind.is_temporal():
        whole = series.cast(pl.Int64, strict=False)
        series = whole.cast(pl.Int32, strict=False) if kind == pl.Date else whole
    if isinstance(kind, pl.Decimal):
        series = series.fill_nan(None).clip(-1e9, 1e9)
    return series.cast(kind, strict=False)


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    """A frame that has much of what bars have, and something that they have not."""
    rows = draw(st.integers(0, 6))
    stamps = BASE + np.arange(rows) * np.timedelta64(draw(st.sampled_from([0, 1, 3600, 86400, -60])), "s")
    columns = {"timestamp": pl.Series(stamps)}
    columns |= {name: pl.repeat(1.5, rows, eager=True) for name in ("open", "high", "low", "close")}
    for name in draw(st.lists(NAMES, max_size=5)):
        numbers = draw(st.lists(NUMBERS, min_size=rows, max_size=rows))
        columns[name] = _column(draw(st.sampled_from(KINDS)), numbers)
    for name in draw(st.lists(st.sampled_from(sorted(columns)), max_size=1)):
        del columns[name]
    return pl.DataFrame(columns)


@settings(max_examples=500, deadline=None)
@given(frame=frames(), seed=st.integers(0, 999))
def test_frames_of_any_columns(frame: pl.DataFrame, seed: int) -> None:
    chosen = options(random.Random(seed))
    try:
        found = read_frame(frame, chosen, source="any.frame")
    except UserError as error:
        one_line(error, Path("any.frame"))
        return
    for bars in found:
        sound(bars)


REAL = ("fx/EURUSD_H1_bidask.parquet", "equity/SPY_D1.parquet", "crypto/BTCUSDT_funding_8h.parquet")


@pytest.mark.parametrize("name", REAL)
def test_real_files_truncated_and_with_turned_bits(name: str, shared_data: Path, folder: Path) -> None:
    path = folder / Path(name).name
    raw = (shared_data / name).read_bytes()
    text = pl.read_parquet(raw).head(3000).write_csv().encode()
    for case in range(24):
        rng = random.Random(f"{name} {case}")
        path.write_bytes(damaged(text if case % 2 else raw, rng, raw))
        reading_or_refusal(path, ReadSettings(repair="drop"))

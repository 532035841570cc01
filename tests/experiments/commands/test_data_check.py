"""`arena data check` says what is in a file and fails on what cannot be used; written bars read back equal."""

import argparse
import dataclasses
import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from experiments.commands.data_check import add_arguments, check, run
from experiments.data.gaps import find_gaps
from experiments.data.writing import write_bars
from markets.bars import Bars
from markets.errors import UserError
from markets.readers import ReadSettings, read_bars
from markets.sp500 import sp500_bars

HEADER = "timestamp,open,high,low,close,volume\n"


def command(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args(words))


@pytest.fixture
def bad_file(tmp_path: Path) -> Path:
    path = tmp_path / "EURUSD_D1.csv"
    rows = ["2020-01-01,1,2,1,1,1", "2020-01-02,1,0.5,1,1,1", "2020-01-04,1,1,1,1,1", "2020-01-03,1,1,1,1,1"]
    path.write_text(HEADER + "\n".join([*rows, "2020-01-04,1,1,1,1,1", "2020-01-05,1,1,1,1,1"]) + "\n")
    return path


def test_check_prints_one_plain_line_a_symbol_when_piped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "GBPUSD_H1.csv"
    path.write_text(HEADER + "".join(f"2020-01-01 0{hour}:00,1,1,1,1,1\n" for hour in (0, 1, 2, 6)))
    assert command(str(path)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{path}: CSV, bars"
    assert lines[1].split("  ")[0].strip() == "symbol"
    expected = "GBPUSD 4 2020-01-01 2020-01-01 06:00 1h 1 3h after 2020-01-01 02:00 0 0 0 0"
    assert lines[2].split() == expected.split()


def test_check_names_bad_rows_and_what_repairs_them(bad_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(str(bad_file)) == 2
    out = capsys.readouterr().out
    for words in (
        "1 row: high below low",
        "row 3: high below low",
        "row 6: same timestamp as row 4",
        "row 5: out of order",
        "market.repair=drop",
        "--repair drop",
        "2 rows dropped, 1 sorted",
    ):
        assert words in out
    assert command(str(bad_file), "--repair", "drop") == 0


def test_check_goes_on_after_an_unusable_file(bad_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(str(bad_file.parent / "missing.csv"), str(bad_file), "--repair", "drop") == 2
    out = capsys.readouterr().out
    assert "missing.csv: no such file" in out
    assert "EURUSD" in out


def test_check_counts_per_symbol_and_prints_what_is_in_brackets(tmp_path: Path) -> None:
    path = tmp_path / "[red]many.csv"
    path.write_text(
        "timestamp,symbol,open,high,low,close\n2020-01-01,A,1,1,1,1\n2020-01-01,B,1,1,1,1\n2020-01-01,B,1,1,1,1\n"
    )
    out = io.StringIO()
    assert check([path], ReadSettings(), console=Console(file=out, width=300)) == 2
    assert "[red]many.csv" in out.getvalue()
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert [line[-3:] for line in lines if line[:1] in (["A"], ["B"])] == [["0", "0", "0"], ["1", "0", "0"]]
    assert "row 4 B: same timestamp as row 3" in out.getvalue()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--timezone", "Mars"], "timezone: 'Mars'"),
        (["--repair", "fix"], "repair: 'fix' is not one of error, drop"),
        (["--column", "x"], "NAME=LAG"),
        (["--column", "x=-1"], "NAME=LAG"),
        (["--day-first", "maybe"], "true, false"),
    ],
)
def test_check_refuses_impossible_options(bad_file: Path, words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        command(str(bad_file), *words)


def test_check_passes_its_options_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "Date,Open,High,Low,Close,x\n01/02/2020 02:00,1,1,1,1,5\n01/02/2020 03:00,1,1,1,1,5\n", encoding="utf-8"
    )
    options = ["--day-first", "true", "--timezone", "Europe/Athens", "--timestamps", "close", "--symbol", "GOLD"]
    assert command(str(path), *options, "--column", "x=1") == 0
    out = capsys.readouterr().out
    assert "GOLD" in out
    assert "2020-01-31 23:00" in out


def test_weekends_are_told_from_other_gaps() -> None:
    hours = np.arange("2020-01-06", "2020-02-03", dtype="datetime64[h]").astype("datetime64[us]")
    hour_of_week = (hours - np.datetime64("2020-01-06", "us")) // np.timedelta64(1, "h") % 168
    forex = hours[hour_of_week < 5 * 24 - 2]  # Monday 00:00 to Friday 22:00: three weekends lie between four weeks
    assert find_gaps(forex).weekends == 3
    assert find_gaps(forex).count == 0
    hole = np.delete(forex, slice(30, 34))
    assert (find_gaps(hole).count, find_gaps(hole).longest) == (1, np.timedelta64(4, "h"))
    assert find_gaps(hole).after == forex[29]
    crypto = hours[(hours < hours[5 * 24]) | (hours >= hours[7 * 24])]  # traded on Saturdays, one weekend missing
    assert (find_gaps(crypto).count, find_gaps(crypto).weekends) == (1, 0)
    assert find_gaps(crypto).longest == np.timedelta64(48, "h")


def test_daily_bars_have_weekends_too() -> None:
    gaps = find_gaps(sp500_bars().time)
    assert gaps.weekends > 900
    assert gaps.longest == np.timedelta64(6, "D")
    assert gaps.after == np.datetime64("2001-09-10")


@st.composite
def some_bars(draw: st.DrawFn, symbol: str) -> Bars:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = draw(st.integers(1, 20))
    time = np.datetime64("2020-01-01", "us") + np.cumsum(rng.integers(1, 10**10, rows)).astype("timedelta64[us]")
    mid = rng.uniform(0.5, 2000.0, (rows, 4))
    mid[:, 1], mid[:, 2] = mid.max(axis=1), mid.min(axis=1)
    spread = rng.uniform(0, 0.1, rows) * draw(st.sampled_from([0.0, 1.0]))
    columns = {"funding": np.where(rng.random(rows) < 0.3, np.nan, rng.normal(size=rows))}
    return Bars.from_mid(symbol, time, mid, spread, rng.uniform(0, 9, rows), columns)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=some_bars("EUR/USD"), second=some_bars("BTC"))
def test_written_bars_read_back_equal(tmp_path_factory: pytest.TempPathFactory, first: Bars, second: Bars) -> None:
    path = tmp_path_factory.getbasetemp() / "round.parquet"
    write_bars([first, second], path)
    back = read_bars(path, ReadSettings(columns={"funding": 0}))
    for wrote, read in zip((first, second), back, strict=True):
        assert wrote.symbol == read.symbol
        for name in ("time", "bid", "ask", "volume"):
            np.testing.assert_array_equal(getattr(wrote, name), getattr(read, name))
        np.testing.assert_array_equal(wrote.columns["funding"], read.columns["funding"])


def test_one_price_is_written_once(tmp_path: Path) -> None:
    write_bars([sp500_bars()], tmp_path / "a.parquet")
    back = read_bars(tmp_path / "a.parquet")[0]
    assert back.bid is back.ask or np.array_equal(back.bid, back.ask)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.parquet"]


def test_a_damaged_page_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_bars([sp500_bars()], path)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0x10
    path.write_bytes(raw)
    with pytest.raises(UserError, match="damaged Parquet"):
        read_bars(path)


def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bars = sp500_bars()
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "nowhere" / "a.parquet", tmp_path / "file" / "a.parquet"):
        with pytest.raises(UserError, match="cannot be written"):
            write_bars([bars], out)
    with pytest.raises(UserError, match="is a folder"):
        write_bars([bars], tmp_path)
    with pytest.raises(UserError, match="no bars"):
        write_bars([], tmp_path / "a.parquet")
    with pytest.raises(UserError, match="occurs twice"):
        write_bars([bars, bars], tmp_path / "a.parquet")
    with pytest.raises(UserError, match="cannot be called spread"):
        write_bars([dataclasses.replace(bars, columns={"spread": bars.volume})], tmp_path / "a.parquet")

    def full_disk(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "a.parquet").write_text("old")
    monkeypatch.setattr("pyarrow.parquet.write_table", full_disk)
    with pytest.raises(UserError, match="No space left"):
        write_bars([bars], tmp_path / "a.parquet")
    assert sorted(os.listdir(tmp_path)) == ["a.parquet", "file"]
    assert (tmp_path / "a.parquet").read_text() == "old"


def test_check_of_shared_files(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(str(shared_data / "fx" / "EURUSD_H1_bidask.parquet")) == 0
    assert "56007" in capsys.readouterr().out
    assert command(str(shared_data / "crypto" / "BTCUSDT_funding_8h.parquet")) == 2
    assert "no column open, high, low, close" in capsys.readouterr().out

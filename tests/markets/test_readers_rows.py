"""Bad rows are found and named, repair does what it says, clocks end up as the open in UTC, own columns come late."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from markets.errors import UserError
from markets.readers import ReadSettings, examine, read_bars, read_frame
from markets.readers.rows import order
from markets.settings import build

HEADER = "timestamp,open,high,low,close,volume\n"
DAY = np.timedelta64(1, "D")


def written(tmp_path: Path, rows: list[str], header: str = HEADER) -> Path:
    path = tmp_path / "X.csv"
    path.write_text(header + "\n".join(rows) + "\n")
    return path


def frame(stamps: list[str], **columns: list[float]) -> pl.DataFrame:
    prices = {name: [1.0] * len(stamps) for name in ("open", "high", "low", "close")}
    return pl.DataFrame({"timestamp": stamps, **prices, **columns})


GOOD = [f"2020-01-0{day},10,12,9,11,5" for day in range(1, 6)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2020-01-03,10,8,9,8.5,5", "high below low"),
        ("2020-01-03,13,12,9,11,5", "high below open"),
        ("2020-01-03,10,12,9,13,5", "high below close"),
        ("2020-01-03,8,12,9,11,5", "low above open"),
        ("2020-01-03,10,12,9,8,5", "low above close"),
        ("2020-01-03,10,12,0,11,5", "low is not positive"),
        ("2020-01-03,10,12,-9,11,5", "low is not positive"),
        ("2020-01-03,,12,9,11,5", "open is missing or not a number"),
        ("2020-01-03,10,12,9,1x1,5", "close is missing or not a number"),
        ("2020-01-03,10,inf,9,11,5", "high is not finite"),
        ("2020-01-03,10,12,9,nan,5", "close is missing or not a number"),
        ("2020-01-03,10,12,9,11,-5", "volume is negative"),
        ("2020-01-03,10,12,9,11,", "volume is missing or not a number"),
        ("2020-01-03,10,12,9,11", "wrong number of cells"),
        ("2020-01-03,10,12,9,11,5,6,7", "wrong number of cells"),
        ("2020-13-03,10,12,9,11,5", "timestamp is missing or unreadable"),
        (",10,12,9,11,5", "timestamp is missing or unreadable"),
        ("2020-01-02,10,12,9,11,5", "same timestamp as row 3"),
    ],
)
def test_a_bad_row_is_named_and_dropped(tmp_path: Path, row: str, reason: str) -> None:
    path = written(tmp_path, [*GOOD[:2], row, *GOOD[3:]])
    with pytest.raises(UserError) as caught:
        read_bars(path)
    assert f"X.csv: 1 bad row of 5: row 4: {reason};" in str(caught.value)
    assert "market.repair=drop" in str(caught.value)
    assert "\n" not in str(caught.value)
    bars = read_bars(path, ReadSettings(repair="drop"))[0]
    np.testing.assert_array_equal(
        bars.time, np.array(["2020-01-01", "2020-01-02", "2020-01-04", "2020-01-05"], "M8[us]")
    )


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"spread": -0.5}, "spread is negative"),
        ({"spread": float("nan")}, "spread is missing or not a number"),
        ({"spread": 3.0}, "bid is not positive once the spread is taken off"),
        ({"adj_factor": 0.0}, "adj_factor is not positive"),
        ({"adj_close": -1.0}, "adj_factor is not positive"),
        ({"ask_open": 1.0, "ask_high": 1.0, "ask_low": 0.5, "ask_close": 0.5}, "ask below bid"),
        ({"ask_open": 1.0, "ask_high": 1.0, "ask_low": 1.5, "ask_close": 1.0}, "ask high below ask low"),
    ],
)
def test_bad_sides_and_factors(columns: dict[str, float], reason: str) -> None:
    table = frame(["2020-01-01"], **{name: [value] for name, value in columns.items()})
    with pytest.raises(UserError, match=f"no sound row.*row 1: {reason}"):
        read_frame(table)


def test_blank_and_banner_lines_count_as_lines(tmp_path: Path) -> None:
    path = tmp_path / "X.csv"
    path.write_text("exported by hand\n\n" + HEADER + GOOD[0] + "\n\n2020-01-02,10,8,9,8.5,5\n")
    assert examine(path).problems["row"].to_list() == [6]


def test_message_stays_one_line_however_many_rows_are_bad(tmp_path: Path) -> None:
    path = written(tmp_path, [GOOD[0], *(f"2020-02-{day:02},10,8,9,8.5,5" for day in range(1, 20))])
    with pytest.raises(UserError, match=r"19 bad rows of 20: row 3: .*row 7: high below low; …; mend") as caught:
        read_bars(path)
    assert "row 8" not in str(caught.value)


def test_out_of_order_rows_are_named_once_and_sorted(tmp_path: Path) -> None:
    path = written(tmp_path, [GOOD[0], GOOD[3], GOOD[1], GOOD[2], GOOD[4]])
    with pytest.raises(UserError, match="1 bad row of 5: row 3: out of order"):
        read_bars(path)
    bars = read_bars(path, ReadSettings(repair="drop"))[0]
    assert len(bars) == 5
    assert np.all(np.diff(bars.time) == DAY)


def test_of_two_swapped_rows_the_one_that_goes_back_in_time_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, [GOOD[0], GOOD[2], GOOD[1], GOOD[3]])
    assert examine(path).problems.rows() == [(4, "X", "order", "out of order")]


def test_newest_first_is_no_fault(tmp_path: Path) -> None:
    bars = read_bars(written(tmp_path, GOOD[::-1]))[0]
    assert np.all(np.diff(bars.time) == DAY)


def test_first_sound_row_of_duplicates_is_kept(tmp_path: Path) -> None:
    rows = [GOOD[0], "2020-01-02,10,8,9,8.5,1", "2020-01-02,10,12,9,11,2", "2020-01-02,10,12,9,11,3", GOOD[2]]
    path = written(tmp_path, rows)
    assert examine(path).problems.select("row", "kind").rows() == [(3, "row"), (5, "duplicate")]
    np.testing.assert_array_equal(read_bars(path, ReadSettings(repair="drop"))[0].volume, [5, 2, 5])


def test_gaps_are_no_faults() -> None:
    assert len(read_frame(frame(["2020-01-01", "2020-01-02", "2021-06-01"]))[0]) == 3


def test_rounding_of_adjusted_prices_is_no_fault_and_leaves_exact_ranges() -> None:
    table = frame(["2020-01-01"]).with_columns(close=pl.lit(1.0 + 1e-12))
    bars = read_frame(table)[0]
    assert bars.bid[0, 1] == bars.bid[0, 3] == 1.0 + 1e-12


@given(st.lists(st.integers(0, 30), min_size=1, max_size=25))
def test_order_keeps_each_stamp_once_and_blames_the_fewest(values: list[int]) -> None:
    time = np.array(values, "datetime64[us]")
    put = order(time)
    assert time[put.kept].tolist() == sorted(set(time.tolist()))
    assert all(np.flatnonzero(time == time[row])[0] == row for row in put.kept)
    np.testing.assert_array_equal(time[put.repeats], time[put.firsts])
    assert len(put.repeats) == len(values) - len(set(values))
    unique = [values[row] for row in sorted(put.kept)]
    signed = [-v for v in unique] if put.newest_first else unique
    longest: list[int] = []  # longest rising run that ends at each place, by the plain quadratic recurrence
    for place, value in enumerate(signed):
        longest.append(1 + max((longest[k] for k in range(place) if signed[k] < value), default=0))
    assert len(put.late) == len(unique) - max(longest)
    rest = [values[row] for row in sorted(set(put.kept) - set(put.late))]
    assert rest == sorted(rest, reverse=put.newest_first)


def test_local_stamps_become_utc_over_a_clock_change() -> None:
    table = frame(["2020-03-29 02:00:00", "2020-03-29 04:00:00", "2020-07-01 00:00:00"])
    bars = read_frame(table, ReadSettings(timezone="Europe/Athens"))[0]
    np.testing.assert_array_equal(bars.time, np.array(["2020-03-29T00", "2020-03-29T01", "2020-06-30T21"], "M8[us]"))


def test_local_stamps_that_are_no_moment_are_named() -> None:
    table = frame(["2020-03-29 03:30:00", "2020-07-01 00:00:00", "2020-10-25 03:30:00", "2020-10-25 05:00:00"])
    with pytest.raises(UserError, match=r"row 1: .*not exist in Europe/Athens.*row 3: .*ambiguous in Europe/Athens"):
        read_frame(table, ReadSettings(timezone="Europe/Athens"))
    assert len(read_frame(table, ReadSettings(timezone="Europe/Athens", repair="drop"))[0]) == 2


def test_close_stamps_move_by_the_bar_length_also_over_gaps() -> None:
    closes = ["2020-01-03 20:00", "2020-01-03 21:00", "2020-01-03 22:00", "2020-01-05 23:00", "2020-01-06 00:00"]
    bars = read_frame(frame(closes), ReadSettings(timestamps="close"))[0]
    np.testing.assert_array_equal(bars.time, np.array(closes, "M8[us]") - np.timedelta64(1, "h"))


def test_daily_close_stamps_move_on_the_local_clock() -> None:
    closes = ["2020-03-28", "2020-03-29", "2020-03-30", "2020-03-31"]  # the 29th has 23 hours in Athens
    bars = read_frame(frame(closes), ReadSettings(timestamps="close", timezone="Europe/Athens"))[0]
    expected = ["2020-03-26T22", "2020-03-27T22", "2020-03-28T22", "2020-03-29T21"]
    np.testing.assert_array_equal(bars.time, np.array(expected, "M8[us]"))


@pytest.mark.parametrize(
    ("closes", "opens"),
    [
        (["2020-02-01", "2020-03-01", "2020-04-01"], ["2020-01-01", "2020-02-01", "2020-03-01"]),
        (["2020-01-31", "2020-02-29", "2020-03-31"], ["2019-12-31", "2020-01-31", "2020-02-29"]),
    ],
)
def test_monthly_close_stamps_move_on_the_calendar(closes: list[str], opens: list[str]) -> None:
    bars = read_frame(frame(closes), ReadSettings(timestamps="close"))[0]
    np.testing.assert_array_equal(bars.time, np.array(opens, "M8[us]"))


def test_one_close_stamp_does_not_tell_the_bar_length() -> None:
    with pytest.raises(UserError, match="how long a bar is"):
        read_frame(frame(["2020-01-01"]), ReadSettings(timestamps="close"))


def test_own_columns_become_visible_late() -> None:
    stamps = ["2020-01-01", "2020-01-02", "2020-01-04", "2020-01-05"]
    table = frame(stamps, funding=[1.0, 2.0, float("nan"), 4.0])
    for lag, seen in ((0, [1, 2, np.nan, 4]), (1, [np.nan, 1, 2, np.nan]), (9, [np.nan] * 4)):
        bars = read_frame(table, ReadSettings(columns={"funding": lag}))[0]
        np.testing.assert_array_equal(bars.columns["funding"], seen)
    assert read_frame(table)[0].columns == {}


def test_own_columns_follow_time_not_the_file() -> None:
    table = frame(["2020-01-03", "2020-01-02", "2020-01-01"], funding=[3.0, 2.0, 1.0])
    bars = read_frame(table, ReadSettings(columns={"funding": 1}))[0]
    np.testing.assert_array_equal(bars.columns["funding"], [np.nan, 1, 2])


def test_own_columns_are_late_within_their_symbol() -> None:
    table = frame(["2020-01-01", "2020-01-01", "2020-01-02", "2020-01-02"], x=[1.0, 10.0, 2.0, 20.0])
    table = table.with_columns(symbol=pl.Series(["A", "B", "A", "B"]))
    bars = read_frame(table, ReadSettings(columns={"x": 1}))
    assert [b.columns["x"][1] for b in bars] == [1.0, 10.0]


def test_own_columns_that_are_missing_or_no_numbers(tmp_path: Path) -> None:
    path = written(tmp_path, ["2020-01-01,1,1,1,1,calm"], "timestamp,open,high,low,close,mood\n")
    with pytest.raises(UserError, match=r"market\.columns\.funding: no such column; it has timestamp, open.*mood"):
        read_bars(path, ReadSettings(columns={"funding": 1}))
    with pytest.raises(UserError, match=r"market\.columns\.mood: not a column of numbers"):
        read_bars(path, ReadSettings(columns={"mood": 0}))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"timezone": "Europe/Atlantis"}, "timezone: 'Europe/Atlantis' is not a time zone"),
        ({"timezone": "../etc"}, "is not a time zone"),
        ({"columns": {"x": -1}}, r"columns\.x: -1 must be"),
        ({"columns": {"x": 1.5}}, r"columns\.x"),
        ({"timestamps": "opens"}, "open, close"),
        ({"repair": "fix"}, "error, drop"),
        ({"point": 0}, "above 0"),
        ({"zone": "UTC"}, "unknown key"),
    ],
)
def test_settings_are_checked(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(ReadSettings, values, "market")

"""Every form of file that is read, written here byte for byte as its vendor writes it."""

import gzip
import re
import textwrap
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from markets.bars import Bars
from markets.errors import UserError
from markets.readers import ReadSettings, examine, read_bars, read_frame
from markets.sp500 import sp500_bars

MT5 = (
    "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\r\n"
    "2012.02.01\t00:00:00\t1.30661\t1.30672\t1.30650\t1.30664\t123\t0\t12\r\n"
    "2012.02.01\t01:00:00\t1.30664\t1.30700\t1.30660\t1.30690\t98\t0\t10\r\n"
    "2012.02.01\t02:00:00\t1.30690\t1.30690\t1.30600\t1.30610\t77\t0\t11\r\n"
)


def one(tmp_path: Path, text: str | bytes, name: str = "EURUSD.csv", **options: object) -> Bars:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    bars = read_bars(path, ReadSettings(**options))  # type: ignore[arg-type]
    assert len(bars) == 1
    return bars[0]


def form(tmp_path: Path, name: str = "EURUSD.csv") -> str:
    return examine(tmp_path / name).form


def stamps(*texts: str) -> np.ndarray:
    return np.array(texts, "datetime64[us]")


def test_csv_of_our_own(tmp_path: Path) -> None:
    bars = one(
        tmp_path,
        "timestamp,open,high,low,close,volume,spread\n"
        "2020-01-01 00:00:00,100,102,99,101,5,0.2\n2020-01-01 01:00:00,101,103,100,102,6,0.4\n",
        name="gold.csv",
    )
    assert bars.symbol == "gold"
    np.testing.assert_array_equal(bars.time, stamps("2020-01-01T00", "2020-01-01T01"))
    np.testing.assert_allclose(bars.bid, [[99.9, 101.9, 98.9, 100.9], [100.8, 102.8, 99.8, 101.8]])
    np.testing.assert_allclose(bars.ask, [[100.1, 102.1, 99.1, 101.1], [101.2, 103.2, 100.2, 102.2]])
    np.testing.assert_array_equal(bars.volume, [5, 6])


def test_spread_beside_bid_prices(tmp_path: Path) -> None:
    bars = one(tmp_path, "timestamp,open,high,low,close,spread\n2020-01-01,100,102,99,101,0.5\n", prices="bid")
    np.testing.assert_array_equal(bars.bid, [[100, 102, 99, 101]])
    np.testing.assert_array_equal(bars.ask, [[100.5, 102.5, 99.5, 101.5]])


def test_bid_beside_ask(tmp_path: Path) -> None:
    bars = one(
        tmp_path,
        "timestamp,open,high,low,close,ask_open,ask_high,ask_low,ask_close\n2020-01-01,100,102,99,101,101,104,100,103\n",
    )
    np.testing.assert_array_equal(bars.bid, [[100, 102, 99, 101]])
    np.testing.assert_array_equal(bars.ask, [[101, 104, 100, 103]])


def test_adj_factor_multiplies_prices_and_spread_and_divides_volume(tmp_path: Path) -> None:
    bars = one(tmp_path, "timestamp,open,high,low,close,volume,spread,adj_factor\n2020-01-01,100,102,98,101,50,2,0.5\n")
    np.testing.assert_array_equal(bars.mid, [[50, 51, 49, 50.5]])
    np.testing.assert_array_equal(bars.ask - bars.bid, np.full((1, 4), 1.0))
    np.testing.assert_array_equal(bars.volume, [100])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_metatrader_5(tmp_path: Path, encoding: str) -> None:
    bars = one(tmp_path, MT5.encode(encoding), name="EURUSD_H1_201202010000_202012310000.csv")
    assert bars.symbol == "EURUSD"
    np.testing.assert_array_equal(bars.time, stamps("2012-02-01T00", "2012-02-01T01", "2012-02-01T02"))
    np.testing.assert_allclose(bars.mid[0], [1.30661, 1.30672, 1.30650, 1.30664], rtol=1e-12)
    np.testing.assert_allclose((bars.ask - bars.bid)[:, 0], [12e-5, 10e-5, 11e-5], rtol=1e-9)
    np.testing.assert_array_equal(bars.volume, [123, 98, 77])


def test_metatrader_5_point_can_be_named(tmp_path: Path) -> None:
    bars = one(tmp_path, MT5, point=0.001)
    np.testing.assert_allclose((bars.ask - bars.bid)[0], 0.012, rtol=1e-9)


def test_metatrader_5_daily_without_time_and_with_traded_volume(tmp_path: Path) -> None:
    bars = one(
        tmp_path,
        "<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n"
        "2020.01.02\t296.24\t300.60\t295.19\t300.35\t90000\t33911900\t1\n",
    )
    np.testing.assert_array_equal(bars.time, stamps("2020-01-02"))
    np.testing.assert_array_equal(bars.volume, [33911900])
    np.testing.assert_allclose((bars.ask - bars.bid)[0], 0.01, rtol=1e-9)


def test_metatrader_5_without_header(tmp_path: Path) -> None:
    np.testing.assert_array_equal(one(tmp_path, MT5.split("\r\n", 1)[1]).bid, one(tmp_path, MT5).bid)
    assert form(tmp_path) == "MetaTrader 5"


def test_metatrader_5_python_counts_the_brokers_clock(tmp_path: Path) -> None:
    text = (
        "time,open,high,low,close,tick_volume,spread,real_volume\n"
        "1609459200,1.22131,1.22140,1.22120,1.22135,15,3,0\n1609462800,1.22135,1.2215,1.2213,1.2214,15,3,0\n"
    )
    assert one(tmp_path, text).time[0] == np.datetime64("2021-01-01T00:00")
    bars = one(tmp_path, text, timezone="Europe/Athens")
    assert bars.time[0] == np.datetime64("2020-12-31T22:00")
    np.testing.assert_allclose((bars.ask - bars.bid)[0], 3e-5, rtol=1e-9)


def test_metatrader_4(tmp_path: Path) -> None:
    bars = one(
        tmp_path,
        "2012.02.01,00:00,1.3066,1.3067,1.3065,1.3066,123\n2012.02.01,01:00,1.3066,1.3070,1.3066,1.3069,98\n",
        name="EURUSD60.csv",
    )
    assert bars.symbol == "EURUSD"
    np.testing.assert_array_equal(bars.time, stamps("2012-02-01T00", "2012-02-01T01"))
    np.testing.assert_array_equal(bars.bid, bars.ask)
    np.testing.assert_array_equal(bars.volume, [123, 98])


def test_histdata_is_eastern_standard_time_all_year(tmp_path: Path) -> None:
    text = (
        "20120201 000000;1.306600;1.306600;1.306560;1.306560;0\n20120201 000100;1.306570;1.306570;1.306470;1.306560;0\n"
    )
    name = "DAT_ASCII_EURUSD_M1_2012.csv"
    bars = one(tmp_path, text, name=name)
    assert bars.symbol == "EURUSD"
    np.testing.assert_array_equal(bars.time, stamps("2012-02-01T00:00", "2012-02-01T00:01"))
    assert not bars.has_volume
    assert "Etc/GMT+5" in examine(tmp_path / name).notes[0]
    in_utc = ReadSettings(timezone="Etc/GMT+5")
    assert examine(tmp_path / name, in_utc).bars[0].time[0] == np.datetime64("2012-02-01T05:00")
    assert not examine(tmp_path / name, in_utc).notes


def test_dukascopy_is_day_first_and_gmt_whatever_the_timezone(tmp_path: Path) -> None:
    text = (
        "Gmt time,Open,High,Low,Close,Volume\n"
        "01.02.2012 00:00:00.000,1.30661,1.30672,1.3065,1.30664,1234.5601\n"
        "01.02.2012 01:00:00.000,1.30664,1.307,1.3066,1.3069,98.1\n"
    )
    for options in ({}, {"timezone": "Europe/Athens"}):
        bars = one(tmp_path, text, name="EURUSD_Candlestick_1_Hour_BID_01.02.2012-02.02.2012.csv", **options)
        assert bars.symbol == "EURUSD"
        np.testing.assert_array_equal(bars.time, stamps("2012-02-01T00", "2012-02-01T01"))
    np.testing.assert_array_equal(bars.volume, [1234.5601, 98.1])


def test_dukascopy_local_time_brings_its_offset(tmp_path: Path) -> None:
    bars = one(
        tmp_path,
        "Local time,Open,High,Low,Close,Volume\n"
        "25.03.2012 01:00:00.000 GMT+0100,1.3,1.3,1.3,1.3,1\n25.03.2012 03:00:00.000 GMT+0200,1.3,1.3,1.3,1.3,1\n",
    )
    np.testing.assert_array_equal(bars.time, stamps("2012-03-25T00", "2012-03-25T01"))


def test_dukascopy_of_jforex_names_eastern_european_time(tmp_path: Path) -> None:
    text = "Time (EET),Open,High,Low,Close,Volume \n2012.07.01 03:00:00,1.3,1.3,1.3,1.3,9.5\n"
    assert one(tmp_path, text).time[0] == np.datetime64("2012-07-01T03")
    assert "timezone=EET" in examine(tmp_path / "EURUSD.csv").notes[0]
    assert one(tmp_path, text, timezone="EET").time[0] == np.datetime64("2012-07-01T00")


def test_bars_without_header(tmp_path: Path) -> None:
    bars = one(tmp_path, "1577836800,1,3,0.5,2,7\n1577840400,2,3,1,2,8\n", timezone="Europe/Athens")
    assert bars.time[0] == np.datetime64("2020-01-01")
    np.testing.assert_array_equal(bars.bid[0], [1, 3, 0.5, 2])
    np.testing.assert_array_equal(bars.volume, [7, 8])


def test_bid_columns_may_say_so(tmp_path: Path) -> None:
    names = [f"{side}_{name}" for side in ("bid", "ask") for name in ("open", "high", "low", "close")]
    bars = one(tmp_path, f"timestamp,{','.join(names)}\n2020-01-01,1,1,1,1,2,2,2,2\n")
    assert (bars.bid[0, 0], bars.ask[0, 0]) == (1, 2)


KLINE = "{},7189.43,7190.52,7170.15,7171.55,2449.049,{},17576407.75,3688,996.198,7149370.76,0\n"


def test_binance_klines_in_milliseconds_and_microseconds(tmp_path: Path) -> None:
    text = KLINE.format(1577836800000, 1577840399999) + KLINE.format(1577840400000000, 1577843999999999)
    bars = one(tmp_path, text, name="BTCUSDT-1h-2020-01.csv", columns={"trades": 0})
    assert bars.symbol == "BTCUSDT"
    np.testing.assert_array_equal(bars.time, stamps("2020-01-01T00", "2020-01-01T01"))
    np.testing.assert_array_equal(bars.volume, [2449.049, 2449.049])
    np.testing.assert_array_equal(bars.columns["trades"], [3688, 3688])


def test_binance_klines_with_header(tmp_path: Path) -> None:
    header = (
        "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
        "taker_buy_volume,taker_buy_quote_volume,ignore\n"
    )
    bars = one(tmp_path, header + KLINE.format(1577836800000, 1577840399999))
    assert bars.time[0] == np.datetime64("2020-01-01")
    assert form(tmp_path) == "Binance klines"


def test_cryptodatadownload_newest_first_with_mixed_units(tmp_path: Path) -> None:
    text = (
        "https://www.CryptoDataDownload.com\n"
        "unix,date,symbol,open,high,low,close,Volume BTC,Volume USDT,tradecount\n"
        "1640998800000,2022-01-01 01:00:00,BTC/USDT,46656.13,46778.14,46631.51,46778.14,883.8,41243042.1,27110\n"
        "1640995200.0,2022-01-01 00:00:00,BTC/USDT,46216.93,46731.39,46208.37,46656.13,1503.3,69784912.5,44650\n"
    )
    bars = one(tmp_path, text, name="Binance_BTCUSDT_1h.csv")
    assert bars.symbol == "BTC/USDT"
    np.testing.assert_array_equal(bars.time, stamps("2022-01-01T00", "2022-01-01T01"))
    np.testing.assert_array_equal(bars.volume, [1503.3, 883.8])


def test_cryptodatadownload_of_old_with_hours_of_the_day(tmp_path: Path) -> None:
    text = (
        "https://www.CryptoDataDownload.com\n"
        "Date,Symbol,Open,High,Low,Close,Volume USD,Volume BTC\n"
        "2020-07-08 01-PM,BTCUSD,9300,9310,9290,9305,900000,97\n2020-07-08 12-PM,BTCUSD,9290,9301,9288,9300,800000,86\n"
        "2020-07-08 12-AM,BTCUSD,9290,9301,9288,9300,800000,85\n"
    )
    bars = one(tmp_path, text)
    np.testing.assert_array_equal(bars.time, stamps("2020-07-08T00", "2020-07-08T12", "2020-07-08T13"))
    np.testing.assert_array_equal(bars.volume, [85, 86, 97])


def test_yahoo(tmp_path: Path) -> None:
    bars = one(
        tmp_path,
        "Date,Open,High,Low,Close,Adj Close,Volume\n"
        "2020-01-02,74.059998,75.150002,73.797501,75.0,37.5,135480400\n"
        "2020-01-03,74.287498,75.144997,73.5,74.0,37.0,146322800\n",
        name="AAPL.csv",
    )
    np.testing.assert_allclose(bars.mid[0], [37.029999, 37.575001, 36.8987505, 37.5], rtol=1e-12)
    np.testing.assert_allclose(bars.volume, [2 * 135480400, 2 * 146322800])


def test_yahoo_null_row_is_a_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "X.csv"
    path.write_text(
        "Date,Open,High,Low,Close,Adj Close,Volume\n2020-01-02,1,1,1,1,1,1\n2020-01-03,null,null,null,null,null,null\n"
    )
    assert examine(path).problems.rows() == [(3, "X", "row", "open is missing or not a number")]


def test_yahoo_with_three_header_lines(tmp_path: Path) -> None:
    bars = one(
        tmp_path,
        "Price,Close,High,Low,Open,Volume\nTicker,MSFT,MSFT,MSFT,MSFT,MSFT\nDate,,,,,\n"
        "2024-01-02,366.5,371.6,362.6,369.7,25258600\n",
    )
    assert bars.symbol == "MSFT"
    np.testing.assert_array_equal(bars.bid, [[369.7, 371.6, 362.6, 366.5]])


def test_stamps_with_offsets_are_moments(tmp_path: Path) -> None:
    bars = one(
        tmp_path,
        "Datetime,Open,High,Low,Close\n2024-03-08 15:30:00-05:00,1,1,1,1\n2024-03-11 09:30:00-04:00,1,1,1,1\n",
        timezone="Europe/Athens",
    )
    np.testing.assert_array_equal(bars.time, stamps("2024-03-08T20:30", "2024-03-11T13:30"))


@pytest.mark.parametrize(
    "stamp",
    [
        *("2020-03-04 05:06:00", "2020-03-04T05:06:00Z", "2020-03-04 05:06", "2020-03-04T05:06:00.000000+00:00"),
        *("1583298360", "1583298360000", "1583298360000000", "1583298360000000000", "20200304050600"),
        *("2020/03/04 05:06", "2020.03.04 05:06", "04.03.2020 05:06:00.000", "20200304 050600", "03/14/2020 05:06"),
        "2020-03-04 05:06:00 UTC",
    ],
)
def test_ways_of_writing_a_stamp(tmp_path: Path, stamp: str) -> None:
    bars = one(tmp_path, f"timestamp,open,high,low,close\n{stamp},1,1,1,1\n")
    assert bars.time[0] == np.datetime64("2020-03-14T05:06" if "/14/" in stamp else "2020-03-04T05:06")


def test_date_and_time_columns_of_other_tools(tmp_path: Path) -> None:
    bars = one(
        tmp_path,
        "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n"
        "EURUSD,60,20200102,030000,1.1,1.2,1.0,1.1,7,0\n",
    )
    assert (bars.symbol, bars.time[0], bars.volume[0]) == ("EURUSD", np.datetime64("2020-01-02T03"), 7)


def test_day_and_month_that_cannot_be_told_apart_are_asked_for(tmp_path: Path) -> None:
    text = "Date,Open,High,Low,Close\n01/02/2020,1,1,1,1\n02/02/2020,1,1,1,1\n"
    with pytest.raises(UserError, match=r"market\.day_first"):
        one(tmp_path, text)
    assert one(tmp_path, text, day_first=True).time[0] == np.datetime64("2020-02-01")
    assert one(tmp_path, text, day_first=False).time[0] == np.datetime64("2020-01-02")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_separators_and_quotes(tmp_path: Path, separator: str, quote: str) -> None:
    rows = [["timestamp", "open", "high", "low", "close"], ["2020-01-01 00:00", "1.5", "2.5", "0.5", "1.25"]]
    text = "\n".join(separator.join(f"{quote}{cell}{quote}" for cell in row) for row in rows)
    np.testing.assert_array_equal(one(tmp_path, text).bid, [[1.5, 2.5, 0.5, 1.25]])


def test_decimal_commas(tmp_path: Path) -> None:
    text = "timestamp;open;high;low;close\n2020-01-01 00:00;1,5;2,5;0,5;1,25\n"
    np.testing.assert_array_equal(one(tmp_path, text).bid, [[1.5, 2.5, 0.5, 1.25]])


def test_packed_files(tmp_path: Path) -> None:
    plain = one(tmp_path, MT5)
    packed = one(tmp_path, gzip.compress(MT5.encode()), name="EURUSD_M15.csv.gz")
    with zipfile.ZipFile(tmp_path / "EURUSD_H4.zip", "w") as archive:
        archive.writestr("EURUSD.csv", MT5)
        archive.writestr("status.txt", "no gaps")
    for bars in (packed, read_bars(tmp_path / "EURUSD_H4.zip")[0]):
        assert bars.symbol == "EURUSD"
        np.testing.assert_array_equal(bars.bid, plain.bid)


def test_parquet_of_naive_local_stamps(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"timestamp": ["2020-07-01 10:00:00"], **{key: [1.0] for key in ("open", "high", "low", "close")}}
    )
    frame = frame.with_columns(pl.col("timestamp").str.to_datetime())
    frame.write_parquet(tmp_path / "a.parquet")
    athens = read_bars(tmp_path / "a.parquet", ReadSettings(timezone="Europe/Athens"))[0]
    assert athens.time[0] == np.datetime64("2020-07-01T07:00")
    aware = frame.with_columns(pl.col("timestamp").dt.replace_time_zone("America/New_York"))
    assert read_frame(aware, ReadSettings(timezone="Europe/Athens"))[0].time[0] == np.datetime64("2020-07-01T14:00")


def test_long_table_of_many_symbols_interleaved() -> None:
    frame = pl.DataFrame(
        {
            "timestamp": [1, 1, 2, 2, 3],
            "symbol": ["B", "A", "B", "A", "A"],
            "open": [10.0, 1, 11, 2, 3],
            "high": [10.0, 1, 11, 2, 3],
            "low": [10.0, 1, 11, 2, 3],
            "close": [10.0, 1, 11, 2, 3],
        }
    ).with_columns(pl.col("timestamp") * 86_400_000_000)
    frame = frame.with_columns(
        pl.col("timestamp").cast(pl.Datetime("us", "UTC")), pl.col("symbol").cast(pl.Categorical)
    )
    bars = read_frame(frame)
    assert [(b.symbol, b.bid[:, 0].tolist()) for b in bars] == [("B", [10, 11]), ("A", [1, 2, 3])]
    assert [b.symbol for b in read_frame(frame, ReadSettings(symbol="A"))] == ["A"]
    with pytest.raises(UserError, match=r"market\.symbol: no 'C' in it; it has B, A"):
        read_frame(frame, ReadSettings(symbol="C"))


def test_every_example_in_the_documentation_is_read(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "bars.md").read_text()
    forms = page.split("\n## Forms\n")[1].split("\n## Keys\n")[0]
    examples = re.findall(r"(?:^    .*\n)+", forms, re.MULTILINE)
    assert len(examples) == 9
    for example in examples:
        bars = one(tmp_path, textwrap.dedent(example), day_first=False)
        assert len(bars) == 1


def test_sp500_comes_with_an_installed_package() -> None:
    bars = sp500_bars()
    assert (bars.symbol, len(bars)) == ("SP500", 5031)
    assert bars.time[0] == np.datetime64("1999-01-04")
    assert bars.time[-1] == np.datetime64("2018-12-31")
    np.testing.assert_allclose(bars.bid[-1], [2498.939941, 2509.23999, 2482.820068, 2506.850098])


def test_sp500_without_the_package_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="arch"):
        sp500_bars()


def test_every_shared_file_of_bars_is_sound(shared_data: Path) -> None:
    read = {path.name: examine(path) for path in shared_data.rglob("*.parquet") if "funding" not in path.name}
    assert read
    assert {name: len(reading.problems) for name, reading in read.items()} == dict.fromkeys(read, 0)
    for reading in read.values():
        for bars in reading.bars:
            assert np.all(np.diff(bars.time) > np.timedelta64(0))
            assert np.all(bars.ask >= bars.bid)
            assert np.all(bars.bid[:, 1] >= bars.bid.max(axis=1))
            assert np.all(bars.ask[:, 2] <= bars.ask.min(axis=1))


def test_shared_splits_are_gone_after_adjustment(shared_data: Path) -> None:
    bars = read_bars(shared_data / "equity" / "AAPL_D1.parquet")[0]
    assert np.abs(np.diff(np.log(bars.mid[:, 3]))).max() < 0.8  # the 7:1 split of 2014 alone is 1.95

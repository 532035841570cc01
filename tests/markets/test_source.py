"""Where bars come from: ready-made markets and files, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from markets.bars import Bars
from markets.errors import UserError
from markets.source import market_settings, supply
from markets.sp500 import sp500_bars
from markets.synthetic import SyntheticSettings, simulate


def write(path: Path, symbol: str | None = None, rows: int = 10) -> Path:
    close = 100 + np.arange(rows, dtype=float)
    stamps = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 2), "1h", eager=True, time_zone="UTC")
    frame = pl.DataFrame(
        {"timestamp": stamps[:rows], "open": close, "high": close + 1, "low": close - 1, "close": close}
    )
    if symbol is not None:
        frame = frame.with_columns(symbol=pl.lit(symbol))
    frame.write_parquet(path)
    return path


def bars_of(**values: Any) -> list[Bars]:
    return supply(market_settings({"name": "bars", **values}), 0).bars


def test_a_synthetic_market_is_its_simulation_with_the_oracle_beside_it() -> None:
    settings = market_settings({"name": "synthetic", "bars": 500, "symbols": 2, "edge": 4.0})
    made = supply(settings, 3)
    expected = simulate(SyntheticSettings(bars=500, symbols=2, edge=4.0), 3)
    assert [own.symbol for own in made.bars] == [own.symbol for own in expected] == ["SYN1", "SYN2"]
    for own, other in zip(made.bars, expected, strict=True):
        np.testing.assert_array_equal(own.bid, other.bid)
        np.testing.assert_array_equal(own.ask, other.ask)
    assert made.oracle is not None
    assert [path.shape for path in made.oracle] == [(500,), (500,)]
    assert set(np.unique(made.oracle[0])) <= {-1.0, 0.0, 1.0}
    other = supply(settings, 4).bars[0]
    assert not np.array_equal(other.bid, made.bars[0].bid)


def test_the_index_is_one_symbol_whatever_the_seed() -> None:
    (own,) = supply(market_settings({"name": "sp500", "mode": "pool"}), 5).bars
    np.testing.assert_array_equal(own.bid, sp500_bars().bid)


def test_one_path_or_several_are_read_in_the_order_given(tmp_path: Path) -> None:
    first, second = write(tmp_path / "B.parquet", "BBB"), write(tmp_path / "A.parquet", "AAA", rows=8)
    assert [own.symbol for own in bars_of(path=str(first))] == ["BBB"]
    both = bars_of(path=[str(first), str(second)], mode="basket")
    assert [(own.symbol, len(own)) for own in both] == [("BBB", 10), ("AAA", 8)]
    assert supply(market_settings({"name": "bars", "path": str(first)}), 0).oracle is None


def test_reading_settings_reach_the_reader(tmp_path: Path) -> None:
    path = write(tmp_path / "X.parquet")
    (plain,), (named,) = bars_of(path=str(path)), bars_of(path=str(path), symbol="GOLD", timestamps="close")
    assert named.symbol == "GOLD"
    assert (named.time[0] - plain.time[0]) == np.timedelta64(-1, "h")


def test_a_symbol_that_two_files_bring_is_refused(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.parquet", "EURUSD"), write(tmp_path / "b.parquet", "EURUSD")
    with pytest.raises(UserError) as caught:
        bars_of(path=[str(first), str(second)])
    assert str(caught.value) == f"{second}: brings EURUSD, which {first} brings too; name each symbol once"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (3, "market: expected a group of keys, got 3"),
        ({}, "market: None is not a market; there are: synthetic, momentum, reversion, precursor, sp500, bars"),
        ({"name": "forex"}, "market: 'forex' is not a market"),
        ({"name": ["bars"]}, "market: ['bars'] is not a market"),
        ({"name": "sp500", "mode": "both"}, "market.mode: 'both' is not one of pool, basket"),
        ({"name": "sp500", "bars": 3}, "market.bars: unknown key"),
        ({"name": "bars"}, "market.path: missing"),
        ({"name": "bars", "path": []}, "market.path: missing"),
        ({"name": "bars", "path": ""}, "market.path: missing"),
        ({"name": "bars", "path": ["a.csv", ""]}, "market.path: missing"),
        ({"name": "bars", "path": 3}, "market.path: expected a list, got 3"),
        ({"name": "bars", "path": [3]}, "market.path[0]: expected text, got 3"),
        ({"name": "synthetic", "edge": -1}, "market.edge: -1"),
        ({"name": "synthetic", "bar": 10}, "market.bar: unknown key; did you mean market.bars?"),
    ],
)
def test_what_is_no_market_is_said_in_one_line(values: Any, says: str) -> None:
    with pytest.raises(UserError) as caught:
        market_settings(values)
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises((UserError, FileNotFoundError)) as caught:
        bars_of(path=str(tmp_path / "none.parquet"))
    assert "none.parquet" in str(caught.value)

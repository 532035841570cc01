"""Streams of real bars: features, regimes and true ranges to the bit, on currencies, coins and shares."""

from pathlib import Path

import pytest
from causality import same_bits
from test_features_real import read
from test_features_stream import batched, newest, streamed

from markets.features import features
from markets.features.stream import FeatureStream
from markets.regimes import RegimeSettings

FILES = ("fx/EURUSD_H1_bidask", "crypto/BTCUSD_H2", "equity/SPY_H1", "equity/AAPL_D1")


@pytest.mark.parametrize("name", FILES)
def test_a_stream_of_real_bars_gives_the_bits_of_all_of_them(name: str, shared_data: Path) -> None:
    path = shared_data / f"{name}.parquet"
    if not path.is_file():
        pytest.skip(f"no {path}")
    bars, chosen, rules = read(path), features(), RegimeSettings()
    whole = batched(chosen, bars, rules)
    stream = FeatureStream(chosen, rules)
    stream.extend(bars[:-2_000])
    assert same_bits(newest(stream), whole[-2_001])
    assert same_bits(streamed(stream, bars[-2_000:]), whole[-2_000:])

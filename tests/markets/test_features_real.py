"""Features and regimes on real bars: there after the warm-up, causal, windowed, and spread as they should be."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from causality import assert_causal, assert_windowed

from markets.bars import CLOSE, Bars
from markets.features import compute_features, features, warmup
from markets.regimes import UNKNOWN, RegimeSettings, classify
from markets.scaling import fit_scaler
from markets.splits import split, without_holdout

FILES = ("fx/EURUSD_H1_bidask", "fx/USDJPY_H1", "crypto/BTCUSD_H2", "equity/SPY_H1")
CHOSEN = features()


def read(path: Path) -> Bars:
    frame = pl.read_parquet(path)
    prices = ["open", "high", "low", "close"]
    bid = frame.select(prices).to_numpy().astype(np.float64)
    asks = [f"ask_{price}" for price in prices]
    ask = frame.select(asks).to_numpy().astype(np.float64) if asks[0] in frame.columns else bid
    time = frame["timestamp"].dt.replace_time_zone(None).dt.cast_time_unit("us").to_numpy()
    return Bars(path.stem, time, bid, ask, frame["volume"].to_numpy().astype(np.float64))


@pytest.fixture(scope="module", params=FILES)
def bars(request: pytest.FixtureRequest, shared_data: Path) -> Bars:
    path = shared_data / f"{request.param}.parquet"
    if not path.is_file():
        pytest.skip(f"no {path}")
    return read(path)


def seen(bars: Bars) -> np.ndarray:
    return compute_features(CHOSEN, bars)


def regimes(bars: Bars) -> np.ndarray:
    return classify(bars.mid[:, CLOSE])


def test_features_are_there_after_the_warm_up_and_on_a_common_scale(bars: Bars) -> None:
    matrix = seen(bars)
    assert np.isfinite(matrix[warmup(CHOSEN) - 1 :]).all()
    _, (rows,) = split([bars], window=RegimeSettings().window, episode=64)
    train = np.zeros(len(bars), bool)
    train[rows.train.start : rows.train.stop] = True
    names, scaled = [feature.name for feature in CHOSEN], [feature.scaled for feature in CHOSEN]
    out = fit_scaler(matrix, train, names=names, scaled=scaled).apply(matrix)
    kept = without_holdout(bars, rows)
    assert (np.abs(out[: len(kept)]) >= 5).mean() < 0.005
    for feature, spread in zip(CHOSEN, out[train].std(0), strict=True):
        if feature.scaled:
            without = feature.name in ("volume_z_48", "gap_length") and spread == 0
            assert without or 0.4 < spread < 1.01, feature.name


def test_regimes_all_occur_and_none_is_rare(bars: Bars) -> None:
    counts = np.bincount(regimes(bars), minlength=5) / len(bars)
    assert counts[UNKNOWN] * len(bars) == RegimeSettings().window - 1
    assert (counts[:UNKNOWN] > 0.05).all()


def test_cut_data_and_windows_give_the_same_bits(bars: Bars) -> None:
    rng = np.random.default_rng(0)
    cuts = rng.integers(1_000, len(bars), 3)
    for compute, window in ((seen, warmup(CHOSEN)), (regimes, RegimeSettings().window)):
        assert_causal(compute, bars, cuts)
        assert_windowed(compute, window, bars, rng.integers(1_000, len(bars), 20))

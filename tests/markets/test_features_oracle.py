"""Indicators against TA-Lib, an independent library, on the same prices.

TA-Lib starts its recursions at the first bar with a plain mean, ours start within the window: past 700 bars both have
forgotten, up to a weight of 1e-9 of the start (`rolling.TAIL`), hence a tolerance of 1e-7 on indices in [−1, 1] and on
shares of price in units of the ATR.
"""

import numpy as np
import pytest
from causality import random_bars

from markets.bars import CLOSE, HIGH, LOW, Bars
from markets.features import indicators, relative_atr

talib = pytest.importorskip("talib", reason="TA-Lib comes with the extra [oracles]")

SETTLED = slice(700, None)


@pytest.fixture(scope="module", params=[0, 1])
def bars(request: pytest.FixtureRequest) -> Bars:
    return random_bars(2_000, request.param)


def side(bars: Bars, which: int) -> np.ndarray:
    return np.ascontiguousarray(bars.mid[:, which])


def agree(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> None:
    assert np.isfinite(ours[SETTLED]).all()
    np.testing.assert_allclose(ours[SETTLED], theirs[SETTLED], rtol=0, atol=tolerance)


@pytest.mark.parametrize("period", [5, 14, 30])
def test_rsi(bars: Bars, period: int) -> None:
    agree(indicators.rsi(bars, period), talib.RSI(side(bars, CLOSE), period) / 50 - 1, 1e-7)


@pytest.mark.parametrize("spans", [(12, 26, 9), (5, 35, 5)])
def test_macd_histogram(bars: Bars, spans: tuple[int, int, int]) -> None:
    close = side(bars, CLOSE)
    _, _, histogram = talib.MACD(close, *spans)
    atr = talib.ATR(side(bars, HIGH), side(bars, LOW), close, 14)
    ours = indicators.macd_histogram(bars, *spans) * close / atr
    agree(ours, histogram / atr, 1e-7)


@pytest.mark.parametrize("period", [5, 14, 30])
def test_average_true_range(bars: Bars, period: int) -> None:
    close = side(bars, CLOSE)
    theirs = talib.ATR(side(bars, HIGH), side(bars, LOW), close, period)
    agree(relative_atr(bars, period) * close / theirs, np.ones(len(bars)), 1e-7)


def test_bollinger_position(bars: Bars) -> None:
    upper, middle, _ = talib.BBANDS(side(bars, CLOSE), timeperiod=20, nbdevup=2, nbdevdn=2)
    theirs = (side(bars, CLOSE) - middle) / (upper - middle)
    agree(indicators.bollinger_position(bars, 20), theirs, 1e-7)


def test_range_position_is_williams_r(bars: Bars) -> None:
    theirs = talib.WILLR(side(bars, HIGH), side(bars, LOW), side(bars, CLOSE), 48)
    agree(indicators.range_position(bars, 48), 1 + theirs / 50, 1e-10)


def test_trend_strength_is_a_squared_correlation(bars: Bars) -> None:
    correlation = talib.CORREL(np.arange(len(bars), dtype=float), np.log(side(bars, CLOSE)), 48)
    agree(indicators.trend_strength(bars, 48), np.sign(correlation) * correlation**2, 1e-6)


def test_log_return_is_a_rate_of_change(bars: Bars) -> None:
    agree(indicators.log_return(bars, 16), np.log(talib.ROCR(side(bars, CLOSE), 16)), 1e-12)

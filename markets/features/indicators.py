"""The market features themselves: one pure function of bars each, on mid prices.

Every function takes `Bars` and gives float64 [bars], dimensionless, NaN where its window is incomplete. Its window is
the number of bars, the current one included, that its value depends on; nothing later than the bar's own close is read.
Recursive averages are cut off as `rolling.ema` says: `depth` is the number of their terms, by default as many as leave
the start a weight of at most `rolling.TAIL`; a function `…_window` beside each says what that makes.

Sources: J. Welles Wilder, New Concepts in Technical Trading Systems (1978), for RSI, ATR and true range; Gerald Appel,
Technical Analysis (2005), for MACD; John Bollinger, Bollinger on Bollinger Bands (2001). docs/features.md lists all.
"""

import numpy as np
from numpy.typing import NDArray

from markets.bars import CLOSE, HIGH, LOW, Bars
from markets.features import rolling
from markets.features.rolling import NEGLIGIBLE

__all__ = [
    "bollinger_position",
    "gap_length",
    "log_return",
    "macd_histogram",
    "macd_window",
    "mean_distance",
    "range_position",
    "relative_atr",
    "relative_atr_window",
    "rsi",
    "rsi_window",
    "trend_strength",
    "volatility_ratio",
    "volume_z",
]

Series = NDArray[np.float64]


def log_return(bars: Bars, horizon: int) -> Series:
    """ln(C_t / C_{t−h}). Window h + 1."""
    return rolling.change(_log_close(bars), horizon)


def mean_distance(bars: Bars, length: int) -> Series:
    """Distance of the close from its moving average, in units of volatility. Window n + 1.

    (ln C_t − mean of the last n ln C) / (s_n √n), s_n² the mean square of the last n log returns; 0 where s_n is
    negligible.
    """
    close = _log_close(bars)
    away, _ = rolling.rolling_mean_deviation(close, length)
    scale = _root_mean_square(rolling.change(close), length)
    return rolling.ratio(away, scale * np.sqrt(length), floor=NEGLIGIBLE, otherwise=0.0)


def rsi_window(period: int, depth: int | None = None) -> int:
    """Bars that `rsi` depends on: one more than its terms, which are changes of the close."""
    return _depth(1 / period, depth) + 1


def rsi(bars: Bars, period: int, depth: int | None = None) -> Series:
    """Wilder's relative strength index brought to [−1, 1]: RSI/50 − 1 = (gain − loss) / (gain + loss).

    Gain and loss are recursive averages (α = 1/period) of the rises and falls of the close; 0 where neither moved.
    """
    close = _mid(bars, CLOSE)
    terms = _depth(1 / period, depth)
    step = rolling.change(close)
    gain = rolling.ema(np.maximum(step, 0.0), 1 / period, terms)
    loss = rolling.ema(np.maximum(-step, 0.0), 1 / period, terms)
    return rolling.ratio(gain - loss, gain + loss, floor=close * NEGLIGIBLE, otherwise=0.0)


def macd_window(slow: int, signal: int, longest: int | None = None) -> int:
    """Bars that `macd_histogram` depends on."""
    of_line, of_signal = _macd_depths(slow, signal, longest)
    return of_line + of_signal - 1


def macd_histogram(bars: Bars, fast: int, slow: int, signal: int, longest: int | None = None) -> Series:
    """MACD line less its signal line, as a share of the close: (M − EMA_signal(M)) / C, M = EMA_fast(C) − EMA_slow(C).

    The averages have α = 2/(n + 1). `longest` cuts the whole window, a third of it at most for the signal.
    """
    close = _mid(bars, CLOSE)
    of_line, of_signal = _macd_depths(slow, signal, longest)
    quick, lazy = _alpha(fast), _alpha(slow)
    line: Series = rolling.ema(close, quick, min(of_line, rolling.ema_window(quick))) - rolling.ema(
        close, lazy, of_line
    )
    return (line - rolling.ema(line, _alpha(signal), of_signal)) / close


def relative_atr_window(period: int = 14, depth: int | None = None) -> int:
    """Bars that `relative_atr` depends on: one more than its terms, as a true range knows the close before it."""
    return _depth(1 / period, depth) + 1


def relative_atr(bars: Bars, period: int = 14, depth: int | None = None) -> Series:
    """Wilder's average true range as a share of the close, ≥ 0.

    True range = max(H_t, C_{t−1}) − min(L_t, C_{t−1}), averaged recursively with α = 1/period. The unit of stop and
    take-profit distances.
    """
    close = _mid(bars, CLOSE)
    before = rolling.lagged(close, 1)
    span = np.maximum(_mid(bars, HIGH), before) - np.minimum(_mid(bars, LOW), before)
    return rolling.ema(span, 1 / period, _depth(1 / period, depth)) / close


def bollinger_position(bars: Bars, length: int) -> Series:
    """(C − mean) / (2σ) over the last n closes, σ with ddof 0: −1 and 1 are the bands, 0 where σ is negligible.

    Window n. Bollinger's %b is half of one more than this.
    """
    close = _mid(bars, CLOSE)
    away, deviation = rolling.rolling_mean_deviation(close, length)
    return rolling.ratio(away, 2 * deviation, floor=close * NEGLIGIBLE, otherwise=0.0)


def volatility_ratio(bars: Bars, short: int, long: int) -> Series:
    """Root mean square of the last `short` log returns over that of the last `long`; 1 where the latter is negligible.

    Realised volatility without a mean, so it lies in [0, √(long/short)]. Window long + 1.
    """
    step = rolling.change(_log_close(bars))
    return rolling.ratio(_root_mean_square(step, short), _root_mean_square(step, long), floor=NEGLIGIBLE, otherwise=1.0)


def range_position(bars: Bars, length: int) -> Series:
    """Place of the close between the lowest low (−1) and the highest high (1) of the last n bars; 0 without a range.

    2(C − L) / (H − L) − 1. Window n.
    """
    close = _mid(bars, CLOSE)
    low = rolling.rolling_min(_mid(bars, LOW), length)
    high = rolling.rolling_max(_mid(bars, HIGH), length)
    return rolling.ratio((close - low) - (high - close), high - low, floor=close * NEGLIGIBLE, otherwise=0.0)


def volume_z(bars: Bars, length: int) -> Series:
    """(V − mean) / σ over the last n volumes, σ with ddof 0; 0 where the volume does not vary. Window n."""
    volume = rolling.contiguous(bars.volume)
    away, deviation = rolling.rolling_mean_deviation(volume, length)
    return rolling.ratio(away, deviation, floor=np.abs(volume) * NEGLIGIBLE, otherwise=0.0)


def trend_strength(bars: Bars, length: int) -> Series:
    """R² of the least-squares line through the last n log closes, with the sign of its slope, in [−1, 1]. Window n."""
    slope, strength = rolling.line(_log_close(bars), length)
    return np.sign(slope) * strength


def gap_length(bars: Bars, length: int) -> Series:
    """ln(Δ_t / usual): time since the bar before over the lower median of the last n such times. Window n + 1.

    0 between neighbours on the clock, 3.9 after a weekend of hourly bars.
    """
    stamps = bars.time.astype("datetime64[us]").astype(np.int64)
    apart = rolling.change(rolling.contiguous(stamps))  # exact: a float64 holds microseconds of years 1685 to 2255
    return rolling.log(apart / rolling.rolling_median(apart, length))


def _mid(bars: Bars, side: int) -> Series:
    """One of open, high, low, close half way between bid and ask, contiguous."""
    return rolling.contiguous(0.5 * (bars.bid[:, side] + bars.ask[:, side]))


def _log_close(bars: Bars) -> Series:
    return rolling.log(_mid(bars, CLOSE))


def _root_mean_square(values: Series, length: int) -> Series:
    return np.sqrt(rolling.rolling_sum(values * values, length) / length)


def _alpha(length: int) -> float:
    return 2 / (length + 1)


def _depth(alpha: float, depth: int | None) -> int:
    """Terms of a recursive average, at most `depth`."""
    terms = rolling.ema_window(alpha)
    return terms if depth is None else min(terms, depth)


def _macd_depths(slow: int, signal: int, longest: int | None) -> tuple[int, int]:
    """Terms of the line's slower average and of the signal's."""
    of_signal = _depth(_alpha(signal), None if longest is None else max(1, longest // 3))
    of_line = _depth(_alpha(slow), None if longest is None else longest + 1 - of_signal)
    return of_line, of_signal

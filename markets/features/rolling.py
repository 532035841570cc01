"""Rolling primitives whose bits depend on the last bars alone.

A live process must get from a window of the last W bars the same bits as the arena got from the whole history. So every
sum here is accumulated lag by lag, in one fixed order, vectorised over bars: `cumsum`, `convolve` and NumPy's pairwise
reductions round differently with the length of the array and are not used. Elementwise +, −, ·, ÷ and √ are rounded
correctly by IEEE 754, wherever a bar stands in the array and on whatever processor. `numpy.log` is not: its last bit
depends on the processor, the C library and the stride of its input. `log` here is therefore made of correctly rounded
operations alone, and a bot's machine gets the same bits as the one that evolved the champion.

All functions take and give float64 [bars], oldest first; a bar whose window is incomplete is NaN, and a NaN spoils
exactly the windows that hold it. Those marked as primitives have a second form beside them, in `newest`, which gives
the newest row alone; the others are made of them and of elementwise operations, and need none.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from markets.features.symbols import Symbol, primitive

__all__ = [
    "NEGLIGIBLE",
    "TAIL",
    "change",
    "contiguous",
    "ema",
    "ema_window",
    "lagged",
    "line",
    "log",
    "looked_up",
    "mean_apart",
    "moment_apart",
    "ratio",
    "rolling_max",
    "rolling_mean_deviation",
    "rolling_median",
    "rolling_min",
    "rolling_sum",
    "squares_apart",
]

Series = NDArray[np.float64]

TAIL = 1e-9
"""Weight a recursive average may still give to what lies before its window."""

NEGLIGIBLE = 1e-12
"""A scale below this share of the price (or of the volume) is rounding, and counts as zero."""

_LN2_HIGH, _LN2_LOW = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
"""ln 2 to 33 bits, and the rest of it."""

_ODD = range(3, 25, 2)
"""Terms of artanh: s² ≤ 0.0295 leaves less than 1e-18 of s after them."""

_BLOCK = 65_536
"""Windows sorted at a time, which bounds memory on long series."""


def contiguous(values: ArrayLike) -> Series:
    """The values as one contiguous float64 array, copied only where they are not."""
    if isinstance(values, Symbol):
        series: Series = values.astype(np.float64)
        return series
    return np.ascontiguousarray(values, np.float64)


def log(values: ArrayLike) -> Series:
    """Natural logarithm, within 2 units in the last place, with the same bits everywhere.

    x = 2^k·f with f in [√½, √2); ln f = 2 artanh(s), s = (f − 1)/(f + 1), by its series in s²; ln 2 in two parts, the
    first short enough for k·ln 2 to be exact (as in fdlibm). NaN where there is no logarithm: 0, below, not finite.
    """
    values = contiguous(values)
    fraction, power = np.frexp(np.where((values > 0) & (values < np.inf), values, np.nan))
    small = fraction < math.sqrt(0.5)
    fraction = np.where(small, 2 * fraction, fraction)
    times = power.astype(np.float64) - small
    s = (fraction - 1) / (fraction + 1)
    squared = s * s
    series: Series | float = 1 / _ODD[-1]
    for odd in _ODD[-2::-1]:
        series = series * squared + 1 / odd
    result: Series = times * _LN2_HIGH + (2 * s + (2 * s * squared * series + times * _LN2_LOW))
    return result


@primitive
def looked_up(places: NDArray[np.int64], table: Series) -> Series:
    """The values of a table at these places."""
    return table[places]


def ratio(above: Series, below: Series, *, floor: Series | float, otherwise: float) -> Series:
    """`above / below`, and `otherwise` where `below` is at most `floor`; NaN stays NaN."""
    small = below <= floor
    return np.where(small, np.where(np.isnan(above), np.nan, otherwise), above / np.where(small, 1.0, below))


@primitive
def lagged(values: Series, bars: int) -> Series:
    """The values `bars` bars ago: x[t − bars]."""
    if bars == 0:
        return values
    out = np.full(len(values), np.nan)
    out[bars:] = values[:-bars]
    return out


def change(values: Series, bars: int = 1) -> Series:
    """x[t] − x[t − bars]."""
    return values - lagged(values, bars)


@primitive
def rolling_sum(values: Series, bars: int) -> Series:
    """Σ of the last `bars` values, oldest first."""
    out, rows = _started(values, bars)
    if rows < bars:
        return out
    total = out[bars - 1 :]
    for lag in range(bars - 2, -1, -1):
        total += values[bars - 1 - lag : rows - lag]
    return out


@primitive
def rolling_min(values: Series, bars: int) -> Series:
    """Smallest of the last `bars` values."""
    out, rows = _started(values, bars)
    if rows < bars:
        return out
    best = out[bars - 1 :]
    for lag in range(bars - 2, -1, -1):
        np.minimum(best, values[bars - 1 - lag : rows - lag], out=best)
    return out


def rolling_max(values: Series, bars: int) -> Series:
    """Largest of the last `bars` values."""
    return -rolling_min(-values, bars)


def rolling_mean_deviation(values: Series, bars: int, ddof: int = 0) -> tuple[Series, Series]:
    """Last value less the mean, and the standard deviation, of the last `bars` values.

    Both are taken in two passes from differences to the last value, so that a constant window gives exactly 0 and a
    high price level costs no digits.

    Returns:
        x[t] − mean, and √(Σ(x − mean)² / (bars − ddof)); NaN where bars ≤ ddof.
    """
    mean = mean_apart(values, bars)
    freedom = bars - ddof
    return -mean, np.sqrt(squares_apart(values, mean, bars) / (freedom if freedom > 0 else np.nan))


@primitive
def mean_apart(values: Series, bars: int) -> Series:
    """Mean of the last `bars` values, counted from the last of them: Σ(x − x[t]) / bars."""
    out, rows = np.full(len(values), np.nan), len(values)
    if rows < bars:
        return out
    last = values[bars - 1 :]
    mean = np.zeros(len(last))
    for lag in range(bars - 1, -1, -1):
        mean += values[bars - 1 - lag : rows - lag] - last
    out[bars - 1 :] = mean / bars
    return out


@primitive
def squares_apart(values: Series, mean: Series, bars: int) -> Series:
    """Σ(x − x[t] − mean)² over the last `bars` values, `mean` counted from the last of them."""
    out, rows = np.full(len(values), np.nan), len(values)
    if rows < bars:
        return out
    last, middle = values[bars - 1 :], mean[bars - 1 :]
    squares = np.zeros(len(last))
    for lag in range(bars - 1, -1, -1):
        apart = values[bars - 1 - lag : rows - lag] - last
        apart -= middle
        apart *= apart
        squares += apart
    out[bars - 1 :] = squares
    return out


@primitive
def moment_apart(values: Series, mean: Series, bars: int) -> Series:
    """Σ(x − x[t] − mean)(k − (bars − 1)/2) over the last `bars` values, k = 0, 1, … from the oldest."""
    out, rows = np.full(len(values), np.nan), len(values)
    if rows < bars:
        return out
    last, middle = values[bars - 1 :], mean[bars - 1 :]
    moment = np.zeros(len(last))
    for lag in range(bars - 1, -1, -1):
        apart = values[bars - 1 - lag : rows - lag] - last
        apart -= middle
        apart *= 0.5 * (bars - 1) - lag
        moment += apart
    out[bars - 1 :] = moment
    return out


@primitive
def rolling_median(values: ArrayLike, bars: int) -> Series:
    """Lower median of the last `bars` values."""
    values = contiguous(values)
    out = np.full(len(values), np.nan)
    if len(values) >= bars:
        windows = np.lib.stride_tricks.sliding_window_view(values, bars)
        middle = (bars - 1) // 2
        for start in range(0, len(windows), _BLOCK):
            block = np.partition(windows[start : start + _BLOCK], (middle, bars - 1), axis=1)  # NaN sorts last
            block[np.isnan(block[:, -1]), middle] = np.nan
            out[bars - 1 + start : bars - 1 + start + len(block)] = block[:, middle]
    return out


def ema_window(alpha: float) -> int:
    """Bars after which a recursive average with weight `alpha` has forgotten its start: (1 − α)^(W − 1) ≤ `TAIL`."""
    return 1 if alpha >= 1 else 1 + math.ceil(math.log(TAIL) / math.log1p(-alpha))


@primitive
def ema(values: Series, alpha: float, bars: int) -> Series:
    """Exponential average e ← e + α(x − e), started anew at every bar from the value `bars` − 1 bars before it.

    It differs from the endless recursion by at most (1 − α)^(bars − 1) of the distance between their starts.
    """
    out, rows = _started(values, bars)
    if rows < bars:
        return out
    average = out[bars - 1 :]
    step = np.empty(len(average))
    for lag in range(bars - 2, -1, -1):
        np.subtract(values[bars - 1 - lag : rows - lag], average, out=step)
        step *= alpha
        average += step
    return out


def line(values: Series, bars: int) -> tuple[Series, Series]:
    """Least-squares line through the last `bars` logarithms of a price, against 0, 1, …, bars − 1.

    Returns:
        Its slope a bar, and R² = Sxy² / (Sxx · Syy) in [0, 1]; R² is 0 where the standard deviation of the values is
        at most `NEGLIGIBLE`. A window of one bar has no line: both are NaN.
    """
    mean = mean_apart(values, bars)
    deviation = np.sqrt(squares_apart(values, mean, bars) / bars)
    sxy = moment_apart(values, mean, bars)
    sxx = bars * (bars * bars - 1) / 12 if bars > 1 else np.nan
    syy = bars * deviation * deviation
    least = sxx * bars * NEGLIGIBLE * NEGLIGIBLE
    return sxy / sxx, np.minimum(ratio(sxy * sxy, sxx * syy, floor=least, otherwise=0.0), 1.0)


def _started(values: Series, bars: int) -> tuple[Series, int]:
    """NaN for the incomplete windows and the oldest value of every complete one; and the number of rows."""
    out = np.full(len(values), np.nan)
    if len(values) >= bars:
        out[bars - 1 :] = values[: len(values) - bars + 1]
    return out, len(values)

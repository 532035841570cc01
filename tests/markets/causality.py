"""Checks that a function of bars reads no bar it may not, used by the tests of features, regimes and whatever follows.

`compute` is any function from `Bars` to an array whose first axis is bars. Arrays are compared bit for bit; a missing
value equals a missing value.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from markets.bars import CLOSE, Bars

Compute = Callable[[Bars], np.ndarray[Any, Any]]


def random_bars(
    rows: int, seed: int, *, columns: Mapping[str, np.ndarray[Any, Any]] | None = None, ties: bool = False
) -> Bars:
    """Hourly bars of a random walk with weekends and missing hours, a spread and volume; with `ties`, coarse prices."""
    rng = np.random.default_rng(seed)
    close = 1.3 * np.exp(np.cumsum(rng.standard_t(4, rows) * 1e-3))
    if ties:
        close = np.round(close, 3)
    start = np.concatenate([close[:1], close[:-1]])
    high = np.maximum(start, close) + rng.exponential(5e-4, rows) * (not ties)
    low = np.minimum(start, close) - rng.exponential(5e-4, rows) * (not ties)
    hours = np.cumsum(rng.choice([1, 1, 1, 1, 1, 1, 1, 2, 49], rows)).astype("timedelta64[h]")
    time = np.datetime64("2013-03-29T22:00", "us") + hours
    volume = np.floor(rng.gamma(2.0, 300.0, rows))
    spread = rng.uniform(1e-4, 3e-4, (rows, 4))
    return Bars.from_mid("TEST", time, np.stack([start, high, low, close], 1), spread, volume, columns)


def same_bits(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> bool:
    """Whether two arrays have the same shape, type and bits, any NaN being equal to any other."""
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    if left.dtype.kind != "f":
        return bool(np.array_equal(left, right))
    whole = f"u{left.dtype.itemsize}"
    equal = np.ascontiguousarray(left).view(whole) == np.ascontiguousarray(right).view(whole)
    return bool(np.all(equal | (np.isnan(left) & np.isnan(right))))


def assert_causal(compute: Compute, bars: Bars, cuts: Iterable[int]) -> None:
    """What is computed on the first t bars is the beginning of what is computed on all of them."""
    whole = compute(bars)
    assert len(whole) == len(bars)
    for cut in cuts:
        assert same_bits(compute(bars[:cut]), whole[:cut]), f"data cut at {cut} changes what was known before it"


def assert_windowed(compute: Compute, window: int, bars: Bars, rows: Iterable[int]) -> None:
    """The last `window` bars up to a row give the row of the whole history; memory layout does not matter."""
    whole = compute(bars)
    for row in rows:
        for piece in (bars[row - window + 1 : row + 1], strided(bars[row - window + 1 : row + 1])):
            assert same_bits(compute(piece)[-1:], whole[row : row + 1]), f"row {row} reads beyond {window} bars"


def strided(bars: Bars) -> Bars:
    """The same bars as every second row of arrays twice as long, with the columns of prices far apart."""

    def apart(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.repeat(values, 2, axis=0)[::2]

    sides = [np.asfortranarray(np.repeat(side, 2, axis=0))[::2] for side in (bars.bid, bars.ask)]
    columns = {name: apart(column) for name, column in bars.columns.items()}
    return Bars(bars.symbol, apart(bars.time), *sides, apart(bars.volume), columns)


def _close(bars: Bars) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(bars.mid[:, CLOSE])


def next_return(bars: Bars) -> np.ndarray[Any, Any]:
    """A leak: the return of the bar after."""
    close = _close(bars)
    return np.append(np.diff(np.log(close)), 0.0)


def centred_mean(bars: Bars) -> np.ndarray[Any, Any]:
    """A leak: a moving average with the bar in its middle."""
    return np.convolve(_close(bars), np.full(5, 0.2), mode="same")


def globally_scaled(bars: Bars) -> np.ndarray[Any, Any]:
    """A leak: mean and deviation of all bars, later ones too."""
    close = _close(bars)
    return (close - close.mean()) / close.std()


def filled_backwards(bars: Bars) -> np.ndarray[Any, Any]:
    """A leak: a hole filled with the value after it."""
    volume = np.where(np.arange(len(bars)) % 7 == 3, np.nan, bars.volume)
    after = np.append(volume[1:], 0.0)
    return np.where(np.isnan(volume), after, volume)


LEAKS = (next_return, centred_mean, globally_scaled, filled_backwards)
"""Planted leaks, which `assert_causal` must catch."""

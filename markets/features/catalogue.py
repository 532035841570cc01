"""Which features there are: settings in, a tuple of named features out, and the matrix they make of bars.

A feature is a name, a window and a pure function of bars. The catalogue is the only place that pairs a function with
its window; the order of the tuple is the order of a brain's inputs.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from markets.bars import Bars
from markets.errors import UserError
from markets.features import clock, indicators, rolling
from markets.settings import check, setting

__all__ = ["Feature", "FeatureSettings", "compute_features", "features", "warmup"]


@dataclasses.dataclass(frozen=True)
class Feature:
    """One number an agent sees of the market at each bar.

    Attributes:
        name: unique within a set.
        window: bars, the current one included, that its value depends on.
        compute: pure function of bars, giving float64 [bars].
        scaled: whether a scaler fits centre and scale to it; time features pass as they are.
    """

    name: str
    window: int
    compute: Callable[[Bars], NDArray[np.float64]]
    scaled: bool = True


@dataclasses.dataclass(frozen=True)
class FeatureSettings:
    """What agents see of the market (`features`). An empty list or a false switch leaves a feature out.

    Attributes:
        returns: horizons of log returns, in bars.
        mean_distance: lengths of moving averages.
        rsi: periods of the relative strength index.
        macd: whether the MACD histogram is seen.
        macd_fast: length of its fast average.
        macd_slow: length of its slow average.
        macd_signal: length of its signal line.
        atr: periods of the average true range.
        bollinger: lengths of Bollinger positions.
        volatility_ratio: whether the ratio of realised volatilities is seen.
        volatility_short: log returns above the line of that ratio.
        volatility_long: log returns below it.
        range_position: lengths of ranges.
        volume_z: lengths of volume z-scores.
        trend_strength: lengths, in closes, of signed R².
        gap_length: whether the time since the bar before is seen.
        gap_usual: bar-to-bar times whose lower median is the usual one.
        clock: whether the nine time features are seen.
        lookback: most bars any feature may look at, or None: longer windows are shortened to it, names stay (the short
            window of a volatility ratio keeps its proportion to the long one).
    """

    returns: tuple[int, ...] = setting((1, 4, 16, 64), ge=1)
    mean_distance: tuple[int, ...] = setting((16, 64), ge=2)
    rsi: tuple[int, ...] = setting((14,), ge=1)
    macd: bool = setting(True)
    macd_fast: int = setting(12, ge=1)
    macd_slow: int = setting(26, ge=2)
    macd_signal: int = setting(9, ge=1)
    atr: tuple[int, ...] = setting((14,), ge=1)
    bollinger: tuple[int, ...] = setting((20,), ge=2)
    volatility_ratio: bool = setting(True)
    volatility_short: int = setting(16, ge=1)
    volatility_long: int = setting(64, ge=2)
    range_position: tuple[int, ...] = setting((48,), ge=1)
    volume_z: tuple[int, ...] = setting((48,), ge=2)
    trend_strength: tuple[int, ...] = setting((48,), ge=3)
    gap_length: bool = setting(True)
    gap_usual: int = setting(48, ge=1)
    clock: bool = setting(True)
    lookback: int | None = setting(None, ge=8)

    def problems(self, where: str) -> Iterator[str]:
        """Combinations that make no sense, one line each."""
        prefix = f"{where}." if where else ""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple) and len(set(value)) < len(value):
                yield f"{prefix}{field.name}: {list(value)} names a length twice; name each once"
        if self.macd_fast >= self.macd_slow:
            yield f"{prefix}macd_fast: {self.macd_fast} must be below macd_slow ({self.macd_slow})"
        if self.volatility_short >= self.volatility_long:
            short, long = self.volatility_short, self.volatility_long
            yield f"{prefix}volatility_short: {short} must be below volatility_long ({long})"


def features(settings: FeatureSettings | None = None, columns: Sequence[str] = ()) -> tuple[Feature, ...]:
    """The features of these settings, market first, then the clock, then the user's own columns.

    Args:
        settings: which features, and how long; the default set has 24.
        columns: names of `Bars.columns` to see, already lagged by their reader; window 1.

    Raises:
        UserError: settings that make no sense, no feature at all, or a column named twice or like a feature.
    """
    settings = FeatureSettings() if settings is None else settings
    check(settings, "features")
    made = [*_market(settings)]
    if settings.clock:
        made += [Feature(name, 1, partial(_clock, name=name), scaled=False) for name in clock.CLOCK]
    for column in columns:
        if any(feature.name == column for feature in made):
            raise UserError(f"market.columns: {column!r} is already the name of a feature; rename the column")
        made.append(Feature(column, 1, partial(_column, name=column)))
    if not made:
        raise UserError("features: nothing is left to see; switch a feature on or name market.columns")
    return tuple(made)


def warmup(chosen: Sequence[Feature]) -> int:
    """Longest window, in bars: the first row on which every feature has its whole window is `warmup − 1`."""
    return max(feature.window for feature in chosen)


def compute_features(chosen: Sequence[Feature], bars: Bars) -> NDArray[np.float64]:
    """The features of every bar.

    Args:
        chosen: features, in the order of the columns.
        bars: bars of one symbol.

    Returns:
        float64 [bars, features], NaN in the first `window − 1` rows of each column. Nothing is rounded to float32
        here; `Scaler.apply` does that.
    """
    matrix = np.empty((len(bars), len(chosen)))
    for index, feature in enumerate(chosen):
        matrix[:, index] = feature.compute(bars)
        matrix[: feature.window - 1, index] = np.nan
    return matrix


def _market(settings: FeatureSettings) -> Iterator[Feature]:
    """Market features; a window longer than the look-back is cut to it, recursions by their number of terms."""
    most = settings.lookback
    terms = None if most is None else most - 1

    def cut(length: int, more: int = 0) -> int:
        return length if most is None else min(length, most - more)

    for n in settings.returns:
        h = cut(n, 1)
        yield Feature(f"return_{n}", h + 1, partial(indicators.log_return, horizon=h))
    for n in settings.mean_distance:
        h = cut(n, 1)
        yield Feature(f"mean_distance_{n}", h + 1, partial(indicators.mean_distance, length=h))
    for n in settings.rsi:
        yield Feature(f"rsi_{n}", indicators.rsi_window(n, terms), partial(indicators.rsi, period=n, depth=terms))
    if settings.macd:
        fast, slow, signal = settings.macd_fast, settings.macd_slow, settings.macd_signal
        window = indicators.macd_window(slow, signal, most)
        compute = partial(indicators.macd_histogram, fast=fast, slow=slow, signal=signal, longest=most)
        yield Feature(f"macd_{fast}_{slow}_{signal}", window, compute)
    for n in settings.atr:
        window = indicators.relative_atr_window(n, terms)
        yield Feature(f"atr_{n}", window, partial(indicators.relative_atr, period=n, depth=terms))
    for n in settings.bollinger:
        h = cut(n)
        yield Feature(f"bollinger_{n}", h, partial(indicators.bollinger_position, length=h))
    if settings.volatility_ratio:
        long = cut(settings.volatility_long, 1)
        short = max(1, settings.volatility_short * long // settings.volatility_long)
        name = f"volatility_ratio_{settings.volatility_short}_{settings.volatility_long}"
        yield Feature(name, long + 1, partial(indicators.volatility_ratio, short=short, long=long))
    for n in settings.range_position:
        h = cut(n)
        yield Feature(f"range_position_{n}", h, partial(indicators.range_position, length=h))
    for n in settings.volume_z:
        h = cut(n)
        yield Feature(f"volume_z_{n}", h, partial(indicators.volume_z, length=h))
    for n in settings.trend_strength:
        h = cut(n)
        yield Feature(f"trend_strength_{n}", h, partial(indicators.trend_strength, length=h))
    if settings.gap_length:
        h = cut(settings.gap_usual, 1)
        yield Feature("gap_length", h + 1, partial(indicators.gap_length, length=h))


def _clock(bars: Bars, name: str) -> NDArray[np.float64]:
    function, arguments = clock.CLOCK[name]
    return function(bars, *arguments)


def _column(bars: Bars, name: str) -> NDArray[np.float64]:
    if name not in bars.columns:
        known = ", ".join(bars.columns) or "none"
        raise UserError(f"market.columns: {bars.symbol} has no column {name!r}; its columns: {known}")
    return rolling.contiguous(bars.columns[name])

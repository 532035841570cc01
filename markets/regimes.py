"""Market regimes: what kind of market a bar closed in, from bars up to it alone.

Of the last w = 48 log returns, which are w + 1 = 49 closes: r is the log return over them; the trend is R² of the
least-squares line through the 49 log closes; σ is the standard deviation of the 48 log returns (ddof 1), ranked among
its own last 500 values, its own among them. Ranks are shares in (0, 1): (values below + half of one more than the
values equal, itself included among the equal) / 500, so that ties share their average rank and a market that never
moves ranks 0.501, not 1.

Everything is counted over lags in a fixed order, so the last `RegimeSettings.window` (548) bars give the same answer as
the whole history. The rank is causal by itself: nothing is fitted.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from markets.features import rolling
from markets.features.symbols import primitive
from markets.settings import check, setting

__all__ = ["REGIMES", "UNKNOWN", "RegimeSettings", "classify", "rolling_rank", "volatility_rank"]

REGIMES = ("bull_trending", "bear_trending", "volatile_ranging", "calm_ranging", "unknown")
"""Names of the regimes; `classify` gives their places here."""

_BULL, _BEAR, _VOLATILE, _CALM, UNKNOWN = range(5)


@dataclasses.dataclass(frozen=True)
class RegimeSettings:
    """How regimes are told apart (`regimes`).

    Attributes:
        returns: w, log returns in the window of trend and volatility.
        ranks: values of σ, the current one included, among which σ is ranked.
        trending: R² above which the market trends.
        ranging: R² below which it may be called volatile.
        volatile: rank of σ above which a ranging market is volatile.
    """

    returns: int = setting(48, ge=2)
    ranks: int = setting(500, ge=2, le=30_000)
    trending: float = setting(0.7, ge=0.0, le=1.0)
    ranging: float = setting(0.3, ge=0.0, le=1.0)
    volatile: float = setting(0.75, ge=0.0, le=1.0)

    @property
    def window(self) -> int:
        """Bars, the current one included, that a regime depends on: w + 1 closes for σ, and `ranks` − 1 more of it."""
        return self.returns + self.ranks

    def problems(self, where: str) -> Iterator[str]:
        """Combinations that make no sense, one line each."""
        if self.ranging > self.trending:
            key = f"{where}.ranging" if where else "ranging"
            yield f"{key}: {self.ranging} must be at most trending ({self.trending})"


def classify(close: ArrayLike, settings: RegimeSettings | None = None) -> NDArray[np.int8]:
    """The regime of every bar.

    `bull_trending` R² > 0.7 and r > 0, `bear_trending` R² > 0.7 and r < 0, `volatile_ranging` R² < 0.3 and rank of
    σ > 0.75, `calm_ranging` otherwise (R² between the two thresholds among it), `unknown` before the first full
    window and wherever a window holds a price that is missing or not positive.

    Args:
        close: mid closes [bars] of one symbol, or of the index of a basket, in price.
        settings: thresholds and lengths.

    Returns:
        Places in `REGIMES`, int8 [bars].

    Raises:
        UserError: settings out of bounds.
    """
    settings = RegimeSettings() if settings is None else settings
    check(settings, "regimes")
    log_close = rolling.log(close)
    total = rolling.change(log_close, settings.returns)
    _, trend = rolling.line(log_close, settings.returns + 1)
    rank = _rank(log_close, settings)
    trends = trend > settings.trending
    regime = np.where((trend < settings.ranging) & (rank > settings.volatile), np.int8(_VOLATILE), np.int8(_CALM))
    regime = np.where(trends & (total > 0), np.int8(_BULL), regime)
    regime = np.where(trends & (total < 0), np.int8(_BEAR), regime)
    return np.where(np.isnan(rank), np.int8(UNKNOWN), regime)


def volatility_rank(close: ArrayLike, settings: RegimeSettings | None = None) -> NDArray[np.float64]:
    """The rank of σ of every bar, which tells a volatile market from a calm one.

    Args:
        close: mid closes [bars], in price.
        settings: lengths.

    Returns:
        Shares in (0, 1), float64 [bars]; NaN before the first full window and where one holds no price.
    """
    return _rank(rolling.log(close), RegimeSettings() if settings is None else settings)


def _rank(log_close: NDArray[np.float64], settings: RegimeSettings) -> NDArray[np.float64]:
    _, sigma = rolling.rolling_mean_deviation(rolling.change(log_close), settings.returns, ddof=1)
    return rolling_rank(np.where(sigma <= rolling.NEGLIGIBLE, 0.0, sigma), settings.ranks)


@primitive
def rolling_rank(values: NDArray[np.float64], bars: int) -> NDArray[np.float64]:
    """Average rank of each value among the last `bars`, itself included, as a share of them.

    Args:
        values: float64 [bars].
        bars: values ranked among, at most 30,000.

    Returns:
        (number below + (number equal + 1) / 2) / bars, float64 [bars]; NaN where one of them is missing.
    """
    out = np.full(len(values), np.nan)
    rows = len(values)
    if rows < bars:
        return out
    last = values[bars - 1 :]
    twice = np.ones(len(last), np.int32)
    for lag in range(bars):
        other = values[bars - 1 - lag : rows - lag]
        twice += other < last
        twice += other <= last
    missing = rolling.rolling_sum(np.isnan(values).astype(np.float64), bars)[bars - 1 :] > 0
    out[bars - 1 :] = np.where(missing, np.nan, twice / (2 * bars))
    return out

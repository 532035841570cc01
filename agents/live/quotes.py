"""What is odd about a bar, which bars are taken, and the quotes that features are made of: the rules of the readers.

The same questions are asked of one bar, in plain numbers, and of a whole table at once.
"""

import math

import numpy as np
from numpy.typing import NDArray

from agents.live.bar import PRICES, Bar, Prices
from markets.bars import HIGH, LOW, Bars
from markets.settings import shown

__all__ = ["fault", "mended", "newer", "quoted", "sound"]

_ROUNDING = 1e-9
"""Relative distance below which a high under a close is the rounding of whoever made the prices, as readers have it."""

_LEAST, _MOST = 1e-30, 1e30
"""Prices between these fit float32 with room for what is made of them."""

_EVER = np.iinfo(np.int64).min
"""Before any stamp, as a number."""


def fault(bar: Bar) -> str:
    """Why a bar is not taken: a reason, a colon and what is wrong; empty where nothing is."""
    (bo, bh, bl, bc), (ao, ah, al, ac) = bar.bid, bar.ask
    # One chain of comparisons passes the sound bar; a NaN fails it wherever it stands.
    if (
        _LEAST < bl <= bo <= bh < _MOST
        and bl <= bc <= bh
        and bl <= al <= ao <= ah < _MOST
        and al <= ac <= ah
        and bo <= ao
        and bh <= ah
        and bc <= ac
        and 0.0 <= bar.volume < math.inf
        and not np.isnat(bar.time)
        and not any(map(math.isinf, bar.columns.values()))
    ):
        return ""
    return _fault(bar)


def sound(bars: Bars) -> NDArray[np.bool_]:
    """Which of many bars `fault` has nothing to say of [bars]."""
    good = np.isfinite(bars.volume) & (bars.volume >= 0) & ~np.isnat(bars.time) & (bars.bid <= bars.ask).all(axis=1)
    for prices in (bars.bid, bars.ask):
        opened, high, low, close = prices.T
        slack = _ROUNDING * high
        good &= ((prices > _LEAST) & (prices < _MOST)).all(axis=1) & (low <= high + slack)
        good &= (np.maximum(opened, close) <= high + slack) & (np.minimum(opened, close) >= low - slack)
    for column in bars.columns.values():
        good &= ~np.isinf(column)
    return np.asarray(good)


def newer(bars: Bars, last: np.datetime64 | None, shortest: float = 0.0) -> NDArray[np.bool_]:
    """Which of many bars a champion takes whose newest bar is `last` [bars].

    They are sound, newer than all before, and open at least `shortest` seconds after the one that is taken before.
    """
    good = sound(bars)
    stamps = np.where(good, bars.time.astype("datetime64[us]").astype(np.int64), _EVER)
    first = _EVER if last is None else int(last.astype("datetime64[us]").astype(np.int64))
    before = np.maximum.accumulate(np.concatenate([[first], stamps]))[:-1]
    rows = np.flatnonzero(good & (stamps > before))
    step, kept = round(shortest * 1e6), list[int]()
    if last is not None:
        rows = rows[stamps[rows] - first >= step]
    if len(rows) and (np.diff(stamps[rows]) < step).any():
        least = _EVER
        for row, stamp in zip(rows.tolist(), stamps[rows].tolist(), strict=True):
            if stamp >= least:
                kept.append(row)
                least = stamp + step
        rows = np.asarray(kept)
    taken = np.zeros(len(bars), bool)
    taken[rows] = True
    return taken


def quoted(bid: Prices, ask: Prices, spread: float | None, rate: float | None) -> tuple[Prices, Prices]:
    """Highs and lows around opens and closes, and the spread of a broker's rules, as `Bars.with_spread` puts it.

    Plain numbers, as arrays of four would take most of a decision's time.

    Args:
        bid: open, high, low, close as they come.
        ask: the same.
        spread: of the rules, in price; None with no `rate` leaves the quotes' own.
        rate: of the rules, as a fraction of the price; it adds to `spread`.
    """
    bid, ask = (bid[0], max(bid), min(bid), bid[3]), (ask[0], max(ask), min(ask), ask[3])
    if spread is None and rate is None:
        return bid, ask
    whole, share, low, high = spread or 0.0, rate or 0.0, [], []
    for below, above in zip(bid, ask, strict=True):
        mid = 0.5 * (below + above)
        half = 0.5 * (whole + share * mid)
        low.append(mid - half)
        high.append(mid + half)
    return (low[0], low[1], low[2], low[3]), (high[0], high[1], high[2], high[3])


def mended(prices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Prices [bars, 4] with high and low exactly around open and close, as readers mend what rounding left."""
    whole = np.array(prices, np.float64)
    if len(whole):
        whole[:, HIGH], whole[:, LOW] = whole.max(axis=1), whole.min(axis=1)
    return whole


def _fault(bar: Bar) -> str:
    if np.isnat(bar.time):
        return "not_finite: the bar has no time"
    numbers = {f"{side} {name}": value for side in ("bid", "ask") for name, value in _named(getattr(bar, side))}
    for name, value in (*numbers.items(), ("volume", bar.volume)):
        if not math.isfinite(value):
            return f"not_finite: {name} is {value}"
    for name, value in bar.columns.items():
        if math.isinf(value):
            return f"not_finite: {shown(name)} is {value}"
    for name, value in numbers.items():
        if not _LEAST < value < _MOST:
            return f"bad_prices: {name} is {value}"
    for side in ("bid", "ask"):
        opened, high, low, close = getattr(bar, side)
        slack = _ROUNDING * high
        if max(opened, low, close) > high + slack or min(opened, close) < low - slack:
            return f"bad_prices: {side} open, high, low, close are {opened}, {high}, {low}, {close}"
    for name, low, high in zip(PRICES, bar.bid, bar.ask, strict=True):
        if high < low:
            return f"bad_prices: {name} is {high} ask, below {low} bid"
    return f"bad_prices: volume is {bar.volume}" if bar.volume < 0 else ""


def _named(prices: Prices) -> list[tuple[str, float]]:
    return list(zip(PRICES, prices, strict=True))

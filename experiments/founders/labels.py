"""What would have been right: neutral, buy or sell at each decision of the training part, after all costs.

A decision at the close of row t fills at the open of t + 1 and is given up at the open of t + 1 + h, as
docs/accounting.md says: bought on the ask and sold on the bid, slippage and commission on both fills, financing of
the closes in between. Exits inside a bar, lots and volume caps are left out. All of it lies in one segment's training
rows; nothing else is read.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from markets.bars import CLOSE, OPEN
from markets.preparation import Market
from markets.regimes import REGIMES
from markets.rules import BrokerRules

__all__ = ["BUY", "CLASSES", "NEUTRAL", "SELL", "Labels", "label_market", "segments_of"]

NEUTRAL, BUY, SELL = range(3)

CLASSES = ("neutral", "buy", "sell")
"""What a label may be, by number: the actions, in their order everywhere."""

_UNKNOWN = REGIMES.index("unknown")


@dataclasses.dataclass(frozen=True, eq=False)
class Labels:
    """Decisions and what would have been right, by row, then by instrument.

    Attributes:
        horizon: bars between the two opens.
        row: of the tape, of the decision [examples].
        instrument: of the tape [examples].
        segment: of the market, ascending [examples].
        long, short: net return on equity of an exposure of 1 (less where leverage allows less) [examples].
        label: `NEUTRAL`, `BUY` or `SELL` [examples].
    """

    horizon: int
    row: NDArray[np.int64]
    instrument: NDArray[np.int64]
    segment: NDArray[np.int64]
    long: NDArray[np.float64]
    short: NDArray[np.float64]
    label: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, which: NDArray[np.bool_] | NDArray[np.integer]) -> "Labels":
        """Some of the examples."""
        arrays = {f.name: getattr(self, f.name)[which] for f in dataclasses.fields(self) if f.name != "horizon"}
        return dataclasses.replace(self, **arrays)


def label_market(market: Market, rules: BrokerRules, *, horizon: int, replicate: int = 0) -> Labels:
    """Label every decision of the training part that has features and a known regime, and room for its horizon.

    Args:
        market: prepared.
        rules: of the broker.
        horizon: bars from open to open, at least 1.
        replicate: which of the markets on the tape.
    """
    wide = {name: np.asarray(getattr(market.tape, name)) for name in ("bid", "ask", "days", "features", "regime")}
    found = [_of_segment(market, wide, rules, index, horizon) for index in segments_of(market, replicate)]
    joined = {
        name: np.concatenate([getattr(part, name) for part in found])
        for name in (f.name for f in dataclasses.fields(Labels))
        if name != "horizon"
    }
    return Labels(horizon=horizon, **joined)


def segments_of(market: Market, replicate: int) -> range:
    """The segments of one of the markets on a tape. All were made under the same settings, so each has as many.

    Raises:
        ValueError: there is no such market, or the segments cannot be shared out.
    """
    count = len(market.scalers)
    each, left = divmod(len(market.segments), count)
    if left or not 0 <= replicate < count:
        raise ValueError(f"market {replicate} of {count} with {len(market.segments)} segments in all")
    return range(replicate * each, (replicate + 1) * each)


def _of_segment(
    market: Market, wide: dict[str, NDArray[np.generic]], rules: BrokerRules, index: int, horizon: int
) -> Labels:
    segment = market.segments[index]
    rows = segment.rows.train
    count = max(len(rows) - horizon - 1, 0)  # the last of them gives up at the last training row
    own = {name: column[rows.start : rows.stop] for name, column in wide.items()}
    prices = {name: own[name].astype(np.float64) for name in ("bid", "ask", "days")}
    terms = _Terms(rules, market, index)
    long, short = _returns(prices, terms, count, horizon)
    right = np.where(long >= short, np.where(long > 0, BUY, NEUTRAL), np.where(short > 0, SELL, NEUTRAL))
    seen = own["features"][:count].astype(np.float64)
    fit = np.isfinite(seen).all(2) & (own["regime"][:count] != _UNKNOWN)[:, None] & np.isfinite(long + short)
    row, instrument = np.nonzero(fit)
    return Labels(
        horizon=horizon,
        row=row + rows.start,
        instrument=instrument,
        segment=np.full(len(row), index),
        long=long[row, instrument],
        short=short[row, instrument],
        label=right[row, instrument],
    )


class _Terms:
    """The broker's numbers in one segment, float64 [instruments] each; costs may differ by symbol."""

    def __init__(self, rules: BrokerRules, market: Market, index: int) -> None:
        own = market.tape.costs
        instruments = len(market.segments[index].symbols)

        def number(name: str) -> NDArray[np.float64]:
            known = np.asarray(own[name], np.float64)[index] if name in own else np.float64(getattr(rules, name))
            return np.broadcast_to(known, instruments)

        self.cash = rules.cash
        self.slippage = number("slippage")
        self.commission = number("commission")
        self.per_unit = number("commission_per_unit")
        self.fixed = number("commission_fixed")
        self.leverage = number("max_leverage")
        self.financing_long = number("financing_long")
        self.financing_short = number("financing_short")


def _returns(
    prices: dict[str, NDArray[np.float64]], terms: _Terms, count: int, horizon: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Net returns of a long and of a short, each [count, instruments], decided at the first `count` rows.

    An exposure x = min(1, max_leverage) buys u = min(x·E/C_t, max_leverage·E/O_{t+1}) units, at mid.
    """
    bid, ask = prices["bid"], prices["ask"]
    enter, leave = slice(1, count + 1), slice(horizon + 1, horizon + 1 + count)
    close = 0.5 * (bid[..., CLOSE] + ask[..., CLOSE])
    opens = 0.5 * (bid[enter, :, OPEN] + ask[enter, :, OPEN])
    units = terms.cash * np.minimum(np.minimum(terms.leverage, 1.0) / close[:count], terms.leverage / opens)
    paid = _sums(close * prices["days"] / 365, count, horizon)

    def net(
        first: NDArray[np.float64], last: NDArray[np.float64], side: int, rate: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        bought, sold = first * (1 + side * terms.slippage), last * (1 - side * terms.slippage)
        each = side * (sold - bought) - terms.commission * (bought + sold) - 2 * terms.per_unit - rate * paid
        return np.asarray((units * each - 2 * terms.fixed) / terms.cash)

    long = net(ask[enter, :, OPEN], bid[leave, :, OPEN], 1, terms.financing_long)
    short = net(bid[enter, :, OPEN], ask[leave, :, OPEN], -1, terms.financing_short)
    return long, short


def _sums(daily: NDArray[np.float64], count: int, horizon: int) -> NDArray[np.float64]:
    """What is summed over the closes of t + 1 to t + h, for the first `count` rows t."""
    if not count or not daily.any():
        return np.zeros((count, daily.shape[1]))
    return np.asarray(np.lib.stride_tricks.sliding_window_view(daily[1:], horizon, axis=0)[:count].sum(-1))

"""Passes: what each member does on each stretch, bar by bar and trade by trade, from flat, with one account a stretch.

All lanes (members, stretches, multiples of costs) walk beside each other through `arena.inference.conduct`, so that one
compiled program serves a certificate. What is kept of a lane is a few columns; fills are counted piece by piece.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from arena.inference import Conducted, Decider, Panel, conduct
from arena.rollout import Rollout
from experiments.certificates.ground import Stretch
from markets.account import REASONS
from markets.bars import CLOSE, HIGH, LOW, OPEN
from markets.preparation import Market

__all__ = ["CHARGES", "Lane", "Pass", "Trades", "passes"]

CHARGES = ("commission", "slippage", "fee", "financing", "spread")
"""What trading costs, in the order of `Pass.costs`."""

_TARGET = REASONS.index("take_profit")


class Lane(NamedTuple):
    """One account's way."""

    member: int
    """Row of the decider."""
    stretch: Stretch
    costs: float = 1.0
    """What is charged is multiplied by it."""


class Trades(NamedTuple):
    """Closed trades of one account, in the order in which they ended instrument by instrument."""

    profit: NDArray[np.float64]
    """After all costs, as a share of the starting capital, [trades]."""
    begun: NDArray[np.int64]
    """Bar that the order which opened it met, counted from the first that any met, [trades]."""
    ended: NDArray[np.int64]
    """Bar in which it was closed, at its open or within it, counted likewise, [trades]."""
    bars: NDArray[np.int64]
    """Bars it was held in, that of its end with it unless it was closed at its open, [trades]."""


class Pass(NamedTuple):
    """One account on one stretch; a bar is one that an order met."""

    equity: NDArray[np.float64]
    """After each bar, and before the first, as a multiple of the starting capital, [bars + 1]."""
    exposure: NDArray[np.float64]
    """Net, over each bar, as a multiple of equity, [bars, instruments]."""
    trades: Trades
    turnover: float
    """Traded notional, as a multiple of the starting capital."""
    costs: NDArray[np.float64]
    """Paid, as shares of the starting capital, in the order of `CHARGES`."""

    @property
    def returns(self) -> NDArray[np.float64]:
        """Simple, E_t / E_(t−1) − 1, [bars]; 0 once there is nothing left."""
        before = self.equity[:-1]
        return np.where(before > 0, np.diff(self.equity) / np.where(before > 0, before, 1.0), 0.0)


def passes(
    setups: tuple[Rollout, ...],
    panel: Panel,
    decider: Decider,
    market: Market,
    views: Float[Array, "variants rows instruments features"],
    lanes: Sequence[Lane],
) -> list[Pass]:
    """Walk lanes, all at once.

    Args:
        setups: how brains of each species act.
        panel: the brains.
        decider: of each member, leaves [members, …].
        market: prepared.
        views: features as members see them; 0 is the tape's own.
        lanes: who walks where, at what costs.

    Returns:
        A pass a lane, in the order of lanes.
    """
    if not lanes:
        return []
    member = np.asarray([lane.member for lane in lanes])
    first, stop = (np.asarray([getattr(lane.stretch, end) for lane in lanes], np.int32) for end in ("first", "stop"))
    costs = np.asarray([lane.costs for lane in lanes], np.float32)
    each: Decider = jax.tree.map(lambda leaf: np.asarray(leaf)[member], decider)
    gathered = _Gathered(market, setups[0].rules.cash, first, stop, costs)
    for before, piece in conduct(setups, panel, each, market.tape, views, first, stop, costs=costs):
        gathered.add(before, piece)
    return gathered.finished()


class _Gathered:
    """What comes of all lanes, piece by piece."""

    def __init__(
        self,
        market: Market,
        cash: float,
        first: NDArray[np.int32],
        stop: NDArray[np.int32],
        costs: NDArray[np.float32],
    ) -> None:
        self._bid, self._ask = np.asarray(market.tape.bid), np.asarray(market.tape.ask)
        self._cash, self._first, self._bars, self._factor = cash, first, stop - first - 1, costs
        self._equity: list[NDArray[np.float32]] = []
        self._exposure: list[NDArray[np.float32]] = []
        self._paid = np.zeros((len(first), len(CHARGES)))
        self._traded = np.zeros(len(first))
        self._events: list[NDArray[np.float64]] = []

    def add(self, before: int, piece: Conducted) -> None:
        """The next bars of all lanes."""
        inside = before + np.arange(len(piece.equity))[:, None] < self._bars  # [bars, lanes]
        self._equity.append(np.asarray(piece.equity))
        self._exposure.append(np.asarray(piece.exposure))
        self._paid[:, CHARGES.index("financing")] += np.where(inside, piece.financing, 0.0).sum(0, np.float64)
        fills = piece.fills
        bar, slot, lane, instrument = np.nonzero((np.asarray(fills.units) != 0) & inside[:, None, :, None])
        units = np.abs(fills.units[bar, slot, lane, instrument].astype(np.float64))
        self._traded += self._by_lane(lane, units * fills.price[bar, slot, lane, instrument])
        for name in ("commission", "slippage", "fee"):
            paid = getattr(fills, name)[bar, slot, lane, instrument]
            self._paid[:, CHARGES.index(name)] += self._by_lane(lane, paid)
        # A long's target and a short's stop are met at the high; see `experiments.replay.metrics.spread_paid`.
        sold = fills.units[bar, slot, lane, instrument] < 0
        high = (fills.reason[bar, slot, lane, instrument] == _TARGET) == sold
        column = np.select([slot <= 1, slot == 3, high], [OPEN, CLOSE, HIGH], LOW)
        row = self._first[lane] + before + bar + 1
        wide = (self._ask[row, instrument, column] - self._bid[row, instrument, column]).astype(np.float64)
        self._paid[:, CHARGES.index("spread")] += self._by_lane(lane, 0.5 * units * wide * self._factor[lane])
        closed = piece.closed
        for order, (happened, profit) in enumerate(
            (
                (closed.ended_at_open, closed.profit_at_open),
                (closed.opened, None),
                (closed.ended_after, closed.profit_after),
            )
        ):
            at, lane, instrument = np.nonzero(np.asarray(happened) & inside[:, :, None])
            gained = np.zeros(len(at)) if profit is None else profit[at, lane, instrument].astype(np.float64)
            self._events.append(np.stack([lane, instrument, before + at, np.full(len(at), order), gained]))

    def _by_lane(self, lane: NDArray[np.intp], values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Sums of what belongs to each lane."""
        return np.asarray(np.bincount(lane, values.astype(np.float64), len(self._bars)), np.float64)

    def finished(self) -> list[Pass]:
        """The passes."""
        equity, exposure = np.concatenate(self._equity), np.concatenate(self._exposure)
        events = np.concatenate(self._events, axis=1)
        events = events[:, np.lexsort(events[3::-1])]  # by lane, instrument, bar, order within the bar
        ends = np.searchsorted(events[0], np.arange(len(self._bars) + 1))
        made = []
        for lane, bars in enumerate(self._bars.tolist()):
            own = np.append(1.0, equity[:bars, lane].astype(np.float64) / self._cash)
            mine = events[1:, ends[lane] : ends[lane + 1]]
            made.append(
                Pass(
                    equity=np.maximum(own, 0.0),
                    exposure=exposure[:bars, lane].astype(np.float64),
                    trades=_trades(mine, self._cash),
                    turnover=float(self._traded[lane] / self._cash),
                    costs=self._paid[lane] / self._cash,
                )
            )
        return made


def _trades(events: NDArray[np.float64], cash: float) -> Trades:
    """Beginnings and ends of one account, [instrument, bar, order, profit] by instrument and in time, as trades.

    An instrument has one trade at a time, so its n-th beginning and its n-th end are of one trade.
    """
    parts: list[tuple[NDArray[Any], ...]] = [(np.zeros(0), *(np.zeros(0, np.int64) for _ in range(3)))]
    for instrument in np.unique(events[0]):
        _, bar, order, profit = events[:, events[0] == instrument]
        begun, ended = bar[order == 1], order != 1
        count = int(ended.sum())
        begun = begun[:count].astype(np.int64)  # one may still be open
        end = bar[ended].astype(np.int64)
        parts.append((profit[ended] / cash, begun, end, end - begun + (order[ended] == 2)))
    return Trades(*(np.concatenate(column) for column in zip(*parts, strict=True)))

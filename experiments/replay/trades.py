"""Trades of a replay: from fills to what each position earned, from the fill that opened it to the one that closed it.

A trade begins when a flat account fills, or by a flip, and ends when the position is flat or flips; what was added or
taken off between belongs to it. A flip's costs are shared between the two trades by units, as in the kernel.
"""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from markets.account import Closed

__all__ = ["TRADES", "Marks", "marks_of", "trades_of"]

TRADES: dict[str, pl.DataType | type[pl.DataType]] = {
    "entry_timestamp": pl.Datetime("us", "UTC"),  # open of the bar at whose open it began
    "exit_timestamp": pl.Datetime("us", "UTC"),  # open of the bar in which it ended
    "side": pl.String,  # long or short
    "units": pl.Float64,  # the most that was held
    "entry_price": pl.Float64,  # volume-weighted over the fills that opened or added
    "exit_price": pl.Float64,  # the same over the fills that reduced or closed
    "profit": pl.Float64,  # money, after commission, fee and financing; slippage is in the prices
    "commission": pl.Float64,
    "slippage": pl.Float64,
    "fee": pl.Float64,
    "financing": pl.Float64,  # positive when paid
    "bars": pl.Int64,  # closes it was held through
    "reason": pl.String,  # of the fill that ended it
}


@dataclasses.dataclass
class _Trade:
    """A trade that is still open."""

    row: int
    side: float
    held: float = 0.0
    most: float = 0.0
    entered: float = 0.0
    paid: float = 0.0
    left: float = 0.0
    received: float = 0.0
    commission: float = 0.0
    slippage: float = 0.0
    fee: float = 0.0

    def enter(self, units: float, price: float) -> None:
        """Open or add."""
        self.held += units
        self.most = max(self.most, self.held)
        self.entered += units
        self.paid += units * price

    def leave(self, units: float, price: float) -> None:
        """Reduce or close."""
        self.held -= units
        self.left += units
        self.received += units * price

    def charge(self, fill: dict[str, Any], share: float) -> None:
        """Bear a share of a fill's costs."""
        self.commission += share * fill["commission"]
        self.slippage += share * fill["slippage"]
        self.fee += share * fill["fee"]


class Marks(NamedTuple):
    """What fills did to trades, [fills]."""

    ends: NDArray[np.bool_]
    """Whether a fill ended a trade."""
    opens: NDArray[np.bool_]
    """Whether it began one."""
    profit: NDArray[np.floating]
    """Of the trade it ended, in money."""


def marks_of(row: NDArray[np.int64], slot: NDArray[np.int64], closed: Closed) -> Marks:
    """What the fills of one instrument did to its trades.

    Args:
        row: of each fill's bar, [fills], in order.
        slot: of each fill in its bar, [fills]: 0 and 1 at the open, 2 inside the bar, 3 at the close.
        closed: what the broker says of each fill's bar, leaves [fills].
    """
    at_open = slot <= 1
    # An order from flat right after a resting exit at the same open: that exit ended the trade, not the order.
    reopens = np.zeros(len(slot), bool)
    reopens[1:] = (slot[1:] == 1) & (slot[:-1] == 0) & (row[1:] == row[:-1])
    return Marks(
        ends=np.where(at_open, closed.ended_at_open, closed.ended_after) & ~reopens,
        opens=(slot == 1) & np.asarray(closed.opened),
        profit=np.where(at_open, closed.profit_at_open, closed.profit_after),
    )


def trades_of(
    fills: pl.DataFrame,
    row: NDArray[np.int64],
    slot: NDArray[np.int64],
    *,
    ends: NDArray[np.bool_],
    opens: NDArray[np.bool_],
    profit: NDArray[np.float64],
    financing: NDArray[np.float64],
    stamps: pl.Series,
) -> pl.DataFrame:
    """Closed trades, in the order in which they ended.

    Args:
        fills: `reason, units, price, commission, slippage, fee`, in order.
        row: of each fill's bar, [fills].
        slot: of each fill in its bar, [fills]; 3 is the bar's close.
        ends: whether a fill ended a trade, [fills].
        opens: whether a fill began one, [fills].
        profit: of the trade a fill ended, [fills].
        financing: charged at each bar's close, [bars].
        stamps: open of each bar.
    """
    charged = np.cumsum(financing)
    closed: list[dict[str, Any]] = []
    trade: _Trade | None = None
    rows = zip(
        fills.iter_rows(named=True),
        row.tolist(),
        slot.tolist(),
        ends.tolist(),
        opens.tolist(),
        profit.tolist(),
        strict=True,
    )
    for fill, bar, place, ended, began, earned in rows:
        size, price = abs(fill["units"]), fill["price"]
        if ended and trade is not None:
            leaving = trade.held if began else size
            share = leaving / size
            trade.leave(leaving, price)
            trade.charge(fill, share)
            at_close = int(place == 3)
            paid_until = bar if at_close else bar - 1
            closed.append(
                {
                    "entry_timestamp": trade.row,
                    "exit_timestamp": bar,
                    "side": "long" if trade.side > 0 else "short",
                    "units": trade.most,
                    "entry_price": trade.paid / trade.entered,
                    "exit_price": trade.received / trade.left,
                    "profit": earned,
                    "commission": trade.commission,
                    "slippage": trade.slippage,
                    "fee": trade.fee,
                    "financing": float(charged[paid_until] - charged[trade.row - 1]),
                    "bars": bar - trade.row + at_close,
                    "reason": fill["reason"],
                }
            )
            trade = None
            size -= leaving
            if began:
                trade = _Trade(bar, np.sign(fill["units"]))
                trade.enter(size, price)
                trade.charge(fill, 1 - share)
        elif began:
            trade = _Trade(bar, np.sign(fill["units"]))
            trade.enter(size, price)
            trade.charge(fill, 1.0)
        elif trade is not None:
            same_way = fill["units"] * trade.side > 0
            (trade.enter if same_way else trade.leave)(size, price)
            trade.charge(fill, 1.0)
    schema = TRADES | {name: pl.Int64 for name in TRADES if name.endswith("timestamp")}  # rows, to begin with
    frame = pl.DataFrame(closed, schema=schema, orient="row")
    return frame.with_columns(stamps.gather(frame[name]).alias(name) for name in ("entry_timestamp", "exit_timestamp"))

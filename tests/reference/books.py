"""The reference's account: a cash box, a position per instrument, and the one function that moves money.

Where the kernel keeps (k, entry, u), this one keeps the money itself: each fill pays or takes u·price and its costs,
financing leaves the box when it is charged, and equity is the box and what the position would bring. So an error in
the bookkeeping of k cannot hide in both.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from markets.rules import BrokerRules

__all__ = ["Account", "Fill", "Position", "Result", "Trade"]

Array = NDArray[np.float64]
ROUNDING = 1e-11
"""Two numbers nearer than this share of their scale are told apart by rounding errors alone."""


@dataclass(frozen=True)
class Fill:
    """One fill; `units` is the signed Δu, `price` is after slippage, the rest is money."""

    bar: int
    instrument: int
    slot: int
    reason: str
    units: float
    price: float
    commission: float
    slippage: float
    fee: float


@dataclass(frozen=True)
class Trade:
    """A trade that ended: the bar and slot of its last fill, and its money after every cost and financing."""

    bar: int
    instrument: int
    slot: int
    profit: float


@dataclass
class Result:
    """What happened to one account: a row a bar (the first included), values after step 5."""

    units: Array
    entry: Array
    stop: Array
    take_profit: Array
    cash: Array
    equity: Array
    financing: Array
    reward: Array
    ruined: NDArray[np.bool_]
    liquidated: NDArray[np.bool_]
    fills: list[Fill] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    doubtful: bool = False
    """Whether a rounding error decided something: a level met or not, a fill of next to nothing or none. There two
    correct brokers may differ."""


@dataclass
class Position:
    """One instrument's position; a level or distance that is not there is None."""

    u: float = 0.0
    entry: float = 0.0
    S: float | None = None
    P: float | None = None
    trail: float | None = None
    money: float = 0.0
    """Money that went in (+) and out (−) since this trade began."""

    @property
    def side(self) -> int:
        return (self.u > 0) - (self.u < 0)


class Account:
    """One account at one broker: a cash box and a position per instrument."""

    def __init__(self, rules: BrokerRules, instruments: int) -> None:
        self.rules = rules
        self.cash = rules.cash
        self.positions = [Position() for _ in range(instruments)]
        self.alive = True
        self.fills: list[Fill] = []
        self.trades: list[Trade] = []
        self.bar = 0
        self.doubtful = False

    def apart(self, a: float, b: float, scale: float = 0.0) -> float:
        """a − b, for a comparison; notes where rounding errors decide its sign.

        Prices that are exactly equal are trusted; sums of money (`scale` given) are not.
        """
        near = abs(a - b) <= ROUNDING * max(abs(a), abs(b), scale)
        if near and (a != b or scale > 0) and not math.isinf(b):
            self.doubtful = True
        return a - b

    def equity(self, prices: list[float]) -> float:
        return self.cash + sum(p.u * price for p, price in zip(self.positions, prices, strict=True))

    def fill(self, i: int, slot: int, reason: str, delta: float, before: float, *, target: float | None = None) -> None:
        """Trade Δu at the price `before` slippage; `target` is the position afterwards where Δu is inexact."""
        if delta == 0:
            return
        rules, position = self.rules, self.positions[i]
        rate = 0.0 if reason == "take_profit" else rules.slippage
        price = before * (1 + rate) if delta > 0 else before * (1 - rate)
        size = abs(delta)
        slippage = size * before * rate
        commission = size * price * rules.commission + size * rules.commission_per_unit + rules.commission_fixed
        fee = size * price * rules.liquidation_fee if reason == "liquidation" else 0.0
        self.fills.append(Fill(self.bar, i, slot, reason, delta, price, commission, slippage, fee))
        self.cash -= delta * price + commission + fee

        old, new = position.u, position.u + delta if target is None else target
        ends = old != 0 and (new == 0 or new * old < 0)
        if ends:
            share = abs(old) / size  # a flip's costs belong to both trades, by units
            profit = position.money + old * price - (commission + fee) * share
            self.trades.append(Trade(self.bar, i, slot, profit))
            position.money = -new * price - (commission + fee) * (1 - share)
        else:
            position.money -= delta * price + commission + fee
        if new == 0:
            self.positions[i] = Position()
            return
        if old == 0 or ends:
            position.entry = price
        elif abs(new) > abs(old):
            position.entry = (position.entry * abs(old) + price * size) / (abs(old) + size)
        position.u = new

    def exit(self, i: int, slot: int, reason: str, before: float) -> None:
        self.fill(i, slot, reason, -self.positions[i].u, before, target=0.0)

"""What a paper account has behind it: what its journal says it is, and which bars are fit to follow.

A journal is read once, from its first line to its last. Whatever a session is to remember is here; the rest of the
lines is for people.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from agents.live import Bar
from agents.live.bar import fault
from experiments.paper.account import Order
from experiments.paper.guard import Guard
from experiments.paper.journal import Line, bar_of
from markets.errors import UserError
from markets.rules import BrokerRules

__all__ = ["Past", "Terms", "mended", "past_of"]


@dataclass(frozen=True)
class Terms:
    """What makes a paper account the account it is.

    Attributes:
        symbol: of its bars.
        rules: its broker's.
        warm_up: bars that a decision needs, its own included.
        seconds: usual length of a bar.
    """

    symbol: str
    rules: BrokerRules
    warm_up: int
    seconds: float


@dataclass
class Past:
    """What lies behind an account.

    Attributes:
        warm: bars that were there to warm up with alone.
        bars: that the account has met.
        orders: decided at the close of each.
        peak: of equity, from the cash it began with.
        equity: that the journal has of the last bar; None before the first.
        stopping: why the guard is flattening; empty while it is not.
        stopped: why it stopped; empty while it has not.
    """

    peak: float
    warm: list[Bar] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    orders: list[Order | None] = field(default_factory=list)
    equity: float | None = None
    stopping: str = ""
    stopped: str = ""

    @property
    def last(self) -> Bar | None:
        """The newest bar that is known."""
        return self.bars[-1] if self.bars else self.warm[-1] if self.warm else None

    def recent(self, count: int) -> list[Bar]:
        """The last bars that are known, those to warm up with included."""
        bars = self.bars[-count:]
        missing = count - len(bars)
        return [*(self.warm[-missing:] if missing else ()), *bars]

    def fault(self, bar: Bar, rules: BrokerRules) -> str:
        """Why a bar is not taken; empty where it may follow. An order that is pending waits for the next."""
        problem, last = fault(bar), self.last
        if not problem and last is not None and bar.time <= last.time:
            problem = f"out_of_order: the bar before opened at {last.time}"
        if not problem and (rules.spread or rules.spread_rate):
            mid = 0.5 * (min(bar.bid) + min(bar.ask))
            spread = (rules.spread or 0.0) + (rules.spread_rate or 0.0) * mid
            if mid - 0.5 * spread <= 0:
                problem = f"bad_prices: the spread of the broker's rules leaves no positive bid at {mid:g}"
        return problem

    def check_clock(self, more: list[Bar], terms: Terms) -> None:
        """See that the bars to warm up with, and more, come as far apart as the champion's.

        Raises:
            UserError: they do not.
        """
        steps = np.diff(np.array([bar.time for bar in (*self.warm, *more)])) / np.timedelta64(1, "s")
        if len(steps) < 3:
            return
        usual = float(np.sort(steps)[(len(steps) - 1) // 2])
        if usual != terms.seconds:
            raise UserError(
                f"{terms.symbol}: bars come {usual:g} s apart, but this champion's are {terms.seconds:g} s "
                "long (clock.seconds of its manifest); give bars of that length"
            )


def past_of(lines: Iterable[Line], cash: float, guard: Guard) -> Past:
    """What the lines of a journal say an account is.

    Args:
        lines: oldest first.
        cash: it began with.
        guard: of the account, which is shown every close.
    """
    past = Past(cash)
    for line in lines:
        kind = line["kind"]
        if kind == "warm_up":
            past.warm.append(bar_of(line["bar"]))
        elif kind == "bar":
            past.bars.append(bar_of(line["bar"]))
            past.orders.append(_order_of(line["order"]))
            past.equity = line["equity"]
            past.peak = max(past.peak, line["equity"])
            guard.judge(past.bars[-1].time, line["equity"])
            past.stopping = line["guard"] or past.stopping
        elif kind == "guard":
            past.stopping = line["reason"]
            if past.orders:
                past.orders[-1] = _order_of(line["order"])
        elif kind == "stopped":
            past.stopped = line["reason"]
        elif kind == "again":
            guard.renew()
            past.stopping = past.stopped = ""
    return past


def mended(bar: Bar) -> Bar:
    """The bar with high and low exactly around open and close, as readers mend what rounding left."""
    sides = (bar.bid, bar.ask)
    whole = [(side[0], max(side), min(side), side[3]) for side in sides]
    return bar if tuple(whole) == sides else Bar(bar.time, whole[0], whole[1], bar.volume, bar.columns)


def _order_of(values: list[float | None] | None) -> Order | None:
    if values is None or values[0] is None:
        return None
    return Order(values[0], *values[1:])

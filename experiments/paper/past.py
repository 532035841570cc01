"""What a paper account has behind it: what its journal says it is, and which bars are fit to follow.

A journal is read once, from its first line to its last. Whatever a session is to remember is here; the rest of the
lines is for people.
"""

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agents.live import Bar
from agents.live.caps import Caps
from agents.live.inference import AVERAGED
from agents.live.quotes import fault, quoted
from experiments.paper.account import Order
from experiments.paper.journal import Journal, Line, bar_of
from experiments.paper.words import stamp
from markets.errors import UserError
from markets.rules import BrokerRules

__all__ = ["EARLY", "Past", "Terms", "another_length", "check_length", "mended", "past_of"]

EARLY = "too_early"
"""The runner's reason of a bar that opens sooner after the last one than the run's own ever did."""


@dataclass(frozen=True)
class Terms:
    """What makes a paper account the account it is.

    Attributes:
        symbol: of its bars.
        rules: its broker's.
        warm_up: bars that a decision needs, its own included.
        seconds: usual length of a bar.
        shortest: seconds that a bar opens at least after the one before; what opens sooner is of another length.
    """

    symbol: str
    rules: BrokerRules
    warm_up: int
    seconds: float
    shortest: float = 0.0


@dataclass
class Past:
    """What lies behind an account.

    Attributes:
        warm: bars that were there to warm up with alone.
        bars: that the account has met.
        orders: decided at the close of each.
        peak: of equity, from the cash it began with.
        told: equity and units that the journal has of the close of each.
        numbers: of their lines in the journal that was read.
        said: on the last of them, by a player that goes by that.
        early: a bar that came too early since the last that was taken; None where none did.
        stopping: why the guard is flattening; empty while it is not.
        stopped: why it stopped; empty while it has not.
    """

    peak: float
    warm: list[Bar] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    orders: list[Order | None] = field(default_factory=list)
    told: list[tuple[float, float]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    said: deque[str | None] = field(default_factory=lambda: deque(maxlen=AVERAGED))
    early: Bar | None = None
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

    def fault(self, bar: Bar, terms: Terms) -> str:
        """Why a bar is not taken; empty where it may follow. An order that is pending waits for the next."""
        problem, last, rules = fault(bar), self.last, terms.rules
        if not problem and last is not None and bar.time <= last.time:
            problem = f"out_of_order: the bar before opened at {stamp(last.time)}"
        if not problem and last is not None:
            step = int((bar.time - last.time).astype(np.int64))
            if step < round(terms.shortest * 1e6):
                problem = f"{EARLY}: {step / 1e6:g} s after the bar before, at least {terms.shortest:g} s is right"
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
        check_length(np.array([bar.time for bar in (*self.warm, *more)], "datetime64[us]"), terms.seconds, terms.symbol)


def check_length(time: NDArray[np.datetime64], seconds: float, name: str, *, least: int = 3) -> None:
    """See that bars come as far apart, as a rule, as a champion's.

    Args:
        time: their opens, older first.
        seconds: usual length of the champion's.
        name: of the bars, for the message.
        least: steps from which a rule can be seen.

    Raises:
        UserError: they do not.
    """
    steps = np.diff(time) / np.timedelta64(1, "s")
    if len(steps) >= least and float(np.sort(steps)[(len(steps) - 1) // 2]) != seconds:
        raise another_length(name, float(np.sort(steps)[(len(steps) - 1) // 2]), seconds)


def another_length(name: str, found: float, seconds: float) -> UserError:
    """What to raise of bars that come `found` seconds apart, where the champion's are of another length."""
    return UserError(
        f"{name}: bars come {found:g} s apart, but this champion's are {seconds:g} s "
        "long (clock.seconds of its manifest); give bars of that length"
    )


def past_of(journal: Journal, cash: float, caps: Caps) -> Past:
    """What the lines of a journal say an account is.

    Args:
        journal: of the account.
        cash: it began with.
        caps: of the account, which are shown every close.

    Raises:
        UserError: a line that cannot be what was written.
    """
    past = Past(cash)
    for number, line in enumerate(journal.lines(), 1):
        try:
            _read(past, line, number, caps)
        except KeyError as error:
            raise journal.damaged(number, f"{error.args[0]} is missing") from None
        except (UserError, AttributeError, TypeError, ValueError, OverflowError) as error:
            raise journal.damaged(number, str(error)) from None
    return past


def _read(past: Past, line: Line, number: int, caps: Caps) -> None:
    """One line of a journal."""
    kind = line["kind"]
    if kind == "warm_up":
        past.warm.append(_next(past, line))
        past.early = None
    elif kind == "bar":
        equity, units = (_number(line[name], name) for name in ("equity", "units"))
        past.bars.append(_next(past, line))
        past.orders.append(_order_of(line["order"]))
        past.told.append((equity, units))
        past.numbers.append(number)
        past.said.append(line.get("brains"))
        past.early = None
        past.peak = max(past.peak, equity)
        caps.look(past.bars[-1].time, equity)
        past.stopping = line["guard"] or past.stopping
    elif kind == "passed":
        past.early = bar_of(line["bar"]) if "bar" in line else past.early
    elif kind == "guard":
        past.stopping = line["reason"]
        if past.orders:
            past.orders[-1] = _order_of(line["order"])
    elif kind == "stopped":
        past.stopped = line["reason"]
    elif kind == "again":
        caps.renew()
        past.stopping = past.stopped = ""


def mended(bar: Bar) -> Bar:
    """The bar with high and low exactly around open and close, as readers mend what rounding left."""
    bid, ask = quoted(bar.bid, bar.ask, None, None)
    return bar if (bid, ask) == (bar.bid, bar.ask) else Bar(bar.time, bid, ask, bar.volume, bar.columns)


def _next(past: Past, line: Line) -> Bar:
    """The bar of a line, which follows those before."""
    bar, last = bar_of(line["bar"]), past.last
    problem = fault(bar)
    if not problem and last is not None and bar.time <= last.time:
        problem = f"out_of_order: the bar before opened at {stamp(last.time)}"
    if problem:
        raise ValueError(problem)
    return bar


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} is no number")
    return float(value)


def _order_of(values: list[float | None] | None) -> Order | None:
    if values is None or values[0] is None:
        return None
    target, *distances = values
    return Order(_number(target, "order"), *(None if value is None else _number(value, "order") for value in distances))

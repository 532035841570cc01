"""A session of paper trading: bars in, orders out, and nothing that the journal does not know.

A closed bar arrives; the pending order meets it; the guard looks at what came of that; the champion decides; bar and
order go into the journal together, as one line, and the disk has that line before anything else is done. So what the
account is is a function of the journal, whenever and however the process ends: a bar whose line is not there is asked
for again and decided on as before, and an order whose line is there stands.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from agents.live import Account, Bar, Decision
from agents.live.bar import fault
from experiments.paper.account import Order, PaperAccount, Standing
from experiments.paper.feeds import EndOfFeedError, Feed
from experiments.paper.guard import Guard, Limits
from experiments.paper.journal import Journal, bar_of, told, values_of
from markets.errors import UserError
from markets.rules import BrokerRules

__all__ = ["Ending", "Player", "Session", "Terms", "Watcher"]

_TICK = 0.25  # seconds between looks at the kill file and the clock while no bar comes


class Player(Protocol):
    """What decides: a `Champion`, or whatever acts like one."""

    def warm_up(self, bars: Iterable[Bar], /) -> int:
        """Take bars without deciding."""

    def on_bar(self, bar: Bar, account: Account, /) -> Decision:
        """Take a closed bar and decide."""


class Watcher(Protocol):
    """Whoever is shown what happens."""

    def bar(self, bar: Bar, standing: Standing, peak: float, decision: Decision, order: Order | None) -> None:
        """A bar was gone through and decided on; the disk has it."""

    def note(self, text: str) -> None:
        """Something a person should know."""


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


class Ending(NamedTuple):
    """How a session ended."""

    how: Literal["ended", "interrupted", "stopped"]
    """The feed had no more; somebody asked to stop; the guard stopped it."""
    why: str


class Session:
    """Paper trading from what the journal holds on.

    Args:
        terms: of the account.
        limits: of the guard.
        player: what decides.
        feed: of bars.
        journal: of the account.
        watcher: who is shown what happens.
        again: go on although the guard stopped it.
        name: of the account, for messages.
        clock: seconds that never go back, by which silence is measured.

    Attributes:
        bars: that the account has met.
        orders: decided at the close of each.
        account: None before its first bar.
        standing: of the account at its last close.

    Raises:
        UserError: the guard stopped it, and `again` was not said.
    """

    def __init__(
        self,
        terms: Terms,
        limits: Limits,
        player: Player,
        feed: Feed,
        journal: Journal,
        watcher: Watcher,
        *,
        again: bool = False,
        name: str = "paper account",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._terms, self._limits, self._player, self._feed = terms, limits, player, feed
        self._journal, self._watcher, self._clock = journal, watcher, clock
        self.bars: list[Bar] = []
        self.orders: list[Order | None] = []
        self._warm: list[Bar] = []
        self._guard = Guard(limits, terms.rules.cash)
        self._peak = terms.rules.cash
        self._stopping = ""  # why the guard is flattening
        self._stopped = ""
        self.account: PaperAccount | None = None
        self.standing = Standing(terms.rules.cash, 0.0, 0.0, 0, True, ())
        self._restore()
        if self._stopped:
            if not again:
                raise UserError(f"{name}: its guard stopped it: {self._stopped}; look into it, then go on with --again")
            self._write(kind="again")
            self._guard.renew()
            self._stopping = self._stopped = ""
        elif self._stopping:
            watcher.note(f"it was being stopped: {self._stopping}")

    def run(self, stop: Callable[[], bool]) -> Ending:
        """Trade until the feed ends, somebody asks to stop, or the guard stops it.

        Args:
            stop: whether somebody has asked.

        Raises:
            UserError: what comes cannot be used; what was journaled before stands.
        """
        self._write(kind="session", limits=dataclasses.asdict(self._limits))
        self._warm_up()
        heard = self._clock()
        while not self._over():
            if stop():
                return Ending("interrupted", "asked to stop")
            killed = self._limits.killed
            if killed and not self._stopping:
                self._trip(killed)
                continue
            try:
                bar = self._feed.next(_TICK)
            except EndOfFeedError:
                self._tell()
                if self._stopping:
                    return self._stop(f"{self._stopping}; the feed ended before it was flat, {self._open()}")
                return Ending("ended", "the feed has no more bars")
            self._tell()
            if bar is not None:
                heard = self._clock()
                self._take(bar)
            elif self._feed.live:
                silence = self._clock() - heard
                if silence >= self._limits.stale + self._limits.grace and self._stopping:
                    return self._stop(f"{self._stopping}; no bar came to flatten at, {self._open()}")
                if silence >= self._limits.stale and not self._stopping:
                    self._trip(f"stale feed: no bar for {silence:.0f} s")
        return self._stop(self._stopping)

    @property
    def whole(self) -> PaperAccount | None:
        """The account, where it has met a bar and the journal knows all that it has met."""
        account = self.account
        return account if account is not None and self.bars and len(account.bars) == len(self.bars) else None

    @property
    def known(self) -> int:
        """Bars that are known, to warm up with and of the account."""
        return len(self._warm) + len(self.bars)

    def _restore(self) -> None:
        """Take up where the journal ends."""
        for line in self._journal.lines:
            kind = line["kind"]
            if kind == "warm_up":
                self._warm.append(bar_of(line["bar"]))
            elif kind == "bar":
                self.bars.append(bar_of(line["bar"]))
                self.orders.append(_order_of(line["order"]))
                self._peak = max(self._peak, line["equity"])
                self._guard.judge(self.bars[-1].time, line["equity"])
                self._stopping = line["guard"] or self._stopping
            elif kind == "guard":
                self._stopping = line["reason"]
                if self.orders:
                    self.orders[-1] = _order_of(line["order"])
            elif kind == "stopped":
                self._stopped = line["reason"]
            elif kind == "again":
                self._guard.renew()
                self._stopping = self._stopped = ""
        known = [*self._warm, *self.bars]
        if known:
            self._player.warm_up(known[-self._terms.warm_up :])
            self._feed.after(known[-1].time)
        if self.bars:
            self._open_account()
            standing = self.account.begin(self.bars, self.orders) if self.account is not None else None
            self.standing = standing or self.standing
            told = next(line["equity"] for line in reversed(self._journal.lines) if line["kind"] == "bar")
            if self.standing.equity != told:
                self._watcher.note(
                    f"equity is {self.standing.equity!r}, the journal has {told!r}: it was written by another version"
                )

    def _warm_up(self) -> None:
        """Gather the bars that the first decision needs before its own, as far as the feed has them at hand."""
        if self.bars:
            return
        last = self._warm[-1].time if self._warm else None
        history = [_mended(bar) for bar in self._feed.history(self._terms.warm_up - 1) if not self._fault(bar)]
        self._learn([bar for bar in history if last is None or bar.time > last])
        if self._warm:
            self._feed.after(self._warm[-1].time)
        if len(self._warm) < self._terms.warm_up - 1:
            self._watcher.note(f"warming up: {len(self._warm)} bars are there, a decision needs {self._terms.warm_up}")

    def _learn(self, bars: list[Bar]) -> None:
        """Journal bars to warm up with, and show them to the champion."""
        if not bars:
            return
        self._check_clock([*self._warm, *bars])
        self._journal.append({"kind": "warm_up", "bar": values_of(bar)} for bar in bars)
        self._warm += bars
        self._player.warm_up(bars)

    def _check_clock(self, bars: list[Bar]) -> None:
        steps = np.diff(np.array([bar.time for bar in bars])) / np.timedelta64(1, "s")
        if len(steps) < 3:
            return
        usual = float(np.sort(steps)[(len(steps) - 1) // 2])
        if usual != self._terms.seconds:
            raise UserError(
                f"{self._terms.symbol}: bars come {usual:g} s apart, but this champion's are {self._terms.seconds:g} s "
                "long (clock.seconds of its manifest); give bars of that length"
            )

    def _take(self, bar: Bar) -> None:
        """One closed bar."""
        problem = self._fault(bar)
        if problem:
            self._write(kind="passed", time=str(bar.time), reason=problem)
            self._watcher.note(f"{bar.time}: {problem}")
            return
        bar = _mended(bar)
        if len(self._warm) < self._terms.warm_up - 1:
            self._learn([bar])
            return
        if self.account is None:
            self._open_account(bar)
            if not self.bars:
                self._check_clock([*self._warm, bar])
        account = self.account
        assert account is not None
        self.standing = standing = account.meet(bar, self.orders[-1] if self.orders else None)
        if not math.isfinite(standing.equity):
            raise UserError(
                f"{self._terms.symbol}: equity at {bar.time} is beyond any number; look at that bar's prices"
            )
        self._peak = max(self._peak, standing.equity)
        tripped = self._guard.judge(bar.time, standing.equity)
        if not standing.alive:
            tripped = "the account is ruined"
        tripped = "" if self._stopping else tripped
        seen = Account(standing.equity, standing.units, standing.entry, self._peak, float(standing.held))
        decision = self._player.on_bar(bar, seen)
        order, said = self._ordered(decision, bar)
        if self._stopping or tripped:
            order, said = self._flat(bar), ""
        self._journal.append(
            [
                {
                    "kind": "bar",
                    "bar": values_of(bar),
                    "equity": standing.equity,
                    "units": standing.units,
                    "decision": told(decision),
                    "order": order,
                    "guard": tripped,
                    "said": said,
                }
            ]
        )
        self.bars.append(bar)
        self.orders.append(order)
        self._stopping = self._stopping or tripped
        self._watcher.bar(bar, standing, self._peak, decision, order)
        for text in (said, f"guard: {tripped}" if tripped else ""):
            if text:
                self._watcher.note(f"{bar.time}: {text}")

    def _ordered(self, decision: Decision, bar: Bar) -> tuple[Order | None, str]:
        """The order that comes of a decision, and what a person should know of that."""
        if decision.target is None:
            return None, ""
        if not self._takes_orders(bar):
            return None, "no volume in this bar: it takes no order"
        target = self._guard.cut(decision.target)
        cut = f"exposure of {decision.target:+.3f} cut to {target:+.3f}" if target != decision.target else ""
        return Order(target, decision.stop, decision.take_profit), cut

    def _open_account(self, first: Bar | None = None) -> None:
        """Make the account, now that it can be known whether its market has volume."""
        known = [*self._warm, *([first] if first is not None else self.bars[:1])]
        self._traded = any(bar.volume > 0 for bar in known)
        self.account = PaperAccount(self._terms.symbol, self._terms.rules, has_volume=self._traded)

    def _fault(self, bar: Bar) -> str:
        """Why a bar is not taken; the order that is pending waits for the next."""
        problem = fault(bar)
        known = self.bars or self._warm
        if not problem and known and bar.time <= known[-1].time:
            problem = f"out_of_order: the bar before opened at {known[-1].time}"
        if not problem and (self._terms.rules.spread or self._terms.rules.spread_rate):
            mid = 0.5 * (min(bar.bid) + min(bar.ask))
            spread = (self._terms.rules.spread or 0.0) + (self._terms.rules.spread_rate or 0.0) * mid
            if mid - 0.5 * spread <= 0:
                problem = f"bad_prices: the spread of the broker's rules leaves no positive bid at {mid:g}"
        return problem

    def _takes_orders(self, bar: Bar) -> bool:
        """Whether an order decided at a bar can fill: a cap by volume lets none through after a bar without."""
        return self._terms.rules.participation is None or not self._traded or bar.volume > 0

    def _flat(self, bar: Bar) -> Order | None:
        """The order that closes what is held, at a bar."""
        return Order(0.0) if self.standing.units and self._takes_orders(bar) else None

    def _trip(self, reason: str) -> None:
        """Stop between bars: whatever is pending gives way to an order that flattens."""
        order = self._flat(self.bars[-1]) if self.bars else None
        self._write(kind="guard", reason=reason, order=order)
        if self.orders:
            self.orders[-1] = order
        self._stopping = reason
        self._watcher.note(f"guard: {reason}")

    def _over(self) -> bool:
        """Whether the guard has stopped and nothing is held any more."""
        return bool(self._stopping) and not self.standing.units

    def _stop(self, reason: str) -> Ending:
        self._write(kind="stopped", reason=reason)
        self._stopped = reason
        return Ending("stopped", reason)

    def _open(self) -> str:
        return f"the position of {self.standing.units:g} units is still open"

    def _tell(self) -> None:
        for note in self._feed.notes:
            self._watcher.note(note)
        self._feed.notes.clear()

    def _write(self, **line: Any) -> None:
        self._journal.append([line])


def _mended(bar: Bar) -> Bar:
    """The bar with high and low exactly around open and close, as readers mend what rounding left."""
    sides = (bar.bid, bar.ask)
    mended = [(side[0], max(side), min(side), side[3]) for side in sides]
    return bar if tuple(mended) == sides else Bar(bar.time, mended[0], mended[1], bar.volume, bar.columns)


def _order_of(values: list[float | None] | None) -> Order | None:
    if values is None or values[0] is None:
        return None
    return Order(values[0], *values[1:])

"""A session of paper trading: bars in, orders out, and nothing that the journal does not know.

A closed bar arrives; the pending order meets it; the guard looks at what came of that; the champion decides; bar and
order go into the journal together, as one line, and the disk has that line before anything else is done. So what the
account is is a function of the journal, whenever and however the process ends: a bar whose line is not there is asked
for again and decided on as before, and an order whose line is there stands.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from agents.live import Account, Bar, Decision
from experiments.paper.account import Order, PaperAccount, Standing
from experiments.paper.feeds import EndOfFeedError, Feed
from experiments.paper.guard import Limits
from experiments.paper.journal import Journal, told, values_of
from experiments.paper.past import EARLY, Terms, another_length, mended, past_of
from experiments.paper.roles import Ending, Player, Rememberer, Watcher
from experiments.paper.words import stamp, units
from markets.errors import UserError

__all__ = ["Session"]

_MOST_EARLY = 3  # bars that come too early, with none taken in good order among them, before it is no accident
_TICK = 0.25  # seconds between looks at the kill file and the clock while no bar comes


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
        noted: what the journal is to know of how it was started.
        name: of the account, for messages.
        clock: seconds that never go back, by which silence is measured.

    Attributes:
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
        noted: Mapping[str, Any] = MappingProxyType({}),
        name: str = "paper account",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._terms, self._limits, self._player, self._feed = terms, limits, player, feed
        self._journal, self._watcher, self._clock = journal, watcher, clock
        self._noted = noted
        self._caps = limits.caps(terms.rules.cash)
        self._past = past_of(journal, terms.rules.cash, self._caps)
        self._passed: dict[str, int] = {}  # bars passed over since the last one that was taken, by what was wrong
        self._early: list[float] = []  # seconds after the bar that came before, of those that came too early
        self._came: Bar | None = None  # the newest sound bar, taken or too early
        self._unwritten: list[Bar] = []  # of a history, which is journaled once a bar of the feed is
        self._traded = False  # whether the market has volume, as far as that is known when the account begins
        self.account: PaperAccount | None = None
        self.standing = Standing(terms.rules.cash, 0.0, 0.0, 0, True, ())
        self._go_on()
        past = self._past
        if past.stopped:
            if not again:
                raise UserError(f"{name}: its guard stopped it: {past.stopped}; look into it, then go on with --again")
            self._write(kind="again")
            self._caps.renew()
            past.stopping = past.stopped = ""
        elif past.stopping:
            watcher.note(f"it was being stopped: {past.stopping}")

    def run(self, stop: Callable[[], bool]) -> Ending:
        """Trade until the feed ends, somebody asks to stop, or the guard stops it.

        Args:
            stop: whether somebody has asked.

        Raises:
            UserError: what comes cannot be used; what was journaled before stands.
        """
        self._write(kind="session", limits=dataclasses.asdict(self._limits), **self._noted)
        self._warm_up()
        heard = self._clock()
        while not self._over():
            if stop():
                return Ending("interrupted", "asked to stop")
            killed = self._limits.killed
            if killed and not self._past.stopping:
                self._trip(killed)
                continue
            try:
                bar = self._feed.next(_TICK)
            except EndOfFeedError:
                self._tell()
                if self._past.stopping:
                    return self._stop(f"{self._past.stopping}; the feed ended before it was flat, {self._open()}")
                return Ending("ended", "the feed has no more bars")
            self._tell()
            if bar is not None and self._take(bar):
                heard = self._clock()
            elif self._feed.live:
                silence = self._clock() - heard
                if silence >= self._limits.stale + self._limits.grace and self._past.stopping:
                    return self._stop(f"{self._past.stopping}; no bar came to flatten at, {self._open()}")
                if silence >= self._limits.stale and not self._past.stopping:
                    odd = f" but those passed over ({', '.join(self._passed)})" if self._passed else ""
                    self._trip(f"stale feed: no bar for {silence:.0f} s{odd}")
        return self._stop(self._past.stopping)

    @property
    def bars(self) -> list[Bar]:
        """That the account has met."""
        return self._past.bars

    @property
    def orders(self) -> list[Order | None]:
        """Decided at the close of each."""
        return self._past.orders

    @property
    def whole(self) -> PaperAccount | None:
        """The account, where it has met a bar and the journal knows all that it has met."""
        account = self.account
        known = len(self._past.bars)
        return account if account is not None and known and len(account.bars) == known else None

    @property
    def known(self) -> int:
        """Bars that are known, to warm up with and of the account."""
        return len(self._past.warm) + len(self._past.bars)

    def _go_on(self) -> None:
        """Take up where the journal ends."""
        past = self._past
        if past.last is not None:
            self._player.warm_up(past.recent(self._terms.warm_up))
            if past.early is not None:
                self._player.warm_up([past.early])
            if isinstance(self._player, Rememberer):
                self._player.recall(list(past.said))
            self._feed.after(past.last.time)
        if past.bars:
            self.standing = self._open_account(past.bars[0]).begin(past.bars, past.orders) or self.standing
            assert self.account is not None
            place = self.account.departure(past.orders, past.told)
            if place is not None:
                why = f"equity {past.told[place][0]!r} and units {past.told[place][1]!r} do not follow from its bars"
                raise self._journal.damaged(past.numbers[place], f"{why} and orders")
            found, told = self.standing.equity, past.told[-1][0]
            if found != told:
                self._watcher.note(f"equity is {found!r}, the journal has {told!r}: another version wrote it")

    def _warm_up(self) -> None:
        """Gather the bars that the first decision needs before its own, as far as the feed has them at hand."""
        past, wanted = self._past, self._terms.warm_up - 1
        if past.bars:
            return
        early: Bar | None = None
        for bar in map(mended, self._feed.history(wanted)):
            problem = past.fault(bar, self._terms)
            if problem:
                early = bar if problem.startswith(EARLY) else early
            else:
                past.warm.append(bar)
                self._unwritten.append(bar)
                early = None
        past.check_clock([], self._terms)
        self._player.warm_up([*self._unwritten, *([] if early is None else [early])])
        past.early = early or past.early
        if past.last is not None:
            self._feed.after(past.last.time)
        if len(past.warm) < wanted:
            self._watcher.note(f"warming up: {len(past.warm)} bars are there, a decision needs {wanted + 1}")

    def _learn(self, bars: list[Bar]) -> None:
        """Journal bars to warm up with, and show them to the champion."""
        if not bars:
            return
        self._past.check_clock(bars, self._terms)
        self._journal.append([*self._history(), *({"kind": "warm_up", "bar": values_of(bar)} for bar in bars)])
        self._past.warm += bars
        self._player.warm_up(bars)

    def _history(self) -> list[dict[str, Any]]:
        """The lines of a history that are not written yet; a feed that brings no bar leaves none behind."""
        bars, self._unwritten = self._unwritten, []
        return [{"kind": "warm_up", "bar": values_of(bar)} for bar in bars]

    def _take(self, bar: Bar) -> bool:
        """One closed bar; whether it was fit to be taken."""
        past = self._past
        problem = past.fault(bar, self._terms)
        if problem:
            self._pass_over(bar, problem)
            if problem.startswith(EARLY):
                self._count_early(bar)
            return False
        self._tell_passed()
        bar = mended(bar)
        self._early = self._early if past.early is not None else []
        self._came, past.early = bar, None
        if len(past.warm) < self._terms.warm_up - 1:
            self._learn([bar])
            return True
        account = self.account
        if account is None:
            account = self._open_account(bar)
            past.check_clock([bar], self._terms)
        self.standing = standing = account.meet(bar, past.orders[-1] if past.orders else None)
        if not math.isfinite(standing.equity):
            raise UserError(
                f"{self._terms.symbol}: equity at {stamp(bar.time)} is beyond any number; look at that bar's prices"
            )
        past.peak = max(past.peak, standing.equity)
        tripped = self._caps.look(bar.time, standing.equity)
        if not standing.alive:
            tripped = "the account is ruined"
        tripped = "" if past.stopping else tripped
        seen = Account(standing.equity, standing.units, standing.entry, past.peak, float(standing.held))
        decision = self._player.on_bar(bar, seen)
        order, said = self._ordered(decision, bar)
        if past.stopping or tripped:
            order, said = self._flat(bar), ""
        self._journal.append(
            [
                *self._history(),
                {
                    "kind": "bar",
                    "bar": values_of(bar),
                    "equity": standing.equity,
                    "units": standing.units,
                    "decision": told(decision),
                    "order": order,
                    "guard": tripped,
                    "said": said,
                    **self._brains(),
                },
            ]
        )
        past.bars.append(bar)
        past.orders.append(order)
        past.stopping = past.stopping or tripped
        self._watcher.bar(bar, standing, past.peak, decision, order)
        for text in (said, f"guard: {tripped}" if tripped else ""):
            if text:
                self._watcher.note(f"{stamp(bar.time)}: {text}")
        return True

    def _brains(self) -> dict[str, str]:
        """What the journal is to know of what the player said, beside its decision."""
        said = self._player.said if isinstance(self._player, Rememberer) else None
        return {} if said is None else {"brains": said}

    def _count_early(self, bar: Bar) -> None:
        """Show a bar that came too early to the champion, which does not take it either, and count it.

        Raises:
            UserError: several came: the feed is of bars of another length.
        """
        past = self._past
        before = self._came or past.last
        assert before is not None
        self._early.append(float(abs(bar.time - before.time) / np.timedelta64(1, "s")))
        self._came = past.early = bar
        self._player.warm_up([bar])
        if len(self._early) >= _MOST_EARLY:
            raise another_length(self._terms.symbol, min(self._early), self._terms.seconds)

    def _pass_over(self, bar: Bar, problem: str) -> None:
        """Say what is wrong with a bar, once of each kind until one is taken: a feed may repeat itself for ever."""
        kind = problem.partition(":")[0]
        self._passed[kind] = self._passed.get(kind, 0) + 1
        if self._passed[kind] == 1:
            kept = {"bar": values_of(bar)} if kind == EARLY else {}
            self._write(kind="passed", time=str(bar.time), reason=problem, **kept)
            self._watcher.note(f"{stamp(bar.time)}: {problem}")

    def _tell_passed(self) -> None:
        """Say how many more bars were passed over."""
        for kind, count in self._passed.items():
            if count > 1:
                self._write(kind="passed", more=count - 1, reason=kind)
                self._watcher.note(f"{count - 1} more bars passed over: {kind}")
        self._passed.clear()

    def _ordered(self, decision: Decision, bar: Bar) -> tuple[Order | None, str]:
        """The order that comes of a decision, and what a person should know of that."""
        if decision.target is None:
            return None, ""
        if not self._takes_orders(bar):
            return None, "no volume in this bar: it takes no order"
        target = self._caps.clip(decision.target)
        cut = f"exposure of {decision.target:+.3f} cut to {target:+.3f}" if target != decision.target else ""
        return Order(target, decision.stop, decision.take_profit), cut

    def _open_account(self, first: Bar) -> PaperAccount:
        """Make the account, now that it can be known whether its market has volume."""
        self._traded = any(bar.volume > 0 for bar in (*self._past.warm, first))
        self.account = PaperAccount(self._terms.symbol, self._terms.rules, has_volume=self._traded)
        return self.account

    def _takes_orders(self, bar: Bar) -> bool:
        """Whether an order decided at a bar can fill: a cap by volume lets none through after a bar without."""
        return self._terms.rules.participation is None or not self._traded or bar.volume > 0

    def _flat(self, bar: Bar) -> Order | None:
        """The order that closes what is held, at a bar."""
        return Order(0.0) if self.standing.units and self._takes_orders(bar) else None

    def _trip(self, reason: str) -> None:
        """Stop between bars: whatever is pending gives way to an order that flattens."""
        past = self._past
        order = self._flat(past.bars[-1]) if past.bars else None
        self._write(kind="guard", reason=reason, order=order)
        if past.orders:
            past.orders[-1] = order
        past.stopping = reason
        when = f"{stamp(past.last.time)}: " if past.last is not None else ""
        self._watcher.note(f"{when}guard: {reason}")

    def _over(self) -> bool:
        """Whether the guard has stopped and nothing is held any more."""
        return bool(self._past.stopping) and not self.standing.units

    def _stop(self, reason: str) -> Ending:
        self._write(kind="stopped", reason=reason)
        self._past.stopped = reason
        return Ending("stopped", reason)

    def _open(self) -> str:
        return f"the position of {units(self.standing.units)} units is still open"

    def _tell(self) -> None:
        for note in self._feed.notes:
            self._watcher.note(note)
        self._feed.notes.clear()

    def _write(self, **line: Any) -> None:
        self._journal.append([line])

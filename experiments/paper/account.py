"""The paper account: the broker's kernel, bar by bar, through the very program that a replay goes through.

Financing is charged for the time until the next bar opens, which nobody knows at a bar's close. The account that a
champion sees there counts on a bar of the usual length, as a replay does for its last bar; when the next bar is there
and its stamp says otherwise, the bar before is gone through once more. So at any moment the account is bit for bit what
a replay of the bars so far leaves.
"""

import collections
import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.live import Bar
from agents.live.bar import bars_of
from experiments.replay.passage import ACCOUNT, OUTCOME, Passage, outcome_of, rows_of
from experiments.replay.replay import ReplayResult, quoted, result_of
from experiments.replay.targets import Targets
from markets.account import REASONS, Outcome
from markets.bars import Bars
from markets.calendars import financing_days
from markets.rules import BrokerRules

__all__ = ["Fill", "Order", "PaperAccount", "Standing", "targets_of"]

_DAYS, _LAST = 10, 11  # columns of a row of the passage
_ROUNDING = 1e-6  # relative; nobody would write a number into a journal that is so little another


class Order(NamedTuple):
    """What is asked for at the close of a bar; distances are fractions of the entry price."""

    target: float
    stop: float | None = None
    take_profit: float | None = None


class Fill(NamedTuple):
    """One fill."""

    reason: str
    units: float
    price: float


class Standing(NamedTuple):
    """An account at the close of a bar."""

    equity: float
    units: float
    entry: float
    held: int
    """Bars the open position has been held: 0 when flat, 1 at the first close after it was opened."""
    alive: bool
    fills: tuple[Fill, ...]
    """Of the bar."""


class PaperAccount:
    """One account of one instrument.

    Args:
        symbol: of the bars.
        rules: the broker's.
        has_volume: whether the market has volume, where `participation` caps orders by it.
    """

    def __init__(self, symbol: str, rules: BrokerRules, *, has_volume: bool) -> None:
        self._symbol, self._rules, self._has_volume = symbol, rules, has_volume
        self._passage = Passage(rules)
        self._bars: list[Bar] = []
        self._settled: list[NDArray[np.float64]] = []  # outcomes of all bars but the first and the last
        self._before = self._passage.open()  # the account before the last bar
        self._row: NDArray[np.float64] | None = None  # the last bar as the broker met it; None is the first
        self._done = np.zeros(0)  # what came of it, so far
        self._lengths: collections.Counter[int] = collections.Counter()  # of bars so far, in microseconds
        self._held = 0

    def begin(self, bars: Sequence[Bar], orders: Sequence[Order | None]) -> Standing | None:
        """Go through all bars there were before, with the order decided at each; None where there were none."""
        if not bars:
            return None
        self._bars = list(bars)
        past = quoted(self.bars, self._rules)
        days = financing_days(past.time, self._rules.calendar)
        rows = rows_of(past, targets_of(orders), days=days, has_volume=self._has_volume, closes=False)
        done = self._passage.through(self._before, rows)
        self._lengths.update(np.diff(past.time.astype(np.int64)).tolist())
        if len(done):
            self._settled = list(done[:-1])
            self._row, self._done = rows[-1:], done[-1]
            self._before = done[-2, :ACCOUNT] if len(done) > 1 else self._before
            outcome = outcome_of(done)
            for units, opened in zip(outcome.account.units[:, 0], outcome.closed.opened[:, 0], strict=True):
                self._hold(float(units), bool(opened))
        return self._standing()

    def meet(self, bar: Bar, order: Order | None) -> Standing:
        """Take the account through a bar, with the order decided at the close of the bar before.

        The first bar is the one at whose close the first order may be decided; nothing happens in it.
        """
        if not self._bars:
            self._bars.append(bar)
            return self._standing()
        account = self._settle(bar.time)
        pair = quoted(self._known([self._bars[-1], bar]), self._rules)
        self._lengths[int((bar.time - self._bars[-1].time).astype(np.int64))] += 1
        days = self._days(bar.time, self._lengths)
        row = rows_of(pair, targets_of([order, None]), days=days, has_volume=self._has_volume, closes=False)
        self._before, self._row = account, row
        self._done = self._passage.through(account, row)[0]
        self._bars.append(bar)
        outcome = self._outcome()
        self._hold(float(outcome.account.units[0, 0]), bool(outcome.closed.opened[0, 0]))
        return self._standing()

    def departure(self, orders: Sequence[Order | None], told: Sequence[tuple[float, float]]) -> int | None:
        """The first bar whose close was not as it was told when it closed; None where all were.

        Args:
            orders: decided at the close of each bar.
            told: equity and units at the close of each bar, when nobody knew how long the next pause would be.
        """
        past = quoted(self.bars, self._rules)
        done = np.stack([*self._settled, self._done]) if self._row is not None else np.zeros((0, OUTCOME))
        account = outcome_of(done).account
        equity = np.append(self._rules.cash, account.equity)
        same = _near(np.asarray(told, np.float64), np.stack([equity, np.append(0.0, account.units[:, 0])], axis=1))
        steps, lengths, counted = np.diff(past.time).astype(np.int64), collections.Counter[int](), 0
        for place in np.flatnonzero(~same).tolist():
            if place == 0:
                return place
            lengths.update(steps[counted:place].tolist())
            counted = place
            pair = past[place - 1 : place + 1]
            row = rows_of(
                pair,
                targets_of(orders[place - 1 : place + 1]),
                days=self._days(pair.time[1], lengths),
                has_volume=self._has_volume,
                closes=False,
            )
            before = done[place - 2, :ACCOUNT] if place > 1 else self._passage.open()
            seen = outcome_of(self._passage.through(before, row)).account
            if not _near(np.asarray(told[place], np.float64), np.array([seen.equity[0], seen.units[0, 0]])).all():
                return place
        return None

    def result(self, *, closes: bool) -> ReplayResult:
        """What a replay of the bars so far leaves.

        Args:
            closes: whether what is held is closed at the last bar's close.
        """
        last = self._done
        if closes and self._row is not None:
            row = self._row.copy()
            row[:, _LAST] = 1.0
            last = self._passage.through(self._before, row)[0]
        done = np.stack([*self._settled, last]) if self._row is not None else np.zeros((0, OUTCOME))
        rules = dataclasses.replace(self._rules, close_at_end=closes)
        return result_of(quoted(self.bars, rules), done, rules)

    @property
    def bars(self) -> Bars:
        """The bars so far, as a replay is to be given them."""
        return self._known(self._bars)

    def _known(self, bars: Sequence[Bar]) -> Bars:
        """Bars as the account knows them: to a cap by volume, a market that began without any stays one without."""
        known = bars_of(bars, (), self._symbol)
        if self._rules.participation is not None and not self._has_volume:
            known = dataclasses.replace(known, volume=np.zeros(len(bars)))
        return known

    def _settle(self, opens: np.datetime64) -> NDArray[np.float64]:
        """The account after the last bar, now that it is known when the next one opens."""
        if self._row is None:
            return self._before
        days = financing_days(np.array([self._bars[-1].time, opens]), self._rules.calendar)[0]
        if days != self._row[0, _DAYS]:
            self._row[:, _DAYS] = days
            self._done = self._passage.through(self._before, self._row)[0]
        self._settled.append(self._done)
        return self._done[:ACCOUNT]

    def _days(self, opens: np.datetime64, lengths: collections.Counter[int]) -> NDArray[np.float64]:
        """Days of financing of the bar before and of one that is as long as bars are as a rule, [2]."""
        length = np.timedelta64(min(lengths, key=lambda one: (-lengths[one], one)), "us")
        return np.array([0.0, financing_days(np.array([opens, opens + length]), self._rules.calendar)[0]])

    def _hold(self, units: float, opened: bool) -> None:
        self._held = 0 if units == 0 else 1 if opened else self._held + 1

    def _outcome(self) -> Outcome:
        return outcome_of(self._done[None])

    def _standing(self) -> Standing:
        if self._row is None:
            return Standing(self._rules.cash, 0.0, 0.0, 0, True, ())
        account, fills = self._outcome()[:2]
        reasons, units, prices = (np.asarray(fills[part])[0, :, 0] for part in range(3))
        return Standing(
            float(account.equity[0]),
            float(account.units[0, 0]),
            float(account.entry[0, 0]),
            self._held,
            bool(account.alive[0]),
            tuple(Fill(REASONS[reasons[i]], float(units[i]), float(prices[i])) for i in np.flatnonzero(reasons)),
        )


def _near(told: NDArray[np.float64], found: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows are the same but for rounding, as other versions of the libraries may round."""
    return np.asarray(np.isclose(told, found, rtol=_ROUNDING, atol=_ROUNDING).all(axis=-1))


def targets_of(orders: Sequence[Order | None]) -> Targets:
    """Orders as a replay takes them, NaN where there is none."""
    numbers = np.full((3, len(orders)), np.nan)
    for place, order in enumerate(orders):
        if order is not None:
            numbers[:, place] = [np.nan if number is None else number for number in order]
    return Targets(*numbers)

"""A shadow account: what the arena's broker would have made of a champion's orders, in plain Python and one instrument.

For frameworks that want signals for a whole table of bars before anything is traded: the champion must see an account,
so it is given the one that it would have under the rules it was bred with. The rules are those of `markets.broker`
(docs/accounting.md), which this is tested against; where orders are really filled, whoever fills them says so instead.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.live.account import Account
from agents.live.bar import Bar, Prices, bars_in
from agents.live.champion import Champion
from agents.live.decision import Decision
from agents.live.quotes import newer, quoted
from agents.live.sizing import lots, units_of
from markets.bars import Bars
from markets.calendars import financing_days

__all__ = ["Shadow", "Step", "Walk"]

_OPEN, _HIGH, _LOW, _CLOSE = range(4)


class Step(NamedTuple):
    """One bar of a walk.

    Attributes:
        time: its open, UTC, `datetime64[us]`.
        account: at its close, as the champion saw it.
        decision: at its close.
    """

    time: np.datetime64
    account: Account
    decision: Decision


class Walk:
    """A champion and its shadow account, taken along a history that may grow: no bar is met twice.

    Financing runs to the next bar's open, which nobody knows of the newest bar: that one is charged for a bar of the
    usual length, which is what the champion sees at its close, and put right before anything is filled in the next.
    """

    def __init__(self, champion: Champion) -> None:
        """Take a champion that no one else feeds, before its first bar."""
        self._champion = champion
        self._rules: Mapping[str, Any] = champion.manifest["broker"]
        self._shortest = float(champion.manifest["clock"]["shortest"])
        self._usual = np.timedelta64(round(float(champion.manifest["clock"]["seconds"]) * 1e6), "us")
        self._shadow = Shadow(self._rules)
        self._order: Decision | None = None
        self._charged = 0.0

    def extend(self, bars: Bars) -> list[Step]:
        """Walk the bars that are newer than the last one, in order of time.

        The first `warm_up` − 1 bars of all only fill the champion's window, in however many tables they come. A bar
        that the champion does not take (odd prices, out of order) is not met: the order waits for the next one.

        Returns:
            A step for each new bar behind the warm-up; of one that was not taken, its decision says why. It may come
            again while it is the newest.

        Raises:
            UserError: a column that the champion sees is missing.
        """
        bars = _rows(bars, self._champion)
        taken = newer(bars, self._champion.last, self._shortest)
        self._shadow.traded = self._shadow.traded or bool((bars.volume[taken] > 0).any())
        first = self._warm_up(bars, taken)
        bars, taken = bars[first:], taken[first:]
        days = np.zeros(len(bars))
        if taken.any():
            days[taken] = self._days(bars.time[taken])
        rows = zip(bars_in(bars), taken.tolist(), days.tolist(), strict=True)
        return [self._step(bar, its) if met else self._passed(bar) for bar, met, its in rows]

    def _warm_up(self, bars: Bars, taken: NDArray[np.bool_]) -> int:
        """Fill the window as far as it lacks bars; the first row behind."""
        lacking = int(self._champion.manifest["warm_up"]) - 1 - self._champion.bars
        if lacking <= 0:
            return 0
        rows = np.flatnonzero(taken)
        first = int(rows[lacking - 1]) + 1 if len(rows) >= lacking else len(bars)
        self._champion.warm_up(bars[:first])
        for bar, met in zip(bars_in(bars[:first]), taken, strict=False):
            if met:
                self._shadow.meet(bar)
        return first

    def _days(self, time: NDArray[np.datetime64]) -> NDArray[np.float64]:
        """Days of financing of these bars, the last one's until a bar of the usual length has passed.

        What was charged for the bar before them is put right here.
        """
        before = [] if self._champion.last is None else [self._champion.last]
        edges = np.array([*before, *time, time[-1] + self._usual], "datetime64[us]")
        days = financing_days(edges, self._rules["calendar"])[:-1]
        if len(days) > len(time):
            self._shadow.finance(float(days[0]) - self._charged)
        self._charged = float(days[-1])
        return days[-len(time) :]

    def _step(self, bar: Bar, days: float) -> Step:
        self._shadow.meet(bar, self._order, days=days)
        account = self._shadow.account
        self._order = self._champion.on_bar(bar, account)
        return Step(bar.time, account, self._order)

    def _passed(self, bar: Bar) -> Step:
        account = self._shadow.account
        return Step(bar.time, account, self._champion.on_bar(bar, account))


class Shadow:
    """One account of one instrument, float64.

    Attributes:
        equity: at the last bar's mid close, in account currency.
        units: signed position.
        entry: price of the position.
        alive: False once ruined.
        traded: whether the market shows volume; one that never does has no participation cap.
    """

    def __init__(self, rules: Mapping[str, Any]) -> None:
        """Open an account, all cash.

        Args:
            rules: `broker` of a manifest: every key of the arena's broker.
        """
        self._rules = rules
        self.equity = self._funds = float(rules["cash"])
        self.units = self.entry = 0.0
        self.alive, self.traded = True, False
        self._stop = self._take = self._distance = math.nan
        self._close = self._volume = math.nan
        self._doors = math.nan, math.nan

    @property
    def account(self) -> Account:
        """As a champion is told of it; peak and bars held are the champion's to keep."""
        return Account(self.equity, self.units, self.entry)

    def meet(self, bar: Bar, order: Decision | None = None, *, days: float = 0.0) -> None:
        """Take the account through a bar.

        Args:
            bar: with the quotes as they come; the rules' spread is put on them here.
            order: decided at the close of the bar before.
            days: of financing charged at this bar's close.
        """
        bid, ask = quoted(bar.bid, bar.ask, self._rules["spread"], self._rules["spread_rate"])
        before = self.units
        resting, breach = self._leave_at_open(bid[_OPEN], ask[_OPEN])
        if order is not None and order.target is not None and self.alive and not breach:
            self._fill(order, order.target, bid[_OPEN], ask[_OPEN], before if resting else 0.0)
        favourable = self._leave_inside(bid, ask)
        self._close, self._volume = 0.5 * (bid[_CLOSE] + ask[_CLOSE]), bar.volume
        self._doors = bid[_CLOSE], ask[_CLOSE]
        self.finance(days)
        if self.units and self._rules["trailing"]:
            side_ = math.copysign(1.0, self.units)
            trail = favourable - self._distance
            if trail > side_ * self._stop:
                self._stop = side_ * trail

    def finance(self, days: float) -> None:
        """3 to 5: charge what is held at the last close, mark it there, and look for ruin.

        Args:
            days: of financing; below 0 some of what was charged before is given back.
        """
        if self.units and days:
            side = "financing_short" if self.units < 0 else "financing_long"
            self._funds -= abs(self.units) * self._close * days / 365 * self._rules[side]
        self.equity = self._funds + self.units * (self._close - self.entry)
        if self.alive and self.equity <= self._rules["ruin"] * self._rules["cash"]:
            if self.units:
                self._exit(self._doors[0] if self.units > 0 else self._doors[1])
            self.equity, self.alive = self._funds, False

    def _leave_at_open(self, bid: float, ask: float) -> tuple[bool, bool]:
        """1a and 1b: whether a resting level was met, and whether the account was liquidated."""
        if not self.units:
            return False, False
        side, door = (1.0, bid) if self.units > 0 else (-1.0, ask)
        if side * door <= side * self._stop:
            self._exit(door)
            return True, False
        if side * door >= side * self._take:
            self._exit(door, slips=False)
            return True, False
        margin = self._rules["maintenance"] * abs(self.units) * door
        if self._funds + self.units * (door - self.entry) <= margin:
            self._exit(door, fee=True)
            return False, True
        return False, False

    def _fill(self, order: Decision, target: float, bid: float, ask: float, left: float) -> None:
        """1c: the order; `left` is the position that a resting exit has just closed."""
        rules, held = self._rules, self.units
        leverage, mid = rules["max_leverage"], 0.5 * (bid + ask)
        limit = leverage * max(self._funds + held * (mid - self.entry), 0.0) / mid
        own = {"max_leverage": leverage, "limit": limit, "lot": rules["lot_size"], "min_units": rules["min_units"]}
        wanted = units_of(target, self.equity, self._close, **own)
        if left * wanted > 0:  # the signal that was stopped out does not buy itself back
            return
        reached = self._capped(wanted)
        change = reached - held
        if not change:
            return
        price = ask * (1 + rules["slippage"]) if change > 0 else bid * (1 - rules["slippage"])
        grows = change * reached > 0
        flips = held * reached < 0
        closed = (held if flips else 0.0) if grows else -change
        self._funds += closed * (price - self.entry) - self._commission(abs(change), price)
        self.units = reached
        if grows:
            adds = held * change > 0
            self.entry = self.entry + (price - self.entry) * (change / reached) if adds else price
            side = math.copysign(1.0, reached)
            stop = math.nan if order.stop is None else order.stop
            take = math.nan if order.take_profit is None else order.take_profit
            self._distance = self.entry * stop
            self._stop = self.entry - side * self._distance
            self._take = self.entry + side * self.entry * take
        if not reached:
            self._stop = self._take = self._distance = math.nan

    def _leave_inside(self, bid: Prices, ask: Prices) -> float:
        """2: stop, liquidation or take-profit inside the bar; the favourable extreme, signed."""
        if not self.units:
            return math.nan
        side, size = math.copysign(1.0, self.units), abs(self.units)
        sides = bid if side > 0 else ask
        far, near = (_LOW, _HIGH) if side > 0 else (_HIGH, _LOW)
        door, adverse, favourable = (side * sides[place] for place in (_OPEN, far, near))
        stop, take = side * self._stop, side * self._take
        stop, take = (door if stop > door else stop), (door if take < door else take)
        self._stop, self._take = side * stop, side * take
        margin = (side * self.entry - self._funds / size) / (1 - side * self._rules["maintenance"])
        margin = min(margin, door)
        if stop >= margin and adverse <= stop:
            self._exit(side * stop)
        elif not stop >= margin and adverse <= margin:
            self._exit(side * margin, fee=True)
        elif favourable > take:
            self._exit(side * take, slips=False)
        return favourable

    def _exit(self, price: float, *, slips: bool = True, fee: bool = False) -> None:
        """Close the position at a price, before slippage."""
        rules, size = self._rules, abs(self.units)
        if slips:
            price *= 1 - math.copysign(rules["slippage"], self.units)
        self._funds += self.units * (price - self.entry) - self._commission(size, price)
        if fee:
            self._funds -= size * price * rules["liquidation_fee"]
        self.units = 0.0
        self._stop = self._take = self._distance = math.nan

    def _commission(self, size: float, price: float) -> float:
        rules = self._rules
        money: float = size * price * rules["commission"] + size * rules["commission_per_unit"]
        fixed: float = rules["commission_fixed"]
        return money + fixed

    def _capped(self, wanted: float) -> float:
        """As far toward `wanted` as the volume already seen allows."""
        share, lot = self._rules["participation"], self._rules["lot_size"]
        change = wanted - self.units
        if share is None or not self.traded or not abs(change) > share * self._volume:
            return wanted
        most = share * self._volume
        reached = self.units + math.copysign(lots(most, lot) * lot if lot else most, change)
        return round(reached / lot) * lot if lot else reached


def _rows(bars: Bars, champion: Champion) -> Bars:
    """Those behind the champion's last bar; such without a stamp are behind any."""
    rows = np.ones(len(bars), bool) if champion.last is None else ~(bars.time <= champion.last)
    columns = {name: column[rows] for name, column in bars.columns.items()}
    return Bars(bars.symbol, bars.time[rows], bars.bid[rows], bars.ask[rows], bars.volume[rows], columns)

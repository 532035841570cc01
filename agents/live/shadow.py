"""A shadow account: what the arena's broker would have made of a champion's orders, in plain Python and one instrument.

For frameworks that want signals for a whole table of bars before anything is traded: the champion must see an account,
so it is given the one that it would have under the rules it was bred with. The rules are those of `markets.broker`
(docs/accounting.md), which this is tested against; where orders are really filled, whoever fills them says so instead.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from agents.live.account import Account
from agents.live.bar import Bar
from agents.live.champion import Champion
from agents.live.decision import Decision
from markets.bars import Bars
from markets.calendars import financing_days

__all__ = ["Shadow", "Step", "Walk"]

_OPEN, _HIGH, _LOW, _CLOSE = range(4)
_HAIR = 1e-9
"""Share by which a number of lots may fall short of a whole one and still count as it, as in `markets.sizing`."""


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
    """A champion and its shadow account, taken along a history that may grow: no bar is walked twice."""

    def __init__(self, champion: Champion) -> None:
        """Take a champion that no one else feeds, before its first bar."""
        self._champion = champion
        self._rules: Mapping[str, Any] = champion.manifest["broker"]
        self._shadow = Shadow(self._rules)
        self._order: Decision | None = None

    def extend(self, bars: Bars) -> list[Step]:
        """Walk the bars that are newer than the last one, in order of time.

        The first `warm_up` − 1 bars of all only fill the champion's window.

        Returns:
            A step for each new bar behind the warm-up.

        Raises:
            UserError: a column that the champion sees is missing.
        """
        champion, first = self._champion, 0
        if champion.last is None:
            first = min(len(bars), int(champion.manifest["warm_up"]) - 1)
            champion.warm_up(bars[:first])
            for row in range(first):
                self._shadow.meet(_bar(bars, row))
        else:
            first = int(np.searchsorted(bars.time, champion.last, side="right"))
        if first == len(bars):
            return []
        days = financing_days(bars.time, self._rules["calendar"])
        self._shadow.traded = self._shadow.traded or bars.has_volume
        return [self._step(_bar(bars, row), float(days[row])) for row in range(first, len(bars))]

    def _step(self, bar: Bar, days: float) -> Step:
        self._shadow.meet(bar, self._order, days=days)
        account = self._shadow.account
        self._order = self._champion.on_bar(bar, account)
        return Step(bar.time, account, self._order)


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
        bid, ask = self._quoted(bar)
        mid = 0.5 * (bid[_CLOSE] + ask[_CLOSE])
        before = self.units
        resting, breach = self._leave_at_open(bid[_OPEN], ask[_OPEN])
        if order is not None and order.target is not None and self.alive and not breach:
            self._fill(order, order.target, bid[_OPEN], ask[_OPEN], before if resting else 0.0)
        favourable = self._leave_inside(bid, ask)
        if self.units and days:
            side = "financing_short" if self.units < 0 else "financing_long"
            self._funds -= abs(self.units) * mid * days / 365 * self._rules[side]
        self.equity = self._funds + self.units * (mid - self.entry)
        if self.units and self._rules["trailing"]:
            side_ = math.copysign(1.0, self.units)
            trail = favourable - self._distance
            if trail > side_ * self._stop:
                self._stop = side_ * trail
        if self.alive and self.equity <= self._rules["ruin"] * self._rules["cash"]:
            if self.units:
                self._exit(bid[_CLOSE] if self.units > 0 else ask[_CLOSE])
            self.equity, self.alive = self._funds, False
        self._close, self._volume = mid, bar.volume

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
        exposure = min(max(target, -leverage), leverage)
        limit = leverage * max(self._funds + held * (mid - self.entry), 0.0) / mid
        wanted = self._lots(min(max(exposure * self.equity / self._close, -limit), limit))
        if abs(wanted) < rules["min_units"]:
            wanted = 0.0
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

    def _leave_inside(self, bid: list[float], ask: list[float]) -> float:
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

    def _lots(self, units: float) -> float:
        """Rounded toward zero to whole lots."""
        lot: float = self._rules["lot_size"]
        return math.trunc(units / lot * (1 + _HAIR)) * lot if lot else units

    def _capped(self, wanted: float) -> float:
        """As far toward `wanted` as the volume already seen allows."""
        share, lot = self._rules["participation"], self._rules["lot_size"]
        change = wanted - self.units
        if share is None or not self.traded or not abs(change) > share * self._volume:
            return wanted
        reached = self.units + math.copysign(self._lots(share * self._volume), change)
        return round(reached / lot) * lot if lot else reached

    def _quoted(self, bar: Bar) -> tuple[list[float], list[float]]:
        """Bid and ask, with the rules' spread where they have one."""
        spread, rate = self._rules["spread"], self._rules["spread_rate"]
        if spread is None and rate is None:
            return list(bar.bid), list(bar.ask)
        mid = [0.5 * (bid + ask) for bid, ask in zip(bar.bid, bar.ask, strict=True)]
        half = [0.5 * ((spread or 0.0) + (rate or 0.0) * price) for price in mid]
        return [price - h for price, h in zip(mid, half, strict=True)], [
            price + h for price, h in zip(mid, half, strict=True)
        ]


def _bar(bars: Bars, row: int) -> Bar:
    columns = {name: float(column[row]) for name, column in bars.columns.items()}
    return Bar(bars.time[row], bars.bid[row].tolist(), bars.ask[row].tolist(), float(bars.volume[row]), columns)

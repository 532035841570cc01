"""Two lists of fills of one champion, laid beside each other bar by bar, and what each difference is worth in money."""

from collections import defaultdict
from typing import NamedTuple

import numpy as np

from markets.bars import Bars

__all__ = ["Difference", "reconcile"]


class Difference(NamedTuple):
    """What two engines made otherwise of the same fill.

    Attributes:
        kind: `lots` (as many units but a few), `tick` (a level rounded to the tick), `gap` (a level that the open had
            passed: there filled at the level, here at the open), `order of prices` (stop and take-profit in one bar),
            else `unexplained`.
        time: open of the bar.
        money: what the other engine's account gained by it over the arena's, after commission, per unit held alike.
    """

    kind: str
    time: np.datetime64
    money: float


def reconcile(arena: list, other: list, bars: Bars, *, tick: float, share: float) -> tuple[int, list[Difference]]:
    """How many fills were compared, and how they differ.

    A turn is one order here and an exit and an entry there, at one price. Prices of orders are compared exactly.

    Args:
        arena: fills of the arena, of `time, reason, units, price, commission`.
        other: those of the other engine.
        bars: both traded.
        tick: of prices.
        share: of a size by which it may differ, as equity does; one unit may differ always, two in a turn.
    """
    ours, theirs = _by_slot(arena), _by_slot(other)
    found = []
    for key in sorted(ours.keys() | theirs.keys()):
        time, slot = key
        mine, its = ours.get(key), theirs.get(key)
        if mine is None or its is None or mine[0] * its[0] < 0:
            found.append(Difference("unexplained", time, 0.0))
            continue
        (units, price, reasons), (size, level, causes) = mine, its
        if abs(units - size) > 2 + share * abs(units):
            found.append(Difference("unexplained", time, 0.0))
        elif units != size:
            found.append(Difference("lots", time, 0.0))
        money = -units * (level - price)
        if slot == "order":
            if level != price:
                found.append(Difference("unexplained", time, money))
            continue
        row = int(np.searchsorted(bars.time, time))
        door = (bars.bid if units < 0 else bars.ask)[row, 0]
        if reasons != causes:
            found.append(Difference("order of prices", time, money))
        elif abs(level - price) <= tick * (1 + 1e-6):
            found.append(Difference("tick", time, money))
        elif price == door:
            found.append(Difference("gap", time, money))
        else:
            found.append(Difference("unexplained", time, money))
    return len(ours.keys() | theirs.keys()), found


def _by_slot(fills: list) -> dict:
    """Units, mean price and reasons of what was ordered and of what a level closed, by bar."""
    groups = defaultdict(list)
    for fill in fills:
        level = fill.reason in ("stop", "take_profit")
        groups[fill.time, ("sold" if fill.units < 0 else "bought") if level else "order"].append(fill)
    return {key: _together(group) for key, group in groups.items()}


def _together(group: list) -> tuple:
    units = sum(fill.units for fill in group)
    prices = {fill.price for fill in group}
    price = prices.pop() if len(prices) == 1 else sum(f.units * f.price for f in group) / units
    return units, price, tuple(fill.reason for fill in group if fill.reason in ("stop", "take_profit"))

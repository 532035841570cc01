"""Bars that arrive one side at a time, as venues' feeds bring bid and ask, put together again.

A bar is whole when all its sides are there; sides may come in any order. A side that never comes leaves its bar out.
"""

import numpy as np

from agents.live.bar import Bar, Prices

__all__ = ["Sides"]


class Sides:
    """Waits for the sides of each bar.

    Attributes:
        count: 2 for bid and ask, 1 for a single price, around which the bundle's own spread is put.
        lost: opens of bars that a newer one overtook before they were whole, oldest first; whoever reads it clears it.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.lost: list[np.datetime64] = []
        self._waiting: dict[np.datetime64, dict[int, tuple[Prices, float]]] = {}

    def add(self, side: int, time: np.datetime64, prices: Prices, volume: float) -> Bar | None:
        """Take one side, 0 for the bid and 1 for the ask; the bar, where it is whole now.

        A bar's volume is the larger one of its sides: feeds put the same number on both, or half of them none.
        """
        sides = self._waiting.setdefault(time, {})
        sides[side] = prices, volume
        if len(sides) < self.count:
            return None
        del self._waiting[time]
        overtaken = sorted(stamp for stamp in self._waiting if stamp < time)
        self.lost += overtaken
        for stamp in overtaken:
            del self._waiting[stamp]
        last = self.count - 1
        return Bar(time, sides[0][0], sides[last][0], max(traded for _, traded in sides.values()))

"""From a decision's target to units to trade: what `markets.sizing` does for the simulated broker, in plain Python.

What a bot cannot know at the close is left out: the broker clips to the leverage once more at the next open, and caps
an order at a share of the volume.
"""

import math
from typing import NamedTuple

__all__ = ["HAIR", "Change", "change", "level", "lots", "units_of"]

HAIR = 1e-9
"""Share by which a number of lots may fall short of a whole one and still count as it, as in `markets.sizing`."""


class Change(NamedTuple):
    """What to trade, in signed units: first what is closed, then what is opened."""

    close: float
    open: float


def lots(units: float, lot: float) -> int:
    """How many whole lots there are in so many units, rounded toward zero."""
    return math.trunc(units / lot * (1 + HAIR))


def units_of(
    target: float,
    equity: float,
    close: float,
    *,
    max_leverage: float,
    limit: float = math.inf,
    lot: float = 0.0,
    min_units: float = 0.0,
) -> float:
    """Signed units of a target: x·E/C with x clipped to ±max_leverage, rounded toward zero to whole lots.

    Args:
        target: signed multiple of equity.
        equity: at the close of the decision, in the currency of the price.
        close: mid close of that bar, in price.
        max_leverage: largest |exposure|.
        limit: largest |units|.
        lot: units come in multiples of it; 0 is continuous.
        min_units: fewer are 0.
    """
    units = min(max(target, -max_leverage), max_leverage) * equity / close
    units = min(max(units, -limit), limit)
    if lot > 0:
        units = lots(units, lot) * lot
    return 0.0 if abs(units) < min_units else units


def change(held: float, wanted: float) -> Change:
    """How to get from the units held to those wanted; a turn closes everything and opens anew."""
    if held * wanted < 0:
        return Change(-held, wanted)
    step = wanted - held
    return Change(0.0, step) if abs(wanted) > abs(held) else Change(step, 0.0)


def level(entry: float, distance: float, side: int, tick: float) -> float:
    """Price of a level, a distance from the entry, rounded away from the entry to the tick.

    On a market whose prices are whole ticks, bars that reach the exact level reach the rounded one and no others do.

    Args:
        entry: price of the position.
        distance: fraction of the entry, > 0.
        side: 1 for a level above the entry, −1 for one below.
        tick: smallest step of a price.
    """
    ticks = entry * (1 + side * distance) / tick
    whole = round(ticks)
    if abs(ticks - whole) > HAIR * whole:
        whole = math.ceil(ticks) if side > 0 else math.floor(ticks)
    return whole * tick

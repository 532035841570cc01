"""Series: passes over several symbols as one record by day, beside what holding the same exposure would have earned.

Each symbol has an account of its own and equal weight. Simple returns of bars are summed to the venue's days; those are
what is judged. A regime's champion is flat outside its regime and keeps the zeros.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arena.tally import REGIMES
from experiments.certificates.ground import Stretch, mid_gain
from experiments.certificates.passes import Pass
from experiments.evidence.days import daily
from markets.calendars import Calendar
from markets.preparation import Market

__all__ = ["Record", "acting", "held_exposure", "join", "record", "spells"]


class Record(NamedTuple):
    """What members did by day, all symbols together."""

    day: NDArray[np.datetime64]
    """[days]."""
    returns: NDArray[np.float64]
    """Simple returns of bars summed by day, mean over symbols, [days, members]."""
    matched: NDArray[np.float64]
    """The same of holding the exposure a member had on validation, on the bars it may act on, [days, members]."""
    equity: NDArray[np.float64]
    """At the end of each day, mean of the symbols' accounts, each 1 at its start, [days, members]."""
    matched_equity: NDArray[np.float64]
    """Of the held exposure, rebalanced at every close without costs, [days, members]."""


def acting(regimes: NDArray[np.bool_], market: Market, stretch: Stretch) -> NDArray[np.bool_]:
    """Whether a member may act at each decision, [bars, members].

    Args:
        regimes: it acts in, [members, regimes].
        market: prepared.
        stretch: of it.
    """
    regime = np.asarray(market.tape.regime)[stretch.first : stretch.stop - 1]
    known = np.concatenate([regimes, np.zeros((len(regimes), 1), bool)], axis=1)
    return known[:, np.minimum(regime, REGIMES)].T


def spells(regimes: NDArray[np.bool_], market: Market, stretch: Stretch) -> NDArray[np.int64]:
    """How many separate spells of its regimes each member meets, [members].

    Args:
        regimes: it acts in, [members, regimes].
        market: prepared.
        stretch: of it.
    """
    regime = np.asarray(market.tape.regime)[stretch.first : stretch.stop - 1]
    begins = regime[np.append(True, regime[1:] != regime[:-1])]
    return regimes @ np.bincount(begins, minlength=REGIMES + 1)[:REGIMES]


def held_exposure(
    found: Sequence[Sequence[Pass]], regimes: NDArray[np.bool_], market: Market, stretches: Sequence[Stretch]
) -> dict[str, NDArray[np.float64]]:
    """x̄: mean net exposure of each member over the bars that it may act on, by symbol, [members, instruments].

    Args:
        found: passes by stretch and member.
        regimes: members act in, [members, regimes].
        market: prepared.
        stretches: of validation.
    """
    made = {}
    for own, stretch in zip(found, stretches, strict=True):
        acts = acting(regimes, market, stretch)
        total = np.stack([(acts[:, m, None] * each.exposure).sum(0) for m, each in enumerate(own)])
        made[stretch.name] = total / np.maximum(acts.sum(0), 1)[:, None]
    return made


def record(
    found: Sequence[Sequence[Pass]],
    exposure: dict[str, NDArray[np.float64]],
    regimes: NDArray[np.bool_],
    market: Market,
    stretches: Sequence[Stretch],
    calendar: Calendar,
) -> Record:
    """One record of passes.

    Args:
        found: passes by stretch and member.
        exposure: of `held_exposure`; a symbol that it does not know is held like the others on average.
        regimes: members act in, [members, regimes].
        market: prepared.
        stretches: that were passed.
        calendar: the venue's.
    """
    nothing = np.zeros((len(regimes), market.tape.atr.shape[1]))
    average = np.mean(list(exposure.values()), axis=0) if exposure else nothing
    parts = []
    for own, stretch in zip(found, stretches, strict=True):
        acts = acting(regimes, market, stretch)
        held = exposure.get(stretch.name, average)
        matched = acts * (mid_gain(market, stretch) @ held.T)
        time = market.time[stretch.first + 1 : stretch.stop]
        returns = np.stack([each.returns for each in own], axis=1)
        equity = np.stack([each.equity[1:] for each in own], axis=1)
        day, summed = daily(time, np.concatenate([returns, matched], axis=1), calendar)
        last = _last_of(time, calendar)
        parts.append((day, summed, np.concatenate([equity, np.cumprod(1.0 + matched, axis=0)], axis=1)[last]))
    days = np.unique(np.concatenate([day for day, _, _ in parts]))
    total, worth = np.zeros((len(days), 2 * len(regimes))), np.zeros((len(days), 2 * len(regimes)))
    for day, summed, ends in parts:
        total[np.searchsorted(days, day)] += summed / len(parts)
        place = np.searchsorted(day, days, side="right")  # the last day it had, its start before the first
        worth += np.concatenate([np.ones((1, ends.shape[1])), ends])[place] / len(parts)
    count = len(regimes)
    return Record(days, total[:, :count], total[:, count:], worth[:, :count], worth[:, count:])


def join(records: Sequence[Record]) -> Record:
    """Records that follow each other in time as one; accounts go on with what the one before left.

    Days may be shared, where symbols keep other hours or have holes: returns of such a day are summed, and its gains
    multiplied. Before its first day a record is worth 1, behind its last what it came to.
    """
    if len(records) == 1:
        return records[0]
    days = np.unique(np.concatenate([own.day for own in records]))
    width = records[0].returns.shape[1]
    returns, matched = np.zeros((len(days), width)), np.zeros((len(days), width))
    equity, held = np.ones((len(days), width)), np.ones((len(days), width))
    for own in records:
        place = np.searchsorted(days, own.day)
        returns[place] += own.returns
        matched[place] += own.matched
        last = np.searchsorted(own.day, days, side="right")  # the last day it had, its start before the first
        for worth, ends in ((equity, own.equity), (held, own.matched_equity)):
            worth *= np.concatenate([np.ones((1, width)), ends])[last]
    return Record(days, returns, matched, equity, held)


def _last_of(time: NDArray[np.datetime64], calendar: Calendar) -> NDArray[np.intp]:
    """The last bar of each day."""
    _, counts = daily(time, np.ones((len(time), 1)), calendar)
    return np.cumsum(counts[:, 0]).astype(np.intp) - 1

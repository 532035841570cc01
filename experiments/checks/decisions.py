"""What champions decide: along a pass up to a cut, and after histories of different lengths."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from arena.journey import Seen
from arena.rollout import Rollout, Trader
from experiments.checks.subject import Subject
from experiments.checks.works import Checked, Finding, Works, first_difference, stamp_text
from markets.features import relative_atr
from markets.preparation import Market
from markets.regimes import UNKNOWN
from markets.tape import Tape

__all__ = ["Begun", "Crowd", "check_decisions", "check_warm_up"]

_SPAN = 1024
"""Decisions of a pass that ends at a cut, where there are so many bars."""

_BEGUN = 256
"""Decisions looked at after a history of a certain length."""

_PIECE = _BEGUN
"""Bars walked at once: one compiled program serves all passes of a species."""

_NO_ATR, _LEAST_ATR = 1.0, 1e-6
"""What the tape holds where the average true range is not known yet, and at least."""


class Crowd(NamedTuple):
    """Champions of one species."""

    setup: Rollout
    names: tuple[str, ...]
    traders: Trader
    """Leaves [champions, …]."""


class Begun(NamedTuple):
    """What changed where champions began with that many bars of history."""

    bars: int
    decisions: int
    differ: int


def check_decisions(
    subject: Subject,
    works: Works,
    crowds: Sequence[Crowd],
    stamps: Sequence[np.datetime64],
    markets: Sequence[Market],
) -> Checked:
    """Whether what champions see, think and ask up to each stamp is the same where bars from there on are others.

    Args:
        subject: of the run.
        works: what is checked.
        crowds: its champions.
        stamps: of the cuts.
        markets: of `market_until`, one a stamp.
    """
    if not crowds:
        return Checked("decisions", "none: nobody has come into the archive", done=False)
    found: dict[str, Finding] = {}
    count = 0
    for stamp, other in zip(stamps, markets, strict=True):
        lanes = _lanes(subject, {segment: subject.row(segment, stamp) for segment in subject.segments}, _SPAN)
        if not lanes:
            continue
        for crowd in crowds:
            told = [_told(works, crowd, tape, lanes) for tape in (subject.market.tape, other.tape)]
            for agent, name in enumerate(crowd.names):
                for place, lane in enumerate(lanes):
                    count += lane.count
                    step = _apart(told[0], told[1], agent, place, lane.count)
                    if step is None or name in found:
                        continue
                    segment = subject.market.segments[lane.segment]
                    row = lane.first + step - segment.first
                    how = f"is another where bars from {stamp_text(stamp)} on are others"
                    symbol, time = subject.name(lane.segment), subject.time(lane.segment)
                    found[name] = Finding(f"decision of champion {name}", symbol, row, time[row], how)
    who = sum(len(crowd.names) for crowd in crowds)
    return Checked("decisions", f"{who} champion{'s' * (who != 1)}, {count:,} decisions", tuple(found.values()))


def check_warm_up(
    subject: Subject, works: Works, crowds: Sequence[Crowd], seed: int = 0
) -> tuple[list[Begun], Checked]:
    """What champions decide who begin at the same bar, flat, after histories of different lengths.

    Returns:
        For each length how many decisions are not those after all the history there is; and whether, after as many bars
        as a bundle asks for or more, any is.
    """
    need = subject.warm_up
    begins = _begins(subject, need, seed)
    if not crowds or not begins:
        why = "nobody has come into the archive" if not crowds else "too few bars behind the warm-up"
        return [], Checked("warm-up", f"none: {why}", done=False)
    lanes = [_Lane(segment, subject.market.segments[segment].first + row, _BEGUN) for segment, row in begins.items()]
    whole = [_told(works, crowd, subject.market.tape, lanes) for crowd in crowds]
    table, found = list[Begun](), list[Finding]()
    for bars in sorted({max(need // 4, 1), max(need // 2, 1), max(need - 1, 1), need, need + 1, 2 * need}):
        tape = _begun(subject, works, begins, bars)
        decisions = differ = 0
        for crowd, known in zip(crowds, whole, strict=True):
            told = _told(works, crowd, tape, lanes)
            for agent, name in enumerate(crowd.names):
                for place, lane in enumerate(lanes):
                    decisions, differ = decisions + lane.count, differ + _changed(known, told, agent, place, lane.count)
                    step = _apart(known, told, agent, place, lane.count)
                    if bars >= need and step is not None and not found:
                        row = begins[lane.segment] + step
                        how = f"is another after {bars:,} bars of history than after more, and {need:,} should do"
                        time, symbol = subject.time(lane.segment)[row], subject.name(lane.segment)
                        found.append(Finding(f"warm-up of champion {name}", symbol, row, time, how))
        table.append(Begun(bars, decisions, differ))
    return table, Checked("warm-up", f"{need:,} bars and more", tuple(found))


@dataclasses.dataclass(frozen=True)
class _Lane:
    """Rows of the tape that an account goes along: so many decisions from the first."""

    segment: int
    first: int
    count: int


def _lanes(subject: Subject, rows: dict[int, int], span: int) -> list[_Lane]:
    """Passes that end with the decision before these rows of the segments."""
    lanes = []
    for segment, row in rows.items():
        own = subject.market.segments[segment]
        first = max(own.first + row - span, own.first + subject.context)
        count = min(own.first + row, own.last) - first
        if count > 0:
            lanes.append(_Lane(segment, first, count))
    return lanes


def _told(works: Works, crowd: Crowd, tape: Tape, lanes: Sequence[_Lane]) -> Seen:
    """What champions see, think and ask, leaves [decisions, champions, lanes, …]."""
    first = np.asarray([lane.first for lane in lanes])
    stop = first + [lane.count + 1 for lane in lanes]
    parts = [part for _, part in works.decisions(crowd.setup, crowd.traders, tape, first, stop, piece=_PIECE)]
    joined: Seen = jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
    return joined


def _apart(one: Seen, other: Seen, agent: int, lane: int, count: int) -> int | None:
    """The first decision of which anything differs."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    steps = (first_difference(a[:count, agent, lane], b[:count, agent, lane]) for a, b in pairs)
    return min((step for step in steps if step is not None), default=None)


def _changed(one: Seen, other: Seen, agent: int, lane: int, count: int) -> int:
    """How many decisions ask for something else: another target, or stops elsewhere where there is an order."""

    def differs(name: str) -> NDArray[np.bool_]:
        left, right = (getattr(seen.order, name)[:count, agent, lane] for seen in (one, other))
        return np.asarray((left != right) & ~(np.isnan(left) & np.isnan(right)))

    asked = np.isfinite(one.order.target[:count, agent, lane])
    changed = differs("target") | (asked & (differs("stop_loss") | differs("take_profit")))
    return int(changed.any(axis=-1).sum())


def _begins(subject: Subject, need: int, seed: int) -> dict[int, int]:
    """Row of the first decision in each segment, where there are bars enough before it and behind it."""
    random = np.random.default_rng([seed, subject.replicate, subject.fold])
    rows = {}
    for segment in subject.segments:
        last = len(subject.time(segment)) - _BEGUN - 1
        low = min(2 * need, last)
        if low >= need - 1 + subject.context:
            rows[segment] = int(random.integers(low, last + 1))
    return rows


def _begun(subject: Subject, works: Works, begins: dict[int, int], bars: int) -> Tape:
    """The tape as it is where a history of so many bars ends with the first decision."""
    tape = subject.market.tape
    wide: dict[str, NDArray[Any]] = {name: np.array(getattr(tape, name)) for name in ("features", "atr", "regime")}
    own = {name for group in subject.seen for each in group for name in each.columns}
    ready_of = [place for place, feature in enumerate(subject.chosen) if feature.name not in own]
    for segment, row in begins.items():
        begin, end = max(row - bars + 1, 0), row + _BEGUN + 1
        first = subject.market.segments[segment].first
        group = [each[begin:end] for each in subject.seen[segment]]
        raw = np.stack([works.features(subject.chosen, each) for each in group], axis=1)
        regime = works.regimes(subject.index(segment)[begin:end], subject.settings.regimes)
        ready = np.isfinite(raw[:, :, ready_of]).all(axis=(1, 2))
        atr = np.stack([np.nan_to_num(relative_atr(each), nan=_NO_ATR) for each in group], axis=1)
        rows = slice(first + begin, first + end)
        wide["features"][rows] = subject.market.scalers[0].apply(raw)
        wide["atr"][rows] = np.maximum(atr, _LEAST_ATR)
        wide["regime"][rows] = np.where(ready, regime, UNKNOWN)
        before = slice(first, first + begin)
        wide["features"][before], wide["regime"][before] = 0.0, UNKNOWN
    made = {name: jnp.asarray(leaf) for name, leaf in wide.items()}
    return tape._replace(features=made["features"], atr=made["atr"], regime=made["regime"])

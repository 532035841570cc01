"""The parts of a split, and labels of training rows: no row may be in two, or be told what lies behind its own."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.checks.subject import Subject
from experiments.checks.works import Checked, Finding, Works, first_difference, stamp_text
from markets.splits import Split

__all__ = ["check_labels", "check_split"]

_PARTS = ("train", "validation", "holdout")


def check_split(subject: Subject, works: Works, stamps: Sequence[np.datetime64]) -> Checked:
    """Whether every row is in the part that its date says, no part reads another's rows, and, with the dates fixed, no
    row changes its part where bars are cut off.
    """
    cuts, found = subject.cuts, list[Finding]()
    for segment in subject.segments:
        clock = subject.clocks[segment]
        whole = works.split(clock, cuts, embargo=subject.embargo)
        faults = [*_misplaced(whole, clock, subject), *_others(whole, subject, segment)]
        for stamp in stamps:
            row = int(np.searchsorted(clock, stamp))
            faults += _moved(whole, works.split(clock[:row], cuts, embargo=subject.embargo), row, stamp)
        if faults:
            row, how = min(faults)
            found.append(Finding("split", subject.name(segment), row, clock[row], how))
    return Checked("split", f"{len(_PARTS)} parts of {_count(len(subject.segments), 'segment')}", tuple(found))


def check_labels(subject: Subject, works: Works, horizons: Sequence[int], seed: int = 0) -> Checked:
    """Whether labels of training rows read beyond their part: they may not change where later bars are others."""
    if not horizons:
        return Checked("labels", "none: no library trained the founders", done=False)
    changed = subject.after(subject.cuts.validation, works, seed)
    found: dict[str, Finding] = {}
    count = 0
    for horizon in horizons:
        labels, again = (
            works.labels(market, subject.settings.broker, horizon=horizon) for market in (subject.market, changed)
        )
        count += len(labels)
        for segment in subject.segments:
            own, other = (each[each.segment == segment] for each in (labels, again))
            late = np.flatnonzero(own.row + horizon + 1 >= subject.market.segments[segment].rows.train.stop)
            places = [first_difference(getattr(own, key), getattr(other, key)) for key in ("row", "long", "short")]
            wrong = [place for place in (*places, *late[:1].tolist()) if place is not None and place < len(own)]
            name = subject.name(segment)
            if wrong and name not in found:
                row = int(own.row[min(wrong)]) - subject.market.segments[segment].first
                how = f"at {horizon} bars it reads rows behind its part"
                found[name] = Finding("label", name, row, subject.time(segment)[row], how)
    return Checked("labels", f"{count:,} at {_count(len(horizons), 'horizon')}", tuple(found.values()))


def _misplaced(split: Split, clock: NDArray[np.datetime64], subject: Subject) -> list[tuple[int, str]]:
    """Rows that are in a part too early or too late for it, and how: by date, or because windows reach into another."""
    cuts, window = subject.cuts, subject.market.window + subject.context
    start = clock[0] if cuts.start is None else cuts.start
    bounds = {
        "train": (start, cuts.validation),
        "validation": (cuts.validation, cuts.holdout),
        "holdout": (cuts.holdout, None),
    }
    faults = []
    for part, (low, high) in bounds.items():
        rows = np.arange(len(clock))[getattr(split, part).start : getattr(split, part).stop]
        outside = rows[(clock[rows] < low) | (False if high is None else clock[rows] >= high)]
        faults += [(int(row), f"is in {part}, but not of its dates") for row in outside[:1]]
    for before, after in (("train", "validation"), ("validation", "holdout")):
        one, other = getattr(split, before), getattr(split, after)
        if len(one) and len(other) and other.start - (window - 1) < one.stop:
            faults.append((other.start, f"is in {after}, and its windows of {window} bars read rows of {before}"))
        elif len(one) and len(other) and other.start - one.stop < subject.embargo:
            faults.append((other.start, f"is in {after} without the gap of {subject.embargo} bars behind {before}"))
    return faults


def _others(split: Split, subject: Subject, segment: int) -> list[tuple[int, str]]:
    """Where the run's own parts, or windows that its episodes are drawn from, are not inside these."""
    own, tape = subject.market.segments[segment], subject.market.tape
    faults = []
    strata = zip(np.asarray(tape.train.offset)[0], np.asarray(tape.train.windows)[0], strict=True)
    drawn = [np.asarray(tape.train.rows)[first : first + count] for first, count in strata]
    windows = {"train": np.sort(np.concatenate(drawn)), "validation": np.asarray(tape.validation).ravel()}
    for part, starts in windows.items():
        rows, told = getattr(own.rows, part), getattr(split, part)
        placed = range(rows.start - own.first, rows.stop - own.first)
        if len(placed) + len(told) and placed != told:
            differs = min(set(placed) ^ set(told))
            faults.append((differs, f"the run's {part} part is another than that of its dates"))
        mine = starts[(starts >= own.first) & (starts <= own.last)]
        late = mine[(mine < rows.start) | (mine + subject.settings.episodes.bars >= rows.stop)]
        faults += [
            (int(start) - own.first, f"a window of {part} begins here and leaves its part") for start in late[:1]
        ]
    return faults


def _moved(whole: Split, cut: Split, row: int, stamp: np.datetime64) -> list[tuple[int, str]]:
    """Rows that are in another part where bars are cut off."""
    faults = []
    for part in _PARTS:
        before, after = getattr(whole, part), getattr(cut, part)
        kept = range(min(before.start, row), min(before.stop, row))
        if len(kept) + len(after) and kept != after:
            where = min(set(kept) ^ set(after))
            faults.append((where, f"changes {part} where bars from {stamp_text(stamp)} on are not there"))
    return faults


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"

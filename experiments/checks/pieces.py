"""Features, regimes and scaler, each worked out again on bars cut short, and compared bit for bit."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.checks.futures import other_futures
from experiments.checks.subject import Subject
from experiments.checks.works import Checked, Finding, Works, first_difference, stamp_text
from markets.bars import Bars
from markets.scaling import Scaler

__all__ = ["check_features", "check_regimes", "check_scaler"]


def check_features(
    subject: Subject, works: Works, stamps: Sequence[np.datetime64], lookbacks: Sequence[int] = ()
) -> Checked:
    """Whether each feature of bars cut at a stamp is that of all the bars, up to there.

    Args:
        subject: of the run.
        works: what is checked.
        stamps: of the cuts.
        lookbacks: bars that decision rules of its champions may let features look back, beside the run's own.
    """
    found: dict[tuple[str, str], Finding] = {}
    count = 0
    shown = {"": subject.chosen, **{f", {bars} bars back": subject.chosen_within(bars) for bars in lookbacks}}
    for segment, (back, chosen) in itertools.product(subject.segments, shown.items()):
        for bars in subject.seen[segment]:
            whole = works.features(chosen, bars)
            for stamp, row in _cut_rows(subject, segment, stamps):
                cut = works.features(chosen, bars[:row])
                count += cut.size
                for place, feature in enumerate(chosen):
                    kind = f"feature {feature.name}{back}"
                    _note(found, kind, bars.symbol, bars.time, whole[:row, place], cut[:, place], stamp)
    wide = f" and {len(lookbacks)} look-backs" if lookbacks else ""
    return Checked("features", f"{len(subject.chosen)} by name{wide}, {count:,} values", tuple(found.values()))


def check_regimes(subject: Subject, works: Works, stamps: Sequence[np.datetime64]) -> Checked:
    """The same of regimes, and of the rank of volatility that they are told by.

    A regime lasts; cut in its middle it could be told from later bars to no effect. So bars are also cut where the
    class changes next, and a bar later.
    """
    found: dict[tuple[str, str], Finding] = {}
    count = 0
    for segment in subject.segments:
        close, name, time = subject.index(segment), subject.name(segment), subject.time(segment)
        for kind, work in (("regime", works.regimes), ("regime rank", works.ranks)):
            whole = work(close, subject.settings.regimes)
            for row in _with_changes(whole, [row for _, row in _cut_rows(subject, segment, stamps)]):
                cut = work(subject.index(segment, row), subject.settings.regimes)
                count += len(cut)
                _note(found, kind, name, time, whole[:row], cut, time[row])
    return Checked("regimes", f"class and rank of volatility, {count:,} values", tuple(found.values()))


def check_scaler(subject: Subject, works: Works, seed: int = 0) -> Checked:
    """Whether constants stay what they are where bars behind the training part are cut off, or are others."""
    if subject.fold:
        return Checked("scaler", "that of the first fold", done=False)
    date = subject.cuts.validation
    whole = _fitted(subject, works, subject.seen)
    others = {
        "are not there": [[bars[: int(np.searchsorted(bars.time, date))] for bars in group] for group in subject.seen],
        "are others": [other_futures(group, date, [seed, place]) for place, group in enumerate(subject.seen)],
    }
    compared = f"{len(whole.names)} pairs of constants"
    for what, made in others.items():
        other = _fitted(subject, works, made)
        pairs = [np.stack([each.centre, each.scale], axis=1) for each in (whole, other)]
        place = first_difference(*pairs)
        if place is not None:
            before, after = (f"{pair[place, 0]:.6g} and {pair[place, 1]:.6g}" for pair in pairs)
            how = f"centre and scale of {whole.names[place]}, {before}, are {after} where bars from then on {what}"
            return Checked("scaler", compared, (Finding("scaler", "", None, date, how),))
    return Checked("scaler", compared)


def _fitted(subject: Subject, works: Works, groups: Sequence[Sequence[Bars]]) -> Scaler:
    """The scaler of the training rows of bars, by segment."""
    names = [feature.name for feature in subject.chosen]
    raw = [np.stack([works.features(subject.chosen, bars) for bars in group], axis=1) for group in groups]
    training = []
    for part, own in zip(raw, subject.market.segments, strict=True):
        inside = np.zeros(len(part), bool)
        inside[own.rows.train.start - own.first : own.rows.train.stop - own.first] = True
        training.append(inside)
    matrix = np.concatenate(raw)
    return works.scaler(
        matrix.reshape(-1, len(names)),
        np.repeat(np.concatenate(training), matrix.shape[1]),
        names=names,
        scaled=[feature.scaled for feature in subject.chosen],
        settings=subject.settings.scaling,
    )


def _with_changes(values: NDArray[np.generic], rows: Sequence[int]) -> list[int]:
    """These rows, and after each the next at which the value is another than before, with the one behind it."""
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    after = changes[np.minimum(np.searchsorted(changes, rows), max(len(changes) - 1, 0))] if len(changes) else changes
    every = np.concatenate([np.asarray(rows, int), after, after + 1])
    return sorted({int(row) for row in every if 0 < row < len(values)})


def _cut_rows(subject: Subject, segment: int, stamps: Sequence[np.datetime64]) -> Iterator[tuple[np.datetime64, int]]:
    """Where a segment is cut, by the stamps before which it has bars."""
    for stamp in stamps:
        row = subject.row(segment, stamp)
        if row:
            yield stamp, row


def _note(
    found: dict[tuple[str, str], Finding],
    kind: str,
    symbol: str,
    time: NDArray[np.datetime64],
    whole: NDArray[np.generic],
    cut: NDArray[np.generic],
    stamp: np.datetime64,
) -> None:
    """Keep the first row at which something differs, of all cuts."""
    row = first_difference(whole, cut)
    known = found.get((kind, symbol))
    if row is not None and (known is None or known.row is None or row < known.row):
        found[kind, symbol] = Finding(
            kind, symbol, row, time[row], f"is another where bars from {stamp_text(stamp)} on are not there"
        )

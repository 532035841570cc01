"""The whole preparation, on bars that are others from a stamp on: what is on the tape before it may not change.

This finds what no single piece shows: constants, windows and quantiles that read behind their part, and whatever is put
together wrongly.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.checks.futures import other_futures
from experiments.checks.subject import Subject
from experiments.checks.works import Checked, Finding, Works, first_difference, stamp_text
from markets.preparation import Market

__all__ = ["check_tape", "market_until"]

_PLAIN = ("bid", "ask", "volume", "days", "atr", "regime")
"""Leaves of the tape by row, beside features."""

_FITTED = ("centre", "scale", "windows", "strata", "quantiles", "size of a step", "parts", "reference windows")
"""What is fitted on training rows, or listed of them."""


def market_until(subject: Subject, works: Works, stamp: np.datetime64, seed: int = 0) -> Market:
    """The market as it was made ready, of bars that are others from a stamp on; its constants are those of the run."""
    altered = other_futures(subject.raw, stamp, [seed])
    return works.market(altered, subject.settings, mode=subject.mode, scaler=subject.market.scalers[0])


def check_tape(
    subject: Subject, works: Works, stamps: Sequence[np.datetime64], markets: Sequence[Market], seed: int = 0
) -> Checked:
    """Whether the tape is the same up to each stamp, and whatever was fitted or listed for training is the same where
    all bars behind it are others.

    Args:
        subject: of the run.
        works: what is checked.
        stamps: of the cuts.
        markets: of `market_until`, one a stamp.
        seed: of the bars that are made up.
    """
    found: dict[tuple[str, str], Finding] = {}
    count = 0
    for stamp, other in zip(stamps, markets, strict=True):
        for segment in subject.segments:
            own, row = subject.market.segments[segment], subject.row(segment, stamp)
            name, time = subject.name(segment), subject.time(segment)
            begin = other.segments[segment].first
            for kind, one, two in _leaves(subject.market, other):
                before, after = one[own.first : own.first + row], two[begin : begin + row]
                count += before.size
                place, known = first_difference(before, after), found.get((kind, name))
                if place is not None and (known is None or known.row is None or place < known.row):
                    how = f"is another where bars from {stamp_text(stamp)} on are others"
                    found[kind, name] = Finding(kind, name, place, time[min(place, len(time) - 1)], how)
    date = subject.cuts.validation
    trained = subject.after(date, works, seed)
    for what, one, two in _fitted(subject.market, trained):
        count += one.size
        if first_difference(one.ravel(), two.ravel()) is not None:
            found[what, ""] = Finding(f"tape {what}", "", None, date, "is another where bars from then on are others")
    return Checked("tape", f"{count:,} values", tuple(found.values()))


def _leaves(one: Market, other: Market) -> Iterator[tuple[str, NDArray[np.generic], NDArray[np.generic]]]:
    """What is on two tapes by row."""
    for name in _PLAIN:
        yield f"tape {name}", np.asarray(getattr(one.tape, name)), np.asarray(getattr(other.tape, name))
    both = [np.asarray(market.tape.features) for market in (one, other)]
    for place, name in enumerate(one.features):
        yield f"tape {name}", both[0][:, :, place], both[1][:, :, place]


def _fitted(one: Market, other: Market) -> Iterator[tuple[str, NDArray[np.generic], NDArray[np.generic]]]:
    """What two markets know of their training part."""
    for name, both in zip(_FITTED, zip(_constants(one), _constants(other), strict=True), strict=True):
        yield name, both[0], both[1]


def _constants(market: Market) -> tuple[NDArray[np.generic], ...]:
    """What `_FITTED` names."""
    scaler, tape = market.scalers[0], market.tape
    parts = [(rows.start, rows.stop) for own in market.segments for rows in (own.rows.train, own.rows.validation)]
    drawn = (tape.train.rows, tape.train.windows, tape.quantiles, tape.scale)
    return (scaler.centre, scaler.scale, *map(np.asarray, drawn), np.asarray(parts), market.reference)

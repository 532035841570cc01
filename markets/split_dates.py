"""Dates of a split: what settings say of them, and where they fall over the bars of all symbols together.

Over 60 days or more a date is a midnight, UTC, so that no day is cut in two. Only stamps are looked at, no price.
"""

import dataclasses
import datetime
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from markets.bars import Bars
from markets.errors import UserError
from markets.settings import setting

__all__ = ["Cuts", "SplitSettings", "fold_cuts", "split_dates"]

_WHOLE_DAYS = np.timedelta64(60, "D")
"""A span this long or longer is cut at midnight UTC, a shorter one at a bar."""


@dataclasses.dataclass(frozen=True)
class SplitSettings:
    """How history is divided (`split`).

    Attributes:
        train: weight of the training part.
        validation: weight of the validation part.
        holdout: weight of the holdout part. The three weights are divided by their sum, and share what the two gaps
            leave of the bars.
        embargo: bars of each symbol in each gap; None is the least that is safe, the longest window plus one episode.
        validation_from: UTC date or stamp (`2014-01-01`) that ends training instead of the weights, or None.
        holdout_from: UTC date or stamp that ends validation instead of the weights, or None.
        folds: pieces that the holdout part is divided into, each with a training and a validation part before it; 1 is
            one split. Dates given are those of the first fold.
        generations: of each fold; the last one goes on as long as the run does.
        anchored: whether training begins with the first bar in every fold, or is as long in each as in the first.
    """

    train: float = setting(0.5, gt=0.0)
    validation: float = setting(0.2, gt=0.0)
    holdout: float = setting(0.3, gt=0.0)
    embargo: int | None = setting(None, ge=1)
    validation_from: str | None = setting(None)
    holdout_from: str | None = setting(None)
    folds: int = setting(1, ge=1)
    generations: int = setting(8, ge=1)
    anchored: bool = False

    @property
    def least(self) -> int:
        """Generations that a run through all folds takes at least."""
        return self.folds * self.generations if self.folds > 1 else 1

    def fold_of(self, generation: int) -> int:
        """The fold that a generation is judged in; both count from 0."""
        return min(generation // self.generations, self.folds - 1)

    def problems(self, where: str) -> Iterator[str]:
        """Dates that are none, or in the wrong order."""
        prefix = f"{where}." if where else ""
        dates = {}
        for key in ("validation_from", "holdout_from"):
            text = getattr(self, key)
            if text is None:
                continue
            try:
                dates[key] = _stamp(text)
            except ValueError:
                yield f"{prefix}{key}: {text!r} is no UTC date; write it like 2014-01-01"
        if len(dates) == 2 and dates["validation_from"] >= dates["holdout_from"]:
            yield f"{prefix}holdout_from: {self.holdout_from} must be later than validation_from"


@dataclasses.dataclass(frozen=True)
class Cuts:
    """The dates of a split, or of one of several folds, UTC, `datetime64[us]`.

    Attributes:
        validation: training rows are before it.
        holdout: validation rows are before it.
        start: training rows are not before it; None where they begin with the bars.
        next: holdout date of the next fold, `embargo` bars after which the piece ends; None where it ends with the
            bars.
    """

    validation: np.datetime64
    holdout: np.datetime64
    start: np.datetime64 | None = None
    next: np.datetime64 | None = None


def fold_cuts(bars: Sequence[Bars], settings: SplitSettings, *, embargo: int, where: str = "split") -> tuple[Cuts, ...]:
    """The dates of every fold, over the bars of all symbols together.

    Those of the first fold are those of one split. What lies behind its holdout date and the gap is shared evenly by
    the pieces, counted in bars; the other dates of a fold come as many bars later than those of the first as its
    holdout date does. Only stamps are looked at, no price.

    Raises:
        UserError: a given date that is not later than the one before it or outside the bars.
    """
    first = split_dates(bars, settings, embargo=embargo, where=where)
    times = [symbol.time for symbol in bars if len(symbol)]
    stamps = np.sort(np.concatenate(times))
    unit = _unit(stamps)
    trained, chosen = (int(np.searchsorted(stamps, date)) for date in (first.validation, first.holdout))
    held = sum(max(len(time) - int(np.searchsorted(time, first.holdout)) - embargo, 0) for time in times)
    made = [first]
    for fold in range(1, settings.folds):
        holdout = _date(stamps, chosen + round(held * fold / settings.folds), unit)
        later = int(np.searchsorted(stamps, holdout)) - chosen
        start = None if settings.anchored else _date(stamps, later, unit)
        made[-1] = dataclasses.replace(made[-1], next=holdout)
        made.append(Cuts(_date(stamps, trained + later, unit), holdout, start))
    return tuple(made)


def split_dates(bars: Sequence[Bars], settings: SplitSettings, *, embargo: int, where: str = "split") -> Cuts:
    """The dates at which training and validation end in the first fold, over the bars of all symbols together.

    The weights share the bars that the gaps of `embargo` bars a symbol leave; a date given in the settings stands as it
    is, and the weights share what is before or after it. Over 60 days or more a date is a midnight, so that no day is
    cut in two.

    Raises:
        UserError: a given date that is not later than the one before it or outside the bars.
    """
    times = [symbol.time for symbol in bars if len(symbol)]
    start, end = min(time[0] for time in times), max(time[-1] for time in times)
    first = _given("validation_from", settings.validation_from, start, end, where)
    second = _given("holdout_from", settings.holdout_from, start, end, where)
    unit = _unit(np.asarray([start, end]))
    if first is None:
        if second is None:
            early, others, gaps = times, settings.validation + settings.holdout, 2
        else:
            early, others, gaps = [time[: np.searchsorted(time, second)] for time in times], settings.validation, 1
        share = settings.train / (settings.train + others)
        first = _cut(early, share, embargo=embargo, gaps=gaps, before=0, unit=unit)
    if second is None:
        share = settings.validation / (settings.validation + settings.holdout)
        late = [time[np.searchsorted(time, first) :] for time in times]
        second = _cut(late, share, embargo=embargo, gaps=2, before=1, unit=unit)
    return Cuts(first, second)


def _stamp(text: str) -> np.datetime64:
    """A date or stamp in ISO 8601, UTC where it names no offset."""
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        moment = moment.astimezone(datetime.UTC).replace(tzinfo=None)
    return np.datetime64(moment, "us")


def _given(key: str, text: str | None, start: np.datetime64, end: np.datetime64, where: str) -> np.datetime64 | None:
    """A date of the settings, which must leave bars on both sides."""
    if text is None:
        return None
    date = _stamp(text)
    if not start < date <= end:
        raise UserError(f"{where}.{key}: {text} is outside the bars ({start} to {end}); choose a date inside")
    return date


def _cut(
    times: Sequence[NDArray[np.datetime64]],
    share: float,
    *,
    embargo: int,
    gaps: int,
    before: int,
    unit: str,
) -> np.datetime64:
    """The stamp after a share of the bars that `gaps` gaps leave, `before` of these gaps being before it."""
    stamps = np.sort(np.concatenate(times))
    left = sum(max(len(time) - gaps * embargo, 0) for time in times)
    return _date(stamps, round(share * left + before * (len(stamps) - left) / gaps), unit)


def _unit(stamps: NDArray[np.datetime64]) -> str:
    """What a date is cut to, over stamps in ascending order."""
    return "D" if stamps[-1] - stamps[0] >= _WHOLE_DAYS else "us"


def _date(stamps: NDArray[np.datetime64], position: int, unit: str) -> np.datetime64:
    """The stamp at a place, or the last one, cut to a unit."""
    cut: np.datetime64 = stamps[min(position, len(stamps) - 1)].astype(f"datetime64[{unit}]").astype("datetime64[us]")
    return cut

"""Data split in time: `train | gap | validation | gap | holdout`, by date over all symbols.

Two dates cut the calendar for every symbol at once: no row of any symbol's training part is as late as the validation
date, and no row of any symbol's validation part as late as the holdout date. After each date every symbol leaves out
`embargo` of its own bars, at least the longest window of features and regimes plus one episode.

What rows may be traded: those of a part's range, with whole episodes inside it. Features and regimes of a row may look
back before the start of its range: they then read the gap, which belongs to no part, and never another part's rows,
because the gap is no shorter than their window. The first `window − 1` rows of a symbol have no features and are
traded in no part.
"""

import dataclasses
import datetime
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from markets.bars import Bars
from markets.errors import UserError
from markets.settings import check, setting

__all__ = ["Cuts", "Split", "SplitSettings", "split", "split_dates", "split_rows", "without_holdout"]

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
    """

    train: float = setting(0.5, gt=0.0)
    validation: float = setting(0.2, gt=0.0)
    holdout: float = setting(0.3, gt=0.0)
    embargo: int | None = setting(None, ge=1)
    validation_from: str | None = setting(None)
    holdout_from: str | None = setting(None)

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
    """The two dates of a split, UTC, `datetime64[us]`.

    Attributes:
        validation: training rows are before it.
        holdout: validation rows are before it.
    """

    validation: np.datetime64
    holdout: np.datetime64


@dataclasses.dataclass(frozen=True)
class Split:
    """Rows of one symbol in each part, as ranges over its bars; a part without rows is an empty range.

    Attributes:
        train: rows before the validation date.
        validation: rows from `embargo` bars after the validation date to the holdout date.
        holdout: rows from `embargo` bars after the holdout date to the end.
    """

    train: range
    validation: range
    holdout: range


def split(
    bars: Sequence[Bars],
    settings: SplitSettings | None = None,
    *,
    window: int,
    episode: int,
    where: str = "split",
) -> tuple[Cuts, tuple[Split, ...]]:
    """Split the bars of all symbols.

    Args:
        bars: one item a symbol. Symbols may begin late or end early: a part that they miss is empty for them.
        settings: shares or dates, and the embargo.
        window: longest window of features and regimes, in bars.
        episode: bars of an episode.
        where: dotted key of the settings, for messages.

    Returns:
        The cut dates, and the rows of each symbol in the order given.

    Raises:
        UserError: settings out of bounds, an embargo below `window + episode`, or a part in which no symbol has room
            for one episode.
    """
    settings = SplitSettings() if settings is None else settings
    check(settings, where)
    least = window + episode
    embargo = least if settings.embargo is None else settings.embargo
    if embargo < least:
        raise UserError(
            f"{where}.embargo: {embargo} bars is too short; the longest window ({window}) plus one episode ({episode}) "
            f"needs at least {least}"
        )
    if not any(len(symbol) for symbol in bars):
        raise UserError(f"{where}: there are no bars to split; name a file that has some in market.path")
    cuts = split_dates(bars, settings, embargo=embargo, where=where)
    splits = tuple(split_rows(symbol.time, cuts, embargo=embargo) for symbol in bars)
    for part in ("train", "validation", "holdout"):
        room = [_tradable(getattr(rows, part), window) for rows in splits]
        longest = max(range(len(bars)), key=room.__getitem__)
        if room[longest] < episode:
            raise UserError(_too_short(part, settings, where, bars[longest].symbol, room[longest], episode, embargo))
    return cuts, splits


def split_dates(bars: Sequence[Bars], settings: SplitSettings, *, embargo: int, where: str = "split") -> Cuts:
    """The dates at which training and validation end, over the bars of all symbols together.

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
    unit: str = "D" if end - start >= _WHOLE_DAYS else "us"
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


def split_rows(time: NDArray[np.datetime64], cuts: Cuts, *, embargo: int) -> Split:
    """The rows of one symbol in each part.

    Args:
        time: open stamps, UTC, strictly increasing [bars].
        cuts: the dates.
        embargo: rows left out after each date.
    """
    rows = len(time)
    first, second = (int(np.searchsorted(time, cut)) for cut in (cuts.validation, cuts.holdout))
    return Split(range(first), range(min(first + embargo, second), second), range(min(second + embargo, rows), rows))


def without_holdout(bars: Bars, rows: Split) -> Bars:
    """The bars up to the end of validation: all that evolution may read, without a holdout row or the gap before it."""
    return bars[: rows.validation.stop]


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
    position = share * left + before * (len(stamps) - left) / gaps
    stamps = stamps.astype(f"datetime64[{unit}]").astype("datetime64[us]")
    cut: np.datetime64 = stamps[min(round(position), len(stamps) - 1)]
    return cut


def _tradable(rows: range, window: int) -> int:
    """Rows of a part whose whole window exists."""
    return len(range(max(rows.start, window - 1), rows.stop))


def _too_short(
    part: str, settings: SplitSettings, where: str, symbol: str, room: int, episode: int, embargo: int
) -> str:
    key = {"train": "validation_from", "validation": "holdout_from", "holdout": "holdout_from"}[part]
    if getattr(settings, key) is None:
        key = part
    way = "raise it" if key == part else f"make it {'earlier' if part == 'holdout' else 'later'}"
    return (
        f"{where}.{key}: the {part} part has no room for an episode of {episode} bars (most: {room}, {symbol}) with "
        f"gaps of {embargo}; {way}, give more bars or shorten the episode"
    )

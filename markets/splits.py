"""Data split in time: `train | gap | validation | gap | holdout`, by date over all symbols.

Two dates cut the calendar for every symbol at once: no row of any symbol's training part is as late as the validation
date, and no row of any symbol's validation part as late as the holdout date. After each date every symbol leaves out
`embargo` of its own bars, at least the longest window of features and regimes plus one episode.

What rows may be traded: those of a part's range, with whole episodes inside it. Features and regimes of a row may look
back before the start of its range: they then read the gap, which belongs to no part, and never another part's rows,
because the gap is no shorter than their window. The first `window − 1` rows of a symbol have no features and are
traded in no part.

Walk-forward is the same several times. Every fold is such a split, its holdout part a piece of what one split would
hold out: pieces are of like size, follow one another with nothing between them and end with the bars. The dates of the
first fold are those of one split; in each later one they lie as many bars later as its piece does, and training begins
later too, or with the first bar where it is anchored. A fold reads no row as late as its own holdout date, though
training and validation of a later fold lie in pieces of earlier ones.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from markets.bars import Bars
from markets.errors import UserError
from markets.settings import check
from markets.split_dates import Cuts, SplitSettings, fold_cuts

__all__ = ["Cuts", "Split", "SplitSettings", "fold_splits", "split", "split_rows", "without_holdout"]


@dataclasses.dataclass(frozen=True)
class Split:
    """Rows of one symbol in each part, as ranges over its bars; a part without rows is an empty range.

    Attributes:
        train: rows before the validation date, from the fold's start on.
        validation: rows from `embargo` bars after the validation date to the holdout date.
        holdout: rows from `embargo` bars after the holdout date to the end, or to where the next fold's begin.
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
    fold: int = 0,
) -> tuple[Cuts, tuple[Split, ...]]:
    """Split the bars of all symbols: the only split there is, or one of the folds; see `fold_splits`."""
    return fold_splits(bars, settings, window=window, episode=episode, where=where)[fold]


def fold_splits(
    bars: Sequence[Bars],
    settings: SplitSettings | None = None,
    *,
    window: int,
    episode: int,
    where: str = "split",
) -> tuple[tuple[Cuts, tuple[Split, ...]], ...]:
    """Split the bars of all symbols, in each fold.

    Args:
        bars: one item a symbol. Symbols may begin late or end early: a part that they miss is empty for them.
        settings: shares or dates, folds and the embargo.
        window: longest window of features and regimes, in bars.
        episode: bars of an episode.
        where: dotted key of the settings, for messages.

    Returns:
        For each fold the cut dates, and the rows of each symbol in the order given.

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
    made = []
    for fold, cuts in enumerate(fold_cuts(bars, settings, embargo=embargo, where=where)):
        splits = tuple(split_rows(symbol.time, cuts, embargo=embargo) for symbol in bars)
        for part in ("train", "validation", "holdout"):
            room = [_tradable(getattr(rows, part), window) for rows in splits]
            longest = max(range(len(bars)), key=room.__getitem__)
            if room[longest] < episode:
                symbol = bars[longest].symbol
                raise UserError(_too_short(part, fold, settings, where, symbol, room[longest], episode, embargo))
        made.append((cuts, splits))
    return tuple(made)


def split_rows(time: NDArray[np.datetime64], cuts: Cuts, *, embargo: int) -> Split:
    """The rows of one symbol in each part.

    Args:
        time: open stamps, UTC, strictly increasing [bars].
        cuts: the dates.
        embargo: rows left out after each date.
    """
    rows = len(time)
    first, second = (int(np.searchsorted(time, cut)) for cut in (cuts.validation, cuts.holdout))
    start = 0 if cuts.start is None else int(np.searchsorted(time, cuts.start))
    stop = rows if cuts.next is None else min(int(np.searchsorted(time, cuts.next)) + embargo, rows)
    return Split(
        train=range(min(start, first), first),
        validation=range(min(first + embargo, second), second),
        holdout=range(min(second + embargo, stop), stop),
    )


def without_holdout(bars: Bars, rows: Split) -> Bars:
    """The bars up to the end of validation: all that evolution may read, without a holdout row or the gap before it."""
    return bars[: rows.validation.stop]


def _tradable(rows: range, window: int) -> int:
    """Rows of a part whose whole window exists."""
    return len(range(max(rows.start, window - 1), rows.stop))


def _too_short(
    part: str, fold: int, settings: SplitSettings, where: str, symbol: str, room: int, episode: int, embargo: int
) -> str:
    key = {"train": "validation_from", "validation": "holdout_from", "holdout": "holdout_from"}[part]
    if getattr(settings, key) is None:
        key = part
    way = "raise it" if key == part else f"make it {'earlier' if part == 'holdout' else 'later'}"
    of, fewer = (f" of fold {fold}", ", fewer folds") if settings.folds > 1 else ("", "")
    return (
        f"{where}.{key}: the {part} part{of} has no room for an episode of {episode} bars (most: {room}, {symbol}) "
        f"with gaps of {embargo}; {way}, give more bars{fewer} or shorten the episode"
    )

"""Another future: bars that are those of a symbol up to a row, and made up behind it, at the same stamps.

Whatever is known at a bar must not depend on which future follows. The made-up one is drawn from the bars before it,
half as wild again and the other way up, so that trends, volatility and levels all come out otherwise; it reads nothing
of the true one, and so none of a holdout.
"""

from collections.abc import Sequence

import numpy as np

from markets.bars import CLOSE, Bars

__all__ = ["other_future", "other_futures"]

_WILDER = -1.5
"""What each drawn bar's log return is multiplied by."""


def other_future(bars: Bars, row: int, known: int, random: np.random.Generator) -> Bars:
    """The bars with another future.

    Args:
        bars: of one symbol.
        row: of the first bar that is made up.
        known: rows that may be looked at, from the first on; drawn from where fewer than two come before `row`.
        random: draws.

    Returns:
        As many bars at the same stamps; the same ones where fewer than two may be looked at.
    """
    past = row if row >= 2 else known
    more = len(bars) - row
    if past < 2 or more <= 0:
        return bars
    drawn = random.integers(1, past, more)
    close = np.log(bars.mid[: max(past, row), CLOSE])
    path = close[max(row, 1) - 1] + np.cumsum(_WILDER * (close[drawn] - close[drawn - 1]))
    factor = np.exp(path - close[drawn])[:, None]
    return Bars(
        bars.symbol,
        bars.time,
        np.concatenate([bars.bid[:row], bars.bid[drawn] * factor]),
        np.concatenate([bars.ask[:row], bars.ask[drawn] * factor]),
        np.concatenate([bars.volume[:row], -_WILDER * bars.volume[drawn]]),
        {name: np.concatenate([column[:row], _WILDER * column[drawn]]) for name, column in bars.columns.items()},
    )


def other_futures(
    group: Sequence[Bars], date: np.datetime64, seed: Sequence[int], *, known: Sequence[int] | None = None
) -> list[Bars]:
    """The bars of several symbols, with other ones from a date on.

    Args:
        group: bars of each symbol.
        date: open of the first bar that is made up.
        seed: of the draws.
        known: rows of each that may be looked at; all by default.
    """
    return [
        other_future(
            bars,
            int(np.searchsorted(bars.time, date)),
            len(bars) if known is None else known[place],
            np.random.default_rng([*seed, place]),
        )
        for place, bars in enumerate(group)
    ]

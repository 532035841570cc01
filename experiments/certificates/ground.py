"""The ground a certificate stands on: all bars of one population, prepared with its own scaler, and which rows of them
are which part.

Nothing is fitted here. Features and regimes of the holdout's first rows read the bars before them, as a bot's would; no
account trades on those. Only `arena certify` makes it, after its line is in the log of openings.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from arena.api import make_market
from arena.settings import Settings
from arena.tally import REGIMES
from markets.bars import CLOSE, Bars
from markets.calendars import days_per_year
from markets.errors import UserError
from markets.preparation import Market, Segment
from markets.scaling import Scaler

__all__ = ["Ground", "Rows", "Stretch", "ground_of", "judgeable", "mid_gain", "prepare_ground"]


@dataclasses.dataclass(frozen=True)
class Stretch:
    """Rows of one segment that are traded once, by one account.

    Attributes:
        symbols: its instruments.
        segment: index of the segment.
        first: row of the tape of the first decision.
        stop: one past its last row.
    """

    symbols: tuple[str, ...]
    segment: int
    first: int
    stop: int

    @property
    def name(self) -> str:
        """What people call it."""
        return " + ".join(self.symbols)


@dataclasses.dataclass(frozen=True, eq=False)
class Ground:
    """A prepared market, and its parts.

    Attributes:
        market: all bars on one tape; whatever it calls validation means nothing.
        parts: stretches of `train`, `validation` and `holdout`, one a segment that has room there.
        days_per_year: of the venue.
    """

    market: Market
    parts: dict[str, tuple[Stretch, ...]]
    days_per_year: float


Rows = tuple[range, range, range]
"""Training, validation and judged rows of a segment, as rows of its own bars."""


def prepare_ground(bars: Sequence[Bars], settings: Settings, *, mode: str, scaler: Scaler) -> Market:
    """Prepare all bars of one population, the holdout's among them.

    Args:
        bars: of each symbol, all of them.
        settings: of the evolution.
        mode: `pool` or `basket`.
        scaler: fitted on the population's training rows.
    """
    costs = {own.symbol: settings.costs[own.symbol] for own in bars if own.symbol in settings.costs}
    return make_market(bars, dataclasses.replace(settings, costs=costs), mode=mode, scaler=scaler)


def ground_of(market: Market, rows: Sequence[Rows], settings: Settings) -> Ground:
    """The parts of a prepared market.

    Args:
        market: of all bars.
        rows: of each of its segments.
        settings: of the evolution.

    Raises:
        UserError: no symbol has two judged bars of a known regime.
    """
    parts: dict[str, tuple[Stretch, ...]] = {}
    for place, part in enumerate(("train", "validation", "holdout")):
        stretches = []
        for index, (segment, own) in enumerate(zip(market.segments, rows, strict=True)):
            first, stop = _known(market, segment.first + own[place].start, segment.first + own[place].stop)
            if stop - first >= 2:
                stretches.append(Stretch(segment.symbols, index, first, stop))
        parts[part] = tuple(stretches)
    if not parts["holdout"]:
        raise UserError("split.holdout: there is no bar of a known regime behind validation to be judged on")
    longest = max(market.segments, key=lambda segment: segment.last - segment.first)
    year = days_per_year(market.time[longest.first : longest.last + 1], settings.broker.calendar)
    return Ground(market, parts, year)


def judgeable(market: Market, segment: Segment) -> bool:
    """Whether a segment has two judged rows or more, and knows its regime by then.

    Args:
        market: as evolution had it, without those rows.
        segment: of it.
    """
    regime = np.asarray(market.tape.regime)[segment.first : segment.last + 1]
    return len(segment.rows.holdout) > 1 and bool((regime < REGIMES).any())


def _known(market: Market, first: int, stop: int) -> tuple[int, int]:
    """The rows from the first one whose regime is known on: before it nobody can trade."""
    regime = np.asarray(market.tape.regime)[first:stop]
    known = np.flatnonzero(regime < REGIMES)
    return (first + int(known[0]), stop) if len(known) else (stop, stop)


def mid_gain(market: Market, stretch: Stretch) -> NDArray[np.float64]:
    """Simple return of the mid from close to close over each bar that an order met, [bars, instruments]."""
    rows = slice(stretch.first, stretch.stop)
    bid, ask = (np.asarray(side)[rows, :, CLOSE].astype(np.float64) for side in (market.tape.bid, market.tape.ask))
    close = 0.5 * (bid + ask)
    gain: NDArray[np.float64] = close[1:] / close[:-1] - 1.0
    return gain

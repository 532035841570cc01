"""What a check looks at: one market of a run, as it was made ready, and its bars without a holdout row."""

import dataclasses
import itertools
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from arena.settings import Settings
from experiments.checks.futures import other_futures
from experiments.checks.works import Works
from experiments.configuration.study import Study
from genomes.registry import make_species
from genomes.species import Shape
from markets.bars import CLOSE, Bars
from markets.features import Feature, features
from markets.features.indicators import relative_atr_window
from markets.preparation import Market
from markets.split_dates import Cuts, fold_cuts

__all__ = ["Subject", "subject_of"]


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """One market, in one fold.

    Attributes:
        bars: as they come, of each symbol; of the holdout nothing but stamps is used.
        market: prepared from them.
        settings: of the evolution.
        mode: `pool` or `basket`.
        replicate, fold: whose it is, from 0.
    """

    bars: tuple[Bars, ...]
    market: Market
    settings: Settings
    mode: str
    replicate: int
    fold: int

    @property
    def segments(self) -> range:
        """Places of its segments."""
        return range(len(self.market.segments))

    def time(self, segment: int) -> NDArray[np.datetime64]:
        """Opens of the bars of a segment."""
        own = self.market.segments[segment]
        return self.market.time[own.first : own.last + 1]

    def name(self, segment: int) -> str:
        """What people call a segment."""
        return " + ".join(self.market.segments[segment].symbols)

    def row(self, segment: int, stamp: np.datetime64) -> int:
        """The first row of a segment that is not before a stamp."""
        return int(np.searchsorted(self.time(segment), stamp))

    @cached_property
    def seen(self) -> tuple[tuple[Bars, ...], ...]:
        """Bars of each segment's symbols on its rows, with the broker's spread: all that agents may know."""
        rules, costs = self.settings.broker, self.settings.costs
        made = []
        for index, segment in enumerate(self.market.segments):
            group = []
            for symbol in segment.symbols:
                own = costs.get(symbol, {})
                raw = self.known(symbol, index)
                group.append(
                    raw.with_spread(own.get("spread", rules.spread), own.get("spread_rate", rules.spread_rate))
                )
            made.append(tuple(group))
        return tuple(made)

    def known(self, symbol: str, segment: int) -> Bars:
        """Bars of a symbol on the rows of its segment, as they come."""
        whole = next(bars for bars in self.bars if bars.symbol == symbol)
        rows = np.searchsorted(whole.time, self.time(segment))
        columns = {name: column[rows] for name, column in whole.columns.items()}
        return Bars(symbol, whole.time[rows], whole.bid[rows], whole.ask[rows], whole.volume[rows], columns)

    @cached_property
    def clocks(self) -> tuple[NDArray[np.datetime64], ...]:
        """Stamps of each segment, those of the holdout among them."""
        if self.mode == "pool":
            return tuple(bars.time for bars in self.bars)
        common = self.bars[0].time
        for bars in self.bars[1:]:
            common = np.intersect1d(common, bars.time, assume_unique=True)
        return (common,)

    @cached_property
    def chosen(self) -> tuple[Feature, ...]:
        """What agents see."""
        return self.chosen_within(None)

    def chosen_within(self, lookback: int | None) -> tuple[Feature, ...]:
        """What agents see where a decision rule has features look back no further than that; None is as bred."""
        own = self.settings.features
        most = min((bars for bars in (own.lookback, lookback) if bars is not None), default=None)
        columns = sorted(set.intersection(*(set(bars.columns) for bars in self.bars)))
        return features(dataclasses.replace(own, lookback=most), columns)

    @property
    def context(self) -> int:
        """Bars of history that a brain wants before a decision."""
        shape = Shape(features=1, account=1)
        return max(make_species(name, own, shape).context for name, own in self.settings.species.items())

    @property
    def warm_up(self) -> int:
        """Bars that a first decision needs, its own included; that of a bundle's manifest."""
        return max(self.market.window, relative_atr_window()) + self.context

    @property
    def embargo(self) -> int:
        """Bars of each gap."""
        own = self.settings.split.embargo
        return self.market.window + self.context + self.settings.episodes.bars + 1 if own is None else own

    @cached_property
    def cuts(self) -> Cuts:
        """Dates of its split, by stamps alone."""
        nothing = np.zeros((0, 4))
        stamps = [Bars("", time, nothing, nothing, nothing[:, 0]) for time in self.clocks]
        return fold_cuts(stamps, self.settings.split, embargo=self.embargo)[self.fold]

    @cached_property
    def raw(self) -> tuple[Bars, ...]:
        """Bars of each symbol on the rows of its segment, as they come."""
        return tuple(
            self.known(symbol, index)
            for index, segment in enumerate(self.market.segments)
            for symbol in segment.symbols
        )

    def after(self, date: np.datetime64, works: Works, seed: int) -> Market:
        """The market made ready anew, from bars that are others from a date on, those of the holdout among them."""
        ends = [self.time(segment)[-1:] for segment in self.segments for _ in self.market.segments[segment].symbols]
        known = [
            int(np.searchsorted(bars.time, end[0], "right")) if len(end) else 0
            for bars, end in zip(self.bars, ends, strict=True)
        ]
        altered = other_futures(self.bars, date, [seed], known=known)
        return works.market(altered, self.settings, mode=self.mode, fold=self.fold)

    def index(self, segment: int, stop: int | None = None) -> NDArray[np.float64]:
        """Closes that regimes are told from: of a symbol, or of a basket's equally weighted index."""
        group = [bars[:stop].mid[:, CLOSE] for bars in self.seen[segment]]
        return group[0] if len(group) == 1 else np.exp(np.mean([np.log(close) for close in group], axis=0))

    def drawn(self, count: int, seed: int) -> list[np.datetime64]:
        """Stamps to cut at, one drawn from each of equally many parts of what lies behind the longest window."""
        stamps = np.unique(self.market.time)
        edges = np.linspace(min(self.warm_up, len(stamps) - 2), len(stamps) - 1, count + 1)
        random = np.random.default_rng([seed, self.replicate, self.fold])
        bounds = [(int(low), max(int(high), int(low) + 1)) for low, high in itertools.pairwise(edges)]
        return [stamps[int(random.integers(*both))] for both in bounds]


def subject_of(study: Study, bars: Sequence[Bars], works: Works, *, replicate: int = 0, fold: int = 0) -> Subject:
    """The market of a run as it was made ready, from all its bars.

    Raises:
        UserError: too few bars.
    """
    mode = study.market.mode
    market = works.market(bars, study.settings, mode=mode, fold=fold)
    return Subject(tuple(bars), market, study.settings, mode, replicate, fold)

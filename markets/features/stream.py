"""Features, regime and average true range of the newest bar, bar by bar, with the bits of the batched form.

The formulas are not written again: the batched functions are traced once into a graph (`symbols`), and each new bar
works out one row of it (`newest`), at a cost that depends on the windows and not on how many bars went before. All that
a stream knows follows from its last `window` bars.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from markets.bars import CLOSE, Bars
from markets.errors import UserError
from markets.features.catalogue import Feature, warmup
from markets.features.indicators import relative_atr, relative_atr_window
from markets.features.newest import Newest
from markets.features.symbols import Graph, UntraceableError, traced
from markets.regimes import UNKNOWN, RegimeSettings, classify

__all__ = ["FeatureStream"]

T = TypeVar("T")

_OURS = __name__.rpartition(".")[0] + "."
"""Modules whose functions may be traced: ours, which never convert what they are given to plain arrays."""


class FeatureStream:
    """What an agent sees of the market at the newest bar.

    Values are those that `compute_features`, `markets.regimes.classify` on the mid close and `relative_atr` give for
    the last row of the whole history, to the bit; a feature of the user's own making is computed anew from its window.

    Example:
        ```python
        stream = FeatureStream(features(), RegimeSettings())
        stream.extend(history)
        stream.push(bars[-1:])
        stream.features, stream.regime, stream.relative_atr
        ```

    Attributes:
        window: bars, the newest included, after which nothing is incomplete: the longest window of the features, of
            the regimes and of the average true range.
        bars: how many of the bars pushed count, at most `window`.
    """

    def __init__(self, features: Sequence[Feature], regimes: RegimeSettings, *, columns: Sequence[str] = ()) -> None:
        """A stream before its first bar.

        Args:
            features: in the order of the columns of `compute_features`.
            regimes: how regimes are told apart.
            columns: the user's own columns that features read, besides those that `markets.features.features` made.
        """
        self.window = max(warmup(features), regimes.window, relative_atr_window())
        self._chosen = tuple(features)
        self._windows = np.array([feature.window for feature in features])
        self._graph = Graph()
        places = [_traced(self._graph, feature) for feature in features]
        self._regime_place = traced(self._graph, lambda bars: classify(_mid_close(bars), regimes))
        self._atr_place = traced(self._graph, relative_atr)
        self._places = tuple(self._atr_place if place is None else place for place in places)
        self._untraced = tuple(index for index, place in enumerate(places) if place is None)
        inputs = [(place, node.options) for place, node in enumerate(self._graph.nodes) if node.operation == "bars"]
        self._columns = tuple(
            dict.fromkeys([*columns, *(options[1] for _, options in inputs if options[0] == "columns")])
        )
        layout = [("time",), *((side, price) for side in ("bid", "ask") for price in range(4)), ("volume",)]
        order = [*layout, *(("columns", name) for name in self._columns)]
        self._newest = Newest(self._graph, order, [*self._places, self._regime_place, self._atr_place])
        self._begin()

    @property
    def features(self) -> NDArray[np.float64]:
        """Of the newest bar, float64 [features]; NaN where a window is incomplete."""
        row = np.array(self._values[:-2], np.float64)
        for index in self._untraced:
            feature = self._chosen[index]
            if self.bars >= feature.window:
                row[index] = feature.compute(self.recent(feature.window))[-1]
        if self.bars < self.window:
            row[self._windows > self.bars] = np.nan
        return row

    @property
    def regime(self) -> int:
        """Place in `markets.regimes.REGIMES`."""
        return int(self._values[-2]) if self.bars else UNKNOWN

    @property
    def relative_atr(self) -> float:
        """Average true range as a share of the close; NaN before its window is complete."""
        return float(self._values[-1])

    def push(self, bar: Bars) -> None:
        """Take in one bar, later than the newest.

        Args:
            bar: bars of length 1.

        Raises:
            ValueError: not one bar.
            UserError: a column that the features read is missing.
        """
        if len(bar) != 1:
            raise ValueError(f"push takes one bar, not {len(bar)}; extend takes many")
        self.extend(bar)

    def push_row(
        self,
        time: int,
        bid: Sequence[float] | NDArray[np.float64],
        ask: Sequence[float] | NDArray[np.float64],
        volume: float = 0.0,
        columns: Mapping[str, float] | None = None,
    ) -> None:
        """Take in one bar, later than the newest, as plain numbers: the quickest way.

        Args:
            time: its open, in microseconds since the epoch, UTC.
            bid: open, high, low, close on the bid side, in price.
            ask: the same on the ask side.
            volume: units traded in it.
            columns: at least those columns that the features read.

        Raises:
            UserError: one of these columns is missing.
        """
        own = _picked({} if columns is None else columns, self._columns)
        self._take((int(time), *map(float, (*bid, *ask, volume, *own))))

    def extend(self, bars: Bars) -> None:
        """Take in bars, all of them later than the newest; of more than `window` only the last are looked at.

        Raises:
            UserError: a column that the features read is missing.
        """
        own = _picked(bars.columns, self._columns)
        rows = len(bars)
        if rows >= self.window:
            self._begin()
        first = max(0, rows - self.window)
        times = bars.time[first:].astype("datetime64[us]").astype(np.int64).tolist()
        numbers = np.column_stack([side[first:] for side in (bars.bid, bars.ask, bars.volume, *own)]).tolist()
        for time, row in zip(times, numbers, strict=True):
            self._take((time, *row))

    def recent(self, most: int | None = None) -> Bars:
        """The last bars, at most `most` or `window`: a stream extended by all of them gives the same bits.

        Their only columns are those that the features read.
        """
        rows = self.bars if most is None else min(most, self.bars)
        place = slice(self._row - rows, self._row)
        table = self._table[place].copy()
        columns = {name: table[:, 9 + index] for index, name in enumerate(self._columns)}
        time = self._times[place].copy().view("datetime64[us]")
        return Bars("", time, table[:, :4], table[:, 4:8], table[:, 8], columns)

    def _begin(self) -> None:
        self.bars = 0
        self._newest.begin()
        self._values: tuple[float, ...] = (math.nan,) * (len(self._chosen) + 2)
        self._times = np.zeros(2 * self.window, np.int64)
        self._table = np.empty((2 * self.window, 9 + len(self._columns)))
        self._row = 0

    def _take(self, bar: tuple[float, ...]) -> None:
        """One bar: its stamp in microseconds, bid, ask, volume and columns."""
        if self._row == 2 * self.window:
            self._times[: self.window] = self._times[self.window :]
            self._table[: self.window] = self._table[self.window :]
            self._row = self.window
        self._times[self._row] = bar[0]
        self._table[self._row] = bar[1:]
        self._row += 1
        with np.errstate(all="ignore"):
            self._values = self._newest.advance(bar)
        self.bars = min(self.bars + 1, self.window)


def _traced(graph: Graph, feature: Feature) -> int | None:
    """Its place in the graph, or None where it has to be computed anew at each bar."""
    compute = feature.compute
    function = compute.func if isinstance(compute, partial) else compute
    if not getattr(function, "__module__", "").startswith(_OURS):
        return None
    try:
        return traced(graph, compute)
    except UntraceableError:
        return None


def _mid_close(bars: Bars) -> NDArray[np.float64]:
    return 0.5 * (bars.bid[:, CLOSE] + bars.ask[:, CLOSE])


def _picked(columns: Mapping[str, T], names: Sequence[str]) -> list[T]:
    for name in names:
        if name not in columns:
            known = ", ".join(columns) or "none"
            raise UserError(f"market.columns: the bar has no column {name!r}; its columns: {known}")
    return [columns[name] for name in names]

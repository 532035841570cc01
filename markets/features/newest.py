"""The newest row of a graph of series, worked out bar by bar.

Each node of a `markets.features.symbols.Graph` becomes a step. Elementwise operations work on plain Python numbers,
which are the same doubles with the same rounding; where Python would raise (division by zero, a root of a negative
number) they give what NumPy gives. Primitives keep the last values of their inputs and add them up oldest first, as the
batched form does lag by lag: `numpy.add.accumulate` along one window is that very sequence of roundings. Therefore the
bits are those of the batched functions; the tests hold every step to that.
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from markets.features.symbols import Graph

__all__ = ["Newest"]

Series = NDArray[np.float64]
Step = Callable[[int], None]


class Newest:
    """Values of a graph's nodes at the newest bar.

    Attributes:
        values: of each node, numbers; those of `bars` nodes are set before `advance`.
    """

    def __init__(self, graph: Graph) -> None:
        self.values: list[Any] = [math.nan] * len(graph.nodes)
        self._steps: list[Step] = []
        self._nodes = graph.nodes
        self._reach = _reaches(graph)
        self._depth = max(self._reach.values(), default=1)
        self._pasts: dict[int, Series] = {}
        self._apart: dict[int, Series] = {}
        self._centred: dict[tuple[int, int, int], Series] = {}
        self._row = self._depth
        for place, (operation, inputs, options) in enumerate(graph.nodes):
            if operation == "constant":
                self.values[place] = options[0]
            elif operation in _PRIMITIVES:
                _PRIMITIVES[operation](self, place, *inputs, *options)
            elif operation != "bars":
                self._steps.append(_elementwise(self.values, place, operation, inputs, options))
            if place in self._reach:
                self._remember(place)

    def advance(self) -> None:
        """Take one bar in, whose numbers are in `values` at the places of `bars` nodes."""
        row = self._row
        if row == 2 * self._depth:
            for past in self._pasts.values():
                past[: self._depth] = past[self._depth :]
            row = self._depth
        for step in self._steps:
            step(row)
        self._row = row + 1

    def _remember(self, place: int) -> None:
        values, past = self.values, np.full(2 * self._depth, np.nan)
        self._pasts[place] = past

        def step(row: int) -> None:
            past[row] = values[place]

        self._steps.append(step)

    def _lagged(self, place: int, series: int, bars: int) -> None:
        values, read = self.values, self._pasts[series].item

        def step(row: int) -> None:
            values[place] = read(row - bars)

        self._steps.append(step)

    def _rolling_sum(self, place: int, series: int, bars: int) -> None:
        values, past, before, accumulate = self.values, self._pasts[series], bars - 1, np.add.accumulate

        def step(row: int) -> None:
            values[place] = accumulate(past[row - before : row + 1]).item(-1)

        self._steps.append(step)

    def _rolling_min(self, place: int, series: int, bars: int) -> None:
        values, past, before, least = self.values, self._pasts[series], bars - 1, np.minimum.reduce

        def step(row: int) -> None:
            values[place] = least(past[row - before : row + 1]).item()

        self._steps.append(step)

    def _rolling_median(self, place: int, series: int, bars: int) -> None:
        values, past, before, middle = self.values, self._pasts[series], bars - 1, (bars - 1) // 2

        def step(row: int) -> None:
            window = np.sort(past[row - before : row + 1])  # NaN sorts last
            values[place] = math.nan if math.isnan(window.item(-1)) else window.item(middle)

        self._steps.append(step)

    def _rolling_rank(self, place: int, series: int, bars: int) -> None:
        values, past, before, count = self.values, self._pasts[series], bars - 1, np.count_nonzero

        def step(row: int) -> None:
            window, last = past[row - before : row + 1], values[series]
            below, above = count(window < last), count(window > last)
            missing = below + above + count(window == last) < bars
            values[place] = math.nan if missing else int(1 + below + bars - above) / (2 * bars)

        self._steps.append(step)

    def _ema(self, place: int, series: int, alpha: float, bars: int) -> None:
        """All averages at once, one for each bar it may have started at; the oldest of them is complete."""
        values, averages, apart = self.values, np.full(bars, np.nan), np.empty(bars)
        weight, subtract, multiply, add = np.array(alpha), np.subtract, np.multiply, np.add
        start = 0

        def step(_: int) -> None:
            nonlocal start
            value = values[series]
            subtract(value, averages, apart)
            multiply(apart, weight, apart)
            add(averages, apart, averages)
            averages[start] = value
            start += 1
            if start == bars:
                start = 0
            values[place] = averages.item(start)

        self._steps.append(step)

    def _mean_apart(self, place: int, series: int, bars: int) -> None:
        values, apart, accumulate = self.values, self._window_apart(series, bars), np.add.accumulate

        def step(_: int) -> None:
            values[place] = (accumulate(apart).item(-1) + 0.0) / bars  # the batched sum starts from 0.0

        self._steps.append(step)

    def _squares_apart(self, place: int, series: int, mean: int, bars: int) -> None:
        values, centred, accumulate = self.values, self._window_centred(series, mean, bars), np.add.accumulate
        squares = np.empty(bars)

        def step(_: int) -> None:
            np.multiply(centred, centred, squares)
            values[place] = accumulate(squares).item(-1)

        self._steps.append(step)

    def _moment_apart(self, place: int, series: int, mean: int, bars: int) -> None:
        values, centred, accumulate = self.values, self._window_centred(series, mean, bars), np.add.accumulate
        terms, arms = np.empty(bars), np.array([0.5 * (bars - 1) - lag for lag in range(bars - 1, -1, -1)])

        def step(_: int) -> None:
            np.multiply(centred, arms, terms)
            values[place] = accumulate(terms).item(-1) + 0.0

        self._steps.append(step)

    def _window_apart(self, series: int, bars: int) -> Series:
        """Values less the newest: one array for all windows on a series, of which each takes the end."""
        if series not in self._apart:
            longest = max(
                options[-1] for name, inputs, options in self._nodes if name in _APART and inputs[0] == series
            )
            values, past, apart = self.values, self._pasts[series], np.empty(longest)
            self._apart[series] = apart
            before, subtract = longest - 1, np.subtract

            def step(row: int) -> None:
                subtract(past[row - before : row + 1], values[series], apart)

            self._steps.append(step)
        return self._apart[series][-bars:]

    def _window_centred(self, series: int, mean: int, bars: int) -> Series:
        """Values less the newest and less a mean."""
        key = (series, mean, bars)
        if key not in self._centred:
            values, apart, centred = self.values, self._window_apart(series, bars), np.empty(bars)
            self._centred[key] = centred
            subtract = np.subtract

            def step(_: int) -> None:
                subtract(apart, values[mean], centred)

            self._steps.append(step)
        return self._centred[key]


_PRIMITIVES: Mapping[str, Callable[..., None]] = {
    name.removeprefix("_"): getattr(Newest, name)
    for name in (
        "_ema",
        "_lagged",
        "_mean_apart",
        "_moment_apart",
        "_rolling_median",
        "_rolling_min",
        "_rolling_rank",
        "_rolling_sum",
        "_squares_apart",
    )
}

_APART = ("mean_apart", "squares_apart", "moment_apart")
"""Primitives that count from the newest value."""


def _reaches(graph: Graph) -> dict[int, int]:
    """Series of which primitives look at earlier values, and how many, the newest included."""
    reach: dict[int, int] = {}
    for operation, inputs, options in graph.nodes:
        if operation in _PRIMITIVES and operation != "ema":
            bars = options[-1] + (operation == "lagged")
            reach[inputs[0]] = max(reach.get(inputs[0], 1), bars)
    return reach


def _divide(above: float, below: float) -> float:
    try:
        return above / below
    except ZeroDivisionError:
        if above == 0 or above != above:
            return math.nan
        return math.copysign(math.inf, above) * math.copysign(1.0, below)


def _sqrt(value: float) -> float:
    return math.sqrt(value) if value >= 0 else math.nan


def _sign(value: float) -> float:
    return 1.0 if value > 0 else -1.0 if value < 0 else 0.0 if value == 0 else math.nan


def _maximum(left: float, right: float) -> float:
    return left if left > right or left != left else right


def _minimum(left: float, right: float) -> float:
    return left if left < right or left != left else right


def _where(condition: bool, yes: float, no: float) -> float:
    return yes if condition else no


_OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "absolute": abs,
    "add": operator.add,
    "bitwise_and": operator.and_,
    "bitwise_or": operator.or_,
    "divide": _divide,
    "equal": operator.eq,
    "floor_divide": operator.floordiv,
    "frexp": math.frexp,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "invert": operator.not_,
    "isnan": math.isnan,
    "less": operator.lt,
    "less_equal": operator.le,
    "maximum": _maximum,
    "minimum": _minimum,
    "multiply": operator.mul,
    "negative": operator.neg,
    "not_equal": operator.ne,
    "remainder": operator.mod,
    "sign": _sign,
    "sqrt": _sqrt,
    "subtract": operator.sub,
    "where": _where,
}


def _elementwise(
    values: list[Any], place: int, operation: str, inputs: Sequence[int], options: tuple[Any, ...]
) -> Step:
    """A step that applies a function of Python numbers."""
    function = _function(operation, options)
    if len(inputs) == 1:
        (only,) = inputs

        def unary(_: int) -> None:
            values[place] = function(values[only])

        return unary
    if len(inputs) == 2:
        left, right = inputs

        def binary(_: int) -> None:
            values[place] = function(values[left], values[right])

        return binary
    first, second, third = inputs

    def ternary(_: int) -> None:
        values[place] = function(values[first], values[second], values[third])

    return ternary


def _function(operation: str, options: tuple[Any, ...]) -> Callable[..., Any]:
    if operation == "part":
        return operator.itemgetter(options[0])
    if operation == "looked_up":
        return cast(tuple[Any, ...], options[0]).__getitem__
    if operation == "astype":
        return _conversion(*options)
    return _OPERATIONS[operation]


def _conversion(given: np.dtype[Any], wanted: np.dtype[Any]) -> Callable[[Any], Any]:
    """From one type to another; a moment is a whole number of its unit."""
    if given.kind == "M" and wanted.kind == "M":
        return lambda value: np.array(value, np.int64).view(given).astype(wanted).view(np.int64).item()
    return float if wanted.kind == "f" else int

"""The newest row of a graph of series, worked out bar by bar.

A `markets.features.symbols.Graph` is written out as one Python function that takes a bar in: a line for each
elementwise operation, on plain numbers, and a few for each primitive, which look at the last values of its input.
Primitives add up oldest first, as the batched forms do lag by lag: `numpy.add.accumulate` along one window is that very
sequence of roundings. Therefore the bits are those of the batched functions; tests hold every operation to that.

Writing the function out, rather than walking the graph at every bar, makes it three times as fast. Its text depends on
the features asked for and on nothing from outside; `Newest.source` shows it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from markets.features.elementwise import ELEMENTWISE, divide
from markets.features.symbols import Graph, Node

__all__ = ["Newest"]

Series = NDArray[np.float64]

_APART = ("mean_apart", "squares_apart", "moment_apart")
"""Primitives that count from the newest value."""

_SIMPLE: Mapping[str, tuple[str, ...]] = {
    "lagged": ("{x} = {past}.item(row - {bars})",),
    "rolling_sum": ("{x} = accumulate({past}[after - {bars}:after]).item(-1)",),
    "rolling_min": ("{x} = minimum({past}[after - {bars}:after]).item()",),
    "rolling_median": (
        "window = sort({past}[after - {bars}:after])",  # NaN sorts last
        "{x} = window.item({middle}) if window.item(-1) == window.item(-1) else nan",
    ),
    "rolling_rank": (
        "window = {past}[after - {bars}:after]",
        "below, above, equal = count(window < {of}), count(window > {of}), count(window == {of})",
        "{x} = int(1 + below + {bars} - above) / {twice} if below + above + equal == {bars} else nan",
    ),
}
"""Lines of the primitives that look at the last `bars` values of one series, or at the value `bars` bars ago."""

_NAMES = {
    "accumulate": np.add.accumulate,
    "add": np.add,
    "count": np.count_nonzero,
    "divide": divide,
    "frexp": math.frexp,
    "inf": math.inf,
    "minimum": np.minimum.reduce,
    "multiply": np.multiply,
    "nan": math.nan,
    "sort": np.sort,
    "sqrt": math.sqrt,
    "subtract": np.subtract,
}
"""What the lines may call."""


class Newest:
    """A function of bars, one at a time, to the newest values of some of a graph's series.

    Attributes:
        source: its text.
    """

    def __init__(self, graph: Graph, inputs: Sequence[tuple[Any, ...]], outputs: Sequence[int]) -> None:
        """Write the function; nothing is known before its first bar.

        Args:
            graph: the series.
            inputs: options of the `bars` nodes, in the order of a bar's numbers.
            outputs: places in the graph of the series asked for.
        """
        text = _Text(graph, inputs, outputs)
        self.source = "\n    ".join(["def taken(bar, seen, row):", *text.lines]) + "\n"
        self._code = compile(self.source, f"<{__name__}>", "exec")
        self._text, self._depth = text, text.depth
        self.begin()

    def begin(self) -> None:
        """Forget all bars."""
        self._names: dict[str, Any] = {**_NAMES, **{name: make() for name, make in self._text.arrays.items()}}
        exec(self._code, self._names)
        self._taken = cast(Callable[[tuple[float, ...], int, int], tuple[Any, ...]], self._names["taken"])
        self._pasts = [self._names[name] for name in self._text.pasts]
        self._count, self._row = 0, self._depth

    def advance(self, bar: tuple[float, ...]) -> tuple[Any, ...]:
        """Take one bar in.

        Args:
            bar: its numbers, in the order of `inputs`.

        Returns:
            Values of the outputs, numbers.
        """
        if self._row == 2 * self._depth:
            for past in self._pasts:
                past[: self._depth] = past[self._depth :]
            self._row = self._depth
        taken = self._taken(bar, self._count, self._row)
        self._count += 1
        self._row += 1
        return taken


class _Text:
    """Lines of the function, and the arrays that it keeps from bar to bar.

    Attributes:
        lines: of its body.
        arrays: what makes each array, by name.
        pasts: names of those that hold the last values of a series; the newest is at `row`.
        depth: values that each of these has to hold.
    """

    def __init__(self, graph: Graph, inputs: Sequence[tuple[Any, ...]], outputs: Sequence[int]) -> None:
        self.lines: list[str] = ["after = row + 1"]
        self.arrays: dict[str, Callable[[], Series]] = {}
        self._used = _used(graph, outputs)
        reach = self._reaches()
        self.depth = max(reach.values(), default=1)
        self.pasts = [f"past{place}" for place in reach]
        for place, node in self._used.items():
            if node.operation == "bars":
                self.lines.append(f"x{place} = bar[{inputs.index(node.options)}]")
            else:
                self._write(place, node)
            if place in reach:
                self._array(f"past{place}", 2 * self.depth)
                self.lines.append(f"past{place}[row] = x{place}")
        self.lines.append(f"return ({''.join(f'{self._name(place)}, ' for place in outputs)})")

    def _name(self, place: int) -> str:
        node = self._used[place]
        return f"({node.options[0]!r})" if node.operation == "constant" else f"x{place}"

    def _array(self, name: str, rows: int) -> str:
        self.arrays[name] = lambda: np.full(rows, np.nan)
        return name

    def _reaches(self) -> dict[int, int]:
        """Series of which primitives look at earlier values, and how many, the newest included."""
        reach: dict[int, int] = {}
        for operation, inputs, options in self._used.values():
            if operation in _SIMPLE or operation in _APART:
                bars = options[-1] + (operation == "lagged")
                reach[inputs[0]] = max(reach.get(inputs[0], 1), bars)
        return reach

    def _write(self, place: int, node: Node) -> None:
        """The lines of one node."""
        operation, inputs, options = node
        names = [self._name(series) for series in inputs]
        if operation in _SIMPLE:
            bars = options[-1]
            numbers = {"bars": bars, "middle": (bars - 1) // 2, "twice": 2 * bars}
            words = {"x": f"x{place}", "of": names[0], "past": f"past{inputs[0]}"}
            self.lines += [line.format(**words, **numbers) for line in _SIMPLE[operation]]
        elif operation in _APART:
            self.lines.append(f"x{place} = {self._apart(place, node)}")
        elif operation == "ema":
            self._ema(place, names[0], *options)
        elif operation != "constant":
            self.lines.append(f"x{place} = {self._expression(place, node, names)}")

    def _expression(self, place: int, node: Node, names: Sequence[str]) -> str:
        if node.operation == "part":
            return f"{names[0]}[{node.options[0]}]"
        divisor = self._used[node.inputs[-1]]
        if node.operation == "divide" and divisor.operation == "constant" and divisor.options[0] != 0:
            return "{} / {}".format(*names)
        if node.operation in ELEMENTWISE:
            return ELEMENTWISE[node.operation].format(*names)
        if node.operation == "looked_up":
            self.arrays[f"table{place}"] = lambda: np.array(node.options[0])
            return f"table{place}.item({names[0]})"
        assert node.operation == "astype", node.operation
        given, wanted = node.options
        if wanted.kind != "M":
            return f"{'float' if wanted.kind == 'f' else 'int'}({names[0]})"
        self.arrays[f"moment{place}"] = lambda: np.zeros(1, np.int64).view(given)
        moment = f"moment{place}"
        self.lines.append(f"{moment}.view('int64')[0] = {names[0]}")
        return f"{moment}.astype({wanted.str!r}).view('int64').item()"

    def _ema(self, place: int, value: str, alpha: float, bars: int) -> None:
        """All averages at once, one for each bar it may have started at; the oldest of them is complete."""
        averages, apart, weight = (
            self._array(f"averages{place}", bars),
            self._array(f"step{place}", bars),
            f"alpha{place}",
        )
        self.arrays[weight] = lambda: np.array(alpha)
        self.lines += [
            f"subtract({value}, {averages}, {apart})",
            f"multiply({apart}, {weight}, {apart})",
            f"add({averages}, {apart}, {averages})",
            f"{averages}[seen % {bars}] = {value}",
            f"x{place} = {averages}.item((seen + 1) % {bars})",
        ]

    def _apart(self, place: int, node: Node) -> str:
        """A sum over values less the newest; + 0.0, as the batched sums start from it."""
        operation, (series, *mean), (bars,) = node
        if operation == "mean_apart":
            return f"(accumulate({self._window(series, bars)}).item(-1) + 0.0) / {bars}"
        centred, terms = self._centred(series, mean[0], bars), self._array(f"terms{place}", bars)
        by = centred
        if operation == "moment_apart":
            by = f"arms{place}"
            self.arrays[by] = lambda: np.array([0.5 * (bars - 1) - lag for lag in range(bars - 1, -1, -1)])
        return f"accumulate(multiply({centred}, {by}, {terms})).item(-1) + 0.0"

    def _window(self, series: int, bars: int) -> str:
        """Values less the newest: one array for all windows on a series, of which each takes the end."""
        whole = f"apart{series}"
        longest = max(
            node.options[-1] for node in self._used.values() if node.operation in _APART and node.inputs[0] == series
        )
        if whole not in self.arrays:
            self._array(whole, longest)
            self.lines.append(f"subtract(past{series}[after - {longest}:after], {self._name(series)}, {whole})")
        return whole if bars == longest else f"{whole}[{longest - bars}:]"

    def _centred(self, series: int, mean: int, bars: int) -> str:
        """Values less the newest and less a mean."""
        name = f"centred{series}_{mean}_{bars}"
        if name not in self.arrays:
            self._array(name, bars)
            self.lines.append(f"subtract({self._window(series, bars)}, {self._name(mean)}, {name})")
        return name


def _used(graph: Graph, outputs: Sequence[int]) -> dict[int, Node]:
    """The nodes that outputs depend on, by place, in an order in which they can be worked out."""
    wanted, left = set(outputs), list(outputs)
    while left:
        more = set(graph.nodes[left.pop()].inputs) - wanted
        wanted |= more
        left += more
    return {place: graph.nodes[place] for place in sorted(wanted)}

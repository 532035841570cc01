"""Formulas written down instead of computed: symbols that stand for a series and record what is done to them.

The batched functions of this folder are the only place where a formula is written. `traced` calls one of them with
symbols in place of bars; every elementwise operation of NumPy and every rolling primitive that meets a symbol becomes a
node of a `Graph`, equal nodes being one. `markets.features.newest` works such a graph out for one new bar at a time.

A `Symbol` is an array of one row whose numbers mean nothing: only its type does, so that NumPy itself says what type an
operation gives. Whatever would look at the numbers, or at rows other than through a primitive, raises
`UntraceableError`. Converting it to a plain array cannot be noticed, so only functions known not to do so are traced.
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

from markets.bars import Bars
from markets.features.elementwise import ELEMENTWISE

__all__ = ["Graph", "Node", "Symbol", "UntraceableError", "primitive", "traced"]

P = ParamSpec("P")
R = TypeVar("R")

_ROWS = slice(None)


class UntraceableError(TypeError):
    """A function of bars does something that cannot be written down as a graph."""


class Node(NamedTuple):
    """One series.

    Attributes:
        operation: name of the ufunc or primitive; `constant` and `bars` have no inputs.
        inputs: places in the graph of the series it is made of.
        options: what else it depends on: lengths, a constant, the name of a column.
    """

    operation: str
    inputs: tuple[int, ...]
    options: tuple[Any, ...]


class Graph:
    """Series by their places, each made of earlier ones; the same operation on the same series is one node.

    Attributes:
        nodes: in an order in which they can be worked out.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._places: dict[tuple[Any, ...], int] = {}

    def add(self, operation: str, inputs: tuple[int, ...] = (), options: tuple[Any, ...] = ()) -> int:
        """The place of a node, which is new only if there is none like it."""
        key = (operation, inputs, tuple((type(option), repr(option)) for option in options))  # −0.0 is not 0.0
        if key not in self._places:
            self._places[key] = len(self.nodes)
            self.nodes.append(Node(operation, inputs, options))
        return self._places[key]

    def place(self, value: object) -> int:
        """The place of a symbol of this graph, or of a number as a constant."""
        if isinstance(value, Symbol):
            return value.place
        if isinstance(value, np.generic):
            value = value.item()
        if not isinstance(value, bool | int | float):
            raise UntraceableError(f"a {type(value).__name__} among symbols")
        return self.add("constant", (), (value,))

    def symbol(self, place: int, dtype: DTypeLike) -> "Symbol":
        """A symbol for a node."""
        symbol = np.ones(1, dtype).view(Symbol)
        symbol.graph, symbol.place = self, place
        return symbol


class Symbol(np.ndarray[tuple[int], np.dtype[Any]]):
    """A series of one symbol of the market that is not there yet.

    Attributes:
        graph: where its operations are recorded.
        place: of its node.
    """

    graph: Graph
    place: int

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options or ufunc.__name__ not in ELEMENTWISE:
            raise UntraceableError(f"numpy.{ufunc.__name__} with {method} {', '.join(options)}")
        places = tuple(self.graph.place(value) for value in inputs)
        with np.errstate(all="ignore"):
            made = ufunc(*(np.ones(1, value.dtype) if isinstance(value, Symbol) else value for value in inputs))
        place = self.graph.add(ufunc.__name__, places)
        if ufunc.nout == 1:
            return self.graph.symbol(place, made.dtype)
        parts = [self.graph.add("part", (place,), (index,)) for index in range(ufunc.nout)]
        return tuple(self.graph.symbol(part, sample.dtype) for part, sample in zip(parts, made, strict=True))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func is np.where and len(args) == 3 and not kwargs:
            samples = [np.ones(1, value.dtype) if isinstance(value, Symbol) else value for value in args]
            place = self.graph.add("where", tuple(self.graph.place(value) for value in args))
            return self.graph.symbol(place, np.where(*samples).dtype)
        raise UntraceableError(f"numpy.{getattr(func, '__name__', func)}")

    def astype(self, dtype: Any, *_: Any, **__: Any) -> Any:
        """The same series in another type."""
        kind = np.dtype(dtype)
        if kind == self.dtype:
            return self
        if kind.kind not in "M" and kind not in (np.float64, np.int64):
            raise UntraceableError(f"a series in {kind}")
        return self.graph.symbol(self.graph.add("astype", (self.place,), (self.dtype, kind)), kind)

    def __getitem__(self, key: Any) -> Any:
        raise UntraceableError("rows of a series")

    def __setitem__(self, key: Any, value: Any) -> None:
        raise UntraceableError("rows of a series")

    def __bool__(self) -> bool:
        raise UntraceableError("a decision on a series")

    def __float__(self) -> float:
        raise UntraceableError("a number out of a series")

    def __int__(self) -> int:
        raise UntraceableError("a number out of a series")

    def __iter__(self) -> Iterator[Any]:
        raise UntraceableError("rows of a series")


class _Side(np.ndarray[tuple[int, int], np.dtype[np.float64]]):
    """Quotes of one side, of which a trace may take columns."""

    graph: Graph
    name: str

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, tuple) and len(key) == 2 and key[0] == _ROWS and isinstance(key[1], int):
            return self.graph.symbol(self.graph.add("bars", (), (self.name, key[1])), np.float64)
        raise UntraceableError("rows of quotes")

    def __array_ufunc__(self, *_: Any, **__: Any) -> Any:
        raise UntraceableError("all quotes at once")

    def __array_function__(self, *_: Any, **__: Any) -> Any:
        raise UntraceableError("all quotes at once")


class _Columns(Mapping[str, NDArray[np.float64]]):
    """The user's own columns: any that is asked for is there, though none is listed."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def __getitem__(self, name: str) -> Any:
        return self.graph.symbol(self.graph.add("bars", (), ("columns", name)), np.float64)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def traced(graph: Graph, function: Callable[[Bars], Any]) -> int:
    """Write a function of bars into a graph.

    Args:
        graph: takes its nodes.
        function: from bars to one series; it must not convert what it is given to plain arrays.

    Returns:
        The place of its result.

    Raises:
        UntraceableError: it is more than elementwise operations and primitives.
    """

    def side(name: str) -> Any:
        quotes = np.ones((1, 4)).view(_Side)
        quotes.graph, quotes.name = graph, name
        return quotes

    time = graph.symbol(graph.add("bars", (), ("time",)), "datetime64[us]")
    volume = graph.symbol(graph.add("bars", (), ("volume",)), np.float64)
    result = function(Bars("", time, side("bid"), side("ask"), volume, _Columns(graph)))
    if not isinstance(result, Symbol):
        raise UntraceableError(f"a result that is a {type(result).__name__}")
    return result.place


def primitive(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a function from series to a float64 series that looks at rows or into a table: of a symbol, it is a node.

    Its series come first; all other arguments are options, a table among them as a tuple. How to work it out for the
    newest bar alone is said in `markets.features.newest`.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def recorded(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = tuple(bound.arguments.values())
        first = given[0]
        if not isinstance(first, Symbol):
            return function(*args, **kwargs)
        inputs = tuple(value.place for value in given if isinstance(value, Symbol))
        others = (value for value in given if not isinstance(value, Symbol))
        options = tuple(tuple(value.tolist()) if isinstance(value, np.ndarray) else value for value in others)
        return cast(R, first.graph.symbol(first.graph.add(function.__name__, inputs, options), np.float64))

    return recorded

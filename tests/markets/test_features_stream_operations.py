"""Every operation of a stream, alone, against its batched form: NumPy's own, or that of the rolling primitives."""

from collections.abc import Callable

import numpy as np
import pytest
from causality import random_bars, same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from markets import regimes
from markets.bars import Bars
from markets.features import rolling
from markets.features.elementwise import ELEMENTWISE
from markets.features.newest import Newest
from markets.features.symbols import Graph, UntraceableError, traced

SPECIAL = [0.0, -0.0, 1.0, -1.0, 1.5, -2.75, 1e-12, 3e300, -3e300, 5e-324, np.inf, -np.inf, np.nan]
ONES = ("absolute", "isnan", "negative", "sign", "sqrt")
TWOS = ("add", "divide", "greater", "greater_equal", "less", "less_equal", "maximum", "minimum", "multiply", "subtract")

Function = Callable[[Bars], np.ndarray]


def bars_of(**columns: np.ndarray) -> Bars:
    rows = len(next(iter(columns.values())))
    return random_bars(rows, 0, columns=columns)


def one_by_one(function: Function, bars: Bars) -> np.ndarray:
    """What the traced function gives at every bar."""
    graph = Graph()
    place = traced(graph, function)
    inputs = [("columns", name) for name in bars.columns]
    newest = Newest(graph, inputs, [place])
    with np.errstate(all="ignore"):
        return np.array(
            [newest.advance(row)[0] for row in zip(*(c.tolist() for c in bars.columns.values()), strict=True)]
        )


def at_once(function: Function, bars: Bars) -> np.ndarray:
    with np.errstate(all="ignore"):
        return function(bars)


@pytest.mark.parametrize("name", [*ONES, *TWOS])
def test_an_operation_on_a_number_is_that_on_an_array(name: str) -> None:
    left, right = (side.ravel() for side in np.meshgrid(SPECIAL, SPECIAL))
    operation = getattr(np, name)

    def function(bars: Bars) -> np.ndarray:
        x, y = bars.columns["x"], bars.columns["y"]
        return operation(x) if name in ONES else operation(x, y)

    bars = bars_of(x=left, y=right)
    one, all_ = one_by_one(function, bars), at_once(function, bars)
    if name in ("maximum", "minimum"):  # of two zeros NumPy takes the one its processor takes
        one, all_ = one + 0.0, all_ + 0.0
    assert same_bits(one, all_)


def test_an_operation_with_a_constant_keeps_its_sign_and_type() -> None:
    def function(bars: Bars) -> np.ndarray:
        x = bars.columns["x"]
        return np.where((x > 0.0) & (x < np.inf), x / -0.0, x / np.float64(2.5)) - -1.5 + x / 0.0

    bars = bars_of(x=np.array(SPECIAL))
    assert same_bits(one_by_one(function, bars), at_once(function, bars))


@pytest.mark.parametrize("offset", [-7, -1, 0, 1, 86_399_999_999])
def test_whole_numbers_are_rounded_down(offset: int) -> None:
    def function(bars: Bars) -> np.ndarray:
        return rolling.contiguous(bars.columns["x"].astype(np.int64) // 7 * 10 + bars.columns["x"].astype(np.int64) % 7)

    bars = bars_of(x=np.arange(-30.0, 30.0) + offset)
    assert same_bits(one_by_one(function, bars), at_once(function, bars))


WINDOWED: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "change": rolling.change,
    "ema": lambda x, bars: rolling.ema(x, 2 / 7, bars),
    "ema_of_one": lambda x, bars: rolling.ema(x, 1.0, bars),
    "lagged": rolling.lagged,
    "line_slope": lambda x, bars: rolling.line(x, bars)[0],
    "line_strength": lambda x, bars: rolling.line(x, bars)[1],
    "mean": lambda x, bars: rolling.rolling_mean_deviation(x, bars)[0],
    "deviation": lambda x, bars: rolling.rolling_mean_deviation(x, bars, ddof=1)[1],
    "deviation_around_another": lambda x, bars: rolling.squares_apart(x, x * 0.5, bars),
    "moment_around_another": lambda x, bars: rolling.moment_apart(x, x * 0.5, bars),
    "nested": lambda x, bars: rolling.ema(rolling.rolling_sum(rolling.log(x), bars), 0.3, bars),
    "rolling_max": rolling.rolling_max,
    "rolling_median": rolling.rolling_median,
    "rolling_min": rolling.rolling_min,
    "rolling_rank": regimes.rolling_rank,
    "rolling_sum": rolling.rolling_sum,
}

numbers = st.floats(-1e3, 1e3) | st.sampled_from(SPECIAL) | st.sampled_from([1.0, 2.0, 3.0]) | st.floats(0.999, 1.001)


@pytest.mark.parametrize("name", WINDOWED)
@settings(max_examples=25, deadline=None)
@given(values=arrays(np.float64, st.integers(1, 60), elements=numbers, fill=st.nothing()), bars=st.integers(1, 20))
def test_a_window_gives_its_batched_row(name: str, values: np.ndarray, bars: int) -> None:
    quotes = bars_of(x=values)

    def function(quotes: Bars) -> np.ndarray:
        return WINDOWED[name](quotes.columns["x"], bars) + 0.0  # a zero's sign is of no account

    assert same_bits(one_by_one(function, quotes), at_once(function, quotes))


def test_windows_on_one_series_do_not_disturb_each_other() -> None:
    def function(bars: Bars) -> np.ndarray:
        x = bars.columns["x"]
        parts = [
            part for n in (3, 9, 2, 30, 9) for part in (*rolling.rolling_mean_deviation(x, n), *rolling.line(x, n))
        ]
        return sum(parts[1:], start=parts[0])

    bars = bars_of(x=np.random.default_rng(0).normal(size=200))
    assert same_bits(one_by_one(function, bars), at_once(function, bars))


def test_equal_series_are_worked_out_once() -> None:
    graph = Graph()
    first = traced(graph, lambda bars: rolling.rolling_sum(rolling.log(bars.volume), 5) * 2)
    nodes = len(graph.nodes)
    assert traced(graph, lambda bars: rolling.rolling_sum(values=rolling.log(bars.volume), bars=5) * 2) == first
    assert len(graph.nodes) == nodes
    assert traced(graph, lambda bars: rolling.rolling_sum(rolling.log(bars.volume), 5) * -2) != first


def test_zeros_of_either_sign_are_different_constants() -> None:
    graph = Graph()
    assert graph.place(0.0) != graph.place(-0.0)
    assert graph.place(1) != graph.place(1.0)


@pytest.mark.parametrize(
    "function",
    [
        lambda bars: bars.volume[1:],
        lambda bars: np.cumsum(bars.volume),
        lambda bars: np.add.reduce(bars.volume),
        lambda bars: np.tanh(bars.volume),
        lambda bars: bars.volume if bars.volume > 0 else -bars.volume,
        lambda bars: bars.volume + np.ones(1),
        lambda bars: bars.volume * float(bars.volume),
        lambda bars: bars.mid[:, 0],
        lambda bars: bars.volume.astype(np.float32),
        lambda bars: np.add(bars.volume, 1.0, out=bars.volume),
        lambda bars: np.ones(1),
    ],
)
def test_what_is_more_than_operations_and_windows_is_refused(function: Function) -> None:
    with pytest.raises(UntraceableError):
        traced(Graph(), function)


def test_every_operation_is_tested() -> None:
    whole = {"bitwise_and", "floor_divide", "frexp", "remainder", "where"}
    assert set(ELEMENTWISE) == {*ONES, *TWOS, *whole}

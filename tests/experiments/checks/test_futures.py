"""Another future is made of the bars before it alone, at the same stamps, and is nothing like the true one."""

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from small_worlds import small_bars

from experiments.checks.futures import other_future
from experiments.checks.works import first_difference
from markets.bars import CLOSE, HIGH, LOW, Bars


def cut_off(bars: Bars, row: int) -> Bars:
    """The bars with holes in the place of the future."""
    hole = np.where(np.arange(len(bars)) < row, 1.0, np.nan)
    return dataclasses.replace(
        bars, bid=bars.bid * hole[:, None], ask=bars.ask * hole[:, None], volume=bars.volume * hole
    )


@settings(max_examples=30, deadline=None)
@given(row=st.integers(2, 299), seed=st.integers(0, 99))
def test_only_what_comes_behind_changes_and_it_reads_no_future(row: int, seed: int) -> None:
    bars = small_bars(300)[0].with_spread(spread_rate=1e-3)
    made, again = (other_future(each, row, row, np.random.default_rng(seed)) for each in (bars, cut_off(bars, row)))
    for name in ("time", "bid", "ask", "volume"):
        one, other, true = (getattr(each, name) for each in (made, again, bars))
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one[:row], true[:row])
    np.testing.assert_array_equal(made.time, bars.time)
    assert (made.bid > 0).all()
    assert (made.ask > made.bid).all()
    assert (made.mid.max(1) == made.mid[:, HIGH]).all()
    assert (made.mid.min(1) == made.mid[:, LOW]).all()
    assert not (made.mid[row:, CLOSE] == bars.mid[row:, CLOSE]).any()


def test_it_is_wilder() -> None:
    bars = small_bars(3000)[0]
    made = other_future(bars, 2000, 2000, np.random.default_rng(0))
    steps = np.diff(np.log(made.mid[:, CLOSE]))
    assert 1.3 < steps[2000:].std() / steps[:1999].std() < 1.7


def test_where_fewer_than_two_bars_come_before_it_is_drawn_from_those_that_may_be_known() -> None:
    bars = small_bars(300)[0]
    made = other_future(bars, 0, 50, np.random.default_rng(0))
    blind = other_future(cut_off(bars, 50), 0, 50, np.random.default_rng(0))
    np.testing.assert_array_equal(made.bid, blind.bid)
    assert np.isfinite(made.bid).all()
    assert other_future(bars, 1, 1, np.random.default_rng(0)) is bars
    assert other_future(bars, 300, 300, np.random.default_rng(0)) is bars


@given(st.lists(st.floats(width=32), max_size=6), st.lists(st.floats(width=32), max_size=6))
def test_the_first_difference_is_told_by_bits(one: list[float], other: list[float]) -> None:
    left, right = (np.asarray(each, np.float32) for each in (one, other))
    same = [a.tobytes() == b.tobytes() or (np.isnan(a) and np.isnan(b)) for a, b in zip(left, right, strict=False)]
    expected = same.index(False) if False in same else (None if len(one) == len(other) else len(same))
    assert first_difference(left, right) == expected
    assert first_difference(left, left) is None

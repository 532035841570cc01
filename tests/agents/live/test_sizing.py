"""Units, changes, levels and caps of whoever trades a bundle: the broker's own formulas in plain Python."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.live.caps import Caps
from agents.live.sides import Sides
from agents.live.sizing import change, level, units_of
from markets.errors import UserError
from markets.sizing import whole_lots

numbers = st.floats(-5.0, 5.0)


@settings(deadline=None, max_examples=50)  # the first one compiles
@given(numbers, st.floats(1.0, 1e7), st.floats(1e-3, 1e5), st.sampled_from([0.0, 0.001, 0.01, 1.0, 1000.0]))
def test_units_are_the_brokers(target: float, equity: float, close: float, lot: float) -> None:
    with jax.enable_x64(True):
        wanted = jnp.asarray(np.clip(target, -2.0, 2.0) * equity / close, jnp.float64)
        expected = float(whole_lots(wanted, lot))
    assert units_of(target, equity, close, max_leverage=2.0, lot=lot) == expected


def test_fewer_units_than_the_least_are_none() -> None:
    assert units_of(0.5, 100.0, 10.0, max_leverage=1.0, min_units=5.0) == 5.0
    assert units_of(0.5, 99.0, 10.0, max_leverage=1.0, min_units=5.0) == 0.0


@given(st.integers(-1000, 1000), st.integers(-1000, 1000))
def test_a_change_leads_from_held_to_wanted_and_never_closes_more_than_there_is(held: int, wanted: int) -> None:
    step = change(held, wanted)
    assert held + step.close + step.open == wanted
    assert step.close * held <= 0
    assert abs(step.close) <= abs(held)
    assert step.open * wanted >= 0


@given(st.integers(10_000, 200_000), st.floats(1e-4, 0.5), st.sampled_from([-1, 1]), st.integers(-40, 40))
def test_a_rounded_level_is_met_by_the_prices_that_meet_the_exact_one(
    entry: int, distance: float, side: int, beside: int
) -> None:
    tick = 1e-5
    exact = entry * tick * (1 + side * distance)
    rounded = level(entry * tick, distance, side, tick)
    price = (round(exact / tick) + beside) * tick
    met = side * (price - exact) >= -1e-7 * tick
    assert (side * (price - rounded) >= -0.1 * tick) == met
    assert abs(rounded - exact) < 1.0001 * tick
    assert side * (rounded - exact) >= -1e-4 * tick


def test_caps_look_at_the_peak_and_at_the_day_before() -> None:
    at = lambda day, hour: np.datetime64(f"2024-01-0{day}T{hour:02d}", "us")  # noqa: E731
    caps = Caps(max_exposure=0.5, max_drawdown=0.2, max_daily_loss=0.1)
    assert [caps.clip(target) for target in (1.0, -1.0, 0.25)] == [0.5, -0.5, 0.25]
    for time, equity in ((at(1, 0), 100.0), (at(1, 23), 91.0), (at(2, 0), 83.0), (at(2, 1), float("nan"))):
        assert caps.check(time, equity) == ""  # 8.8 % since the close of the day before
    later = Caps(max_exposure=0.5, max_drawdown=0.2, max_daily_loss=0.1)
    later.restore(caps.state())
    assert later.check(at(2, 2), 81.0) == "loss of 10.99% on 2024-01-02 reached max_daily_loss 10.00%"
    assert caps.check(at(3, 0), 79.0) == "drawdown of 21.00% reached max_drawdown 20.00%"
    assert caps.check(at(4, 0), 100.0) == caps.tripped != ""
    with pytest.raises(UserError, match="max_drawdown: 0; right is a number above 0"):
        Caps(max_exposure=1.0, max_drawdown=0, max_daily_loss=0.1)


def test_a_late_bar_does_not_begin_the_day_anew() -> None:
    caps = Caps(max_exposure=1.0, max_drawdown=1.0, max_daily_loss=0.1)
    at = lambda day, hour: np.datetime64(f"2024-01-0{day}T{hour:02d}", "us")  # noqa: E731
    for time, equity in ((at(1, 0), 100.0), (at(2, 0), 96.0), (at(1, 23), 93.0), (np.datetime64("NaT"), 92.0)):
        assert caps.check(time, equity) == ""
    assert caps.check(at(2, 1), 89.0) == "loss of 11.00% on 2024-01-02 reached max_daily_loss 10.00%"


@pytest.mark.parametrize("start", [0.0, -5.0])
def test_an_account_that_begins_with_nothing_has_lost_the_whole(start: float) -> None:
    caps = Caps(max_exposure=1.0, max_drawdown=1.0, max_daily_loss=1.0)
    assert caps.check(np.datetime64("2024-01-01", "us"), start) == "drawdown of 100.00% reached max_drawdown 100.00%"
    caps = Caps(max_exposure=1.0, max_drawdown=2.0, max_daily_loss=1.0)
    assert caps.check(np.datetime64("2024-01-01", "us"), start).startswith("loss of 100.00% on 2024-01-01 reached")


def test_caps_counted_anew_forget_what_tripped_and_begin_where_they_are_told_or_stand() -> None:
    caps, day = Caps(max_exposure=1.0, max_drawdown=0.1, max_daily_loss=0.1), np.datetime64("2024-01-01", "us")
    caps.restore(caps.state())
    caps.begin(100.0)
    assert caps.look(day, 89.0) == caps.look(day, 89.0) == "drawdown of 11.00% reached max_drawdown 10.00%"
    assert caps.tripped == ""
    assert caps.check(day, 88.0) == caps.tripped != ""
    caps.renew()
    assert caps.check(day, 80.0) == caps.tripped == ""
    assert caps.check(day, 79.0) == "drawdown of 10.23% reached max_drawdown 10.00%"


def test_sides_make_a_bar_in_any_order_and_tell_of_those_that_stayed_alone() -> None:
    sides, first = Sides(2), np.datetime64("2024-01-01T00:00", "us")
    second = first + np.timedelta64(1, "h")
    bid, ask = (1.0, 1.2, 0.9, 1.1), (1.1, 1.3, 1.0, 1.2)
    assert sides.add(0, first, bid, 5.0) is None
    assert sides.add(1, second, ask, 7.0) is None
    bar = sides.add(0, second, bid, 0.0)
    assert bar is not None
    assert (bar.time, bar.bid, bar.ask, bar.volume) == (second, bid, ask, 7.0)
    assert sides.lost == [first]
    alone = Sides(1).add(0, first, bid, 1.0)
    assert alone is not None
    assert alone.bid == alone.ask == bid

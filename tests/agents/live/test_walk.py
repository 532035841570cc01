"""A walk along bars that come in any portions, some of them odd: the champion sees what one table would show."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hand_bundles import bars_of, hand_bundle

from agents.live import Champion
from agents.live.bar import bars_in
from agents.live.bar import bars_of as as_table
from agents.live.shadow import Step, Walk
from markets.bars import Bars
from markets.calendars import financing_days
from markets.rules import BrokerRules

RULES = BrokerRules(spread_rate=2e-4, calendar="fx", financing_long=2.0, financing_short=1.0)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hand_bundle(tmp_path_factory.mktemp("walks") / "champion", rules=RULES).path


@pytest.fixture(scope="module")
def bars() -> Bars:
    return bars_of(480)


def whole(bundle: Path, bars: Bars) -> list[Step]:
    return Walk(Champion.load(bundle)).extend(bars)


def without(bars: Bars, row: int) -> Bars:
    kept = bars_in(bars)
    return as_table(kept[:row] + kept[row + 1 :], bars.columns)


def spoiled(bars: Bars, row: int) -> Bars:
    """The same, with one bar whose prices are a hundredth of what they should be and its high missing."""
    bid = bars.bid.copy()
    bid[row] *= 0.01
    bid[row, 1] = np.nan
    return dataclasses.replace(bars, bid=bid)


def asked(steps: list[Step]) -> list[tuple[Any, ...]]:
    return [(one.time, one.decision.target, one.decision.stop, one.account) for one in steps]


def test_bars_go_to_a_table_and_back(bars: Bars) -> None:
    table = dataclasses.replace(bars, columns={"mood": np.linspace(0.0, 1.0, len(bars))})
    again = as_table(bars_in(table), ("mood",))
    for name in ("time", "bid", "ask", "volume"):
        np.testing.assert_array_equal(getattr(again, name), getattr(table, name))
    np.testing.assert_array_equal(again.columns["mood"], table.columns["mood"])


@pytest.mark.parametrize("back", [0, 1, 5])
def test_an_odd_bar_is_not_met_and_the_order_waits_for_the_next(bundle: Path, bars: Bars, back: int) -> None:
    """In the warm-up, and where an order is pending."""
    before = Champion.load(bundle).manifest["warm_up"] - 1
    ordered = [before + place for place, one in enumerate(whole(bundle, bars)) if one.decision.target]
    row = ordered[back] + 1 if back else before - 20
    odd = spoiled(bars, row)
    found = whole(bundle, odd)
    told = [one for one in found if one.time == bars.time[row]]
    assert [one.decision.reason.split(":")[0] for one in told] == (["not_finite"] if back else [])
    assert asked([one for one in found if one not in told]) == asked(whole(bundle, without(bars, row)))
    assert found[-1].account.equity > 0


@pytest.mark.parametrize("portions", [1, 7])
def test_a_table_that_grows_warms_up_as_one_that_is_whole(bundle: Path, bars: Bars, portions: int) -> None:
    walk, found = Walk(Champion.load(bundle)), []
    for end in range(portions, len(bars) + portions, portions):
        found += walk.extend(bars[max(0, end - 60) : end])
    expected = whole(bundle, bars)
    assert len(found) == len(expected) == len(bars) - Champion.load(bundle).manifest["warm_up"] + 1
    assert [one.time for one in found] == [one.time for one in expected]


def test_what_was_charged_for_a_bar_of_unknown_length_is_put_right(bundle: Path, bars: Bars) -> None:
    """Over a weekend and every day the next bar comes later than usual, and the accounts meet again behind it."""
    hours = np.arange(len(bars))
    late = np.datetime64("2024-01-01T00:00", "us") + (hours + 50 * (hours // 100)) * np.timedelta64(1, "h")
    bars = dataclasses.replace(bars, time=late)
    walk, found, closed = Walk(Champion.load(bundle)), [], []
    for end in range(1, len(bars) + 1):
        found += walk.extend(bars[:end])
    expected = whole(bundle, bars)
    days = financing_days(bars.time, "fx")[-len(expected) :]
    hour = np.asarray(
        [financing_days(np.array([one.time, one.time + np.timedelta64(1, "h")]), "fx")[0] for one in found]
    )
    for one, other, known, thought in zip(found, expected, days, hour, strict=True):
        same = one.account.equity == pytest.approx(other.account.equity, rel=1e-12)
        closed.append(same)
        assert same or (known != thought and one.account.units)
        assert one.account.units == pytest.approx(other.account.units, rel=1e-9)
    assert not all(closed)

"""Time features against the calendar of the standard library, and sessions at their edges."""

import datetime
import math

import numpy as np
import pytest
from causality import same_bits
from hypothesis import given
from hypothesis import strategies as st

from markets.bars import Bars
from markets.features import FeatureSettings, compute_features, features

CLOCK = tuple(feature for feature in features() if not feature.scaled)
NAMES = tuple(feature.name for feature in CLOCK)


def at(stamps: list[datetime.datetime]) -> dict[str, np.ndarray]:
    time = np.array(stamps, "datetime64[us]")
    bars = Bars.from_mid("CLOCK", time, np.ones((len(time), 4)))
    return dict(zip(NAMES, compute_features(CLOCK, bars).T, strict=True))


moments = st.datetimes(datetime.datetime(1960, 1, 1), datetime.datetime(2060, 1, 1))


@given(st.lists(moments, min_size=1, max_size=20))
def test_cycles_are_those_of_the_calendar(stamps: list[datetime.datetime]) -> None:
    seen = at(stamps)
    for row, stamp in enumerate(stamps):
        phases = {
            "hour": (stamp.hour * 60 + stamp.minute) / 1440,
            "weekday": stamp.weekday() / 7,
            "month": (stamp.month - 1) / 12,
        }
        for name, phase in phases.items():
            assert seen[f"{name}_sin"][row] == pytest.approx(math.sin(2 * math.pi * phase), abs=1e-12)
            assert seen[f"{name}_cos"][row] == pytest.approx(math.cos(2 * math.pi * phase), abs=1e-12)


@given(st.lists(moments, min_size=2, max_size=40))
def test_bits_do_not_depend_on_the_place_in_the_array(stamps: list[datetime.datetime]) -> None:
    whole, tail = at(stamps), at(stamps[1:])
    for name in NAMES:
        assert same_bits(whole[name][1:], tail[name])


@pytest.mark.parametrize(
    ("stamp", "open_sessions"),
    [
        ("2024-03-04T00:00", {"asia"}),
        ("2024-03-04T07:59", {"asia"}),
        ("2024-03-04T08:00", {"asia", "london"}),
        ("2024-03-04T09:00", {"london"}),
        ("2024-03-04T13:00", {"london", "new_york"}),
        ("2024-03-04T17:00", {"new_york"}),
        ("2024-03-08T21:59", {"new_york"}),
        ("2024-03-08T22:00", set()),
        ("2024-03-09T14:00", set()),
        ("2024-03-10T23:00", set()),
    ],
)
def test_sessions_open_at_fixed_hours_of_weekdays(stamp: str, open_sessions: set[str]) -> None:
    seen = at([datetime.datetime.fromisoformat(stamp)])
    assert {name for name in ("asia", "london", "new_york") if seen[f"session_{name}"][0]} == open_sessions


def test_a_switch_leaves_the_clock_out() -> None:
    assert not set(NAMES) & {feature.name for feature in features(FeatureSettings(clock=False))}
    assert len(NAMES) == 9

"""Financing days against the reference, which writes every rollover down and counts."""

import numpy as np
import pytest
from reference.calendars import financing_days as enumerated_days

from markets.calendars import financing_days

CALENDARS = ("none", "fx", "us_equity", "crypto")
HOUR = 3_600_000_000


def stamps(start: str, gaps_us: np.ndarray) -> np.ndarray:
    return np.datetime64(start, "us") + np.concatenate([[0], np.cumsum(gaps_us)]).astype("timedelta64[us]")


@pytest.mark.parametrize("calendar", CALENDARS)
@pytest.mark.parametrize("seed", range(8))
def test_financing_days_agree_with_rollovers_written_down_one_by_one(calendar: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    start = f"{rng.integers(1990, 2030)}-{rng.integers(1, 13):02d}-{rng.integers(1, 29):02d}T{rng.integers(24):02d}"
    usual = int(rng.choice([HOUR // 12, HOUR, 4 * HOUR, 24 * HOUR]))
    gaps = np.full(400, usual)
    holes = rng.random(400) < 0.1
    gaps[holes] = rng.integers(1, 200 * HOUR, holes.sum()) if seed % 2 else HOUR * rng.integers(1, 200, holes.sum())
    time = stamps(start, gaps)
    np.testing.assert_allclose(financing_days(time, calendar), enumerated_days(time, calendar), rtol=1e-12)


@pytest.mark.parametrize("calendar", ["fx", "us_equity"])
@pytest.mark.parametrize("change", ["2024-03-08", "2024-11-01", "2006-03-31", "2006-10-27"])
def test_financing_days_agree_where_the_clocks_change(calendar: str, change: str) -> None:
    time = stamps(change, np.full(24 * 7, HOUR))
    days = financing_days(time, calendar)
    np.testing.assert_array_equal(days, enumerated_days(time, calendar))
    assert days[:-1].sum() == 7, "a week of either clock pays seven days"


def test_last_bar_has_the_most_frequent_length_and_the_smaller_on_a_tie() -> None:
    hours = np.array([1, 1, 4, 4, 30]) * HOUR
    time = stamps("2024-01-02", hours)
    assert financing_days(time, "crypto")[-1] == pytest.approx(1 / 24)
    assert enumerated_days(time, "crypto")[-1] == pytest.approx(1 / 24)

"""The log of openings: every look at a holdout counts once, whatever is killed, torn or asked at the same time."""

import json
import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from experiments.certificates import openings
from experiments.certificates.asking import recipe_of
from experiments.certificates.judging import STRICTEST, Evidence, judge
from experiments.certificates.openings import LOG, Opening, level_of, overlaps, read_openings, register
from markets.errors import UserError
from markets.source import IndexSettings, MarketSettings
from markets.synthetic import SyntheticSettings, simulate

ALPHA = 0.02
NOTHING = Evidence(np.zeros((9, 6)), np.zeros((9, 6)), [0] * 6, [0] * 6, [0.0] * 6)
SPAN = ("2020-01-01T00:00:00Z", "2020-12-31T00:00:00Z")


def opening(run: str = "a", **changes: object) -> Opening:
    own = Opening(
        time="2026-01-01T00:00:00+00:00",
        run_id=run,
        replicate=1,
        data_hash="d" * 64,
        made_up=False,
        spans={"EURUSD": SPAN},
        champions={"all": "c" * 64},
        rules="r",
    )
    return replace(own, **changes)  # type: ignore[arg-type]


def test_the_first_look_is_judged_at_alpha_and_the_kth_at_its_share(tmp_path: Path) -> None:
    made = [register(tmp_path, opening(run), ALPHA)[0] for run in "abcd"]
    assert [own.opening for own in made] == [1, 2, 3, 4]
    assert made[0].level == ALPHA
    for own in made[1:]:
        assert own.level == pytest.approx(6 * ALPHA / (math.pi**2 * own.opening**2), rel=1e-12)
    assert sum(level_of(k, ALPHA) for k in range(1, 20_000)) < 1.4 * ALPHA


def test_the_same_family_on_the_same_bars_is_one_opening(tmp_path: Path) -> None:
    first, _ = register(tmp_path, opening(), ALPHA)
    register(tmp_path, opening("b"), ALPHA)
    before = (tmp_path / LOG).read_bytes()
    again, earlier = register(tmp_path, opening(time="2027-01-01T00:00:00+00:00"), ALPHA)
    assert (again, earlier) == (first, [])
    assert (tmp_path / LOG).read_bytes() == before
    third, earlier = register(tmp_path, opening(champions={"all": "e" * 64}), ALPHA)
    assert third.opening == 3
    assert [own.run_id for own in earlier] == ["a", "b"]


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"spans": {"EURUSD": ("2020-12-31T00:00:00Z", "2021-06-01T00:00:00Z")}}, True),
        ({"spans": {"EURUSD": ("2020-12-31T01:00:00Z", "2021-06-01T00:00:00Z")}}, False),
        ({"spans": {"GBPUSD": SPAN}}, False),
        ({"spans": {"GBPUSD": SPAN, "EURUSD": ("2019-01-01T00:00:00Z", "2020-01-01T00:00:00Z")}}, True),
        ({"data_hash": "e" * 64}, True),
        ({"data_hash": "e" * 64, "made_up": True}, False),
        ({"made_up": True}, True),
        ({"data_hash": "e" * 64, "made_up": True, "recipe": "x"}, False),
    ],
)
def test_openings_overlap_where_a_symbol_and_its_times_do(changes: dict[str, object], same: bool) -> None:
    other = opening("b", **changes)
    assert overlaps(opening(), other) is same
    assert overlaps(other, opening()) is same


def test_more_of_a_made_up_market_is_the_same_market(tmp_path: Path) -> None:
    """Longer markets and those of more symbols begin with the same bars; so their holdouts are no fresh ones."""
    few, more = SyntheticSettings(bars=40), SyntheticSettings(bars=50, symbols=12)
    first, *_ = simulate(few, 5)
    again, *_ = simulate(more, 5)
    np.testing.assert_array_equal(first.bid, again.bid[:40])
    recipes = [
        recipe_of(MarketSettings("synthetic", mode, source), seed)
        for mode, source, seed in (
            ("pool", few, 5),
            ("basket", more, 5),
            ("pool", few, 6),
            ("pool", replace(few, edge=8), 5),
        )
    ]
    asked = [
        opening(str(place), data_hash=str(place), made_up=True, recipe=recipe, spans={symbol: SPAN})
        for place, (recipe, symbol) in enumerate(zip(recipes, ("SYN1", "SYN01", "SYN1", "SYN1"), strict=True))
    ]
    assert (first.symbol, again.symbol) == ("SYN1", "SYN01")
    assert [register(tmp_path, own, ALPHA)[0].opening for own in asked] == [1, 2, 1, 1]
    assert read_openings(tmp_path)[1].recipe == recipes[0]
    assert not overlaps(asked[0], replace(asked[1], spans={"SYN10": SPAN}))
    assert not overlaps(asked[0], replace(asked[1], spans={"SYN01": ("2021-01-01T00:00:00Z", "2021-02-01T00:00:00Z")}))
    assert recipe_of(MarketSettings("sp500", "pool", IndexSettings()), 5) == ""


def test_a_level_too_strict_to_be_told_is_refused_before_its_line(tmp_path: Path) -> None:
    for run in range(15):
        register(tmp_path, opening(str(run)), ALPHA, strictest=STRICTEST)
    with pytest.raises(UserError, match=r"looked at 15 times.*0.0047 %.*nobody has looked at"):
        register(tmp_path, opening("15"), ALPHA, strictest=STRICTEST)
    assert len(read_openings(tmp_path)) == 15
    assert register(tmp_path, opening("7"), ALPHA, strictest=STRICTEST)[0].opening == 8  # asked again
    assert judge(NOTHING, level=level_of(15, ALPHA), days_per_year=252.0).draws >= 5 / level_of(15, ALPHA)


def test_no_call_that_some_systems_lack_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pread", "pwrite"):
        monkeypatch.delattr(os, name)
    monkeypatch.setattr(openings, "_fcntl", None)
    monkeypatch.setattr(openings, "_PIECE", 100)  # less than a line
    true_write = os.write
    monkeypatch.setattr(os, "write", lambda handle, content: true_write(handle, content[:100]))
    assert [register(tmp_path, opening(run), ALPHA)[0].opening for run in "aab"] == [1, 1, 2]
    assert [own.run_id for own in read_openings(tmp_path)] == ["a", "b"]


def test_wherever_a_line_was_cut_short_it_was_no_opening(tmp_path: Path) -> None:
    register(tmp_path, opening("a"), ALPHA)
    whole = (tmp_path / LOG).read_bytes()
    register(tmp_path, opening("b"), ALPHA)
    both = (tmp_path / LOG).read_bytes()
    for cut in range(len(whole) + 1, len(both) - 1, 7):
        (tmp_path / LOG).write_bytes(both[:cut])
        assert [own.run_id for own in read_openings(tmp_path)] == ["a"]
        made, _ = register(tmp_path, opening("b"), ALPHA)
        assert made.opening == 2
        assert (tmp_path / LOG).read_bytes() == both
    (tmp_path / LOG).write_bytes(whole + b'{"time": "' + b"9" * 5_000)  # longer than the line that takes its place
    register(tmp_path, opening("b"), ALPHA)
    assert (tmp_path / LOG).read_bytes() == both
    (tmp_path / LOG).write_bytes(both[:-1])  # whole but for its end, as an editor leaves it
    assert register(tmp_path, opening("c"), ALPHA)[0].opening == 3
    assert [own.run_id for own in read_openings(tmp_path)] == ["a", "b", "c"]


def test_a_damaged_line_is_named_and_nothing_is_opened(tmp_path: Path) -> None:
    register(tmp_path, opening("a"), ALPHA)
    values = asdict(opening("b"))
    for wrong in (
        "{",
        "[]",
        json.dumps({**values, "spans": {"EURUSD": ["x"]}}),
        json.dumps({**values, "opening": "1"}),
    ):
        with (tmp_path / LOG).open("a") as log:
            log.write(wrong + "\n")
        before = (tmp_path / LOG).read_bytes()
        with pytest.raises(UserError, match="line 2 is damaged"):
            register(tmp_path, opening("c"), ALPHA)
        assert (tmp_path / LOG).read_bytes() == before
        (tmp_path / LOG).write_bytes(before[: before.index(b"\n") + 1])


def test_whoever_asks_at_the_same_time_gets_a_number_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as several:
        made = list(several.map(lambda run: register(tmp_path, opening(str(run)), ALPHA)[0].opening, range(24)))
    assert sorted(made) == list(range(1, 25))
    assert [own.opening for own in read_openings(tmp_path)] == list(range(1, 25))


def test_no_log_is_no_opening(tmp_path: Path) -> None:
    assert read_openings(tmp_path) == []

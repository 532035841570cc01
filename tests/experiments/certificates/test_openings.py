"""The log of openings: every look at a holdout counts once, whatever is killed, torn or asked at the same time."""

import json
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from experiments.certificates.openings import LOG, Opening, level_of, overlaps, read_openings, register
from markets.errors import UserError

ALPHA = 0.02
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
    ],
)
def test_openings_overlap_where_a_symbol_and_its_times_do(changes: dict[str, object], same: bool) -> None:
    other = opening("b", **changes)
    assert overlaps(opening(), other) is same
    assert overlaps(other, opening()) is same


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

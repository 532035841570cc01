"""Judging on made-up records whose verdict is known beforehand."""

from typing import Any

import numpy as np
import pytest

from experiments.certificates.judging import ALPHA, LEAST, Evidence, Judgement, judge
from experiments.certificates.words import member_reasons, population_reasons, vacancy_words

NAMES = ("bull_trending", "bear_trending", "volatile_ranging", "calm_ranging", "all", "router")
NO_RECORD = "no member of the family has a record to be judged by: each has too few"
DAYS, MEMBERS, YEAR = 700, 6, 252.0


def noise(seed: int, days: int = DAYS, members: int = MEMBERS) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.01, (days, members))


def evidence(returns: np.ndarray, matched: np.ndarray | None = None, **changes: Any) -> Evidence:
    members = returns.shape[1]
    held = np.zeros_like(returns) if matched is None else matched
    values = {"spells": [50] * members, "trades": [200] * members, "holding": [0.5] * members, **changes}
    return Evidence(returns, held, **values)


def judged(own: Evidence, **how: Any) -> Judgement:
    return judge(own, days_per_year=YEAR, draws=400, **how)


def test_a_strong_edge_passes_and_noise_beside_it_does_not() -> None:
    returns = noise(1)
    returns[:, 4] += 0.002  # a Sharpe ratio of about 3 a year
    found = judged(evidence(returns))
    assert found.verdict == "pass"
    assert [own.verdict for own in found.members] == ["fail"] * 4 + ["pass", "fail"]
    assert found.members[4].flat.rejected
    assert found.members[4].matched.rejected
    assert found.flat is not None
    assert found.flat.p_consistent < ALPHA


def test_noise_fails_about_as_often_as_the_level_says() -> None:
    verdicts = [judged(evidence(noise(seed)), thrifty=True).verdict for seed in range(25)]
    assert set(verdicts) <= {"pass", "fail"}
    assert verdicts.count("pass") <= 3  # of 25 at 2 % more have a chance of 1 in 6,000


def test_always_long_in_a_rising_market_does_not_beat_its_own_exposure() -> None:
    market = np.random.default_rng(3).normal(0.002, 0.01, (DAYS, 1))
    small = np.random.default_rng(4).normal(0.0, 1e-4, (DAYS, MEMBERS))
    found = judged(evidence(market + small, np.repeat(market, MEMBERS, 1)))
    assert found.verdict == "fail"
    assert all(own.flat.rejected and not own.matched.rejected for own in found.members)


def test_who_beats_its_exposure_but_not_flat_fails() -> None:
    """A falling market: losing less than the exposure held is no profit."""
    market = np.random.default_rng(5).normal(-0.002, 0.01, (DAYS, 1))
    found = judged(evidence(np.repeat(0.1 * market, MEMBERS, 1) + noise(6) / 100, np.repeat(market, MEMBERS, 1)))
    assert found.verdict == "fail"
    assert all(own.matched.rejected and not own.flat.rejected for own in found.members)


@pytest.mark.parametrize("what", LEAST)
def test_too_little_of_anything_is_insufficient_however_good_the_record(what: str) -> None:
    enough = {"spells": LEAST["spells"], "trades": LEAST["trades"]}
    days = LEAST["days"]
    full = {name: [count] * MEMBERS for name, count in enough.items()}
    record = evidence(noise(7, days) + 0.003, **full)
    assert judged(record).verdict == "pass"
    if what == "days":
        short = evidence(noise(7, days - 1) + 0.003, **full)
    else:
        short = evidence(noise(7, days) + 0.003, **{**full, what: [LEAST[what] - 1] * MEMBERS})
    found = judged(short)
    assert found.verdict == "insufficient"
    assert [(lack.what, lack.have, lack.need) for lack in found.members[0].lacks] == [
        (what, LEAST[what] - 1, LEAST[what])
    ]


def test_one_that_failed_decides_over_those_that_are_too_short() -> None:
    trades = [10] * 5 + [200]
    assert judged(evidence(noise(8), trades=trades)).verdict == "fail"


def test_idle_members_are_no_verdict() -> None:
    returns = noise(9)
    returns[:, :5] = 0.0
    found = judged(evidence(returns, trades=[0] * 5 + [200], matched=np.full_like(returns, 1e-3)))
    assert [own.idle for own in found.members] == [True] * 5 + [False]
    assert found.verdict == "fail"
    nobody = judged(evidence(np.zeros((DAYS, MEMBERS)), trades=[0] * MEMBERS, holding=[np.nan] * MEMBERS))
    assert nobody.verdict == "insufficient"
    assert population_reasons(nobody, NAMES, {name: ["it never held a position"] for name in NAMES}) == [
        "no member of the family ever held a position on the holdout, so there is nothing to judge"
    ]
    assert nobody.flat is None


def test_thrift_changes_no_verdict() -> None:
    for seed, edge in ((10, 0.0), (11, 0.0025)):
        returns = noise(seed)
        returns[:, 0] += edge
        whole, thrifty = (judged(evidence(returns), thrifty=own) for own in (False, True))
        assert whole.verdict == thrifty.verdict
        assert [own.verdict for own in whole.members] == [own.verdict for own in thrifty.members]


def test_a_later_opening_is_judged_more_strictly() -> None:
    returns = noise(12)
    returns[:, 0] += 0.0005
    levels = (0.5, 0.2, 1e-3)
    assert [judged(evidence(returns), level=level).members[0].verdict for level in levels] == ["pass", "pass", "fail"]
    idle = evidence(0 * returns)  # nothing is drawn
    assert [judge(idle, days_per_year=YEAR, level=level).draws for level in (ALPHA, 2.5e-4)] == [5_000, 20_000]


def test_the_smallest_sharpe_ratio_that_could_be_found_is_that_of_the_design() -> None:
    """Solved for bars: n = n_yr · ((z_{1−α/K} + z_.8) / SR)²."""
    found = judged(evidence(noise(13)))
    quantiles = 2.7131 + 0.8416  # of 1 − 0.02/6 and 0.8
    assert pytest.approx(YEAR * (quantiles / found.detectable) ** 2, rel=1e-3) == DAYS


def test_equal_questions_have_equal_answers() -> None:
    own = evidence(noise(14) + 0.001)
    first, second = (judge(own, days_per_year=YEAR, draws=500) for _ in range(2))
    assert first.verdict == second.verdict
    assert first.flat is not None
    assert second.flat is not None
    assert first.flat.p_consistent == second.flat.p_consistent


def test_reasons_say_what_a_trader_asks() -> None:
    market = np.random.default_rng(3).normal(0.002, 0.01, (DAYS, 1))
    found = judged(evidence(np.repeat(0.5 * market, MEMBERS, 1) + noise(15) / 100, np.repeat(market, MEMBERS, 1)))
    told = {"held": True, "exposure": 1.0, "detectable": found.detectable, "router": False}
    own = found.members[0]
    assert member_reasons(own, earned=0.031, matched=0.04, **told) == [
        "it earned 3.1 % a year, but holding the same exposure (+1.00 of equity on average) earned 4.0 %"
    ]
    assert member_reasons(own, earned=-0.031, matched=0.04, **told) == ["it lost 3.1 % a year"]
    short = judged(evidence(noise(16, 100), spells=[1] * MEMBERS))
    words = member_reasons(short.members[0], earned=0.031, matched=-0.04, **told)
    assert words[0] == "too short a record: 1 spell of its regime where 30 are needed and 100 days where 250 are needed"
    assert "nobody" in member_reasons(own, earned=0.0, matched=0.0, **{**told, "held": False})[0]
    reasons = population_reasons(found, NAMES, {name: ["it lost"] for name in NAMES})
    assert reasons[0].startswith("no member of the family beats both")
    assert "the router: it lost" in reasons


@pytest.mark.parametrize(
    ("days", "changes", "said"),
    [
        (100, {}, "the holdout is too short to judge any member of the family: 100 days where 250 are needed"),
        (DAYS, {"trades": [9] * 6}, f"{NO_RECORD} trades"),
        (
            DAYS,
            {"trades": [200] * 5 + [9], "spells": [9] * 5 + [50]},
            f"{NO_RECORD} spells of its regime or too few trades",
        ),
    ],
)
def test_what_there_is_too_little_of_is_named(days: int, changes: dict[str, Any], said: str) -> None:
    found = judged(evidence(noise(17, days), **changes))
    assert found.verdict == "insufficient"
    head, smallest = population_reasons(found, NAMES, {name: ["too short a record"] for name in NAMES})
    assert head == said
    assert smallest == f"a holdout this long finds a Sharpe ratio of {found.detectable:.2f} a year, and nothing smaller"


def test_folds_that_nobody_holds_a_place_in_are_named() -> None:
    assert vacancy_words([True, True]) == []
    assert vacancy_words([False, True]) == [
        "nobody holds a place in fold 0 (of 2, counted from 0): every member is flat there"
    ]
    assert "folds 0, 2 (of 3" in vacancy_words([False, True, False])[0]

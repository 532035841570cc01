"""Judging: from what a family did by day to verdicts. Pure and quick: studies ask it thousands of times.

A member passes if StepM rejects, at the level of the opening, that it earned no more than nothing, and that it earned
no more than its mean exposure held all along. Where the record is too short for either to mean anything, it is
insufficient.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.evidence.sharpe import detectable
from experiments.evidence.superiority import Superiority, block_length, superior

__all__ = [
    "ALPHA",
    "DRAWS",
    "LEAST",
    "SEED",
    "STRICTEST",
    "Against",
    "Evidence",
    "Judgement",
    "Lack",
    "MemberVerdict",
    "Verdict",
    "judge",
]

Verdict = Literal["pass", "fail", "insufficient"]

ALPHA = 0.02
"""Chance that a population without an edge passes, where its holdout is opened for the first time."""

DRAWS = 5_000
"""Of the bootstrap at least: more where the level is so strict that few draws would lie beyond it."""

_BEYOND, _MOST = 5, 100_000  # draws beyond the level, and of all

STRICTEST = _BEYOND / _MOST
"""Level below which fewer than five of the most draws lie beyond it: too few to tell anything."""

SEED = 0
"""Of the bootstrap: fixed, so that nobody can ask again until luck says yes."""

LEAST = {"spells": 30, "trades": 100, "days": 250}
"""Fewer than this of any is too short a record to be judged."""

_SHORTEST = 8
"""Days below which there is nothing to test at all."""


class Evidence(NamedTuple):
    """What is known of a family on its holdout."""

    returns: NDArray[np.float64]
    """By day, [days, members]."""
    matched: NDArray[np.float64]
    """Of each member's mean exposure, held, [days, members]."""
    spells: Sequence[int]
    """Separate spells of the regimes that each member may act in, [members]."""
    trades: Sequence[int]
    """Closed trades of each, [members]."""
    holding: Sequence[float]
    """Median time that each held a trade, in days; NaN without any, [members]."""


class Against(NamedTuple):
    """A member's test against one benchmark."""

    statistic: float | None
    """√T · mean / HAC standard deviation of the daily differences; None where it never differs."""
    rejected: bool
    """Whether StepM rejects that the benchmark is as good."""


class Lack(NamedTuple):
    """What there is too little of."""

    what: Literal["spells", "trades", "days"]
    have: int
    need: int


class MemberVerdict(NamedTuple):
    """What one member's record comes to."""

    verdict: Verdict
    idle: bool
    """Whether its account never moved."""
    flat: Against
    matched: Against
    lacks: tuple[Lack, ...]


class Judgement(NamedTuple):
    """What a family's record comes to."""

    verdict: Verdict
    """`pass` if any member passes; `insufficient` if every member that is not idle is, or all are idle; else `fail`."""
    members: tuple[MemberVerdict, ...]
    level: float
    detectable: float
    """The smallest annual Sharpe ratio that a record of this length finds with probability 0.8."""
    block: int
    """Mean length of the bootstrap's blocks, in days."""
    draws: int
    flat: Superiority | None
    """None where there are too few days to test anything."""
    matched: Superiority | None


def judge(
    evidence: Evidence,
    *,
    level: float = ALPHA,
    days_per_year: float,
    draws: int | None = None,
    seed: int = SEED,
    thrifty: bool = False,
) -> Judgement:
    """Judge a family.

    Args:
        evidence: of all its members.
        level: chance that a family without an edge passes; `STRICTEST` at least.
        days_per_year: of the venue.
        draws: of the bootstrap; None for as many as the level needs.
        seed: of the bootstrap.
        thrifty: whether to leave out the test against the matched benchmark where the one against flat rejects nobody
            who has enough of a record: the verdict is the same, `matched` is then None.
    """
    days, members = evidence.returns.shape
    draws = max(DRAWS, min(_MOST, math.ceil(_BEYOND / level))) if draws is None else draws
    lacks = [_lacks(days, spells, trades) for spells, trades in zip(evidence.spells, evidence.trades, strict=True)]
    idle = ~(evidence.returns != 0).any(0)
    block, flat, matched = 0, None, None
    if days >= _SHORTEST and not idle.all():
        block = block_length(evidence.returns, evidence.holding)

        def against(benchmark: NDArray[np.float64] | float) -> Superiority:
            return superior(
                np.where(idle, 0.0, evidence.returns - benchmark), alpha=level, block=block, draws=draws, seed=seed
            )

        flat = against(0.0)
        hopeful = any(flat.rejected[m] and not lacks[m] for m in range(members))
        if hopeful or not thrifty:
            matched = against(evidence.matched)
    verdicts = tuple(_member(m, flat, matched, bool(idle[m]), lacks[m]) for m in range(members))
    moving = [own.verdict for own in verdicts if not own.idle]
    whole: Verdict = "fail"
    if "pass" in moving:
        whole = "pass"
    elif all(verdict == "insufficient" for verdict in moving):
        whole = "insufficient"
    smallest = detectable(days, periods_per_year=days_per_year, alpha=level, tests=members)
    return Judgement(whole, verdicts, level, smallest, block, draws, flat, matched)


def _member(
    place: int, flat: Superiority | None, matched: Superiority | None, idle: bool, lacks: tuple[Lack, ...]
) -> MemberVerdict:
    tests = [_against(result, place) for result in (flat, matched)]
    verdict: Verdict = "pass" if all(test.rejected for test in tests) else "fail"
    return MemberVerdict("insufficient" if lacks else verdict, idle, tests[0], tests[1], lacks)


def _against(result: Superiority | None, place: int) -> Against:
    if result is None:
        return Against(None, False)
    statistic = float(result.statistic[place])
    return Against(statistic if math.isfinite(statistic) else None, bool(result.rejected[place]))


def _lacks(days: int, spells: int, trades: int) -> tuple[Lack, ...]:
    have: dict[Literal["spells", "trades", "days"], int] = {"spells": spells, "trades": trades, "days": days}
    return tuple(Lack(what, own, LEAST[what]) for what, own in have.items() if own < LEAST[what])

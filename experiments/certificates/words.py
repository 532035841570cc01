"""Words: why a champion passed, failed, or could not be judged, as a trader would say it."""

from collections.abc import Mapping, Sequence

from experiments.certificates.judging import Judgement, MemberVerdict
from experiments.certificates.openings import Opening

__all__ = ["NAMES", "member_reasons", "opening_words", "population_reasons", "vacancy_words"]

NAMES = {
    "bull_trending": "the champion of bull trends",
    "bear_trending": "the champion of bear trends",
    "volatile_ranging": "the champion of volatile ranges",
    "calm_ranging": "the champion of calm ranges",
    "all": "the all-rounder",
    "router": "the router",
}
"""What members are called in a sentence."""

_WHAT = {"spells": "spells of its regime", "trades": "trades", "days": "days"}


def member_reasons(
    own: MemberVerdict, *, held: bool, earned: float, matched: float, exposure: float, detectable: float, router: bool
) -> list[str]:
    """Why one member got its verdict.

    Args:
        own: the verdict.
        held: whether anybody holds the place.
        earned: by the member, a year, as a share.
        matched: by its mean exposure held, likewise.
        exposure: that mean, as a multiple of equity.
        detectable: smallest Sharpe ratio that the holdout could find.
        router: whether it is the router, or the all-rounder, which act in all regimes.
    """
    if not held:
        return ["nobody holds this place: no candidate ever traded there on validation"]
    if own.idle:
        return ["it never held a position on the holdout, so there is nothing to judge"]
    holding = f"holding the same exposure ({exposure:+.2f} of equity on average) {_did(matched)}"
    if own.lacks:
        what = {**_WHAT, "spells": "spells of a regime"} if router else _WHAT
        few = " and ".join(_few(lack.have, what[lack.what], lack.need) for lack in own.lacks)
        return [
            f"too short a record: {few}",
            f"it {_did(earned)} a year, {holding}",
            f"a holdout this long finds a Sharpe ratio of {detectable:.2f} a year, and nothing smaller",
        ]
    if own.verdict == "pass":
        return [f"it {_did(earned)} a year and {holding}: it beats both that and staying flat by more than luck"]
    if earned <= 0:
        return [f"it {_did(earned)} a year"]
    if not own.flat.rejected:
        return [f"it {_did(earned)} a year, which luck alone may explain"]
    if earned <= matched:
        return [f"it {_did(earned)} a year, but {holding}"]
    return [f"it {_did(earned)} a year and {holding}: that difference may be luck"]


def population_reasons(judgement: Judgement, names: Sequence[str], reasons: Mapping[str, Sequence[str]]) -> list[str]:
    """Why a population got its verdict, in a few sentences.

    Args:
        judgement: of the family.
        names: of its members, in the same order.
        reasons: of each.
    """
    passed = [name for name, own in zip(names, judgement.members, strict=True) if own.verdict == "pass"]
    if passed:
        return [f"{NAMES[name]} passes: {reasons[name][0]}" for name in passed]
    moving = [
        (name, own)
        for name, own in zip(names, judgement.members, strict=True)
        if not own.idle and own.verdict == "fail"
    ]
    if all(own.idle for own in judgement.members):
        return ["no member of the family ever held a position on the holdout, so there is nothing to judge"]
    if judgement.verdict == "insufficient":
        lacks = {lack.what: lack for own in judgement.members if not own.idle for lack in own.lacks}
        few = " or ".join(f"too few {said}" for what, said in _WHAT.items() if what in lacks)
        head = f"no member of the family has a record to be judged by: each has {few}"
        if "days" in lacks:
            days = _few(lacks["days"].have, "days", lacks["days"].need)
            head = f"the holdout is too short to judge any member of the family: {days}"
        smallest = judgement.detectable
        return [head, f"a holdout this long finds a Sharpe ratio of {smallest:.2f} a year, and nothing smaller"]
    head = "no member of the family beats both staying flat and holding its own mean exposure by more than luck"
    return [head, *(f"{NAMES[name]}: {reasons[name][0]}" for name, _ in moving)]


def vacancy_words(held: Sequence[bool]) -> list[str]:
    """In which folds nobody holds any place, if there are such.

    Args:
        held: of each fold, whether anybody does.
    """
    vacant = [str(fold) for fold, own in enumerate(held) if not own]
    if not vacant:
        return []
    folds = f"fold {vacant[0]}" if len(vacant) == 1 else f"folds {', '.join(vacant)}"
    return [f"nobody holds a place in {folds} (of {len(held)}, counted from 0): every member is flat there"]


def opening_words(opening: Opening, earlier: int) -> str:
    """How often these bars have been looked at, and what that costs."""
    if not earlier:
        return f"first opening of these bars: judged at {100 * opening.level:.3g} %"
    times = "once" if earlier == 1 else f"{earlier} times"
    return (
        f"these bars have been looked at {times} before: opening {opening.opening} is judged at "
        f"{100 * opening.level:.2g} %"
    )


def _few(have: int, what: str, need: int) -> str:
    one, of, rest = what.partition(" ")
    return f"{have:,} {one if have != 1 else one.removesuffix('s')}{of}{rest} where {need} are needed"


def _did(earned: float) -> str:
    return f"{'earned' if earned >= 0 else 'lost'} {100 * abs(earned):.1f} %"

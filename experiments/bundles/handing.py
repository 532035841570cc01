"""Handing on: which champion of a run a bundle holds, how it acts, and what its certificate says of it.

By the rule `plain` a champion acts as it was bred, in every regime; what it was certified as comes along all the same,
and says whether it acted so there. By the rule `certified` a member of the
certificate's family is handed on exactly as it was judged: a regime's champion is flat outside its regime, and who acts
by a choice of the grid does so here. The router sends each bar to its regime's champion, by either rule.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from arena.schemas import REGIME_NAMES
from experiments.bundles.acting import Handed, as_bred, block_of
from experiments.certificates.family import MEMBERS, ROUTER, Family, champion_hashes, read_family, ruled, seated
from experiments.certificates.reading import certificate_path, read_certificate
from experiments.champions.champions import Champion, find_champion, read_trader
from experiments.champions.world import World
from experiments.configuration.study import Study
from experiments.inference.rules import Choice
from experiments.runs.champions import fold_reached, replicates
from experiments.runs.directory import RunDirectory
from markets.errors import UserError

__all__ = ["RuleName", "Who", "handed_on", "look_up"]

RuleName = Literal["certified", "plain"]

_ALL_ROUNDER, _ALL = "all_rounder", "all"


@dataclasses.dataclass(frozen=True)
class Who:
    """Whom a bundle is to hold.

    Attributes:
        member: of the family: a regime, `all` or `router`; None of a champion that is named by its id and is no member.
        champion: who that is; None of the router.
        replicate: from 1.
        fold: of the split.
        certificate: of the family that it was judged in; None where it was not.
        as_judged: whether it is handed on acting as it did then.
        note: why a certificate that there is does not come along; else empty.
    """

    member: str | None
    champion: Champion | None
    replicate: int
    fold: int
    certificate: Mapping[str, Any] | None = None
    as_judged: bool = True
    note: str = ""


class _Judged(NamedTuple):
    """What there is of a certificate."""

    values: Mapping[str, Any] | None
    missing: str
    """Why there is none that holds of these champions; empty where there is one."""
    there: bool
    """Whether there is a file at all."""


def look_up(directory: RunDirectory, study: Study, who: str, replicate: int | None, rule: RuleName | None) -> Who:
    """Find whom a user means, and the certificate that is to come along.

    Args:
        directory: of the run.
        study: of the run.
        who: a regime, `all`, `router`, or the id of an agent that is or was a champion.
        replicate: whose champion of the regime; the first where nothing is said.
        rule: what was asked for; where nothing was, `certified` if there is a certificate of it.

    Raises:
        UserError: no such champion, or none that was certified where that was asked for.
    """
    who = _ALL if who == _ALL_ROUNDER else who
    if who == ROUTER:
        place = _checked(directory, replicate)
        found = Who(ROUTER, None, place, fold_reached(directory))
    else:
        champion = find_champion(directory, who, replicate)
        place = _replicate_of(directory, champion)
        member = who if who in REGIME_NAMES else _member_of(directory, champion, place)
        found = Who(member, champion, place, champion.fold)
    judged = _judged(directory, study, found)
    if rule == "plain":
        same = judged.values is None or _judged_plain(judged.values, str(found.member))
        return dataclasses.replace(found, certificate=judged.values, as_judged=same)
    if judged.missing and rule == "certified":
        raise UserError(f"--rule certified: {judged.missing}; arena certify {directory.root}, or --rule plain")
    note = f"the run's certificate does not come along: {judged.missing}" if judged.there and judged.missing else ""
    return dataclasses.replace(found, certificate=judged.values, note=note)


def handed_on(directory: RunDirectory, who: Who, world: World) -> Handed:
    """The champion, its brains and its rules.

    Args:
        directory: of the run.
        who: that was looked up.
        world: of the run.

    Raises:
        UserError: a file that is gone or damaged, or a router of nobody.
    """
    setups = dict(zip(world.plan.names, world.plan.rollouts, strict=True))
    judged = who.certificate if who.as_judged else None
    if who.champion is not None and judged is None:
        _, trader = read_trader(directory, who.champion, world.plan.settings)
        return Handed(who.champion, trader, setups[who.champion.species])
    assert who.member is not None
    family = read_family(directory, world.plan, who.replicate, who.fold)
    own = seated(family, world.plan)
    decider, lookbacks = ruled(family, own, _choices(judged))
    groups = sorted(own.seat, key=lambda group: own.seat[group])
    lane = MEMBERS.index(who.member)
    if not decider.acts[lane].any():
        raise UserError(f"--champion: {who.member} acts nowhere: no regime of {directory.root} has a champion")
    block, order = block_of(who.member, decider, lane, lookbacks, [family.champions[group] for group in groups])
    brains = [_brain(family, groups[place], setups) for place in order]
    return Handed(*brains[0], tuple(brains[1:]), None if as_bred(block) else block)


def _brain(family: Family, group: str, setups: Mapping[str, Any]) -> tuple[Champion, Any, Any]:
    champion = family.champions[group]
    return champion, family.traders[group], setups[champion.species]


def _choices(certificate: Mapping[str, Any] | None) -> dict[str, Choice]:
    """How members were judged, by group; who acted as bred is missing."""
    found = {}
    for own in () if certificate is None else certificate["family"]:
        rule = own["rule"]
        if rule is not None and own["member"] in REGIME_NAMES:
            weights = tuple(tuple(row) for row in rule["weights"])
            lists = {"groups": tuple(rule["groups"]), "brains": tuple(rule["brains"]), "weights": weights}
            found[own["member"]] = Choice(**{**rule, **lists})
    return found


def _judged_plain(certificate: Mapping[str, Any], member: str) -> bool:
    """Whether a member was judged acting as bred in every regime; the router by whom it sends bars to."""
    family = {own["member"]: own["rule"] for own in certificate["family"]}
    if member == ROUTER:
        return all(_plain(family[group]) for group in REGIME_NAMES if group != _ALL)
    return member == _ALL and _plain(family[member])


def _plain(rule: Mapping[str, Any] | None) -> bool:
    """Whether a decision rule says nothing else than a champion does by itself."""
    if rule is None:
        return True
    return (rule["ensemble"], rule["lookback"], rule["average"], rule["gap"]) == ("alone", None, 1, 0.0)


def _judged(directory: RunDirectory, study: Study, who: Who) -> _Judged:
    """The certificate of a replicate, where it is of the champions of now and whoever is meant is among them."""
    path = certificate_path(directory, who.replicate)
    if not path.exists():
        return _Judged(None, f"{directory.root} has no certificate", there=False)
    values = read_certificate(path)
    folds = study.settings.split.folds
    if values.get("champions") != champion_hashes(directory, who.replicate, folds):
        return _Judged(None, "it is of earlier champions than those of now", there=True)
    if who.member is None:
        assert who.champion is not None
        return _Judged(None, f"agent {who.champion.id} is not among those it judged", there=True)
    own = {entry["member"]: entry for entry in values["family"]}[who.member]
    if who.champion is not None and (own["id"], own["generation"]) != (who.champion.id, who.champion.generation):
        return _Judged(None, f"it judged agent {own['id']}, not {who.champion.id}", there=True)
    return _Judged(values, "", there=True)


def _member_of(directory: RunDirectory, champion: Champion, replicate: int) -> str | None:
    """The place that an agent named by its id holds in the family, `all` before a regime's."""
    fold = fold_reached(directory)
    for group in ("all", *REGIME_NAMES):
        if group not in champion.scores:
            continue
        holder = find_champion(directory, group, replicate, fold)
        if (holder.id, holder.generation) == (champion.id, champion.generation):
            return group
    return None


def _replicate_of(directory: RunDirectory, champion: Champion) -> int:
    """The replicate that a champion lives in, from 1."""
    count, islands = replicates(directory)
    if count == 1:
        return 1
    births = directory.read("births")
    island = births.filter(births["id"] == champion.id)["island"].to_list()
    return int(island[0]) // islands + 1 if island else 1


def _checked(directory: RunDirectory, replicate: int | None) -> int:
    """The replicate that was named, or the first.

    Raises:
        UserError: there is none of that number.
    """
    count, wanted = replicates(directory)[0], 1 if replicate is None else replicate
    if not 1 <= wanted <= count:
        right = "1" if count == 1 else f"1 to {count}"
        raise UserError(f"--replicate: {wanted} of a run that has {count}; right is {right}")
    return wanted

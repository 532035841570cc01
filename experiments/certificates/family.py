"""The family that is judged: champions of four regimes, the all-rounder, and the router, which sends each bar to its
regime's champion and is what a bot would run.

A regime's champion is flat outside its regime. A place that nobody holds is in the family too, and does nothing.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
from numpy.typing import NDArray

from arena.inference import Decider, Panel
from arena.plan import Plan
from arena.rollout import Trader
from arena.schemas import REGIME_NAMES
from arena.tally import REGIMES
from experiments.certificates.counting import stack
from experiments.champions.champions import Champion
from experiments.inference.rules import Choice
from experiments.runs.champions import best_scores
from experiments.runs.directory import RunDirectory
from experiments.runs.genomes import champion_file, trader_form
from experiments.runs.trees import load_tree, metadata_of
from markets.errors import UserError

__all__ = [
    "MEMBERS",
    "ROUTER",
    "Family",
    "Seated",
    "acts_in",
    "champion_hashes",
    "holders_of",
    "plain_decider",
    "read_family",
    "ruled",
    "seated",
    "trader_forms",
]

ROUTER = "router"

MEMBERS = (*REGIME_NAMES, ROUTER)
"""In the order of every array with an axis of members: regimes, all-rounder, router."""


@dataclasses.dataclass(frozen=True)
class Family:
    """The champions of one replicate and fold, by the group they hold.

    Attributes:
        champions: by regime or `all`; those that nobody holds are missing.
        traders: how they act, likewise.
        genomes: SHA-256 of each one's file, likewise.
    """

    champions: Mapping[str, Champion]
    traders: Mapping[str, Trader]
    genomes: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Seated:
    """A family as `conduct` takes it.

    Attributes:
        panel: the brains.
        seat: number of each champion's brain, by group.
    """

    panel: Panel
    seat: Mapping[str, int]


def holders_of(directory: RunDirectory, replicate: int, fold: int) -> dict[str, Champion]:
    """The champions of a replicate in a fold, by the group they hold; the tables are read once for all of them.

    Nobody may: of several folds an early one can end before anybody came into the archive.

    Raises:
        UserError: a file is gone.
    """
    held = {group: own for (group, place), own in best_scores(directory, fold).items() if place == replicate - 1}
    rows = directory.read("archive").filter(pl.col("fold") == fold)
    found = {}
    for group in (name for name in REGIME_NAMES if name in held):
        identity = held[group][1]
        mine = rows.filter((pl.col("regime") == group) & (pl.col("id") == identity))
        generation = int(mine["generation"][-1])
        path = champion_file(directory, identity, generation)
        scores = {name: score for name, (score, own) in held.items() if own == identity}
        species = metadata_of(path).get("species", "of no species")
        found[group] = Champion(identity, generation, fold, path, species, scores)
    return found


def champion_hashes(directory: RunDirectory, replicate: int, folds: int) -> dict[str, str]:
    """SHA-256 of the file of every champion of a replicate, by what it holds; of several folds by fold too.

    Raises:
        UserError: no fold has any, or a file is gone.
    """
    found = {
        f"{group} {fold}" if folds > 1 else group: _hash_of(champion.path)
        for fold in range(folds)
        for group, champion in holders_of(directory, replicate, fold).items()
    }
    if not found:
        raise UserError(f"{directory.root}: has no champions to certify, nobody has come into its archive")
    return found


def read_family(directory: RunDirectory, plan: Plan, replicate: int, fold: int) -> Family:
    """The champions of a replicate in a fold; there may be none.

    Args:
        directory: of the run.
        plan: of it.
        replicate: from 1.
        fold: of the split.

    Raises:
        UserError: a file is gone or damaged.
    """
    champions = holders_of(directory, replicate, fold)
    forms = trader_forms(plan)
    traders, genomes = {}, {}
    for group, own in champions.items():
        if own.species not in forms:
            raise UserError(f"{directory.config}: has no species.{own.species}, so it is of another run; bring it back")
        traders[group], _ = load_tree(own.path, forms[own.species])
        genomes[group] = _hash_of(own.path)
    return Family(champions, traders, genomes)


def trader_forms(plan: Plan) -> dict[str, Trader]:
    """What a trader of each species consists of, by shapes and types alone."""
    pairs = zip(plan.names, plan.rollouts, strict=True)
    return {name: trader_form(setup.species, plan.settings.scars.memory) for name, setup in pairs}


def seated(family: Family, plan: Plan) -> Seated:
    """The family's brains, numbered through by species in the order of the plan."""
    by_species, seat, number = [], {}, 0
    for name in plan.names:
        mine = [group for group, own in family.champions.items() if own.species == name]
        for group in mine:
            seat[group] = number
            number += 1
        if mine:
            traders = stack([family.traders[group] for group in mine])
        else:
            traders = jax.tree.map(lambda leaf: np.zeros((0, *leaf.shape), leaf.dtype), trader_forms(plan)[name])
        by_species.append(jax.tree.map(jnp.asarray, traders))
    return Seated(Panel(tuple(by_species)), seat)


def acts_in(groups: Sequence[str]) -> NDArray[np.bool_]:
    """The regimes each member may act in, [members, regimes]; none where nobody holds the place.

    Args:
        groups: that somebody holds.
    """
    acts = np.zeros((len(MEMBERS), REGIMES), bool)
    for place, name in enumerate(REGIME_NAMES[:REGIMES]):
        acts[place, place] = acts[-1, place] = name in groups
    acts[REGIMES] = REGIME_NAMES[REGIMES] in groups
    return acts


def brain_of(member: int, regime: int) -> str:
    """The group whose champion a member is in a regime."""
    return REGIME_NAMES[regime] if MEMBERS[member] == ROUTER else MEMBERS[member]


def ruled(family: Family, own: Seated, choices: Mapping[str, Choice]) -> tuple[Decider, tuple[int | None, ...]]:
    """How the members decide: by the choices of the grid, and where there is none as bred.

    Args:
        family: of one replicate and fold.
        own: its brains.
        choices: by the group whose champion acts so.

    Returns:
        The decider, leaves [members, …], and the look-backs of the views that it names; the first is the tape's own.
    """
    acts = acts_in(list(family.champions))
    shape = acts.shape
    lookbacks = tuple(dict.fromkeys((None, *(choice.lookback for choice in choices.values()))))
    decider = Decider(
        acts=acts,
        own=np.zeros(shape, np.int32),
        weights=np.zeros((*shape, len(own.seat)), np.float32),
        threshold=np.zeros(shape, np.float32),
        average=np.ones(shape, np.int32),
        view=np.zeros(shape, np.int32),
    )
    for member, regime in np.argwhere(acts):
        group, at = brain_of(member, regime), (member, regime)
        decider.own[at] = own.seat[group]
        choice = choices.get(group)
        if choice is None:
            decider.weights[(*at, own.seat[group])] = 1.0
            continue
        for name, weight in zip(choice.groups, choice.weights[regime], strict=True):
            decider.weights[(*at, own.seat[name])] += weight
        decider.threshold[at] = choice.gap
        decider.average[at] = choice.average
        decider.view[at] = lookbacks.index(choice.lookback)
    return decider, lookbacks


def plain_decider(family: Family, own: Seated) -> Decider:
    """Everybody as bred: the best of its own values at every bar, leaves [members, …]."""
    return ruled(family, own, {})[0]


def _hash_of(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); bring it back") from error

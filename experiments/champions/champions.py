"""A run's champions: found by regime or id, and read as they acted when they improved the archive."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from agents.observation import ACCOUNT_VIEW
from arena.rollout import Trader
from arena.schemas import REGIME_NAMES
from arena.settings import Settings
from experiments.runs.champions import best_scores, fold_reached, replicates
from experiments.runs.directory import RunDirectory
from experiments.runs.genomes import champion_file, trader_form
from experiments.runs.trees import load_tree, metadata_of
from genomes.registry import make_species
from genomes.species import Shape, Species
from markets.errors import UserError

__all__ = ["Champion", "feature_names", "find_champion", "read_trader", "species_of"]

_ALL_ROUNDER = "all_rounder"
"""Another word for `all`."""


@dataclasses.dataclass(frozen=True)
class Champion:
    """One champion, of now or of before.

    Attributes:
        id: of the agent.
        generation: when it improved the archive, and its file was written.
        fold: which it won in.
        path: the file.
        species: what it is.
        scores: log return a bar on validation, of each regime (or `all`) whose champion it is now.
    """

    id: int
    generation: int
    fold: int
    path: Path
    species: str
    scores: Mapping[str, float]


def find_champion(directory: RunDirectory, who: str, replicate: int | None = None, fold: int | None = None) -> Champion:
    """The champion a user means.

    Args:
        directory: of the run.
        who: a regime, `all` (or `all_rounder`), or the id of an agent that is or was a champion; of one that improved
            the archive in several generations as it was in the last of them.
        replicate: whose champion of the regime, 1 is the first and where nothing is said.
        fold: whose champion of the regime; the last that has any where none is named.

    Raises:
        UserError: there is no such champion, or its file is gone or damaged.
    """
    who = "all" if who == _ALL_ROUNDER else who
    scores = best_scores(directory, fold)
    fold = fold_reached(directory) if fold is None else fold
    rows = directory.read("archive").to_dicts()
    if not scores:
        raise UserError(f"{directory.root}: has no champions, nobody has come into its archive")
    if who in REGIME_NAMES:
        identity = _of_regime(directory, scores, who, replicate)
        rows = [row for row in rows if (row["id"], row["regime"], row["fold"]) == (identity, who, fold)]
    else:
        identity = _of_id(who, replicate)
        rows = [row for row in rows if row["id"] == identity]
        if not rows:
            known = ", ".join(map(str, sorted({own for _, own in scores.values()})))
            raise UserError(f"--champion: agent {identity} never was a champion; those of now are: {known}")
    generation = int(rows[-1]["generation"])
    path = champion_file(directory, identity, generation)
    return Champion(
        id=identity,
        generation=generation,
        fold=int(rows[-1]["fold"]),
        path=path,
        species=metadata_of(path).get("species", "of no species"),
        scores={regime: score for (regime, _), (score, own) in scores.items() if own == identity},
    )


def feature_names(directory: RunDirectory) -> list[str]:
    """What agents of a run see, in order, as its manifest says.

    Raises:
        UserError: it does not.
    """
    features = directory.read_manifest().get("features")
    if not isinstance(features, list) or not all(isinstance(name, str) for name in features):
        raise UserError(f"{directory.manifest}: does not say what agents see (features); bring it back")
    return features


def species_of(settings: Settings, name: str, features: int) -> Species:
    """A species of a run, connected as its agents are."""
    return make_species(name, settings.species[name], Shape(features, len(ACCOUNT_VIEW)))


def read_trader(directory: RunDirectory, champion: Champion, settings: Settings) -> tuple[Species, Trader]:
    """What a champion is and what it consists of, leaves in NumPy.

    Args:
        directory: of the run.
        champion: of it.
        settings: of the run.

    Raises:
        UserError: its file is damaged, or the run's configuration or manifest is of another run.
    """
    if champion.species not in settings.species:
        raise UserError(
            f"{directory.config}: has no species.{champion.species}, so it is of another run; bring it back"
        )
    species = species_of(settings, champion.species, len(feature_names(directory)))
    trader, _ = load_tree(champion.path, trader_form(species, settings.scars.memory))
    return species, trader


def _of_regime(
    directory: RunDirectory, scores: Mapping[tuple[str, int], tuple[float, int]], regime: str, replicate: int | None
) -> int:
    count, wanted = replicates(directory)[0], 1 if replicate is None else replicate
    if not 1 <= wanted <= count:
        right = "1" if count == 1 else f"1 to {count}"
        raise UserError(f"--replicate: {wanted} of a run that has {count}; right is {right}")
    if (regime, wanted - 1) not in scores:
        there = ", ".join(name for name, own in scores if own == wanted - 1) or "none"
        raise UserError(f"--champion: {regime} has no champion in {directory.root}; those that have: {there}")
    return scores[regime, wanted - 1][1]


def _of_id(who: str, replicate: int | None) -> int:
    if not (who.isascii() and who.isdecimal()):
        known = ", ".join((*REGIME_NAMES, _ALL_ROUNDER))
        raise UserError(f"--champion: {who!r} is none of {known}, nor the id of an agent")
    if replicate is not None:
        raise UserError(f"--replicate: agent {who} lives in one of them; leave it out, or name a regime")
    return int(who)

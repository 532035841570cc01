"""The forests of a run's champions: found by regime or id, and read as they acted when they improved the archive."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from agents.observation import ACCOUNT_VIEW
from arena.rollout import Trader
from arena.schemas import REGIME_NAMES
from arena.settings import Settings
from experiments.configuration.study import make_study
from experiments.exchange.ensemble import Ensemble
from experiments.founders.brains import ensemble_of
from experiments.founders.founding import RANDOM, suited_layout
from experiments.runs.champions import best_scores, replicates
from experiments.runs.directory import RunDirectory
from experiments.runs.genomes import champion_file, trader_form
from experiments.runs.trees import load_tree, metadata_of
from genomes.forest import ForestSpecies
from genomes.registry import make_species
from genomes.species import Shape
from markets.errors import UserError

__all__ = ["Champion", "ForestChampion", "find_champion", "read_forest"]

_FOREST = "forest"


@dataclasses.dataclass(frozen=True)
class Champion:
    """One champion, of now or of before.

    Attributes:
        id: of the agent.
        generation: when it improved the archive, and its file was written.
        path: the file.
        species: what it is.
        scores: log return a bar on validation, of each regime (or `all`) whose champion it is now.
    """

    id: int
    generation: int
    path: Path
    species: str
    scores: Mapping[str, float]


@dataclasses.dataclass(frozen=True, eq=False)
class ForestChampion:
    """A champion that is a forest, as it was read.

    Attributes:
        champion: whose it is.
        trader: brain, genes, memory and trust, leaves in NumPy.
        species: its own.
        settings: of the run.
        ensemble: the brain as a tree ensemble over the market's features and the account's numbers; its scores are the
            values of neutral, buy and sell.
    """

    champion: Champion
    trader: Trader
    species: ForestSpecies
    settings: Settings
    ensemble: Ensemble


def find_champion(directory: RunDirectory, who: str, replicate: int | None = None) -> Champion:
    """The champion a user means.

    Args:
        directory: of the run.
        who: a regime, `all`, or the id of an agent that is or was a champion; of one that improved the archive in
            several generations as it was in the last of them.
        replicate: whose champion of the regime, 1 is the first and where nothing is said.

    Raises:
        UserError: there is no such champion, or its file is gone or damaged.
    """
    scores = best_scores(directory)
    rows = directory.read("archive").to_dicts()
    if not scores:
        raise UserError(f"{directory.root}: has no champions, nobody has come into its archive")
    if who in REGIME_NAMES:
        identity = _of_regime(directory, scores, who, replicate)
        rows = [row for row in rows if row["id"] == identity and row["regime"] == who]
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
        path=path,
        species=metadata_of(path).get("species", "of no species"),
        scores={regime: score for (regime, _), (score, own) in scores.items() if own == identity},
    )


def read_forest(directory: RunDirectory, champion: Champion) -> ForestChampion:
    """The forest of a champion.

    Raises:
        UserError: it is no forest, or its file or the run's configuration is damaged.
    """
    if champion.species != _FOREST:
        raise UserError(
            f"agent {champion.id}: is a {champion.species} and has no trees; name a champion that is a forest, which "
            f"arena show {directory.root} tells"
        )
    features = directory.read_manifest().get("features")
    if not isinstance(features, list) or not all(isinstance(name, str) for name in features):
        raise UserError(f"{directory.manifest}: does not say what agents see (features); bring it back")
    settings = _settings(directory)
    if _FOREST not in settings.species:
        raise UserError(f"{directory.config}: has no species.forest, so it is of another run; bring it back")
    species = make_species(_FOREST, settings.species[_FOREST], Shape(len(features), len(ACCOUNT_VIEW)))
    assert isinstance(species, ForestSpecies)
    trader, _ = load_tree(champion.path, trader_form(species, settings.scars.memory))
    return ForestChampion(champion, trader, species, settings, _values(trader, species, features))


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
        raise UserError(f"--champion: {who!r} is none of {', '.join(REGIME_NAMES)}, nor the id of an agent")
    if replicate is not None:
        raise UserError(f"--replicate: agent {who} lives in one of them; leave it out, or name a regime")
    return int(who)


def _settings(directory: RunDirectory) -> Settings:
    """What the run was made with; where its founders came from need not be there any more."""
    config = directory.read_config()
    species = config.get("species")
    try:
        if isinstance(species, Mapping):
            own, source = dict(species), str(species.get("founders", RANDOM))
            if isinstance(own.get(_FOREST), Mapping):
                own[_FOREST] = suited_layout(source, own[_FOREST])
            config = {**config, "species": {**own, "founders": RANDOM}}
        return make_study(config).settings
    except UserError as error:
        raise UserError(f"{directory.config}: {error}") from None


def _values(trader: Trader, species: ForestSpecies, features: list[str]) -> Ensemble:
    """The action values; the link makes chances of them for whoever wants them, and the largest stays the largest."""
    return dataclasses.replace(ensemble_of(trader.genome, species, features), link="softmax")

"""The forests among a run's champions, as they acted when they improved the archive."""

import dataclasses
from collections.abc import Sequence

from arena.rollout import Trader
from arena.settings import Settings
from experiments.champions.champions import Champion, feature_names, read_trader
from experiments.champions.world import alone
from experiments.exchange.ensemble import Ensemble
from experiments.founders.brains import ensemble_of
from experiments.runs.directory import RunDirectory
from genomes.forest import Forest, ForestSpecies
from markets.errors import UserError

__all__ = ["ForestChampion", "forest_values", "read_forest"]

_FOREST = "forest"


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
    try:
        settings = alone(directory.read_config()).settings
    except UserError as error:
        named = str(error).startswith(str(directory.config))
        raise UserError(str(error) if named else f"{directory.config}: {error}") from None
    species, trader = read_trader(directory, champion, settings)
    assert isinstance(species, ForestSpecies)
    ensemble = forest_values(trader.genome, species, feature_names(directory))
    return ForestChampion(champion, trader, species, settings, ensemble)


def forest_values(genome: Forest, species: ForestSpecies, features: Sequence[str]) -> Ensemble:
    """The action values; the link makes chances of them for whoever wants them, and the largest stays the largest."""
    return dataclasses.replace(ensemble_of(genome, species, features), link="softmax")

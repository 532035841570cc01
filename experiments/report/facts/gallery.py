"""The gallery: champions with their lines, genomes and journeys, and how they stand beside anyone else.

Each thing needs something of its own (a configuration, a market, a genome file); what is not there costs no more than
what is made of it, and is said.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from experiments.champions.champions import species_of
from experiments.lineage.tree import Tree
from experiments.report.facts.champions import champion_facts, read_champions, read_traders
from experiments.report.facts.genomes import genome_facts
from experiments.report.facts.journeys import journeys
from experiments.report.facts.sources import Sources
from experiments.report.facts.standings import standings
from experiments.report.facts.world import World, load_study, load_world, sentence

__all__ = ["Gallery", "gallery"]


class Gallery(NamedTuple):
    """What a report says of champions; None where there is nobody."""

    standings: list[dict[str, Any]] | None
    """See `experiments.report.facts.standings`."""
    champions: list[dict[str, Any]] | None
    """See `experiments.report.facts.champions`; each with its `genome` (see `experiments.report.facts.genomes`; None
    where it is lost) and its `journeys` (see `experiments.report.facts.journeys`; none where it cannot trade again)."""
    world: World | None
    """Of the run, where it is at hand."""


def gallery(sources: Sources, tree: Tree | None, species: Sequence[str], *, trade: bool = True) -> Gallery:
    """Everything about a run's champions of now.

    Args:
        sources: the run; told what is missing.
        tree: who descends from whom; None where that is not known.
        species: names by index.
        trade: whether champions trade again, which takes most of a report's time; else the market is left alone.
    """
    study, champions = load_study(sources), read_champions(sources)
    if study is not None:
        champions = read_traders(sources, champions, study.settings)
    world = load_world(sources, study) if study is not None and trade else None
    if not trade and champions:
        sources.missing.add("champions", "journeys", "Champions did not trade again, because only records were wanted.")
    stand: list[dict[str, Any]] | None = None
    travelled: dict[str, list[dict[str, Any]]] = {}
    try:
        stand = standings(sources, world, champions, species)
        travelled = journeys(sources, world, champions) if world is not None else {}
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        why = f"This machine could not let them trade again: {sentence(error)[:200]}."
        sources.missing.add("champions", "journeys", why)
        if stand is None:
            sources.missing.add("standings", "champions", why)
    facts = champion_facts(sources, champions, tree, species)
    for champion, fact in zip(champions, facts, strict=True):
        fact["genome"] = None
        if study is not None and champion.trader is not None and champion.species is not None:
            names = [str(name) for name in sources.manifest["features"]]
            scaler = world.market.scalers[world.market_of(champion.replicate)] if world is not None else None
            own = species_of(study.settings, champion.species, len(names))
            fact["genome"] = genome_facts(champion.trader.genome, own, names, scaler)
        fact["journeys"] = travelled.get(champion.key, [])
    return Gallery(stand, facts or None, world)

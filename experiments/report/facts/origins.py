"""Where founders come from: the champions of earlier runs whose brains a run was founded with, in words."""

from typing import Any

from experiments.lineage.origins import origin_of
from experiments.report.facts.sources import Sources
from experiments.runs.origins import read_origins
from markets.errors import UserError

__all__ = ["Origins", "origins_of"]

Origins = list[dict[str, Any]]
"""Of each champion of an earlier run: `of`, who it is, and `founders`, the ids of those that descend from it here."""


def origins_of(sources: Sources) -> Origins:
    """The champions of earlier runs that a run was founded with; the report says who, and what is lost of them."""
    try:
        origins = read_origins(sources.directory)
    except UserError as error:
        sources.missing.add("tree", sources.directory.founders.name, f"Where founders come from is lost: {error}.")
        return []
    if origins.is_empty():
        return []
    species = dict(origins.select("bundle", "species").rows())
    found: dict[str, list[int]] = {}
    for founder, run, agent, bundle in origin_of(origins).iter_rows():
        found.setdefault(f"{species[bundle]} {agent} of run {run}", []).append(founder)
    sources.missing.note(f"Bred on: founders descend from {', '.join(found)}.")
    return [{"of": of, "founders": founders} for of, founders in found.items()]

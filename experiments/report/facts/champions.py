"""The champions of a run: who holds which regime now, as it acted when it won it, and the line it comes from.

An agent that won regimes in different generations may have been scarred between; where it acted differently it is two
champions, each as it was.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import polars as pl

from arena.rollout import Trader
from arena.schemas import REGIME_NAMES, TABLES
from arena.settings import Settings
from experiments.champions.champions import species_of
from experiments.lineage.tree import Tree, ancestors
from experiments.report.facts.archive import placed_archive
from experiments.report.facts.sources import Sources
from experiments.report.facts.world import sentence
from experiments.runs.champions import holders
from experiments.runs.genomes import champion_file, trader_form
from experiments.runs.trees import load_tree, metadata_of
from markets.errors import UserError

__all__ = ["GENE_UNITS", "Champion", "champion_facts", "read_champions", "read_traders", "short"]

GENE_UNITS = {
    "size": "× equity",
    "stop": "ATR",
    "take_profit": "ATR",
    "exploration": "share of actions",
    "learning_rate": "a step",
    "discount": "a bar",
    "mutation": "of a full re-draw",
}
"""What each gene beside the brain is counted in."""

_BP = 1e4


@dataclasses.dataclass(frozen=True, eq=False)
class Champion:
    """A champion of now.

    Attributes:
        id: of the agent.
        generation: when it won as it is shown.
        replicate: it lives in, from 0.
        scores: by place in `REGIME_NAMES`, of each it holds: log return a bar on validation.
        won: likewise, when it won with that score.
        since: likewise, since when it has held it without a break.
        species: name of its kind; None where its file is missing.
        trader: brain, genes, memory and trust as it acted when it won, in NumPy; None where its file is missing.
    """

    id: int
    generation: int
    replicate: int
    scores: Mapping[int, float]
    won: Mapping[int, int]
    since: Mapping[int, int]
    species: str | None = None
    trader: Trader | None = None

    @property
    def key(self) -> str:
        """Names it in a report."""
        return f"{self.id}-{self.generation}"


def read_champions(sources: Sources) -> list[Champion]:
    """Who holds a regime now, in the order of replicates and regimes; without their brains."""
    if sources.frame("archive").is_empty() and not sources.problems["archive"]:
        why = "There are none: nobody has come into the archive" + (" yet." if sources.state == "running" else ".")
        sources.missing.add("champions", "archive.parquet", why)
    held: dict[tuple[int, int, int], Champion] = {}
    for row in holders(placed_archive(sources)).iter_rows(named=True):
        replicate, identity, generation = (row[name] for name in ("replicate", "id", "generation"))
        regime, key = REGIME_NAMES.index(row["regime"]), (replicate, identity, generation)
        one = Champion(
            identity, generation, replicate, {regime: row["score"]}, {regime: generation}, {regime: row["since"]}
        )
        held[key] = _joined(held[key], one) if key in held else one
    return sorted(held.values(), key=_place)


def read_traders(sources: Sources, champions: list[Champion], settings: Settings) -> list[Champion]:
    """The same champions with their brains, where their files are whole.

    Args:
        sources: the run.
        champions: of it.
        settings: of its evolution.
    """
    features = sources.manifest.get("features")
    if not champions or not isinstance(features, list):
        if champions:
            sources.missing.add(
                "champions", "genomes", "The manifest does not say what agents see, so none can be read."
            )
        return champions
    forms: dict[str, Trader] = {}
    read: list[Champion] = []
    for champion in champions:
        try:
            path = champion_file(sources.directory, champion.id, champion.generation)
            name = metadata_of(path).get("species", "")
            if name not in settings.species:
                raise UserError(f"{path}: is of the species {name!r}, which the run does not have")
            if name not in forms:
                forms[name] = trader_form(species_of(settings, name, len(features)), settings.scars.memory)
            trader, _ = load_tree(path, forms[name])
            read.append(dataclasses.replace(champion, species=name, trader=trader))
        except UserError as error:
            why = f"The genome of champion {champion.id} cannot be read: {sentence(error)}."
            sources.missing.add("champions", f"genomes/{champion.id}", why)
            read.append(champion)
    return _merged(read, trusted=settings.trust.enabled and settings.trust.scales_capital)


def _merged(champions: list[Champion], *, trusted: bool) -> list[Champion]:
    """The champions with those made one that are the same agent and act alike; the last of them stands for it.

    Args:
        champions: of which files may be missing.
        trusted: whether trust changes what an agent does.
    """
    found: dict[tuple[int, int, bytes], Champion] = {}
    for champion in sorted(champions, key=lambda own: own.generation):
        acts = jax.tree.leaves(champion.trader if trusted or not champion.trader else champion.trader[:3])
        key = (champion.replicate, champion.id, b"".join(np.asarray(leaf).tobytes() for leaf in acts))
        found[key] = _joined(found[key], champion) if key in found else champion
    return sorted(found.values(), key=_place)


def _joined(earlier: Champion, later: Champion) -> Champion:
    """Two champions that are one: the later, which holds what either does."""
    scores, won, since = (
        dict(sorted({**getattr(earlier, name), **getattr(later, name)}.items())) for name in ("scores", "won", "since")
    )
    return dataclasses.replace(later, scores=scores, won=won, since=since)


def _place(champion: Champion) -> tuple[int, int]:
    return champion.replicate, min(champion.scores)


def champion_facts(
    sources: Sources, champions: list[Champion], tree: Tree | None, species: Sequence[str]
) -> list[dict[str, Any]]:
    """What the report says of each champion, without its genome and journeys.

    Args:
        sources: the run.
        champions: as `read_champions` or `read_traders` gives them.
        tree: who descends from whom; None where that is not known.
        species: names by index.

    Returns:
        Of each champion `id, key, regimes, replicate, species, generation, since, born, depth, parent, operator,
        scores, genes, gene_units, trust, scars, line`. Scores are in bp a bar by name of regime; what is not known is
        None. In a line, `scars` are those that an agent had before the next of it was born (the champion: before it won
        as it is shown), `later` the others and `scarred` the generations of all; `won_at` is by regime of `won` the
        generation in which it first won it.
    """
    lines = {champion.id: _line(tree, champion.id) for champion in champions}
    wanted = {agent for line in lines.values() for agent, _, _ in line} | set(lines)
    births, scars = (_of(sources, name, wanted) for name in ("births", "scars"))
    born = {row["id"]: row for row in births.iter_rows(named=True)}
    hurt: dict[int, list[int]] = {}
    for identity, generation in scars.select("id", "generation").iter_rows():
        hurt.setdefault(identity, []).append(generation)
    won: dict[int, dict[int, int]] = {}
    for row in _of(sources, "archive", wanted).sort("generation", descending=True).iter_rows(named=True):
        if row["regime"] in REGIME_NAMES:
            won.setdefault(row["id"], {})[REGIME_NAMES.index(row["regime"])] = row["generation"]  # the first stays
    made = []
    for champion in champions:
        own = born.get(champion.id, {})
        own_line = lines[champion.id]
        until = [*(began for _, began, _ in own_line), champion.generation][1:]  # none where the line is not known
        line = [
            {
                "id": identity,
                "born": began,
                "died": None if ended < 0 else ended,
                "operator": born.get(identity, {}).get("operator"),
                "strength": short(born.get(identity, {}).get("mutation_strength")),
                "species": _index(species, born.get(identity, {}).get("species")),
                "scars": sum(scar < passed for scar in hurt.get(identity, ())),
                "later": sum(scar >= passed for scar in hurt.get(identity, ())),
                "scarred": sorted(hurt.get(identity, ())),
                "won": sorted(won.get(identity, ())),
                "won_at": {str(regime): first for regime, first in sorted(won.get(identity, {}).items())},
            }
            for (identity, began, ended), passed in zip(own_line, until, strict=True)
        ]
        trader = champion.trader
        made.append(
            {
                "id": champion.id,
                "key": champion.key,
                "regimes": list(champion.scores),
                "replicate": champion.replicate,
                "species": _index(species, champion.species or own.get("species")),
                "generation": champion.generation,
                "since": {str(regime): generation for regime, generation in champion.since.items()},
                "born": own.get("generation"),
                "depth": len(line) - 1 if line else None,
                "parent": own.get("parent_id"),
                "operator": own.get("operator"),
                "scores": {REGIME_NAMES[regime]: short(_BP * score) for regime, score in champion.scores.items()},
                "genes": None if trader is None else {k: short(v) for k, v in trader.genes._asdict().items()},
                "gene_units": GENE_UNITS,
                "trust": None if trader is None else [short(value) for value in np.asarray(trader.trust)],
                "scars": _scars(scars, champion),
                "line": line or None,
            }
        )
    return made


def _of(sources: Sources, name: str, agents: set[int]) -> pl.DataFrame:
    """The rows of a table that are of some agents."""
    among = pl.col("id").is_in(pl.Series(sorted(agents), dtype=pl.UInt64).implode())
    empty = pl.DataFrame(schema=TABLES[name])
    return pl.concat([empty, *(part.filter(among) for part in sources.frames(name, list(TABLES[name])))])


def _line(tree: Tree | None, identity: int) -> list[tuple[int, int, int]]:
    """Id, birth and death (-1 while alive) of each agent of a line, the founder first; empty where it is not known."""
    if tree is None or not len(place := np.flatnonzero(tree.id == identity)):
        return []
    line = np.append(ancestors(tree, int(place[0]))[::-1], place[0])
    return list(zip(tree.id[line].tolist(), tree.born[line].tolist(), tree.died[line].tolist(), strict=True))


def _scars(scars: pl.DataFrame, champion: Champion) -> list[dict[str, Any]]:
    """A champion's own scars, the oldest first; later is one that came after it won as it is shown.

    It is tried on validation as it acted in training, before that generation's scars.
    """
    return [
        {
            "generation": row["generation"],
            "time": row["time"].strftime("%Y-%m-%dT%H:%MZ"),
            "regime": _index(REGIME_NAMES, row["regime"]),
            "cause": row["cause"],
            "severity": short(row["severity"]),
            "units": row["units"],
            "later": row["generation"] >= champion.generation,
        }
        for row in scars.filter(pl.col("id") == champion.id).sort("generation").iter_rows(named=True)
    ]


def _index(names: Any, name: str | None) -> int | None:
    return names.index(name) if name in names else None


def short(value: Any) -> float | None:
    """A number with six digits; None where it is undefined."""
    return float(f"{float(value):.6g}") if value is not None and np.isfinite(value) else None

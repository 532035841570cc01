"""Curves of each replicate: best and median by species and regime, archive, diversity, deaths, scars; and speed."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from arena.schemas import REGIME_NAMES
from experiments.report.facts.agents import Agents
from experiments.report.facts.archive import Archive
from experiments.report.facts.scores import BP, Scores
from experiments.report.facts.sources import NEEDS, Sources
from experiments.report.facts.thinning import Thinning, plain

__all__ = ["curves"]

_ALL = len(REGIME_NAMES) - 1
_MEANS, _SUMS = ("diversity", "epsilon", "trust"), ("births", "migrants")
_DIGITS = {"diversity": 4, "epsilon": 4, "trust": 4, "births": 2, "migrants": 2}


def curves(sources: Sources, agents: Agents | None, scores: Scores | None, archive: Archive) -> dict[str, Any] | None:
    """The curves; None where nothing of them is on record.

    A point that stands for several generations is their mean. Replicates share nothing, so everything but speed is of
    one: deaths and scars are counted a generation, over its islands and all species; best is over its islands, and
    diversity, ε and trust are means over them.
    """
    if not any(sources.parts[name] for name in NEEDS["curves"]):
        return None
    thinning = Thinning.of(sources.done, sources.replicates[0])
    columns = ["generation", "island", "species", "best", "median", *_MEANS, *_SUMS, "scars", "deaths"]
    table = sources.frame("generations", columns)
    table = table.with_columns(replicate=pl.Series(sources.replicate_of(table["island"].to_numpy())))
    species = agents.names if agents else tuple(table["species"].unique(maintain_order=True))
    return {
        "generations": plain(thinning.generations),
        "every": thinning.every,
        "fitness": [
            line
            for replicate, own in _parted(sources, table)
            for line in _fitness(own, replicate, species, scores, thinning, whole=sources.record == "all")
        ],
        "archive": _champions(archive),
        "series": [
            line for replicate, own in _parted(sources, table) for line in _series(own, replicate, species, thinning)
        ],
        "deaths": _causes(sources, agents, "deaths", thinning),
        "scars": _causes(sources, agents, "scars", thinning),
        "speed": plain(thinning.mean(_speed(sources)), 0),
    }


def _parted(sources: Sources, table: pl.DataFrame) -> list[tuple[int, pl.DataFrame]]:
    """Each replicate with its rows of a table."""
    return [(place, table.filter(pl.col("replicate") == place)) for place in range(sources.replicates[0])]


def _fitness(
    table: pl.DataFrame,
    replicate: int,
    species: tuple[str, ...],
    scores: Scores | None,
    thinning: Thinning,
    *,
    whole: bool,
) -> list[dict[str, Any]]:
    """Best and median in bp a bar, by species and regime; of `all` from `generations` where fitness holds less.

    Of several islands the median is then that of their medians.
    """
    lines = []
    for place, name in enumerate(species):
        own = table.filter(pl.col("species") == name)
        for regime in range(len(REGIME_NAMES)):
            best = scores.best[replicate, place, regime] if scores else np.full(thinning.done, np.nan)
            median = scores.median[replicate, place, regime] if scores else np.full(thinning.done, np.nan)
            if regime == _ALL:
                known = np.isfinite(best) & whole
                best = np.where(known, best, BP * _by_generation(own, pl.col("best").max(), thinning))
                middle = BP * _by_generation(own, pl.col("median").median(), thinning)
                median = np.where(known, median, middle)
            if np.isfinite(best).any():
                shown = {"best": plain(thinning.mean(best)), "median": plain(thinning.mean(median))}
                lines.append({"replicate": replicate, "species": place, "regime": regime, **shown})
    return lines


def _series(table: pl.DataFrame, replicate: int, species: tuple[str, ...], thinning: Thinning) -> list[dict[str, Any]]:
    lines = []
    for place, name in enumerate(species):
        own = table.filter(pl.col("species") == name)
        for column in (*_MEANS, *_SUMS):
            of = pl.col(column).cast(pl.Float64)
            values = _by_generation(own, of.mean() if column in _MEANS else of.sum(), thinning)
            shown = plain(thinning.mean(values), _DIGITS[column])
            lines.append({"replicate": replicate, "species": place, "name": column, "values": shown})
    return lines


def _champions(archive: Archive) -> list[dict[str, Any]]:
    """Each archive's champions over time, as steps of generation, score and id."""
    lines = []
    for (regime, replicate), own in archive.table.sort("regime", "replicate", maintain_order=True).group_by(
        "regime", "replicate", maintain_order=True
    ):
        rows = own.select("generation", "score", "id").rows()
        points = [[generation, round(BP * score, 3), identity] for generation, score, identity in rows]
        lines.append({"regime": regime, "replicate": replicate, "points": points})
    return lines


def _causes(sources: Sources, agents: Agents | None, name: str, thinning: Thinning) -> list[dict[str, Any]]:
    """How many a generation, by replicate and cause.

    Of several replicates, a generation is unknown in which somebody died or was hurt whose birth is lost: nobody can
    say in which replicate that was.
    """
    table = sources.frame(name, ["generation", "id", "cause"]).drop_nulls()
    generation, known = table["generation"].to_numpy(), sources.known(name)
    replicate = np.zeros(table.height, np.int64)
    if sources.replicates[0] > 1:
        row = agents.rows_of(table["id"].to_numpy()) if agents else np.full(table.height, -1)
        strangers = row < 0
        replicate = np.where(strangers, -1, sources.replicate_of(agents.island)[row] if agents else -1)
        if strangers.any():
            known[generation[strangers]] = False
            why = f"Of some {name} no birth tells the replicate; the generations they fell in are left out."
            sources.missing.add("curves", f"{name}.parquet", why)
    found = []
    for place in range(sources.replicates[0]):
        for cause in sorted(table["cause"].unique().to_list()):
            own = generation[(replicate == place) & (table["cause"] == cause).to_numpy()]
            counts = np.bincount(own, minlength=sources.done)[: sources.done]
            values = plain(thinning.mean(np.where(known, counts, np.nan)), 2)
            found.append({"replicate": place, "cause": cause, "values": values})
    return found


def _speed(sources: Sources) -> NDArray[np.float64]:
    speed = np.full(sources.done, np.nan)
    table = sources.frame("timings", ["generation", "agent_bars_per_second"])
    speed[table["generation"].to_numpy()] = table["agent_bars_per_second"].to_numpy()
    return speed


def _by_generation(table: pl.DataFrame, of: pl.Expr, thinning: Thinning) -> NDArray[np.float64]:
    """[generations] one number of each generation's rows; NaN where there are none."""
    values = np.full(thinning.done, np.nan)
    found = table.group_by("generation").agg(value=of.cast(pl.Float64)).drop_nulls()
    values[found["generation"].to_numpy()] = found["value"].to_numpy()
    return values

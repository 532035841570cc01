"""Curves over generations: best and median by species and regime, the archive, diversity, deaths, scars and speed."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from arena.schemas import REGIME_NAMES
from experiments.report.facts.agents import Agents
from experiments.report.facts.archive import Archive
from experiments.report.facts.scores import BP, Scores
from experiments.report.facts.sources import Sources
from experiments.report.facts.thinning import Thinning, plain

__all__ = ["curves"]

_ALL = len(REGIME_NAMES) - 1
_MEANS, _SUMS = ("diversity", "epsilon", "trust"), ("births", "migrants")
_DIGITS = {"diversity": 4, "epsilon": 4, "trust": 4, "births": 2, "migrants": 2}


def curves(sources: Sources, agents: Agents | None, scores: Scores | None, archive: Archive) -> dict[str, Any] | None:
    """The curves; None where no generation is on record.

    A point that stands for several generations shows their mean. Deaths and scars are counted a generation, over all
    islands and species; best is over all islands, and diversity, ε and trust are means over them.
    """
    if not sources.done:
        return None
    thinning = Thinning(sources.done)
    columns = ["generation", "species", "best", "median", *_MEANS, *_SUMS, "scars", "deaths"]
    table = sources.frame("generations", columns)
    species = agents.names if agents else tuple(table["species"].unique(maintain_order=True))
    return {
        "generations": plain(thinning.generations),
        "every": thinning.every,
        "fitness": _fitness(table, species, scores, thinning, whole=sources.record == "all"),
        "archive": _champions(archive),
        "series": _series(table, species, thinning),
        "deaths": _causes(sources, "deaths", thinning),
        "scars": _causes(sources, "scars", thinning),
        "speed": plain(thinning.mean(_speed(sources)), 0),
    }


def _fitness(
    table: pl.DataFrame, species: tuple[str, ...], scores: Scores | None, thinning: Thinning, *, whole: bool
) -> list[dict[str, Any]]:
    """Best and median in bp a bar, by species and regime; of `all` from `generations` where fitness holds less.

    Of several islands the median is then that of their medians.
    """
    lines = []
    for place, name in enumerate(species):
        own = table.filter(pl.col("species") == name)
        for regime in range(len(REGIME_NAMES)):
            best = scores.best[place, regime] if scores else np.full(thinning.done, np.nan)
            median = scores.median[place, regime] if scores else np.full(thinning.done, np.nan)
            if regime == _ALL:
                known = np.isfinite(best) & whole
                best = np.where(known, best, BP * _by_generation(own, pl.col("best").max(), thinning))
                middle = BP * _by_generation(own, pl.col("median").median(), thinning)
                median = np.where(known, median, middle)
            if np.isfinite(best).any():
                shown = {"best": plain(thinning.mean(best)), "median": plain(thinning.mean(median))}
                lines.append({"species": place, "regime": regime, **shown})
    return lines


def _series(table: pl.DataFrame, species: tuple[str, ...], thinning: Thinning) -> list[dict[str, Any]]:
    lines = []
    for place, name in enumerate(species):
        own = table.filter(pl.col("species") == name)
        for column in (*_MEANS, *_SUMS):
            of = pl.col(column).cast(pl.Float64)
            values = _by_generation(own, of.mean() if column in _MEANS else of.sum(), thinning)
            shown = plain(thinning.mean(values), _DIGITS[column])
            lines.append({"species": place, "name": column, "values": shown})
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


def _causes(sources: Sources, name: str, thinning: Thinning) -> dict[str, list[Any]]:
    """How many a generation, by cause."""
    table = sources.frame(name, ["generation", "cause"])
    known = sources.known(name)
    found = {}
    for cause in sorted(table["cause"].drop_nulls().unique().to_list()):
        counts = np.bincount(table.filter(pl.col("cause") == cause)["generation"].to_numpy(), minlength=sources.done)
        found[cause] = plain(thinning.mean(np.where(known, counts[: sources.done], np.nan)), 2)
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

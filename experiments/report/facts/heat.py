"""The heat map: champions and the best of the living, each in every regime, on training and on validation."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from arena.schemas import REGIME_NAMES
from experiments.lineage.tree import alive
from experiments.report.facts.agents import Agents
from experiments.report.facts.archive import Archive
from experiments.report.facts.scores import Scores, rate
from experiments.report.facts.sources import Sources
from experiments.report.facts.thinning import plain

__all__ = ["FORMER", "SHOWN", "heat"]

SHOWN, FORMER = 200, 40
"""Agents of a replicate that are shown, at most, and of these, champions of former times."""

_ALL = len(REGIME_NAMES) - 1


def heat(sources: Sources, agents: Agents | None, scores: Scores | None, archive: Archive) -> dict[str, Any] | None:
    """Of each replicate, champions of now, those of before with the latest first, then the living, best first.

    The living are ranked by the mean log return a bar over an agent's life, times n / (n + λ), n the generations behind
    it and λ `fitness.shrinkage`, so that one lucky generation counts for little. The arena selects otherwise: it
    weighs `fitness.horizon` generations at most, draws toward the mean of the island and ranks by case. Those who have
    not been judged yet are passed over.
    """
    if agents is None or scores is None or not scores.bars.any():
        return None
    replicate = sources.replicate_of(agents.island)
    shrinkage = sources.setting("fitness", "shrinkage", default=2.0)
    chosen: list[int] = []
    for place in range(sources.replicates[0]):
        chosen += _chosen(agents, scores, archive, replicate == place, shrinkage)
    if not chosen:
        return None
    rows = np.array(chosen)
    living = alive(agents.tree)
    return {
        "agents": [
            {
                "id": int(agents.tree.id[row]),
                "replicate": int(replicate[row]),
                "species": int(agents.species[row]),
                "alive": bool(living[row]),
                "champion": _bits(archive.holds[row]),
                "won": _bits(archive.won[row]),
            }
            for row in chosen
        ],
        "train": plain(scores.per_bar(rows, least=scores.least)),
        "validation": plain(_on_validation(scores, rows)),
        "least": scores.least,
    }


def _chosen(agents: Agents, scores: Scores, archive: Archive, own: NDArray[np.bool_], shrinkage: float) -> list[int]:
    """The rows of one replicate that are shown; `own` is a mask of those that are of it."""
    held, former = (
        [row for row in table["row"].to_list() if row >= 0 and own[row]] for table in (archive.current, archive.table)
    )
    chosen = dict.fromkeys(held)
    before = [row for row in dict.fromkeys(former[::-1]) if row not in chosen]
    chosen |= dict.fromkeys(before[:FORMER])
    chosen |= dict.fromkeys(_best_living(agents, scores, own, shrinkage).tolist())
    return list(chosen)[:SHOWN]


def _best_living(agents: Agents, scores: Scores, own: NDArray[np.bool_], shrinkage: float) -> NDArray[np.int64]:
    """Rows of a replicate's living that have been judged, best first, as many as are shown."""
    rows = np.flatnonzero(own & alive(agents.tree) & (scores.bars[:, _ALL] > 0))
    n = np.maximum(scores.judged[rows], 1)
    standing = scores.per_bar(rows)[:, _ALL] * n / (n + max(shrinkage, 0.0))
    return rows[np.argsort(-standing, kind="stable")[:SHOWN]]


def _on_validation(scores: Scores, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """[agents, regimes] bp a bar on the validation windows, over all tries; NaN where an agent was never tried."""
    place = {row: at for at, row in enumerate(rows.tolist())}
    tried = scores.validation.filter(pl.col("row").is_in(pl.Series(rows).implode()))
    gained, bars = np.zeros((len(rows), len(REGIME_NAMES))), np.zeros((len(rows), len(REGIME_NAMES)))
    where = (np.array([place[row] for row in tried["row"].to_list()], np.int64), tried["regime"].to_numpy())
    np.add.at(gained, where, tried["log_return"].fill_null(0).to_numpy())
    np.add.at(bars, where, tried["bars"].to_numpy())
    return rate(gained, bars, scores.least)


def _bits(mask: int) -> list[int]:
    return [place for place in range(len(REGIME_NAMES)) if int(mask) >> place & 1]

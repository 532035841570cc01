"""From a generation's record to tables: device arrays in, polars frames with the schemas of `arena.schemas` out."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from agents.population import NOBODY
from arena.fitness import CAUSES, Stats
from arena.records import GenerationRecord, SpeciesRecord
from arena.schemas import REGIME_NAMES, TABLES
from arena.turnover import DEATHS, OPERATORS

__all__ = ["founder_frame", "frames", "measures"]

_LEAST_BARS = 2  # a deviation needs two


def frames(
    record: GenerationRecord,
    species: tuple[str, ...],
    time: NDArray[np.datetime64],
    *,
    fitness: str = "all",
    least: int = _LEAST_BARS,
    fold: int = 0,
) -> dict[str, pl.DataFrame]:
    """The tables of one generation; `timings` is not among them.

    Args:
        record: on the host (`jax.device_get`).
        species: names, in the order of the run.
        time: stamp of each row of the tape.
        fitness: whose fitness is kept: `all`, `births` (agents judged for the first time) or `archive` (those tried on
            validation).
        least: bars a regime needs for a Sharpe or Sortino ratio.
        fold: of the split.
    """
    generation = int(record.generation)
    parts: dict[str, list[pl.DataFrame]] = {name: [] for name in TABLES if name != "timings"}
    for name, own in zip(species, record.species, strict=True):
        parts["births"].append(_births(own, name, generation))
        parts["deaths"].append(_deaths(own, generation))
        parts["fitness"].extend(_fitness(own, generation, fitness, least, fold))
        parts["scars"].append(_scars(own, generation, time))
        parts["generations"].append(_generation(own, name, generation))
    parts["archive"].append(_archive(record, generation, fold))
    return {name: pl.concat(found) for name, found in parts.items()}


def founder_frame(ids: NDArray[np.uint32], species: str) -> pl.DataFrame:
    """Births of the founders of one species.

    Args:
        ids: [islands, slots].
        species: its name.
    """
    count, island = ids.size, np.repeat(np.arange(ids.shape[0]), ids.shape[1])
    empty = [None] * count
    return _table(
        "births",
        id=ids.reshape(-1),
        parent_id=empty,
        second_parent_id=empty,
        species=[species] * count,
        island=island,
        generation=np.zeros(count, np.uint32),
        operator=[OPERATORS[0]] * count,
        mutation_strength=empty,
    )


def measures(stats: Stats, least: int = _LEAST_BARS) -> dict[str, NDArray[Any]]:
    """Ratios from sums, in float64; NaN where undefined.

    Sharpe and Sortino are per bar: mean over deviation and over downside deviation with n − 1 and a zero target. Win
    rate and profit factor count closed trades in money.

    Args:
        stats: sums, any leading axes.
        least: bars below which there is no ratio.
    """
    sums = {name: np.asarray(leaf, np.float64) for name, leaf in stats._asdict().items()}
    n = np.where(sums["bars"] >= max(least, _LEAST_BARS), sums["bars"], np.nan)
    mean = sums["log_return"] / n
    variance = np.maximum(sums["square"] - n * mean**2, 0.0) / (n - 1.0)
    downside = sums["downside"] / (n - 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        sharpe = np.where(variance > 0, mean / np.sqrt(variance), np.nan)
        sortino = np.where(downside > 0, mean / np.sqrt(downside), np.nan)
        win_rate = np.where(sums["trades"] > 0, sums["wins"] / sums["trades"], np.nan)
        factor = np.where(
            (sums["trades"] > 0) & (sums["gross_loss"] > 0), sums["gross_profit"] / sums["gross_loss"], np.nan
        )
    return {
        "episodes": sums["episodes"],
        "bars": sums["bars"],
        "log_return": sums["log_return"],
        "sharpe": sharpe,
        "sortino": sortino,
        "max_drawdown": sums["drawdown"],
        "win_rate": win_rate,
        "profit_factor": factor,
        "trades": sums["trades"],
    }


def _table(name: str, **columns: Any) -> pl.DataFrame:
    """A frame of a table's own columns and types; NaN is null."""
    schema = TABLES[name]
    frame = pl.DataFrame(columns, strict=False).select(pl.col(key).cast(kind) for key, kind in schema.items())
    floats = [key for key, kind in schema.items() if kind == pl.Float32]
    return frame.with_columns(pl.col(floats).fill_nan(None)) if floats else frame


def _nullable(ids: ArrayLike) -> pl.Series:
    """Ids with `NOBODY` as null."""
    known = np.asarray(ids, np.uint64)
    return pl.Series(known).set(pl.Series(known == NOBODY), None)


def _births(own: SpeciesRecord, species: str, generation: int) -> pl.DataFrame:
    births = own.births
    born = np.asarray(births.born)
    island = np.broadcast_to(np.arange(born.shape[0])[:, None], born.shape)[born]
    count = len(island)
    return _table(
        "births",
        id=births.id[born],
        parent_id=_nullable(births.parent[born]),
        second_parent_id=_nullable(births.second_parent[born]),
        species=pl.Series([species] * count, dtype=pl.String),
        island=island,
        generation=np.full(count, generation + 1),
        operator=_words(OPERATORS, births.operator[born]),
        mutation_strength=births.strength[born],
    )


def _deaths(own: SpeciesRecord, generation: int) -> pl.DataFrame:
    dead = own.death > 0
    return _table(
        "deaths",
        id=own.id[dead],
        generation=np.full(int(dead.sum()), generation),
        cause=_words(DEATHS, own.death[dead]),
    )


def _fitness(own: SpeciesRecord, generation: int, whose: str, least: int, fold: int) -> list[pl.DataFrame]:
    ids = np.asarray(own.id).reshape(-1)
    keep = np.ones(len(ids), bool)
    if whose == "births":
        keep = np.asarray(own.born).reshape(-1) == generation
    elif whose == "archive":
        keep = np.isin(ids, np.asarray(own.tried))
    train = Stats(*(leaf.reshape(len(ids), -1)[keep] for leaf in own.train))
    found = [_scores(ids[keep], train, own.trust.reshape(len(ids), -1)[keep], "train", generation, least, fold)]
    tried, place = np.unique(np.asarray(own.tried).reshape(-1), return_index=True)
    if whose == "births":
        fresh = np.isin(tried, ids[keep])
        tried, place = tried[fresh], place[fresh]
    validation = Stats(*(leaf.reshape(-1, leaf.shape[-1])[place] for leaf in own.validation))
    trust = own.tried_trust.reshape(-1, own.tried_trust.shape[-1])[place]
    found.append(_scores(tried, validation, trust, "validation", generation, least, fold))
    return found


def _scores(
    ids: ArrayLike, stats: Stats, trust: ArrayLike, split: str, generation: int, least: int, fold: int
) -> pl.DataFrame:
    """Fitness rows, agent after agent, regime after regime."""
    who, known = np.asarray(ids), np.asarray(trust)
    groups = len(REGIME_NAMES)
    rows = len(who) * groups
    believed = np.concatenate([known, known.mean(-1, keepdims=True)], axis=-1)
    flat = {name: values.reshape(-1) for name, values in measures(stats, least).items()}
    return _table(
        "fitness",
        generation=np.full(rows, generation),
        id=np.repeat(who, groups),
        fold=np.full(rows, fold),
        split=pl.Series([split] * rows, dtype=pl.String),
        regime=_words(REGIME_NAMES, np.tile(np.arange(groups), len(who))),
        trust=believed.reshape(-1),
        **flat,
    )


def _scars(own: SpeciesRecord, generation: int, time: NDArray[np.datetime64]) -> pl.DataFrame:
    scars = own.scars
    made = np.asarray(scars.made)
    hit = [np.flatnonzero(units).astype(np.uint32).tolist() for units in scars.units[made]]
    return _table(
        "scars",
        id=scars.id[made],
        generation=np.full(int(made.sum()), generation),
        episode=scars.episode[made],
        time=pl.Series(time[scars.row[made]].astype("datetime64[us]")).dt.replace_time_zone("UTC"),
        regime=_words((*REGIME_NAMES[:-1], "unknown"), scars.regime[made]),
        cause=_words(CAUSES, scars.cause[made]),
        severity=scars.severity[made],
        units=pl.Series(hit, dtype=pl.List(pl.UInt32)),
    )


def _generation(own: SpeciesRecord, species: str, generation: int) -> pl.DataFrame:
    islands = own.id.shape[0]
    summary = own.summary
    return _table(
        "generations",
        generation=np.full(islands, generation),
        island=np.arange(islands),
        species=[species] * islands,
        best=summary.best,
        median=summary.median,
        diversity=summary.diversity,
        epsilon=summary.epsilon,
        trust=summary.trust,
        loss=summary.loss,
        td_error=summary.td_error,
        births=summary.births,
        deaths=(own.death > 0).sum(1),
        scars=own.scars.made.sum(1),
        migrants=summary.migrants,
    )


def _archive(record: GenerationRecord, generation: int, fold: int) -> pl.DataFrame:
    gained = record.archive
    improved = np.asarray(gained.improved)
    group = np.broadcast_to(np.arange(improved.shape[1]), improved.shape)[improved]
    before = gained.previous_score[improved]
    return _table(
        "archive",
        generation=np.full(len(group), generation),
        fold=np.full(len(group), fold),
        regime=_words(REGIME_NAMES, group),
        id=gained.id[improved],
        score=gained.score[improved],
        previous_id=_nullable(gained.previous_id[improved]),
        previous_score=np.where(np.isfinite(before), before, np.nan),
    )


def _words(names: tuple[str, ...], index: ArrayLike) -> pl.Series:
    """Names by index."""
    return pl.Series(names, dtype=pl.String).gather(pl.Series(np.asarray(index, np.uint32)))

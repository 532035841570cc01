"""A run of a million births to report on, made up: neutral evolution, written as a run's tables.

A million real births take minutes. Here who dies and who breeds is luck, so that the lineage is as a run's is; the
scores are made up, and there are no genomes. Ids lie as [species, islands, slots] and count births, as a run's do.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from small_runs import SMALL

from arena.schemas import REGIME_NAMES, TABLES
from experiments.configuration.compose import compose
from experiments.runs.directory import RunDirectory
from experiments.runs.lineage import write_lineage

__all__ = ["GENERATIONS", "make_large"]

SPECIES = ("qnetwork", "forest")
GENERATIONS, ISLANDS, SLOTS = 244, 8, 512
"""Slots are those of one species on one island; half of them are turned over each time."""
SHAPE = (len(SPECIES), ISLANDS, SLOTS)
CAUSES = ("culled", "ruined", "aged")
HARMS = ("drawdown", "liquidation", "ruin")

Ids = NDArray[np.int64]


def make_large(folder: Path) -> None:
    """Write the run's directory."""
    run = RunDirectory(folder)
    size = (
        f"evolution.generations={GENERATIONS}",
        f"evolution.islands={ISLANDS}",
        f"evolution.agents={ISLANDS * SLOTS}",
    )
    run.create(compose([*SMALL, "species=[qnetwork,forest]", *size, "record.fitness=archive"]))
    run.note(
        run_id="large0000000",
        state="finished",
        seed=0,
        generations=GENERATIONS,
        target=GENERATIONS,
        symbols=["SYN1"],
        features=["return_1", "return_4", "mean_distance_8"],
        device={"kind": "cpu", "count": 2, "processes": 1},
        started="2026-01-01T00:00:00+00:00",
        finished="2026-01-01T01:00:00+00:00",
        sessions=[],
    )
    for name, rows in _neutral(np.random.default_rng(7)).items():
        table = pl.concat(rows, how="diagonal_relaxed").select(
            (pl.col(key) if key in rows[0].columns else pl.lit(None)).cast(kind).alias(key)
            for key, kind in TABLES[name].items()
        )
        table.write_parquet(run.table(name) / f"00000000-{GENERATIONS - 1:08d}-0.parquet")
    write_lineage(run)


def _neutral(rng: np.random.Generator) -> dict[str, list[pl.DataFrame]]:
    """Pieces of each table, in order of generations."""
    alive = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    slots = np.broadcast_to(np.arange(SLOTS), SHAPE)
    tables: dict[str, list[pl.DataFrame]] = {name: [] for name in TABLES}
    tables["births"].append(_births(0, alive))
    best: dict[str, tuple[int, float]] = {}
    for generation in range(GENERATIONS):
        tried = rng.choice(alive.ravel(), 6, replace=False)
        level = rng.normal(generation / 500, 1, (2, len(REGIME_NAMES), tried.size)) * 1e-4  # log return a bar
        tables["fitness"].append(_fitness(generation, tried, level))
        tables["archive"].append(_archive(generation, tried, level[1], best))
        tables["scars"].append(_scars(generation, rng.choice(alive.ravel(), 64, replace=False), rng))
        tables["generations"].append(_generation(generation))
        tables["timings"].append(
            pl.DataFrame(
                {"generation": generation, "seconds": 2.0, "compile_seconds": 0.0, "agent_bars_per_second": 1.5e7}
            )
        )
        order = rng.permuted(slots, axis=2)
        dead = np.take_along_axis(alive, order[..., : SLOTS // 2], 2)
        left = np.take_along_axis(alive, order[..., SLOTS // 2 :], 2)
        first, second = (np.take_along_axis(left, rng.integers(SLOTS // 2, size=dead.shape), 2) for _ in range(2))
        second = np.where((rng.random(dead.shape) < 0.3) & (first != second), second, -1)
        children = int(tables["births"][-1]["id"][-1]) + 1 + np.arange(dead.size).reshape(dead.shape)
        tables["births"].append(_births(generation + 1, children, first, second))
        cause = np.array(CAUSES)[rng.choice(len(CAUSES), dead.size, p=[0.9, 0.06, 0.04])]
        tables["deaths"].append(pl.DataFrame({"id": dead.ravel(), "generation": generation, "cause": cause}))
        np.put_along_axis(alive, order[..., : SLOTS // 2], children, 2)
        if generation % 20 == 19:  # a few move on to the next island
            alive[:, :, :8] = np.roll(alive[:, :, :8], 1, axis=1)
    return tables


def _births(generation: int, ids: Ids, first: Ids | None = None, second: Ids | None = None) -> pl.DataFrame:
    """Those born in a generation; parents are -1 where there are none, and None of founders."""
    kind, island, _ = np.indices(ids.shape)
    none = np.full(ids.shape, -1)
    rows = pl.DataFrame(
        {
            "id": ids.flatten(),  # a copy: slots are filled anew
            "parent_id": (none if first is None else first).ravel(),
            "second_parent_id": (none if second is None else second).ravel(),
            "species": np.array(SPECIES)[kind.ravel()],
            "island": island.ravel(),
            "generation": generation,
        }
    )
    founder, crossed = pl.col("parent_id") < 0, pl.col("second_parent_id") >= 0
    word = (
        pl.when(founder).then(pl.lit("founder")).when(crossed).then(pl.lit("crossover")).otherwise(pl.lit("mutation"))
    )
    return rows.with_columns(
        pl.col("parent_id", "second_parent_id").replace(-1, None),
        operator=word,
        mutation_strength=pl.when(~founder).then(0.1),
    )


def _fitness(generation: int, ids: Ids, level: NDArray[np.float64]) -> pl.DataFrame:
    """Scores of those who were tried: level is [split, regime, agent], a bar."""
    split, regime, agent = (index.ravel() for index in np.indices(level.shape))
    bars = np.where(regime == len(REGIME_NAMES) - 1, 400, 100)
    return pl.DataFrame(
        {
            "generation": generation,
            "id": ids[agent],
            "fold": 0,
            "split": np.array(["train", "validation"])[split],
            "regime": np.array(REGIME_NAMES)[regime],
            "episodes": 4,
            "bars": bars,
            "log_return": level.ravel() * bars,
            "sharpe": level.ravel() * 1e3,
            "max_drawdown": 0.01,
            "trades": 3,
            "trust": 0.5,
        }
    ).sort("id", "split", maintain_order=True)


def _archive(generation: int, ids: Ids, level: NDArray[np.float64], best: dict[str, tuple[int, float]]) -> pl.DataFrame:
    """Whoever beats the champion of a regime; notes them in `best`. Level is [regime, agent]."""
    rows: list[dict[str, Any]] = []
    for regime, scores in zip(REGIME_NAMES, level, strict=True):
        identity, score = int(ids[scores.argmax()]), float(scores.max())
        former = best.get(regime)
        if former is None or score > former[1]:
            best[regime] = (identity, score)
            old = {} if former is None else {"previous_id": former[0], "previous_score": former[1]}
            rows.append({"generation": generation, "fold": 0, "regime": regime, "id": identity, "score": score, **old})
    return pl.DataFrame([{key: row.get(key) for key in TABLES["archive"]} for row in rows], schema=TABLES["archive"])


def _scars(generation: int, ids: Ids, rng: np.random.Generator) -> pl.DataFrame:
    """Scars of these agents."""
    return pl.DataFrame(
        {
            "id": ids,
            "generation": generation,
            "episode": rng.integers(4, size=ids.size),
            "time": np.datetime64("2018-01-10", "us") + rng.integers(1400, size=ids.size) * np.timedelta64(1, "h"),
            "regime": np.array(REGIME_NAMES)[rng.integers(4, size=ids.size)],
            "cause": np.array(HARMS)[rng.integers(len(HARMS), size=ids.size)],
            "severity": rng.random(ids.size),
        }
    ).with_columns(pl.col("time").dt.replace_time_zone("UTC"), units=pl.lit([], pl.List(pl.UInt32)))


def _generation(generation: int) -> pl.DataFrame:
    """A generation's row for each island and species."""
    island, kind = (index.ravel() for index in np.indices((ISLANDS, len(SPECIES))))
    half = SLOTS // 2
    return pl.DataFrame(
        {
            "generation": generation,
            "island": island,
            "species": np.array(SPECIES)[kind],
            "best": (1 + generation / 500) * 1e-4,
            "median": generation / 500 * 1e-4,
            "diversity": 1 / (1 + generation / 100) + 0.1 * kind,
            "epsilon": 0.1,
            "trust": 0.5,
            "births": SLOTS if generation == 0 else half,
            "deaths": half,
            "scars": 4,
            "migrants": 8 if generation % 20 == 19 else 0,
        }
    )

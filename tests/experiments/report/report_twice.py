"""A run of two replicates, made of a run of one: the second has ids of its own and twice the scores."""

import shutil
from pathlib import Path

import polars as pl
import yaml

from arena.schemas import TABLES
from experiments.runs.directory import RunDirectory

__all__ = ["make_twice"]

_IDS = ("id", "parent_id", "second_parent_id", "previous_id")
_SCORES = ("log_return", "best", "median", "score", "previous_score")


def _replicate(name: str, table: pl.DataFrame, place: int, islands: int) -> pl.DataFrame:
    """A table's rows as those of a replicate: every second id, islands counted on, of the second twice the score."""
    if name == "timings":
        return table.clear() if place else table
    changed = [(pl.col(key) * 2 + place).alias(key) for key in _IDS if key in table.columns]
    changed += [(pl.col(key) * (1 + place)).alias(key) for key in _SCORES if key in table.columns]
    changed += [pl.col(key) + place * islands for key in ("island",) if key in table.columns]
    return table.with_columns(changed).cast(table.schema)


def make_twice(small_run: Path, folder: Path) -> RunDirectory:
    """A copy of the small run with a second replicate, in that folder."""
    run = RunDirectory(folder)
    shutil.copytree(small_run, run.root)
    config = run.read_config()
    config["evolution"]["replicates"] = 2
    run.config.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    for name in TABLES:
        for path in run.table(name).glob("*.parquet"):
            table = pl.read_parquet(path)
            both = [_replicate(name, table, place, config["evolution"]["islands"]) for place in range(2)]
            pl.concat(both).write_parquet(path)
    return run

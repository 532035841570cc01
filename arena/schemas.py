"""Every table a run leaves behind: names, columns and types. The one place where they are written down.

Ids are UInt64, stamps are UTC with microseconds, measures are Float32, words are strings. What the columns mean stands
in docs/records.md.
"""

import polars as pl

__all__ = ["LATER", "LINEAGE", "ORIGINS", "REGIME_NAMES", "TABLES"]

REGIME_NAMES = ("bull_trending", "bear_trending", "volatile_ranging", "calm_ranging", "all")
"""Groups of the tally, in order."""

_TIME = pl.Datetime("us", "UTC")

TABLES: dict[str, dict[str, pl.DataType | type[pl.DataType]]] = {
    "births": {
        "id": pl.UInt64,
        "parent_id": pl.UInt64,
        "second_parent_id": pl.UInt64,
        "species": pl.String,
        "island": pl.UInt32,
        "generation": pl.UInt32,
        "operator": pl.String,
        "mutation_strength": pl.Float32,
    },
    "deaths": {"id": pl.UInt64, "generation": pl.UInt32, "cause": pl.String},
    "fitness": {
        "generation": pl.UInt32,
        "id": pl.UInt64,
        "fold": pl.UInt32,
        "split": pl.String,
        "regime": pl.String,
        "episodes": pl.UInt32,
        "bars": pl.UInt32,
        "log_return": pl.Float32,
        "sharpe": pl.Float32,
        "sortino": pl.Float32,
        "max_drawdown": pl.Float32,
        "win_rate": pl.Float32,
        "profit_factor": pl.Float32,
        "trades": pl.UInt32,
        "trust": pl.Float32,
    },
    "scars": {
        "id": pl.UInt64,
        "generation": pl.UInt32,
        "episode": pl.UInt32,
        "time": _TIME,
        "regime": pl.String,
        "cause": pl.String,
        "severity": pl.Float32,
        "units": pl.List(pl.UInt32),
    },
    "generations": {
        "generation": pl.UInt32,
        "island": pl.UInt32,
        "species": pl.String,
        "best": pl.Float32,
        "median": pl.Float32,
        "diversity": pl.Float32,
        "epsilon": pl.Float32,
        "trust": pl.Float32,
        "loss": pl.Float32,
        "td_error": pl.Float32,
        "births": pl.UInt32,
        "deaths": pl.UInt32,
        "scars": pl.UInt32,
        "migrants": pl.UInt32,
    },
    "timings": {
        "generation": pl.UInt32,
        "seconds": pl.Float64,
        "compile_seconds": pl.Float64,
        "agent_bars_per_second": pl.Float64,
    },
    "archive": {
        "generation": pl.UInt32,
        "fold": pl.UInt32,
        "regime": pl.String,
        "id": pl.UInt64,
        "score": pl.Float32,
        "previous_id": pl.UInt64,
        "previous_score": pl.Float32,
    },
}
"""Tables written part by part while a run goes on, by name."""

LATER: dict[str, tuple[str, ...]] = {"generations": ("loss", "td_error")}
"""By table, columns that it did not always have; where a part of an older run has none of them, they are null."""

LINEAGE: dict[str, pl.DataType | type[pl.DataType]] = {
    "id": pl.UInt64,
    "ancestor_id": pl.UInt64,
    "second_parent_id": pl.UInt64,
    "origin_time": pl.UInt32,
    "destruction_time": pl.UInt32,
    "species": pl.String,
    "island": pl.UInt32,
    "operator": pl.String,
    "depth": pl.UInt32,
    "cause": pl.String,
    "mutation_strength": pl.Float32,
}
"""`lineage.parquet`, ancestors first: time is in generations, a root is its own ancestor, a living agent has neither
`destruction_time` nor `cause`."""

ORIGINS: dict[str, pl.DataType | type[pl.DataType]] = {
    "bundle": pl.String,
    "run_id": pl.String,
    "id": pl.UInt64,
    "parent_id": pl.UInt64,
    "second_parent_id": pl.UInt64,
    "species": pl.String,
    "island": pl.UInt32,
    "generation": pl.UInt32,
    "operator": pl.String,
    "mutation_strength": pl.Float32,
    "founders": pl.List(pl.UInt64),
}
"""`origins.parquet` of a run that bundles founded: the line of each of their champions, one after another, each from
its first ancestor down. Ids and generations are those of `run_id`; `founders`, of this run, stand in the champion's
row."""

"""The grid of decision rules: how each champion would have fared on validation under every rule that was tried."""

from typing import Any

import numpy as np
import polars as pl

from arena.schemas import REGIME_NAMES
from experiments.report.facts.archive import Archive
from experiments.report.facts.sources import Sources
from experiments.report.facts.thinning import plain
from experiments.report.facts.world import sentence
from markets.errors import UserError

__all__ = ["ENSEMBLES", "grids"]

ENSEMBLES = ("alone", "mean", "trust", "stacked")
"""Ways in which champions decide together, in the order they are shown."""

_BP = 1e4
_FILE = "inference.parquet"
_COLUMNS = [
    "replicate",
    "fold",
    "group",
    "id",
    "lookback",
    "average",
    "ensemble",
    "threshold",
    "gap",
    "regime",
    "bars",
    "log_return",
    "t",
    "trades",
    "chosen",
]


def grids(sources: Sources, archive: Archive) -> list[dict[str, Any]] | None:
    """Every champion's grid in its own regime, the last fold's alone.

    Returns:
        None where no grid was run, or it was of champions of former times, which is said. Else one entry a champion,
        by replicate and regime; see docs/report.md. Its `scores`, `t`, `trades` and `gaps` are by place:
        ((ensemble · lookbacks + lookback) · averages + average) · thresholds + threshold, which run as `ensembles`,
        `lookbacks`, `averages` and `thresholds` do.
    """
    path = sources.directory.root / _FILE
    if not path.exists():
        return None
    try:
        table = pl.read_parquet(path, columns=_COLUMNS)
        own = table.filter(pl.col("regime") == pl.col("group"), pl.col("fold") == pl.col("fold").max())
        parts = own.partition_by("replicate", "group", as_dict=True, include_key=True)
        order = sorted(parts, key=lambda key: (key[0], REGIME_NAMES.index(key[1])))
        found = [_grid(parts[key], *key) for key in order]
    except (pl.exceptions.PolarsError, OSError, ValueError, TypeError, UserError) as error:
        sources.missing.add("grid", _FILE, f"The grid of decision rules cannot be read: {sentence(error)[:200]}.")
        return None
    now = {(row["replicate"], row["regime"]): row["id"] for row in archive.current.iter_rows(named=True)}
    if now and any(one["id"] != now.get((one["replicate"], one["regime"])) for one in found):
        why = "The rules were tried for champions that have lost their place since; arena grid tries those of now."
        sources.missing.add("grid", _FILE, why)
        return None
    return found or None


def _grid(table: pl.DataFrame, replicate: int, group: str) -> dict[str, Any]:
    """The grid of one champion in its own regime.

    Raises:
        ValueError: a rule stands there twice, or is none that a champion can act by.
    """
    lookbacks = sorted(table["lookback"].unique().to_list(), key=lambda bars: (bars is not None, bars))
    averages = table["average"].unique().sort().to_list()
    ensembles = [name for name in ENSEMBLES if name in set(table["ensemble"])]
    thresholds = table["threshold"].round(6).unique().sort().to_list()
    axes = (ensembles, lookbacks, averages, thresholds)
    values = {
        name: np.full([len(axis) for axis in axes], np.nan) for name in ("scores", "t", "trades", "gaps", "chosen")
    }
    taken = np.zeros_like(values["t"], np.bool_)
    for row in table.iter_rows(named=True):
        rule = (row["ensemble"], row["lookback"], row["average"], round(row["threshold"], 6))
        at = tuple(axis.index(value) for axis, value in zip(axes, rule, strict=True))
        if taken[at]:
            raise ValueError(f"the rule {rule} of {group} stands there twice")
        taken[at] = True
        values["scores"][at] = _BP * row["log_return"] / row["bars"] if row["bars"] else np.nan
        for name, column in (("t", "t"), ("trades", "trades"), ("gaps", "gap"), ("chosen", "chosen")):
            values[name][at] = np.nan if row[column] is None else row[column]
    plain_rule = [ensembles.index("alone"), lookbacks.index(None), averages.index(1), thresholds.index(0.0)]
    bred = int(np.ravel_multi_index(plain_rule, taken.shape))
    [best] = np.flatnonzero(values.pop("chosen") == 1)
    return {
        "replicate": replicate,
        "regime": REGIME_NAMES.index(group),
        "plain": bred,
        "chosen": int(best),
        "id": table["id"][0],
        "bars": table["bars"].max(),
        "ensembles": ensembles,
        "lookbacks": lookbacks,
        "averages": averages,
        "thresholds": thresholds,
        **{name: plain(one.ravel(), 5 if name == "gaps" else 3) for name, one in values.items()},
    }

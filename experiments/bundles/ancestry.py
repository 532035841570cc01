"""Where a champion comes from, and what its run says of it: its line of first parents, and its scores by regime."""

from typing import Any

import numpy as np
import polars as pl

from experiments.champions.champions import Champion
from experiments.runs.directory import RunDirectory
from markets.errors import UserError

__all__ = ["ancestry", "scores"]

_PLAIN = ("id", "parent_id", "second_parent_id", "generation", "species", "island", "operator", "mutation_strength")
_MEASURES = ("sharpe", "sortino", "max_drawdown", "win_rate", "profit_factor", "trades", "trust")


def ancestry(births: pl.DataFrame, identity: int, run_id: str) -> list[dict[str, Any]]:
    """The line of first parents, from the founder to the champion, both among them.

    Args:
        births: the run's table.
        identity: of the champion.
        run_id: of the run, which every entry names.

    Raises:
        UserError: the line breaks off: an agent of it is not in the table.
    """
    rows = dict(zip(births["id"].to_list(), range(births.height), strict=True))
    line: list[dict[str, Any]] = []
    wanted: int | None = identity
    while wanted is not None:
        if wanted not in rows or (line and wanted >= line[-1]["id"]):
            raise UserError(
                f"births: agent {wanted}, of whom {identity} descends, is not on record; bring its part back"
            )
        row = births.row(rows[wanted], named=True)
        line.append({**{name: row[name] for name in _PLAIN}, "run_id": run_id})
        wanted = row["parent_id"]
    return line[::-1]


def scores(directory: RunDirectory, champion: Champion) -> list[dict[str, Any]]:
    """What the run's tables say of the champion in the generation it is of, by split and regime.

    Sharpe and Sortino are per bar, as in `fitness`; `score` is what the archive holds of it, under validation, where it
    won a regime in that generation.
    """
    mine = (pl.col("id") == champion.id) & (pl.col("generation") == champion.generation)
    won = directory.read("archive").filter(mine)
    score = dict(zip(won["regime"].to_list(), won["score"].to_list(), strict=True))
    found = []
    for row in directory.read("fitness").filter(mine).iter_rows(named=True):
        bars, gained = row["bars"], row["log_return"]
        validated = row["split"] == "validation"
        found.append(
            {
                "regime": row["regime"],
                "split": row["split"],
                "episodes": row["episodes"],
                "bars": bars,
                "log_return_per_bar": gained / bars if bars and gained is not None else None,
                "return": float(np.expm1(gained)) if gained is not None else None,
                **{name: row[name] for name in _MEASURES},
                "score": score.get(row["regime"]) if validated else None,
            }
        )
    return found

"""What a grid leaves in a run's directory: how every rule fared (`inference.parquet`), and choices.

Both are whole or as they were. The table is written first, so that what `inference.json` tells of is always in it; what
a grid says of a replicate and fold counts only as long as the champions are those that it was made with.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from arena.schemas import REGIME_NAMES
from arena.tally import REGIMES
from experiments.inference.rules import ENSEMBLES, LOOKBACKS, Choice
from experiments.runs.champions import best_scores, fold_reached
from experiments.runs.directory import RunDirectory
from experiments.runs.files import write_json, write_table
from experiments.runs.lock import only_one
from experiments.runs.notes import read_json
from markets.errors import UserError

__all__ = [
    "FORMAT",
    "TABLE",
    "VERSION",
    "choices_path",
    "chosen",
    "read_choices",
    "read_grids",
    "settings_tried",
    "table_path",
    "write_grids",
]

FORMAT, VERSION = "lineage-arena.inference", 1

TABLE: dict[str, pl.DataType | type[pl.DataType]] = {
    "replicate": pl.UInt32,
    "fold": pl.UInt32,
    "group": pl.String,
    "id": pl.UInt64,
    "lookback": pl.UInt32,
    "average": pl.UInt32,
    "ensemble": pl.String,
    "threshold": pl.Float64,
    "gap": pl.Float32,
    "regime": pl.String,
    "bars": pl.UInt32,
    "log_return": pl.Float64,
    "t": pl.Float32,
    "trades": pl.UInt32,
    "chosen": pl.Boolean,
}
"""Columns of `inference.parquet`; what they mean stands in docs/inference.md."""


def table_path(directory: RunDirectory) -> Path:
    """How every rule fared."""
    return directory.root / "inference.parquet"


def choices_path(directory: RunDirectory) -> Path:
    """What was chosen."""
    return directory.root / "inference.json"


def read_grids(directory: RunDirectory) -> list[dict[str, Any]]:
    """What grids there are, one entry a replicate and fold; nothing where none was run.

    Raises:
        UserError: the file is damaged.
    """
    path = choices_path(directory)
    try:
        content = read_json(path)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {_again(directory)}") from error
    except ValueError as error:
        raise UserError(f"{path}: damaged ({error}); {_again(directory)}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT or content.get("version") != VERSION:
        raise UserError(f"{path}: is no {FORMAT} of version {VERSION}; {_again(directory)}")
    grids = content.get("grids")
    if not isinstance(grids, list) or not all(_whole(grid) for grid in grids):
        raise UserError(f"{path}: damaged, a grid in it is not whole; {_again(directory)}")
    return grids


def chosen(directory: RunDirectory, replicate: int, fold: int | None = None) -> dict[str, Any] | None:
    """The grid of a replicate and fold; None where none was run, or its champions are others by now.

    Args:
        directory: of the run.
        replicate: from 1.
        fold: from 0; the last that has champions where none is named.

    Raises:
        UserError: the file is damaged.
    """
    grids = read_grids(directory)
    if not grids:
        return None
    fold = fold_reached(directory) if fold is None else fold
    now = {regime: own for (regime, place), (_, own) in best_scores(directory, fold).items() if place == replicate - 1}
    for grid in grids:
        if (grid["replicate"], grid["fold"]) == (replicate, fold):
            known = {group: champion["id"] for group, champion in grid["champions"].items()}
            return grid if known == now else None
    return None


def read_choices(directory: RunDirectory, replicate: int = 1, fold: int | None = None) -> dict[str, Choice]:
    """How each champion of a replicate and fold is to act, by group; nothing where no grid was run of these champions.

    Args:
        directory: of the run.
        replicate: from 1.
        fold: from 0; the last that has champions where none is named.

    Raises:
        UserError: the file is damaged.
    """
    grid = chosen(directory, replicate, fold)
    return {} if grid is None else {group: _choice(entry) for group, entry in grid["choices"].items()}


def settings_tried(directory: RunDirectory, replicate: int = 1, fold: int | None = None) -> int:
    """Rules that were tried on validation of all champions of a replicate and fold; 0 where no grid was run."""
    grid = chosen(directory, replicate, fold)
    return 0 if grid is None else int(grid["settings"])


def write_grids(directory: RunDirectory, grids: Sequence[Mapping[str, Any]], rows: pl.DataFrame) -> None:
    """Write what came of new grids beside those that stay, while nobody else writes there.

    Args:
        directory: of the run.
        grids: new entries.
        rows: theirs, columns those of `TABLE`.

    Raises:
        UserError: what stays is damaged, the folder cannot be written, or another process is at work on the run.
    """
    with directory.writing(), only_one(directory.root):
        _write(directory, grids, rows)


def _write(directory: RunDirectory, grids: Sequence[Mapping[str, Any]], rows: pl.DataFrame) -> None:
    fresh = {(grid["replicate"], grid["fold"]) for grid in grids}
    stay = [grid for grid in read_grids(directory) if (grid["replicate"], grid["fold"]) not in fresh]
    table = pl.concat([*(_rows_of(directory, grid) for grid in stay), rows])
    table = table.sort("replicate", "fold", maintain_order=True)
    every = sorted([*stay, *grids], key=lambda grid: (grid["replicate"], grid["fold"]))
    write_table(table_path(directory), table)
    write_json(choices_path(directory), {"format": FORMAT, "version": VERSION, "grids": every})


def _rows_of(directory: RunDirectory, grid: Mapping[str, Any]) -> pl.DataFrame:
    """The rows of a grid that stays."""
    path = table_path(directory)
    try:
        table = pl.read_parquet(path, columns=list(TABLE)).cast(TABLE)  # type: ignore[arg-type]
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(f"{path}: damaged ({error}); {_again(directory)}") from error
    return table.filter(pl.col("replicate") == grid["replicate"] - 1, pl.col("fold") == grid["fold"])


def _again(directory: RunDirectory) -> str:
    return f"delete inference.json, and arena grid {directory.root} makes it again"


def _choice(entry: Mapping[str, Any]) -> Choice:
    return Choice(
        ensemble=entry["ensemble"],
        lookback=entry["lookback"],
        average=entry["average"],
        threshold=float(entry["threshold"]),
        gap=float(entry["gap"]),
        groups=tuple(entry["groups"]),
        brains=tuple(entry["brains"]),
        weights=tuple(tuple(float(weight) for weight in row) for row in entry["weights"]),
    )


def _whole(grid: object) -> bool:
    """Whether an entry has all that is read of it."""
    try:
        assert isinstance(grid, dict)
        champions, choices = grid["champions"], grid["choices"]
        numbers = (grid["replicate"], grid["fold"], grid["settings"], *(own["id"] for own in champions.values()))
        named = champions.keys() == choices.keys() and set(choices) <= set(REGIME_NAMES)
        return named and all(isinstance(number, int) for number in numbers) and all(map(_sound, choices.values()))
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError):
        return False


def _sound(entry: Mapping[str, Any]) -> bool:
    choice = _choice(entry)
    brains = len(choice.brains)
    return (
        choice.ensemble in ENSEMBLES
        and choice.lookback in LOOKBACKS
        and isinstance(choice.average, int)
        and brains > 0
        and set(choice.groups) <= set(REGIME_NAMES)
        and len(choice.groups) == brains
        and len(choice.weights) == REGIMES
        and all(len(row) == brains for row in choice.weights)
    )

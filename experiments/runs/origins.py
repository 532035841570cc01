"""Where a run's founders come from: the lines of champions of earlier runs, kept in its directory.

They are kept in the file of the founders, with which they stand and fall, and beside it as a table for people and
programs, which is made of that file again where it is lost.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import polars as pl

from arena.founding import models_of
from arena.plan import Plan
from arena.schemas import ORIGINS
from experiments.founders.bundles import Founding
from experiments.founders.seen import Seen, seen_in
from experiments.lineage.origins import above, ancestors_in, origins_table
from experiments.runs.directory import RunDirectory
from experiments.runs.files import write_table
from experiments.runs.trees import metadata_of
from markets.errors import UserError

__all__ = ["ORIGINS_KEY", "ancestors_saw", "earlier", "origins_text", "read_origins", "write_origins"]

ORIGINS_KEY = "origins"
"""Entry of the metadata of `founders.safetensors`."""


def origins_text(made: Founding, plan: Plan) -> str:
    """The bundles that found a run, as the file of its founders keeps them: of each `hash`, `champion` and `ancestry`
    as its manifest has them, the ids of the founders that begin with its brain, and the bars that bred it (`seen`).
    """
    each, kept = plan.places * plan.slots, []
    for place, own in enumerate(made.bundles):
        turn = models_of(plan, len(own)).ravel().tolist() if own else []
        for model, bundle in enumerate(own):
            founders = [place * each + index for index, number in enumerate(turn) if number == model]
            manifest = {key: bundle.manifest[key] for key in ("hash", "champion", "ancestry")}
            seen = [dataclasses.asdict(own) for own in bundle.seen]
            kept.append({**manifest, "founders": founders, "seen": seen})
    return json.dumps(kept)


def write_origins(directory: RunDirectory) -> None:
    """Write `origins.parquet` from the file of the founders, whole or not at all; nothing where no bundle founded them.

    Raises:
        UserError: the file of the founders is damaged.
        OSError: the disk is full, or the folder cannot be written.
    """
    table = _of_founders(directory)
    if not table.is_empty():
        write_table(directory.origins, table, scratch=directory.root)


def read_origins(directory: RunDirectory) -> pl.DataFrame:
    """The table `ORIGINS` of a run; empty where no bundle founded it.

    Raises:
        UserError: it is lost, and so is the file of the founders.
    """
    known = _readable(directory.origins)
    return _of_founders(directory) if known is None else known


def earlier(directory: RunDirectory, founder: int) -> list[dict[str, Any]]:
    """The line of earlier runs' agents above a founder of this one, as a bundle's manifest has it (`ancestry`).

    Raises:
        UserError: where it comes from is lost.
    """
    return above(read_origins(directory), founder)


def ancestors_saw(directory: RunDirectory) -> list[Seen]:
    """Bars that the champions of earlier runs were bred on that founded this one, each once; `overlapping` of
    `experiments.founders.seen` says which of them reach into a holdout.

    Raises:
        UserError: the file of the founders is damaged.
    """
    if not directory.founders.exists():
        return []
    text = metadata_of(directory.founders).get(ORIGINS_KEY, "[]")
    found: list[Seen] = []
    try:
        for own in (each for line in json.loads(text) for each in seen_in(line.get("seen", []))):
            if own not in found:
                found.append(own)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{directory.founders}: damaged, it does not say what founders had seen ({error}); bring it back"
        ) from None
    return found


def _readable(path: Path) -> pl.DataFrame | None:
    """The table, where it is there and as it was written."""
    if not path.is_file():
        return None
    try:
        table = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError):
        return None
    return table if table.schema == ORIGINS else None


def _of_founders(directory: RunDirectory) -> pl.DataFrame:
    if not directory.founders.exists():
        return pl.DataFrame(schema=ORIGINS)
    text = metadata_of(directory.founders).get(ORIGINS_KEY, "[]")
    try:
        lines = [
            (str(own["hash"]), ancestors_in(own), [int(one) for one in own["founders"]]) for own in json.loads(text)
        ]
        return origins_table(lines)
    except (KeyError, ValueError, TypeError, UserError) as error:
        raise UserError(
            f"{directory.founders}: damaged, it does not say where founders come from ({error}); bring it back"
        ) from None

"""Records of runs as tables: one row a generation, and one an event; and events back from their table for the sham."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from arena.fitness import CAUSES
from experiments.scars.arms import Events, no_events
from experiments.scars.measures import WHOLE, Record
from experiments.scars.plan import ARMS, Arm, ScarPlan
from experiments.scars.worlds import World, presentations

__all__ = ["KEYS", "NO_EVENTS", "Run", "events_of", "generations_of", "given_to"]

KEYS = ("seed", "world", "arm", "strength")
"""What names a run."""

_SCHEMA = {"seed": pl.Int64, "world": pl.String, "arm": pl.String, "strength": pl.Float64}

NO_EVENTS = pl.DataFrame(schema=_SCHEMA)
"""Of no run."""

_NUMBERS = (
    "ruined",
    "faced",
    "places",
    "quiet",
    "ruined_calm",
    "acted",
    "updates",
    "births",
    "offered",
)
_SUMS = ("before", "place", "calm", "crash", "lost", "td_error")  # in units of 1 / WHOLE


class Run(NamedTuple):
    """One run: a seed in a world under an arm, and how far signs stand out there."""

    seed: int
    world: str
    arm: Arm
    strength: float


def generations_of(runs: Sequence[Run], worlds: World, record: Record) -> pl.DataFrame:
    """One row a run and generation.

    Args:
        runs: as they lie in the record, of which they may be the first only.
        worlds: of these runs.
        record: NumPy leaves [runs, generations, …].
    """
    count, generations = len(runs), record.ruined.shape[1]
    columns: dict[str, NDArray[np.generic]] = {
        "generation": np.tile(np.arange(generations, dtype=np.int32), count),
        "kind": np.asarray(worlds.kind[:count]).reshape(-1),
        "presentation": np.concatenate([presentations(np.asarray(kind)) for kind in worlds.kind[:count]]),
        **{name: np.asarray(getattr(record, name)[:count], np.float64).reshape(-1) for name in _NUMBERS},
        **{name: np.asarray(getattr(record, name)[:count], np.float64).reshape(-1) / WHOLE for name in _SUMS},
        "events": np.asarray(record.events.made[:count]).sum(-1, dtype=np.int32).reshape(-1),
        "hits": np.asarray(record.hits[:count]).sum((-1, -2)).astype(np.int32).reshape(-1),
    }
    return _named(runs, generations).with_columns(pl.Series(name, values) for name, values in columns.items())


def events_of(runs: Sequence[Run], record: Record) -> pl.DataFrame:
    """One row an event that was made; `layers` are units of each layer, `hit` the units that were damaged."""
    count, generations = len(runs), record.ruined.shape[1]
    leaves: Any = (np.asarray(leaf)[:count] for leaf in record.events)
    events = Events(*leaves)
    made = events.made.reshape(-1)
    scars = events.made.shape[-1]
    base = _named(runs, generations * scars)
    hits = np.asarray(record.hits)[:count].reshape(len(made), -1)[made] > 0
    layers = events.layers.reshape(len(made), -1)[made]
    return base.filter(pl.Series(made)).with_columns(
        pl.Series("generation", np.tile(np.repeat(np.arange(generations, dtype=np.int32), scars), count)[made]),
        pl.Series("event", np.tile(np.arange(scars, dtype=np.int32), count * generations)[made]),
        *(
            pl.Series(name, getattr(events, name).reshape(-1)[made])
            for name in ("slot", "id", "episode", "onset", "bottom", "severity", "calm")
        ),
        pl.Series("cause", np.asarray(CAUSES)[events.cause.reshape(-1)[made]], dtype=pl.String),
        pl.Series("layers", layers.tolist(), dtype=pl.List(pl.Int32)),
        pl.Series("hit", [np.flatnonzero(row).tolist() for row in hits], dtype=pl.List(pl.Int32)),
    )


def given_to(plan: ScarPlan, runs: Sequence[Run], events: pl.DataFrame) -> Events:
    """The events that runs are given, leaves [runs, generations, …]: those of its pair under scars to each sham.

    Args:
        plan: of the experiment.
        runs: in order.
        events: of the runs under scars, among others.
    """
    given: Any = no_events((len(runs), plan.generations), plan.scars, len(plan.hidden))
    pairs = events.filter(pl.col("arm") == ARMS[Arm.SCARS]).partition_by("seed", "world", as_dict=True)
    for index, run in enumerate(runs):
        table = pairs.get((run.seed, run.world)) if run.arm is Arm.SHAM else None
        if table is None:
            continue
        at = (index, table["generation"].to_numpy(), table["event"].to_numpy())
        given.made[at] = True
        for name in ("slot", "id", "episode", "onset", "bottom", "severity", "calm"):
            getattr(given, name)[at] = table[name].to_numpy()
        given.cause[at] = [CAUSES.index(cause) for cause in table["cause"]]
        given.layers[at] = np.asarray(table["layers"].to_list(), np.int32)
    filled: Events = given
    return filled


def _named(runs: Sequence[Run], each: int) -> pl.DataFrame:
    """The keys of runs, each so many times."""
    return pl.DataFrame(
        {
            "seed": np.repeat(np.asarray([run.seed for run in runs], np.int64), each),
            "world": np.repeat(np.asarray([run.world for run in runs]), each).astype(str),
            "arm": np.repeat(np.asarray([ARMS[run.arm] for run in runs]), each).astype(str),
            "strength": np.repeat(np.asarray([run.strength for run in runs], np.float64), each),
        },
        schema=_SCHEMA,
    )

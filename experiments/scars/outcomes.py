"""What a run comes to, that all runs had the same to spend, and how much was done to how many."""

from typing import NamedTuple

import polars as pl

from experiments.scars.plan import ARMS, Arm
from experiments.scars.records import KEYS
from experiments.scars.worlds import FIRST_SIGN, LAST_SIGN
from markets.errors import UserError

__all__ = ["BUDGETS", "Dose", "Onsets", "dose", "onsets", "outcomes", "see_budgets", "unmatched"]

BUDGETS = ("acted", "updates", "births")
"""Columns whose sums are equal for all runs. The first two follow from the plan; births are counted."""

_LEAST_EXPOSURE = 0.01  # mean net exposure without a gap below which a selectivity would be a ratio of noise


class Dose(NamedTuple):
    """What scars did in world P, means."""

    severity: float
    units: float
    """Hit by an event."""
    agents: float
    """Scarred a generation."""


class Onsets(NamedTuple):
    """Where drawdowns began that the arm of memory remembered in world P, counted from their bottoms."""

    median: float
    """Bars before the bottom."""
    on_sign: float
    """Share on a bar on which the sign stands, where the bottom is the gap."""


def outcomes(generations: pl.DataFrame) -> pl.DataFrame:
    """One row a run.

    `ruined` is R: accounts ruined over all, of every agent in every window with a gap, where the kind of crash had been
    there before. `selectivity` is 1 − exposure that met these gaps / exposure at the same bars of windows without one;
    null where agents held next to nothing there. `calm` is the mean log return of a window without a gap, over all
    generations.

    Args:
        generations: one row a run and generation.
    """
    again, second = pl.col("presentation") >= 2, pl.col("presentation") == 2

    def total(name: str, where: pl.Expr) -> pl.Expr:
        return pl.col(name).filter(where).sum()

    before = total("before", again) / total("faced", again)
    place = total("place", again) / total("places", again)
    return (
        generations.group_by(KEYS)
        .agg(
            ruined=total("ruined", again) / total("faced", again),
            ruined_first=total("ruined", pl.col("presentation") == 1) / total("faced", pl.col("presentation") == 1),
            ruined_second=total("ruined", second) / total("faced", second),
            before=before,
            place=place,
            selectivity=pl.when(place > _LEAST_EXPOSURE).then(1.0 - before / place),
            calm=pl.col("calm").sum() / pl.col("quiet").sum(),
            ruined_calm=pl.col("ruined_calm").sum() / pl.col("quiet").sum(),
            accounts=total("faced", again),
            **{name: pl.col(name).sum() for name in (*BUDGETS, "offered", "events", "hits")},
        )
        .sort("seed", pl.col("world").replace_strict({"P": 0, "N": 1}), pl.col("arm").replace_strict(_ORDER))
    )


def see_budgets(table: pl.DataFrame) -> None:
    """See that all runs acted, learned and bred alike, and that each sham was offered the events of its pair.

    Args:
        table: of `outcomes`.

    Raises:
        UserError: a run that had more or less to spend than another.
    """
    usual = table.row(0, named=True)
    for row in table.iter_rows(named=True):
        for name in BUDGETS:
            if row[name] != usual[name]:
                raise UserError(f"{_name(row)}: {name} is {row[name]:g}, but {usual[name]:g} in {_name(usual)}")
    scars = {(row["seed"], row["world"]): row for row in table.filter(arm=ARMS[Arm.SCARS]).iter_rows(named=True)}
    for row in table.filter(arm=ARMS[Arm.SHAM]).iter_rows(named=True):
        pair = scars.get((row["seed"], row["world"]))
        if pair is None or pair["events"] != row["offered"]:
            wanted = "no pair" if pair is None else f"{pair['events']} events of its pair"
            raise UserError(f"{_name(row)}: offered {row['offered']:g} events, but there are {wanted}")


def unmatched(table: pl.DataFrame) -> float:
    """Share of the pairs' events for which a sham found nobody that the event's window spared; see `outcomes`."""
    shams = table.filter(arm=ARMS[Arm.SHAM])
    offered = float(shams["offered"].sum())
    return 1.0 - float(shams["events"].sum()) / offered if offered else 0.0


def dose(events: pl.DataFrame, runs: pl.DataFrame, generations: int) -> Dose:
    """How much scars did to how many.

    Args:
        events: one row an event.
        runs: of `outcomes`, the same runs.
        generations: of each run.
    """
    own = events.filter(world="P", arm=ARMS[Arm.SCARS])
    many = runs.filter(world="P", arm=ARMS[Arm.SCARS]).height * generations
    if not own.height:
        return Dose(0.0, 0.0, 0.0)
    severity, units = own.select(pl.col("severity").cast(pl.Float64).mean(), pl.col("hit").list.len().mean()).row(0)
    return Dose(severity, units, own.height / many)


def onsets(events: pl.DataFrame) -> Onsets | None:
    """Where drawdowns began; None where nothing was remembered.

    Args:
        events: one row an event.
    """
    own = events.filter(world="P", arm=ARMS[Arm.MEMORY]).select(bars=pl.col("bottom") - pl.col("onset"))
    if not own.height:
        return None
    on_sign = pl.col("bars").is_between(LAST_SIGN, FIRST_SIGN)
    return Onsets(*own.select(pl.col("bars").median(), on_sign.mean().alias("share")).row(0))


_ORDER = {name: number for number, name in enumerate(ARMS)}


def _name(row: dict[str, object]) -> str:
    return f"seed {row['seed']}, world {row['world']}, arm {row['arm']}"

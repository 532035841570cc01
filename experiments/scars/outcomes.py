"""What a run comes to, and that all runs had the same to spend."""

import polars as pl

from experiments.scars.plan import ARMS, Arm
from experiments.scars.records import KEYS
from markets.errors import UserError

__all__ = ["BUDGETS", "outcomes", "see_budgets", "unmatched"]

BUDGETS = ("acted", "updates", "births")
"""Columns whose sums are equal for all runs."""

_LEAST_EXPOSURE = 0.01  # mean net exposure without a gap below which a selectivity would be a ratio of noise


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
    """Share of the pairs' events for which a sham found nobody that was not ruined; see `outcomes`."""
    shams = table.filter(arm=ARMS[Arm.SHAM])
    offered = float(shams["offered"].sum())
    return 1.0 - float(shams["events"].sum()) / offered if offered else 0.0


_ORDER = {name: number for number, name in enumerate(ARMS)}


def _name(row: dict[str, object]) -> str:
    return f"seed {row['seed']}, world {row['world']}, arm {row['arm']}"

"""What the evidence study says: a line for each population while it is judged, and what all of them come to."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import polars as pl

from experiments.studies.statistics import Interval, interval, share

__all__ = ["HEAD", "Fresh", "as_it_should_be", "fresh_share", "passed_share", "seed_line", "summary"]

SIZE, POWER = 0.02, 0.8
"""Most of those without an edge that may pass, and fewest of those with one that must."""


class Fresh(NamedTuple):
    """How many of the fresh holdouts were passed, of how many, and the mean share of a seed with its standard error."""

    passed: int
    of: int
    share: float
    error: float


HEAD = (
    "                       Sharpe ratio a year on its own holdout              passed",
    "  seed  verdict         bull   bear    vol   calm    all router   its own     fresh",
)
"""Above the lines of the populations."""


def seed_line(table: pl.DataFrame) -> str:
    """One population.

    Args:
        table: the seed's rows, as `experiments.studies.evidence.certify_seeds` yields them.
    """
    own, fresh = (
        table.filter(pl.col("holdout") == 0),
        _verdicts(table.filter((pl.col("holdout") > 0) & (pl.col("costs") == 1))),
    )
    ratios = "".join("      –" if row is None else f"{row:>+7.2f}" for row in _ratios(own))
    passed = own.filter(pl.col("verdict") == "pass")["member"].to_list()
    among = f"{(fresh['population'] == 'pass').sum()} of {fresh.height}" if fresh.height else "–"
    who = str(len(passed)) if passed else "–"
    return f"{own['seed'][0]:>6}  {own['population'][0]:<12}{ratios}{who:>10}{among:>10}"


def _ratios(own: pl.DataFrame) -> list[float | None]:
    """Sharpe ratios of the members, None for places that nobody holds."""
    if own["member"][0] is None:
        return [None] * 6
    vacant = (own["id"].is_null() & (own["trades"] == 0)).to_list()
    return [None if empty else ratio for empty, ratio in zip(vacant, own["sharpe"].to_list(), strict=True)]


def _verdicts(table: pl.DataFrame) -> pl.DataFrame:
    """One row a population and holdout: `edge, seed, holdout, population`."""
    return table.select("edge", "seed", "holdout", "population").unique(maintain_order=True)


def passed_share(table: pl.DataFrame) -> tuple[int, int, Interval]:
    """How many populations passed on their own holdout, of how many, and the share with its exact interval.

    Args:
        table: the rows of all seeds of a half.
    """
    own = _verdicts(table.filter(pl.col("holdout") == 0))
    passed = int((own["population"] == "pass").sum())
    return passed, own.height, share(passed, own.height)


def fresh_share(table: pl.DataFrame, costs: float) -> Fresh | None:
    """What share of the fresh holdouts was passed at a multiple of costs; None where there were none.

    A population that nobody stands for passes none.

    Args:
        table: the rows of all seeds of a half.
        costs: multiple of them.
    """
    fresh = _verdicts(table.filter((pl.col("holdout") > 0) & (pl.col("costs") == costs)))
    if not fresh.height:
        return None
    passed = fresh.group_by("seed").agg((pl.col("population") == "pass").mean().alias("share"))
    by_seed = table.select("seed").unique().join(passed, on="seed", how="left")["share"].fill_null(0.0).to_numpy()
    error = float(np.std(by_seed, ddof=1) / math.sqrt(len(by_seed))) if len(by_seed) > 1 else math.nan
    return Fresh(int((fresh["population"] == "pass").sum()), fresh.height, float(by_seed.mean()), error)


def as_it_should_be(table: pl.DataFrame) -> bool:
    """Whether enough passed with an edge, or few enough without one, on their own holdouts.

    Without one also on fresh ones that cost nothing, but for two standard errors.
    """
    found = passed_share(table)[2].mean
    if float(table["edge"][0]) > 0:
        return found >= POWER
    costless = fresh_share(table, 0.0)
    return found <= SIZE and not (costless is not None and costless.share > SIZE + 2 * costless.error)


def summary(table: pl.DataFrame) -> Iterator[str]:
    """What the populations of one half come to, in a few lines.

    Args:
        table: the rows of all seeds.
    """
    edge = float(table["edge"][0])
    passed, count, exact = passed_share(table)
    asked = f"at least {POWER:.0%} asked" if edge > 0 else f"at most {SIZE:.0%} asked"
    verdict = "as it should be" if as_it_should_be(table) else "NOT AS IT SHOULD BE"
    yield f"edge {edge:g}, {count} populations: {verdict}; {asked}"
    yield f"  {passed} of {count} pass on their own holdout: {_percent(exact)}, exact"
    short = int((_verdicts(table.filter(pl.col("holdout") == 0))["population"] == "insufficient").sum())
    if short:
        yield f"  {short} of {count} have too short a record to be judged"
    for costs, words in ((1.0, ""), (0.0, ", had they cost nothing")):
        fresh = fresh_share(table, costs)
        if fresh is not None:
            yield (
                f"  {fresh.passed:,} of {fresh.of:,} fresh holdouts are passed{words}: "
                f"{fresh.share:.2%}, standard error {fresh.error:.2%} by seed"
            )
    own = table.filter((pl.col("holdout") == 0) & pl.col("member").is_not_null())
    for (member,), rows in own.group_by("member", maintain_order=True):
        there = rows.filter((pl.col("trades") > 0) | pl.col("id").is_not_null())
        ratio = interval(there["sharpe"].to_numpy()) if there.height else Interval(math.nan, math.nan, math.nan)
        yield (
            f"  {member:<17} {int((rows['verdict'] == 'pass').sum()):>4} pass, "
            f"{int((rows['verdict'] == 'insufficient').sum()):>4} too short; "
            f"Sharpe ratio {ratio.mean:+.2f} ({ratio.low:+.2f} to {ratio.high:+.2f})"
        )


def _percent(value: Interval) -> str:
    return f"{value.mean:.1%} (95 % interval {value.low:.1%} to {value.high:.1%})"

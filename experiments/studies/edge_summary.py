"""What the edge study says: a line for each seed while it is judged, and what all of them come to."""

import math
from collections.abc import Iterator

import numpy as np
import polars as pl

from arena.schemas import REGIME_NAMES
from experiments.studies.statistics import Interval, by_seed, interval, ratio_of_means

__all__ = ["HEAD", "as_it_should_be", "seed_line", "seeds_won", "summary"]

_PLAYERS = ("champion", "founder", "hold", "oracle")
_MOST = 0.9
"""Share of the seeds in which champions must win for an edge to be found."""

HEAD = (
    "                 log return, bp a bar                    Sharpe ratio a year",
    "  seed  champion founder matched    hold  oracle    champion founder oracle  share",
)
"""Above the lines of the seeds."""


def seed_line(table: pl.DataFrame) -> str:
    """One seed, over all regimes.

    Args:
        table: the seed's rows, as `experiments.studies.edge.judge_seeds` yields them.
    """
    row = _by_seed(table, "all").row(0, named=True)
    returns = "".join(f"{1e4 * row[key]:>+8.2f}" for key in ("founder", "matched", "hold", "oracle"))
    ratios = "".join(f"{row[f'{key}_sharpe']:>8.2f}" for key in ("founder", "oracle"))
    share = row["champion_sharpe"] / row["oracle_sharpe"] if row["oracle_sharpe"] > 0 else math.nan
    shown = "      –" if math.isnan(share) else f"{share:>7.0%}"
    return f"{row['seed']:>6}{1e4 * row['champion']:>+10.2f}{returns}{row['champion_sharpe']:>12.2f}{ratios}{shown}"


def seeds_won(table: pl.DataFrame) -> dict[str, int]:
    """In how many seeds the champion of all regimes beat the founders' best, flat and exposure-matched holding."""
    own = _by_seed(table, "all")
    return {
        "the founders' best": int((own["champion"] > own["founder"]).sum()),
        "flat": int((own["champion"] > 0).sum()),
        "exposure-matched holding": int((own["champion"] > own["matched"]).sum()),
    }


def as_it_should_be(table: pl.DataFrame) -> bool:
    """Whether an edge that is there was found, or none was found where there is none.

    Args:
        table: the rows of all seeds.
    """
    own = _by_seed(table, "all")
    if float(table["edge"][0]) > 0:
        return all(count >= math.ceil(_MOST * own.height) for count in seeds_won(table).values())
    return all(not interval((own["champion"] - own[name]).to_numpy()).low > 0 for name in ("flat", "matched"))


def summary(table: pl.DataFrame) -> Iterator[str]:
    """What the seeds of one edge come to, in a few lines.

    Args:
        table: the rows of all seeds.
    """
    edge, own = float(table["edge"][0]), _by_seed(table, "all")
    seeds = own.height
    if edge > 0:
        won = seeds_won(table)
        asked = math.ceil(_MOST * seeds)
        verdict = "FOUND" if as_it_should_be(table) else "NOT FOUND"
        yield f"edge {edge:g}, {seeds} seeds: {verdict}; {asked} of {seeds} asked, and champions"
        for against, count in won.items():
            yield f"  beat {against} in {count} of {seeds}"
        for player, name in (("champion", "they reach"), ("founder", "the founders' best reached")):
            share = ratio_of_means(own[f"{player}_sharpe"].to_numpy(), own["oracle_sharpe"].to_numpy())
            yield f"  {name} {_percent(share)} of the oracle's Sharpe ratio"
        for regime in REGIME_NAMES[:-1]:
            part = _by_seed(table, regime)
            if part.height:
                yield f"  {regime:<16} {_in_bp(part['champion'])} bp a bar, the oracle {_in_bp(part['oracle'])}"
        return
    over = {name: interval((own["champion"] - own[name]).to_numpy()) for name in ("flat", "matched")}
    verdict = "NOTHING FOUND, as it should be" if as_it_should_be(table) else "FOUND WHERE THERE IS NOTHING"
    yield f"edge 0, {seeds} seeds: {verdict}"
    for name, words in (("flat", "flat"), ("matched", "exposure-matched holding")):
        mean, low, high = (1e4 * value for value in over[name])
        yield f"  champions over {words}: {mean:+.3f} bp a bar after costs, 95 % interval {low:+.3f} to {high:+.3f}"


def _by_seed(table: pl.DataFrame, regime: str) -> pl.DataFrame:
    """One row a seed, a column a player, and those without an account: flat and exposure-matched holding."""
    matched = table.filter(regime=regime, player="champion").select("seed", "matched")
    joined = by_seed(table, regime, _PLAYERS).join(matched, on="seed", how="left")
    return joined.with_columns(pl.col("matched").fill_null(0.0), pl.lit(0.0).alias("flat"))


def _percent(value: Interval) -> str:
    if math.isnan(value.mean):
        return "–"
    if math.isnan(value.low):
        return f"{value.mean:.0%}"
    return f"{value.mean:.0%} (95 % interval {value.low:.0%} to {value.high:.0%})"


def _in_bp(values: pl.Series) -> str:
    return f"{1e4 * float(np.mean(values.to_numpy())):+.2f}"

"""What the learning study says: a line for each arm while it is judged, and what all seeds come to."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from experiments.studies.learning import ARMS
from experiments.studies.statistics import Interval, by_seed, interval, ratio_of_means

__all__ = ["COMPARED", "HEAD", "Difference", "arm_line", "conclusion", "differences", "summary"]

_PLAYERS = ("champion", "founder", "hold", "oracle")

_ALONE = ("evolution", "learning")

COMPARED = (
    ("lamarckian", "evolution"),
    ("lamarckian", "learning"),
    ("baldwinian", "evolution"),
    ("baldwinian", "learning"),
    ("baldwinian", "lamarckian"),
)
"""Which arms are set against each other, the first less the second."""

HEAD = (
    "                        log return, bp a bar    champions' share of          Sharpe a year",
    "  species   arm         founder champion oracle the oracle's log return  champion  oracle    seconds",
)
"""Above the lines of the arms."""


class Difference(NamedTuple):
    """One arm less another over the same seeds."""

    better: str
    worse: str
    share: Interval
    """Of the oracle's log return."""
    sharpe: Interval
    """Of champions' Sharpe ratios a year."""
    ahead: int
    """Seeds in which the first made more."""
    seeds: int


def arm_line(table: pl.DataFrame, seconds: float) -> str:
    """One arm, its means over seeds and all regimes.

    Args:
        table: the arm's rows, as `experiments.studies.learning.judge_arm` yields them.
        seconds: that its generations took.
    """
    own = by_seed(table, "all", _PLAYERS)
    returns = {player: 1e4 * float(np.mean(own[player].to_numpy())) for player in _PLAYERS}
    share = _spread(ratio_of_means(own["champion"].to_numpy(), own["oracle"].to_numpy()), ".0%")
    ratios = [float(np.mean(own[f"{player}_sharpe"].to_numpy())) for player in ("champion", "oracle")]
    return (
        f"  {table['species'][0]:<10}{table['arm'][0]:<12}{returns['founder']:>+7.2f}{returns['champion']:>+9.2f}"
        f"{returns['oracle']:>+7.2f} {share:<24}{ratios[0]:>9.2f}{ratios[1]:>8.2f}{seconds:>11,.0f}"
    )


def differences(table: pl.DataFrame) -> list[Difference]:
    """Arms of one species against each other, seed by seed.

    The share is the ratio of the mean difference in log return to the oracle's mean, with the jackknife's interval;
    the Sharpe ratio's interval is Student's. Nothing is corrected for there being several.

    Args:
        table: the rows of all arms of one species.
    """
    arms = {name: by_seed(table.filter(arm=name), "all", _PLAYERS) for name in ARMS}
    seeds = arms["evolution"]["seed"].to_list()
    assert all(own["seed"].to_list() == seeds for own in arms.values()), "arms are of the same seeds"
    oracle = arms["evolution"]["oracle"].to_numpy()
    found = []
    for better, worse in COMPARED:
        gain = _gain(arms[better], arms[worse], "champion")
        sharpe = interval(_gain(arms[better], arms[worse], "champion_sharpe"))
        ahead = int((gain > 0).sum())
        found.append(Difference(better, worse, ratio_of_means(gain, oracle), sharpe, ahead, len(gain)))
    return found


def _gain(first: pl.DataFrame, second: pl.DataFrame, column: str) -> NDArray[np.float64]:
    return np.asarray((first[column] - second[column]).to_numpy(), np.float64)


def summary(table: pl.DataFrame) -> Iterator[str]:
    """What the seeds come to: differences between arms, and a line of conclusion, for each species.

    Args:
        table: the rows of all arms.
    """
    seeds = table["seed"].n_unique()
    yield f"{seeds} seeds, paired; points of the oracle's log return, and Sharpe ratio a year, with 95 % intervals"
    for species in table["species"].unique(maintain_order=True):
        own = table.filter(species=species)
        for one in differences(own):
            sharpe = _spread(one.sharpe, "+.2f")
            yield (
                f"  {species:<10}{f'{one.better} − {one.worse}':<24} {_points(one.share):<26} Sharpe {sharpe:<24} "
                f"ahead in {one.ahead} of {one.seeds}"
            )
    for species in table["species"].unique(maintain_order=True):
        yield conclusion(table.filter(species=species))


def conclusion(table: pl.DataFrame) -> str:
    """One line in plain words.

    Args:
        table: the rows of all arms of one species.
    """
    shares = {}
    for name in ARMS:
        own = by_seed(table.filter(arm=name), "all", _PLAYERS)
        share = ratio_of_means(own["champion"].to_numpy(), own["oracle"].to_numpy())
        shares[name] = Interval(share.mean, math.nan, math.nan)
    known = {(one.better, one.worse): one.share for one in differences(table)}
    over = {worse: _verdict(known["lamarckian", worse]) for worse in _ALONE}
    inherited = _verdict(known["baldwinian", "lamarckian"])
    together, evolution, learning, born = (
        _spread(shares[name], ".0%") for name in ("lamarckian", *_ALONE, "baldwinian")
    )
    return (
        f"{table['species'][0]}: evolution with learning reaches {together} of the oracle's log return, "
        f"{over['evolution']} evolution alone ({evolution}) and {over['learning']} learning alone ({learning}); "
        f"where children are born as their parents were it reaches {born}, {inherited} where they receive what was "
        "learned"
    )


def _verdict(spread: Interval) -> str:
    if spread.low > 0:
        return "better than"
    if spread.high < 0:
        return "worse than"
    return "not to be told from"


def _points(spread: Interval) -> str:
    return _spread(Interval(*(100 * value for value in spread)), "+.1f")


def _spread(spread: Interval, form: str) -> str:
    if math.isnan(spread.mean):
        return "–"
    if math.isnan(spread.low):
        return format(spread.mean, form)
    return f"{spread.mean:{form}} ({spread.low:{form}} to {spread.high:{form}})"

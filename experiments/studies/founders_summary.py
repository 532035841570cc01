"""What the founders study says: a line for each seed while it is judged, and what all of them come to."""

import math
from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl

from experiments.studies.statistics import by_seed, interval

__all__ = ["confirmed", "head", "mean_lines", "seed_line", "summary"]

_PLAYERS = ("evolved", "library", "founder_library", "evolved_random", "founder_random", "hold", "oracle")

_ASKED = (("evolved", "library"), ("evolved", "evolved_random"), ("evolved_random", "founder_random"))
"""Who has to be better than whom for founders from the library to help where evolution works."""

_COMPARED = (*_ASKED, ("evolved", "founder_library"))


def head(source: str) -> Iterator[str]:
    """Above the lines of the seeds.

    Args:
        source: of the founders.
    """
    yield f"        log return, bp a bar: from {source:<16}   at random"
    yield "   seed   evolved library founder   evolved founder      hold  oracle"


def seed_line(table: pl.DataFrame) -> str:
    """One seed, over all regimes.

    Args:
        table: the seed's rows, as `experiments.studies.founders.judge_arms` yields them.
    """
    row = by_seed(table, "all", _PLAYERS).row(0, named=True)
    return _line(f"{row['seed']}", {player: 1e4 * row[player] for player in _there(table)}, "+.2f")


def mean_lines(table: pl.DataFrame) -> Iterator[str]:
    """Beneath the lines of the seeds: their means, and the mean Sharpe ratio a year.

    Args:
        table: the rows of all seeds.
    """
    own, there = by_seed(table, "all", _PLAYERS), _there(table)
    yield _line("mean", {player: 1e4 * float(np.mean(own[player].to_numpy())) for player in there}, "+.2f")
    yield _line("Sharpe", {player: float(np.mean(own[f"{player}_sharpe"].to_numpy())) for player in there}, ".2f")


def confirmed(table: pl.DataFrame) -> bool | None:
    """Whether those evolved from the library's founders beat the library alone and those evolved from random ones.

    And whether the latter beat the founders they came from, without which no arm tells anything of evolution. All
    three mean differences over seeds must have an interval above 0. None where the market promises nothing: real bars,
    or made-up ones without an edge.

    Args:
        table: the rows of all seeds.
    """
    edge = table["edge"][0]
    if edge is None or not edge > 0:
        return None
    own = by_seed(table, "all", _PLAYERS)
    return all(interval((own[better] - own[worse]).to_numpy()).low > 0 for better, worse in _ASKED)


def summary(table: pl.DataFrame, source: str, scores: Mapping[str, pl.DataFrame]) -> Iterator[str]:
    """What the seeds come to, in a few lines.

    Args:
        table: the rows of all seeds.
        source: of the founders.
        scores: validation scores of each arm, by the source of its founders, as `experiments.studies.founders.scores`
            gives them.
    """
    own, verdict = by_seed(table, "all", _PLAYERS), confirmed(table)
    said = {None: "", True: ": CONFIRMED", False: ": NOT CONFIRMED"}[verdict]
    yield f"founders from {source}, {own.height} seeds{said}; differences in bp a bar after costs, 95 % intervals"
    for better, worse in _COMPARED:
        gain = (own[better] - own[worse]).to_numpy()
        mean, low, high = (1e4 * value for value in interval(gain))
        yield (
            f"  {f'{better} − {worse}':<31} {mean:+.3f} ({low:+.3f} to {high:+.3f}), "
            f"ahead in {int((gain > 0).sum())} of {len(gain)} seeds"
        )
    yield "validation score of the champion of all regimes, from the first generation to the last"
    for name, known in scores.items():
        gain = (known["last"] - known["first"]).to_numpy()
        first, last = (1e4 * float(np.mean(known[key].to_numpy())) for key in ("first", "last"))
        yield (
            f"  {f'founders {name}' if name == 'random' else f'founders from {name}':<31} {first:+.3f} to {last:+.3f}, "
            f"{1e4 * float(np.mean(gain)):+.3f}, rose in {int((gain > 0).sum())} of {len(gain)} seeds"
        )


def _there(table: pl.DataFrame) -> list[str]:
    """Players that take part; who has no account on real bars, the oracle, is not one of them."""
    known = set(table["player"])
    return [player for player in _PLAYERS if player != "oracle" or player in known]


def _line(label: str, values: Mapping[str, float], form: str) -> str:
    cells = []
    for player in _PLAYERS:
        value = values.get(player, math.nan)
        wide = 10 if player in ("evolved", "evolved_random", "hold") else 8
        cells.append(f"{'–' if math.isnan(value) else format(value, form):>{wide}}")
    return f"{label:>7}{''.join(cells)}"

"""Counting: how many things were tried on each record, so that the best of them is not taken for better than it is.

A record is deflated by the trials whose maximum was taken on it: training by all genomes ever born, of which an even
sample says how many different ones they are; validation by the agents that were tried there and the settings of the
grid; the holdout by the family and its openings. Deflating the untouched holdout by all genomes would correct twice.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
from numpy.typing import NDArray

from agents.population import NOBODY
from arena.archive import ArchiveSettings
from arena.journey import earn
from arena.reservoir import Reservoir
from arena.rollout import Rollout, Trader
from arena.schemas import REGIME_NAMES
from experiments.certificates.ground import Stretch
from experiments.evidence.days import daily
from experiments.evidence.sharpe import (
    deflated,
    expected_maximum,
    moments,
    quantile_of_maximum,
    share_of_maximum,
)
from markets.calendars import Calendar
from markets.preparation import Market

__all__ = [
    "Sample",
    "candidates_tried",
    "finite",
    "luck",
    "of_record",
    "replay",
    "sample_of",
    "stack",
    "unlucky_variance",
]

_BLOCK = 128
"""Agents replayed at once."""

_DRAWN = 10_000
"""Lucky bests that a distribution is shown of."""

_BINS = 40


class Sample(NamedTuple):
    """Agents replayed over contiguous rows."""

    columns: NDArray[np.float64]
    """Daily returns, [days, agents]."""
    changes: NDArray[np.int64]
    """How often each changed its position, [agents]."""


def sample_of(reservoir: Reservoir, places: slice) -> Trader:
    """The births that one replicate kept, of one species: leaves [agents, …], empty places left out.

    Args:
        reservoir: of the species, leaves [islands of all replicates, kept, …].
        places: islands of the replicate.
    """
    there = np.asarray(reservoir.id[places]).reshape(-1) != NOBODY
    traders: Trader = jax.tree.map(
        lambda leaf: np.asarray(leaf[places]).reshape(-1, *leaf.shape[2:])[there], reservoir.trader
    )
    return traders


def stack(traders: list[Trader]) -> Trader:
    """Traders of one species side by side, leaves [agents, …]."""
    joined: Trader = jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *traders)
    return joined


def replay(
    setup: Rollout, traders: Trader, market: Market, stretches: tuple[Stretch, ...], calendar: Calendar
) -> Sample:
    """What agents earn by day over stretches, each traded once from flat; symbols weigh equally.

    In blocks of agents, so that memory stays bounded however many there are; one compiled program serves all blocks.

    Args:
        setup: how they act.
        traders: leaves [agents, …].
        market: prepared.
        stretches: of it.
        calendar: the venue's.
    """
    count = len(traders.genes.size)
    first, stop = (np.asarray([getattr(own, end) for own in stretches], np.int32) for end in ("first", "stop"))
    found = []
    for begin in range(0, count, _BLOCK):
        block = min(_BLOCK, count - begin)
        rows = np.minimum(begin + np.arange(_BLOCK if count > _BLOCK else count), count - 1)  # the last fill the block
        some: Trader = jax.tree.map(lambda leaf, rows=rows: jnp.asarray(np.asarray(leaf)[rows]), traders)
        pieces = [piece for _, piece in earn(setup, some, market.tape, first, stop)]
        equity = np.concatenate([piece.equity for piece in pieces])[:, :block].astype(np.float64) / setup.rules.cash
        side = np.sign(np.concatenate([piece.units for piece in pieces])[:, :block])
        found.append(_by_day(equity, side, market, stretches, calendar))
    return Sample(np.concatenate([own.columns for own in found], 1), np.concatenate([own.changes for own in found]))


def _by_day(
    equity: NDArray[np.float64],
    side: NDArray[np.floating[Any]],
    market: Market,
    stretches: tuple[Stretch, ...],
    calendar: Calendar,
) -> Sample:
    """Of one block, [bars, agents, lanes] and [bars, agents, lanes, instruments]."""
    agents = equity.shape[1]
    parts, changes = [], np.zeros(agents, np.int64)
    for lane, own in enumerate(stretches):
        bars = own.stop - own.first - 1
        worth = np.maximum(np.concatenate([np.ones((1, agents)), equity[:bars, :, lane]]), 0.0)
        before = worth[:-1]
        returns = np.where(before > 0, np.diff(worth, axis=0) / np.where(before > 0, before, 1.0), 0.0)
        parts.append(daily(market.time[own.first + 1 : own.stop], returns, calendar))
        held = np.concatenate([np.zeros((1, agents, side.shape[3])), side[:bars, :, lane]])
        changes += (np.diff(held, axis=0) != 0).sum((0, 2))
    days = np.unique(np.concatenate([part.day for part in parts]))
    total = np.zeros((len(days), agents))
    for part in parts:
        total[np.searchsorted(days, part.day)] += part.returns / len(parts)
    return Sample(total, changes)


def candidates_tried(
    fitness: pl.DataFrame, births: pl.DataFrame, archive: ArchiveSettings, *, kept: str, tries: int
) -> tuple[int, str]:
    """How many agents of a replicate were tried on validation, and how that is known.

    Args:
        fitness: the table.
        births: of the replicate.
        archive: its settings.
        kept: `record.fitness`: whose rows there are.
        tries: generations times islands times species.
    """
    if kept != "births":
        rows = fitness.filter(pl.col("split") == "validation").select("id").unique()
        return rows.join(births.select("id").unique(), on="id").height, "counted"
    return min(
        tries * archive.candidates * len(REGIME_NAMES), births.height
    ), "at most: record.fitness keeps births alone"


def of_record(
    names: tuple[str, ...], returns: NDArray[np.float64], *, effective: float | None, variance: float, days: float
) -> dict[str, Any]:
    """What a record's best member is worth against the trials whose maximum was taken on it.

    Args:
        names: of the members.
        returns: of each by day, on that record, [days, members].
        effective: trials; None where nobody knows.
        variance: of the trials' daily Sharpe ratios; raised to that of an estimate without merit, (1+ρ)/(1−ρ)/T.
        days: a year.
    """
    found = {name: moments(returns[:, place]) for place, name in enumerate(names)}
    able = {name: own for name, own in found.items() if math.isfinite(own.sharpe)}
    made: dict[str, Any] = dict.fromkeys(
        ("effective", "variance", "expected_maximum", "member", "record", "sharpe_year", "deflated")
    )
    if not able:
        return made | {"effective": effective}
    best = max(able, key=lambda name: able[name].sharpe)
    own = able[best]
    made |= {"effective": effective, "member": best, "record": own.sharpe, "sharpe_year": own.sharpe * math.sqrt(days)}
    if effective is None:
        return made
    variance = max(variance, unlucky_variance(own.autocorrelation, own.periods))
    return made | {
        "variance": variance,
        "expected_maximum": expected_maximum(max(effective, 1.0), variance),
        "deflated": {
            convention: finite(deflated(own, trials=max(effective, 1.0), variance=variance, convention=convention))
            for convention in ("2012", "2025")
        },
    }


def unlucky_variance(autocorrelation: float, periods: int) -> float:
    """Variance of the Sharpe ratio of a record without merit: (1 + ρ) / (1 − ρ) / T."""
    rho = min(max(autocorrelation, -0.99), 0.99)
    return (1 + rho) / (1 - rho) / periods


def luck(record: Mapping[str, Any], days: float) -> dict[str, Any] | None:
    """How good the best of as many lucky trials looks: their distribution, Φ(x/σ)^N, in Sharpe ratios of a year.

    Exact, nothing is drawn: `counts` is what is expected of 10,000 such bests.

    Args:
        record: of `of_record`.
        days: a year.
    """
    trials, variance = record["effective"], record["variance"]
    if trials is None or variance is None:
        return None
    trials, year = max(float(trials), 1.0), math.sqrt(days)
    low, high = quantile_of_maximum(np.asarray([0.0005, 0.9995]), trials=trials, variance=variance)
    edges = np.linspace(min(low, record["record"]), max(high, record["record"]), _BINS + 1)
    below = share_of_maximum(edges, trials=trials, variance=variance)
    below[0], below[-1] = 0.0, 1.0
    return {
        "edges": (edges * year).tolist(),
        "counts": (np.diff(below) * _DRAWN).tolist(),
        "of": trials,
        "observed": record["sharpe_year"],
        "member": record["member"],
        "expected": record["expected_maximum"] * year,
    }


def finite(value: float) -> float | None:
    """A number, or None where it is none."""
    return value if math.isfinite(value) else None

"""Judging: what agents do on bars that nobody had seen, beside what they did where they were chosen."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
from jaxtyping import Array
from numpy.typing import NDArray

from agents.population import NOBODY
from arena.benchmarks import follow, hold, play
from arena.fitness import Stats, summarise
from arena.frames import measures
from arena.rollout import Rollout, Trader
from arena.schemas import REGIME_NAMES
from arena.settings import Settings
from arena.state import ArenaState
from arena.tally import Tally, groups_of
from experiments.runs.checkpoint import last_checkpoint, load_checkpoint
from experiments.runs.directory import RunDirectory
from experiments.runs.job import Job
from experiments.runs.trees import generation_of, load_tree
from markets.errors import UserError
from markets.preparation import Market
from markets.tape import Tape, window

__all__ = [
    "Entrants",
    "Ground",
    "Windows",
    "benchmarks",
    "champions",
    "first_champions",
    "judge",
    "last_state",
    "own_windows",
    "rows_of",
    "table_of",
]


class Entrants(NamedTuple):
    """Agents that act alike, and who of them stands for which group (regimes, then all)."""

    setup: Rollout
    traders: Trader
    """Leaves [agents, …]."""
    stands: Mapping[int, tuple[int, int]]
    """By group the place among the agents, and the id in tables."""


class Windows(NamedTuple):
    """Windows of a tape."""

    tape: Tape
    first: Array
    """Their first rows."""
    bars: int


class Ground(NamedTuple):
    """What is judged on."""

    market: Market
    """Its validation windows are traded."""
    oracle: NDArray[np.float32] | None
    """What the best possible player asks for [rows, 1], where it is known."""


class _Chosen(NamedTuple):
    """Who was chosen for each group in one replicate."""

    id: NDArray[np.uint32]
    """[groups]; `NOBODY` where there is none."""
    species: NDArray[np.int32]
    traders: tuple[Trader, ...]
    """By species, leaves [groups, …]; meaningful for its own species only."""


def last_state(job: Job, directory: RunDirectory) -> ArenaState:
    """The state at the end of a run.

    Raises:
        UserError: it is gone, or damaged.
    """
    checkpoint = last_checkpoint(directory)
    if checkpoint is None:
        raise UserError(f"{directory.checkpoints}: the last state is gone; delete {directory.root} to begin it anew")
    return load_checkpoint(checkpoint, job.like)


def own_windows(job: Job, replicate: int) -> Windows:
    """The validation windows that one replicate's champions were chosen on."""
    tape = job.market.tape
    return Windows(tape, tape.validation[replicate % len(tape.validation)], job.study.settings.episodes.bars)


def champions(job: Job, state: ArenaState) -> list[list[Entrants]]:
    """The champions of each replicate, by species."""
    archive = state.archive
    whole = _Chosen(np.asarray(archive.id), np.asarray(archive.species), archive.traders)
    return [_entrants(job, jax.tree.map(lambda leaf, own=own: leaf[own], whole)) for own in range(job.plan.replicates)]


def first_champions(job: Job, directory: RunDirectory, state: ArenaState) -> list[list[Entrants]]:
    """The champions of each replicate after the first generation: the best of its founders, by species.

    Raises:
        UserError: a file of the run that is damaged.
    """
    replicates, groups = np.asarray(state.archive.id).shape
    births = directory.read("births").filter(pl.col("generation") == 0).select("id", "species", "island")
    first = directory.read("archive").filter(pl.col("generation") == 0).join(births, on="id", how="left")
    found = [
        _Chosen(
            np.full(groups, NOBODY, np.uint32),
            np.zeros(groups, np.int32),
            jax.tree.map(lambda leaf: np.zeros(leaf.shape[1:], leaf.dtype), state.archive.traders),
        )
        for _ in range(replicates)
    ]
    for row in first.iter_rows(named=True):
        own, group = found[row["island"] // job.plan.islands], REGIME_NAMES.index(row["regime"])
        species = job.plan.names.index(row["species"])
        path = directory.genomes / f"{row['id']}.safetensors"
        assert generation_of(path) == 0
        like: Any = jax.tree.map(lambda leaf: leaf[0], own.traders[species])
        trader, _ = load_tree(path, like)
        own.id[group], own.species[group] = row["id"], species
        jax.tree.map(lambda all_of, one, group=group: all_of.__setitem__(group, one), own.traders[species], trader)
    return [_entrants(job, chosen) for chosen in found]


def _entrants(job: Job, chosen: _Chosen) -> list[Entrants]:
    made = []
    for species, setup in enumerate(job.plan.rollouts):
        mine = {
            group: (group, int(identity))
            for group, identity in enumerate(chosen.id)
            if identity != NOBODY and chosen.species[group] == species
        }
        if mine:
            made.append(Entrants(setup, jax.tree.map(jnp.asarray, chosen.traders[species]), mine))
    return made


def judge(player: str, entrants: Sequence[Entrants], market: Market, own: Windows) -> Iterator[pl.DataFrame]:
    """What those who stand for a group do there on a market that nobody had seen, a row each.

    Args:
        player: what they are called.
        entrants: of any species.
        market: prepared with the scaler of the one they were chosen on; its validation windows are traded.
        own: the windows they were chosen on, which say what exposure they are matched by.
    """
    first = market.tape.validation[0]
    for setup, traders, stands in entrants:
        exposure = _mean_exposure(play(setup, traders, own.tape, own.first, own.bars))
        held = np.zeros(exposure.shape[1])
        for group, (place, _) in stands.items():
            held[group] = exposure[place, group]
        matched = _matched(held, market.tape, first, own.bars)
        stats = summarise(play(setup, traders, market.tape, first, own.bars))
        for group, (place, identity) in stands.items():
            alone: Stats = jax.tree.map(lambda leaf, place=place: leaf[place : place + 1], stats)
            yield rows_of(player, alone, identity, float(matched[group])).filter(regime=REGIME_NAMES[group])


def benchmarks(settings: Settings, ground: Ground) -> list[pl.DataFrame]:
    """What holding did there, and the best possible player where it is known: rows of `hold` and `oracle`."""
    tape = ground.market.tape
    first = tape.validation[0]
    rows = [rows_of("hold", hold(settings, tape, first))]
    if ground.oracle is not None:
        rows.append(rows_of("oracle", follow(settings, tape, jnp.asarray(ground.oracle), first)))
    return rows


def rows_of(player: str, stats: Stats, identity: int | None = None, matched: float | None = None) -> pl.DataFrame:
    """One agent's results by regime, a row each; `matched` is of all bars of a regime together."""
    values = {name: value[0] for name, value in measures(stats).items()}
    bars = np.maximum(values["bars"], 1.0)
    count = len(REGIME_NAMES)
    return pl.DataFrame(
        {
            "player": [player] * count,
            "id": pl.Series([identity] * count, dtype=pl.UInt64),
            "regime": REGIME_NAMES,
            "bars": values["bars"].astype(np.int64),
            "log_return": values["log_return"] / bars,
            "sharpe": values["sharpe"],
            "matched": pl.Series([matched] * count, dtype=pl.Float64),
            "trades": values["trades"].astype(np.int64),
        }
    ).with_columns(pl.col("sharpe").fill_nan(None))


def table_of(rows: Sequence[pl.DataFrame], *, edge: float | None, seed: int, periods: float) -> pl.DataFrame:
    """The rows of one seed: `edge, seed, player, id, regime, bars, log_return, sharpe, matched, trades`.

    `log_return` is a bar's, `sharpe` a year's; `matched` is the log return a bar of holding the net exposure that the
    player had on its own windows, rebalanced at every close without costs. `sharpe` and `matched` are null where they
    are not defined.

    Args:
        rows: as `judge` and `rows_of` give them.
        edge: of the market; None where nobody knows.
        seed: of the replicate.
        periods: bars a year.
    """
    return pl.concat(rows).select(
        pl.lit(edge, pl.Float64).alias("edge"),
        pl.lit(seed, pl.UInt32).alias("seed"),
        pl.exclude("sharpe"),
        pl.col("sharpe") * np.sqrt(periods),
    )


def _mean_exposure(tally: Tally) -> NDArray[np.float64]:
    """Mean net exposure of each agent in each group, [agents, groups]."""
    bars = np.asarray(tally.bars, np.float64).sum(-1)
    total = np.asarray(tally.exposure, np.float64).sum((-2, -1))
    return np.asarray((total / np.maximum(bars, 1.0)).T)


def _matched(exposure: NDArray[np.float64], tape: Tape, first: Array, bars: int) -> NDArray[np.float64]:
    """Log return a bar of holding an exposure for each group, over that group's bars, [groups]."""
    seen = window(tape, first, bars)
    groups = np.asarray(groups_of(seen.regime), bool)
    gain = np.asarray(seen.gain[..., 0], np.float64)
    return np.asarray([np.log1p(exposure[g] * gain[own]).mean() if own.any() else 0.0 for g, own in enumerate(groups)])

"""The edge study: does evolution find an edge that is there, and none where there is none?

Populations evolve on made-up markets whose best possible player is known, each seed on a market of its own, all seeds
as replicates of one compiled program. What each seed ends with then trades markets that are made from other seeds, so
that nothing anyone chose by can help it there. It is set against the best of its own founders, chosen by the same rule,
against flat, against holding the exposure it had on validation, and against the oracle.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
from jaxtyping import Array
from numpy.typing import NDArray

from agents.population import NOBODY
from arena.api import make_market
from arena.benchmarks import follow, hold, play
from arena.fitness import Stats, summarise
from arena.frames import measures
from arena.rollout import Trader
from arena.schemas import REGIME_NAMES
from arena.state import ArenaState
from arena.tally import Tally, groups_of
from experiments.configuration.compose import compose
from experiments.configuration.study import make_study
from experiments.runs.checkpoint import last_checkpoint, load_checkpoint
from experiments.runs.directory import RunDirectory
from experiments.runs.estimate import check_room
from experiments.runs.job import Job
from experiments.runs.sweeps import Outcome
from experiments.runs.trees import generation_of, load_tree
from markets.errors import UserError
from markets.preparation import Market
from markets.synthetic import SyntheticPath, SyntheticSettings, oracle_exposures, simulate_paths
from markets.tape import Tape, window

__all__ = ["EdgeStudy", "evolve_seeds", "fresh_paths", "judge_seeds", "seeds_config"]

_FRESH = 2**31
"""How far from a seed's own the seed lies that its fresh markets are made from."""


@dataclasses.dataclass(frozen=True)
class EdgeStudy:
    """One half of the study.

    Attributes:
        edge: annualised Sharpe ratio of the oracle, 0 where nothing can be earned.
        seeds: how many, from the configuration's own on.
        fresh: fresh markets that each seed is judged on.
        overrides: of the configuration, beside these.
    """

    edge: float
    seeds: int
    fresh: int
    overrides: tuple[str, ...] = ()


class _Chosen(NamedTuple):
    """Who was chosen for each group in one replicate."""

    id: NDArray[np.uint32]
    """[groups]; `NOBODY` where there is none."""
    species: NDArray[np.int32]
    traders: tuple[Trader, ...]
    """By species, leaves [groups, …]; meaningful for its own species only."""


class _QuietJob(Job):
    """A run whose end is told by the study instead."""

    def conclude(self, directory: RunDirectory, state: ArenaState) -> None:
        """Say nothing."""


def seeds_config(study: EdgeStudy) -> dict[str, Any]:
    """The configuration of the run that evolves all seeds of a study.

    Raises:
        UserError: overrides that make no such study.
    """
    own = ["record.fitness=archive", *study.overrides]
    config = compose([*own, f"market.edge={study.edge}", f"evolution.replicates={study.seeds}"])
    made = make_study(config)
    if not made.settings.archive.enabled:
        raise UserError("archive.enabled: without an archive there are no champions to judge; leave it on")
    if made.market.mode != "pool":
        raise UserError("market.mode: a basket has no oracle to compare with; leave it pool")
    if made.settings.device.coordinator is not None:
        raise UserError("device.coordinator: the edge study runs in one process; leave it null")
    if made.force:
        raise UserError("force: the edge study goes on with what is there; delete the run's folder to begin it anew")
    return config


def evolve_seeds(study: EdgeStudy) -> tuple[Job, RunDirectory, int]:
    """Evolve all seeds to the end, as a run like any other: it is recorded, and goes on where it was stopped.

    Returns:
        The run, its directory, and the exit code: 0 once it is finished, or described where `check` asks for no more.

    Raises:
        UserError: overrides that make no such study.
    """
    made = make_study(seeds_config(study))
    job = _QuietJob(made, Outcome(brief=True))
    directory = RunDirectory(Path(made.runs_dir) / job.id)
    if made.check:
        check_room(job.describe(directory), directory.root)
        return job, directory, 0
    return job, directory, job.go(directory)


def fresh_paths(source: SyntheticSettings, seed: int, count: int) -> list[SyntheticPath]:
    """Markets of the same kind as a seed's own, from a seed so far from it that no study's seeds meet it."""
    return simulate_paths(dataclasses.replace(source, symbols=count), (seed + _FRESH) % 2**32)


def judge_seeds(study: EdgeStudy, job: Job, directory: RunDirectory) -> Iterator[pl.DataFrame]:
    """Let champions, founders, holding and the oracle trade fresh markets, seed after seed.

    Yields:
        For each seed one row a player and regime (or `all`): `edge, seed, player, id, regime, bars, log_return, sharpe,
        matched, trades`. `player` is `champion`, `founder`, `hold` or `oracle`; `log_return` is a bar's, `sharpe` a
        year's; `matched` is the log return a bar of holding the net exposure that the player had on validation,
        rebalanced at every close without costs. `sharpe` and `matched` are null where they are not defined.

    Raises:
        UserError: a file of the run that is damaged.
    """
    settings, source = job.study.settings, job.study.market.source
    assert isinstance(source, SyntheticSettings)
    checkpoint = last_checkpoint(directory)
    if checkpoint is None:
        raise UserError(f"{directory.checkpoints}: the last state is gone; delete {directory.root} to begin it anew")
    state = load_checkpoint(checkpoint, job.like)
    first_champions = _first_champions(job, directory, state)
    for replicate in range(job.plan.replicates):
        seed = (settings.seed + replicate) % 2**32
        paths = fresh_paths(source, seed, study.fresh)
        scaler = job.market.scalers[replicate % len(job.market.scalers)]
        market = make_market([path.bars for path in paths], settings, scaler=scaler)
        told = np.concatenate([oracle_exposures(source, path) for path in paths]).astype(np.float32)[:, None]
        first = market.tape.validation[0]
        rows = [
            _rows("hold", hold(settings, market.tape, first)),
            _rows("oracle", follow(settings, market.tape, jnp.asarray(told), first)),
        ]
        champions = jax.tree.map(lambda leaf, own=replicate: leaf[own], _chosen(state))
        for player, chosen in (("champion", champions), ("founder", first_champions[replicate])):
            rows.extend(_judge(player, chosen, job, replicate, market))
        yield pl.concat(rows).select(
            pl.lit(study.edge).alias("edge"),
            pl.lit(seed, pl.UInt32).alias("seed"),
            pl.exclude("sharpe"),
            pl.col("sharpe") * np.sqrt(market.segments[0].periods),
        )


def _judge(player: str, chosen: _Chosen, job: Job, replicate: int, market: Market) -> Iterator[pl.DataFrame]:
    """What those chosen in a replicate do on a fresh market, each in the regime it was chosen for."""
    bars, tape = job.study.settings.episodes.bars, job.market.tape
    first, own_first = market.tape.validation[0], tape.validation[replicate % len(tape.validation)]
    for species, setup in enumerate(job.plan.rollouts):
        mine = [
            group for group in range(len(chosen.id)) if chosen.id[group] != NOBODY and chosen.species[group] == species
        ]
        if not mine:
            continue
        traders = jax.tree.map(jnp.asarray, chosen.traders[species])
        exposure = _mean_exposure(play(setup, traders, tape, own_first, bars))
        matched = _matched(exposure, market.tape, first, bars)
        stats = summarise(play(setup, traders, market.tape, first, bars))
        for group in mine:
            own: Stats = jax.tree.map(lambda leaf, group=group: leaf[group : group + 1], stats)
            identity = int(chosen.id[group])
            yield _rows(player, own, identity, float(matched[group])).filter(regime=REGIME_NAMES[group])


def _rows(player: str, stats: Stats, identity: int | None = None, matched: float | None = None) -> pl.DataFrame:
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


def _mean_exposure(tally: Tally) -> NDArray[np.float64]:
    """Mean net exposure of each agent in each group, [agents, groups]."""
    bars = np.asarray(tally.bars, np.float64).sum(-1)
    total = np.asarray(tally.exposure, np.float64).sum((-2, -1))
    return np.asarray((total / np.maximum(bars, 1.0)).T)


def _matched(exposure: NDArray[np.float64], tape: Tape, first: Array, bars: int) -> NDArray[np.float64]:
    """Log return a bar of holding the exposure that agent g had in group g, over that group's bars, [groups]."""
    seen = window(tape, first, bars)
    groups = np.asarray(groups_of(seen.regime), bool)
    gain = np.asarray(seen.gain[..., 0], np.float64)
    return np.asarray(
        [np.log1p(exposure[g, g] * gain[own]).mean() if own.any() else 0.0 for g, own in enumerate(groups)]
    )


def _chosen(state: ArenaState) -> _Chosen:
    """The champions of all replicates, leaves [replicates, …]."""
    archive = state.archive
    return _Chosen(np.asarray(archive.id), np.asarray(archive.species), archive.traders)


def _first_champions(job: Job, directory: RunDirectory, state: ArenaState) -> list[_Chosen]:
    """The champions of each replicate after the first generation: the best that random drawing had to offer."""
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
    return found

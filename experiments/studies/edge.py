"""The edge study: does evolution find an edge that is there, and none where there is none?

Populations evolve on made-up markets whose best possible player is known, each seed on a market of its own, all seeds
as replicates of one compiled program. What each seed ends with then trades markets that are made from other seeds, so
that nothing anyone chose by can help it there. It is set against the best of its own founders, chosen by the same rule,
against flat, against holding the exposure it had on validation, and against the oracle.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import polars as pl

from experiments.configuration.compose import compose
from experiments.configuration.study import make_study
from experiments.runs.directory import RunDirectory
from experiments.runs.job import Job
from experiments.studies.judging import (
    benchmarks,
    champions,
    first_champions,
    judge,
    last_state,
    own_windows,
    table_of,
)
from experiments.studies.seeds import fresh_ground, go_or_describe, quiet_job, see_judgeable, seed_of
from markets.synthetic import SyntheticSettings

__all__ = ["EdgeStudy", "evolve_seeds", "judge_seeds", "seeds_config"]


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


def seeds_config(study: EdgeStudy) -> dict[str, Any]:
    """The configuration of the run that evolves all seeds of a study.

    Raises:
        UserError: overrides that make no such study.
    """
    own = ["record.fitness=archive", *study.overrides]
    config = compose([*own, f"market.edge={study.edge}", f"evolution.replicates={study.seeds}"])
    see_judgeable(make_study(config), "edge", "a basket has no oracle to compare with")
    return config


def evolve_seeds(study: EdgeStudy) -> tuple[Job, RunDirectory, int]:
    """Evolve all seeds to the end, as a run like any other: it is recorded, and goes on where it was stopped.

    Returns:
        The run, its directory, and the exit code: 0 once it is finished, or described where `check` asks for no more.

    Raises:
        UserError: overrides that make no such study.
    """
    job, directory = quiet_job(seeds_config(study))
    return job, directory, go_or_describe(job, directory)


def judge_seeds(study: EdgeStudy, job: Job, directory: RunDirectory) -> Iterator[pl.DataFrame]:
    """Let champions, founders, holding and the oracle trade fresh markets, seed after seed.

    Yields:
        For each seed one row a player and regime (or `all`), see `experiments.studies.judging.table_of`; `player` is
        `champion`, `founder`, `hold` or `oracle`.

    Raises:
        UserError: a file of the run that is damaged.
    """
    settings, source = job.study.settings, job.study.market.source
    assert isinstance(source, SyntheticSettings)
    state = last_state(job, directory)
    ended, begun = champions(job, state), first_champions(job, directory, state)
    for replicate in range(job.plan.replicates):
        ground, own = fresh_ground(job, source, replicate, study.fresh), own_windows(job, replicate)
        rows = benchmarks(settings, ground)
        for player, entrants in (("champion", ended[replicate]), ("founder", begun[replicate])):
            rows.extend(judge(player, entrants, ground.market, own))
        periods = ground.market.segments[0].periods
        yield table_of(rows, edge=study.edge, seed=seed_of(job, replicate), periods=periods)

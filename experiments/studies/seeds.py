"""Seeds: many of them as replicates of one run, and markets that none of them was bred on."""

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from arena.api import make_market
from arena.state import ArenaState
from experiments.configuration.study import Study, make_study
from experiments.runs.directory import RunDirectory
from experiments.runs.estimate import check_room
from experiments.runs.job import Job
from experiments.runs.sweeps import Outcome
from experiments.studies.judging import Ground
from markets.errors import UserError
from markets.synthetic import SyntheticPath, SyntheticSettings, oracle_exposures, simulate_paths

__all__ = [
    "fresh_ground",
    "fresh_paths",
    "go_or_describe",
    "quiet_job",
    "see_judgeable",
    "see_own_keys",
    "seed_of",
]

_FRESH = 2**31
"""How far from a seed's own the seed lies that its fresh markets are made from."""


class _QuietJob(Job):
    """A run whose end is told by the study instead."""

    def conclude(self, directory: RunDirectory, state: ArenaState) -> None:
        """Say nothing."""


def quiet_job(config: Mapping[str, Any]) -> tuple[Job, RunDirectory]:
    """The run of a configuration, made ready, and its directory.

    Raises:
        UserError: bars that cannot be read, or are too few.
    """
    job = _QuietJob(make_study(config), Outcome(brief=True))
    return job, RunDirectory(Path(job.study.runs_dir) / job.id)


def go_or_describe(job: Job, directory: RunDirectory) -> int:
    """Run to the end from wherever the directory stands, or say what the run will be, where `check` asks for no more.

    Returns:
        The exit code, 0 once it is finished or described.

    Raises:
        UserError: what stops a run.
    """
    if job.study.check:
        check_room(job.describe(directory), directory.root)
        return 0
    return job.go(directory)


def see_own_keys(overrides: Iterable[str], keys: Mapping[str, str], name: str) -> None:
    """See that no override is of a key that a study gives its arms itself.

    Args:
        overrides: of a user.
        keys: and the option that says each instead; empty where nothing does.
        name: of the study, for messages.

    Raises:
        UserError: the first that is.
    """
    for line in overrides:
        key, _, value = line.partition("=")
        option = keys.get(key.strip().lstrip("+"))
        if option is not None:
            instead = f"say {option} {value.strip()} instead" if option else "leave it out"
            raise UserError(f"{line}: the {name} study gives its arms this key; {instead}")


def see_judgeable(study: Study, name: str, why_pool: str) -> None:
    """See that champions come of a run that a study can judge.

    Args:
        study: of the run.
        name: of the study, for messages.
        why_pool: what is wrong with baskets.

    Raises:
        UserError: the first key that stands in the way.
    """
    if not study.settings.archive.enabled:
        raise UserError("archive.enabled: without an archive there are no champions to judge; leave it on")
    if study.market.mode != "pool":
        raise UserError(f"market.mode: {why_pool}; leave it pool")
    if study.settings.split.folds > 1:
        raise UserError(f"split.folds: the {name} study judges runs of one split; leave split=holdout")
    if study.settings.device.coordinator is not None:
        raise UserError(f"device.coordinator: the {name} study runs in one process; leave it null")
    if study.force:
        raise UserError(f"force: the {name} study goes on with what is there; delete the run's folder to begin it anew")


def fresh_paths(source: SyntheticSettings, seed: int, count: int) -> list[SyntheticPath]:
    """Markets of the same kind as a seed's own, from a seed so far from it that no study's seeds meet it."""
    return simulate_paths(dataclasses.replace(source, symbols=count), (seed + _FRESH) % 2**32)


def seed_of(job: Job, replicate: int) -> int:
    """The seed of a replicate."""
    return (job.study.settings.seed + replicate) % 2**32


def fresh_ground(job: Job, source: SyntheticSettings, replicate: int, count: int) -> Ground:
    """What one seed is judged on: fresh markets, prepared with the scaler of its own training rows.

    Args:
        job: of the seed.
        source: of its market.
        replicate: the seed's.
        count: fresh markets.
    """
    paths, scalers = fresh_paths(source, seed_of(job, replicate), count), job.market.scalers
    market = make_market([path.bars for path in paths], job.study.settings, scaler=scalers[replicate % len(scalers)])
    told = np.concatenate([oracle_exposures(source, path) for path in paths]).astype(np.float32)[:, None]
    return Ground(market, told)

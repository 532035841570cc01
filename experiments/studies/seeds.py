"""Seeds: many of them as replicates of one run, and markets that none of them was bred on."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arena.state import ArenaState
from experiments.configuration.study import Study, make_study
from experiments.runs.directory import RunDirectory
from experiments.runs.job import Job
from experiments.runs.sweeps import Outcome
from markets.errors import UserError
from markets.synthetic import SyntheticPath, SyntheticSettings, simulate_paths

__all__ = ["fresh_paths", "quiet_job", "see_judgeable"]

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
    if study.settings.device.coordinator is not None:
        raise UserError(f"device.coordinator: the {name} study runs in one process; leave it null")
    if study.force:
        raise UserError(f"force: the {name} study goes on with what is there; delete the run's folder to begin it anew")


def fresh_paths(source: SyntheticSettings, seed: int, count: int) -> list[SyntheticPath]:
    """Markets of the same kind as a seed's own, from a seed so far from it that no study's seeds meet it."""
    return simulate_paths(dataclasses.replace(source, symbols=count), (seed + _FRESH) % 2**32)

"""Starting: from overrides to a run, and from a run's directory to the same run, going on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.configuration.compose import compose
from experiments.configuration.study import make_study
from experiments.runs.checkpoint import last_checkpoint
from experiments.runs.directory import RunDirectory
from experiments.runs.estimate import check_room
from experiments.runs.identity import run_id
from experiments.runs.job import Job
from experiments.runs.sweeps import Outcome
from markets.errors import UserError
from markets.settings import shown

__all__ = ["compose_run", "resume", "run"]


def run(overrides: list[str], outcome: Outcome | None = None) -> int:
    """Evolve the study that overrides describe; a study that is there already is gone on with, or shown.

    Args:
        overrides: of the configuration.
        outcome: told how the run ended, for a sweep.

    Raises:
        UserError: a mistake in the configuration or the data.
    """
    study = make_study(compose_run(overrides))
    job = Job(study, outcome)
    root = Path(study.runs_dir) / job.id
    if study.force:
        number = 1
        while root.exists():
            number += 1
            root = Path(study.runs_dir) / f"{job.id}-{number}"
    job.outcome.root = root
    if study.check:
        with job.processes.together():
            if job.processes.first:
                check_room(job.describe(RunDirectory(root)), root)
        job.outcome.end = "checked"
        return 0
    return job.go(RunDirectory(root))


def resume(directory: RunDirectory, device: Mapping[str, Any] | None = None) -> int:
    """Go on with a run from its last checkpoint, on this machine whatever machine began it.

    Args:
        directory: of the run.
        device: keys of that group which say where it goes on.

    Raises:
        UserError: its configuration or bars are not what they were.
    """
    manifest = directory.read_manifest()
    try:
        config = directory.read_config()
        begun = config.get("device") or {}
        if not isinstance(begun, Mapping):
            raise UserError(f"device: expected a group of keys, got {shown(begun)}")
        kept = directory.founders.exists() or last_checkpoint(directory) is not None
        study = make_study({**config, "device": {**begun, **(device or {})}}, founded=kept)
    except UserError as error:
        named = str(error).startswith(str(directory.config))
        raise UserError(str(error) if named else f"{directory.config}: {error}") from None
    bits = manifest.get("bits", {})
    job = Job(study, founders={key: bits[key] for key in ("founders",) if key in bits} if kept else None)
    known = manifest.get("run_id", job.id)
    if known not in (job.id, run_id(study.config, job.data, bits)):
        changed = "bars" if manifest.get("data_hash") != job.data else "configuration"
        raise UserError(
            f"{directory.root}: its {changed} changed since it was run {known}; bring back what it was made with, "
            "or start a run of its own with arena evolve"
        )
    job.id = known
    return job.go(directory)


def compose_run(overrides: list[str]) -> dict[str, Any]:
    """The configuration of a run, which can be resumed from any folder: paths of bars, models, bundles stand in full.

    Raises:
        UserError: a mistake in the overrides.
    """
    config = compose(overrides)
    for group in ("market", "training", "bundle"):
        _absolute(config.get(group))
    return config


def _absolute(group: object) -> None:
    """Write paths of bars, models and bundles in full, so that a run can be resumed from any folder."""
    if not isinstance(group, dict):
        return
    path = group.get("path")
    if isinstance(path, str) and path:
        group["path"] = str(Path(path).resolve())
    elif isinstance(path, list):
        group["path"] = [str(Path(each).resolve()) if isinstance(each, str) else each for each in path]

"""`arena evolve`: a run or a sweep of runs, each checked before the first starts. Help alone never loads JAX."""

import argparse
import contextlib
from collections.abc import Callable
from typing import Any

from experiments.commands.overrides import add_override_arguments, epilog, run_jobs
from experiments.runs.sweeps import Outcome

__all__ = ["add_arguments", "epilog", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena evolve`."""
    add_override_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Evolve once for each configuration that the overrides describe, and return the exit code."""
    return run_jobs(args, _evolve, check=_check, session=_session)


def _check(config: dict[str, Any]) -> None:
    from experiments.configuration.study import make_study

    make_study(config)


def _evolve(overrides: list[str], outcome: Outcome) -> int:
    from experiments.runs import start

    return start.run(overrides, outcome)


def _session() -> contextlib.AbstractContextManager[Callable[[], None]]:
    from experiments.hardware.programs import shared_programs

    return shared_programs()

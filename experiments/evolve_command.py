"""`arena evolve`: a run or a sweep of runs, each checked before the first starts. Help alone never loads JAX."""

import argparse
import contextlib
from collections.abc import Callable
from typing import Any

from experiments import override_command
from experiments.override_command import epilog
from experiments.sweeps import Outcome

__all__ = ["add_arguments", "epilog", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena evolve`."""
    override_command.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Evolve once for each configuration that the overrides describe, and return the exit code."""
    return override_command.run(args, _evolve, check=_check, session=_session)


def _check(config: dict[str, Any]) -> None:
    from experiments.study import make_study

    make_study(config)


def _evolve(overrides: list[str], outcome: Outcome) -> int:
    from experiments import evolve

    return evolve.run(overrides, outcome)


def _session() -> contextlib.AbstractContextManager[Callable[[], None]]:
    from experiments.programs import shared_programs

    return shared_programs()

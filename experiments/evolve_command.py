"""`arena evolve`: a run or a sweep of runs. JAX starts only once the configuration is known to be sound."""

import argparse

from experiments import override_command
from experiments.override_command import epilog

__all__ = ["add_arguments", "epilog", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena evolve`."""
    override_command.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Evolve once for each configuration that the overrides describe, and return the exit code."""
    return override_command.run(args, _evolve)


def _evolve(overrides: list[str]) -> int:
    from experiments import evolve

    return evolve.run(overrides)

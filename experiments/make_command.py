"""`arena data make`: the bars of a ready-made market, configured as for a run, written to one file."""

import argparse
from pathlib import Path

from experiments import override_command
from experiments.override_command import epilog
from experiments.sweeps import Outcome

__all__ = ["add_arguments", "epilog", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena data make`."""
    override_command.add_arguments(parser, sweeps=False)
    parser.add_argument("--out", type=Path, metavar="FILE", required=True, help="the Parquet file to write")


def run(args: argparse.Namespace) -> int:
    """Write the bars that the overrides describe, and return the exit code."""

    def make(overrides: list[str], outcome: Outcome) -> int:
        del outcome
        from experiments import make_data

        return make_data.run(overrides, args.out)

    return override_command.run(args, make)

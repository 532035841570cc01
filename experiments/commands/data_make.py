"""`arena data make`: the bars of a ready-made market, configured as for a run, written to one file."""

import argparse
from pathlib import Path

from experiments.commands.overrides import add_override_arguments, epilog, run_jobs
from experiments.runs.sweeps import Outcome

__all__ = ["add_arguments", "epilog", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena data make`."""
    add_override_arguments(parser, sweeps=False)
    parser.add_argument("--out", type=Path, metavar="FILE", required=True, help="the Parquet file to write")


def run(args: argparse.Namespace) -> int:
    """Write the bars that the overrides describe, and return the exit code."""

    def make(overrides: list[str], outcome: Outcome) -> int:
        del outcome
        from experiments.commands import make_data

        return make_data.run(overrides, args.out)

    return run_jobs(args, make)

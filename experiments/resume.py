"""`arena resume RUN`: go on with a run from its last checkpoint."""

import argparse

from experiments.rundir import find_run

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena resume`."""
    parser.add_argument("run", metavar="RUN", help="a run's folder, or its id below the folder of runs")
    parser.add_argument("--runs-dir", default="runs", metavar="DIR", help="the folder of runs (default: runs)")


def run(args: argparse.Namespace) -> int:
    """Go on with the run, and return the exit code."""
    directory = find_run(args.run, args.runs_dir)
    from experiments.evolve import resume

    return resume(directory)

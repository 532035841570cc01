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
        return _make(overrides, args.out)

    return run_jobs(args, make)


def _make(overrides: list[str], out: Path) -> int:
    """Write the bars of one configuration; what this needs is loaded only now, for help needs none of it."""
    from experiments.configuration.compose import compose
    from experiments.configuration.study import make_study
    from experiments.data.writing import write_bars
    from experiments.terminal import say
    from markets.source import supply

    study = make_study(compose(overrides))
    bars = supply(study.market, study.settings.seed).bars
    write_bars(bars, out)
    rows = sum(len(own) for own in bars)
    say(f"{out}: {rows:,} bars of {', '.join(own.symbol for own in bars)}")
    return 0

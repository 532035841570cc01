"""`arena prune RUN`: what of a run nobody needs any more, and freeing it."""

import argparse
import math
from typing import TYPE_CHECKING

from experiments.runs.directory import find_run

if TYPE_CHECKING:
    from experiments.runs.retention import Holding

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena prune`."""
    parser.add_argument("run", metavar="RUN", help="a run's folder, or its id below the folder of runs")
    parser.add_argument("--yes", action="store_true", help="free it; without this nothing is changed")
    parser.add_argument("--report", action="store_true", help="free report.html too, which arena report makes again")
    parser.add_argument("--runs-dir", default="runs", metavar="DIR", help="the folder of runs (default: runs)")


def run(args: argparse.Namespace) -> int:
    """Say what is there and why, free what may go where that is asked for, and return the exit code."""
    from experiments.runs.retention import holdings, prune
    from experiments.terminal import say

    directory = find_run(args.run, args.runs_dir)
    there = holdings(directory, report=args.report)
    width = max((len(each.what) for each in there), default=0)
    say(f"{'':<6}{'':<{width}}  {'files':>6}  {'size':>9}")
    for each in there:
        verb = "free" if each.free else "keep"
        say(f"{verb:<6}{each.what:<{width}}  {len(each.paths):>6,}  {_said(each.size):>9}  {each.why}")
    say()
    if not any(each.free for each in there):
        say("There is nothing to free.")
    elif args.yes:
        say(f"Freed {_said(_sum(prune(directory, report=args.report)))}.")
    else:
        say(f"{_said(_sum(there))} can go; --yes frees it.")
    return 0


def _sum(there: "list[Holding]") -> int:
    return sum(each.size for each in there if each.free)


def _said(count: int) -> str:
    """Bytes as people say them; a genome is small."""
    from experiments.runs.estimate import size

    return size(count) if count >= 2**20 else f"{math.ceil(count / 2**10):,} KiB"

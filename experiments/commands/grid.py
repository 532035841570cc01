"""`arena grid RUN`: try other decision rules of a run's champions on validation, all at once, and choose."""

import argparse
from collections.abc import Mapping
from typing import Any

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena grid`."""
    parser.add_argument("run", metavar="RUN", help="a finished run's folder, or its id below the folder of runs")
    parser.add_argument(
        "--replicate", type=int, metavar="N", help="of a run with several: which, from 1 (default: all)"
    )
    parser.add_argument(
        "--fold", type=int, metavar="N", help="of a walk-forward run: which, from 1 (default: the last)"
    )
    parser.add_argument("--force", action="store_true", help="try them anew, even where that was done before")
    parser.add_argument("--runs-dir", default="runs", metavar="DIR", help="the folder of runs (default: runs)")


def run(args: argparse.Namespace) -> int:
    """Run the grid where it was not run yet, show what it chose, and return the exit code."""
    from experiments.runs.directory import find_run

    directory = find_run(args.run, args.runs_dir)
    from experiments.inference.files import table_path
    from experiments.inference.grid import run_grid
    from experiments.terminal import say, steps

    with steps() as tell:
        grids = run_grid(
            directory,
            replicate=args.replicate,
            fold=None if args.fold is None else args.fold - 1,
            force=args.force,
            tell=tell,
        )
    for grid in grids:
        _show(grid, many=len(grids) > 1 or grid["replicate"] > 1)
    say()
    say(str(table_path(directory)))
    return 0


def _show(grid: Mapping[str, Any], *, many: bool) -> None:
    """What was chosen of one replicate, two lines a champion."""
    from experiments.inference.rules import Rule, rule_words
    from experiments.terminal import say

    of = f" of replicate {grid['replicate']}" if many else ""
    fold = f", fold {grid['fold'] + 1}" if grid["fold"] else ""
    say()
    say(f"{grid['settings']:,} decision rules of {len(grid['choices'])} champions{of}{fold} on validation")
    say("as bred and chosen are bp of log return a bar of its regime; t is of the two")
    say(_line("champion of", "agent", "as bred", "chosen", "t", "trades"))
    for group, own in grid["choices"].items():
        t = "–" if own["t"] is None else f"{own['t']:.2f}"
        scores = (f"{1e4 * score:+.3f}" for score in (own["plain"]["score"], own["score"]))
        say(_line(group, str(grid["champions"][group]["id"]), *scores, t, f"{own['trades']:,}"))
        say(f"    {rule_words(Rule(own['ensemble'], own['lookback'], own['average'], own['threshold']))}")


def _line(group: str, *figures: str) -> str:
    widths = (8, 10, 10, 8, 9)
    return f"{group:<20}" + "".join(f"{figure:>{width}}" for figure, width in zip(figures, widths, strict=True))

"""`arena report RUN`: one HTML file that shows where a run's champions come from; read from its folder alone."""

import argparse
from pathlib import Path

from experiments.runs.directory import find_run

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena report`."""
    parser.add_argument("run", metavar="RUN", help="a run's folder, or its id below the folder of runs")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the file to write (default: report.html in the run)")
    parser.add_argument(
        "--only-records",
        action="store_true",
        help="leave out what champions did on the bars, which takes most of the time",
    )
    parser.add_argument("--runs-dir", default="runs", metavar="DIR", help="the folder of runs (default: runs)")


def run(args: argparse.Namespace) -> int:
    """Write the report, and return the exit code."""
    directory = find_run(args.run, args.runs_dir)
    out: Path = directory.root / "report.html" if args.out is None else args.out
    from experiments.report.report import check_page, write_report
    from experiments.terminal import say

    check_page(out)
    say(f"report on run {directory.root.resolve().name}")
    write_report(directory, out, only_records=args.only_records, tell=lambda label, line: say(f"  {label:<9} {line}"))
    say(str(out))
    return 0

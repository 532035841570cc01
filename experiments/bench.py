"""`arena bench`: how fast this machine turns worlds, as a table or as one JSON object."""

import argparse
import json
import sys

from markets.errors import UserError

__all__ = ["NAMES", "add_arguments", "run"]

NAMES = (
    "qnetwork_judging",
    "qnetwork_all_on",
    "generation_recorded",
    "qnetwork_judging_large",
    "qnetwork_all_on_large",
    "generation_recorded_large",
    "replay_float64",
    "vectorbt_from_signals",
)
"""Of the results, in order; docs/performance.md says what each measures."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena bench`."""
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--quick", action="store_true", help="small worlds: a look in a minute, not figures to quote")
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="times each is measured (default 5)")
    parser.add_argument(
        "--only", action="append", choices=NAMES, metavar="NAME", help=f"only this; again for more: {', '.join(NAMES)}"
    )


def run(args: argparse.Namespace) -> int:
    """Measure and print, and return the exit code.

    Raises:
        UserError: fewer than one repeat, or vectorbt asked for by name where it is not installed.
    """
    if args.repeat < 1:
        raise UserError(f"--repeat {args.repeat}: must be at least 1")
    from experiments import bench_results

    only = tuple(args.only or ())
    scale = bench_results.QUICK if args.quick else bench_results.FULL

    def progress(name: str) -> None:
        if not args.json and sys.stderr.isatty():
            print(f"measuring {name} …", file=sys.stderr)

    found = bench_results.measure(scale, only=only, repeat=args.repeat, progress=progress)
    if args.json:
        print(json.dumps(found, ensure_ascii=False, allow_nan=False))
    else:
        bench_results.show(found)
    return 0

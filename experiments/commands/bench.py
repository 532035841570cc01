"""`arena bench`: how fast this machine turns worlds, as a table or as one JSON object."""

import argparse
import dataclasses
import json
import sys

from experiments.bench.names import NAMES, SCALED
from markets.errors import UserError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena bench`."""
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--quick", action="store_true", help="small worlds: a look in a minute, not figures to quote")
    parser.add_argument(
        "--scale",
        nargs="?",
        type=int,
        const=0,
        metavar="AGENTS",
        help=f"instead: one generation of {SCALED[0]:,} to {SCALED[-1]:,} agents each, or of so many",
    )
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="times each is measured (default 5)")
    parser.add_argument(
        "--only", action="append", choices=NAMES, metavar="NAME", help=f"only this; again for more: {', '.join(NAMES)}"
    )


def run(args: argparse.Namespace) -> int:
    """Measure and print, and return the exit code.

    Raises:
        UserError: fewer than one repeat, results of both kinds, or a library named that is not installed.
    """
    if args.repeat < 1:
        raise UserError(f"--repeat {args.repeat}: must be at least 1")
    if args.scale is not None and args.only:
        raise UserError("--only: names results of the other kind; leave it out, or leave out --scale")
    from experiments.bench import results, table

    only = tuple(args.only or ())
    scale = results.QUICK if args.quick else results.FULL

    def progress(name: str) -> None:
        if not args.json and sys.stderr.isatty():
            print(f"measuring {name} …", file=sys.stderr)

    if args.scale is not None:
        wanted = (args.scale,) if args.scale else scale.scaled
        found = results.measure_scale(dataclasses.replace(scale, scaled=wanted), repeat=args.repeat, progress=progress)
    else:
        found = results.measure(scale, only=only, repeat=args.repeat, progress=progress)
    if args.json:
        print(json.dumps(found, ensure_ascii=False, allow_nan=False))
    else:
        table.show(found)
    return 0

"""`arena verify BUNDLE`: whether a bundle is whole, and decides here what its champion decided in the arena."""

import argparse
from pathlib import Path

__all__ = ["add_arguments", "run"]

_WORDS = {True: "ok", False: "WRONG", None: "–"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena verify`."""
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="a folder that arena export wrote")


def run(args: argparse.Namespace) -> int:
    """Verify, show what was found, and return the exit code: 1 where something is wrong."""
    from rich.table import Table

    from experiments.bundles.verify import verify
    from experiments.terminal import console, say

    checks = verify(args.bundle)
    table = Table(box=None, pad_edge=False, show_header=False)
    for name in ("part", "check", "answer", "figures"):
        table.add_column(name, overflow="fold")
    before = ""
    for check in checks:
        table.add_row(check.part if check.part != before else "", check.name, _WORDS[check.ok], check.detail)
        before = check.part
    console.print(table)
    wrong = sum(check.ok is False for check in checks)
    say()
    say(
        f"{wrong} of {len(checks)} checks failed" if wrong else "The bundle is whole, and decides here as in the arena."
    )
    return 1 if wrong else 0

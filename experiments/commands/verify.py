"""`arena verify BUNDLE`: whether a bundle is whole, and decides here what its champion decided in the arena."""

import argparse
from pathlib import Path

from markets.errors import UserError

__all__ = ["add_arguments", "run"]

_WORDS = {True: "ok", False: "WRONG", None: "–"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `arena verify`."""
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="a folder that arena export wrote")


def run(args: argparse.Namespace) -> int:
    """Verify, show what was found, and return the exit code: 1 where something is wrong."""
    from experiments.bundles.verify import verify
    from experiments.runs.directory import RunDirectory
    from experiments.terminal import say

    if RunDirectory(args.bundle).config.is_file():
        raise UserError(f"{args.bundle}: a run, not a bundle; make one of it with arena export {args.bundle} --out DIR")
    checks = verify(args.bundle)
    rows = [(check.part, check.name, _WORDS[check.ok], check.detail) for check in checks]
    part, name, answer = (max(len(row[column]) for row in rows) for column in range(3))
    before = ""
    for row in rows:
        shown = row[0] if row[0] != before else ""
        say(f"{shown:<{part}}  {row[1]:<{name}}  {row[2]:<{answer}}  {row[3]}".rstrip())
        before = row[0]
    wrong = sum(check.ok is False for check in checks)
    say()
    say(
        f"{wrong} of {len(checks)} checks failed" if wrong else "The bundle is whole, and decides here as in the arena."
    )
    return 1 if wrong else 0

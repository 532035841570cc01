"""Arguments that say how to read a file of bars: the keys of `market`, for the commands that take files themselves."""

import argparse

from markets.errors import UserError
from markets.readers import ReadSettings
from markets.settings import build

__all__ = ["add_reading_arguments", "read_settings"]

_NAMES = ("timezone", "timestamps", "repair", "symbol", "point", "prices")


def add_reading_arguments(parser: argparse.ArgumentParser, *, columns: bool = True) -> None:
    """Declare an option for each key that `ReadSettings` has.

    Args:
        parser: of the command.
        columns: whether it has a use for further columns.
    """
    parser.add_argument("--timezone", help="clock of stamps without a zone, such as Europe/Athens (default UTC)")
    parser.add_argument("--timestamps", help="whether stamps mark the 'open' (default) or the 'close' of a bar")
    parser.add_argument("--repair", help="'error' (default) or 'drop': drop bad rows, sort rows out of order")
    parser.add_argument("--symbol", help="name for a file without one; in a table of many, the one to look at")
    parser.add_argument("--point", type=float, help="price of a point, for spreads in points (default: from decimals)")
    parser.add_argument("--prices", help="what the prices are beside a spread: 'mid' (default) or 'bid'")
    parser.add_argument("--day-first", metavar="BOOL", help="order of 01/02/2012, where the file does not settle it")
    if columns:
        parser.add_argument(
            "--column",
            action="append",
            default=[],
            metavar="NAME=LAG",
            help="a further column, and the bars it is late",
        )


def read_settings(args: argparse.Namespace) -> ReadSettings:
    """What the options say; what none says is as by default.

    Raises:
        UserError: an option whose value cannot be used.
    """
    values = {name: getattr(args, name) for name in _NAMES if getattr(args, name) is not None}
    if args.day_first is not None:
        if args.day_first not in ("true", "false"):
            raise UserError(f"day_first: {args.day_first!r} is not one of true, false")
        values["day_first"] = args.day_first == "true"
    values["columns"] = dict(map(_column, getattr(args, "column", [])))
    return build(ReadSettings, values)


def _column(text: str) -> tuple[str, int]:
    name, _, lag = text.rpartition("=")
    if not name or not lag.isdecimal():
        raise UserError(f"column: {text!r} is not NAME=LAG with a whole number of bars, at least 0")
    return name, int(lag)

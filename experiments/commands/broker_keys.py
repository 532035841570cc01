"""The broker's keys as words of a command: `--set key=value …`, for the commands that have a broker of their own."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from markets.errors import UserError

__all__ = ["add_broker_argument", "key_values"]


def add_broker_argument(parser: argparse.ArgumentParser, *, default: str = "") -> None:
    """Declare `--set`.

    Args:
        parser: of the command.
        default: what holds where a key is not set, for the help.
    """
    parser.add_argument(
        "--set",
        metavar="key=value",
        dest="settings",
        nargs="+",
        action="extend",
        default=[],
        help=f"broker keys, such as commission=0.0001 max_leverage=5 calendar=fx{default and f' ({default})'}",
    )


def key_values(words: Sequence[str]) -> Mapping[str, Any]:
    """`key=value` words as plain values: null, true, false, a number, or text."""
    values: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise UserError(f"--set {word}: expected key=value, such as commission=0.0001")
        if key in values:
            raise UserError(f"--set {word}: {key} is set twice")
        values[key] = _plain(text.strip())
    return values


def _plain(text: str) -> Any:
    words: dict[str, Any] = {"null": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text

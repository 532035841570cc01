"""Files that are either whole or not there: written under a temporary name, flushed to disk, then renamed."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["TEMPORARY", "write_json", "write_whole"]

TEMPORARY = ".part-"
"""Prefix of names of files that are being written; whoever finds one left behind may delete it."""


def write_whole(path: Path, write: Callable[[Path], object], *, scratch: Path | None = None) -> None:
    """Write a file so that its name only ever shows all of it.

    Args:
        path: where it goes; its folder exists.
        write: writes the file whose path it is given.
        scratch: folder of the same disk for the file while it grows, hidden from whoever lists `path`'s folder.

    Raises:
        OSError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    temporary = (scratch or path.parent) / f"{TEMPORARY}{os.getpid()}-{path.name}"
    try:
        write(temporary)
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a mapping as indented JSON, whole or not at all."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))

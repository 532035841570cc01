"""Small files of text that a run is known by, read with suspicion: configuration as YAML, the manifest as JSON.

Whatever is in them, reading gives plain values or one kind of error. What is no regular file is not waited for, and
YAML's aliases are refused: we write none, and a few of them nested stand for more values than there is memory.
"""

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

import yaml

__all__ = ["read_json", "read_yaml", "see_regular"]

_LARGEST = 16 << 20
"""Bytes of such a file."""


def see_regular(path: Path) -> None:
    """See that a path leads to a regular file, so that opening it does not wait for somebody else.

    Raises:
        OSError: it does not; names the path.
    """
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "a pipe or a device, not a file", str(path))


def read_yaml(path: Path) -> Any:
    """The plain values of a YAML file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged; one line says how.
    """
    try:
        text = _text(path)
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, yaml.SafeLoader)):
            raise ValueError("it has an alias, and none is ever written here")
        return yaml.safe_load(text)
    except (yaml.YAMLError, TypeError, AttributeError, LookupError, RecursionError, ValueError) as error:
        raise ValueError(_first_line(error)) from None


def read_json(path: Path) -> Any:
    """The plain values of a JSON file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged; one line says how.
    """
    try:
        return json.loads(_text(path))
    except (RecursionError, ValueError) as error:
        raise ValueError(_first_line(error)) from None


def _text(path: Path) -> str:
    see_regular(path)
    with path.open("rb") as file:
        raw = file.read(_LARGEST + 1)
    if len(raw) > _LARGEST:
        raise ValueError(f"larger than {_LARGEST >> 20} MiB")
    return raw.decode("utf-8")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]

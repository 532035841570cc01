"""Reading certificates: where a run's lie, and whether one is what it says."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.runs.directory import RunDirectory
from experiments.runs.files import sync_folder
from experiments.runs.notes import read_json
from markets.errors import UserError

__all__ = [
    "FORMAT",
    "SCHEMA",
    "VERSION",
    "certificate_hash",
    "certificate_path",
    "put_aside",
    "read_certificate",
    "same_wish",
]

FORMAT = "lineage-arena.certificate"
VERSION = "1.0"

SCHEMA = Path(__file__).with_name("certificate.schema.json")
"""The JSON Schema that every certificate keeps to."""


def certificate_path(directory: RunDirectory, replicate: int = 1) -> Path:
    """Where the certificate of a replicate lies, counted from 1."""
    return directory.root / ("certificate.json" if replicate == 1 else f"certificate-{replicate}.json")


def certificate_hash(values: Mapping[str, Any]) -> str:
    """SHA-256 of all but `hash`, as JSON with sorted keys, no blanks, in UTF-8."""
    rest = {key: value for key, value in values.items() if key != "hash"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def read_certificate(path: Path) -> dict[str, Any]:
    """A certificate, whole and as it was written. What is undefined in it is None.

    Args:
        path: of the file.

    Raises:
        UserError: it cannot be read, is none, or was changed.
    """
    remedy = _remedy("arena certify (with --plain, if it was made so)")
    try:
        values = read_json(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
    except ValueError as error:
        raise UserError(f"{path}: damaged ({error}); {remedy}") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise UserError(f"{path}: is no certificate; {remedy}")
    if str(values.get("version", "")).partition(".")[0] != VERSION.partition(".")[0]:
        raise UserError(f"{path}: version {values.get('version')}, this program reads {VERSION}; {remedy}")
    try:
        remedy = _remedy("arena certify --plain" if values.get("plain") is True else "arena certify")
        same = values.get("hash") == certificate_hash(values)
    except ValueError:
        same = False
    if not same:
        raise UserError(f"{path}: was changed since it was given, its content does not match its hash; {remedy}")
    return values


def same_wish(path: Path, given: Mapping[str, Any], *, plain: bool) -> None:
    """See that a certificate is of the way of acting that is asked for.

    Args:
        path: where it lies.
        given: its content.
        plain: whether champions are to act as bred.

    Raises:
        UserError: it is of another one.
    """
    was = given.get("plain", plain)
    if was != plain:
        ways = {True: "as bred (--plain)", False: "by decision rules of the grid (without --plain)"}
        raise UserError(
            f"{path}: was given to champions that act {ways[was]}; another way of acting is another opening, judged "
            f"more strictly: to ask for it, first rename that file to {_aside(path, given).name}"
        )


def put_aside(path: Path, given: Mapping[str, Any]) -> Path:
    """Keep a certificate under another name, with its opening, so that one of other champions may take its place.

    Args:
        path: where it lies.
        given: its content.

    Returns:
        Where it lies then.
    """
    name = _aside(path, given)
    path.rename(name)
    sync_folder(name.parent)
    return name


def _aside(path: Path, given: Mapping[str, Any]) -> Path:
    """A free name, such as certificate-opening-1.json; with the hash where a log began anew."""
    opening = f"{path.stem}-opening-{given['level']['opening']}"
    name = path.with_name(f"{opening}.json")
    return path.with_name(f"{opening}-{given['hash'][:8]}.json") if name.exists() else name


def _remedy(command: str) -> str:
    return f"delete it, and {command} makes it again at the level it was judged at"

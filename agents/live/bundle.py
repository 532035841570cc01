"""A bundle on disk: its manifest, and its files with every byte checked against it, before anything is made of them."""

import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.live.inference import CHAMPION
from agents.live.manifest import Manifest, read_manifest
from markets.errors import UserError
from markets.settings import shown

__all__ = ["Bundle", "canonical_hash", "read_bundle", "tensors_of"]

_MANIFEST = "manifest.json"

_LARGEST = 2**28
"""Bytes of the largest file there may be in a bundle, and of all of them: a quarter of a gigabyte."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Bundle:
    """A bundle that is whole.

    Attributes:
        path: its folder.
        values: the manifest as it is in the file.
        manifest: what acting needs of it.
        tensors: of the champion, by name.
    """

    path: Path
    values: Mapping[str, Any]
    manifest: Manifest
    tensors: Mapping[str, NDArray[Any]]

    def read(self, name: str) -> bytes:
        """The bytes of one of its files.

        Raises:
            UserError: there is none of that name, or it has changed.
        """
        if name not in self.values["files"]:
            raise UserError(f"{self.path / _MANIFEST}: files: {name} is missing")
        return _read(self.path, name, self.values["files"][name])


def read_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Read a bundle and check every file of it.

    Raises:
        UserError: one line that names the file or key: no bundle, an unknown major version, a file that is missing, a
            link, too large, or not the one that was written.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the folder of a bundle")
    where = folder / _MANIFEST
    values = _parsed(_bytes(where, 2**24), where)
    manifest = read_manifest(values, str(where))
    if manifest.hash != canonical_hash(values):
        raise UserError(f"{where}: hash: not that of the file; it was changed after it was written")
    files = _files(values.get("files"), where)
    for place, brain in enumerate(manifest.inference.brains if manifest.inference else ()):
        if brain.file not in files:
            raise UserError(f"{where}: inference.brains[{place}].file: {brain.file} is missing from files")
    for name, entry in files.items():
        if name != CHAMPION:
            _read(folder, name, entry)
    return Bundle(folder, values, manifest, _tensors(_read(folder, CHAMPION, files[CHAMPION]), folder / CHAMPION))


def tensors_of(bundle: Bundle, name: str) -> Mapping[str, NDArray[Any]]:
    """The tensors of one of a bundle's files, by name.

    Raises:
        UserError: there is none of that name, it has changed, or it is no file of tensors.
    """
    return _tensors(bundle.read(name), bundle.path / name)


def canonical_hash(values: Mapping[str, Any]) -> str:
    """SHA-256 of all of a manifest but its own `hash`, as JSON with sorted keys and without blanks."""
    rest = {key: value for key, value in values.items() if key != "hash"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _parsed(data: bytes, where: Path) -> dict[str, Any]:
    def whole(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key stands twice in one group")
        return found

    def refuse(name: str) -> float:
        raise ValueError(f"{name} is no JSON")

    def finite(text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(f"{shown(text)} is too large")
        return value

    try:
        values = json.loads(data.decode("utf-8"), object_pairs_hook=whole, parse_constant=refuse, parse_float=finite)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not the JSON of a manifest: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{where}: expected a group of keys, got {shown(values)}")
    return values


def _files(files: Any, where: Path) -> dict[str, Mapping[str, Any]]:
    """The manifest's list of files, each entry with the hash and the size that it needs."""
    if not isinstance(files, dict) or CHAMPION not in files:
        raise UserError(f"{where}: files: expected a list of files with {CHAMPION} among them")
    for name, entry in files.items():
        if not _NAME.fullmatch(name) or name == _MANIFEST:
            raise UserError(f"{where}: files: {shown(name)} is no name of a file inside the bundle")
        size = entry.get("bytes") if isinstance(entry, dict) else None
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _LARGEST:
            raise UserError(f"{where}: files.{name}.bytes: expected a whole number from 0 to {_LARGEST:,}")
        if not (isinstance(entry.get("sha256"), str) and _HASH.fullmatch(entry["sha256"])):
            raise UserError(f"{where}: files.{name}.sha256: expected 64 hexadecimal digits")
    if sum(entry["bytes"] for entry in files.values()) > _LARGEST:
        raise UserError(f"{where}: files: together they are above {_LARGEST:,} bytes")
    return files


def _read(folder: Path, name: str, entry: Mapping[str, Any]) -> bytes:
    """One file, which must be the one that was written."""
    place = folder
    for part in name.split("/")[:-1]:
        place = place / part
        if place.is_symlink():
            raise UserError(f"{place}: a link; a bundle holds its files themselves")
    data = _bytes(folder / name, entry["bytes"])
    if len(data) != entry["bytes"] or hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise UserError(f"{folder / name}: not the file that the manifest names; it was changed after it was written")
    return data


def _bytes(path: Path, most: int) -> bytes:
    """At most `most` bytes, and one more if there is, of a plain file."""
    try:
        about = path.lstat()
        if not stat.S_ISREG(about.st_mode):
            raise UserError(f"{path}: expected a plain file")
        with path.open("rb") as file:
            return file.read(most + 1)
    except FileNotFoundError:
        raise UserError(f"{path}: missing; a bundle is moved as a whole") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def _tensors(data: bytes, where: Path) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        found: dict[str, NDArray[np.generic]] = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{where}: not a file of tensors: {error}") from None
    return found

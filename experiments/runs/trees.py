"""Pytrees of arrays in safetensors files: checkpoints of the arena, and genomes of champions.

A file's metadata holds a checksum of all else in it, so that a bit that fell over on the disk is found and not evolved.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from experiments.runs.files import write_whole
from experiments.runs.notes import see_regular
from markets.errors import UserError

__all__ = ["generation_of", "load_tree", "metadata_of", "save_tree", "see_whole"]

T = TypeVar("T")

_CHECKSUM = "sha256"
_BRING_BACK = "bring the file back as it was written"
_UNREADABLE = (SafetensorError, OSError, KeyError, ValueError, TypeError, RuntimeError)


def save_tree(path: Path, tree: Any, metadata: Mapping[str, str]) -> None:
    """Write every leaf under its dotted path, with metadata, whole or not at all.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    leaves = {name: np.asarray(leaf, order="C") for name, leaf in _named(jax.device_get(tree))}
    content = save(leaves, {**metadata, _CHECKSUM: _checksum(leaves, metadata)})
    write_whole(path, lambda temporary: temporary.write_bytes(content))


def load_tree(path: Path, like: T, *, remedy: str = _BRING_BACK) -> tuple[T, dict[str, str]]:
    """Read a tree written by `save_tree`.

    Args:
        path: the file.
        like: a tree of arrays (or of shapes and types) of the form that is expected.
        remedy: what a user can do about a file that is not what it should be.

    Returns:
        The tree, with NumPy arrays, and its metadata.

    Raises:
        UserError: a file that is damaged or of another form.
    """
    stored, metadata, sound = _read(path, remedy)
    leaves = []
    for name, leaf in _named(like):
        found = stored.pop(name, None)
        if found is None or found.shape != leaf.shape or found.dtype != leaf.dtype:
            what = "missing" if found is None else f"{found.dtype}{list(found.shape)}"
            raise UserError(
                f"{path}: {name} is {what}, expected {leaf.dtype}{list(leaf.shape)}, so it is of another run; {remedy}"
            )
        leaves.append(found)
    if stored:
        raise UserError(
            f"{path}: holds {next(iter(stored))}, which this run does not know, so it is of another run; {remedy}"
        )
    if not sound:
        raise UserError(_damaged(path, remedy))
    return jax.tree.unflatten(jax.tree.structure(like), leaves), metadata


def see_whole(path: Path) -> dict[str, str]:
    """See that a tree's file is as it was written, whatever its form.

    Returns:
        Its metadata.

    Raises:
        UserError: the file is damaged.
    """
    _, metadata, sound = _read(path, _BRING_BACK)
    if not sound:
        raise UserError(_damaged(path, _BRING_BACK))
    return metadata


def generation_of(path: Path) -> int:
    """The generation that a tree's metadata names.

    Raises:
        UserError: the file is damaged.
    """
    try:
        return int(metadata_of(path)["generation"])
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: cannot be read (it names no generation); {_BRING_BACK}") from error


def metadata_of(path: Path) -> dict[str, str]:
    """What was written beside a tree's leaves.

    Raises:
        UserError: the file is damaged.
    """
    try:
        see_regular(path)
        with safe_open(path, framework="numpy") as file:
            return dict(file.metadata() or {})
    except _UNREADABLE as error:
        raise UserError(f"{path}: cannot be read ({error}); {_BRING_BACK}") from error


def _read(path: Path, remedy: str) -> tuple[dict[str, NDArray[Any]], dict[str, str], bool]:
    """All leaves by name, the metadata, and whether both are what the checksum says."""
    try:
        see_regular(path)
        with safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except _UNREADABLE as error:
        raise UserError(f"{path}: cannot be read ({error}); {remedy}") from error
    written = metadata.pop(_CHECKSUM, None)
    return stored, metadata, written == _checksum(stored, metadata)


def _damaged(path: Path, remedy: str) -> str:
    return f"{path}: damaged, its content does not match its checksum; {remedy}"


def _checksum(leaves: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> str:
    """SHA-256 of metadata and of every leaf's name, type, shape and bytes, in the order of names."""
    digest = hashlib.sha256()
    digest.update(repr(sorted(metadata.items())).encode())
    for name in sorted(leaves):
        leaf = leaves[name]
        digest.update(repr((name, str(leaf.dtype), leaf.shape)).encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def _named(tree: Any) -> list[tuple[str, Any]]:
    """Leaves with their dotted paths."""
    pairs = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [(jax.tree_util.keystr(path, simple=True, separator="."), leaf) for path, leaf in pairs]

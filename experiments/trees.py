"""Pytrees of arrays in safetensors files: checkpoints of the arena, and genomes of champions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from experiments.files import write_whole
from markets.errors import UserError

__all__ = ["generation_of", "load_tree", "save_tree"]

T = TypeVar("T")


def save_tree(path: Path, tree: Any, metadata: Mapping[str, str]) -> None:
    """Write every leaf under its dotted path, with metadata, whole or not at all."""
    leaves = {name: np.asarray(leaf, order="C") for name, leaf in _named(jax.device_get(tree))}
    write_whole(path, lambda temporary: save_file(leaves, temporary, dict(metadata)))


def load_tree(path: Path, like: T) -> tuple[T, dict[str, str]]:
    """Read a tree written by `save_tree`.

    Args:
        path: the file.
        like: a tree of arrays (or of shapes and types) of the form that is expected.

    Returns:
        The tree, with NumPy arrays, and its metadata.

    Raises:
        UserError: a file that is damaged or of another form.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: cannot be read ({error}); delete it to go on without it") from error
    leaves = []
    for name, leaf in _named(like):
        found = stored.pop(name, None)
        if found is None or found.shape != leaf.shape or found.dtype != leaf.dtype:
            what = "missing" if found is None else f"{found.dtype}{list(found.shape)}"
            raise UserError(f"{path}: {name} is {what}, expected {leaf.dtype}{list(leaf.shape)}; it is of another run")
        leaves.append(found)
    if stored:
        raise UserError(f"{path}: holds {next(iter(stored))}, which this run does not know; it is of another run")
    return jax.tree.unflatten(jax.tree.structure(like), leaves), metadata


def generation_of(path: Path) -> int:
    """The generation that a tree's metadata names.

    Raises:
        UserError: the file is damaged.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            return int((file.metadata() or {})["generation"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); delete it to go on without it") from error


def _named(tree: Any) -> list[tuple[str, Any]]:
    """Leaves with their dotted paths."""
    pairs = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [(jax.tree_util.keystr(path, simple=True, separator="."), leaf) for path, leaf in pairs]

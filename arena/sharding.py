"""Where arrays lie: the ways onto a mesh of devices, which may be those of several processes, and back.

With several processes (`jax.distributed`) a process holds only its own islands; what all islands share lies whole on
every device. A tree is put on the mesh from equal copies that every process has, and comes back whole to all of them.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding
from jaxtyping import Array

__all__ = ["everywhere", "on_host", "put"]

T = TypeVar("T")


def everywhere(mesh: Mesh) -> NamedSharding:
    """Whole on every device of the mesh."""
    return NamedSharding(mesh, PartitionSpec())


def put(tree: Any, where: Sharding) -> Any:
    """The tree with every leaf laid out as said, from a copy of it that every process has."""

    def placed(leaf: Any) -> Array:
        if where.is_fully_addressable:
            laid: Array = jax.device_put(leaf, where)
            return laid
        host = np.asarray(leaf)
        return jax.make_array_from_callback(host.shape, where, lambda index: host[index])

    return jax.tree.map(placed, tree)


def on_host(tree: T) -> T:
    """The tree with every leaf whole, as NumPy, leaf after leaf so that a device need not hold it all.

    Where leaves are divided over processes they talk, so all of them must call this, for the same tree.
    """

    def whole(leaf: Any) -> Any:
        if isinstance(leaf, jax.Array) and not (leaf.is_fully_addressable or leaf.is_fully_replicated):
            leaf = _gather(leaf.sharding)(leaf)
        return jax.device_get(leaf)

    copied: T = jax.tree.map(whole, tree)
    return copied


@functools.cache
def _gather(lies: Sharding) -> Callable[[Array], Array]:
    assert isinstance(lies, NamedSharding)
    assert isinstance(lies.mesh, Mesh)
    return jax.jit(lambda leaf: leaf, out_shardings=everywhere(lies.mesh))

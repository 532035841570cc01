"""The tensors of a bundle's champion, each taken by name with its shape and type checked."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from markets.errors import UserError

__all__ = ["Leaves"]


class Leaves:
    """Tensors by name.

    Attributes:
        where: what messages call the file.
    """

    def __init__(self, where: str, tensors: Mapping[str, NDArray[Any]]) -> None:
        self.where, self._tensors = where, tensors

    def numbers(self, name: str, shape: tuple[int, ...], *, finite: bool = True) -> NDArray[np.float32]:
        """A float32 tensor of that shape.

        Raises:
            UserError: it is missing, of another type or shape, or not finite where it must be.
        """
        found = self._found(name, shape, np.float32)
        if finite and not np.isfinite(found).all():
            raise UserError(f"{self.where}: {name}: expected finite numbers")
        return found

    def whole(self, name: str, shape: tuple[int, ...]) -> NDArray[np.int32]:
        """An int32 tensor of that shape."""
        return self._found(name, shape, np.int32)

    def flags(self, name: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """A boolean tensor of that shape."""
        return self._found(name, shape, np.bool_)

    def _found(self, name: str, shape: tuple[int, ...], kind: type[np.generic]) -> NDArray[Any]:
        if name not in self._tensors:
            raise UserError(f"{self.where}: {name}: missing")
        found = self._tensors[name]
        if found.dtype != kind or found.shape != shape:
            wanted = f"{np.dtype(kind)} {list(shape)}"
            raise UserError(f"{self.where}: {name}: expected {wanted}, got {found.dtype} {list(found.shape)}")
        return np.asarray(found, order="C")

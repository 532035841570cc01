"""UBJSON, the binary JSON that XGBoost saves models as (`model.ubj`), read with suspicion.

A value is one letter for its type and then its bytes, big-endian; a container may say how many values it holds (`#`)
and that all are of one type (`$`). Arrays of numbers of one type become NumPy arrays and never cost more memory than
their bytes; every count is held against the bytes that are left. Specification: https://ubjson.org, draft 12.
"""

from typing import Any

import numpy as np

__all__ = ["begins", "loads"]

_NUMBERS = {"i": ">i1", "U": ">u1", "I": ">i2", "l": ">i4", "L": ">i8", "d": ">f4", "D": ">f8"}
_WHOLE = ("i", "U", "I", "l", "L")
_CONSTANTS = {"Z": None, "T": True, "F": False}
_DEEPEST = 64
"""Containers within containers; a model of XGBoost nests eight."""


def begins(data: bytes) -> bool:
    """Whether these bytes begin an object of UBJSON: a brace, then the length of a key (JSON has a quote there)."""
    return data[:1] == b"{" and data[1:2] in (b"i", b"U", b"I", b"l", b"L", b"$", b"#", b"N")


def loads(data: bytes) -> Any:
    """The value that these bytes are: dicts, lists, NumPy arrays (containers of numbers of one type) and plain values.

    Raises:
        ValueError: no UBJSON, or none that ends where the bytes end; one line says at which byte.
    """
    reader = _Reader(data)
    value = reader.value(reader.letter(), 0)
    while reader.at < len(data) and data[reader.at] == ord("N"):
        reader.at += 1
    if reader.at < len(data):
        raise ValueError(f"byte {reader.at}: {len(data) - reader.at:,} bytes too many")
    return value


class _Reader:
    """Bytes and how far they have been read."""

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def value(self, kind: str, depth: int) -> Any:
        if kind in _CONSTANTS:
            return _CONSTANTS[kind]
        if kind in _NUMBERS:
            return np.frombuffer(self._take(np.dtype(_NUMBERS[kind]).itemsize), _NUMBERS[kind])[0].item()
        if kind == "S":
            return self._text()
        if kind == "C":
            return self._take(1).decode("latin-1")
        if kind in ("{", "["):
            if depth >= _DEEPEST:
                raise ValueError(f"byte {self.at}: more than {_DEEPEST} containers within each other")
            return self._object(depth + 1) if kind == "{" else self._array(depth + 1)
        raise ValueError(f"byte {self.at - 1}: {kind!r} begins no value")

    def letter(self) -> str:
        """The next type; no-operations are passed over."""
        while (kind := self._take(1)) == b"N":
            pass
        return kind.decode("latin-1")

    def _array(self, depth: int) -> Any:
        kind, count = self._header()
        if kind in _NUMBERS and count is not None:
            stored = np.dtype(_NUMBERS[kind])
            return np.frombuffer(self._take(count * stored.itemsize), stored).astype(stored.newbyteorder("="))
        if count is not None:
            return [self.value(kind or self.letter(), depth) for _ in range(count)]
        values = []
        while (kind := self.letter()) != "]":
            values.append(self.value(kind, depth))
        return values

    def _object(self, depth: int) -> dict[str, Any]:
        kind, count = self._header()
        values: dict[str, Any] = {}
        while len(values) != count:
            if count is None and self._peek() == "}":
                self.at += 1
                return values
            at, key = self.at, self._text()
            if key in values:
                raise ValueError(f"byte {at}: a second {key!r}")
            values[key] = self.value(kind or self.letter(), depth)
        return values

    def _header(self) -> tuple[str, int | None]:
        """Type and count of a container's values, "" and None where it does not say them."""
        kind, at = "", self.at
        if self._peek() == "$":
            self.at += 1
            kind = self._take(1).decode("latin-1")
            if kind in _CONSTANTS or kind == "N":
                raise ValueError(f"byte {at}: a container of {kind!r} alone")
        if self._peek() != "#":
            if kind:
                raise ValueError(f"byte {self.at}: a container has a type but no count")
            return "", None
        self.at += 1
        count = self._count()
        if count > len(self._data) - self.at:
            raise ValueError(f"byte {at}: a container of {count:,} values, and {len(self._data) - self.at:,} bytes")
        return kind, count

    def _text(self) -> str:
        at = self.at
        try:
            return self._take(self._count()).decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError(f"byte {at}: text that is not UTF-8") from None

    def _count(self) -> int:
        at, kind = self.at, self.letter()
        if kind not in _WHOLE:
            raise ValueError(f"byte {at}: {kind!r} where a length is due")
        count = int(self.value(kind, 0))
        if count < 0:
            raise ValueError(f"byte {at}: a length of {count}")
        return count

    def _peek(self) -> str:
        """The next type, not taken; no-operations before it are."""
        while self._data[self.at : self.at + 1] == b"N":
            self.at += 1
        return self._data[self.at : self.at + 1].decode("latin-1")

    def _take(self, count: int) -> bytes:
        taken = self._data[self.at : self.at + count]
        if len(taken) < count:
            raise ValueError(f"byte {self.at}: it ends {count - len(taken):,} bytes early")
        self.at += count
        return taken

"""Long columns written down small: numbers of few bytes, regrouped so that deflate finds what repeats, as base64.

A group of columns is one blob: each column's bytes (little endian), one after another, through raw deflate and base64.
Two steps may come before, each of which the page undoes: *delta*, each number less the one before it, modulo its type
(of floats, their bits), which makes counting columns vanish; and *planes*, all first bytes, then all second bytes, and
so on, which brings the bytes together that rarely change. What the page has to undo, and in which order, stands in the
description beside the blob.
"""

import base64
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Packed", "Quantised", "coarse", "narrow", "pack", "pack_all", "quantise"]

_TYPES = {"u1": "<u1", "u2": "<u2", "u4": "<u4", "i4": "<i4", "f4": "<f4"}
_WHOLE = {1: "<u1", 2: "<u2", 4: "<u4"}
_STEPS: tuple[tuple[str, ...], ...] = ((), ("delta",), ("planes",), ("planes", "delta"))
"""Ways to code a column, as the page undoes them: planes are put together before differences are summed."""
_SAMPLE = 1 << 16  # rows that a way is tried on
_LEVEL = 6  # 9 takes six times as long and packs 1 % smaller


class Packed(NamedTuple):
    """A group of columns: base64 of raw deflate, and `{length, columns: {name: {type, steps, offset, bytes}}}`.

    A column that another group has too is `{from: group}`.
    """

    base64: str
    description: dict[str, Any]


class Quantised(NamedTuple):
    """Numbers as codes: value = low + code · step; the top code of the type is null."""

    codes: NDArray[Any]
    low: float
    step: float

    @property
    def scale(self) -> dict[str, float]:
        """What the page has to know."""
        return {"low": self.low, "step": self.step}


def pack(columns: Mapping[str, NDArray[Any]]) -> Packed:
    """Columns of equal length as one blob.

    Args:
        columns: by name; of uint8, uint16, uint32, int32 or float32.

    Raises:
        ValueError: a column of another type or length.
    """
    length = len(next(iter(columns.values()))) if columns else 0
    described: dict[str, Any] = {}
    stream, out, offset = _deflate(), [], 0
    for name, values in columns.items():
        kind = f"{values.dtype.kind}{values.dtype.itemsize}"
        if kind not in _TYPES or values.shape != (length,):
            raise ValueError(f"{name}: {values.dtype} of shape {values.shape}; right is one of {', '.join(_TYPES)}")
        plain = np.ascontiguousarray(values, _TYPES[kind])
        steps = _best(plain)
        raw = _coded(plain, steps)
        described[name] = {"type": kind, "steps": list(steps), "offset": offset, "bytes": len(raw)}
        offset += len(raw)
        out.append(stream.compress(raw))
    out.append(stream.flush())
    return Packed(base64.b64encode(b"".join(out)).decode("ascii"), {"length": length, "columns": described})


def pack_all(groups: Mapping[str, Mapping[str, NDArray[Any]]]) -> dict[str, Packed]:
    """Several groups of columns, by name; a column that an earlier group has under the same name is packed there alone.

    Raises:
        ValueError: as in `pack`.
    """
    owners: dict[tuple[str, str, bytes], str] = {}
    made: dict[str, Packed] = {}
    for group, columns in groups.items():
        keys = {name: (name, values.dtype.str, values.tobytes()) for name, values in columns.items()}
        borrowed = {name: owners[key] for name, key in keys.items() if key in owners}
        own = pack({name: values for name, values in columns.items() if name not in borrowed})
        where = {**own.description["columns"], **{name: {"from": owner} for name, owner in borrowed.items()}}
        described = {name: where[name] for name in columns}
        length = len(next(iter(columns.values()))) if columns else 0
        made[group] = Packed(own.base64, {"length": length, "columns": described})
        owners |= {key: group for name, key in keys.items() if name not in borrowed}
    return made


def coarse(values: NDArray[np.float32], bits: int = 16) -> NDArray[np.float32]:
    """Floats that keep `bits` bits behind the leading one, and pack better for it; off by one part in 2^(bits + 1)."""
    drop = np.uint32(23 - bits)
    whole = values.astype(np.float32).view(np.uint32)
    rounded = (whole + (np.uint32(1) << drop >> np.uint32(1))) >> drop << drop
    return np.where(np.isfinite(values), rounded.view(np.float32), values).astype(np.float32)


def quantise(values: ArrayLike, bits: int = 16, *, finest: float = 0.0) -> Quantised:
    """Numbers in evenly spaced codes over their own range.

    Args:
        values: [rows]; NaN and infinities become null.
        bits: 8 or 16.
        finest: a step need not be smaller; fewer different codes pack better.

    Returns:
        Codes of uint8 or uint16. A number is off by half a step at most.
    """
    known = np.asarray(values, np.float64)
    top = (1 << bits) - 1
    there = np.isfinite(known)
    low = float(known[there].min()) if there.any() else 0.0
    high = float(known[there].max()) if there.any() else 0.0
    step = max((high - low) / (top - 1), finest) or 1.0
    codes = np.full(known.shape, top, np.uint8 if bits == 8 else np.uint16)
    codes[there] = np.clip(np.rint((known[there] - low) / step), 0, top - 1).astype(codes.dtype)
    return Quantised(codes, low, step)


def narrow(values: NDArray[Any], *, spare: int = 0) -> NDArray[Any]:
    """Whole numbers of at least 0 in the narrowest of uint8, uint16 and uint32 that leaves `spare` codes on top.

    Raises:
        ValueError: there is no such type.
    """
    most = int(values.max()) if len(values) else 0
    for kind in (np.uint8, np.uint16, np.uint32):
        if most + spare <= np.iinfo(kind).max:
            return values.astype(kind)
    raise ValueError(f"{most} is too large for 32 bits")


def _best(values: NDArray[Any]) -> tuple[str, ...]:
    """The way that packs a sample of a column smallest; of equal ones the simplest."""
    middle = max(0, len(values) // 2 - _SAMPLE // 2)
    sample = values[middle : middle + _SAMPLE]
    ways = _STEPS[:2] if values.dtype.itemsize == 1 else _STEPS
    return min(ways, key=lambda steps: len(zlib.compress(_coded(sample, steps), 6)))


def _coded(values: NDArray[Any], steps: tuple[str, ...]) -> bytes:
    """The bytes of a column with the steps done, the last to be undone first."""
    width = values.dtype.itemsize
    whole = values.view(_WHOLE[width])
    if "delta" in steps:
        whole = np.diff(whole, prepend=whole.dtype.type(0))
    if "planes" in steps:
        return np.ascontiguousarray(whole.view(np.uint8).reshape(-1, width).T).tobytes()
    return whole.tobytes()


def _deflate() -> "zlib._Compress":
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)

"""Fields of parsed JSON and UBJSON, read with suspicion: each is of the right kind or one line says what it is.

Numbers of JSON stay as they are written (`Written`), so that a float32 can be read as the one that is nearest to the
decimal: by way of float64 some decimals, 7.038531e-26 for one, come out as its neighbour.
"""

import re
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Written", "part", "single", "whole", "whole_numbers"]

_NAME: dict[Any, str] = {dict: "an object", list: "an array", str: "text"}


class Written(str):
    """A number of JSON as it is written; `json.loads` makes it with `parse_float`."""

    __slots__ = ()


def part(values: dict[str, Any], key: str, kind: type) -> Any:
    """What is under a key; an array of UBJSON may be one of NumPy."""
    if key not in values:
        raise ValueError(f"{key} is missing; right is {_NAME[kind]}")
    value = values[key]
    if not isinstance(value, (list, np.ndarray) if kind is list else kind) or isinstance(value, Written):
        raise ValueError(f"{key} is {_shown(value)}; right is {_NAME[kind]}")
    return value


def whole(values: dict[str, Any], key: str, *, most: int = 2**31 - 1) -> int:
    """A whole number, which XGBoost writes as text in some places."""
    value = values.get(key)
    if isinstance(value, str) and not isinstance(value, Written) and re.fullmatch(r"[0-9]{1,12}", value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError(f"{key} is {_shown(value)}; right is a whole number from 0 to {most:,}")
    return value


def whole_numbers(values: dict[str, Any], key: str) -> NDArray[np.int64]:
    """An array of whole numbers; true is 1."""
    array = part(values, key, list)
    if isinstance(array, list):
        if not all(isinstance(value, int) and -(2**62) < value < 2**62 for value in array):
            raise ValueError(f"{key} has something that is no whole number; right are whole numbers alone")
        return np.array(array, np.int64)
    if array.dtype.kind not in "iu":
        raise ValueError(f"{key} has fractions; right are whole numbers alone")
    numbers: NDArray[np.int64] = array.astype(np.int64)
    return numbers


def single(values: Any, key: str = "base_score") -> NDArray[np.float32]:
    """Numbers as float32, each the nearest to what is written, not the nearest to a float64 between."""
    if isinstance(values, np.ndarray):
        with np.errstate(over="ignore"):
            stored: NDArray[np.float32] = values.astype(np.float32)
        return stored
    if not isinstance(values, list) or not all(_is_number(value) for value in values):
        raise ValueError(f"{key} has something that is no number; right are numbers alone")
    try:
        wide = np.array([float(value) for value in values], np.float64)
    except OverflowError:
        raise ValueError(f"{key} has a number beyond all bounds; right are float32 numbers") from None
    with np.errstate(over="ignore"):
        near = wide.astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        other = np.nextafter(near, np.where(wide > near, np.float32(np.inf), -np.float32(np.inf)), dtype=np.float32)
        ties = np.isfinite(near) & (wide != near) & (np.abs(wide - near) == np.abs(other.astype(np.float64) - wide))
    for index in np.flatnonzero(ties):
        written, between = Decimal(str(values[index])), Decimal(float(wide[index]))
        if written != between and (written > between) == (other[index] > near[index]):
            near[index] = other[index]
    return near


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Written)) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    if value is None:
        return "missing"
    if isinstance(value, (dict, list, np.ndarray)):
        return "an array" if not isinstance(value, dict) else "an object"
    return repr(str(value) if isinstance(value, str) else value)

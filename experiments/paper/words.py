"""How stamps and units are written wherever a person reads of a paper account: one form each."""

import numpy as np

__all__ = ["stamp", "units"]

_LARGE = 100.0  # units from which two decimals are enough


def stamp(time: np.datetime64) -> str:
    """A bar's open, as in `2015-12-03 12:00:00`."""
    return str(time.astype("datetime64[s]")).replace("T", " ")


def units(number: float, *, signed: bool = False) -> str:
    """Units with two decimals, as in `-8,735.56`; of fewer than a hundred six digits."""
    sign = "+" if signed else ""
    return f"{number:{sign},.2f}" if abs(number) >= _LARGE else f"{number:{sign}.6g}"

"""What NumPy's elementwise operations are for a single number, as Python expressions.

Python's numbers are the same doubles with the same rounding. Where Python would raise (division by zero, the root of a
negative number) the expressions give what NumPy gives; a missing value goes through as there. Whole numbers are only
divided by constants.
"""

import math
from collections.abc import Mapping

__all__ = ["ELEMENTWISE", "divide"]

ELEMENTWISE: Mapping[str, str] = {
    "absolute": "abs({0})",
    "add": "{0} + {1}",
    "bitwise_and": "{0} & {1}",
    "divide": "{0} / {1} if {1} else divide({0}, {1})",
    "floor_divide": "{0} // {1}",
    "frexp": "frexp({0})",
    "greater": "{0} > {1}",
    "greater_equal": "{0} >= {1}",
    "isnan": "{0} != {0}",
    "less": "{0} < {1}",
    "less_equal": "{0} <= {1}",
    "maximum": "{0} if {0} > {1} or {0} != {0} else {1}",
    "minimum": "{0} if {0} < {1} or {0} != {0} else {1}",
    "multiply": "{0} * {1}",
    "negative": "-{0}",
    "remainder": "{0} % {1}",
    "sign": "1.0 if {0} > 0 else -1.0 if {0} < 0 else 0.0 if {0} == 0 else nan",
    "sqrt": "sqrt({0}) if {0} >= 0 else nan",
    "subtract": "{0} - {1}",
    "where": "{1} if {0} else {2}",
}
"""By the name of the ufunc, `{0}` being its first input; they call `divide`, `math.frexp` and `math.sqrt`."""


def divide(above: float, below: float) -> float:
    """The quotient by a zero: infinite, or missing where nothing is divided."""
    if above == 0 or above != above:
        return math.nan
    return math.copysign(math.inf, above) * math.copysign(1.0, below)

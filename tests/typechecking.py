"""The checker of argument types that `conftest` puts on every function of ours.

beartype compares dtypes by equality and so refuses `datetime64[us]` where `NDArray[np.datetime64]` is asked for, which
in NumPy's own typing means any unit. Such a hint is checked as an array here. Whole numbers pass for floats, as they do
for mypy.
"""

import numpy as np
from beartype import BeartypeConf, FrozenDict, beartype
from numpy.typing import NDArray

__all__ = ["check"]

check = beartype(
    conf=BeartypeConf(hint_overrides=FrozenDict({NDArray[np.datetime64]: np.ndarray}), is_pep484_tower=True)
)

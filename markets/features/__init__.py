"""What an agent sees of the market, in NumPy alone.

`rolling` holds the primitives whose bits depend on a window alone, `indicators` and `clock` the features, `catalogue`
the set of them that settings ask for. `stream` gives the same of one new bar at a time; `symbols`, `newest` and
`elementwise` are how. A champion's bundle carries this folder, so it reads nothing but bars, regimes, settings and
errors and never loads JAX.
"""

from markets.features.catalogue import Feature, FeatureSettings, compute_features, features, warmup
from markets.features.indicators import relative_atr, relative_atr_window

__all__ = [
    "Feature",
    "FeatureSettings",
    "compute_features",
    "features",
    "relative_atr",
    "relative_atr_window",
    "warmup",
]

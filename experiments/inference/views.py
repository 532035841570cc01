"""Views: the market's features as they are when none looks back further than so many bars, scaled as the run's own.

Names, order and scale stay, so that a brain reads a view as it reads what it was bred on. Regimes and the range that
stops are counted in are those of the run.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents.live.inference import cut
from arena.settings import Settings
from experiments.inference.rules import LOOKBACKS
from markets.bars import Bars
from markets.features import compute_features, features
from markets.preparation import Market, own_columns, quoted

__all__ = ["views_of"]


def views_of(
    market: Market,
    bars: Sequence[Bars],
    settings: Settings,
    *,
    mode: str,
    lookbacks: Sequence[int | None] = LOOKBACKS,
) -> NDArray[np.float32]:
    """Features of every row of a tape, once for each look-back, float32 [lookbacks, rows, instruments, features].

    Nothing behind a segment's last row is read.

    Args:
        market: prepared from these bars, with one scaler.
        bars: of each symbol, as they came.
        settings: of the evolution.
        mode: `pool` or `basket`, as the market was prepared.
        lookbacks: most bars a feature looks back; None is the tape's own. Longer than the run's own is as that.
    """
    if len(market.scalers) != 1:
        raise ValueError(f"a tape of {len(market.scalers)} markets; right is one, with one scaler")
    costs = {own.symbol: settings.costs[own.symbol] for own in bars if own.symbol in settings.costs}
    groups = quoted(bars, mode=mode, rules=settings.broker, costs=costs)
    names = own_columns(groups)
    own = np.asarray(market.tape.features)
    found = np.empty((len(lookbacks), *own.shape), np.float32)
    for place, lookback in enumerate(lookbacks):
        less = cut(settings.features, lookback)
        if less == settings.features:
            found[place] = own
            continue
        chosen = features(less, names)
        for segment, group in zip(market.segments, groups, strict=True):
            rows = slice(segment.first, segment.last + 1)
            length = segment.last + 1 - segment.first
            matrix = np.stack([compute_features(chosen, symbol[:length]) for symbol in group], axis=1)
            found[place, rows] = market.scalers[0].apply(matrix)
    return found

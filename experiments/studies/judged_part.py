"""The judged part of real bars: rows behind an evolution's validation and before the holdout, which nobody has seen.

What was left for the holdout stays shut: the bars before it are taken for all there are and cut once more by the same
weights. The evolution is told the two dates, so that it takes the last part for a holdout of its own and never reads
it; what it ends with is judged there.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from arena.api import make_market
from arena.settings import Settings
from markets.bars import Bars
from markets.errors import UserError
from markets.features import features, relative_atr_window, warmup
from markets.preparation import Market
from markets.scaling import Scaler
from markets.splits import Cuts, split, without_holdout

__all__ = ["JudgedPart", "dates_of", "judged_market", "judged_part"]


class JudgedPart(NamedTuple):
    """Rows of each symbol that are judged on, and how they lie in time."""

    cuts: Cuts
    """Where validation begins, and where it ends; the judged rows begin a gap behind that."""
    rows: tuple[range, ...]
    """Of each symbol's bars; none of them is as late as the holdout date."""
    warm: int
    """Rows before these that features read; nothing trades in them."""
    columns: tuple[str, ...]
    """The user's own columns that all symbols have."""


def judged_part(bars: Sequence[Bars], settings: Settings) -> JudgedPart:
    """Cut the bars before the holdout into training, validation and the judged part.

    Args:
        bars: of each symbol, as they come.
        settings: of the evolution; a date that ends training stands, all else goes by the weights.

    Raises:
        UserError: a part has no room for an episode.
    """
    columns = tuple(sorted(set.intersection(*(set(own.columns) for own in bars))))
    window = max(warmup(features(settings.features, columns)), settings.regimes.window)
    episode = settings.episodes.bars + 1
    _, parts = split(bars, settings.split, window=window, episode=episode)
    known = [without_holdout(own, rows) for own, rows in zip(bars, parts, strict=True)]
    again = dataclasses.replace(settings.split, holdout_from=None)
    try:
        cuts, parts = split(known, again, window=window, episode=episode)
    except UserError as error:
        raise UserError(f"{error} (of the bars before the holdout, the last part is judged on)") from None
    warm = max(window, relative_atr_window()) - 1
    return JudgedPart(cuts, tuple(rows.holdout for rows in parts), warm, columns)


def dates_of(part: JudgedPart) -> list[str]:
    """Overrides that have a run train and validate before the judged part."""
    first, second = (
        cut.astype("datetime64[us]").item().isoformat() for cut in (part.cuts.validation, part.cuts.holdout)
    )
    return [f"split.validation_from='{first}'", f"split.holdout_from='{second}'"]


def judged_market(bars: Sequence[Bars], part: JudgedPart, settings: Settings, scaler: Scaler) -> Market:
    """The judged part as a market of its own, in as many windows as there is room for.

    Args:
        bars: as the part was cut from.
        part: of them.
        settings: of the evolution.
        scaler: of the evolution's own training rows.
    """
    kept, ahead = [], []
    for own, rows in zip(bars, part.rows, strict=True):
        if len(rows) > settings.episodes.bars:
            ahead.append(min(part.warm, rows.start))
            shared = {name: own.columns[name] for name in part.columns}
            kept.append(dataclasses.replace(own[rows.start - ahead[-1] : rows.stop], columns=shared))
    costs = {own.symbol: settings.costs[own.symbol] for own in kept if own.symbol in settings.costs}
    market = make_market(kept, dataclasses.replace(settings, costs=costs), scaler=scaler)
    first = np.asarray(market.tape.validation[0])
    begins = np.asarray([segment.first for segment in market.segments]) + ahead
    traded = jnp.asarray(first[first >= begins[np.asarray(market.tape.segment)[first]]][None])
    return dataclasses.replace(market, tape=market.tape._replace(validation=traded))

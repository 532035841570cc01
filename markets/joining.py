"""Several markets on one tape, so that each replicate of a study plays on its own within one compiled program."""

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from markets.folds import Room
from markets.preparation import Market
from markets.splits import Split
from markets.tape import Strata, Tape
from markets.windows import spaced

__all__ = ["join"]


def join(markets: Sequence[Market]) -> Market:
    """One tape of several markets, each of which keeps its own windows, split and scaler.

    All get as many validation and reference windows as the one that has fewest, still evenly spaced.

    Args:
        markets: prepared under the same settings, in the same fold.
    """
    if len(markets) == 1:
        return markets[0]
    tapes = [market.tape for market in markets]
    first = np.cumsum([0, *(len(market.time) for market in markets)])[:-1]
    before = np.cumsum([0, *(len(market.segments) for market in markets)])[:-1]

    def rows(name: str) -> jnp.ndarray:
        return jnp.concatenate([getattr(tape, name) for tape in tapes])

    def placed(windows: Sequence[NDArray[np.int32]]) -> NDArray[np.int32]:
        fewest = min(len(own) for own in windows)
        return np.stack([spaced(own, fewest) + start for own, start in zip(windows, first, strict=True)]).astype(
            np.int32
        )

    strata = max(tape.train.windows.shape[1] for tape in tapes)
    behind = np.cumsum([0, *(len(tape.train.rows) for tape in tapes)])[:-1]
    wide = [((0, 0), (0, strata - tape.train.windows.shape[1])) for tape in tapes]
    train = Strata(
        rows=jnp.concatenate([tape.train.rows + start for tape, start in zip(tapes, first, strict=True)]),
        offset=jnp.concatenate(
            [jnp.pad(tape.train.offset + start, pad) for tape, start, pad in zip(tapes, behind, wide, strict=True)]
        ),
        windows=jnp.concatenate([jnp.pad(tape.train.windows, pad) for tape, pad in zip(tapes, wide, strict=True)]),
    )
    tape = Tape(
        **{name: rows(name) for name in ("bid", "ask", "volume", "days", "features", "atr", "regime")},
        segment=jnp.concatenate([tape.segment + start for tape, start in zip(tapes, before, strict=True)]),
        costs={key: jnp.concatenate([tape.costs[key] for tape in tapes]) for key in tapes[0].costs},
        train=train,
        validation=jnp.asarray(placed([np.asarray(tape.validation[0]) for tape in tapes])),
        quantiles=rows("quantiles"),
        scale=rows("scale"),
    )
    segments = [
        dataclasses.replace(
            own,
            first=own.first + start,
            last=own.last + start,
            rows=Split(*(_shifted(getattr(own.rows, part), start) for part in ("train", "validation", "holdout"))),
        )
        for market, start in zip(markets, first.tolist(), strict=True)
        for own in market.segments
    ]
    rooms = [market.room for market in markets if market.room is not None]
    return Market(
        tape=tape,
        time=np.concatenate([market.time for market in markets]),
        segments=tuple(segments),
        features=markets[0].features,
        window=markets[0].window,
        scalers=tuple(scaler for market in markets for scaler in market.scalers),
        reference=placed([market.reference[0] for market in markets]),
        costless=all(market.costless for market in markets),
        fold=markets[0].fold,
        room=Room(sum(room.rows for room in rooms), sum(room.windows for room in rooms)) if rooms else None,
    )


def _shifted(rows: range, by: int) -> range:
    return range(rows.start + by, rows.stop + by)

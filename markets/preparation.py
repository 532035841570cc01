"""From bars to tape: everything that is worked out once, before anything trades.

Cuts the holdout off, splits what is left, computes features, regimes and financing days, fits the scaler on training
rows alone, and lists the windows that episodes may be drawn from. Of several folds one is made ready: its tape ends
with its own validation, and nothing on it knows a later bar. One scaler, fitted on the first fold's training rows,
serves all of them, so that what an agent learned to see means the same from fold to fold.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from markets.bars import CLOSE, Bars
from markets.calendars import financing_days, periods_per_year
from markets.errors import UserError
from markets.features import FeatureSettings, compute_features, features, relative_atr, warmup
from markets.folds import Room, fewest_windows, room_of
from markets.regimes import RegimeSettings, classify
from markets.rules import BrokerRules
from markets.scaling import Scaler, ScalingSettings, fit_scaler
from markets.splits import Split, SplitSettings, fold_splits, without_holdout
from markets.tape import Tape
from markets.windows import UNKNOWN, WindowSettings, apart, spaced, strata_of, window_starts

__all__ = ["Market", "Segment", "own_columns", "prepare", "quoted"]

_POINTS = 33
"""Ranks at which a feature's values are known to those who ask for thresholds: every 32nd of all."""


@dataclasses.dataclass(frozen=True, eq=False)
class Segment:
    """One stretch of the tape that episodes never cross.

    Attributes:
        symbols: its instruments.
        first, last: its rows of the tape, inclusive.
        rows: of each part, as ranges over the tape; the holdout's rows are not on the tape.
        periods: bars a year.
    """

    symbols: tuple[str, ...]
    first: int
    last: int
    rows: Split
    periods: float


@dataclasses.dataclass(frozen=True, eq=False)
class Market:
    """A prepared market: the tape, and what people and files need to know of it.

    Attributes:
        tape: device arrays.
        time: open of each row, UTC, `datetime64[us]` [rows].
        segments: in the order of the tape.
        features: names, in order.
        window: longest window of features and regimes, in bars.
        scalers: one for each market on the tape, fitted on its training rows.
        reference: first rows of fixed training windows [markets, windows], evenly spaced, for people to compare on.
        costless: whether nothing at all is charged, not even a spread.
        fold: whose tape it is.
        room: tape of every fold, so that one compiled program plays them all; None where there is one fold.
    """

    tape: Tape
    time: NDArray[np.datetime64]
    segments: tuple[Segment, ...]
    features: tuple[str, ...]
    window: int
    scalers: tuple[Scaler, ...]
    reference: NDArray[np.int32]
    costless: bool
    fold: int = 0
    room: Room | None = None


def prepare(
    symbols: Sequence[Bars],
    *,
    mode: str = "pool",
    feature_settings: FeatureSettings,
    regime_settings: RegimeSettings,
    split_settings: SplitSettings,
    scaling_settings: ScalingSettings,
    rules: BrokerRules,
    costs: Mapping[str, Mapping[str, float]],
    windows: WindowSettings,
    scaler: Scaler | None = None,
    fold: int = 0,
) -> Market:
    """Work out everything that does not depend on any agent.

    Args:
        symbols: bars of each symbol.
        mode: `pool` makes every symbol a segment; `basket` trades all of them at once, on their common clock.
        feature_settings: what agents see.
        regime_settings: how regimes are told apart.
        split_settings: how history is divided.
        scaling_settings: how features are scaled.
        rules: of the broker; its spread keys are applied here.
        costs: numeric broker keys that differ for some symbols.
        windows: what windows are wanted.
        scaler: fitted on other bars. Nothing is trained on these then: they are there to judge what was trained on
            those, all of them are validation, and only validation windows are listed.
        fold: which of the folds.

    Raises:
        UserError: no bars, a basket that shares no clock or currency, or too few bars for the windows.
    """
    if not symbols:
        raise UserError("market: no bars; name at least one file with market.path")
    _known(costs, symbols)
    groups = quoted(symbols, mode=mode, rules=rules, costs=costs)
    names = own_columns(groups)
    chosen = features(feature_settings, names)
    window = max(warmup(chosen), regime_settings.window)
    trained = scaler is None
    folds = [tuple(Split(range(0), range(len(group[0])), range(0)) for group in groups)]
    if trained:
        episode = windows.bars + 1
        divided = [group[0] for group in groups]
        folds = [
            rows for _, rows in fold_splits(divided, split_settings, window=window + windows.context, episode=episode)
        ]
    parts = folds[fold if trained else 0]
    seen = [[without_holdout(bars, rows) for bars in group] for group, rows in zip(groups, parts, strict=True)]
    raw = [np.stack([compute_features(chosen, bars) for bars in group], axis=1) for group in seen]
    first_training, training = (
        np.concatenate([_inside(rows.train, len(part)) for rows, part in zip(own, raw, strict=True)])
        for own in (folds[0], parts)
    )
    matrix = np.concatenate(raw)
    instruments = matrix.shape[1]
    if scaler is None:
        scaler = fit_scaler(
            matrix.reshape(-1, len(chosen)),
            np.repeat(first_training, instruments),
            names=[feature.name for feature in chosen],
            scaled=[feature.scaled for feature in chosen],
            settings=scaling_settings,
        )
    regime = np.concatenate([_regime(group, regime_settings) for group in seen]).astype(np.int32)
    ready = np.concatenate([_ready(part, [f.name for f in chosen], names) for part in raw])
    regime = np.where(ready, regime, UNKNOWN)

    segments, first = [], 0
    for group, rows in zip(seen, parts, strict=True):
        length = len(group[0])
        placed = Split(*(_shifted(getattr(rows, part), first) for part in ("train", "validation", "holdout")))
        year = periods_per_year(group[0].time, rules.calendar)
        segments.append(Segment(tuple(bars.symbol for bars in group), first, first + length - 1, placed, year))
        first += length
    train = [window_starts(segment.rows.train, regime, windows) for segment in segments]
    validation = [apart(window_starts(segment.rows.validation, regime, windows), windows.bars) for segment in segments]
    reference = [apart(starts, windows.bars) for starts in train]
    for part, found in (("training", train), ("validation", validation)):
        if not any(len(starts) for starts in found) and (trained or part == "validation"):
            raise UserError(
                f"episodes.bars: no {part} window of {windows.bars} bars fits behind {window} bars of warm-up; "
                "give more bars, a larger share in split, or fewer episodes.bars"
            )
    most = windows.validation if len(folds) == 1 else min(windows.validation, fewest_windows(folds, windows))
    scaled = scaler.apply(matrix)
    atr = np.concatenate([np.stack([_atr(bars) for bars in group], axis=1) for group in seen])
    tape = Tape(
        bid=_floats([[bars.bid for bars in group] for group in seen]),
        ask=_floats([[bars.ask for bars in group] for group in seen]),
        volume=_floats([[_volume(bars) for bars in group] for group in seen]),
        days=_floats([[financing_days(bars.time, rules.calendar) for bars in group] for group in seen]),
        features=jnp.asarray(scaled),
        atr=jnp.asarray(atr, jnp.float32),
        regime=jnp.asarray(regime),
        segment=jnp.asarray(np.repeat(np.arange(len(seen), dtype=np.int32), [len(group[0]) for group in seen])),
        costs=_costs(costs, rules, [[bars.symbol for bars in group] for group in seen]),
        train=strata_of(np.concatenate(train), regime, windows.stratum),
        validation=jnp.asarray(spaced(np.concatenate(validation), most)[None]),
        quantiles=_quantiles(scaled[training & ready]),
        scale=_scale(seen, parts),
    )
    spread = max(float(np.max(bars.ask - bars.bid)) for group in seen for bars in group)
    return Market(
        tape=tape,
        time=np.concatenate([group[0].time for group in seen]),
        segments=tuple(segments),
        features=tuple(feature.name for feature in chosen),
        window=window,
        scalers=(scaler,),
        reference=spaced(np.concatenate(reference), windows.validation)[None],
        costless=rules.costless and spread == 0 and not any(costs.values()),
        fold=fold,
        room=None if len(folds) == 1 else room_of(folds, windows),
    )


def quoted(
    symbols: Sequence[Bars], *, mode: str, rules: BrokerRules, costs: Mapping[str, Mapping[str, float]]
) -> list[list[Bars]]:
    """Bars of each segment to be, with the spreads that are paid and, in a basket, on their common clock.

    Args:
        symbols: bars of each symbol.
        mode: `pool` or `basket`.
        rules: of the broker.
        costs: numeric broker keys that differ for some symbols.

    Raises:
        UserError: a basket that shares no clock or currency.
    """
    spread = [
        bars.with_spread(costs.get(bars.symbol, {}).get("spread", rules.spread), _rate(costs, bars.symbol, rules))
        for bars in symbols
    ]
    return [[bars] for bars in spread] if mode == "pool" else [_common_clock(spread)]


def own_columns(groups: Sequence[Sequence[Bars]]) -> list[str]:
    """The user's own columns that all bars have, in order."""
    return sorted(set.intersection(*(set(bars.columns) for group in groups for bars in group)))


def _known(costs: Mapping[str, Mapping[str, float]], symbols: Sequence[Bars]) -> None:
    known = [bars.symbol for bars in symbols]
    for symbol in costs:
        if symbol not in known:
            raise UserError(f"costs.{symbol}: no such symbol; there are: {', '.join(known[:8])}")


def _rate(costs: Mapping[str, Mapping[str, float]], symbol: str, rules: BrokerRules) -> float | None:
    return costs.get(symbol, {}).get("spread_rate", rules.spread_rate)


def _common_clock(symbols: Sequence[Bars]) -> list[Bars]:
    """The symbols' bars at the stamps they all have.

    Raises:
        UserError: they share none, are quoted in different currencies, or do not show that they share one.
    """
    pairs = [bars.symbol for bars in symbols if len(bars.symbol) == 6 and bars.symbol.isalpha()]
    currencies = {pair[3:] for pair in pairs}
    if len(currencies) > 1:
        raise UserError(
            f"market.mode: a basket's instruments must be quoted in one currency, these are in "
            f"{', '.join(sorted(currencies))}; use market.mode=pool or leave some out"
        )
    silent = [bars.symbol for bars in symbols if bars.symbol not in pairs]
    if pairs and silent:
        raise UserError(
            f"market.mode: a basket's instruments must be quoted in one currency; {pairs[0]} is in {pairs[0][3:]}, but "
            f"{silent[0]} does not say what it is in; use market.mode=pool or leave some out"
        )
    common = symbols[0].time
    for bars in symbols[1:]:
        common = np.intersect1d(common, bars.time, assume_unique=True)
    if not len(common):
        raise UserError("market.mode: the basket's symbols have no stamp in common; use market.mode=pool")
    return [_picked(bars, np.searchsorted(bars.time, common)) for bars in symbols]


def _picked(bars: Bars, rows: NDArray[np.intp]) -> Bars:
    columns = {name: column[rows] for name, column in bars.columns.items()}
    return Bars(bars.symbol, bars.time[rows], bars.bid[rows], bars.ask[rows], bars.volume[rows], columns)


def _regime(group: Sequence[Bars], settings: RegimeSettings) -> NDArray[np.int8]:
    """Regime of a symbol, or of a basket's equally weighted index."""
    if len(group) == 1:
        return classify(group[0].mid[:, CLOSE], settings)
    return classify(np.exp(np.mean([np.log(bars.mid[:, CLOSE]) for bars in group], axis=0)), settings)


def _ready(matrix: NDArray[np.float64], names: Sequence[str], own: Sequence[str]) -> NDArray[np.bool_]:
    """Rows on which every market feature has a value; holes in the user's own columns are allowed."""
    market = [index for index, name in enumerate(names) if name not in own]
    return np.asarray(np.isfinite(matrix[:, :, market]).all(axis=(1, 2)))


def _atr(bars: Bars) -> NDArray[np.float64]:
    """Average true range as a fraction of the close, never 0: a stop needs a distance."""
    return np.maximum(np.nan_to_num(relative_atr(bars), nan=1.0), 1e-6)


def _volume(bars: Bars) -> NDArray[np.float64]:
    return bars.volume if bars.has_volume else np.full(len(bars), np.inf)


def _floats(parts: Sequence[Sequence[NDArray[np.float64]]]) -> jnp.ndarray:
    """Segments one after another with instruments as the second axis, float32 on the device."""
    return jnp.asarray(np.concatenate([np.stack(group, axis=1) for group in parts]), jnp.float32)


def _quantiles(seen: NDArray[np.float32]) -> jnp.ndarray:
    """Values of each feature at evenly spaced ranks [1, features, points], of rows [rows, instruments, features].

    Zeros where there are no rows: nothing is bred on such a market.
    """
    width = seen.shape[-1]
    if not len(seen):
        return jnp.zeros((1, width, _POINTS), jnp.float32)
    flat = np.sort(seen.reshape(-1, width), axis=0)
    return jnp.asarray(flat[np.linspace(0, len(flat) - 1, _POINTS).round().astype(int)].T[None])


def _scale(groups: Sequence[Sequence[Bars]], parts: Sequence[Split]) -> jnp.ndarray:
    """Root mean square log return of a bar on training rows [1]; 1 where there are none, or nothing moves."""
    steps = [
        np.diff(np.log(bars.mid[rows.train.start : rows.train.stop, CLOSE]))
        for group, rows in zip(groups, parts, strict=True)
        for bars in group
    ]
    square = np.square(np.concatenate(steps))
    scale = np.sqrt(square.mean()) if square.any() else 1.0
    return jnp.asarray([scale], jnp.float32)


def _inside(rows: range, length: int) -> NDArray[np.bool_]:
    mask = np.zeros(length, bool)
    mask[rows.start : rows.stop] = True
    return mask


def _shifted(rows: range, by: int) -> range:
    return range(rows.start + by, rows.stop + by)


def _costs(
    costs: Mapping[str, Mapping[str, float]], rules: BrokerRules, groups: Sequence[Sequence[str]]
) -> dict[str, jnp.ndarray]:
    """Broker keys that differ between symbols, [segments, instruments]; spreads are in the bars already.

    Raises:
        UserError: a key of the whole account that differs within a basket.
    """
    keys = sorted({key for own in costs.values() for key in own} - {"spread", "spread_rate"})
    tables = {
        key: np.asarray([[costs.get(symbol, {}).get(key, getattr(rules, key)) for symbol in group] for group in groups])
        for key in keys
    }
    if "max_leverage" in tables and np.ptp(tables["max_leverage"], axis=1).any():
        own = next(symbol for symbol in costs if "max_leverage" in costs[symbol])
        raise UserError(f"costs.{own}.max_leverage: a basket is one account with one leverage; use broker.max_leverage")
    return {key: jnp.asarray(table, jnp.float32) for key, table in tables.items()}

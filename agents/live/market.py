"""What a champion sees of the market: bars go in one by one, features, regime and ATR of the newest come out.

Every bar is checked before it is taken, spreads are put on as the arena puts them on, and the features of a window of
fixed length are scaled with the bundle's constants: the bits are the arena's.
"""

import base64
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.live.bar import Bar, bars_of
from agents.live.manifest import Manifest
from agents.live.quotes import fault, mended, newer, quoted
from markets.bars import CLOSE, Bars
from markets.errors import UserError
from markets.features import features
from markets.features.stream import FeatureStream
from markets.regimes import UNKNOWN
from markets.settings import shown

__all__ = ["Market", "Observation"]

_ATR_LEAST, _ATR_NONE = 1e-6, 1.0
"""A stop needs a distance: the least that an average true range counts as, and what one that is not known counts as."""


class Observation(NamedTuple):
    """The market at the close of a bar.

    Attributes:
        features: scaled and clipped, float32 [features]; of the look-back that decision rules have for the regime.
        regime: its place in the bundle's `regimes.names`.
        atr: average true range as a fraction of the close, > 0.
        close: mid close, in price.
    """

    features: NDArray[np.float32]
    regime: int
    atr: np.float32
    close: np.float32


class Market:
    """The rolling window of one instrument.

    Attributes:
        bars: that are known, at most those that are needed.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._columns = manifest.features.columns
        self._scaler = manifest.scaler
        views = manifest.views()
        self._chosen = [feature for view in views.values() for feature in features(view, self._columns)]
        self._width, self._market = len(manifest.features.list), len(manifest.features.list) - len(self._columns)
        self._view = [list(views).index(back) for back in manifest.lookbacks()]
        self._least = manifest.warm_up
        self._spread, self._spread_rate = manifest.broker.spread, manifest.broker.spread_rate
        self._nearest = manifest.clock.shortest
        self._shortest, self._longest = round(self._nearest * 1e6), round(manifest.clock.longest_gap * 1e6)
        self.clear()

    def clear(self) -> None:
        """Forget every bar."""
        self._stream = FeatureStream(self._chosen, self._manifest.regimes.settings, columns=self._columns)
        self._last: int | None = None
        self._early = False  # whether a bar came too early since the last one that was taken
        self.bars = 0

    @property
    def last(self) -> np.datetime64 | None:
        """Open of the newest bar."""
        return None if self._last is None else np.datetime64(self._last, "us")

    def take(self, bar: Bar | Mapping[str, Any]) -> tuple[bool, Observation | str]:
        """One more bar: whether it was taken, and what is seen then or why nothing is."""
        bar = Bar.of(bar, self._columns)
        self._check_columns(bar.columns)
        problem = fault(bar)
        if problem:
            return False, problem
        stamp = int(bar.time.astype(np.int64))
        step = 0 if self._last is None else stamp - self._last
        if self._last is not None and step <= 0:
            return False, f"out_of_order: the bar opens at {bar.time}, the one before at {self.last}"
        if self._last is not None and step < self._shortest:
            self._early = True
            return False, f"too_early: {step / 1e6:g} seconds since the bar before, at least {self._nearest:g} known"
        bid, ask = quoted(bar.bid, bar.ask, self._spread, self._spread_rate)
        self._stream.push_row(stamp, bid, ask, bar.volume, bar.columns)
        self._last, early, self._early = stamp, self._early, False
        if self.bars < self._least:
            self.bars += 1
        if self.bars < self._least:
            return True, f"warming_up: {self.bars} of {self._least} bars"
        if early:
            return True, f"too_early: a bar came less than {self._nearest:g} seconds after the one before this"
        if step > self._longest:
            return True, f"gap: {step / 1e6:.0f} seconds since the bar before, at most {self._longest / 1e6:.0f} known"
        raw, regime = self._stream.features.reshape(-1, self._width), self._stream.regime
        if regime == UNKNOWN or not np.isfinite(raw[:, : self._market]).all():
            return True, "unknown_regime: the market has no regime in this window"
        atr = self._stream.relative_atr
        atr = max(atr, _ATR_LEAST) if atr == atr else _ATR_NONE
        close = np.float32(0.5) * (np.float32(bid[CLOSE]) + np.float32(ask[CLOSE]))
        return True, Observation(self._scaler.apply(raw[self._view[regime]]), regime, np.float32(atr), close)

    def warm_up(self, bars: Bars | Iterable[Bar] | Iterable[Mapping[str, Any]]) -> int:
        """Many bars, older first; those that are odd or not newer than the last are passed over. How many were taken.

        Raises:
            UserError: a column that the champion sees is missing.
        """
        many = bars if isinstance(bars, Bars) else bars_of(self._checked(bars), self._columns)
        self._check_columns(many.columns)
        rows = newer(many, self.last, self._nearest)
        behind = int(rows.nonzero()[0][-1]) + 1 if rows.any() else 0
        late, many = many[behind:], _picked(many, rows, self._columns)
        if len(many):
            self._early = False
            self._stream.extend(many.with_spread(self._spread, self._spread_rate))
            self.bars = min(self.bars + len(many), self._least)
            self._last = int(many.time[-1].astype(np.int64))
        self._early = self._early or (self._last is not None and bool(newer(late, self.last).any()))
        return len(many)

    def state(self) -> dict[str, Any]:
        """The window as text, exact to the bit."""
        bars = self._stream.recent()
        parts = {"time": bars.time.astype(np.int64), "bid": bars.bid, "ask": bars.ask, "volume": bars.volume}
        parts |= {f"column {name}": bars.columns[name] for name in self._columns}
        rows = {"rows": len(bars), **{name: _text(part) for name, part in parts.items()}}
        return {"last": self._last, "bars": self.bars, "early": self._early, **rows}

    def restore(self, state: Mapping[str, Any]) -> None:
        """The window of a `state`."""
        count = int(state["rows"])
        numbers = {name: _array(state[name], "<f8") for name in ("bid", "ask", "volume")}
        columns = {name: _array(state[f"column {name}"], "<f8") for name in self._columns}
        time = _array(state["time"], "<i8").astype("datetime64[us]")
        bid, ask = numbers["bid"].reshape(count, 4), numbers["ask"].reshape(count, 4)
        if any(len(part) != count for part in (time, numbers["volume"], *columns.values())):
            raise ValueError("parts of different length")
        self.clear()
        if count:
            self._stream.extend(Bars("", time, bid, ask, numbers["volume"], columns))
        self._last, self.bars = None if state["last"] is None else int(state["last"]), int(state["bars"])
        self._early = bool(state["early"])

    def _checked(self, bars: Iterable[Bar] | Iterable[Mapping[str, Any]]) -> list[Bar]:
        if isinstance(bars, Mapping) or not isinstance(bars, Iterable):
            raise UserError(f"warm_up: expected Bars or several of Bar, older first, got {shown(bars)}")
        found = [Bar.of(bar, self._columns) for bar in bars]
        for bar in found:
            self._check_columns(bar.columns)
        return found

    def _check_columns(self, columns: Mapping[str, Any]) -> None:
        for name in self._columns:
            if name not in columns:
                known = ", ".join(columns) or "none"
                raise UserError(f"bar: no column {name!r}, which the champion sees; its columns: {known}")


def _picked(bars: Bars, rows: NDArray[np.bool_], columns: tuple[str, ...]) -> Bars:
    """Those rows, with highs and lows exactly around opens and closes, and no columns but those that are seen."""
    bid, ask = (mended(side[rows]) for side in (bars.bid, bars.ask))
    own = {name: np.asarray(bars.columns[name], np.float64)[rows] for name in columns}
    return Bars(bars.symbol, bars.time[rows].astype("datetime64[us]"), bid, ask, bars.volume[rows], own)


def _text(values: NDArray[Any]) -> str:
    kind = "<i8" if values.dtype.kind == "i" else "<f8"
    return base64.b64encode(np.ascontiguousarray(values, kind).tobytes()).decode("ascii")


def _array(text: str, kind: str) -> NDArray[Any]:
    return np.frombuffer(base64.b64decode(text, validate=True), kind).astype(kind[1:])

"""NautilusTrader: a Strategy that loads a bundle and trades it in backtest, sandbox and live, through any adapter.

This half listens: it warms up, puts closed bars together and asks the champion; `nautilus_orders` trades. These two
are the only modules that import nautilus_trader (extra `nautilus`), and they speak the Strategy's own language and no
venue's.
"""

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.data import Bar as VenueBar
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import PriceType
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Price

from agents.live.account import Account
from agents.live.bar import Bar
from agents.live.caps import Caps
from agents.live.champion import Champion
from agents.live.decision import Decision
from agents.live.nautilus_orders import TargetConfig, TargetStrategy
from agents.live.quotes import fault, quoted
from agents.live.sides import Sides
from agents.live.sizing import units_of
from markets.errors import UserError

__all__ = ["ChampionStrategy", "ChampionStrategyConfig"]

_SIDES = ((PriceType.BID, PriceType.ASK), (PriceType.MID,), (PriceType.LAST,))

_USUAL = ("warming_up", "undecided", "resting")
"""Reasons for no order that nobody has to look into."""

_HISTORY = 1.25
"""Share of the usual time behind a warm-up that is asked of the venue: holidays fall unevenly."""


class ChampionStrategyConfig(TargetConfig, frozen=True, kw_only=True):
    """What a champion trades and how; `TargetConfig` has what its venue can do.

    Attributes:
        bundle: folder of the bundle.
        bar_types: of its bars: one of BID and one of ASK, or one of MID or LAST, around which the bundle's spread is
            put.
        backend: `numpy`, or `onnx` with onnxruntime.
        max_exposure: largest |target|; None for the bundle's own cap, as for the next two.
        max_drawdown: share of its peak that equity may fall before everything is closed for good.
        max_daily_loss: the same in a day of UTC.
        history: file of bars to warm up from, one JSON object a line, as `Bar.from_mapping` takes them.
        request_history: whether to ask the venue for the bars behind the warm-up.
        history_timeout: seconds after which to go on without an answer.
        open_stamps: whether bars are stamped with their open; Nautilus stamps the close.
        flatten_on_stop: whether stopping the strategy closes its position; otherwise the resting orders guard it.
    """

    bundle: str
    bar_types: list[BarType]
    backend: Literal["numpy", "onnx"] = "numpy"
    max_exposure: float | None = None
    max_drawdown: float | None = None
    max_daily_loss: float | None = None
    history: str | None = None
    request_history: bool = True
    history_timeout: float = 60.0
    open_stamps: bool = False
    flatten_on_stop: bool = False


class ChampionStrategy(TargetStrategy):
    """Trades a champion's bundle.

    At every closed bar it asks the champion and trades to its target. Override `on_decision` to see what was decided.

    Raises:
        UserError: the bundle cannot be used, the bar types cannot be its, or a cap is no cap.
    """

    def __init__(self, config: ChampionStrategyConfig) -> None:
        super().__init__(config)
        self.champion = Champion.load(config.bundle, backend=config.backend)
        manifest = self.champion.manifest
        self._broker, self._clock_of = manifest["broker"], manifest["clock"]
        own = {name: getattr(config, name) for name in ("max_exposure", "max_drawdown", "max_daily_loss")}
        self.caps = Caps(**{name: manifest["risk"][name] if value is None else value for name, value in own.items()})
        self._kinds = _ordered(config.bar_types, config.instrument_id, self._clock_of["seconds"])
        self._sides, self._past = Sides(len(self._kinds)), Sides(len(self._kinds))
        self._history: list[Bar] = []
        self._awaited: set[UUID4] = set()

    # Beginning and end

    def on_start(self) -> None:
        """Warm up from what there is and listen to the bars."""
        self.instrument = self.cache.instrument(self.config.instrument_id)
        if self.instrument is None or self.instrument.is_inverse:
            why = "is not known" if self.instrument is None else "is inverse, and a champion's units are of the base"
            self.log.error(f"{self.config.instrument_id} {why}; stopping")
            self.stop()
            return
        if self.caps.tripped:
            self.log.warning(f"not trading: {self.caps.tripped}; start without this saved state to go on")
        if self.config.history is not None:
            self.champion.warm_up(_read(self.config.history, self.champion.manifest["features"]["columns"]))
        for kind in self._kinds:  # the cache has the newest first
            for bar in reversed(self.cache.bars(kind)):
                self._gather(bar)
        self._warm_up()
        if self.config.request_history:
            self._request_history()
        for kind in self._kinds:
            self.subscribe_bars(kind)

    def on_stop(self) -> None:
        """Close the position where that is wanted; else leave it to its resting orders."""
        if self.config.flatten_on_stop and self.instrument is not None:
            self.flatten()
        self.clock.cancel_timers()

    def on_save(self) -> dict[str, bytes]:
        """What is to be remembered: the champion's state and that of the caps."""
        parts = {"champion": self.champion.state(), "caps": self.caps.state()}
        return {name: json.dumps(state).encode() for name, state in parts.items()}

    def on_load(self, state: dict[str, bytes]) -> None:
        """Go on from what was remembered; a state of another bundle is told and left."""
        try:
            if "champion" in state:
                self.champion.restore(json.loads(state["champion"]))
        except UserError as error:
            self.log.warning(f"saved state not used: {error}")
        if "caps" in state:
            self.caps.restore(json.loads(state["caps"]))

    # Warm-up

    def _request_history(self) -> None:
        """Ask for the bars behind the warm-up; bars that close meanwhile belong to it."""
        manifest = self.champion.manifest
        data = manifest["data"]
        first, last = (np.datetime64(str(data[name]).removesuffix("Z"), "us") for name in ("first", "last"))
        spacing = max((last - first) / np.timedelta64(1, "s") / data["bars"], self._clock_of["seconds"])
        seconds = manifest["warm_up"] * spacing * _HISTORY + self._clock_of["longest_gap"]
        start = self.clock.utc_now() - timedelta(seconds=seconds)
        alert = self.clock.utc_now() + timedelta(seconds=self.config.history_timeout)
        self.clock.set_time_alert("history", alert, self._late, override=True)
        for kind in self._kinds:
            self._awaited.add(self.request_bars(kind, start, callback=self._answered))

    def on_historical_data(self, data: Any) -> None:
        """Take a bar of the history asked for."""
        if isinstance(data, VenueBar) and data.bar_type.standard() in self._kinds:
            self._gather(data)

    def _answered(self, request: UUID4) -> None:
        self._awaited.discard(request)
        if not self._awaited:
            self._warm_up()

    def _late(self, _: Any) -> None:
        if self._awaited:
            self.log.warning(f"no history within {self.config.history_timeout:g} s; going on with what there is")
            self._awaited.clear()
            self._warm_up()

    def _gather(self, bar: VenueBar) -> None:
        """Take one side of a bar of the past; live bars, which may close between two answers, overtake none of them."""
        whole = self._side(bar, self._past)
        if whole is not None:
            self._history.append(whole)

    def _warm_up(self) -> None:
        if self._history:
            taken = self.champion.warm_up(sorted(self._history, key=lambda bar: bar.time))
            self.log.info(f"warmed up with {taken} bars to {self.champion.last}")
        self._history.clear()
        self._past.lost.clear()

    # Bars and decisions

    def on_bar(self, bar: VenueBar) -> None:
        """Take one side of a closed bar; decide where the bar is whole."""
        whole = self._side(bar, self._sides)
        for time in self._sides.lost:
            self.log.warning(f"bar of {time}: only one side came; left out")
        self._sides.lost.clear()
        if whole is not None and self._awaited:
            self._history.append(whole)
        elif whole is not None:
            self._decide(whole)

    def on_decision(self, bar: Bar, account: Account, decision: Decision) -> None:
        """What was decided at a bar, before it is acted upon; nothing by default."""

    def _side(self, bar: VenueBar, sides: Sides) -> Bar | None:
        kind = bar.bar_type.standard()
        # A venue that stamps the last millisecond of a bar means the whole second.
        stamp = np.datetime64(round(bar.ts_event / 1e9), "s").astype("datetime64[us]")
        if not self.config.open_stamps:
            stamp -= np.timedelta64(kind.spec.timedelta)
        prices = _number(bar.open), _number(bar.high), _number(bar.low), _number(bar.close)
        return sides.add(self._kinds.index(kind), stamp, prices, float(bar.volume))

    def _decide(self, bar: Bar) -> None:
        close = 0.5 * (bar.bid[3] + bar.ask[3])
        account = self.account_at(close)
        before = self.caps.tripped
        stopped = self.caps.check(bar.time, account.equity)
        decision = self.champion.on_bar(bar, account)
        self.on_decision(bar, account, decision)
        if decision.reason:
            told = self.log.info if decision.reason.startswith(_USUAL) else self.log.warning
            told(f"bar of {bar.time}: {decision.reason}")
        if stopped:
            if not before:
                self.log.error(f"bar of {bar.time}: {stopped}; closing everything, trading no more")
            self.flatten()
        elif decision.target is not None:
            wanted = units_of(
                self.caps.clip(decision.target),
                account.equity,
                close,
                max_leverage=self._broker["max_leverage"],
                lot=max(self._broker["lot_size"], self.step),
                min_units=self._broker["min_units"],
            )
            self.trade_to(wanted, account.units, stop=decision.stop, take_profit=decision.take_profit)
        if self._broker["trailing"] and not stopped and not fault(bar):
            own = (None, None) if len(self._kinds) > 1 else (self._broker["spread"], self._broker["spread_rate"])
            self.trail(*quoted(bar.bid, bar.ask, *own))


def _number(price: Price) -> float:
    """The price as its decimals say: the double nearest to them, which a file of the same bars holds."""
    return float(round(price.as_double(), price.precision))


def _ordered(kinds: list[BarType], instrument: InstrumentId, seconds: float) -> list[BarType]:
    """The bar types in the order bid, ask.

    Raises:
        UserError: they are no pair of bid and ask and no single price, of another instrument, or of another length.
    """
    found = {kind.spec.price_type: kind.standard() for kind in kinds}
    sides = next((sides for sides in _SIDES if set(sides) == set(found) and len(kinds) == len(sides)), None)
    if sides is None:
        named = ", ".join(map(str, kinds)) or "none"
        raise UserError(f"bar_types: {named}; right is one of BID and one of ASK, or one of MID or LAST")
    for kind in kinds:
        if kind.instrument_id != instrument:
            raise UserError(f"bar_types: {kind} is not of {instrument}")
        lasts = kind.spec.timedelta.total_seconds()
        if lasts != seconds:
            raise UserError(f"bar_types: {kind} lasts {lasts:g} s; this bundle's bars last {seconds:g} s")
    return [found[side] for side in sides]


def _read(path: str, columns: Sequence[str]) -> list[Bar]:
    """Bars of a file of JSON lines, with these columns of the user's own.

    Raises:
        UserError: the file cannot be read, or a line is no bar.
    """
    try:
        lines = Path(path).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"history: {path}: {error}") from None
    bars = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
            if not isinstance(values, dict):
                raise UserError('expected an object such as {"timestamp": …, "open": …}')
            bars.append(Bar.from_mapping(values, columns=columns))
        except RecursionError:
            raise UserError(f"history: {path}: line {number}: nested too deep") from None
        except (ValueError, UserError) as error:
            raise UserError(f"history: {path}: line {number}: {error}") from None
    return bars

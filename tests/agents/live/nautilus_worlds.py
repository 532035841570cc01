"""One champion, the same bars, two engines: NautilusTrader's BacktestEngine and the arena's broker.

Importing this needs nautilus_trader; tests skip before they do.
"""

import dataclasses
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.backtest.models import FillModel, LatencyModel
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.data import Bar as VenueBar
from nautilus_trader.model.data import BarType, QuoteTick
from nautilus_trader.model.enums import AccountType, CurrencyType, OmsType
from nautilus_trader.model.events import OrderFilled
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Currency, Money, Price, Quantity

from agents.live import Account, Bar, Champion, Decision
from agents.live.nautilus import ChampionStrategy, ChampionStrategyConfig
from agents.live.shadow import Walk
from experiments.replay.replay import replay
from markets.bars import Bars
from markets.rules import BrokerRules

__all__ = ["TICK", "Arena", "Fill", "Traded", "engine", "in_the_arena", "in_the_engine", "market_data", "on_ticks"]

TICK = 1e-5
DIGITS = 5
VENUE = Venue("SIM")
PAIR = InstrumentId(Symbol("EURUSD"), VENUE)
CENTS = Currency("USD", 2, 840, "US dollar", CurrencyType.FIAT)
FINE = Currency("USX", 8, 0, "US dollar to eight decimals", CurrencyType.FIAT)
"""A dollar whose cents are not rounded, so that what rounding them does can be told from all else."""


class Seen(NamedTuple):
    """What was decided at the close of a bar."""

    time: np.datetime64
    account: Account
    decision: Decision


class Fill(NamedTuple):
    """A fill: the open of the bar it fell in, why, signed units, price, commission."""

    time: np.datetime64
    reason: str
    units: float
    price: float
    commission: float


class Traded(NamedTuple):
    """What one engine made of a champion."""

    seen: list[Seen]
    fills: list[Fill]


class Arena(NamedTuple):
    """What the arena made of it."""

    seen: list[Seen]
    fills: list[Fill]
    ledger: pl.DataFrame


class Watched(ChampionStrategy):
    """The strategy, with what it decided and what was filled written down."""

    def __init__(self, config: ChampionStrategyConfig) -> None:
        super().__init__(config)
        self.seen: list[Seen] = []
        self.filled: list[tuple[int, str, float, float, float]] = []

    def on_decision(self, bar: Bar, account: Account, decision: Decision) -> None:
        self.seen.append(Seen(bar.time, account, decision))

    def on_order_filled(self, event: OrderFilled) -> None:
        sign = 1 if event.is_buy else -1
        reason = self.cache.order(event.client_order_id).tags[0]
        price, fee = round(event.last_px.as_double(), DIGITS), event.commission.as_double()
        self.filled.append((event.ts_event, reason, sign * float(event.last_qty), price, fee))
        super().on_order_filled(event)


class Scripted:
    """A champion that decides what it is told to."""

    last = None

    def __init__(self, script: Mapping[np.datetime64, Decision]) -> None:
        self._script = script
        self.manifest = {"data": {"first": "2024-01-01", "last": "2024-02-01", "bars": 500}, "warm_up": 1}

    def warm_up(self, bars: list[Bar]) -> int:
        return len(bars)

    def on_bar(self, bar: Bar, account: Account) -> Decision:
        return self._script.get(bar.time, Decision.none(""))


def on_ticks(bars: Bars) -> Bars:
    """The bars with prices that are whole ticks."""
    return dataclasses.replace(bars, bid=np.round(bars.bid, DIGITS), ask=np.round(bars.ask, DIGITS))


def bar_types(kinds: str = "BID ASK", minutes: int = 60) -> list[BarType]:
    return [BarType.from_str(f"{PAIR}-{minutes}-MINUTE-{kind}-EXTERNAL") for kind in kinds.split()]


def market_data(bars: Bars, kinds: list[BarType], *, opens: bool = True) -> list[Any]:
    """Bars as the engine takes them, stamped at their close, each behind the quotes of its own open.

    An order sent at a close meets the first of these quotes; its stop and take-profit are there at the second, before
    the bar's prices pass; what must be closed because its stop was refused, at the third.
    """
    length = int(kinds[0].spec.timedelta.total_seconds() * 1e9)
    much = Quantity(4_000_000_000, 0)
    stamps = bars.time.astype("datetime64[ns]").astype(np.int64).tolist()
    sides = {"BID": bars.bid, "ASK": bars.ask, "MID": np.round(bars.mid, DIGITS), "LAST": np.round(bars.mid, DIGITS)}
    found = [(kind, sides[str(kind).split("-")[3]].tolist()) for kind in kinds]
    data: list[Any] = []
    for row, stamp in enumerate(stamps):
        if opens:
            bid, ask = Price(bars.bid[row, 0], DIGITS), Price(bars.ask[row, 0], DIGITS)
            data += [QuoteTick(PAIR, bid, ask, much, much, stamp + late, stamp + late) for late in (1000, 2000, 3000)]
        for kind, prices in found:
            quoted = (Price(price, DIGITS) for price in prices[row])
            data.append(VenueBar(kind, *quoted, much, stamp + length, stamp + length))
    return data


def pair(commission: float, currency: Currency) -> CurrencyPair:
    rate = Decimal(str(commission))
    return CurrencyPair(
        PAIR,
        PAIR.symbol,
        Currency.from_str("EUR"),
        currency,
        DIGITS,
        0,
        Price(TICK, DIGITS),
        Quantity(1, 0),
        0,
        0,
        margin_init=Decimal("0.02"),
        margin_maint=Decimal("0.01"),
        maker_fee=rate,
        taker_fee=rate,
    )


def engine(
    rules: BrokerRules,
    *,
    currency: Currency = FINE,
    oms: OmsType = OmsType.NETTING,
    account: AccountType = AccountType.MARGIN,
    latency: int | None = 1,
    **venue: Any,
) -> BacktestEngine:
    """An engine with one venue and one pair; orders take a nanosecond to arrive, so that they meet the next quote."""
    made = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False))
    made.add_venue(
        VENUE,
        oms,
        account,
        [Money(rules.cash, currency)],
        base_currency=currency if account == AccountType.MARGIN else None,  # pairs need both currencies in cash
        default_leverage=Decimal(50) if account == AccountType.MARGIN else None,
        fill_model=FillModel(),
        latency_model=None if latency is None else LatencyModel(base_latency_nanos=latency),
        **venue,
    )
    made.add_instrument(pair(rules.commission, currency))
    return made


def in_the_engine(
    bundle: Path,
    bars: Bars,
    rules: BrokerRules,
    *,
    kinds: list[BarType] | None = None,
    opens: bool = True,
    script: Mapping[np.datetime64, Decision] | None = None,
    **how: Any,
) -> Traded:
    """Let the engine run the champion over the bars."""
    own = {name: how.pop(name) for name in list(how) if name in ChampionStrategyConfig.__struct_fields__}
    kinds = kinds or bar_types()
    made = engine(rules, **how)
    made.add_data(market_data(bars, kinds, opens=opens), sort=False)
    strategy = Watched(ChampionStrategyConfig(bundle=str(bundle), instrument_id=PAIR, bar_types=kinds, **_RISK | own))
    if script is not None:
        strategy.champion = Scripted(script)
    made.add_strategy(strategy)
    made.run()
    stamps = bars.time.astype("datetime64[ns]").astype(np.int64)
    rows = [int(np.searchsorted(stamps, when - 1, side="right")) - 1 for when, *_ in strategy.filled]
    fills = [Fill(bars.time[row], *what) for row, (_, *what) in zip(rows, strategy.filled, strict=True)]
    seen = list(strategy.seen)
    made.dispose()
    return Traded(seen, fills)


_RISK = {"max_exposure": 10.0, "max_drawdown": 0.99, "max_daily_loss": 0.99}


def in_the_arena(bundle: Path, bars: Bars, rules: BrokerRules) -> Arena:
    """Let the champion decide for its shadow account, and send what it asked for through the arena's broker."""
    seen = [Seen(*step) for step in Walk(Champion.load(bundle)).extend(bars)]
    return Arena(seen, *replayed(bars, rules, {one.time: one.decision for one in seen}))


def replayed(
    bars: Bars, rules: BrokerRules, decisions: Mapping[np.datetime64, Decision]
) -> tuple[list[Fill], pl.DataFrame]:
    """Fills and ledger of decisions in the arena's replay."""
    asked = [(time.item(), *_asked(decision)) for time, decision in decisions.items() if decision.order]
    columns = ("timestamp", "target", "stop_loss", "take_profit")
    schema = dict(zip(columns, (pl.Datetime("us"), *[pl.Float64] * 3), strict=True))
    result = replay(bars, pl.DataFrame(asked, schema=schema, orient="row"), rules)
    return [_fill(row) for row in result.fills.iter_rows(named=True)], result.ledger


def _asked(decision: Decision) -> tuple[float | None, ...]:
    return decision.target, decision.stop, decision.take_profit


def _fill(row: dict[str, Any]) -> Fill:
    time = np.datetime64(row["timestamp"].replace(tzinfo=None), "us")
    return Fill(time, row["reason"], row["units"], row["price"], row["commission"])

"""NautilusTrader, its half that trades: from a target to the orders of a Strategy, and what becomes of them.

Market orders for the difference, and stop and take-profit as the venue's own resting orders around what they opened.
What must be remembered of an order stands in its tags, so that a restart finds it where the orders are. Nothing here
knows of a champion or of a venue.
"""

import math
from collections.abc import Iterable
from typing import Any

from nautilus_trader.config import StrategyConfig
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.enums import ContingencyType, OrderSide, TimeInForce, TriggerType
from nautilus_trader.model.events import (
    OrderCanceled,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderModifyRejected,
    OrderRejected,
)
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.model.orders import LimitOrder, Order, OrderList, StopMarketOrder
from nautilus_trader.model.position import Position
from nautilus_trader.trading.strategy import Strategy

from agents.live.account import Account
from agents.live.bar import Prices
from agents.live.sizing import HAIR, change, level, lots

__all__ = ["TargetConfig", "TargetStrategy"]

_HIGH, _LOW, _CLOSE = 1, 2, 3

_ENTRY, _EXIT, _STOP, _TAKE = "entry", "exit", "stop", "take_profit"
"""First tag of every order of ours; an entry's further tags are the distances it was decided with, a
level's second one is its own."""


class TargetConfig(StrategyConfig, frozen=True, kw_only=True):
    """What is traded and what its venue can do.

    Attributes:
        instrument_id: what is traded.
        balance_holds_profit: whether the account's balance counts the profit of open positions already, as that of
            Interactive Brokers does.
        reduce_only: whether orders that close may only reduce; False for venues that do not know the instruction.
        order_lists: whether stop and take-profit go out as one list, linked one-cancels-other; False for adapters that
            take no lists: then the strategy alone cancels the one that is left.
        emulate: whether Nautilus itself watches stop and take-profit, for venues without stop orders.
    """

    instrument_id: InstrumentId
    balance_holds_profit: bool = False
    reduce_only: bool = True
    order_lists: bool = True
    emulate: bool = False


class TargetStrategy(Strategy):  # type: ignore[misc]
    """Trades one instrument to signed units, and keeps stop and take-profit around what it holds."""

    instrument: Any = None
    """Of the cache; known from the start on."""

    _short_told = False

    # Account

    def account_at(self, close: float) -> Account:
        """Equity in the currency of the price, at that mid; signed units and their average entry.

        Equity is NaN where it cannot be told: no account yet, or no rate between its currency and the price's.
        """
        held = [(self._units(position), position.avg_px_open) for position in self._positions()]
        units = sum(size for size, _ in held)
        paid = sum(size * entry for size, entry in held)
        return Account(self._equity(close, units, paid), units, paid / units if units else 0.0)

    def _equity(self, close: float, units: float, paid: float) -> float:
        account, quote = self._money(), self.instrument.quote_currency
        if account is None:
            return math.nan
        if account.is_margin_account:
            currency = account.base_currency or self.instrument.get_settlement_currency()
            profit = 0.0 if self.config.balance_holds_profit else units * close - paid
        else:  # what was bought was paid for: it is a balance of its own, or its worth counts
            currency = account.base_currency or quote
            base = None if account.base_currency is not None else self.instrument.get_base_currency()
            own = None if base is None else account.balance_total(base)
            profit = close * (units if base is None else 0.0 if own is None else own.as_double())
        balance = account.balance_total(currency)
        rate = 1.0 if currency == quote else self.cache.get_xrate(self.config.instrument_id.venue, currency, quote)
        return math.nan if balance is None or not rate else float(balance.as_double() * rate + profit)

    def _money(self) -> Any:
        return self.portfolio.account(self.config.instrument_id.venue)

    def _positions(self) -> list[Position]:
        """Open positions of this strategy, oldest first."""
        found = self.cache.positions_open(instrument_id=self.config.instrument_id, strategy_id=self.id)
        return sorted(found, key=lambda position: position.ts_opened)

    def _units(self, position: Position) -> float:
        return float(position.signed_qty) * float(self.instrument.multiplier)

    @property
    def step(self) -> float:
        """Smallest change of a position, in units."""
        return float(self.instrument.size_increment) * float(self.instrument.multiplier)

    # Trading

    def trade_to(self, wanted: float, held: float, *, stop: float | None, take_profit: float | None) -> None:
        """Close what is held against the units wanted, open what lacks.

        Args:
            wanted: signed units.
            held: signed units at the decision.
            stop: distance of the stop as a fraction of the entry price, for what is opened; None is none.
            take_profit: the same for the take-profit.
        """
        pending = self._orders(_ENTRY, _EXIT)
        if pending:
            self.log.warning(f"{len(pending)} orders of an earlier bar are still open; cancelling them, not trading")
            self._cancel(pending)
            return
        if wanted < 0 and self._money().is_cash_account:
            if not self._short_told:
                self.log.warning("asked to be short, which a cash account cannot be: flat instead")
            wanted = 0.0
            self._short_told = True
        step = change(held, wanted)
        if step.close:
            self._close(abs(step.close))
        if step.open:
            distances = ((_STOP, stop), (_TAKE, take_profit))
            self._market(step.open, [_ENTRY, *(f"{name}={value!r}" for name, value in distances if value is not None)])

    def flatten(self) -> None:
        """Cancel what is open and close what is held; orders to close that are under way are left to do so."""
        self._cancel(self._orders(_ENTRY))
        if not self._orders(_EXIT):
            self._close(math.inf)

    def _close(self, units: float) -> None:
        """Close so many units, oldest position first; what guards a position goes with it."""
        for position in self._positions():
            held = self._units(position)
            leaving = min(units, abs(held))
            if leaving <= 0:
                return
            if leaving >= abs(held):
                self._cancel(self._orders(_STOP, _TAKE, position=position))
            self._market(math.copysign(leaving, -held), [_EXIT], position=position)
            units -= leaving

    def _market(self, units: float, tags: list[str], *, position: Position | None = None) -> None:
        """Send a market order for signed units; too few for the venue is said and left."""
        quantity = self._quantity(abs(units))
        if quantity is None:
            self.log.warning(f"{units:g} units are fewer than {self.config.instrument_id} trades; no order")
            return
        order = self.order_factory.market(
            instrument_id=self.config.instrument_id,
            order_side=OrderSide.BUY if units > 0 else OrderSide.SELL,
            quantity=quantity,
            reduce_only=position is not None and self._reduces(),
            tags=tags,
        )
        self.submit_order(order, position_id=None if position is None else position.id)

    def _quantity(self, units: float) -> Quantity | None:
        size, step = units / float(self.instrument.multiplier), float(self.instrument.size_increment)
        most, least = self.instrument.max_quantity, self.instrument.min_quantity
        if most is not None and size > float(most):
            self.log.warning(f"{size:g} is more than {self.config.instrument_id} takes at once; cut to {most}")
            size = float(most)
        whole = lots(size, step)
        if not whole or (least is not None and whole * step < float(least) * (1 - HAIR)):
            return None
        return self.instrument.make_qty(whole * step)

    def _reduces(self) -> bool:
        """Whether orders that close say so: what a cash account sells it has."""
        return bool(self.config.reduce_only and self._money().is_margin_account)

    # Orders

    def _orders(self, *kinds: str, position: Position | None = None) -> list[Order]:
        """Our orders of some kinds that may still fill; those of one position where one is given."""
        where = {"instrument_id": self.config.instrument_id, "strategy_id": self.id}
        lists = (self.cache.orders_open, self.cache.orders_inflight, self.cache.orders_emulated)
        alive = {order.client_order_id: order for orders in lists for order in orders(**where)}
        return [
            order
            for order in alive.values()
            if order.tags and order.tags[0] in kinds and (position is None or self._position(order) == position)
        ]

    def _position(self, order: Order) -> Position | None:
        """The position an order opened, or was sent to close."""
        position_id = order.position_id or self.cache.position_id(order.client_order_id)
        return None if position_id is None else self.cache.position(position_id)

    def _cancel(self, orders: Iterable[Order]) -> None:
        for order in orders:
            if not order.is_closed and not order.is_pending_cancel:
                self.cancel_order(order)

    def on_order_filled(self, event: OrderFilled) -> None:
        """Guard what an entry opened; cancel what guarded a position that is gone."""
        order = self.cache.order(event.client_order_id)
        kind, position = order.tags[0] if order.tags else "", self._position(order)
        if kind == _ENTRY:
            if order.is_closed:
                self._guard(order)
        elif position is not None and position.is_closed:
            self._cancel(self._orders(_STOP, _TAKE, position=position))

    def on_order_canceled(self, event: OrderCanceled) -> None:
        """Guard what an entry opened before it was cancelled."""
        self._ended(event)

    def on_order_expired(self, event: OrderExpired) -> None:
        """Guard what an entry opened before it expired."""
        self._ended(event)

    def on_order_rejected(self, event: OrderRejected) -> None:
        """Say so; a position whose stop the venue refuses is closed."""
        self._refused(event)

    def on_order_denied(self, event: OrderDenied) -> None:
        """The same for what Nautilus itself refuses."""
        self._refused(event)

    def on_order_modify_rejected(self, event: OrderModifyRejected) -> None:
        """Say so; a stop that cannot be moved stays where it is."""
        self.log.warning(f"a stop was not moved: {event.reason}")

    def _ended(self, event: OrderCanceled | OrderExpired) -> None:
        order = self.cache.order(event.client_order_id)
        if order.tags and order.tags[0] == _ENTRY and float(order.filled_qty) > 0:
            self._guard(order)

    def _refused(self, event: OrderRejected | OrderDenied) -> None:
        order = self.cache.order(event.client_order_id)
        kind, position = order.tags[0] if order.tags else "", self._position(order)
        if kind == _EXIT and (position is None or position.is_closed):
            self.log.info(f"nothing left to close: {event.reason}")
            return
        self.log.error(f"{kind or 'order'} refused: {event.reason}")
        if kind == _STOP and position is not None and position.is_open and not self._orders(_EXIT):
            self.log.error("a position without its stop is closed")
            self._cancel(self._orders(_TAKE, position=position))
            self._market(-self._units(position), [_EXIT], position=position)

    # Stop and take-profit

    def _guard(self, entry: Order) -> None:
        """Put stop and take-profit of an entry around its position, in place of what guarded it."""
        position = self._position(entry)
        distances = {name: float(value) for name, _, value in (tag.partition("=") for tag in entry.tags[1:])}
        if position is None or position.is_closed or not distances:
            return
        self._cancel(self._orders(_STOP, _TAKE, position=position))
        side, tick = (1 if position.is_long else -1), float(self.instrument.price_increment)
        levels = {}
        for name, distance in distances.items():
            price = level(position.avg_px_open, distance, -side if name == _STOP else side, tick)
            if price > 0:  # a short's profit at or below nothing is never taken
                levels[name] = self.instrument.make_price(price)
        orders = self._resting(position, levels, distances)
        if len(orders) == 2 and self.config.order_lists:
            self.submit_order_list(OrderList(orders[0].order_list_id, orders), position_id=position.id)
            return
        for order in orders:
            self.submit_order(order, position_id=position.id)

    def trail(self, bid: Prices, ask: Prices) -> None:
        """Let stops follow the favourable extreme of a closed bar at their distance, never away from the price.

        A position whose stop would lie beyond the close is closed: it would be met at the next open.

        Args:
            bid: open, high, low, close.
            ask: the same.
        """
        tick = float(self.instrument.price_increment)
        for order in self._orders(_STOP):
            position = self._position(order)
            if position is None or position.is_closed or order.is_pending_cancel or len(order.tags) < 2:
                continue
            side = 1 if position.is_long else -1
            best, door = (bid[_HIGH], bid[_CLOSE]) if side > 0 else (ask[_LOW], ask[_CLOSE])
            price = level(best, position.avg_px_open * float(order.tags[1]) / best, -side, tick)
            if side * (price - float(order.trigger_price)) < 0.5 * tick:
                continue
            if side * (price - door) < 0:
                self.modify_order(order, trigger_price=self.instrument.make_price(price))
            elif not self._orders(_EXIT, position=position):
                self._cancel(self._orders(_STOP, _TAKE, position=position))
                self._market(-self._units(position), [_EXIT], position=position)

    def _resting(self, position: Position, levels: dict[str, Price], distances: dict[str, float]) -> list[Order]:
        """Stop (market) and take-profit (limit) of a position, linked where both go out as a list."""
        linked = len(levels) == 2 and self.config.order_lists
        ids = {name: self.order_factory.generate_client_order_id() for name in levels}
        common: dict[str, Any] = {
            "trader_id": self.trader_id,
            "strategy_id": self.id,
            "instrument_id": self.config.instrument_id,
            "order_side": position.closing_order_side(),
            "quantity": position.quantity,
            "ts_init": self.clock.timestamp_ns(),
            "time_in_force": TimeInForce.GTC,
            "reduce_only": self._reduces(),
            "emulation_trigger": TriggerType.BID_ASK if self.config.emulate else TriggerType.NO_TRIGGER,
            "contingency_type": ContingencyType.OCO if linked else ContingencyType.NO_CONTINGENCY,
            "order_list_id": self.order_factory.generate_order_list_id() if linked else None,
        }
        orders = []
        for name, price in levels.items():
            others = [other for key, other in ids.items() if key != name] if linked else None
            own = {"client_order_id": ids[name], "init_id": UUID4(), "linked_order_ids": others}
            own["tags"] = [name, repr(distances[name])]
            if name == _STOP:
                orders.append(StopMarketOrder(trigger_price=price, trigger_type=TriggerType.DEFAULT, **common, **own))
            else:
                orders.append(LimitOrder(price=price, **common, **own))
        return orders

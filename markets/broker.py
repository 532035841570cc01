"""The broker: what one bar does to one account. Everything that moves money goes through `step`.

One pure kernel, generic over float32 (evolution) and float64 (audit), without branches: features that the rules leave
off vanish when it is traced. Its steps follow the accounting rules in their order: 1 at the open (a resting exits,
b liquidation, c the order), 2 inside the bar, 3 financing, 4 mark, 5 ruin and the end.

Prices are SIGNED inside: side · price on the side a position leaves on (long: bid, short: −ask), so that higher is
always better for the holder and one comparison serves both sides. Empty levels are NaN, which no comparison meets.
Only what is finite is ever multiplied by money. Account-level numbers keep a trailing axis of one.
"""

import copy
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from markets.account import Account, Bar, Closed, Fills, Order, Outcome
from markets.rules import BrokerRules
from markets.sizing import (
    Number,
    capped_units,
    margin_price,
    off,
    over_instruments,
    shared_margin_price,
    wanted_units,
)

__all__ = ["open_account", "step", "vary"]

_NONE, _ORDER, _STOP, _TAKE_PROFIT, _LIQUIDATION, _RUIN, _END = range(7)  # as in markets.account.REASONS


def vary(rules: BrokerRules, **numbers: Number) -> BrokerRules:
    """The same rules with some numbers replaced by arrays, such as costs that differ by segment.

    Args:
        rules: the rules in common.
        **numbers: keys of `BrokerRules`, and arrays that broadcast against [*accounts, instruments] ([episodes, 1]).
            What shapes the program stays a Python value: `trailing`, `close_at_end`, whether `participation` is None.
    """
    varied = copy.copy(rules)
    for name, value in numbers.items():
        if not hasattr(rules, name):
            raise TypeError(f"{name} is not a key of BrokerRules")
        object.__setattr__(varied, name, value)  # frozen, and checked as Python numbers when built by its constructor
    return varied


def open_account(
    rules: BrokerRules, accounts: tuple[int, ...], instruments: int = 1, dtype: DTypeLike = jnp.float32
) -> Account:
    """New accounts: all cash, flat.

    Args:
        rules: the broker's; `cash` is E_0.
        accounts: shape of the account axes.
        instruments: number of instruments each may hold.
        dtype: float32 or float64.
    """
    cash = jnp.broadcast_to(_of_account(rules.cash), accounts).astype(dtype)
    flat = jnp.zeros((*accounts, instruments), dtype)
    empty = jnp.full((*accounts, instruments), jnp.nan, dtype)
    return Account(
        balance=cash,
        financing=jnp.zeros(accounts, dtype),
        units=flat,
        entry=flat,
        stop=empty,
        take_profit=empty,
        stop_distance=empty,
        trade=flat,
        equity=cash,
        alive=jnp.ones(accounts, bool),
    )


def step(account: Account, order: Order, bar: Bar, rules: BrokerRules) -> Outcome:
    """Take accounts through one bar.

    Args:
        account: after bar t.
        order: decided at the close of t.
        bar: bar t+1; its leaves may lack leading account axes.
        rules: the broker's; static, or with arrays by segment (`vary`).

    Returns:
        The accounts after bar t+1, and what happened; unused parts cost nothing once compiled.
    """
    total, anywhere = over_instruments(account.units.shape[-1])
    alive = account.alive[..., None]
    close_mid = 0.5 * (bar.close_bid + bar.close_ask)

    # 1. At the open; 2. inside the bar. `funds` is k less the financing not yet booked: each fill adds what it earns.
    start = _Position(account.units, account.entry, account.stop, account.take_profit, account.stop_distance)
    funds = (account.balance - account.financing)[..., None]
    left = _leave_at_open(start, funds, bar, rules)
    bought = _fill_order(account, order, left, bar, rules)
    held = bought.position
    out = _leave_inside(held, bought.funds, bar, rules)
    short = held.units < 0

    # 3. Financing of what is held at the close.
    charge: Any = 0.0
    charged = jnp.zeros_like(funds)
    if not (off(rules.financing_long) and off(rules.financing_short)):
        yearly = close_mid * bar.days / 365
        rate = jnp.where(short, rules.financing_short * yearly, rules.financing_long * yearly)
        charge = jnp.where(out.inside, 0, jnp.abs(held.units) * rate)
        charged = total(charge)

    # 4. Mark at mid; a trailing stop then follows the favourable extreme.
    marked = bought.funds + total(jnp.where(out.inside, out.gain, held.units * (close_mid - held.entry) - charge))
    stop = out.stop
    if rules.trailing:
        trail = out.favourable - held.stop_distance
        stop = jnp.where(trail > stop, trail, stop)

    # 5. Ruin, and the end: what is still held is closed at the bar's close, at the price `out` holds ready.
    ruined = alive & (marked <= rules.ruin * rules.cash)
    over = ruined | bar.last[..., None] if rules.close_at_end else ruined
    closing = (held.units != 0) & ~out.inside & over
    equity = jnp.where(over, bought.funds + total(out.gain) - charged, marked)

    # The books. Financing moves into the balance with any fill.
    filled = anywhere(left.exits | bought.filled | out.inside)
    settled = jnp.where(over, equity, bought.funds + total(jnp.where(out.inside, out.gain, 0)))
    unbooked = jnp.where(filled, 0, account.financing[..., None]) + charged
    units = jnp.where(out.inside | over, 0, held.units)
    rests = units != 0
    side = _side(short, units)
    trade = bought.trade - charge
    after = Account(
        balance=jnp.where(filled | anywhere(closing), settled, account.balance[..., None])[..., 0],
        financing=jnp.where(over, 0, unbooked)[..., 0],
        units=units,
        entry=held.entry,
        stop=jnp.where(rests, side * stop, jnp.nan),
        take_profit=jnp.where(rests, side * out.take_profit, jnp.nan),
        stop_distance=jnp.where(rests, held.stop_distance, jnp.nan) if rules.trailing else account.stop_distance,
        trade=jnp.where(rests, trade, 0),
        equity=equity[..., 0],
        alive=(alive & ~ruined)[..., 0],
    )
    exits = out.inside | closing
    closed = Closed(
        ended_at_open=left.exits | bought.closes,
        profit_at_open=jnp.where(left.exits, account.trade + left.gain, jnp.where(bought.closes, bought.profit, 0)),
        ended_after=exits,
        profit_after=jnp.where(exits, trade + out.gain, 0),
        opened=bought.opens,
    )
    close = out.slot._replace(reason=jnp.where(ruined, _RUIN, _END))
    slots = [(left.exits, left.slot), (bought.filled, bought.slot), (out.inside, out.slot), (closing, close)]
    floor = 1e-6 * rules.cash
    reward = jnp.log(jnp.maximum(equity, floor) / jnp.maximum(account.equity[..., None], floor))
    return Outcome(
        account=after,
        fills=_fills(slots, units),
        closed=closed,
        reward=reward[..., 0],
        financing=charged[..., 0],
        liquidated=anywhere(left.liquidated | out.liquidated)[..., 0],
        ruined=ruined[..., 0],
    )


class _Position(NamedTuple):
    """What is held, with its resting levels in price: [*accounts, instruments] each."""

    units: Array
    entry: Array
    stop: Array
    take_profit: Array
    stop_distance: Array


class _Slot(NamedTuple):
    """What a fill would be where it happens; the fields of `Fills`, [*accounts, instruments] or a number each."""

    reason: Any
    units: Any
    price: Any
    commission: Any
    slippage: Any
    fee: Any


class _Left(NamedTuple):
    """Steps 1a and 1b."""

    units: Array
    """What is still held."""
    funds: Array
    exits: Array
    resting: Array
    """Exits by a resting level, which forbid re-entry on the same signal."""
    liquidated: Array
    breach: Array
    """[*accounts, 1]: liquidated at the open; cancels every order."""
    side: Array
    gain: Array
    slot: _Slot


class _Bought(NamedTuple):
    """Step 1c."""

    position: _Position
    funds: Array
    filled: Array
    closes: Array
    opens: Array
    profit: Array
    """Of the trade this fill closed."""
    trade: Array
    slot: _Slot


class _Out(NamedTuple):
    """Step 2, and the price at which the bar's last exit fills: inside the bar, else at its close."""

    inside: Array
    liquidated: Array
    gain: Array
    """What the exit would earn, after costs; 0 where nothing is held."""
    stop: Array
    """Signed, as this bar's open left it; so is `take_profit`."""
    take_profit: Array
    favourable: Array
    slot: _Slot


def _leave_at_open(start: _Position, funds: Array, bar: Bar, rules: BrokerRules) -> _Left:
    """1a, resting exits the open has reached, and 1b, liquidation: both at the open's own price."""
    total, anywhere = over_instruments(start.units.shape[-1])
    short, held, size = start.units < 0, start.units != 0, jnp.abs(start.units)
    side = _side(short, start.units)
    door = jnp.where(short, -bar.open_ask, bar.open_bid)
    stopped = held & (door <= side * start.stop)
    resting = stopped | (held & (door >= side * start.take_profit))
    limit = resting & ~stopped
    price = side * jnp.where(limit, door, _slipped(door, side, rules))
    commission = _commission(size, price, held, rules)
    gain = size * (side * (price - start.entry)) - commission

    still = held & ~resting
    margin = 1 if off(rules.maintenance) else 1 - side * rules.maintenance
    surplus = size * (door * margin - side * start.entry)  # over maintenance
    if start.units.shape[-1] > 1:
        surplus = jnp.where(resting, gain, surplus)
    breach = anywhere(still) & (funds + total(surplus) <= 0)
    liquidated = still & breach
    fee = _fee(size, price, liquidated, rules)
    gain = gain - fee

    exits = resting | liquidated
    reason = jnp.where(stopped, _STOP, jnp.where(resting, _TAKE_PROFIT, _LIQUIDATION))
    slippage = jnp.where(limit, 0, _slip_money(size, side * door, rules))
    return _Left(
        units=jnp.where(exits, 0, start.units),
        funds=funds + total(jnp.where(exits, gain, 0)),
        exits=exits,
        resting=resting,
        liquidated=liquidated,
        breach=breach,
        side=side,
        gain=gain,
        slot=_Slot(reason, -start.units, price, commission, slippage, fee),
    )


def _fill_order(account: Account, order: Order, left: _Left, bar: Bar, rules: BrokerRules) -> _Bought:
    """1c: the pending order, buying on the ask and selling on the bid."""
    total, _ = over_instruments(account.units.shape[-1])
    units, entry = left.units, account.entry
    wanted = wanted_units(account, order, left.units, left.funds, bar, rules)
    asked = ~jnp.isnan(order.target) & account.alive[..., None] & ~left.breach
    asked = asked & ~(left.resting & (left.side * wanted > 0))  # no re-entry on the same signal
    reached = jnp.where(asked, capped_units(wanted, units, bar, rules), units)
    change = reached - units
    filled = change != 0
    buys = change > 0
    before = jnp.where(buys, bar.open_ask, bar.open_bid)
    price = before
    if not off(rules.slippage):
        price = jnp.where(buys, bar.open_ask * (1 + rules.slippage), bar.open_bid * (1 - rules.slippage))

    flips = units * reached < 0
    grows = change * reached > 0  # opens, adds or flips
    adds = units * change > 0
    closes = (units != 0) & (units * reached <= 0)
    let_go = jnp.where(grows, jnp.where(flips, units, 0), -change)  # signed units this fill closes
    earned = let_go * (price - entry)
    commission = _commission(jnp.abs(change), price, filled, rules)
    closing_share = commission
    if not off(commission):
        closing_share = jnp.where(flips, commission * jnp.abs(units / change), commission)
    profit = jnp.where(left.exits, 0, account.trade) + earned - closing_share

    entry = jnp.where(grows, jnp.where(adds, entry + (price - entry) * (change / reached), price), entry)
    side = _side(reached < 0, reached)
    position = _Position(
        units=reached,
        entry=entry,
        stop=jnp.where(grows, entry - side * entry * order.stop_loss, account.stop),
        take_profit=jnp.where(grows, entry + side * entry * order.take_profit, account.take_profit),
        stop_distance=jnp.where(grows, entry * order.stop_loss, account.stop_distance),
    )
    return _Bought(
        position=position,
        funds=left.funds + total(earned - commission),
        filled=filled,
        closes=closes,
        opens=grows & ~adds,
        profit=profit,
        trade=jnp.where(closes, closing_share - commission, profit),
        slot=_Slot(_ORDER, change, price, commission, _slip_money(jnp.abs(change), before, rules), 0),
    )


def _leave_inside(position: _Position, funds: Array, bar: Bar, rules: BrokerRules) -> _Out:
    """2: stop, liquidation or take-profit inside the bar, the adverse exit before the take-profit.

    In signed prices: X = max(S, M); an adverse exit when adverse ≤ X, a stop if S ≥ M; else a target when
    favourable > P.
    """
    units = position.units
    short, held, size = units < 0, units != 0, jnp.abs(units)
    side = _side(short, units)
    entry = side * position.entry
    door = jnp.where(short, -bar.open_ask, bar.open_bid)
    adverse = jnp.where(short, -bar.high_ask, bar.low_bid)
    favourable = jnp.where(short, -bar.low_ask, bar.high_bid)
    stop, target = side * position.stop, side * position.take_profit
    stop = jnp.where(stop > door, door, stop)  # a level the open's own price has passed is met at that price
    target = jnp.where(target < door, door, target)
    solve = margin_price if units.shape[-1] == 1 else shared_margin_price
    margin = solve(funds, size, side, entry, door, adverse, rules.maintenance)
    by_stop = stop >= margin
    worst = jnp.where(by_stop, stop, margin)
    forced = held & (adverse <= worst)
    reached = held & ~forced & (favourable > target)
    liquidated = forced & ~by_stop

    before = jnp.where(short, -bar.close_ask, bar.close_bid)
    before = jnp.where(forced, worst, jnp.where(reached, target, before))
    price = side * jnp.where(reached, before, _slipped(before, side, rules))
    commission = _commission(size, price, held, rules)
    fee = _fee(size, price, liquidated, rules)
    reason = jnp.where(reached, _TAKE_PROFIT, jnp.where(by_stop, _STOP, _LIQUIDATION))
    slippage = jnp.where(reached, 0, _slip_money(size, side * before, rules))
    return _Out(
        inside=forced | reached,
        liquidated=liquidated,
        gain=size * (side * price - entry) - commission - fee,
        stop=stop,
        take_profit=target,
        favourable=favourable,
        slot=_Slot(reason, -units, price, commission, slippage, fee),
    )


def _side(short: Array, like: Array) -> Float[Array, "*accounts instruments"]:
    """−1 for a short, else 1."""
    return jnp.where(short, jnp.asarray(-1, like.dtype), jnp.asarray(1, like.dtype))


def _slipped(signed_price: Array, side: Array, rules: BrokerRules) -> Array:
    """A signed price moved by slippage against the holder who leaves at it."""
    return signed_price if off(rules.slippage) else signed_price * (1 - side * rules.slippage)


def _slip_money(size: Array, price: Array, rules: BrokerRules) -> Array | float:
    return 0.0 if off(rules.slippage) else size * price * rules.slippage


def _commission(size: Array, price: Array, fills: Array, rules: BrokerRules) -> Array | float:
    """Commission in money on a fill of `size` units at `price`, 0 where nothing fills."""
    money: Array | float = 0.0
    if not off(rules.commission):
        money = size * (price * rules.commission)
    if not off(rules.commission_per_unit):
        money = money + size * rules.commission_per_unit
    if not off(rules.commission_fixed):
        money = money + jnp.where(fills, rules.commission_fixed, 0)
    return money


def _fee(size: Array, price: Array, liquidated: Array, rules: BrokerRules) -> Array | float:
    """Liquidation fee in money."""
    return 0.0 if off(rules.liquidation_fee) else jnp.where(liquidated, size * (price * rules.liquidation_fee), 0)


def _fills(slots: list[tuple[Array, _Slot]], like: Array) -> Fills:
    """The four slots stacked, each zero where its fill does not happen."""

    def stack(field: str, dtype: DTypeLike) -> Array:
        masked = [jnp.where(happens, getattr(slot, field), 0) for happens, slot in slots]
        return jnp.stack([jnp.broadcast_to(value, like.shape).astype(dtype) for value in masked])

    return Fills(*(stack(field, jnp.uint8 if field == "reason" else like.dtype) for field in Fills._fields))


def _of_account(value: Number) -> Number:
    """A number of the rules without the instruments axis."""
    return value if isinstance(value, int | float) else value[..., 0]

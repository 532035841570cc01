"""How much a position may be: what leverage, lots, volume and margin allow. The formulas `markets.broker` asks.

Arrays broadcast over [*accounts, instruments]; prices are signed where said (side · price, higher is better for the
holder), and account-level numbers keep a trailing axis of one.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from markets.account import Account, Bar, Order
from markets.rules import BrokerRules

__all__ = [
    "Number",
    "capped_units",
    "margin_price",
    "off",
    "over_instruments",
    "shared_margin_price",
    "wanted_units",
    "whole_lots",
]

Number = float | Float[Array, "..."]
"""A Python number, the same for all, or an array that broadcasts against [*accounts, instruments]."""


def off(value: object) -> bool:
    """Whether a number is statically zero, so that what it charges need not be traced."""
    return isinstance(value, int | float) and value == 0


def over_instruments(instruments: int) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """Sum and any over the instruments of an account, [..., 1]; nothing to do for one."""
    return (_same, _same) if instruments == 1 else (_sum, _any)


def _same(x: Array) -> Array:
    return x


def _sum(x: Array) -> Array:
    return jnp.sum(x, axis=-1, keepdims=True)


def _any(x: Array) -> Array:
    return jnp.any(x, axis=-1, keepdims=True)


def wanted_units(
    account: Account, order: Order, held: Array, funds: Array, bar: Bar, rules: BrokerRules
) -> Float[Array, "*accounts instruments"]:
    """Signed units the order wants to hold: sized at E_t and C_t, clipped again at the open, in whole lots.

    Several instruments share the leverage that the positions without an order leave. NaN where there is no order.

    Args:
        account: after bar t.
        order: decided at its close.
        held: units still held after the exits at the open, [*accounts, instruments].
        funds: k less unbooked financing after those exits, [*accounts, 1].
        bar: bar t+1.
        rules: the broker's.
    """
    total, _ = over_instruments(account.units.shape[-1])
    leverage = rules.max_leverage
    exposure = jnp.clip(order.target, -leverage, leverage)
    equity = account.equity[..., None]
    if account.units.shape[-1] > 1:
        silent = jnp.isnan(order.target)
        kept = total(jnp.where(silent, jnp.abs(account.units) * bar.decision_close, 0)) / equity
        asked = total(jnp.where(silent, 0, jnp.abs(exposure)))
        room = jnp.maximum(leverage - kept, 0)
        exposure = exposure * jnp.where(asked > room, room / asked, 1)
    open_mid = 0.5 * (bar.open_bid + bar.open_ask)
    equity_open = funds + total(held * (open_mid - account.entry))
    limit = leverage * jnp.maximum(equity_open, 0) / open_mid
    units = whole_lots(jnp.clip(exposure * equity / bar.decision_close, -limit, limit), rules.lot_size)
    return units if off(rules.min_units) else jnp.where(jnp.abs(units) < rules.min_units, 0, units)


def capped_units(wanted: Array, held: Array, bar: Bar, rules: BrokerRules) -> Float[Array, "*accounts instruments"]:
    """Units after an order moved from `held` toward `wanted` as far as the volume already seen allows."""
    if rules.participation is None:
        return wanted
    change = wanted - held
    limit = rules.participation * bar.decision_volume
    most = whole_lots(limit, rules.lot_size)
    capped = held + jnp.where(change < 0, -most, most)
    if not off(rules.lot_size):  # back onto the grid, so that lots close to exactly nothing
        lots = jnp.round(capped / _divisor(rules.lot_size)) * rules.lot_size
        capped = jnp.where(rules.lot_size == 0, capped, lots)
    return jnp.where(jnp.abs(change) > limit, capped, wanted)


def whole_lots(units: Array, lot: Number) -> Array:
    """Units rounded toward zero to lots; a hair below a whole lot counts as that lot."""
    if off(lot):
        return units
    tolerance = 1e-6 if units.dtype == jnp.float32 else 1e-9
    lots = jnp.trunc(units / _divisor(lot) * (1 + tolerance))
    return jnp.where(lot == 0, units, lots * lot)


def _divisor(lot: Number) -> Number:
    """The lot, or 1 where there is none."""
    return lot if isinstance(lot, int | float) else jnp.where(lot == 0, 1, lot)


def margin_price(
    funds: Array, size: Array, side: Array, entry: Array, door: Array, adverse: Array, m: Number
) -> Float[Array, "*accounts instruments"]:
    """Signed price M at which equity meets maintenance, for one instrument; the open's price where that has passed it.

    funds + |u|·(M − entry) = m·|u|·|M| solved for M. The same as −c / (u·(1 − m)) and c / (|u|·(1 + m)), without the
    cancellation in c that would cost float32 what leverage multiplies.
    """
    del adverse
    price = entry - funds / size
    if not off(m):
        price = price / (1 - side * m)
    return jnp.where(price > door, door, price)


def shared_margin_price(
    funds: Array, size: Array, side: Array, entry: Array, door: Array, adverse: Array, m: Number
) -> Float[Array, "*accounts instruments"]:
    """Signed prices p(λ*) at which equity meets maintenance when all instruments move from the open's price to their
    adverse extreme together, as if no stop were met; −∞ where it never does. For one instrument this is M.
    """
    weight = size * (1 - side * m)
    surplus = funds + _sum(weight * door - size * entry)
    loss = _sum(weight * (door - adverse))
    share = jnp.clip(surplus / jnp.where(loss > 0, loss, 1), 0, 1)
    price = jnp.maximum(door + share * (adverse - door), adverse)
    return jnp.where(surplus <= loss, price, -jnp.inf)

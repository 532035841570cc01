"""What the broker knows of an account, an order, a bar and a fill: the types of the one kernel that moves money.

All leaves are arrays over `*accounts` (in evolution: agents, episodes) with a trailing axis of instruments where
marked; they broadcast, so market data needs no agent axis. Every function of `markets.broker` is generic over float32
(evolution) and float64 (audit): the dtype of `Account.balance` decides.
"""

from typing import NamedTuple

from jaxtyping import Array, Bool, Float, UInt8

__all__ = ["REASONS", "Account", "Bar", "Closed", "Fills", "Order", "Outcome"]

REASONS = ("none", "order", "stop", "take_profit", "liquidation", "ruin", "end")
"""Why a fill happened; `Fills.reason` indexes it, and 0 marks a slot without a fill."""


class Account(NamedTuple):
    """One account after a bar. Account currency unless said; `units` are signed."""

    balance: Float[Array, "*accounts"]
    """k: cash + units·entry, before financing that is not yet booked."""
    financing: Float[Array, "*accounts"]
    """Financing gathered since the last fill, positive when paid; part of equity, booked into k at the next fill."""
    units: Float[Array, "*accounts instruments"]
    """u: signed position."""
    entry: Float[Array, "*accounts instruments"]
    """Volume-weighted price of the fills that opened or added, in price; finite also when flat."""
    stop: Float[Array, "*accounts instruments"]
    """S: resting stop level in price; NaN when empty."""
    take_profit: Float[Array, "*accounts instruments"]
    """P: resting take-profit level in price; NaN when empty."""
    stop_distance: Float[Array, "*accounts instruments"]
    """Distance of the fill that set S, in price, for trailing; NaN when empty."""
    trade: Float[Array, "*accounts instruments"]
    """Money booked so far by the trade that is open: costs, financing, partial closes; 0 when flat."""
    equity: Float[Array, "*accounts"]
    """E at the last bar's mid close, after ruin and closing at the end."""
    alive: Bool[Array, "*accounts"]
    """False once ruined: the account takes no further part."""


class Order(NamedTuple):
    """What is asked for at the close of bar t, filled at the open of t+1."""

    target: Float[Array, "*accounts instruments"]
    """Exposure asked for, as a signed multiple of equity; 0 is flat, NaN is no order."""
    stop_loss: Float[Array, "*accounts instruments"]
    """Stop distance as a fraction of the entry price, > 0; NaN is none."""
    take_profit: Float[Array, "*accounts instruments"]
    """Take-profit distance as a fraction of the entry price, > 0; NaN is none."""


class Bar(NamedTuple):
    """Bar t+1 as the broker meets it, with what was known at t; prices on both sides, in price."""

    open_bid: Float[Array, "*market instruments"]
    open_ask: Float[Array, "*market instruments"]
    high_bid: Float[Array, "*market instruments"]
    high_ask: Float[Array, "*market instruments"]
    low_bid: Float[Array, "*market instruments"]
    low_ask: Float[Array, "*market instruments"]
    close_bid: Float[Array, "*market instruments"]
    close_ask: Float[Array, "*market instruments"]
    decision_close: Float[Array, "*market instruments"]
    """C_t: mid close of the bar at whose close the order was decided."""
    decision_volume: Float[Array, "*market instruments"]
    """V_t: its volume; +inf in a market without any volume, so that no cap binds."""
    days: Float[Array, "*market instruments"]
    """Financing days charged at this bar's close (markets.calendars)."""
    last: Bool[Array, "*market"]
    """Whether this is the last bar: positions are closed at its close where the rules say so."""


class Fills(NamedTuple):
    """Fills of one bar in the order they happen: slot 0 exits at the open, 1 the order, 2 the exit inside the bar,
    3 the close (ruin, end).
    """

    reason: UInt8[Array, "4 *accounts instruments"]
    units: Float[Array, "4 *accounts instruments"]
    """Signed Δu."""
    price: Float[Array, "4 *accounts instruments"]
    """Price paid, after slippage."""
    commission: Float[Array, "4 *accounts instruments"]
    """Money, positive."""
    slippage: Float[Array, "4 *accounts instruments"]
    """Money, positive."""
    fee: Float[Array, "4 *accounts instruments"]
    """Liquidation fee, money, positive."""


class Closed(NamedTuple):
    """Trades that ended, and whether one began. In a bar an instrument ends at most one trade at the open (by a resting
    exit, a liquidation or the order) and one after it (inside the bar, or at its close). A flip ends one and begins the
    next, and its costs are shared between the two by units. Leaves are apart, not stacked, so that tallies fuse.
    """

    ended_at_open: Bool[Array, "*accounts instruments"]
    profit_at_open: Float[Array, "*accounts instruments"]
    """Money after all costs and financing of the trade; 0 where none ended."""
    ended_after: Bool[Array, "*accounts instruments"]
    profit_after: Float[Array, "*accounts instruments"]
    """The same for a trade that ended after the open, which may be the one this bar's order began."""
    opened: Bool[Array, "*accounts instruments"]
    """Whether the order of this bar began a trade (from flat, or by a flip)."""


class Outcome(NamedTuple):
    """What one bar did to the accounts."""

    account: Account
    fills: Fills
    closed: Closed
    reward: Float[Array, "*accounts"]
    """ln(max(E', f) / max(E, f)) with f = 1e-6·E_0; 0 after ruin."""
    financing: Float[Array, "*accounts"]
    """Financing charged at this bar's close, positive when paid."""
    liquidated: Bool[Array, "*accounts"]
    ruined: Bool[Array, "*accounts"]
    """Ruined in this very bar."""

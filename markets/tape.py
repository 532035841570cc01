"""The tape: all bars of all symbols as device arrays, and the windows of it that episodes are played on.

Segments lie one after another along the rows; an episode is named by its first row and never crosses a segment. The
instruments axis holds several symbols on one clock (`basket`) or has length 1 (`pool`, every symbol a segment of its
own). A tape may hold several markets, so that each replicate of a study plays on its own. Nothing has an agent axis.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int32

from markets.account import Bar
from markets.bars import CLOSE, HIGH, LOW, OPEN
from markets.broker import vary
from markets.rules import BrokerRules

__all__ = ["MarketWindow", "Strata", "Tape", "rules_at", "window"]


class Strata(NamedTuple):
    """First rows of the windows that episodes may be drawn from, grouped by the regime at the first row."""

    rows: Int32[Array, "windows"]
    """All first rows, stratum after stratum, market after market."""
    offset: Int32[Array, "markets strata"]
    """Where each stratum begins in `rows`."""
    windows: Int32[Array, "markets strata"]
    """Windows in each stratum; only regimes with enough of them are strata. A market with fewer strata than another
    has 0 at the end."""


class Tape(NamedTuple):
    """Bars of all segments one after another, and what is known at the close of each; prices in price."""

    bid: Float[Array, "rows instruments 4"]
    """Open, high, low, close."""
    ask: Float[Array, "rows instruments 4"]
    volume: Float[Array, "rows instruments"]
    """+inf throughout in a market without volume, so that no participation cap binds."""
    days: Float[Array, "rows instruments"]
    """Days of financing charged at the bar's close."""
    features: Float[Array, "rows instruments features"]
    """Scaled and clipped; 0 before the warm-up, where no episode begins."""
    atr: Float[Array, "rows instruments"]
    """Average true range as a fraction of the close."""
    regime: Int32[Array, "rows"]
    segment: Int32[Array, "rows"]
    costs: Mapping[str, Float[Array, "segments instruments"]]
    """Numeric broker keys that differ from symbol to symbol, by name; empty where all are alike."""
    train: Strata
    validation: Int32[Array, "markets validation"]
    """First rows of the fixed validation windows."""
    quantiles: Float[Array, "markets features points"]
    """Values of each feature on training rows at evenly spaced ranks, from the smallest to the largest."""
    scale: Float[Array, "markets"]
    """Root mean square log return of a bar, from mid close to mid close on training rows; rewards are counted in it."""


class MarketWindow(NamedTuple):
    """Episodes' windows: bar t of the leading axis is the decision bar, filled at t+1."""

    features: Float[Array, "history episodes instruments features"]
    """Context bars of history first, then the window's own."""
    bar: Bar
    """Leaves [bars, episodes, instruments]; the bar the orders of t meet."""
    regime: Int32[Array, "bars episodes"]
    """At the decision."""
    atr: Float[Array, "bars episodes instruments"]
    gain: Float[Array, "bars episodes instruments"]
    """Simple mid return from close to close, C_{t+1}/C_t − 1."""


def window(tape: Tape, first: Int32[Array, "episodes"], bars: int, context: int = 0) -> MarketWindow:
    """The windows of `bars` decisions that begin at the given rows.

    Args:
        tape: the market.
        first: row of each window's first decision.
        bars: decisions a window; rows `first` to `first + bars` are touched, and `context` rows before.
        context: bars of history the features are wanted for.
    """
    decision = first[None, :] + jnp.arange(bars, dtype=jnp.int32)[:, None]
    met = decision + 1
    bid, ask = tape.bid[met], tape.ask[met]
    closes = 0.5 * (tape.bid[..., CLOSE] + tape.ask[..., CLOSE])
    close = closes[decision]
    bar = Bar(
        open_bid=bid[..., OPEN],
        open_ask=ask[..., OPEN],
        high_bid=bid[..., HIGH],
        high_ask=ask[..., HIGH],
        low_bid=bid[..., LOW],
        low_ask=ask[..., LOW],
        close_bid=bid[..., CLOSE],
        close_ask=ask[..., CLOSE],
        decision_close=close,
        decision_volume=tape.volume[decision],
        days=tape.days[met],
        last=jnp.broadcast_to((jnp.arange(bars) == bars - 1)[:, None], decision.shape),
    )
    history = first[None, :] + jnp.arange(-context, bars, dtype=jnp.int32)[:, None]
    return MarketWindow(
        features=tape.features[history],
        bar=bar,
        regime=tape.regime[decision],
        atr=tape.atr[decision],
        gain=closes[met] / close - 1.0,
    )


def rules_at(rules: BrokerRules, tape: Tape, first: Int32[Array, "episodes"]) -> BrokerRules:
    """The rules that hold in each episode: keys that differ become arrays [episodes, instruments]."""
    segment = tape.segment[first]
    varying: dict[str, Any] = jax.tree.map(lambda values: values[segment], dict(tape.costs))
    return vary(rules, **varying) if varying else rules

"""The tally: what is counted while accounts trade, by regime, and nothing of it bar by bar.

Profit of a bar belongs to the regime at the decision, a trade to the regime at its entry. Groups are the scored regimes
and, last, all of them together. Bars of unknown regime count nowhere. A tally lives for one block of agents only.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32
from numpy.typing import NDArray

from markets.account import Outcome

__all__ = ["GROUPS", "REGIMES", "Tally", "count_bar", "empty_tally", "groups_of", "of_windows"]

REGIMES = 4
"""Scored regimes: `markets.regimes.REGIMES` without `unknown`."""

GROUPS = REGIMES + 1
"""Scored regimes and all."""


class Tally(NamedTuple):
    """Sums over the bars so far."""

    bars: Float[Array, "groups agents episodes"]
    """Bars the account was alive in."""
    log_return: Float[Array, "groups agents episodes"]
    square: Float[Array, "groups agents episodes"]
    """Σ r²."""
    downside: Float[Array, "groups agents episodes"]
    """Σ min(r, 0)²."""
    peak: Float[Array, "groups agents episodes"]
    """Highest log return so far of the equity made of the group's bars alone; at least 0."""
    drawdown: Float[Array, "groups agents episodes"]
    """Deepest fall below the peak, in log."""
    exposure: Float[Array, "groups agents episodes instruments"]
    """Σ net exposure held over the bar."""
    trades: Float[Array, "groups agents episodes"]
    """Trades closed."""
    wins: Float[Array, "groups agents episodes"]
    gross_profit: Float[Array, "groups agents episodes"]
    """Money won in winning trades, account currency."""
    gross_loss: Float[Array, "groups agents episodes"]
    """Money lost in losing trades, positive."""
    entry: Float[Array, "groups agents episodes instruments"]
    """1 in the groups the open trade of each instrument belongs to."""
    liquidated: Float[Array, "agents episodes"]
    ruined: Float[Array, "agents episodes"]


def empty_tally(agents: int, episodes: int, instruments: int) -> Tally:
    """A tally of nothing."""
    zero = jnp.zeros((GROUPS, agents, episodes))
    by_instrument = jnp.zeros((GROUPS, agents, episodes, instruments))
    flag = jnp.zeros((agents, episodes))
    return Tally(
        bars=zero,
        log_return=zero,
        square=zero,
        downside=zero,
        peak=zero,
        drawdown=zero,
        exposure=by_instrument,
        trades=zero,
        wins=zero,
        gross_profit=zero,
        gross_loss=zero,
        entry=by_instrument,
        liquidated=flag,
        ruined=flag,
    )


def of_windows(tally: Tally, windows: NDArray[np.intp]) -> Tally:
    """The tally of some of its windows."""

    def some(name: str, leaf: Array) -> Array:
        return leaf[..., windows, :] if name in ("exposure", "entry") else leaf[..., windows]

    return Tally(**{name: some(name, leaf) for name, leaf in tally._asdict().items()})


def groups_of(regime: Int32[Array, "*bars"]) -> Float[Array, "groups *bars"]:
    """1 in the groups a bar counts for: its regime and all; nowhere where the regime is unknown."""
    own = regime[None] == jnp.arange(REGIMES).reshape(-1, *(1,) * regime.ndim)
    known = (regime < REGIMES)[None]
    return jnp.concatenate([own, known]).astype(jnp.float32)


def count_bar(
    tally: Tally,
    outcome: Outcome,
    groups: Float[Array, "groups episodes"],
    alive: Float[Array, "agents episodes"],
    exposure: Float[Array, "agents episodes instruments"],
) -> Tally:
    """The tally after one more bar.

    Args:
        tally: before it.
        outcome: of the broker.
        groups: what the bar counts for.
        alive: 1 where the account was not yet ruined at the decision.
        exposure: net exposure held over the bar.
    """
    mask = groups[:, None, :]
    reward = outcome.reward
    log_return = tally.log_return + mask * reward
    peak = jnp.maximum(tally.peak, log_return)
    closed = outcome.closed
    earlier = tally.entry
    entry = jnp.where(closed.opened, mask[..., None], earlier)
    # A trade that ended at the open was entered on an earlier bar; one that ended after it may be this bar's own.
    counts = (closed.ended_at_open.astype(reward.dtype), closed.ended_after.astype(reward.dtype))
    profits = (closed.profit_at_open, closed.profit_after)

    def by_entry(at_open: Array, after: Array) -> Array:
        return (earlier * at_open + entry * after).sum(-1)

    won = tuple((profit > 0).astype(reward.dtype) for profit in profits)
    gained = tuple(jnp.maximum(profit, 0.0) for profit in profits)
    lost = tuple(jnp.maximum(-profit, 0.0) for profit in profits)
    return Tally(
        bars=tally.bars + mask * alive,
        log_return=log_return,
        square=tally.square + mask * reward**2,
        downside=tally.downside + mask * jnp.minimum(reward, 0.0) ** 2,
        peak=peak,
        drawdown=jnp.maximum(tally.drawdown, peak - log_return),
        exposure=tally.exposure + mask[..., None] * exposure,
        trades=tally.trades + by_entry(*counts),
        wins=tally.wins + by_entry(*won),
        gross_profit=tally.gross_profit + by_entry(*gained),
        gross_loss=tally.gross_loss + by_entry(*lost),
        entry=entry,
        liquidated=jnp.maximum(tally.liquidated, outcome.liquidated),
        ruined=jnp.maximum(tally.ruined, outcome.ruined),
    )

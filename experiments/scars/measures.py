"""What is measured of a generation: ruin, exposure where gaps are and where none is, returns, and what was spent."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int32, UInt8

from arena.rollout import Trace
from experiments.scars.arms import Events
from markets.tape import MarketWindow

__all__ = ["WHOLE", "Played", "Record", "measure", "whole"]

WHOLE = 2.0**16
"""What returns, exposures and losses are multiplied with before they are rounded to whole numbers and summed, so that
no order of summation shows in a sum: with it bits would depend on how many runs a device has."""


class Played(NamedTuple):
    """The greedy pass of some agents."""

    scores: Float[Array, "agents cases"]
    trades: Float[Array, "agents"]
    severity: Float[Array, "agents episodes"]
    cause: UInt8[Array, "agents episodes"]
    log_return: Float[Array, "agents episodes"]
    ruined: Float[Array, "agents episodes"]


class Record(NamedTuple):
    """What one generation leaves behind; sums marked so are of whole numbers, in units of 1 / `WHOLE`."""

    ruined: Float[Array, "*runs"]
    """Accounts ruined in windows with a gap, over all agents; played greedily, as everything but `loss`."""
    faced: Float[Array, "*runs"]
    """Accounts that met a gap."""
    before: Int32[Array, "*runs"]
    """Σ net exposure held over a gap, over the same accounts; whole."""
    place: Int32[Array, "*runs"]
    """Σ over the same bars of windows without a gap, whole, and how many these are: `places`."""
    places: Float[Array, "*runs"]
    calm: Int32[Array, "*runs"]
    """Σ log return of windows without a gap, whole; and how many these are, over all agents: `quiet`."""
    quiet: Float[Array, "*runs"]
    crash: Int32[Array, "*runs"]
    """Σ log return of windows with one; whole."""
    ruined_calm: Float[Array, "*runs"]
    """Accounts ruined in windows without a gap."""
    acted: Float[Array, "*runs"]
    """Agent-bars played, greedily and learning."""
    updates: Float[Array, "*runs"]
    """Updates of a brain."""
    births: Float[Array, "*runs"]
    offered: Float[Array, "*runs"]
    """Events there were for the arm to act on: its own, or in the sham those of its pair."""
    lost: Int32[Array, "*runs"]
    """Σ over agents of the mean Huber loss of their updates, whole; 0 without learning."""
    td_error: Int32[Array, "*runs"]
    """The same of the mean absolute temporal difference."""
    events: Events
    hits: Float[Array, "*runs scars units"]


def measure(
    market: MarketWindow,
    played: Played,
    trace: Trace,
    gap: Int32[Array, "episodes"],
    crashes: Float[Array, "episodes"],
) -> Record:
    """Ruin, exposure and return of the greedy pass.

    The exposure that meets a gap is the one held at the close before it: that of the order decided two bars before.
    """
    agents = played.log_return.shape[0]
    at = jnp.maximum(gap - 2, 0)
    held = trace.units[at, :, :, 0] * market.bar.close_bid[at, :, 0][:, None] / jnp.maximum(trace.equity[at], 1.0)
    own = jnp.diagonal(held, axis1=0, axis2=2)  # [agents, windows]: each window at the bar of its own gap
    quiet = 1.0 - crashes
    pairs = crashes[:, None] * quiet
    zero, none = jnp.zeros(()), jnp.int32(0)
    return Record(
        ruined=(played.ruined * crashes).sum(),
        faced=crashes.sum() * agents,
        before=whole(own * crashes),
        place=whole(held * pairs[:, None]),
        places=pairs.sum() * agents,
        calm=whole(played.log_return * quiet),
        quiet=quiet.sum() * agents,
        crash=whole(played.log_return * crashes),
        ruined_calm=(played.ruined * quiet).sum(),
        acted=zero,
        updates=zero,
        births=zero,
        offered=zero,
        lost=none,
        td_error=none,
        events=Events(*(zero for _ in Events._fields)),
        hits=zero,
    )


def whole(values: Array, axis: int | None = None) -> Array:
    """The sum of values, each rounded to a whole multiple of 1 / `WHOLE`, in these units."""
    total: Array = jnp.round(WHOLE * values).astype(jnp.int32).sum(axis)
    return total

"""Rides: what a few agents do on whole stretches of a run's market, bar by bar and trade by trade, in NumPy.

The arena rolls them out (`arena.journey`), all stretches at once; here its pieces are put together, and fills become
trades.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
from numpy.typing import NDArray

from arena.journey import Passed, travel
from arena.rollout import Rollout, Trader
from arena.tally import REGIMES
from experiments.replay.trades import marks_of, trades_of
from experiments.report.facts.world import World
from markets.account import REASONS, Closed
from markets.bars import CLOSE
from markets.preparation import Segment

__all__ = ["Lane", "Ride", "lanes_of", "ride", "segments_of"]


@dataclasses.dataclass(frozen=True)
class Lane:
    """One stretch that is traded.

    Attributes:
        part: `train` or `validation`.
        symbols: its instruments.
        first: row of the tape of its first decision.
        stop: one past its last row.
    """

    part: str
    symbols: tuple[str, ...]
    first: int
    stop: int

    @property
    def bars(self) -> int:
        """Rows, the first included."""
        return self.stop - self.first


class Ride(NamedTuple):
    """What one agent did on one lane; a row a bar, the first decision's included."""

    equity: NDArray[np.float32]
    """[bars] after each bar, 1 at the first."""
    exposure: NDArray[np.float32]
    """[bars] signed, of all instruments together, as a multiple of equity, after each bar."""
    trades: pl.DataFrame
    """In the first instrument: `experiments.replay.trades.TRADES`, but costs are left 0, stamps are rows of the lane,
    and profit is a share of the cash that it began with."""
    others: int
    """Trades in other instruments."""


def segments_of(world: World, market: int) -> list[Segment]:
    """Segments of one market of the tape."""
    count = len(world.market.segments) // len(world.market.scalers)
    return list(world.market.segments[market * count : (market + 1) * count])


def lanes_of(world: World, market: int, most: int) -> list[Lane]:
    """The stretches of one market of the tape that journeys are shown on.

    They begin where the warm-up ends: before, no regime is known, and nobody trades.

    Args:
        world: of a run.
        market: which of its markets.
        most: segments at most.
    """
    regime = np.asarray(world.market.tape.regime)
    context = max(setup.species.context for setup in world.plan.rollouts)
    found = []
    for segment in segments_of(world, market)[:most]:
        for part, rows in (("train", segment.rows.train), ("validation", segment.rows.validation)):
            known = np.flatnonzero(regime[rows.start + context : rows.stop] < REGIMES)
            first = rows.start + context + int(known[0]) if len(known) else rows.stop
            if rows.stop - first >= 2:
                found.append(Lane(part, segment.symbols, first, rows.stop))
    return found


def ride(
    setup: Rollout, trader: Trader, world: World, lanes: Sequence[Lane], *, following: bool = False
) -> list[list[Ride]]:
    """Let agents trade lanes, all of them at once.

    Args:
        setup: how they act.
        trader: the agents, leaves [agents, …].
        world: of the run.
        lanes: of its tape.
        following: whether they only follow the tape's feature, which then says buy.

    Returns:
        Rides, by agent and lane.
    """
    tape = world.market.tape
    if following:
        tape = tape._replace(features=jnp.ones((*tape.atr.shape, 1), jnp.float32))
    first, stop = (np.asarray([getattr(lane, end) for lane in lanes], np.int32) for end in ("first", "stop"))
    close = 0.5 * np.asarray(tape.bid[..., CLOSE] + tape.ask[..., CLOSE], np.float64)
    longest, agents = int((stop - first).max()), int(trader.genes.size.shape[0])
    equity = np.ones((longest, agents, len(lanes)), np.float32)
    exposure = np.zeros_like(equity)
    fills: list[_Fills] = []
    for before, passed in travel(setup, jax.tree.map(jnp.asarray, trader), tape, first, stop):
        rows = slice(before + 1, before + 1 + len(passed.equity))
        met = np.minimum(first + np.arange(rows.start, rows.stop)[:, None], stop - 1)
        money = (passed.units * close[met][:, None]).sum(-1)
        solvent = passed.equity > 0
        exposure[rows] = np.where(solvent, money / np.where(solvent, passed.equity, 1.0), 0.0)
        equity[rows] = passed.equity / setup.rules.cash
        fills.append(_filled(passed, before, stop - first))
    all_fills: _Fills = jax.tree.map(lambda *parts: np.concatenate(parts), *fills)

    def own(agent: int, place: int) -> Ride:
        bars, mine = lanes[place].bars, all_fills.of(agent, place)
        others = [mine.of_instrument(index) for index in range(1, len(lanes[place].symbols))]
        return Ride(
            equity[:bars, agent, place],
            exposure[:bars, agent, place],
            _trades(mine.of_instrument(0), bars, setup.rules.cash),
            sum(int(marks_of(fills.row, fills.slot, fills.closed).ends.sum()) for fills in others),
        )

    return [[own(agent, place) for place in range(len(lanes))] for agent in range(agents)]


class _Fills(NamedTuple):
    """All fills of some bars, in the order of bars and, in a bar, of slots; leaves [fills]."""

    row: NDArray[np.int64]
    slot: NDArray[np.int64]
    agent: NDArray[np.int64]
    lane: NDArray[np.int64]
    instrument: NDArray[np.int64]
    reason: NDArray[Any]
    units: NDArray[Any]
    price: NDArray[Any]
    closed: Closed

    def of(self, agent: int, lane: int) -> "_Fills":
        """Those of that agent and lane."""
        mine = (self.agent == agent) & (self.lane == lane)
        own: _Fills = jax.tree.map(lambda leaf: leaf[mine], self)
        return own

    def of_instrument(self, instrument: int) -> "_Fills":
        """Those of that instrument."""
        mine = self.instrument == instrument
        own: _Fills = jax.tree.map(lambda leaf: leaf[mine], self)
        return own


def _filled(passed: Passed, before: int, bars: NDArray[np.int32]) -> _Fills:
    """The fills among some bars, without what lies beyond a lane's end."""
    bar, slot, agent, lane, instrument = np.nonzero(passed.fills.reason)
    inside = before + 1 + bar < bars[lane]
    bar, slot, agent, lane, instrument = (index[inside] for index in (bar, slot, agent, lane, instrument))
    at = (bar, slot, agent, lane, instrument)
    closed = jax.tree.map(lambda leaf: leaf[bar, agent, lane, instrument], passed.closed)
    reason, units, price = (_host(leaf)[at] for leaf in passed.fills[:3])
    return _Fills(before + 1 + bar, slot, agent, lane, instrument, reason, units, price, closed)


def _host(leaf: Any) -> NDArray[Any]:
    return np.asarray(leaf)


def _trades(own: _Fills, bars: int, cash: float) -> pl.DataFrame:
    """Closed trades of one instrument, from its fills; profits in shares of the cash that the journey begins with."""
    frame = pl.DataFrame(
        {
            "reason": pl.Series(REASONS, dtype=pl.String).gather(pl.Series(own.reason, dtype=pl.UInt32)),
            "units": own.units.astype(np.float64),
            "price": own.price.astype(np.float64),
        }
    ).with_columns(commission=0.0, slippage=0.0, fee=0.0)
    marks = marks_of(own.row, own.slot, own.closed)
    stamps = pl.Series(np.arange(bars))
    made = trades_of(frame, own.row, own.slot, **marks._asdict(), financing=np.zeros(bars), stamps=stamps)
    return made.with_columns(pl.col("profit") / cash)

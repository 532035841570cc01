"""Journeys of champions: the whole of training and of validation, traded once from the first bar to the last.

A champion trades as it acted when it won (greedy, with the trust and the memory of then), in one continuous episode for
each symbol or basket and part, through the broker of the run; beside it stands buy and hold through the same broker.
Long journeys are drawn in bins of bars; trades keep their own prices and point to the bin they lie in.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import polars as pl
from numpy.typing import NDArray

from arena.benchmarks import follower
from arena.rollout import Trader
from arena.tally import REGIMES
from experiments.report.facts.champions import Champion
from experiments.report.facts.rides import Lane, Ride, lanes_of, ride, segments_of
from experiments.report.facts.sources import Sources
from experiments.report.facts.world import World
from markets.account import REASONS
from markets.bars import CLOSE, HIGH, LOW, OPEN

__all__ = ["UNKNOWN", "journeys", "thinned"]

UNKNOWN = 255
"""Regime of a bar that no regime is known of, in a journey's columns."""

_POINTS = 20_000
"""Points of one journey at most."""

_ALL_POINTS = 150_000
"""Points of all journeys of a report together at most; of their trades as many again."""

_CHAMPIONS = 20
_SYMBOLS = 4

_MINUTE = np.timedelta64(1, "m")
_EPOCH = np.datetime64("1970-01-01T00:00")


def journeys(sources: Sources, world: World, champions: Sequence[Champion]) -> dict[str, list[dict[str, Any]]]:
    """The journeys of champions, by `Champion.key`.

    Args:
        sources: the run; told what is left out.
        world: of the run.
        champions: with their brains; those without are passed over.

    Returns:
        Of each champion its journeys, symbol after symbol, training first: `part, symbol, every, columns, trades,
        note`. `columns` are arrays [points] `time, open, high, low, close, equity, hold, drawdown, position, regime`;
        `trades` are arrays [trades] `entry, exit, side, entry_price, exit_price, profit, reason`, the latter by place
        in `markets.account.REASONS`.
    """
    able = [champion for champion in champions if champion.trader is not None]
    drawn = able[:_CHAMPIONS]
    if len(able) > len(drawn):
        sources.missing.note(
            f"Journeys are shown of the first {len(drawn)} of {len(able)} champions; the others have none."
        )
    groups: dict[int, list[Champion]] = {}
    for champion in drawn:
        groups.setdefault(world.market_of(champion.replicate), []).append(champion)
    lanes = {market: lanes_of(world, market, _SYMBOLS) for market in groups}
    if groups:
        _tell_symbols(sources, world)
    every = _every([lane.bars for market, group in groups.items() for lane in lanes[market] for _ in group])
    most = _ALL_POINTS // max(sum(len(lanes[market]) * len(group) for market, group in groups.items()), 1)
    widest = {
        name: max(sum(champion.species == name for champion in group) for group in groups.values())
        for name in {champion.species for champion in drawn}
    }
    found: dict[str, list[dict[str, Any]]] = {}
    for market, group in groups.items():
        own = lanes[market]
        if not own:
            continue
        held = ride(*follower(world.plan.settings), world, own, following=True)[0]
        for place, name in enumerate(world.plan.names):
            mine = [champion for champion in group if champion.species == name]
            if not mine:
                continue
            filled = [*mine, *mine[:1] * (widest[name] - len(mine))]  # one program serves all markets
            trader: Trader = jax.tree.map(lambda *leaves: np.stack(leaves), *(champion.trader for champion in filled))
            rides = ride(world.plan.rollouts[place], trader, world, own)
            for champion, ridden in zip(mine, rides, strict=False):
                found[champion.key] = [
                    _journey(world, lane, one, beside, every=every, most=most)
                    for lane, one, beside in zip(own, ridden, held, strict=True)
                ]
    return found


def _journey(world: World, lane: Lane, own: Ride, held: Ride, *, every: int, most: int) -> dict[str, Any]:
    """One journey as the report has it."""
    tape, rows = world.market.tape, slice(lane.first, lane.stop)
    price = 0.5 * np.asarray(tape.bid[rows, 0] + tape.ask[rows, 0])
    regime = np.asarray(tape.regime[rows])
    peak = np.maximum.accumulate(own.equity)
    columns: dict[str, NDArray[Any]] = {
        "open": price[:, OPEN],
        "high": price[:, HIGH],
        "low": price[:, LOW],
        "close": price[:, CLOSE],
        "equity": own.equity,
        "hold": held.equity,
        "drawdown": 1.0 - own.equity / np.where(peak > 0, peak, 1.0),
        "position": own.exposure,
        "regime": np.where(regime < REGIMES, regime, UNKNOWN).astype(np.uint8),
    }
    minutes = (world.market.time[rows] - _EPOCH) // _MINUTE
    trades, notes = _trade_columns(own, every, most)
    name = lane.symbols[0]
    if len(lane.symbols) > 1:
        notes.insert(0, f"Price is that of {name}; equity and exposure are of all {len(lane.symbols)} instruments.")
        notes.append(f"Trades are those in {name}; {own.others} in other instruments are not drawn.")
    if every > 1:
        notes.insert(0, f"Each point stands for {every} bars.")
    return {
        "part": lane.part,
        "symbol": " + ".join(lane.symbols),
        "every": every,
        "columns": {"time": _minutes(minutes[::every]), **thinned(columns, every)},
        "trades": trades,
        "note": " ".join(notes) or None,
    }


def thinned(columns: Mapping[str, NDArray[Any]], every: int) -> dict[str, NDArray[Any]]:
    """A journey's columns in bins of `every` bars, the last of which may be shorter.

    Of a bin: its first open, highest high, lowest low, last close, equity and hold, deepest drawdown, mean position and
    most frequent regime.
    """
    count = len(columns["equity"])
    begin = np.arange(0, count, every)
    last = np.minimum(begin + every, count) - 1
    size = last - begin + 1
    kinds = np.unique(columns["regime"])
    often = np.stack([np.add.reduceat((columns["regime"] == kind).astype(np.int64), begin) for kind in kinds])
    made = {
        "open": columns["open"][begin],
        "high": np.maximum.reduceat(columns["high"], begin),
        "low": np.minimum.reduceat(columns["low"], begin),
        "close": columns["close"][last],
        "equity": columns["equity"][last],
        "hold": columns["hold"][last],
        "drawdown": np.maximum.reduceat(columns["drawdown"], begin),
        "position": np.add.reduceat(columns["position"].astype(np.float64), begin) / size,
    }
    return {**{name: values.astype(np.float32) for name, values in made.items()}, "regime": kinds[often.argmax(0)]}


def _trade_columns(own: Ride, every: int, most: int) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """The trades of a ride as columns, and what is to be said of them."""
    trades = own.trades.with_row_index("at")
    notes = []
    if trades.height > most:
        notes.append(f"Of {trades.height:,} trades those {most:,} with the largest profit or loss are drawn.")
        trades = trades.sort(pl.col("profit").abs(), descending=True).head(most).sort("at")
    entry, leave = (trades[f"{end}_timestamp"].to_numpy().astype(np.int64) for end in ("entry", "exit"))
    staked = own.equity[entry - 1].astype(np.float64)
    earned = trades["profit"].to_numpy()
    reason = {name: place for place, name in enumerate(REASONS)}
    return {
        "entry": (entry // every).astype(np.uint32),
        "exit": (leave // every).astype(np.uint32),
        "side": np.where((trades["side"] == "long").to_numpy(), 1, -1).astype(np.int32),
        "entry_price": trades["entry_price"].to_numpy().astype(np.float32),
        "exit_price": trades["exit_price"].to_numpy().astype(np.float32),
        "profit": np.where(staked > 0, earned / np.where(staked > 0, staked, 1.0), 0.0).astype(np.float32),
        "reason": np.asarray([reason[name] for name in trades["reason"].to_list()], np.uint8),
    }, notes


def _every(lengths: Sequence[int]) -> int:
    """Bars of a bin: the fewest with which no journey and not all of them together have too many points."""
    every = max(1, -(-max(lengths, default=0) // _POINTS))
    while sum(-(-length // every) for length in lengths) > _ALL_POINTS and every < max(lengths):
        every += 1
    return every


def _minutes(minutes: NDArray[Any]) -> NDArray[Any]:
    """Minutes since 1970; signed where some are before."""
    whole = minutes.astype(np.int64)
    return whole.astype(np.uint32 if whole.min(initial=0) >= 0 else np.int32)


def _tell_symbols(sources: Sources, world: World) -> None:
    names = [" + ".join(segment.symbols) for segment in segments_of(world, 0)]
    if len(names) > _SYMBOLS:
        rest = ", ".join(names[_SYMBOLS:][:8]) + (" and others" if len(names) > _SYMBOLS + 8 else "")
        sources.missing.note(
            f"Champions' journeys are shown on {', '.join(names[:_SYMBOLS])}; left out of {len(names)} symbols: {rest}."
        )

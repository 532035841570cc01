"""Journeys: a few agents trade one long stretch of the tape, bar by bar, and everything that happened is kept.

While agents are judged nothing is kept of single bars; a champion's curve and its trades come from rolling it out once
more, through the same decisions and the same broker (`arena.rollout.act`), in one continuous episode. Stretches of all
symbols are lanes beside each other; a long one is walked in equal pieces, so that one compiled program serves all of
them and memory stays bounded. What an agent saw and thought before each order can be kept instead (`witness`).
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int32
from numpy.typing import NDArray

from arena.rollout import Acting, Foreseen, Rollout, Step, Trader, act, begin, foresee
from arena.tally import REGIMES
from markets.account import Account, Closed, Fills, Order
from markets.tape import MarketWindow, Tape, rules_at, window

__all__ = [
    "Earned",
    "Passed",
    "Seen",
    "check_lanes",
    "earn",
    "silence",
    "suited_piece",
    "travel",
    "window_until",
    "witness",
]

Kept = TypeVar("Kept")

_PIECE = 4096
"""Bars walked at once at most."""

_ACCOUNT_BARS = 2**19
"""Accounts (agents × lanes × instruments) times bars that are kept on the device at most: about 80 MiB."""


class Passed(NamedTuple):
    """What happened bar by bar; leaves [bars, agents, lanes, …], a bar being the one that an order met."""

    equity: Float[Array, "bars agents lanes"]
    """After the bar."""
    units: Float[Array, "bars agents lanes instruments"]
    """After the bar, signed."""
    order: Order
    """Decided at the close of the bar before."""
    fills: Fills
    """Leaves [bars, 4, agents, lanes, instruments]."""
    closed: Closed
    financing: Float[Array, "bars agents lanes"]
    """Charged at the bar's close, positive when paid."""


class Seen(NamedTuple):
    """What was seen, thought and asked at each decision; leaves [bars, agents, lanes, …], bars those of decisions."""

    account: Account
    """After that bar."""
    peak: Float[Array, "bars agents lanes"]
    """Highest equity so far."""
    held: Float[Array, "bars agents lanes instruments"]
    """Bars the open position has been held."""
    view: Float[Array, "bars agents lanes instruments view"]
    values: Float[Array, "bars agents lanes instruments actions"]
    wanted: Float[Array, "bars agents lanes instruments"]
    """Direction of the best action."""
    order: Order
    """For the next bar's open."""


class Earned(NamedTuple):
    """No more than what is needed of many agents; leaves [bars, agents, lanes, …], a bar being the one an order met."""

    equity: Float[Array, "bars agents lanes"]
    """After the bar."""
    units: Float[Array, "bars agents lanes instruments"]
    """After the bar, signed."""


def travel(
    setup: Rollout,
    trader: Trader,
    tape: Tape,
    first: NDArray[np.integer[Any]],
    stop: NDArray[np.integer[Any]],
    *,
    piece: int = _PIECE,
) -> Iterator[tuple[int, Passed]]:
    """Let agents trade each lane once, from its first row to its last, from flat, with one account a lane.

    On rows of an unknown regime no order is given: nobody trades there.

    Args:
        setup: how they act.
        trader: the agents, leaves [agents, …].
        tape: the market.
        first: row of the first decision of each lane [lanes]; `setup.species.context` rows before it are read.
        stop: one past the last row of each lane [lanes]; the last row is met, and positions are closed there where the
            rules say so.
        piece: bars walked at once at most.

    Yields:
        How many bars came before, and the next ones in NumPy, as many as the longest lane has left. What a lane shows
        beyond its own last row means nothing.
    """
    yield from _journey(_passed, setup, trader, tape, first, stop, piece)


def witness(
    setup: Rollout,
    trader: Trader,
    tape: Tape,
    first: NDArray[np.integer[Any]],
    stop: NDArray[np.integer[Any]],
    *,
    piece: int = _PIECE,
) -> Iterator[tuple[int, Seen]]:
    """The same journeys, told by what was seen, thought and asked at each decision; arguments are those of `travel`.

    Yields:
        How many decisions came before, and the next ones in NumPy; a lane's last is at the row before its last.
    """
    yield from _journey(_seen, setup, trader, tape, first, stop, piece)


def earn(
    setup: Rollout,
    trader: Trader,
    tape: Tape,
    first: NDArray[np.integer[Any]],
    stop: NDArray[np.integer[Any]],
    *,
    piece: int = _PIECE,
) -> Iterator[tuple[int, Earned]]:
    """The same journeys, told by what was earned and held alone; arguments and pieces are those of `travel`."""
    yield from _journey(_earned, setup, trader, tape, first, stop, piece)


def _journey(
    keep: "_Keep[Kept]",
    setup: Rollout,
    trader: Trader,
    tape: Tape,
    first: NDArray[np.integer[Any]],
    stop: NDArray[np.integer[Any]],
    piece: int,
) -> Iterator[tuple[int, Kept]]:
    """Walk all lanes to their ends, piece by piece."""
    check_lanes(first, stop)
    lanes, instruments = len(first), tape.atr.shape[1]
    agents = int(trader.genes.size.shape[0])
    bars = suited_piece(piece, agents * lanes * instruments, setup.chunk)
    start, end = jnp.asarray(first, jnp.int32), jnp.asarray(stop, jnp.int32)
    acting = begin(setup, rules_at(setup.rules, tape, start), agents, lanes, instruments)
    longest = int((stop - first).max()) - 1
    for before in range(0, longest, bars):
        acting, kept = _walk(keep, setup, bars, trader, tape, start, end, acting, jnp.int32(before))
        left = min(bars, longest - before)
        yield before, jax.tree.map(lambda leaf, left=left: np.asarray(leaf)[:left], kept)


_Keep = Callable[[Rollout, Trader, Foreseen, Acting, Step], Kept]
"""What is kept of a step, and of the episodes before it."""


def _passed(setup: Rollout, trader: Trader, now: Foreseen, before: Acting, step: Step) -> Passed:  # noqa: ARG001
    outcome = step.outcome
    account = outcome.account
    return Passed(account.equity, account.units, step.ask, outcome.fills, outcome.closed, outcome.financing)


def _earned(setup: Rollout, trader: Trader, now: Foreseen, before: Acting, step: Step) -> Earned:  # noqa: ARG001
    return Earned(step.outcome.account.equity, step.outcome.account.units)


def _seen(setup: Rollout, trader: Trader, now: Foreseen, before: Acting, step: Step) -> Seen:
    agents, lanes, instruments, width = step.view.shape
    rows = step.view.reshape(agents, lanes * instruments, width)
    values, _ = jax.vmap(setup.species.values)(trader.genome, now.code, rows, before.brain)
    values = values.reshape(agents, lanes, instruments, -1)
    return Seen(before.account, before.peak, before.held, step.view, values, step.wanted, step.ask)


def check_lanes(first: NDArray[np.integer[Any]], stop: NDArray[np.integer[Any]]) -> None:
    """See that there are lanes, and that on each of them an order can meet a bar.

    Raises:
        ValueError: otherwise.
    """
    if len(first) != len(stop) or not len(first) or (stop - first < 2).any():
        raise ValueError(f"lanes from {first} to {stop}; right is at least one, each of two rows or more")


def suited_piece(piece: int, accounts: int, chunk: int) -> int:
    """Bars of a piece: halved until it fits, and a multiple of the chunk."""
    bars = piece
    while bars * accounts > _ACCOUNT_BARS and bars > chunk:
        bars //= 2
    return max(bars // chunk, 1) * chunk


def window_until(
    tape: Tape, first: Int32[Array, "lanes"], stop: Int32[Array, "lanes"], bars: int, context: int
) -> MarketWindow:
    """A piece of each lane's market, whose last bar is the one before `stop`, wherever that lies in the piece."""
    market = window(tape, first, bars, context)
    met = first + jnp.arange(1, bars + 1, dtype=jnp.int32)[:, None]
    return market._replace(bar=market.bar._replace(last=met == stop - 1))


def silence(regime: Int32[Array, "*bars"]) -> Float[Array, "*bars"]:
    """What is added to a factor on exposure: 0, or NaN where no regime is known, so that no order is given."""
    return jnp.where(regime < REGIMES, 0.0, jnp.nan)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _walk(
    keep: _Keep[Kept],
    setup: Rollout,
    bars: int,
    trader: Trader,
    tape: Tape,
    first: Int32[Array, "lanes"],
    stop: Int32[Array, "lanes"],
    acting: Acting,
    before: Int32[Array, ""],
) -> tuple[Acting, Kept]:
    """The next bars of every lane."""
    context, chunk = setup.species.context, setup.chunk
    market = window_until(tape, first + before, stop, bars, context)
    rules = rules_at(setup.rules, tape, first)

    def bar_step(acting: Acting, now: tuple[Any, ...]) -> tuple[Acting, Kept]:
        foreseen, regime, atr, bar = now
        foreseen = foreseen._replace(factor=foreseen.factor + silence(regime)[:, None])
        after, step = act(setup, trader, acting, foreseen, atr, bar, rules)
        return after, keep(setup, trader, foreseen, acting, step)

    def chunk_step(acting: Acting, now: tuple[Array, Any]) -> tuple[Acting, Kept]:
        at, (regime, atr, bar) = now
        features = lax.dynamic_slice_in_dim(market.features, at, context + chunk)
        return lax.scan(bar_step, acting, (foresee(setup, trader, features, regime), regime, atr, bar))

    chunks = bars // chunk
    parts = jax.tree.map(lambda x: x.reshape(chunks, chunk, *x.shape[1:]), (market.regime, market.atr, market.bar))
    with jax.default_matmul_precision("highest"):
        after, kept = lax.scan(chunk_step, acting, (jnp.arange(chunks) * chunk, parts))
    joined: Kept = jax.tree.map(lambda x: x.reshape(bars, *x.shape[2:]), kept)
    return after, joined

"""Inference: how brains are made to decide, when they are not judged but used.

A brain puts a value on each action; a decision rule makes an order of values, of one brain or of several. Lanes walk a
stretch of the tape beside each other, each with one account and a decider that may change with the regime: whose values
count and how much, over how many bars they are averaged, how clear a choice must be, which view of the market is seen,
and whether anything is held at all. What the market alone says to a brain is worked out once for each stretch and view,
and a brain is asked only for the lanes that heed it. The exact rule is that of `docs/inference.md`.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int32
from numpy.typing import NDArray

from agents.decision import order
from agents.observation import account_view
from arena.journey import check_lanes, silence, suited_piece, window_until
from arena.panel import AVERAGED, Averages, Chosen, Decider, Panel, Seats, ask, choose, remember_values, seat, weigh
from arena.rollout import Acting, Foreseen, Rollout, exposure_over, foresee, gone_on
from arena.tally import REGIMES
from genomes.genes import Genes
from markets.account import Account, Bar, Closed, Fills, Order, Outcome
from markets.broker import open_account, step, vary
from markets.rules import BrokerRules
from markets.sizing import off
from markets.tape import Tape, rules_at

__all__ = ["AVERAGED", "Conducted", "Decider", "Moment", "Panel", "conduct", "conducted"]

_PIECE = 4096
"""Bars walked at once at most."""

_CHARGES = ("commission", "commission_per_unit", "commission_fixed", "slippage", "liquidation_fee")
_RATES = ("financing_long", "financing_short")


class Moment(NamedTuple):
    """One bar of all lanes: what was decided at its close, and what the next bar made of it."""

    regime: Int32[Array, "lanes"]
    """At the decision."""
    account: Account
    """At the decision."""
    view: Float[Array, "lanes instruments view"]
    """The account as the brains saw it."""
    chosen: Chosen
    ask: Order
    outcome: Outcome
    exposure: Float[Array, "lanes instruments"]
    """Net, held over the bar."""


class Conducted(NamedTuple):
    """What happened bar by bar; leaves [bars, lanes, …], a bar being the one that an order met."""

    equity: Float[Array, "bars lanes"]
    """After the bar."""
    units: Float[Array, "bars lanes instruments"]
    """After the bar, signed."""
    order: Order
    """Decided at the close of the bar before."""
    fills: Fills
    """Leaves [bars, 4, lanes, instruments]."""
    closed: Closed
    financing: Float[Array, "bars lanes"]
    """Charged at the bar's close, positive when paid."""
    exposure: Float[Array, "bars lanes instruments"]
    """Net, over the bar, as a multiple of the equity at the decision."""


def conducted(now: Moment) -> Conducted:
    """All that is told of a bar where nobody says what to keep."""
    outcome = now.outcome
    account = outcome.account
    return Conducted(
        account.equity, account.units, now.ask, outcome.fills, outcome.closed, outcome.financing, now.exposure
    )


class _Standing(NamedTuple):
    """Where all lanes stand between two bars."""

    acting: Acting
    """Without an axis of agents, leaves [lanes, …]; `brain` are the carries by species, leaves [brains, rows, …]."""
    averages: Averages


def conduct(
    setups: tuple[Rollout, ...],
    panel: Panel,
    decider: Decider,
    tape: Tape,
    views: Float[Array | np.ndarray, "variants rows instruments features"],
    first: NDArray[np.integer[Any]],
    stop: NDArray[np.integer[Any]],
    *,
    costs: float | NDArray[np.floating[Any]] = 1.0,
    pilot: NDArray[np.integer[Any]] | None = None,
    piece: int = _PIECE,
    keep: Callable[[Moment], Any] = conducted,
) -> Iterator[tuple[int, Any]]:
    """Let deciders trade each lane once, from its first row to its last, from flat, with one account a lane.

    On rows of an unknown regime no order is given. Stretches that are alike are read once, however many lanes walk
    them; brains that no lane heeds are not asked.

    Args:
        setups: how the brains of each species act; all have the same broker and see the same numbers.
        panel: the brains.
        decider: of each lane, leaves in NumPy.
        tape: the market.
        views: features as the lanes may see them; 0 is the tape's own.
        first: row of the first decision of each lane [lanes]; the context of the species is read before it.
        stop: one past the last row of each lane [lanes].
        costs: what spread, commission, slippage, fees and financing that is paid are multiplied by [lanes], or all.
        pilot: the lane whose account a lane's brains see [lanes]; its own where nobody says. With another's, values
            and gaps are those that its rule would have had beside that lane, and its own money means nothing.
        piece: bars walked at once at most.
        keep: what is wanted of each bar, leaves [lanes, …]; `Conducted` where nobody says. Give the same function
            again, not a new lambda: programs are compiled for each.

    Yields:
        How many bars came before, and the next ones in NumPy, as many as the longest lane has left. What a lane shows
        beyond its own last row means nothing.

    Raises:
        ValueError: lanes too short, a decider that does not fit the panel and the views, or impossible costs.
    """
    first, stop = np.asarray(first), np.asarray(stop)
    check_lanes(first, stop)
    lanes, instruments = len(first), tape.atr.shape[1]
    here = [index for index, count in enumerate(panel.counts) if count]
    if not here:
        raise ValueError("panel: has no brains; right is at least one")
    setups, panel = tuple(setups[index] for index in here), Panel(tuple(panel.traders[index] for index in here))
    setup, seats = setups[0], seat(panel, decider, lanes, len(views))
    stretches, walk = np.unique(np.stack([first, stop], 1), axis=0, return_inverse=True)
    factor = _checked_costs(setup.rules, costs, lanes)
    bars = suited_piece(piece, max(lanes, len(stretches) * len(views)) * instruments, setup.chunk)
    start, end = (jnp.asarray(column, jnp.int32) for column in stretches.T)
    market = _Stretches(
        tape,
        jnp.asarray(views, jnp.float32),
        start,
        end,
        jnp.asarray(walk.reshape(-1), jnp.int32),
        None if pilot is None else jnp.asarray(pilot, jnp.int32),
    )
    device: Decider = jax.tree.map(jnp.asarray, decider)
    standing = _begin(setups, seats, lanes, instruments, _averaged(decider))
    longest = int((stop - first).max()) - 1
    for before in range(0, longest, bars):
        standing, kept = _walk(keep, setups, bars, panel, device, seats, market, factor, standing, jnp.int32(before))
        left = min(bars, longest - before)
        yield before, jax.tree.map(lambda leaf, left=left: np.asarray(leaf)[:left], kept)


class _Stretches(NamedTuple):
    """The market of a call: stretches that differ, which one each lane walks, and whose account it sees."""

    tape: Tape
    views: Array
    first: Int32[Array, "stretches"]
    stop: Int32[Array, "stretches"]
    walk: Int32[Array, "lanes"]
    pilot: Int32[Array, "lanes"] | None

    def by_lane(self, leaf: Array) -> Array:
        """[stretches, …] → [lanes, …], or [1, …] where all lanes walk one."""
        return leaf if len(self.first) == 1 else leaf[self.walk]


def _averaged(decider: Decider) -> int:
    return int(np.asarray(decider.average).max())


def _checked_costs(rules: BrokerRules, costs: float | NDArray[np.floating[Any]], lanes: int) -> Array | None:
    """What costs are multiplied by [lanes, 1]; None where that is 1 throughout."""
    factor = np.broadcast_to(np.asarray(costs, np.float32), (lanes,))
    if not (np.isfinite(factor) & (factor >= 0)).all():
        raise ValueError(f"costs: {costs}; right is a number of at least 0")
    if factor.max() * rules.slippage >= 1:
        raise ValueError(f"costs: {factor.max():g} times a slippage of {rules.slippage:g}; right is below 1")
    return None if (factor == 1).all() else jnp.asarray(factor)[:, None]


def _begin(
    setups: tuple[Rollout, ...], seats: tuple[Seats, ...], lanes: int, instruments: int, averaged: int
) -> _Standing:
    """Fresh accounts, and brains that have seen nothing."""
    account = open_account(setups[0].rules, (lanes,), instruments, jnp.float32)
    brains, values, worked = [], [], []
    for setup, own in zip(setups, seats, strict=True):
        asked, rows = own.lane.shape[0], own.lane.shape[1] * instruments
        carry = jax.vmap(lambda _, setup=setup, rows=rows: setup.species.initial_carry(rows))(jnp.arange(asked))
        brains.append(carry)
        values.append(jnp.zeros((averaged - 1, asked, rows, len(setup.species.shape.actions))))
        worked.append(jnp.zeros((averaged - 1, asked, rows), bool))
    acting = Acting(account, tuple(brains), account.equity, jnp.zeros((lanes, instruments)))
    return _Standing(acting, Averages(tuple(values), tuple(worked)))


@partial(jax.jit, static_argnums=(0, 1, 2))
def _walk(
    keep: Callable[[Moment], Any],
    setups: tuple[Rollout, ...],
    bars: int,
    panel: Panel,
    decider: Decider,
    seats: tuple[Seats, ...],
    market: _Stretches,
    costs: Array | None,
    standing: _Standing,
    before: Int32[Array, ""],
) -> tuple[_Standing, Any]:
    """The next bars of every lane."""
    setup, chunk = setups[0], setups[0].chunk
    context = max(own.species.context for own in setups)
    stretches, views = market.first.shape[0], market.views.shape[0]
    span = window_until(market.tape, market.first + before, market.stop, bars, 0)
    rows = market.first[None, :] + before + jnp.arange(-context, bars, dtype=jnp.int32)[:, None]
    seen = jnp.moveaxis(market.views[:, rows], 0, 1)  # [history, views, stretches, instruments, features]
    seen = seen.reshape(context + bars, views * stretches, *seen.shape[3:])
    rules = _charged(rules_at(setup.rules, market.tape, market.first), market, costs)
    genes = _own_genes(panel, decider)

    def bar_step(standing: _Standing, now: tuple[Any, ...]) -> tuple[_Standing, Any]:
        foreseen, regime, atr, bar = now
        here = _Bar(foreseen, market.by_lane(regime), market.by_lane(atr), _widened(market, bar, costs))
        standing, moment = _step(setups, panel, decider, genes, seats, market, rules, standing, here)
        return standing, keep(moment)

    def chunk_step(standing: _Standing, now: tuple[Array, Any]) -> tuple[_Standing, Any]:
        at, (regime, atr, bar) = now
        everywhere = jnp.tile(regime, (1, views))
        foreseen = []
        for own, trader in zip(setups, panel.traders, strict=True):
            first, length = at + context - own.species.context, own.species.context + chunk
            foreseen.append(foresee(own, trader, lax.dynamic_slice_in_dim(seen, first, length), everywhere))
        return lax.scan(bar_step, standing, (tuple(foreseen), regime, atr, bar))

    chunks = bars // chunk
    parts = jax.tree.map(lambda x: x.reshape(chunks, chunk, *x.shape[1:]), (span.regime, span.atr, span.bar))
    with jax.default_matmul_precision("highest"):
        after, kept = lax.scan(chunk_step, standing, (jnp.arange(chunks) * chunk, parts))
    return after, jax.tree.map(lambda x: x.reshape(bars, *x.shape[2:]), kept)


class _Bar(NamedTuple):
    """What does not depend on the accounts, at one bar; leaves [lanes or 1, …] but for `foreseen`."""

    foreseen: tuple[Foreseen, ...]
    """By species, of every view of every stretch."""
    regime: Int32[Array, "#lanes"]
    atr: Float[Array, "#lanes instruments"]
    met: Bar
    """The bar that the order meets."""


def _step(
    setups: tuple[Rollout, ...],
    panel: Panel,
    decider: Decider,
    genes: Genes,
    seats: tuple[Seats, ...],
    market: _Stretches,
    rules: BrokerRules,
    standing: _Standing,
    here: _Bar,
) -> tuple[_Standing, Moment]:
    """Observe, ask, average, weigh, choose and meet the next bar, all lanes at once."""
    setup, before = setups[0], standing.acting
    account, space = before.account, setup.species.shape.actions
    lanes, instruments = account.units.shape
    regime = jnp.broadcast_to(here.regime, (lanes,))
    known = regime < REGIMES
    now, own_genes = (jax.tree.map(lambda leaf: _at(leaf, regime), tree) for tree in (decider, genes))
    column = now.view * market.first.shape[0] + market.walk
    view = account_view(account, here.met.decision_close, here.atr, before.peak, before.held, setup.seen)
    if market.pilot is not None:
        view = view[market.pilot]
    said: tuple[Array, ...] = ()
    carries: tuple[Any, ...] = ()
    pasts: tuple[Array, ...] = ()
    workeds: tuple[Array, ...] = ()
    parts = zip(setups, panel.traders, seats, here.foreseen, before.brain, *standing.averages, strict=True)
    for own, trader, seated, foreseen, carry, past, worked in parts:
        values, carry = ask(own, trader, seated, foreseen.code, column, view, carry)
        counts, wanted = (jnp.repeat(leaf[seated.lane], instruments, axis=1) for leaf in (known, now.average))
        mean, past, worked = remember_values(values, counts, wanted, past, worked)
        said, carries, pasts, workeds = (*said, mean), (*carries, carry), (*pasts, past), (*workeds, worked)
    chosen = choose(weigh(said, seats, now.weights, instruments), space, known, now.acts, now.threshold)
    # Factors on exposure of all brains, for every view of every stretch; each lane takes its own.
    factors = jnp.concatenate([foreseen.factor for foreseen in here.foreseen])
    factor = jnp.where(now.acts[:, None], factors[now.own, column], 1.0) + silence(regime)[:, None]
    factor = jnp.where(chosen.decided, factor, jnp.nan)
    asked = _ordered(chosen.wanted, account.units, factor, here.atr, own_genes, stops=setup.stops)
    outcome = step(account, asked, here.met, rules)
    exposure = exposure_over(account, outcome, here.met.decision_close, setup.rules.cash)
    after = _Standing(gone_on(before, carries, outcome), Averages(pasts, workeds))
    return after, Moment(regime, account, view, chosen, asked, outcome, exposure)


def _at(leaf: Array, regime: Array) -> Array:
    """What holds in the regime of each lane; of `unknown`, where no order is given, what holds in the last one."""
    return leaf[jnp.arange(leaf.shape[0]), jnp.minimum(regime, REGIMES - 1)]


def _ordered(wanted: Array, units: Array, factor: Array, atr: Array, genes: Genes, *, stops: bool) -> Order:
    """`agents.decision.order`, with genes that differ from lane to lane: each lane is an agent with one episode."""

    def lane(wanted: Array, units: Array, factor: Array, atr: Array, genes: Genes) -> Order:
        one: Genes = jax.tree.map(lambda gene: gene[None], genes)
        found = order(wanted[None, None], units[None, None], factor[None, None], atr[None], one, stops=stops)
        return Order(*(leaf[0, 0] for leaf in found))

    every: Order = jax.vmap(lane)(wanted, units, factor, jnp.broadcast_to(atr, units.shape), genes)
    return every


def _own_genes(panel: Panel, decider: Decider) -> Genes:
    """Genes of the brain that orders, leaves [lanes, regimes]."""
    every = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *(trader.genes for trader in panel.traders))
    return Genes(*(leaf[decider.own] for leaf in every))


def _widened(market: _Stretches, bar: Bar, costs: Array | None) -> Bar:
    """The bar as the lanes meet it: with spreads that many times as wide around the mid."""
    bar = jax.tree.map(market.by_lane, bar)
    if costs is None:
        return bar
    wide: dict[str, Array] = {}
    for price in ("open", "high", "low", "close"):
        bid, ask = getattr(bar, f"{price}_bid"), getattr(bar, f"{price}_ask")
        middle, half = 0.5 * (bid + ask), 0.5 * costs * (ask - bid)
        wide |= {f"{price}_bid": middle - half, f"{price}_ask": middle + half}
    return bar._replace(**wide)


def _charged(rules: BrokerRules, market: _Stretches, costs: Array | None) -> BrokerRules:
    """The rules as the lanes meet them: what is charged, times `costs`; financing that is received stays."""
    of_lanes = {name: market.by_lane(leaf) for name, leaf in vars(rules).items() if isinstance(leaf, jax.Array)}
    rules = vary(rules, **of_lanes)
    if costs is None:
        return rules
    dearer = {name: getattr(rules, name) * costs for name in _CHARGES if not off(getattr(rules, name))}
    for name in _RATES:
        rate = getattr(rules, name)
        if not off(rate):
            dearer[name] = rate * jnp.where(jnp.asarray(rate) > 0, costs, 1.0)
    return vary(rules, **dearer)

"""Roll-out: a block of agents trades the same windows, bar by bar.

observe → decide → broker → tally, inside one scan over chunks of bars and one over the bars of a chunk. What does not
depend on the account (encoding, caution) is computed for a whole chunk before its bars. Agents are the first axis and
episodes the second, so weights are read once for many episodes; instruments share the agent's brain as further rows.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int32

from agents.decision import direction, order
from agents.memory import Memory, MemorySettings, caution
from agents.observation import ACCOUNT_VIEW, account_view
from agents.trust import TrustSettings
from arena.tally import REGIMES, Tally, count_bar, empty_tally, groups_of
from genomes.genes import Genes
from genomes.species import Species
from markets.account import Account, Bar, Order, Outcome
from markets.broker import open_account, step
from markets.rules import BrokerRules
from markets.tape import MarketWindow

__all__ = [
    "Acting",
    "Foreseen",
    "Rollout",
    "Step",
    "Stray",
    "Stretch",
    "Trace",
    "Trader",
    "act",
    "begin",
    "exposure_over",
    "foresee",
    "gone_on",
    "play",
    "roll_out",
    "start",
]

Kept = TypeVar("Kept")


class Trader(NamedTuple):
    """What decides: the parts of an agent that act in an episode; leaves [agents, …]."""

    genome: Any
    genes: Genes
    memory: Memory
    trust: Float[Array, "agents regimes"]


@dataclasses.dataclass(frozen=True)
class Rollout:
    """What is the same for every agent of a species, and static.

    Attributes:
        species: whose brains these are.
        rules: of the broker.
        memory: how scars scale exposure.
        trust: whether trust scales capital.
        chunk: bars encoded at once; divides the bars of a window.
        stops: whether agents place stops and take-profits.
        seen: which numbers of its account an agent sees.
    """

    species: Species
    rules: BrokerRules
    memory: MemorySettings
    trust: TrustSettings
    chunk: int
    stops: bool
    seen: tuple[str, ...] = ACCOUNT_VIEW


class Trace(NamedTuple):
    """A rollout bar by bar, for the few agents it is wanted of; leaves [bars, agents, episodes, …]."""

    equity: Float[Array, "bars agents episodes"]
    """After the bar the decision was filled on."""
    units: Float[Array, "bars agents episodes instruments"]
    wanted: Float[Array, "bars agents episodes instruments"]
    """Direction asked for."""
    view: Float[Array, "bars agents episodes instruments view"]
    """The account as the agent saw it at the decision."""


class Acting(NamedTuple):
    """What an episode hands from bar to bar; leaves [agents, episodes, …]."""

    account: Account
    brain: Any
    """The species' carry, [agents, …]."""
    peak: Float[Array, "agents episodes"]
    """Highest equity so far."""
    held: Float[Array, "agents episodes instruments"]
    """Bars the open position has been held."""


class Step(NamedTuple):
    """One bar of an episode: what was decided at its close, and what the next bar made of it."""

    view: Float[Array, "agents episodes instruments view"]
    wanted: Float[Array, "agents episodes instruments"]
    ask: Order
    outcome: Outcome
    alive: Bool[Array, "agents episodes"]
    """Whether there was an account to decide for."""


class Stray(NamedTuple):
    """Random actions, leaves [bars, …] but for ε: where the chance is below its ε, an agent acts as it says here."""

    epsilon: Float[Array, "agents"]
    chance: Float[Array, "*bars episodes instruments"]
    """Uniform in [0, 1); 1 where nobody strays."""
    direction: Float[Array, "*bars episodes instruments"]


class Foreseen(NamedTuple):
    """What does not depend on the account, of some bars; leaves [bars, …]."""

    code: Any
    factor: Float[Array, "bars agents episodes #instruments"]


class Stretch(NamedTuple):
    """Where a roll-out stands between two bars."""

    acting: Acting
    tally: Tally


def begin(setup: Rollout, rules: BrokerRules, agents: int, episodes: int, instruments: int) -> Acting:
    """Fresh accounts, before the first decision."""
    account = open_account(rules, (agents, episodes), instruments, jnp.float32)
    brain = jax.vmap(lambda _: setup.species.initial_carry(episodes * instruments))(jnp.arange(agents))
    return Acting(account, brain, account.equity, jnp.zeros((agents, episodes, instruments)))


def foresee(
    setup: Rollout,
    trader: Trader,
    features: Float[Array, "history episodes instruments features"],
    regime: Int32[Array, "bars episodes"],
) -> Foreseen:
    """Encode a chunk of bars, and say how caution and trust scale exposure in it.

    Args:
        setup: what is static.
        trader: the agents.
        features: `setup.species.context` bars of history, then those of the chunk.
        regime: of the chunk's bars.
    """
    flat = features.reshape(features.shape[0], -1, features.shape[-1])
    code = jax.vmap(setup.species.encode, (0, None), 1)(trader.genome, flat)
    return Foreseen(code, _exposure_factor(setup, trader, features[setup.species.context :], regime))


def act(
    setup: Rollout,
    trader: Trader,
    before: Acting,
    now: Foreseen,
    atr: Array,
    bar: Bar,
    rules: BrokerRules,
    stray: Stray | None = None,
) -> tuple[Acting, Step]:
    """Observe, decide and meet the next bar.

    Args:
        setup: what is static.
        trader: the agents.
        before: the episodes at the decision.
        now: of this bar, without the axis of bars.
        atr: at the decision [episodes, instruments].
        bar: that the order meets.
        rules: of the broker in each episode.
        stray: random actions of this bar, where any are taken.
    """
    account, species = before.account, setup.species
    agents, episodes, instruments = account.units.shape
    view = account_view(account, bar.decision_close, atr, before.peak, before.held, setup.seen)
    values, brain = jax.vmap(species.values)(
        trader.genome, now.code, view.reshape(agents, episodes * instruments, -1), before.brain
    )
    wanted = direction(values, species.shape.actions).reshape(agents, episodes, instruments)
    if stray is not None:
        wanted = jnp.where(stray.chance < stray.epsilon[:, None, None], stray.direction, wanted)
    ask = order(wanted, account.units, now.factor, atr, trader.genes, stops=setup.stops)
    outcome = step(account, ask, bar, rules)
    return gone_on(before, brain, outcome), Step(view, wanted, ask, outcome, account.alive)


def gone_on(before: Acting, brain: Any, outcome: Outcome) -> Acting:
    """What an episode hands to its next bar, after a brain's carry and what the broker made of the order."""
    account, after = before.account, outcome.account
    turned = jnp.sign(after.units) != jnp.sign(account.units)
    held = jnp.where(after.units == 0, 0.0, jnp.where(turned | outcome.closed.opened, 1.0, before.held + 1.0))
    return Acting(after, brain, jnp.maximum(before.peak, after.equity), held)


def exposure_over(before: Account, outcome: Outcome, close: Array, cash: Array | float) -> Array:
    """Net exposure over a bar [*accounts, instruments], as a multiple of the equity at the decision.

    Held over the bar is what its open left, even if a stop or the end closed it before the bar was over.

    Args:
        before: the account at the decision.
        outcome: of the bar.
        close: at the decision, in price [*market, instruments].
        cash: E_0.
    """
    over = before.units + outcome.fills.units[0] + outcome.fills.units[1]
    return over * close / jnp.maximum(before.equity, 1e-6 * cash)[..., None]


def roll_out(
    setup: Rollout, trader: Trader, market: MarketWindow, rules: BrokerRules, *, trace: bool = False
) -> tuple[Tally, Trace | None]:
    """Let a block of agents trade a set of windows, from flat, with a fresh account each.

    Args:
        setup: what is static.
        trader: the agents, leaves [agents, …].
        market: the windows, the same for all of them.
        rules: `setup.rules`, with the keys that differ between episodes as arrays (`markets.tape.rules_at`).
        trace: whether to keep every bar; only for few agents.

    Returns:
        The tally, and the trace where it was asked for.
    """
    begun = start(setup, trader, market, rules)
    end, kept = play(setup, trader, begun, market, rules, lambda step: _trace_of(step) if trace else None)
    return end.tally, kept


def start(setup: Rollout, trader: Trader, market: MarketWindow, rules: BrokerRules) -> Stretch:
    """Fresh accounts and an empty tally, before the first bar of some windows; see `roll_out`."""
    episodes, instruments = market.regime.shape[1], market.gain.shape[-1]
    agents = trader.genes.size.shape[0]
    return Stretch(begin(setup, rules, agents, episodes, instruments), empty_tally(agents, episodes, instruments))


def play(
    setup: Rollout,
    trader: Trader,
    before: Stretch,
    market: MarketWindow,
    rules: BrokerRules,
    keep: Callable[[Step], Kept],
    stray: Stray | None = None,
) -> tuple[Stretch, Kept]:
    """Let a block of agents go on trading, over all bars of these windows.

    Args:
        setup: what is static; its chunk divides the bars.
        trader: the agents, leaves [agents, …].
        before: where they stand.
        market: the bars.
        rules: of the broker in each episode.
        keep: what is wanted of each bar.
        stray: random actions, where any are taken.

    Returns:
        Where they stand after the last bar, and what was kept, leaves [bars, …].
    """
    bars, chunk, context = market.regime.shape[0], setup.chunk, setup.species.context

    def bar_step(carry: Stretch, now: tuple[Foreseen, Array, Array, Bar, Any]) -> tuple[Stretch, Kept]:
        foreseen, regime, atr, bar, chances = now
        account = carry.acting.account
        strays = None if stray is None else Stray(stray.epsilon, *chances)
        acting, step = act(setup, trader, carry.acting, foreseen, atr, bar, rules, strays)
        exposure = exposure_over(account, step.outcome, bar.decision_close, setup.rules.cash)
        tally = count_bar(carry.tally, step.outcome, groups_of(regime), account.alive.astype(jnp.float32), exposure)
        return Stretch(acting, tally), keep(step)

    def chunk_step(carry: Stretch, now: tuple[Array, Any]) -> tuple[Stretch, Kept]:
        first, (regime, atr, bar, chances) = now
        features = lax.dynamic_slice_in_dim(market.features, first, context + chunk)
        return lax.scan(bar_step, carry, (foresee(setup, trader, features, regime), regime, atr, bar, chances))

    chunks = bars // chunk
    chances = None if stray is None else (stray.chance, stray.direction)
    by_bar = (market.regime, market.atr, market.bar, chances)
    parts = jax.tree.map(lambda x: x.reshape(chunks, chunk, *x.shape[1:]), by_bar)
    end, kept = lax.scan(chunk_step, before, (jnp.arange(chunks) * chunk, parts))
    return end, jax.tree.map(lambda x: x.reshape(bars, *x.shape[2:]), kept)


def _trace_of(step: Step) -> Trace:
    after = step.outcome.account
    return Trace(after.equity, after.units, step.wanted, step.view)


def _exposure_factor(setup: Rollout, trader: Trader, features: Array, regime: Array) -> Array:
    """Factor on exposure from caution and trust, [bars, agents, episodes, instruments or 1]."""
    agents = trader.genes.size.shape[0]
    factor = jnp.ones((regime.shape[0], agents, regime.shape[1], 1))
    if setup.memory.enabled and setup.memory.strength > 0:
        careful = jax.vmap(caution, (0, None, None))(trader.memory, features, setup.memory)
        factor = factor * jnp.moveaxis(careful, 0, 1)
    if setup.trust.enabled and setup.trust.scales_capital:
        own = (regime[None] == jnp.arange(REGIMES)[:, None, None]).astype(jnp.float32)
        believed = jnp.einsum("ar,rte->tae", trader.trust, own)
        factor = factor * (setup.trust.floor + (1.0 - setup.trust.floor) * believed)[..., None]
    return factor

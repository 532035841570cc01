"""Roll-out: a block of agents trades the same windows, bar by bar.

observe → decide → broker → tally, inside one scan over chunks of bars and one over the bars of a chunk. What does not
depend on the account (encoding, caution) is computed for a whole chunk before its bars. Agents are the first axis and
episodes the second, so weights are read once for many episodes; instruments share the agent's brain as further rows.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from agents.decision import direction, order
from agents.memory import Memory, MemorySettings, caution
from agents.observation import account_view
from agents.trust import TrustSettings
from arena.tally import REGIMES, Tally, count_bar, empty_tally, groups_of
from genomes.genes import Genes
from genomes.species import Species
from markets.account import Account, Bar
from markets.broker import open_account, step
from markets.rules import BrokerRules
from markets.tape import MarketWindow

__all__ = ["Rollout", "Trace", "Trader", "roll_out"]


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
    """

    species: Species
    rules: BrokerRules
    memory: MemorySettings
    trust: TrustSettings
    chunk: int
    stops: bool


class Trace(NamedTuple):
    """A rollout bar by bar, for the few agents it is wanted of; leaves [bars, agents, episodes, …]."""

    equity: Float[Array, "bars agents episodes"]
    """After the bar the decision was filled on."""
    units: Float[Array, "bars agents episodes instruments"]
    wanted: Float[Array, "bars agents episodes instruments"]
    """Direction asked for."""
    view: Float[Array, "bars agents episodes instruments view"]
    """The account as the agent saw it at the decision."""


class _Carry(NamedTuple):
    account: Account
    brain: Any
    peak: Array
    held: Array
    tally: Tally


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
    bars, episodes = market.regime.shape
    instruments = market.gain.shape[-1]
    agents = trader.genes.size.shape[0]
    rows = episodes * instruments
    species, chunk = setup.species, setup.chunk

    def bar_step(carry: _Carry, now: tuple[Any, Array, Array, Array, Bar]) -> tuple[_Carry, Trace | None]:
        code, factor, regime, atr, bar = now
        account = carry.account
        view = account_view(account, bar.decision_close, atr, carry.peak, carry.held)
        values, brain = jax.vmap(species.values)(trader.genome, code, view.reshape(agents, rows, -1), carry.brain)
        wanted = direction(values, species.shape.actions).reshape(agents, episodes, instruments)
        ask = order(wanted, account.units, factor, atr, trader.genes, stops=setup.stops)
        outcome = step(account, ask, bar, rules)
        after = outcome.account
        turned = jnp.sign(after.units) != jnp.sign(account.units)
        held = jnp.where(after.units == 0, 0.0, jnp.where(turned | outcome.closed.opened, 1.0, carry.held + 1.0))
        # Held over the bar is what its open left, even if a stop or the end closed it before the bar was over.
        over = account.units + outcome.fills.units[0] + outcome.fills.units[1]
        exposure = over * bar.decision_close / jnp.maximum(account.equity, 1e-6 * setup.rules.cash)[..., None]
        tally = count_bar(carry.tally, outcome, groups_of(regime), account.alive.astype(jnp.float32), exposure)
        peak = jnp.maximum(carry.peak, after.equity)
        kept = Trace(after.equity, after.units, wanted, view) if trace else None
        return _Carry(after, brain, peak, held, tally), kept

    def chunk_step(carry: _Carry, now: tuple[Array, Any]) -> tuple[_Carry, Trace | None]:
        first, (regime, atr, bar) = now
        features = lax.dynamic_slice_in_dim(market.features, first, species.context + chunk)
        flat = features.reshape(species.context + chunk, rows, -1)
        code = jax.vmap(species.encode, (0, None), 1)(trader.genome, flat)
        factor = _exposure_factor(setup, trader, features[species.context :], regime)
        return lax.scan(bar_step, carry, (code, factor, regime, atr, bar))

    account = open_account(rules, (agents, episodes), instruments, jnp.float32)
    brain = jax.vmap(lambda _: species.initial_carry(rows))(jnp.arange(agents))
    start = _Carry(
        account,
        brain,
        account.equity,
        jnp.zeros((agents, episodes, instruments)),
        empty_tally(agents, episodes, instruments),
    )
    chunks = bars // chunk
    parts = jax.tree.map(lambda x: x.reshape(chunks, chunk, *x.shape[1:]), (market.regime, market.atr, market.bar))
    end, kept = lax.scan(chunk_step, start, (jnp.arange(chunks) * chunk, parts))
    return end.tally, jax.tree.map(lambda x: x.reshape(bars, *x.shape[2:]), kept)


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

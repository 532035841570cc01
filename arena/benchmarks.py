"""Benchmarks: what champions are measured against, through the same broker on the same windows.

Flat, buy and hold, and any path of exposures decided beforehand (such as the oracle of a synthetic market) are traded
by a brain that only follows what the tape's one feature tells it.
"""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int32, PRNGKeyArray

from agents.memory import MemorySettings, forget
from agents.observation import ACCOUNT_VIEW
from arena.fitness import Stats, summarise
from arena.plan import largest_divisor
from arena.rollout import Rollout, Trader, roll_out
from arena.settings import Settings
from arena.tally import REGIMES, Tally
from genomes.genes import Genes
from genomes.species import Carry, Quantiles, Shape
from markets.tape import Tape, rules_at, window

__all__ = ["Follower", "evaluate", "evaluate_each", "follow", "follow_each", "follower", "hold", "play"]


@dataclasses.dataclass(frozen=True)
class Follower:
    """A species without a brain: it asks for the direction its only feature names."""

    shape: Shape = dataclasses.field(default_factory=lambda: Shape(features=1, account=len(ACCOUNT_VIEW)))
    name: str = "follower"
    context: int = 0
    sparse: bool = False
    units: int = 1
    products: int = 0
    work: float = 0.0

    def init(self, key: PRNGKeyArray, quantiles: Quantiles) -> Float[Array, "1"]:
        """Nothing to draw."""
        del key, quantiles
        return jnp.zeros(1)

    def mutate(self, key: PRNGKeyArray, genome: Any, strength: Float[Array, ""], quantiles: Quantiles) -> Any:
        """Nothing to vary."""
        del key, strength, quantiles
        return genome

    def crossover(self, key: PRNGKeyArray, first: Any, second: Any) -> Any:
        """Nothing to mix."""
        del key, second
        return first

    def distance(self, first: Any, second: Any) -> Float[Array, ""]:
        """All alike."""
        del first, second
        return jnp.zeros(())

    def damage(
        self,
        key: PRNGKeyArray,
        genome: Any,
        activity: Float[Array, "units"],
        severity: Float[Array, ""],
        quantiles: Quantiles,
    ) -> tuple[Any, Float[Array, "units"]]:
        """Nothing to damage."""
        del key, severity, quantiles
        return genome, jnp.zeros_like(activity)

    def initial_carry(self, rows: int) -> Carry:
        """No memory."""
        del rows
        return ()

    def encode(self, genome: Any, features: Float[Array, "bars rows features"]) -> Float[Array, "bars rows code"]:
        """The feature itself."""
        del genome
        return features

    def values(
        self, genome: Any, code: Float[Array, "rows code"], account: Float[Array, "rows account"], carry: Carry
    ) -> tuple[Float[Array, "rows actions"], Carry]:
        """Highest for the action that the feature names."""
        del genome, account
        told = code[:, 0]
        return jnp.stack([0.5 - jnp.abs(told), told, -told], axis=-1), carry

    def activity(
        self, genome: Any, features: Float[Array, "bars rows features"], account: Float[Array, "bars rows account"]
    ) -> Float[Array, "bars rows units"]:
        """Its one unit says everything."""
        del genome, account
        return jnp.ones((*features.shape[:2], 1))

    def learnable(self, genome: Any) -> Any:
        """Nothing."""
        return jax.tree.map(lambda _: False, genome)


def evaluate(setup: Rollout, traders: Trader, tape: Tape, first: Int32[Array, "episodes"], bars: int) -> Stats:
    """What a few agents do on given windows.

    Args:
        setup: how they act.
        traders: leaves [agents, …].
        tape: the market.
        first: rows of the windows.
        bars: bars a window.
    """
    stats: Stats = evaluate_each(setup, traders, tape, (first,), bars)[0]
    return stats


@partial(jax.jit, static_argnums=(0, 4))
def evaluate_each(
    setup: Rollout, traders: Trader, tape: Tape, sets: Sequence[Int32[Array, "_"]], bars: int
) -> tuple[Stats, ...]:
    """What a few agents do on several sets of windows, each by itself; all in one compiled program.

    Args:
        setup: how they act.
        traders: leaves [agents, …].
        tape: the market.
        sets: first rows of the windows of each set.
        bars: bars a window.
    """
    tally = play(setup, traders, tape, jnp.concatenate(sets), bars)
    by_instrument = {"exposure", "entry"}
    found, begin = [], 0
    for own in sets:
        windows = slice(begin, begin := begin + len(own))
        parts = {
            name: leaf[..., windows, :] if name in by_instrument else leaf[..., windows]
            for name, leaf in tally._asdict().items()
        }
        found.append(summarise(Tally(**parts)))
    return tuple(found)


@partial(jax.jit, static_argnums=(0, 4))
def play(setup: Rollout, traders: Trader, tape: Tape, first: Int32[Array, "episodes"], bars: int) -> Tally:
    """The tally of a few agents on given windows, as for `evaluate`; compiled once for each shape of its arguments."""
    with jax.default_matmul_precision("highest"):
        market = window(tape, first, bars, setup.species.context)
        return roll_out(setup, traders, market, rules_at(setup.rules, tape, first))[0]


def follow(
    settings: Settings, tape: Tape, told: Float[Array, "rows instruments"], first: Int32[Array, "episodes"]
) -> Stats:
    """What an account earns that asks for given directions at the close of each bar, without stops.

    Args:
        settings: of the run; its broker is used.
        tape: the market.
        told: −1, 0 or 1 at each row.
        first: rows of the windows.

    Returns:
        Stats of one agent, leaves [1, groups].
    """
    return follow_each(settings, tape, told, (first,))[0]


def follow_each(
    settings: Settings, tape: Tape, told: Float[Array, "rows instruments"], sets: Sequence[Int32[Array, "_"]]
) -> tuple[Stats, ...]:
    """As `follow`, on several sets of windows."""
    setup, trader = follower(settings)
    stats: tuple[Stats, ...] = evaluate_each(
        setup, trader, tape._replace(features=told[..., None]), sets, settings.episodes.bars
    )
    return stats


def follower(settings: Settings) -> tuple[Rollout, Trader]:
    """One agent that asks for the direction which the tape's only feature names, with all of its equity, no stops."""
    setup = Rollout(
        species=Follower(),
        rules=settings.broker,
        memory=MemorySettings(enabled=False),
        trust=dataclasses.replace(settings.trust, enabled=False),
        chunk=largest_divisor(settings.episodes.bars, settings.device.chunk),
        stops=False,
    )
    one = jnp.ones(1)
    genes = Genes(*(one for _ in Genes._fields))
    return setup, Trader(jnp.zeros((1, 1)), genes, forget((1,), 1, 1), jnp.zeros((1, REGIMES)))


def hold(settings: Settings, tape: Tape, first: Int32[Array, "episodes"], direction: float = 1.0) -> Stats:
    """Buy at the first bar of each window and hold to its end, after costs; direction 0 stays flat."""
    told = jnp.full(tape.atr.shape, direction, jnp.float32)
    return follow(settings, tape, told, first)

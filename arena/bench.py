"""Measuring speed: worlds of a given size, timed the way a run uses them, with arrays and nothing else.

What is timed is what a run does: one species as it is by default under full accounting, on all devices there are,
islands divided over them. Bars are made here, the same every time. A rate means nothing without the machine, so the
machine's own matrix product is measured beside it.
"""

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from agents.population import Population
from arena.episodes import draw
from arena.fitness import case_scores, summarise
from arena.founding import found, spread
from arena.generation import make_generation
from arena.keys import Purpose, fold
from arena.life import between_updates
from arena.plan import make_plan
from arena.records import GenerationRecord
from arena.rollout import Trader, roll_out
from arena.settings import Settings
from arena.tally import REGIMES, groups_of
from markets.account import Bar, Order, Outcome
from markets.broker import open_account, step
from markets.preparation import Market, prepare
from markets.synthetic import SyntheticSettings, simulate
from markets.tape import Tape, rules_at, window
from markets.windows import WindowSettings

__all__ = [
    "CHARGES",
    "Measurement",
    "Size",
    "World",
    "judging",
    "matrix_gflops",
    "measure_judging",
    "measure_replay",
    "timed",
]

CHARGES: dict[str, Any] = {
    "commission": 2e-5,
    "slippage": 1e-5,
    "maintenance": 0.02,
    "liquidation_fee": 0.005,
    "calendar": "fx",
    "financing_long": 0.02,
    "financing_short": 0.01,
}
"""Full accounting: every charge that a liquid market makes, beside the spread of the bars and the agents' own stops.
What the rules leave off would vanish from the compiled program and flatter it.
"""

_TAPE = 16_000  # bars of the made-up market; a default run's weigh no more on the cache
_SEED = 20_260


@dataclasses.dataclass(frozen=True)
class Size:
    """How much is played: agents of all islands, windows a generation, decisions a window, islands."""

    agents: int
    episodes: int
    bars: int
    islands: int = 4

    @property
    def agent_bars(self) -> int:
        """Decisions of all agents in all episodes."""
        return self.agents * self.episodes * self.bars


@dataclasses.dataclass(frozen=True)
class Measurement:
    """What one thing took.

    Attributes:
        agent_bars: traded in one repeat.
        seconds: of each repeat, by the clock, after one that does not count.
        busy: cores kept at work on average; fewer than there are means waiting, or others on the machine.
        compile_seconds: to trace and compile it, once; None where nothing is compiled.
        flops: of the brain's matrix products for one agent and bar: two for each weight that is no bias. 0 without.
    """

    agent_bars: int
    seconds: tuple[float, ...]
    busy: float
    compile_seconds: float | None = None
    flops: int = 0

    @property
    def rates(self) -> tuple[float, float, float]:
        """Agent-bars a second: lowest, median, highest."""
        found = [self.agent_bars / seconds for seconds in self.seconds]
        return min(found), statistics.median(found), max(found)

    def matrix_share(self, gflops: float) -> float | None:
        """Share of what the machine's own matrix product does in the same time, at the median rate."""
        return self.flops * self.rates[1] / (gflops * 1e9) if self.flops else None


def _wait(product: Callable[..., Array], factors: list[Array]) -> Array:
    done: Array = jax.block_until_ready(product(*factors))
    return done


def timed(once: Callable[[], object], repeat: int) -> tuple[tuple[float, ...], float]:
    """Seconds of each repeat, and cores at work, of something that returns when it is done; a first does not count."""
    once()
    seconds, worked = [], time.process_time()
    for _ in range(repeat):
        began = time.perf_counter()
        once()
        seconds.append(time.perf_counter() - began)
    return tuple(seconds), (time.process_time() - worked) / sum(seconds)


def matrix_gflops(size: int = 2048, repeat: int = 5, *, apart: bool = False) -> float:
    """The best float32 matrix product of this process's devices, in 10⁹ operations a second.

    Best of several, of one product that takes all cores by itself and of one on each device at once.

    Args:
        size: rows and columns.
        repeat: times each is tried.
        apart: try only one on each device, the way islands lie; quicker.
    """
    devices = jax.local_devices()
    by_device = NamedSharding(Mesh(np.asarray(devices), ("devices",)), PartitionSpec("devices"))
    best = 0.0
    for batch, where in ((len(devices), by_device), (1, devices[0]))[: 1 if apart else 2]:
        drawn = np.random.default_rng(_SEED).standard_normal((2, batch, size, size), np.float32)
        factors = [jax.device_put(each, where) for each in drawn]
        product = jax.jit(functools.partial(jnp.matmul, precision="highest")).lower(*factors).compile()
        seconds, _ = timed(functools.partial(_wait, product, factors), repeat)
        best = max(best, 2.0 * batch * size**3 / min(seconds) / 1e9)
    return best


class World:
    """A default world of a given size under full accounting, made once and compiled when first asked to turn.

    Attributes:
        size: of it.
        species: what lives in it.
        learning: what children inherit of what agents learned; `none` where they do not learn.
        settings: a default run's, but for its size, species and `CHARGES`, and with scars of both kinds.
        market: made-up bars without an edge, with all features and regimes.
        plan: over all devices.
        state: founders, then what the generations made of them.
    """

    def __init__(self, size: Size, species: str = "qnetwork", learning: str = "none") -> None:
        self.size, self.species, self.learning = size, species, learning
        self.settings = Settings.build(
            {
                "seed": _SEED,
                "broker": CHARGES,
                "species": {species: {}},
                "episodes": {"episodes": size.episodes, "bars": size.bars},
                "evolution": {"agents": size.agents, "islands": size.islands},
                "scars": {"enabled": True, "damage": True, "memory": {"enabled": True}},
                "learning": {"inheritance": learning},
            }
        )
        self.market = _market(self.settings)
        self.plan = make_plan(self.settings, len(self.market.features))
        self.state = spread(self.plan, found(self.plan, self.market.tape))
        self.compile_seconds = 0.0
        self._turn: jax.stages.Compiled | None = None

    @property
    def flops(self) -> int:
        """Of the brain's matrix products for one agent and bar, those of its updates shared out; 0 without any."""
        own, episodes = self.settings.learning, self.settings.episodes
        if not own.enabled:
            return self.plan.rollouts[0].species.products
        between = between_updates(episodes.bars, own) * episodes.episodes
        return self.plan.rollouts[0].species.products + self.update_products // between

    @property
    def update_products(self) -> int:
        """Of one update: the brain at both ends of a transition, its target at one, and the gradient of its weights."""
        return 4 * self.plan.rollouts[0].species.products * self.settings.learning.batch

    def compile(self) -> None:
        """Compile the generation, once."""
        if self._turn is None:
            began = time.perf_counter()
            self._turn = make_generation(self.plan).lower(self.state, self.market.tape).compile()
            self.compile_seconds = time.perf_counter() - began

    @property
    def array_bytes(self) -> int | None:
        """Bytes on all devices that the compiler reckons a generation with: in, out and between; None where unsaid."""
        self.compile()
        assert self._turn is not None
        said = self._turn.memory_analysis()
        if said is None:
            return None
        kept = said.argument_size_in_bytes + said.output_size_in_bytes - said.alias_size_in_bytes
        return int(self.plan.mesh.devices.size * (kept + said.temp_size_in_bytes))

    def turn(self) -> GenerationRecord:
        """Start one more generation; its record, on the device, without waiting for it."""
        self.compile()
        assert self._turn is not None
        self.state, made = self._turn(self.state, self.market.tape)
        record: GenerationRecord = made
        return record

    def measure_generation(self, repeat: int) -> Measurement:
        """The whole compiled generation: judging, scars, trust, memory, validation, archive, turn-over, migration."""
        self.compile()
        seconds, busy = timed(lambda: jax.block_until_ready((self.turn(), self.state)), repeat)
        return Measurement(self.size.agent_bars, seconds, busy, self.compile_seconds, self.flops)


def judging(world: World) -> jax.stages.Wrapped:
    """The compiled judging of a world, (populations, seed, tape) → (stats, scores), over devices, islands and blocks.

    Args:
        world: its plan and settings are used; what is judged is given to the function.
    """
    plan, settings, setup = world.plan, world.settings, world.plan.rollouts[0]

    def island(own: tuple[Population, Array], tape: Tape) -> Any:
        population, seed = own
        first = draw(fold(seed, 0, Purpose.EPISODES, 0), tape.train, 0, settings.episodes.episodes)
        market = window(tape, first, settings.episodes.bars, setup.species.context)
        rules = rules_at(setup.rules, tape, first)
        bars = groups_of(market.regime).sum(1)
        unknown = jnp.zeros((plan.slots, REGIMES))
        trader = Trader(population.genome, population.genes, population.memory, unknown)

        def block(own: Trader) -> Any:
            tally, _ = roll_out(setup, own, market, rules)
            return summarise(tally), case_scores(tally, bars, settings.fitness)

        return lax.map(
            block, jax.tree.map(lambda x: x.reshape(plan.slots // plan.block, plan.block, *x.shape[1:]), trader)
        )

    def every(populations: Population, seed: Array, tape: Tape) -> Any:
        spread, same = PartitionSpec("islands"), PartitionSpec()

        def local(populations: Population, seed: Array, tape: Tape) -> Any:
            return lax.map(lambda own: island(own, tape), (populations, seed))

        everywhere = jax.shard_map(
            local, mesh=plan.mesh, in_specs=(spread, spread, same), out_specs=spread, check_vma=False
        )
        with jax.default_matmul_precision(settings.device.precision):
            return everywhere(populations, seed, tape)

    return jax.jit(every, compiler_options=plan.compiler_options)


def measure_judging(world: World, repeat: int) -> Measurement:
    """Draw episodes, roll out, tally and score all agents; nothing else of a generation."""
    populations, seed = world.state.populations[0], world.state.seed
    began = time.perf_counter()
    compiled = judging(world).lower(populations, seed, world.market.tape).compile()
    took = time.perf_counter() - began
    seconds, busy = timed(lambda: jax.block_until_ready(compiled(populations, seed, world.market.tape)), repeat)
    return Measurement(world.size.agent_bars, seconds, busy, took, world.flops)


def measure_replay(bars: int, repeat: int) -> Measurement:
    """One account through the broker in float64 on the CPU, an order on most bars."""
    settings = Settings.build({"broker": CHARGES})
    market = _market(settings, max(bars, _TAPE) + 1)
    found = jax.tree.map(np.asarray, window(market.tape, jnp.zeros(1, jnp.int32), bars).bar)
    targets = np.random.default_rng(_SEED).choice([np.nan, -1.0, 0.0, 1.0], (bars, 1, 1))
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        met: Bar = jax.tree.map(lambda x: jnp.asarray(x if x.dtype == bool else x.astype(np.float64)), found)
        orders = Order(*(jnp.asarray(x) for x in (targets, np.full_like(targets, 0.02), np.full_like(targets, 0.03))))

        def through(account: Any, now: tuple[Bar, Order]) -> tuple[Any, Outcome]:
            outcome = step(account, now[1], now[0], settings.broker)
            return outcome.account, outcome

        def replay(met: Bar, orders: Order) -> Outcome:
            outcomes: Outcome = lax.scan(through, open_account(settings.broker, (1,), 1, jnp.float64), (met, orders))[1]
            return outcomes

        began = time.perf_counter()
        compiled = jax.jit(replay).lower(met, orders).compile()
        took = time.perf_counter() - began
        seconds, busy = timed(lambda: jax.block_until_ready(compiled(met, orders)), repeat)
    return Measurement(bars, seconds, busy, took)


def _market(settings: Settings, bars: int = _TAPE) -> Market:
    """A made-up market that pays nobody, ready to be played on."""
    return prepare(
        simulate(SyntheticSettings(bars=bars), _SEED),
        feature_settings=settings.features,
        regime_settings=settings.regimes,
        split_settings=settings.split,
        scaling_settings=settings.scaling,
        rules=settings.broker,
        costs=settings.costs,
        windows=WindowSettings(settings.episodes.bars, settings.episodes.validation, settings.episodes.stratum),
    )

"""What a run will need in memory, disk and time, from its sizes alone: said, and refused, before anything is compiled.

Every number is a sum of parts, and each part of memory knows the key that makes it smaller. The parts follow how
`arena.generation` works, and a test holds them to what the compiler itself says of a program. Time is counted in the
operations that the machine's own matrix product would do meanwhile, so one short trial of it serves for every study.
"""

import dataclasses
import math
import statistics
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import polars as pl

from arena.founding import found
from arena.life import between_updates
from arena.plan import Plan
from arena.rollout import Rollout
from arena.schemas import REGIME_NAMES
from arena.tally import GROUPS, REGIMES
from arena.turnover import BROOD
from experiments.configuration.study import RecordSettings
from experiments.hardware.machine import Speed, device_memory, disk_free, host_memory
from genomes.species import Asking, genome_form
from markets.errors import UserError
from markets.folds import padded
from markets.preparation import Market
from markets.source import FileSettings, IndexSettings, MarketSettings

__all__ = ["Estimate", "check_market", "check_room", "estimate", "size"]

_FLOAT = 4  # bytes
_PROGRAM = 1500 * 2**20  # Python, its libraries, one compiled generation and the table; most is the compiler's
_SPECIES = 150 * 2**20  # more for each further species in that program
_ISLAND = 4.5  # copies of one island's agents while it is judged and bred, beside those of all islands
_BORN = 8.0  # copies of the children that are made at once
_WALKED = 2.2  # copies of a device's agents that its two loops over islands leave
_ACCOUNT = 170  # floats of an account with its tally in the bar loop
_MARKET = 24  # floats of a bar's prices, costs and regime in a window
_CACHED = 32  # agents a block has at most where nobody asked for more
_TRAJECTORY = 1.5  # copies of what a block of agents that learn keeps of its windows
_LEARNT = 8.0  # copies of a brain while it is updated: its target, gradient, moments, and what they become
_LARGE = 2**20  # bytes of an agent that is itself what takes the room
_MARKET_ROW = 2000  # bytes a bar of a made-up market takes while it is drawn and its features are worked out

_BAR = 13_500.0  # operations an account's bar counts for: broker and tally
_DRAWN = 6_000.0  # a number of a child's genome: three random ones, chosen among parents
_LOOK_BACK = 8.0  # a bar of a scar's second look, in agent-bars: it is played alone, and looked at bar by bar
_KEPT = 2_000.0  # an account's bar in a trajectory, and the temptation to stray
_ANSWERS = (
    5.0  # answers of a brain that a transition takes: at both ends, of its target, and twice as much for the slope
)
_SHARED_ANSWERS = 2.0  # the same where brain and target have all but what they learn in common
_LAUNCHES = 60.0  # kernels a GPU starts for each bar of a block
_UPDATE_LAUNCHES = 150.0  # and for each update of one
_COMPILED = 17.0  # seconds a generation of one species takes to compile where `Speed.compile` is 1
_FURTHER = 0.6  # more of it for each further species
_LEARNING = 0.35  # more of it where agents learn
_CLOSING = 7.0  # seconds for the table at the end, where `Speed.compile` is 1

_RECENT = 20  # generations whose times are looked at
_FITNESS_BYTES = 36.0  # a fitness row on disk, compressed; measured on default runs
_OTHER_BYTES = 40.0  # a birth and a death
_GAINED = 0.5  # improvements of the archive a generation and replicate


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Needs of a run.

    Attributes:
        agent_bars: rolled out in training, a generation.
        state: bytes of the arena's state, and so of a checkpoint.
        arrays: bytes on this process's devices at the peak, by the key that makes the part smaller.
        program: bytes of main memory that are there whatever the sizes.
        on_host: whether the devices are cores, whose memory is the main memory.
        disk: bytes of the run directory at its end.
        compile_seconds: before the first generation; None where no speed was given, like the next.
        seconds: of a generation.
        closing_seconds: after the last.
    """

    agent_bars: int
    state: int
    arrays: dict[str, int]
    program: int
    on_host: bool
    disk: int
    compile_seconds: float | None = None
    seconds: float | None = None
    closing_seconds: float = 0.0

    @property
    def memory(self) -> int:
        """Bytes of main memory at the peak, of this process."""
        return self.program + (sum(self.arrays.values()) if self.on_host else self.state)

    def total_seconds(self, generations: int) -> float | None:
        """Of a run with so many generations to come."""
        if self.seconds is None or self.compile_seconds is None:
            return None
        return self.compile_seconds + generations * self.seconds + self.closing_seconds


def estimate(
    plan: Plan, market: Market, record: RecordSettings, generations: int, speed: Speed | None = None
) -> Estimate:
    """Needs of a run.

    Args:
        plan: of the run.
        market: it is played on.
        record: what is kept of it.
        generations: of it.
        speed: of the machine; without one nothing is said of time.

    Raises:
        UserError: sizes that no machine has numbers for.
    """
    settings = plan.settings
    agents = plan.places * plan.slots * len(plan.names)
    try:
        whole = jax.eval_shape(lambda: found(plan, market.tape))
    except (OverflowError, TypeError, ValueError) as error:  # beyond what an array's length can be written in
        raise UserError(
            f"evolution.agents: {plan.slots * plan.islands:,} agents of such a species need longer arrays than there "
            "can be; fewer agents, or a smaller species"
        ) from error
    state = _bytes(whole)
    share = {"all": 1.0, "births": settings.turnover.culled, "archive": 0.05}[record.fitness]
    rows = agents * len(REGIME_NAMES) * share
    born = agents * settings.turnover.culled * _OTHER_BYTES
    gained = _GAINED * plan.replicates * _bytes(whole.archive.traders) / max(plan.replicates * GROUPS, 1)
    disk = generations * (rows * _FITNESS_BYTES + born + gained) + (record.keep + 1) * state
    return Estimate(
        agent_bars=agents * settings.episodes.episodes * settings.episodes.bars,
        state=state,
        arrays=_arrays(plan, market, whole),
        # What founding leaves behind, and the copy of the state that a checkpoint is written from.
        program=_PROGRAM + (len(plan.names) - 1) * _SPECIES + 2 * state,
        on_host=plan.mesh.devices.flat[0].platform == "cpu",
        disk=int(disk),
        compile_seconds=None if speed is None else _compile_seconds(plan, speed),
        seconds=None if speed is None else _seconds(plan, market, speed),
        closing_seconds=0.0 if speed is None else _CLOSING * speed.compile,
    )


def measured(needs: Estimate, timings: pl.DataFrame) -> Estimate:
    """The same needs with the times a run has had so far, which know more than any estimate.

    Args:
        needs: as they were worked out.
        timings: the run's table.
    """
    compiled = timings.filter(pl.col("compile_seconds") > 0)["compile_seconds"]
    turns = timings["seconds"].tail(_RECENT)
    if not len(turns) or not len(compiled):
        return needs
    return dataclasses.replace(needs, compile_seconds=float(compiled[-1]), seconds=statistics.median(turns.to_list()))


def check_room(needs: Estimate, folder: Path) -> None:
    """See that the run fits this machine.

    Args:
        needs: of the run.
        folder: where it is written; it need not be there yet.

    Raises:
        UserError: more memory or disk than there is; the message names the key that asks for most of it.
    """
    key = max(needs.arrays, key=needs.arrays.__getitem__)
    there = host_memory()
    if there is not None and needs.memory > there:
        raise UserError(f"{key}: needs about {size(needs.memory)} of memory, {size(there)} are there; {_advice(key)}")
    on_devices = sum(needs.arrays.values())
    there = device_memory()
    if not needs.on_host and there is not None and on_devices > there:
        raise UserError(
            f"{key}: needs about {size(on_devices)} of device memory, {size(there)} are there; {_advice(key)}"
        )
    free, where = disk_free(folder)
    if needs.disk > free:
        raise UserError(
            f"runs_dir: needs about {size(needs.disk)} of disk, {size(free)} are free at {where}; "
            "name another folder, or keep less with record.fitness=archive"
        )


def check_market(market: MarketSettings, copies: int = 1) -> None:
    """See that the bars a market makes up fit this machine, before they are drawn.

    Args:
        market: its settings; files are as large as they are, and are not looked at.
        copies: how many times it is drawn.

    Raises:
        UserError: too many bars.
    """
    if isinstance(market.source, FileSettings | IndexSettings):
        return
    needed, there = market.source.bars * market.source.symbols * copies * _MARKET_ROW, host_memory()
    if there is not None and needed > there:
        raise UserError(
            f"market.bars: {market.source.bars:,} bars need about {size(needed)} of memory, {size(there)} are there; "
            "fewer of them, of market.symbols or of evolution.replicates"
        )


def size(count: float) -> str:
    """Bytes as people say them."""
    for unit, power in (("TiB", 40), ("GiB", 30)):
        if count >= 2**power:
            return f"{count / 2**power:,.1f} {unit}"
    return f"{count / 2**20:,.0f} MiB" if count >= 10 * 2**20 else f"{count / 2**20:,.1f} MiB"


def _arrays(plan: Plan, market: Market, whole: Any) -> dict[str, int]:
    """Bytes on this process's devices at the peak of a generation, by the key to change."""
    settings, everyone = plan.settings, int(plan.mesh.devices.size)
    devices = sum(device.process_index == jax.process_index() for device in plan.mesh.devices.flat)
    episodes, bars = settings.episodes.episodes, settings.episodes.bars
    windows, instruments = market.tape.validation.shape[-1], market.tape.atr.shape[1]
    here = plan.places // everyone
    walked = max(here, 2)  # a single island is walked as two (arena.generation._one_by_one)
    context = max(setup.species.context for setup in plan.rollouts)
    window = 2 * (bars + context) * instruments * _FLOAT * (plan.features + _MARKET)
    parts = {
        "market": _tape_bytes(market) * (1 + 1 / max(devices, 1)),
        "episodes.episodes": episodes * window,
        "episodes.validation": windows * window,
        "evolution.agents": 3.0 * _bytes(whole.archive),
        "archive.trials": 0.0,
        "device.block": 0.0,
        "scars.count": 0.0,
        "learning.batch": 0.0,
    }
    for kept in whole.reservoir:
        large = _bytes(kept.trader) > plan.places * plan.kept * _LARGE
        key = "evolution.agents" if large else "archive.trials"
        parts[key] += (1 + (here + 2.0 * walked) / plan.places) * _bytes(kept) / devices
    for setup, population in zip(plan.rollouts, whole.populations, strict=True):
        own = _bytes(population) / plan.places
        agents = f"species.{setup.species.name}" if own > plan.slots * _LARGE else "evolution.agents"
        copies = here + _WALKED * walked + _ISLAND + _BORN * min(BROOD / plan.slots, 1.0)
        judged = plan.slots * _FLOAT * (24 * GROUPS + episodes * (REGIMES + 2))
        parts[agents] = parts.get(agents, 0.0) + copies * own + (walked + 1) * judged
        account = instruments * _account_bytes(setup)
        played = "episodes.episodes" if plan.block <= _CACHED else "device.block"
        parts[played] += plan.block * episodes * account
        if settings.learning.enabled:
            kept, learned = _learning_bytes(plan, setup, instruments)
            parts[played] += kept
            parts["learning.batch"] += learned
        if settings.archive.enabled:
            parts["episodes.validation"] += min(settings.archive.candidates, plan.slots) * GROUPS * windows * account
        if settings.scars.enabled:
            parts["scars.count"] += min(settings.scars.count, plan.slots) * bars * account / setup.chunk
    return {key: int(devices * part) for key, part in parts.items()}


def _tape_bytes(market: Market) -> float:
    """Bytes of a tape on a device; where folds meet there are two."""
    if market.room is None:
        return float(_bytes(market.tape))
    return 2.0 * _bytes(jax.eval_shape(lambda tape: padded(tape, market.room), market.tape))


def _learning_bytes(plan: Plan, setup: Rollout, instruments: int) -> tuple[float, float]:
    """Bytes of what a block of agents keeps of its windows, and of an update of them all."""
    settings, species = plan.settings, setup.species
    seen, rows = species.shape.account, settings.episodes.episodes * instruments
    kept = rows * (seen * _FLOAT + 1) + settings.episodes.episodes * _FLOAT  # one bar of one agent
    shown = 2 * (species.context + 1) * plan.features
    row = 2 * seen + 3 * (species.units + len(species.shape.actions)) + 8
    brain = _LEARNT * _bytes(genome_form(species))
    own = settings.learning.batch * _FLOAT
    return _TRAJECTORY * plan.block * settings.episodes.bars * kept, own * shown + plan.block * (own * row + brain)


def _account_bytes(setup: Rollout) -> float:
    """Bytes of one account of a block: its tally, and what its brain says of a chunk of bars."""
    species = setup.species
    genome = genome_form(species)
    seen = jax.ShapeDtypeStruct((species.context + setup.chunk, 1, species.shape.features), jnp.float32)
    code = _bytes(jax.eval_shape(species.encode, genome, seen))
    return 2.0 * code + _FLOAT * (2 * _ACCOUNT + 2 * species.units + 4 * setup.chunk)


def _compile_seconds(plan: Plan, speed: Speed) -> float:
    """Seconds before the first generation."""
    learning = _LEARNING if plan.settings.learning.enabled else 0.0
    return _COMPILED * speed.compile * (1 + learning) * (1 + _FURTHER * (len(plan.names) - 1))


def _seconds(plan: Plan, market: Market, speed: Speed) -> float:
    """Seconds of a generation."""
    settings = plan.settings
    episodes, bars = settings.episodes.episodes, settings.episodes.bars
    windows, instruments = market.tape.validation.shape[-1], market.tape.atr.shape[1]
    own = settings.learning
    updates = bars // between_updates(bars, own) if own.enabled else 0
    work = 0.0
    for setup in plan.rollouts:
        numbers = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(genome_form(setup.species)))
        bar = instruments * (_BAR + setup.species.work)
        tried = GROUPS * settings.archive.candidates * windows if settings.archive.enabled else 0
        scarred = _LOOK_BACK * settings.scars.count if settings.scars.enabled else 0.0
        work += bar * bars * (plan.slots * episodes + tried + scarred) + _DRAWN * plan.slots * numbers
        if own.enabled:
            answers = _SHARED_ANSWERS if isinstance(setup.species, Asking) else _ANSWERS
            learned = updates * own.batch * answers * setup.species.work
            work += plan.slots * (_KEPT * instruments * bars * episodes + learned)
    here = plan.places / plan.mesh.devices.size
    blocks = here * len(plan.rollouts) * (plan.slots / plan.block + 2)
    launches = blocks * (bars * _LAUNCHES + updates * _UPDATE_LAUNCHES)
    return plan.places * work / speed.matrix + launches * speed.launch


def _advice(key: str) -> str:
    """What helps, by the key that asks for most."""
    return {
        "evolution.agents": "fewer evolution.agents or evolution.replicates",
        "device.block": "a smaller device.block, or fewer episodes.episodes",
        "episodes.episodes": "fewer episodes.episodes, or shorter ones with episodes.bars",
        "episodes.validation": "fewer episodes.validation, or shorter ones with episodes.bars",
        "scars.count": "fewer scars.count, or shorter episodes.bars",
        "learning.batch": "a smaller learning.batch",
        "archive.trials": "fewer archive.trials",
        "market": "fewer bars or symbols",
    }.get(key, "a smaller one, or fewer evolution.agents")


def _bytes(tree: Any) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))

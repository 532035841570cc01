"""What `arena bench` measures beyond the compiled core, and how results are gathered."""

import contextlib
import dataclasses
import functools
import importlib
import importlib.util
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from arena.bench import CHARGES, Measurement, Size, World, matrix_gflops, measure_judging, measure_replay, timed
from arena.frames import founder_frame
from arena.records import GenerationRecord
from arena.state import ArenaState
from experiments.bench.forms import form, latency_form, lineage_form, machine, rows_form, updates_form
from experiments.bench.latency import LATENCY, measure_latency
from experiments.bench.learning import measure_updates
from experiments.bench.lineage import FULL_LINEAGES, LINEAGE, QUICK_LINEAGES, Lineages, measure_lineage
from experiments.bench.names import NAMES, OPTIONAL, SCALED
from experiments.bench.novices import novice_bundle
from experiments.bench.rows import Rows, RowSize, measure_forests, measure_lightgbm, measure_xgboost
from experiments.configuration.study import RecordSettings
from experiments.hardware.machine import cores, peak_memory, use_cores
from experiments.runs.checkpoint import save_checkpoint
from experiments.runs.directory import RunDirectory
from experiments.runs.estimate import estimate
from experiments.runs.recording import Recorder
from markets.errors import UserError

__all__ = [
    "FULL",
    "QUICK",
    "Scale",
    "measure",
    "measure_recorded",
    "measure_scale",
    "measure_vectorbt",
    "recording_share",
]


@dataclasses.dataclass(frozen=True)
class Scale:
    """Sizes of everything.

    Attributes:
        base: of the worlds results are compared by.
        large: of those named `…_large`.
        replay: bars one account is replayed over.
        matrix: rows of the square matrices multiplied.
        rows: forests and rows of the results counted in rows.
        scaled: agents of the series that shows how cost grows.
        lineages: of the results about descent.
        decided: bars that a runner decides on.
    """

    base: Size
    large: Size
    replay: int
    matrix: int
    rows: RowSize
    scaled: tuple[int, ...] = SCALED
    lineages: Lineages = FULL_LINEAGES
    decided: int = 20_000


FULL = Scale(
    Size(1024, 32, 256),
    Size(4096, 32, 256),
    replay=100_000,
    matrix=4096,
    rows=RowSize(1024, 4096, tuple(2**power for power in range(10, 19))),
)
QUICK = Scale(
    Size(128, 16, 64),
    Size(256, 16, 64),
    replay=10_000,
    matrix=1024,
    rows=RowSize(128, 2048, (2**12, 2**15)),
    scaled=(128, 512, 2048),
    lineages=QUICK_LINEAGES,
    decided=2_000,
)

_ISLAND = 1024  # agents of an island in large worlds: what islands are for is that none grows with the population


def measure(
    scale: Scale, *, only: tuple[str, ...] = (), repeat: int = 5, progress: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Measure what is named, on all devices, and gather it in one plain mapping.

    Args:
        scale: sizes.
        only: names of `experiments.bench.names.NAMES`; everything where empty, but for libraries that are not there.
        repeat: times each is measured.
        progress: called with the name of what is measured next.

    Raises:
        UserError: a library asked for by name where it is not installed.
    """
    use_cores()
    _check(only)
    wanted = only or tuple(name for name in NAMES if name not in OPTIONAL or _has(OPTIONAL[name][0]))
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    progress("matrix product")
    gflops = matrix_gflops(scale.matrix if jax.default_backend() == "cpu" else 2 * scale.matrix)
    results = []
    for species, ending, learning, size, named in _worlds(scale):
        mine = [name for name in named if f"{name}{ending}" in wanted]
        if not mine:
            continue
        world = World(size, species, learning)
        for name in mine:
            progress(f"{name}{ending}")
            found = _WORLDLY[name](world, repeat)
            row = form(f"{name}{ending}", species, size, found, gflops)
            if name == "generation_recorded":
                row["recording_share"] = recording_share(world, repeat)
            results.append(row)
        del world
    if "replay_float64" in wanted:
        progress("replay_float64")
        results.append(
            form("replay_float64", None, Size(1, 1, scale.replay), measure_replay(scale.replay, repeat), gflops)
        )
    if "vectorbt_from_signals" in wanted:
        progress("vectorbt_from_signals")
        results.append(form("vectorbt_from_signals", None, scale.base, measure_vectorbt(scale.base, repeat), gflops))
    for name in (name for name in _ROWS if name in wanted):
        progress(name)
        results.append(rows_form(name, _ROWS[name](scale.rows, repeat)))
    for name in (name for name in _UPDATES if name in wanted):
        progress(name)
        species = _UPDATES[name]
        results.append(updates_form(name, species, measure_updates(species, scale.base, repeat), gflops))
    for name in (name for name in LINEAGE if name in wanted):
        progress(name)
        results.append(lineage_form(name, measure_lineage(name, scale.lineages, repeat)))
    results += _latencies(scale, [name for name in LATENCY if name in wanted], repeat, progress)
    results.sort(key=lambda row: NAMES.index(row["name"]))
    return {"machine": machine(load), "matrix_gflops": gflops, "results": results}


def measure_scale(scale: Scale, *, repeat: int = 5, progress: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Measure whole generations of ever more agents, smallest first, and what each takes in memory.

    Islands are the default four, and more where one would have above 1,024 agents. `peak_bytes` is the highest that the
    process had until then, so it belongs to the largest world so far.

    Args:
        scale: sizes; episodes and bars are those of `base`.
        repeat: times each is measured; the larger, the fewer.
        progress: called with the name of what is measured next.
    """
    use_cores()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    progress("matrix product")
    gflops = matrix_gflops(scale.matrix if jax.default_backend() == "cpu" else 2 * scale.matrix)
    results = []
    for agents in scale.scaled:
        name = f"scale_{agents}"
        progress(name)
        size = Size(agents, scale.base.episodes, scale.base.bars, islands=max(4, agents // _ISLAND))
        world = World(size)
        times = max(1, min(repeat, repeat * 4 * _ISLAND // agents))
        row = form(name, "qnetwork", size, world.measure_generation(times), gflops)
        needs = estimate(world.plan, world.market, RecordSettings(), 1)
        memory = {
            "array_bytes": world.array_bytes,
            "estimated_array_bytes": sum(needs.arrays.values()),
            "peak_bytes": peak_memory(),
            "estimated_bytes": needs.memory if needs.on_host else sum(needs.arrays.values()),
        }
        results.append({**row, **memory})
        del world
    return {"machine": machine(load), "matrix_gflops": gflops, "results": results}


def measure_recorded(world: World, repeat: int, settings: RecordSettings | None = None) -> Measurement:
    """Generations as a run has them: the last one's record becomes frames and Parquet while the next one computes.

    One repeat is the generations between two checkpoints, with the checkpoint; files go to a temporary folder.
    """
    settings = settings or RecordSettings()
    world.compile()
    with _recorded(world, settings) as between_checkpoints:
        seconds, busy = timed(between_checkpoints, repeat)
    return Measurement(
        world.size.agent_bars * settings.checkpoint, seconds, busy, world.compile_seconds or None, world.flops
    )


def recording_share(world: World, repeat: int, settings: RecordSettings | None = None) -> float:
    """Share of a run's time that recording and checkpoints take: the same generations with and without, in turn."""
    settings = settings or RecordSettings()
    world.compile()

    def bare() -> None:
        for _ in range(settings.checkpoint):
            world.turn()
        jax.block_until_ready(world.state)

    taken: dict[bool, list[float]] = {True: [], False: []}
    with _recorded(world, settings) as recorded:
        for _ in range(repeat):
            for kept, once in ((False, bare), (True, recorded)):
                began = time.perf_counter()
                once()
                taken[kept].append(time.perf_counter() - began)
    return 1.0 - statistics.median(taken[False]) / statistics.median(taken[True])


@contextlib.contextmanager
def _recorded(world: World, settings: RecordSettings) -> Iterator[Callable[[], None]]:
    """What plays and writes the generations between two checkpoints, in the order `arena evolve` does it.

    The last record and the checkpoint are written while the next generation computes, which here is the first of the
    next call.
    """
    plan = world.plan
    timing = {"seconds": 0.0, "compile_seconds": 0.0, "agent_bars_per_second": 0.0}
    with tempfile.TemporaryDirectory(prefix="arena-bench-") as folder:
        directory = RunDirectory(Path(folder))
        directory.create({})
        recorder = Recorder(directory, settings, plan.names, world.market.time, world.settings.fitness.bars)
        for name, population in zip(plan.names, world.state.populations, strict=True):
            recorder.founders([founder_frame(np.asarray(population.id), name)])
        waiting: tuple[GenerationRecord, ArenaState | None] | None = None

        def write(record: GenerationRecord, after: ArenaState | None) -> None:
            recorder.add(jax.device_get(record), timing)
            if after is not None:
                recorder.flush()
                save_checkpoint(directory, after, settings.keep)

        def between_checkpoints() -> None:
            nonlocal waiting
            for number in range(settings.checkpoint):
                record = world.turn()
                if waiting is not None:
                    write(*waiting)
                due = number + 1 == settings.checkpoint
                waiting = record, jax.tree.map(np.array, jax.device_get(world.state)) if due else None

        yield between_checkpoints
        if waiting is not None:
            write(*waiting)


def measure_vectorbt(size: Size, repeat: int) -> Measurement:
    """The accounting that vectorbt does of given signals, a column for each account: no brains, no tally by regime."""
    vectorbt = importlib.import_module("vectorbt")  # optional, so nothing of ours declares it
    random = np.random.default_rng(0)
    shape = (size.bars, size.agents * size.episodes)
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0, 0.003, shape), axis=0))
    signal = random.choice(3, shape, p=(0.8, 0.1, 0.1))

    def account() -> None:
        portfolio = vectorbt.Portfolio.from_signals(
            close,
            entries=signal == 1,
            short_entries=signal == 2,
            sl_stop=0.02,
            tp_stop=0.03,
            fees=CHARGES["commission"],
            slippage=CHARGES["slippage"],
            freq="1h",
        )
        portfolio.total_return()

    seconds, busy = timed(account, repeat)
    return Measurement(size.agent_bars, seconds, busy)


_WORLDLY: dict[str, Callable[[World, int], Measurement]] = {
    "qnetwork_judging": measure_judging,
    "qnetwork_all_on": World.measure_generation,
    "generation_recorded": measure_recorded,
    "forest_judging": measure_judging,
    "forest_all_on": World.measure_generation,
    "qnetwork_learning": World.measure_generation,
    "forest_learning": World.measure_generation,
}

_UPDATES = {"qnetwork_updates": "qnetwork", "forest_updates": "forest"}

_ROWS: dict[str, Callable[[RowSize, int], Rows]] = {
    "forest_rows_oblivious": functools.partial(measure_forests, "oblivious"),
    "forest_rows_ordinary": functools.partial(measure_forests, "ordinary"),
    "xgboost_rows": lambda size, repeat: measure_xgboost(size, repeat, cores()),
    "lightgbm_rows": lambda size, repeat: measure_lightgbm(size, repeat, cores()),
}


def _worlds(scale: Scale) -> Iterator[tuple[str, str, str, Size, tuple[str, ...]]]:
    """Species, ending of the names, what is inherited of what is learned, size, and the results of that world."""
    yield "qnetwork", "", "none", scale.base, NAMES[:3]
    yield "qnetwork", "_large", "none", scale.large, NAMES[:3]
    yield "forest", "", "none", scale.base, ("forest_judging", "forest_all_on")
    yield "qnetwork", "", "lamarckian", scale.base, ("qnetwork_learning",)
    yield "forest", "", "lamarckian", scale.base, ("forest_learning",)


def _latencies(
    scale: Scale, wanted: list[str], repeat: int, progress: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """How long a runner takes to decide, one species and backend after the other."""
    with tempfile.TemporaryDirectory(prefix="arena-bench-") as folder:
        for name in wanted:
            progress(name)
            species, backend = LATENCY[name]
            bundle = Path(folder) / species
            if not bundle.exists():
                novice_bundle(species, bundle)
            yield latency_form(name, species, measure_latency(bundle, backend, scale.decided, repeat))


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _check(names: tuple[str, ...]) -> None:
    """Refuse what was named and cannot be measured, before anything is."""
    for name in names:
        module, how = OPTIONAL.get(name, ("", ""))
        if module and not _has(module):
            raise UserError(f"{name}: {module} is not installed; {how}, or leave it out")

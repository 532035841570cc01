"""What `arena bench` measures beyond the compiled core, how results are gathered, and how they are shown."""

import dataclasses
import importlib
import importlib.util
import os
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.table import Table

from arena.bench import CHARGES, Measurement, Size, World, matrix_gflops, measure_judging, measure_replay, timed
from arena.frames import founder_frame
from arena.records import GenerationRecord
from experiments.bench import NAMES
from experiments.checkpoint import save_checkpoint
from experiments.recording import Recorder
from experiments.rundir import RunDirectory
from experiments.study import RecordSettings
from experiments.terminal import console, say
from markets.errors import UserError

__all__ = ["FULL", "QUICK", "Scale", "measure", "measure_recorded", "measure_vectorbt", "show"]


@dataclasses.dataclass(frozen=True)
class Scale:
    """Sizes of everything.

    Attributes:
        base: of the worlds results are compared by.
        large: of those named `…_large`.
        replay: bars one account is replayed over.
        matrix: rows of the square matrices multiplied.
    """

    base: Size
    large: Size
    replay: int
    matrix: int


FULL = Scale(Size(1024, 32, 256), Size(4096, 32, 256), replay=100_000, matrix=4096)
QUICK = Scale(Size(128, 16, 64), Size(256, 16, 64), replay=10_000, matrix=1024)


def measure(
    scale: Scale, *, only: tuple[str, ...] = (), repeat: int = 5, progress: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Measure what is named, on all devices, and gather it in one plain mapping.

    Args:
        scale: sizes.
        only: names of `experiments.bench.NAMES`; everything where empty, vectorbt if it is installed.
        repeat: times each is measured.
        progress: called with the name of what is measured next.

    Raises:
        UserError: vectorbt asked for by name where it is not installed.
    """
    _use_all_cores()
    wanted = only or tuple(name for name in NAMES if name != "vectorbt_from_signals" or _has_vectorbt())
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    progress("matrix product")
    gflops = matrix_gflops(scale.matrix if jax.default_backend() == "cpu" else 2 * scale.matrix)
    results = []
    for ending, size in (("", scale.base), ("_large", scale.large)):
        mine = [name for name in NAMES[:3] if f"{name}{ending}" in wanted]
        if not mine:
            continue
        world = World(size)
        for name in mine:
            progress(f"{name}{ending}")
            found = _WORLDLY[name](world, repeat)
            results.append(_row(f"{name}{ending}", "qnetwork", size, found, gflops))
    if "replay_float64" in wanted:
        progress("replay_float64")
        results.append(
            _row("replay_float64", None, Size(1, 1, scale.replay), measure_replay(scale.replay, repeat), gflops)
        )
    if "vectorbt_from_signals" in wanted:
        progress("vectorbt_from_signals")
        results.append(_row("vectorbt_from_signals", None, scale.base, measure_vectorbt(scale.base, repeat), gflops))
    return {"machine": _machine(load), "matrix_gflops": gflops, "results": results}


def measure_recorded(world: World, repeat: int, settings: RecordSettings | None = None) -> Measurement:
    """Generations as a run has them: the last one's record becomes frames and Parquet while the next one computes.

    One repeat is the generations between two checkpoints, with the checkpoint; files go to a temporary folder.
    """
    settings = settings or RecordSettings()
    world.compile()
    plan = world.plan
    with tempfile.TemporaryDirectory(prefix="arena-bench-") as folder:
        directory = RunDirectory(Path(folder))
        directory.create({})
        recorder = Recorder(directory, settings, plan.names, world.market.time, world.settings.fitness.bars)
        for name, population in zip(plan.names, world.state.populations, strict=True):
            recorder.founders([founder_frame(np.asarray(population.id), name)])
        timing = {"seconds": 0.0, "compile_seconds": 0.0, "agent_bars_per_second": 0.0}

        def between_checkpoints() -> None:
            waiting: GenerationRecord | None = None
            for _ in range(settings.checkpoint):
                record = world.turn()
                if waiting is not None:
                    recorder.add(jax.device_get(waiting), timing)
                waiting = record
            recorder.add(jax.device_get(waiting), timing)
            recorder.flush()
            save_checkpoint(directory, world.state, settings.keep)

        seconds, busy = timed(between_checkpoints, repeat)
    return Measurement(
        world.size.agent_bars * settings.checkpoint, seconds, busy, world.compile_seconds or None, world.flops
    )


def measure_vectorbt(size: Size, repeat: int) -> Measurement:
    """The accounting that vectorbt does of given signals, a column for each account: no brains, no tally by regime.

    Raises:
        UserError: vectorbt is not installed.
    """
    if not _has_vectorbt():
        raise UserError("vectorbt_from_signals: vectorbt is not installed; pip install vectorbt, or leave it out")
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


def show(found: dict[str, Any]) -> None:
    """Print results as a table within 80 columns."""
    machine = found["machine"]
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for title in ("agents", "M agent-bars/s", "from – to", "compile s", "of matrix"):
        table.add_column(title, justify="right")
    for row in found["results"]:
        compiled, share = row["compile_seconds"], row["matrix_share"]
        table.add_row(
            row["name"],
            f"{row['agents']:,}",
            f"{row['agent_bars_per_second'] / 1e6:.2f}",
            f"{row['least'] / 1e6:.2f} – {row['most'] / 1e6:.2f}",
            "–" if compiled is None else f"{compiled:.1f}",
            "–" if share is None else f"{share:.0%}",
        )
    load = "" if machine["load"] is None else f", load {machine['load']:.1f} before"
    say(f"{machine['devices']} × {machine['device']}, {machine['processor']}, {machine['cores']} cores{load}")
    say(f"float32 matrix product: {found['matrix_gflops']:,.0f} GFLOP/s")
    say()
    console.print(table)


_WORLDLY: dict[str, Callable[[World, int], Measurement]] = {
    "qnetwork_judging": measure_judging,
    "qnetwork_all_on": World.measure_generation,
    "generation_recorded": measure_recorded,
}


def _row(name: str, species: str | None, size: Size, found: Measurement, gflops: float) -> dict[str, Any]:
    least, median, most = found.rates
    return {
        "name": name,
        "species": species,
        "agents": size.agents,
        "episodes": size.episodes,
        "bars": size.bars,
        "agent_bars_per_second": median,
        "least": least,
        "most": most,
        "repeats": len(found.seconds),
        "compile_seconds": found.compile_seconds,
        "matrix_share": found.matrix_share(gflops),
        "cores_busy": found.busy,
    }


def _machine(load: float | None) -> dict[str, Any]:
    devices = jax.devices()
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": _cores(),
        "load": load,
        "backend": jax.default_backend(),
        "device": devices[0].device_kind,
        "devices": len(devices),
        "python": platform.python_version(),
        "jax": jax.__version__,
    }


def _processor() -> str:
    """The processor's name, as well as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _use_all_cores() -> None:
    """Let the cores of a CPU be devices, as a run does; must come before JAX first looks for any."""
    try:
        jax.config.update("jax_num_cpu_devices", _cores())
    except RuntimeError:  # JAX has started in this process
        return


def _has_vectorbt() -> bool:
    return importlib.util.find_spec("vectorbt") is not None

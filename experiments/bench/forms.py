"""The form of what `arena bench` says: a plain mapping for each result, and one for the machine."""

import platform
import statistics
from pathlib import Path
from typing import Any

import jax

from arena.bench import Measurement, Size
from experiments.bench.latency import QUANTILES, Waits
from experiments.bench.learning import Updates
from experiments.bench.lineage import Measured
from experiments.bench.rows import Rows
from experiments.hardware.machine import cores

__all__ = ["form", "latency_form", "lineage_form", "machine", "rows_form", "updates_form"]


def form(name: str, species: str | None, size: Size, found: Measurement, gflops: float) -> dict[str, Any]:
    """A result whose rate is of agent-bars."""
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


def rows_form(name: str, rows: Rows) -> dict[str, Any]:
    """A result in the form of all others, whose rate is of rows; nobody trades, so nothing is said of agent-bars."""
    size = Size(rows.forests, 1, rows.batch)
    row = form(name, "forest" if name.startswith("forest") else None, size, rows.found, 0.0)
    rate = row["agent_bars_per_second"]
    row |= {"agent_bars_per_second": None, "rows_per_second": rate, "outputs": rows.outputs}
    return row | ({"tried": dict(rows.tried)} if rows.tried else {})


def updates_form(name: str, species: str, updates: Updates, gflops: float) -> dict[str, Any]:
    """A result in the form of all others, whose rate is of updates; nobody trades."""
    row = form(name, species, Size(updates.agents, 1, updates.batch), updates.found, gflops)
    return row | {"agent_bars_per_second": None, "updates_per_second": row["agent_bars_per_second"]}


def lineage_form(name: str, measured: Measured) -> dict[str, Any]:
    """A result in the form of all others, whose rate is of agents asked about; nothing is traded or compiled."""
    found = Measurement(measured.agents, measured.seconds, measured.busy)
    row = form(name, None, Size(measured.agents, 0, 0), found, 0.0)
    rate = row["agent_bars_per_second"]
    return row | {
        "agent_bars_per_second": None,
        "agents_per_second": rate,
        "seconds": statistics.median(measured.seconds),
        "parts": measured.parts,
        "peak_bytes": measured.peak,
        "file_bytes": measured.size,
    }


def latency_form(name: str, species: str, waits: Waits) -> dict[str, Any]:
    """A result in the form of all others, in microseconds a decision; lowest and highest are `p99` of a repeat."""
    row = form(name, species, Size(1, 1, waits.bars), Measurement(waits.bars, waits.seconds, waits.busy), 0.0)
    places = {name: place for place, name in enumerate(QUANTILES)}
    clocked, worked = (
        {name: statistics.median(each[place] for each in found) for name, place in places.items()}
        for found in (waits.microseconds, waits.processor)
    )
    p99 = [each[places["p99"]] for each in waits.microseconds]
    own = {"microseconds": clocked, "processor_microseconds": worked, "least": min(p99), "most": max(p99)}
    return row | {"agent_bars_per_second": None, **own}


def machine(load: float | None) -> dict[str, Any]:
    """What it was measured on, with the load there was before."""
    devices = jax.devices()
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": cores(),
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

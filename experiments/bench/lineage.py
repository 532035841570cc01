"""What questions about descent cost: all metrics of ten million births, and a million of agents written as a tree.

Lineages are made by `experiments.lineage.neutral`, the same every time. Each result comes from a process of its own, so
that its peak of memory is its own; nothing here loads JAX.
"""

import dataclasses
import multiprocessing
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

import polars as pl

from experiments.lineage.metrics import metrics
from experiments.lineage.neutral import neutral, neutral_table
from experiments.lineage.newick import write_newick
from experiments.lineage.sweeps import coalescence, sweeps
from experiments.lineage.tree import Tree, extant, tree_of

Answer = TypeVar("Answer")

__all__ = ["FULL_LINEAGES", "LINEAGE", "QUICK_LINEAGES", "Lineages", "Measured", "measure_lineage"]


@dataclasses.dataclass(frozen=True)
class Lineages:
    """How many agents are asked about.

    Attributes:
        metrics: population, generations and share replaced of the lineage that is measured.
        export: the same of the one whose living, with their ancestors, are written.
    """

    metrics: tuple[int, int, float]
    export: tuple[int, int, float]


FULL_LINEAGES = Lineages(metrics=(2_000, 19_996, 0.25), export=(145_000, 75, 1.0))
QUICK_LINEAGES = Lineages(metrics=(500, 796, 0.25), export=(4_000, 50, 1.0))


@dataclasses.dataclass(frozen=True)
class Measured:
    """What one result took.

    Attributes:
        agents: that were asked about, or written.
        seconds: of each repeat.
        busy: cores kept at work, on average.
        parts: seconds of each part, medians over repeats.
        peak: most bytes the process had, with the lineage it was given; None where the system does not tell.
        size: bytes of the file written; None where none was.
    """

    agents: int
    seconds: tuple[float, ...]
    busy: float
    parts: dict[str, float]
    peak: int | None
    size: int | None = None


def measure_lineage(name: str, lineages: Lineages, repeat: int) -> Measured:
    """Measure one of `LINEAGE` in a process of its own.

    Args:
        name: which.
        lineages: how large.
        repeat: times it is measured; the first counts too, since nothing is compiled.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as apart:
        return apart.submit(LINEAGE[name], lineages, repeat).result()


def _metrics(lineages: Lineages, repeat: int) -> Measured:
    """From the table in memory to everything that is said of a lineage."""
    population, generations, replaced = lineages.metrics
    table = neutral_table(population, generations, replaced=replaced)
    return _timed(lambda clock: _ask(table, clock), table.height, repeat)


def _ask(table: pl.DataFrame, clock: "_Clock") -> None:
    tree = clock("tree", lambda: tree_of(table))
    clock("metrics of the living", lambda: metrics(tree))
    clock("metrics with extinct lines", lambda: metrics(tree, extinct=True))
    clock("coalescence", lambda: coalescence(tree))
    clock("sweeps", lambda: sweeps(tree))


def _export(lineages: Lineages, repeat: int) -> Measured:
    """From the tree of all who lived to a Newick file of the living and their ancestors."""
    population, generations, replaced = lineages.export
    tree = neutral(population, generations, replaced=replaced)
    with tempfile.TemporaryDirectory(prefix="arena-bench-") as folder:
        path = Path(folder) / "extant.nwk"
        found = _timed(lambda clock: _write(tree, path, clock), len(extant(tree)), repeat)
        return dataclasses.replace(found, size=path.stat().st_size)


def _write(tree: Tree, path: Path, clock: "_Clock") -> None:
    living = clock("prune", lambda: extant(Tree(tree.id, tree.parent, tree.second, tree.born, tree.died)))
    clock("write", lambda: write_newick(living, path))


LINEAGE: dict[str, Callable[[Lineages, int], Measured]] = {"lineage_metrics": _metrics, "lineage_export": _export}
"""Results about lineages, by name."""


class _Clock:
    """Seconds of the parts of one repeat."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}

    def __call__(self, name: str, part: Callable[[], Answer]) -> Answer:
        began = time.perf_counter()
        answer = part()
        self.parts[name] = time.perf_counter() - began
        return answer


def _timed(once: Callable[[_Clock], None], agents: int, repeat: int) -> Measured:
    """Do it so many times."""
    clocks = [_Clock() for _ in range(repeat)]
    began, worked = time.perf_counter(), time.process_time()
    for clock in clocks:
        once(clock)
    took, busy = time.perf_counter() - began, time.process_time() - worked
    parts = {name: statistics.median(clock.parts[name] for clock in clocks) for name in clocks[0].parts}
    return Measured(agents, tuple(sum(clock.parts.values()) for clock in clocks), busy / took, parts, _peak())


def _peak() -> int | None:
    """The most bytes of this process so far."""
    status = Path("/proc/self/status")
    if status.exists():  # `getrusage` counts the process that started this one too
        found = re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(encoding="ascii"), re.MULTILINE)
        if found is not None:
            return int(found[1]) * 1024
    try:
        import resource  # not on every system
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

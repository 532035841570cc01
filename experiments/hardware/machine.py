"""The machine a run finds itself on: cores, memory and disk that it may use, and how fast it multiplies.

Nothing here depends on a study. In a container what counts is what the container may have, not what the host has.
"""

import contextlib
import dataclasses
import math
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
from jaxtyping import Array

from arena.bench import matrix_gflops

__all__ = ["Speed", "cores", "device_memory", "disk_free", "host_memory", "measure_speed", "peak_memory", "use_cores"]

_TRIED = {"cpu": 768}  # rows of the matrices a CPU is tried with; a GPU needs larger ones to be busy
_TRIED_ELSEWHERE = 4096
_TRIAL = 0.2  # seconds the trial of the compiler takes on a machine whose `Speed.compile` is 1
_LAUNCH = 4e-6  # seconds a GPU takes to start a kernel; not measured by the trial


@dataclasses.dataclass(frozen=True)
class Speed:
    """How fast a machine is, as far as an estimate wants to know.

    Attributes:
        matrix: float32 operations a second of all devices, in a matrix product.
        compile: seconds to compile something, over those of the machine the figures in docs/performance.md are from.
        launch: seconds to start one kernel; next to nothing on a CPU.
    """

    matrix: float
    compile: float = 1.0
    launch: float = 0.0


def cores(root: Path = Path("/")) -> int:
    """Cores this process may run on: those it is bound to, or as many as its control groups' quota keeps busy.

    Args:
        root: of the file system that `proc` and `sys` are looked up in.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([bound, *map(math.ceil, _group_quotas(root))]))


def use_cores(most: int | None = None) -> None:
    """Let the cores of a CPU be devices; must come before JAX first looks for any, and does nothing after.

    Args:
        most: of them; None is all.
    """
    try:
        jax.config.update("jax_num_cpu_devices", min(most or cores(), cores()))
    except RuntimeError:  # JAX has started in this process: an earlier job of a sweep, or a notebook
        return


def host_memory(root: Path = Path("/")) -> int | None:
    """Bytes of main memory this process may have: the machine's, or its control groups' limit; None if unknown.

    Args:
        root: of the file system that `proc` and `sys` are looked up in.
    """
    limits = list(_group_limits(root))
    with contextlib.suppress(AttributeError, ValueError, OSError):
        limits.append(int(os.sysconf("SC_PHYS_PAGES")) * int(os.sysconf("SC_PAGE_SIZE")))
    return min(limits, default=None)


def disk_free(folder: Path) -> tuple[int, Path]:
    """Bytes free where a folder is or will be, and the nearest folder that is there already."""
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    return shutil.disk_usage(there).free, there


def device_memory() -> int | None:
    """Bytes that the devices of all processes may use together, where they tell; the cores of a CPU do not."""
    stats = [device.memory_stats() for device in jax.local_devices()]
    if all(each and "bytes_limit" in each for each in stats):
        own = sum(int(each["bytes_limit"]) for each in stats)
        return own * int(jax.process_count())
    return None


def peak_memory() -> int | None:
    """The most bytes so far: of the devices that tell, else of this process in main memory."""
    stats = [device.memory_stats() for device in jax.local_devices()]
    if all(each and "peak_bytes_in_use" in each for each in stats):
        return sum(int(each["peak_bytes_in_use"]) for each in stats)
    try:
        import resource  # not on every system
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def measure_speed() -> Speed:
    """How fast this machine is, from a trial of less than a second: on a busy machine, how fast it is now.

    One process tries its own devices and takes those of the others to be like them; none of them has to join in.
    """
    backend = jax.default_backend()
    began = time.perf_counter()
    jax.jit(_something).lower(jnp.zeros((8, 128))).compile()
    took = time.perf_counter() - began
    gflops = matrix_gflops(_TRIED.get(backend, _TRIED_ELSEWHERE), repeat=3, apart=True)
    return Speed(1e9 * gflops * jax.process_count(), took / _TRIAL, 0.0 if backend == "cpu" else _LAUNCH)


def _something(x: Array) -> Array:
    """Enough to keep a compiler busy for a moment: a loop over what is done to numbers one by one."""

    def once(carry: Array, now: Array) -> tuple[Array, Array]:
        for power in range(12):
            high = jnp.maximum(carry, now * power)
            carry = jnp.where(high > power, jnp.log1p(jnp.abs(carry)), carry + jnp.sqrt(jnp.abs(high)))
        return carry, carry.sum()

    return jax.lax.scan(once, x[0], x)[1]


def _group_limits(root: Path) -> Iterator[int]:
    """Bytes of memory that the control groups of this process allow, each from the inside out."""
    for folder, second in _groups(root, "memory"):
        text = _content(folder / ("memory.max" if second else "memory.limit_in_bytes"))
        if text.isdigit():
            yield int(text)


def _group_quotas(root: Path) -> Iterator[float]:
    """Cores' worth of time that the control groups of this process allow, each from the inside out."""
    for folder, second in _groups(root, "cpu"):
        if second:
            quota, _, period = _content(folder / "cpu.max").partition(" ")
        else:
            quota, period = (_content(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        if quota.isdigit() and period.isdigit() and int(period):  # otherwise "max", or -1: no quota
            yield int(quota) / int(period)


def _groups(root: Path, kind: str) -> Iterator[tuple[Path, bool]]:
    """Folders of the control groups this process is in (Linux), from the inside out.

    Args:
        root: of the file system.
        kind: of what they limit, as the first version names it.

    Yields:
        A folder, and whether it is one of the second version, which has one for all kinds.
    """
    for line in _content(root / "proc/self/cgroup").splitlines():
        _, kinds, group = line.split(":", 2)
        if kinds and kind not in kinds.split(","):
            continue
        base = root / "sys/fs/cgroup"
        # The first version mounts kinds that go together under their names in one, with a link for each.
        base = base / kind if kinds else base
        own = base / group.lstrip("/")
        # Inside a container its own group is mounted at the base, whatever name the host knows it by.
        for folder in (own, *own.parents):
            if folder == base or base in folder.parents:
                yield folder, not kinds


def _content(path: Path) -> str:
    """A small file's text; empty where there is none."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""

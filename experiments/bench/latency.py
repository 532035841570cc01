"""What a live bot waits for: `Champion.on_bar`, from a closed bar to a decision, features included.

Each result comes from a process of its own on one thread, which does nothing else: no JAX, no other library's threads.
Python's garbage collector is left as it is, and bars and accounts are made one by one, as a bot has them.
"""

import contextlib
import dataclasses
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agents.live import Account, Bar, Champion
from markets.bars import CLOSE, Bars
from markets.synthetic import SyntheticSettings, simulate

__all__ = ["LATENCY", "QUANTILES", "Backend", "Waits", "measure_latency"]

Backend = Literal["numpy", "onnx"]

LATENCY: dict[str, tuple[str, Backend]] = {
    "qnetwork_latency_numpy": ("qnetwork", "numpy"),
    "qnetwork_latency_onnx": ("qnetwork", "onnx"),
    "forest_latency_numpy": ("forest", "numpy"),
    "forest_latency_onnx": ("forest", "onnx"),
}
"""Species and backend of each result, by name."""

QUANTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
"""Of the waits of one repeat, by what they are called."""

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_SETTLING = 1_000  # decisions before the first that counts
_SEED = 20_260
_EQUITY = 10_000.0


@dataclasses.dataclass(frozen=True)
class Waits:
    """How long decisions took.

    Attributes:
        bars: decided on in each repeat; those that the champion passes over at once do not count.
        microseconds: of each repeat, its `QUANTILES` in their order, by the clock.
        processor: the same by processor time, which others on the core do not add to.
        seconds: of each repeat, all of its waits together.
        busy: cores kept at work, on average; below 1 means that others were on the core.
    """

    bars: int
    microseconds: tuple[tuple[float, ...], ...]
    processor: tuple[tuple[float, ...], ...]
    seconds: tuple[float, ...]
    busy: float


def measure_latency(bundle: Path, backend: Backend, bars: int, repeat: int) -> Waits:
    """Let a champion decide bar by bar, in a process of its own on one thread.

    Args:
        bundle: whose champion.
        backend: what works out action values.
        bars: of a made-up market, behind a full warm-up; the same in each repeat.
        repeat: times they are gone through, each from the same state.

    Raises:
        UserError: the bundle is none.
    """
    with _one_thread(), ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as apart:
        return apart.submit(_decide, str(bundle), backend, bars, repeat).result()


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Processes started meanwhile work out matrix products on one thread."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _decide(bundle: str, backend: Backend, bars: int, repeat: int) -> Waits:
    """The whole life of the process: warm up, settle, and go through the bars so many times."""
    champion = Champion.load(bundle, backend=backend)
    known = int(champion.manifest["warm_up"])
    (made,) = simulate(SyntheticSettings(bars=known + _SETTLING + bars), _SEED)
    champion.warm_up(made[:known])
    _play(champion, made[known : known + _SETTLING])
    before, rest = champion.state(), made[known + _SETTLING :]
    worked, began, found = time.process_time(), time.perf_counter(), []
    for _ in range(repeat):
        champion.restore(before)
        found.append(_play(champion, rest))
    busy = (time.process_time() - worked) / (time.perf_counter() - began)
    return Waits(
        bars=min(len(each) for each in found),
        microseconds=tuple(_quantiles(each[:, 0]) for each in found),
        processor=tuple(_quantiles(each[:, 1]) for each in found),
        seconds=tuple(float(each[:, 0].sum()) / 1e9 for each in found),
        busy=busy,
    )


def _quantiles(nanoseconds: NDArray[np.int64]) -> tuple[float, ...]:
    """Microseconds."""
    found: list[float] = np.quantile(nanoseconds / 1e3, list(QUANTILES.values())).tolist()
    return tuple(found)


def _play(champion: Champion, bars: Bars) -> NDArray[np.int64]:
    """Nanoseconds of each decision by the clock and of the processor [decisions, 2].

    The account holds what was asked for last, bought at the close.
    """
    waits, units, entry = [], 0.0, 0.0
    for row in range(len(bars)):
        bar = Bar(bars.time[row], bars.bid[row], bars.ask[row], float(bars.volume[row]))
        account = Account(_EQUITY, units, entry)
        worked, began = time.thread_time_ns(), time.perf_counter_ns()
        decision = champion.on_bar(bar, account)
        took = time.perf_counter_ns() - began, time.thread_time_ns() - worked
        if decision.action is not None:
            waits.append(took)
        if decision.target is not None:
            entry = (bar.bid[CLOSE] + bar.ask[CLOSE]) / 2
            units = decision.target * _EQUITY / entry
    return np.asarray(waits)

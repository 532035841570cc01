"""A process that lets `arena` commands live and die: each runs in a child of its own, killed with SIGKILL when told so.

Started as a script by test_kills.py. What costs seconds is done once: modules are imported and the market is solved
before the first child is forked (and nothing of JAX is started, which would not survive a fork), and the compiled
generation is handed from child to child as a file. Nothing in the packages knows of this: a child sees what it writes
through Python's audit events and through `Path.write_*`, and kills itself at the event it was given.

One request a line on standard input, one answer a line on standard output, both JSON.
"""

import contextlib
import json
import os
import pickle
import re
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from jax.experimental import serialize_executable
from plainly import plainly

import experiments.commands.evolve
import experiments.commands.resume  # noqa: F401
from arena.api import Arena
from experiments.cli import main
from experiments.configuration.compose import compose
from experiments.configuration.study import make_study
from experiments.runs import job
from experiments.runs.files import TEMPORARY
from markets.source import supply

_PATIENCE = 600.0  # seconds, the first compilation included
_STAMP = re.compile(rf"{re.escape(TEMPORARY)}\d+-")


class Mortality:
    """Kills this process at an event of writing.

    Args:
        folder: where events count.
        kind: `begin` and `half` of a file's content, `sync` of a file or folder, `rename`, `remove`; None is any.
        name: pattern of the path below the run's folder, without the mark of a temporary name.
        skip: how many such events pass before.
    """

    def __init__(self, folder: str, kind: str | None, name: str, skip: int) -> None:
        self._root = re.compile(re.escape(folder) + r"/[^/]+/?")
        self._kind, self._name, self._skip = kind, re.compile(name), skip
        sys.addaudithook(self._hear)
        for method in ("write_bytes", "write_text"):
            setattr(Path, method, self._writer(getattr(Path, method)))
        true_sync = os.fsync

        def sync(handle: int) -> None:
            self._event("sync", os.readlink(f"/proc/self/fd/{handle}"))
            true_sync(handle)

        if os.path.isdir("/proc/self/fd"):
            os.fsync = sync

    def _hear(self, event: str, words: tuple[Any, ...]) -> None:
        if event in ("os.rename", "os.remove"):
            self._event(event[3:], os.fspath(words[1 if event == "os.rename" else 0]))

    def _writer(self, true_write: Callable[..., int]) -> Callable[..., int]:
        def write(path: Path, content: Any, *args: Any, **options: Any) -> int:
            self._event("begin", str(path))
            if self._due("half", str(path)):
                true_write(path, content[: len(content) // 2], *args, **options)
                self._die()
            return true_write(path, content, *args, **options)

        return write

    def _event(self, kind: str, path: str) -> None:
        if self._due(kind, path):
            self._die()

    def _due(self, kind: str, path: str) -> bool:
        inside = self._root.match(path)
        if inside is None or self._kind not in (None, kind):
            return False
        if kind == "remove" and TEMPORARY in path:
            name = path[inside.end() :]
        else:
            name = _STAMP.sub("", path[inside.end() :])
        if not self._name.search(name):
            return False
        self._skip -= 1
        return self._skip < 0

    @staticmethod
    def _die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def hand_on_compiled(file: Path) -> None:
    """Let generations be compiled by the first child and loaded by all others."""
    true_compile = Arena.compile

    def compile_once(self: Arena) -> float:
        if self._compiled is None and file.exists():
            self._compiled = serialize_executable.deserialize_and_load(*pickle.loads(file.read_bytes()))
        if self._compiled is None:
            jax.config.update("jax_enable_compilation_cache", False)  # what comes from there cannot be handed on
            true_compile(self)
            jax.config.update("jax_enable_compilation_cache", True)
            file.write_bytes(pickle.dumps(serialize_executable.serialize(self._compiled)))
        return 0.0

    Arena.compile = compile_once


def live(request: dict[str, Any], said: Path, heard: int) -> None:
    """A child's whole life."""
    output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    true_step = Arena.step

    def step(self: Arena) -> Any:
        with contextlib.suppress(OSError):
            os.write(heard, b".")
        return true_step(self)

    Arena.step = step
    if request.get("event"):
        Mortality(request["folder"], *request["event"])
    code = 1
    try:
        code = main(request["words"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def answer(request: dict[str, Any], said: Path) -> dict[str, Any]:
    """Let a child live until it ends by itself, by its event, or by the clock from its first generation on."""
    hear, heard = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(hear)
        live(request, said, heard)
    os.close(heard)
    until = time.monotonic() + _PATIENCE
    clock = request.get("clock")
    if clock is not None:
        select.select([hear], [], [], _PATIENCE)  # its first step, or its end
        until = time.monotonic() + clock
    code: int | None = None
    while code is None:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
        elif time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            until += _PATIENCE
        else:
            time.sleep(0.002)
    os.close(hear)
    return {"code": code, "said": said.read_text()}


def make_ready(words: list[str]) -> None:
    """What every child of that study would do anew: Hydra's grammar is read, and θ of the market is found."""
    supply(make_study(compose(words)).market, 0)


if __name__ == "__main__":
    home = Path(sys.argv[1])
    make_ready(sys.argv[2:])
    hand_on_compiled(home / "compiled")
    job.standings_lines = lambda *args: []  # the table at the end costs seconds and is no part of this
    job.standings = lambda *args: None
    if hasattr(job, "measure_speed"):
        job.measure_speed = lambda *args: None
    with plainly():
        for line in sys.stdin:
            print(json.dumps(answer(json.loads(line), home / "said")), flush=True)

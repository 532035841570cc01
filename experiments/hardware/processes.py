"""The processes of one run: how they find each other, agree, and fail together.

Every process runs the same program on the islands of its own devices; what crosses processes inside a generation is
JAX's affair (`jax.distributed`). Beside that the processes talk over plain connections to process 0, between
generations: whether all were given the same, whether anybody was asked to stop, what went wrong. JAX ends a process
hard where another never comes, so they meet here first, and JAX starts only when all are there.

A process says what it has to say, then hears what all of them said. So they must all come to the same exchanges in the
same order; only what concerns one process alone (reading bars, writing files) may stand between them, under `together`.
"""

import atexit
import contextlib
import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from arena.settings import DeviceSettings
from arena.sharding import on_host, put
from experiments.exits import FAULT, INTERRUPTED, MISTAKE
from experiments.hardware.launchers import Place, find_place
from experiments.hardware.meeting import LOCAL, MOMENT, meet, receive, send
from experiments.mistakes import lines_of
from markets.errors import UserError

__all__ = ["ALONE", "Processes", "acquaint", "join"]

T = TypeVar("T")

_PARTING = 30  # seconds that we, and then JAX, wait for the others when a process ends


class Processes:
    """The processes of a run, as one of them sees them.

    Args:
        number: of this process.
        count: how many there are.
        links: connections: of process 0 to each other one in order, of the others to process 0.
    """

    def __init__(self, number: int = 0, count: int = 1, links: Sequence[socket.socket] = ()) -> None:
        self.number, self.count, self._links = number, count, list(links)
        self._code: int | None = None

    @property
    def first(self) -> bool:
        """Whether this is process 0, which alone reads and writes the run's directory."""
        return self.number == 0

    def exchange(self, word: str) -> list[str]:
        """What every process says, in their order.

        Raises:
            UserError: a process is gone.
        """
        if self.count == 1:
            return [word]
        with self._heeding():
            if not self.first:
                self._send(0, word.encode())
                heard: list[str] = json.loads(self._receive(0))
                return heard
            words = [word, *(self._receive(other).decode() for other in self._others)]
            for other in self._others:
                self._send(other, json.dumps(words).encode())
            return words

    def any(self, asked: bool) -> bool:
        """Whether it is so on any process."""
        return "yes" in self.exchange("yes" if asked else "no")

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Let what goes wrong on one process end all of them, each with a line that says where it went wrong."""
        try:
            with self._heeding():
                yield
        except Exception as error:
            if self.count > 1:
                with contextlib.suppress(UserError):
                    self.exchange(" ".join(str(error).split()) or type(error).__name__)
            raise
        for number, complaint in enumerate(self.exchange("")):
            if complaint:
                raise UserError(f"process {number}: {complaint}")

    @contextlib.contextmanager
    def spanning(self) -> Iterator[None]:
        """Around what the processes do inside JAX, so that it is said in one line where a process is gone."""
        try:
            with self._heeding():
                yield
        except Exception as error:
            missing = self._missing()
            self.close(FAULT if missing is None and lines_of(error) is None else MISTAKE)
            if missing is None:
                raise
            raise self._gone(missing) from error

    def compare(self, own: Mapping[str, Any]) -> None:
        """See that all processes were given the same.

        Args:
            own: by name; plain values.

        Raises:
            UserError: a name whose value differs, on every process alike.
        """
        first, *others = (json.loads(word) for word in self.exchange(json.dumps(own)))
        for number, other in enumerate(others, start=1):
            for name in (*first, *other):
                if name not in first or name not in other or first[name] != other[name]:
                    values = " and ".join(json.dumps(each.get(name))[:40] for each in (first, other))
                    raise UserError(
                        f"{name}: differs between process 0 and process {number} ({values}); give all the same"
                    )

    def share(self, tree: T | None, like: T) -> T | None:
        """A tree of arrays that process 0 has, on every process.

        Args:
            tree: what process 0 has, or None; of no account elsewhere.
            like: a tree of its form; only shapes and types count.

        Returns:
            The tree, with NumPy arrays; None where process 0 has none.
        """
        if self.count == 1 or not self.any(self.first and tree is not None):
            return tree if self.count == 1 else None
        with self._heeding():
            if self.first:
                for leaf in jax.tree.leaves(tree):
                    content = np.asarray(leaf, order="C").tobytes()
                    for other in self._others:
                        self._send(other, content)
                return tree
            received = [
                np.frombuffer(self._receive(0), leaf.dtype).reshape(leaf.shape).copy() for leaf in jax.tree.leaves(like)
            ]
        return cast(T, jax.tree.unflatten(jax.tree.structure(like), received))

    def close(self, code: int) -> None:
        """Leave before the end, with an exit code; the others hear of it when they next listen."""
        self._code = code if self._code is None else self._code
        for link in self._links:
            link.close()

    def part(self) -> None:
        """End together with the others; where one of them is gone, end at once, for JAX would wait for it in vain."""
        if self._code is None:
            for link in self._links:
                link.settimeout(_PARTING)
            try:
                self.exchange("ended before the others")
                return
            except (KeyboardInterrupt, UserError, ValueError):
                self._code = FAULT if self._code is None else self._code
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(self._code)

    @property
    def _others(self) -> Sequence[int]:
        """Whom this process is connected to."""
        return range(1, self.count) if self.first else (0,)

    @contextlib.contextmanager
    def _heeding(self) -> Iterator[None]:
        """Leave as one that was interrupted where the user stops this process at once, so that nobody waits for it."""
        try:
            yield
        except Exception:
            raise
        except BaseException:
            self.close(INTERRUPTED)
            raise

    def _missing(self) -> int | None:
        """A process whose connection has ended, if there is one."""
        for other in self._others:
            link = self._link(other)
            try:
                link.settimeout(MOMENT)
                if not link.recv(1, socket.MSG_PEEK):
                    return other
            except TimeoutError:
                continue
            except OSError:
                return other
        return None

    def _send(self, other: int, content: bytes) -> None:
        try:
            send(self._link(other), content)
        except OSError:
            raise self._gone(other) from None

    def _receive(self, other: int) -> bytes:
        try:
            return receive(self._link(other))
        except OSError:
            raise self._gone(other) from None

    def _link(self, other: int) -> socket.socket:
        return self._links[other - 1 if self.first else 0]

    def _gone(self, other: int) -> UserError:
        self.close(MISTAKE)
        return UserError(
            f"process {other}: gone, stopped at once or lost with its machine; start all again to go on from the last "
            "checkpoint"
        )


ALONE = Processes()
"""The only process of a run."""

_joined: dict[str, Processes] = {}
"""What this process has joined; JAX can be joined only once."""


def join(device: DeviceSettings) -> Processes:
    """Join the other processes of a run, if there are any, and have JAX span them all; once in a process.

    JAX must not have looked for devices yet.

    Raises:
        UserError: the others do not come in time, or are started otherwise than this one.
    """
    place = find_place(device)
    if place is None:
        return ALONE
    key = f"{place.host}:{place.port}"
    if key not in _joined:
        links, port = meet(place, device.timeout)
        processes = Processes(place.number, place.count, links)
        with processes.together():
            _start_jax(place, port, device.timeout)
        _joined[key] = processes
        atexit.register(processes.part)  # before JAX, which waits for the others when it ends
    return _joined[key]


def acquaint(mesh: Mesh) -> None:
    """Have the devices of a mesh connect; Gloo says on standard output that it did, where only our own belongs."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        on_host(put(np.zeros(mesh.size), NamedSharding(mesh, PartitionSpec("islands"))))
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _start_jax(place: Place, port: int, timeout: int) -> None:
    # JAX would take over SIGTERM, which is ours (`experiments.runs.interruption`).
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            f"{place.host}:{port}",
            place.count,
            place.number,
            cluster_detection_method="deactivate",
            coordinator_bind_address=f"{place.host}:{port}" if place.host in LOCAL else None,
            initialization_timeout=timeout,
            shutdown_timeout_seconds=_PARTING,
        )
    except RuntimeError as error:
        raise UserError(f"device.processes: JAX cannot span the processes ({str(error).splitlines()[0]})") from error
    jax.devices()  # All processes tell each other what they have, now that all are here.

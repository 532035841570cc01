"""Where the processes of a run find each other: each but process 0 connects to it, and all wait until all are there.

What goes over a connection goes in frames: eight bytes of length, then as many bytes.
"""

import contextlib
import json
import socket
import struct
import time

from experiments.hardware.launchers import Place
from markets.errors import UserError

__all__ = ["LOCAL", "MOMENT", "meet", "receive", "send"]

LOCAL = ("localhost", "127.0.0.1", "::1")
"""Names of a machine that only it can be reached under."""

MOMENT = 5.0
"""Seconds a stranger has to say who it is, or the end of a process to be noticed."""

_PAUSE = 0.1  # seconds between two tries to reach process 0
_LONGEST = 65536  # bytes of a greeting and of its answer, which may tell a mistake
_NONSENSE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What comes of reading what a stranger says."""


class _StrangerError(ConnectionError):
    """What is at the other side speaks otherwise than we do."""


def meet(place: Place, timeout: int) -> tuple[list[socket.socket], int]:
    """Wait until all processes of a run are there.

    Args:
        place: of this process.
        timeout: seconds to wait.

    Returns:
        Connections (of process 0 to each other one in order, of the others to process 0), and a port that is free on
        the machine of process 0.

    Raises:
        UserError: somebody does not come in time, or says that there are more or fewer; or something else listens where
            process 0 should.
    """
    deadline = time.monotonic() + timeout
    if place.number:
        link = _knock(place, deadline, timeout)
        try:
            send(link, json.dumps({"arena": place.number, "of": place.count}).encode())
            link.settimeout(timeout + MOMENT)
            welcome = json.loads(receive(link, _LONGEST))
            error = welcome.get("error")
            port = 0 if error else int(welcome["port"])
        except (_StrangerError, *_NONSENSE):
            link.close()
            raise UserError(
                f"device.coordinator: what answers at {place.host}:{place.port} is no process of this run"
            ) from None
        except OSError:
            raise UserError("process 0: gone before all were there; start all again") from None
        if error:
            raise UserError(str(error))
        link.settimeout(None)
        return [link], port
    links: dict[int, socket.socket] = {}
    try:
        with _listen(place) as server:
            while len(links) < place.count - 1:
                _let_in(server, links, place, deadline, timeout)
        with socket.create_server(("", 0)) as free:
            port = int(free.getsockname()[1])
    except UserError as error:
        for link in links.values():
            with contextlib.suppress(OSError):
                send(link, json.dumps({"error": str(error)}).encode())
            link.close()
        raise
    for number, link in links.items():
        try:
            send(link, json.dumps({"port": port}).encode())
        except OSError:
            raise UserError(f"process {number}: gone before all were there; start all again") from None
    return [links[number] for number in sorted(links)], port


def _listen(place: Place) -> socket.socket:
    try:
        if place.host in LOCAL:
            family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
            return socket.create_server((place.host, place.port), family=family)
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        return socket.create_server(("", place.port), family=family, dualstack_ipv6=both)
    except OSError as error:
        raise UserError(
            f"device.coordinator: port {place.port} cannot be used here ({error.strerror}); name another to all"
        ) from None


def _let_in(
    server: socket.socket, links: dict[int, socket.socket], place: Place, deadline: float, timeout: int
) -> None:
    """Take one more process in; whoever is none of the run's is sent away."""
    try:
        server.settimeout(max(deadline - time.monotonic(), 0.01))
        link, _ = server.accept()
    except TimeoutError:
        missing = [str(number) for number in range(1, place.count) if number not in links]
        raise UserError(
            f"device.processes: process {', '.join(missing)} of {place.count} did not come to "
            f"{place.host}:{place.port} within {timeout} s; start every process, or say how many there are"
        ) from None
    try:
        link.settimeout(MOMENT)
        said = json.loads(receive(link, _LONGEST))
        number, count = int(said["arena"]), int(said["of"])
    except (OSError, *_NONSENSE):
        link.close()
        return
    _keep(link)
    wrong = ""
    if count != place.count:
        wrong = f"device.processes: process {number} was told of {count} processes, process 0 of {place.count}"
    elif number in links:
        wrong = f"device.process: {number} was given to two processes; number them from 0"
    links[-1 if wrong else number] = link  # also whoever is wrong is told so
    if wrong:
        raise UserError(wrong)


def _knock(place: Place, deadline: float, timeout: int) -> socket.socket:
    """Reach process 0, which may be started later."""
    while True:
        try:
            link = socket.create_connection((place.host, place.port), timeout=MOMENT)
            _keep(link)
            return link
        except socket.gaierror as error:
            raise UserError(f"device.coordinator: {place.host} is no machine known here ({error.strerror})") from None
        except OSError as error:
            if time.monotonic() > deadline:
                raise UserError(
                    f"device.coordinator: nobody answered at {place.host}:{place.port} within {timeout} s "
                    f"({error.strerror or error}); process 0 is started there"
                ) from None
            time.sleep(_PAUSE)


def _keep(link: socket.socket) -> None:
    """Wait as long as it takes, send at once, and notice a machine that is gone."""
    link.settimeout(None)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def send(link: socket.socket, content: bytes) -> None:
    """Send a frame.

    Raises:
        OSError: the other side is gone.
    """
    link.sendall(struct.pack("!Q", len(content)) + content)


def receive(link: socket.socket, most: int | None = None) -> bytes:
    """Wait for a frame.

    Raises:
        OSError: the other side is gone, or would say more than `most` bytes and so is none of ours.
    """
    (length,) = struct.unpack("!Q", _exactly(link, 8))
    if most is not None and length > most:
        raise _StrangerError
    return _exactly(link, length)


def _exactly(link: socket.socket, length: int) -> bytes:
    content = bytearray(length)
    view, filled = memoryview(content), 0
    while filled < length:
        count = link.recv_into(view[filled:])
        if not count:
            raise ConnectionError("closed")
        filled += count
    return bytes(content)

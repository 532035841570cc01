"""How processes of a run meet, agree and fail together, with threads in their place; and who says which is which."""

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from arena.settings import DeviceSettings, Settings
from experiments.hardware import processes
from experiments.hardware.launchers import Place, find_place
from experiments.hardware.meeting import meet
from experiments.hardware.processes import ALONE, Processes
from markets.errors import UserError

COUNT = 3


def frame(content: bytes) -> bytes:
    return struct.pack("!Q", len(content)) + content


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def each(what: Callable[[Processes], Any], count: int = COUNT) -> list[Any]:
    """What every process gets, or what it raises, in their order."""
    port = free_port()

    def one(number: int) -> Any:
        processes = Processes(number, count, meet(Place(number, count, "127.0.0.1", port), 20)[0])
        try:
            return what(processes)
        except BaseException as error:
            return error
        finally:
            processes.close(0)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


@pytest.fixture
def parted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Processes], int | None]:
    """The exit code with which a process parts from the others; None where it is left as it was."""

    codes: list[int] = []

    def leave(code: int) -> None:
        codes.append(code)
        raise SystemExit

    def part(own: Processes) -> int | None:
        with contextlib.suppress(SystemExit):
            own.part()
        return codes[-1] if codes else None

    monkeypatch.setattr(os, "_exit", leave)
    return part


def test_everybody_hears_what_everybody_says() -> None:
    long = "ä" * 100_000
    assert each(lambda own: own.exchange(f"{own.number}{long}")) == [[f"{n}{long}" for n in range(COUNT)]] * COUNT
    assert ALONE.exchange("alone") == ["alone"]


@pytest.mark.parametrize("who", [None, 0, 2])
def test_one_that_is_asked_to_stop_stops_all(who: int | None) -> None:
    assert each(lambda own: own.any(own.number == who)) == [who is not None] * COUNT


def test_what_goes_wrong_on_one_ends_all_with_its_own_words() -> None:
    def fail(own: Processes) -> None:
        with own.together():
            pass
        with own.together():
            if own.number == 1:
                raise OSError("no\nspace")

    first, second, third = each(fail)
    assert isinstance(second, OSError)
    for other in (first, third):
        assert isinstance(other, UserError)
        assert str(other) == "process 1: no space"


def test_one_that_leaves_at_once_is_missed_by_all() -> None:
    def leave(own: Processes) -> None:
        with own.together():
            if own.number == 1:
                raise KeyboardInterrupt
        own.any(False)

    first, second, third = each(leave)
    assert isinstance(second, KeyboardInterrupt)
    assert str(first).startswith("process 1: gone")
    assert str(third).startswith("process 0: gone")


def test_a_failure_inside_jax_is_told_as_what_it_is() -> None:
    def fail(own: Processes) -> None:
        with own.spanning():
            if own.number == 1:
                own.close(0)
                return
            raise ValueError("Gloo all-reduce failed")

    first, _ = each(fail, 2)
    assert isinstance(first, UserError)
    assert str(first).startswith("process 1: gone")
    with pytest.raises(ValueError, match="bug"), Processes().spanning():
        raise ValueError("bug")


@pytest.mark.parametrize(
    ("error", "lost", "code"),
    [
        (ValueError("Gloo all-reduce failed"), True, 2),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes"), False, 2),
        (ValueError("ours"), False, 1),
    ],
)
def test_after_a_failure_inside_jax_the_exit_code_is_that_of_the_line(
    error: Exception, lost: bool, code: int, parted: Callable[[Processes], int | None]
) -> None:
    near, far = socket.socketpair()
    own = Processes(0, 2, [near])
    with far:
        if lost:
            far.close()
        with pytest.raises(UserError if lost else type(error)), own.spanning():
            raise error
        assert parted(own) == code


def nothing_together(own: Processes) -> None:
    with own.together():
        pass


@pytest.mark.parametrize(
    "at",
    [
        lambda own: own.any(False),
        lambda own: own.share(None, {"a": np.zeros(3)}),
        nothing_together,
        lambda own: own.part(),
    ],
)
@pytest.mark.parametrize("number", [0, 1])
def test_one_that_is_stopped_at_once_while_it_waits_ends_as_interrupted(
    at: Callable[[Processes], Any],
    number: int,
    parted: Callable[[Processes], int | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stopped(link: socket.socket) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(processes, "receive", stopped)
    near, far = socket.socketpair()
    own = Processes(number, 2, [near])
    with far, pytest.raises((KeyboardInterrupt, SystemExit)):
        at(own)
    assert parted(own) == 130


def test_one_that_is_slow_to_end_is_waited_for(
    parted: Callable[[Processes], int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "MOMENT", 0.01)
    near, far = socket.socketpair()
    other = threading.Timer(0.3, Processes(0, 2, [far]).exchange, [""])
    other.start()
    assert parted(Processes(1, 2, [near])) is None
    other.join(10)
    far.close()
    near.close()


def test_what_they_were_given_must_be_the_same() -> None:
    given = {"seed": 0, "costs": {"A": [1.5, None]}, "only": True}
    assert each(lambda own: own.compare(given)) == [None] * COUNT
    for other in ({**given, "seed": 1}, {key: given[key] for key in ("seed", "costs")}, {**given, "more": 1}):
        key = next(key for key in (*given, *other) if given.get(key) != other.get(key))
        for found in each(lambda own, other=other: own.compare(other if own.number == 2 else given)):
            assert isinstance(found, UserError)
            assert str(found).startswith(f"{key}: differs between process 0 and process 2")


def test_a_tree_of_process_0_comes_to_all_bit_by_bit() -> None:
    tree = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": (np.array(2**32 - 1, np.uint32), np.zeros((0, 4)))}

    def share(own: Processes) -> Any:
        assert own.share(None, tree) is None
        return own.share(tree if own.first else None, tree)

    for found in each(share):
        assert found["a"].dtype == np.float32
        np.testing.assert_array_equal(found["a"], tree["a"])
        assert found["b"][0] == tree["b"][0]
        assert found["b"][1].shape == (0, 4)


def test_whoever_does_not_come_is_named_on_every_process_that_did() -> None:
    port = free_port()

    def one(number: int) -> str:
        with pytest.raises(UserError) as found:
            meet(Place(number, COUNT, "127.0.0.1", port), 1)
        return str(found.value)

    with ThreadPoolExecutor(2) as pool:
        for said in pool.map(one, (0, 2)):
            assert said.startswith(f"device.processes: process 1 of 3 did not come to 127.0.0.1:{port} within 1 s")


def test_without_process_0_the_address_is_named() -> None:
    port = free_port()
    with pytest.raises(UserError, match=rf"device\.coordinator: nobody answered at 127\.0\.0\.1:{port} within 1 s"):
        meet(Place(1, 2, "127.0.0.1", port), 1)
    with pytest.raises(UserError, match=r"device\.coordinator: host\.invalid is no machine known here"):
        meet(Place(1, 2, "host.invalid", port), 1)


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(UserError, match=rf"device\.coordinator: port {port} cannot be used here"):
            meet(Place(0, 2, "127.0.0.1", port), 1)


@pytest.mark.parametrize(
    ("others", "says"),
    [
        ([(1, 3), (1, 3)], "device.process: 1 was given to two processes"),
        ([(2, 4)], "device.processes: process 2 was told of 4 processes, process 0 of 3"),
    ],
)
def test_processes_that_contradict_each_other_are_refused(others: list[tuple[int, int]], says: str) -> None:
    port = free_port()

    def one(place: tuple[int, int]) -> str:
        with pytest.raises(UserError) as found:
            meet(Place(*place, "127.0.0.1", port), 20)
        return str(found.value)

    with ThreadPoolExecutor(3) as pool:
        for said in pool.map(one, [(0, 3), *others]):
            assert said.startswith(says)


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\n\r\n", frame(b"abc"), frame(b"[]"), frame(b"[" * 4000)])
def test_a_stranger_is_sent_away_and_the_run_begins(said: bytes) -> None:
    port = free_port()
    met = threading.Event()

    def stranger() -> None:
        while not met.is_set():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as link:
                link.sendall(said)
                return

    def one(number: int) -> list[str]:
        if number:
            knocking.join(10)
        processes = Processes(number, 2, meet(Place(number, 2, "127.0.0.1", port), 20)[0])
        met.set()
        heard = processes.exchange(str(number))
        processes.close(0)
        return heard

    knocking = threading.Thread(target=stranger)
    knocking.start()
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(one, (0, 1))) == [["0", "1"]] * 2


@pytest.mark.parametrize(
    "banner",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        *map(frame, (b"{", b"\xff", b"7", b"[]", b"{}", b'{"port": []}', b"[" * 60_000)),
    ],
)
def test_something_else_that_listens_where_process_0_should_is_said_to_be_no_process(banner: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        port = server.getsockname()[1]

        def answer() -> None:
            link, _ = server.accept()
            with link, contextlib.suppress(OSError):
                link.settimeout(5)
                link.sendall(banner)
                while link.recv(4096):
                    continue

        answering = pool.submit(answer)
        with pytest.raises(UserError) as found:
            meet(Place(1, 2, "127.0.0.1", port), 20)
        answering.result(20)
    assert str(found.value) == f"device.coordinator: what answers at 127.0.0.1:{port} is no process of this run"


def device(**keys: Any) -> DeviceSettings:
    return Settings.build({"device": keys}).device


def test_a_run_without_coordinator_is_alone_whatever_the_launcher_says() -> None:
    assert find_place(device(), {"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}) is None
    assert find_place(device(processes=1, process=0), {}) is None
    assert find_place(device(coordinator="node1:4711", processes=1, process=0), {}) is None


def test_configuration_goes_before_the_launcher() -> None:
    said = {"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4"}
    assert find_place(device(coordinator="node1:4711"), said) == Place(3, 4, "node1", 4711)
    assert find_place(device(coordinator="[::1]:4711", process=1), said) == Place(1, 4, "::1", 4711)
    assert find_place(device(coordinator="n:1", processes=2, process=0), {}) == Place(0, 2, "n", 1)


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("node7", "node7"),
        ("node7,node9", "node7"),
        ("node[07-12,15],other", "node07"),
        ("node[3,5]", "node3"),
        ("rack[1-3]n2", "rack1n2"),
    ],
)
def test_slurm_says_everything(nodes: str, first: str) -> None:
    said = {"SLURM_PROCID": "1", "SLURM_NTASKS": "2", "SLURM_JOB_ID": "123456", "SLURM_STEP_NODELIST": nodes}
    place = find_place(device(coordinator="auto"), said)
    assert place is not None
    assert (place.number, place.count, place.host) == (1, 2, first)
    assert 1024 < place.port < 32768
    assert find_place(device(coordinator="auto"), {**said, "SLURM_STEP_ID": "1"}) != place


@pytest.mark.parametrize(
    ("keys", "said", "says"),
    [
        ({"coordinator": "n:1"}, {}, "device.processes: no launcher"),
        ({"coordinator": "n:1", "processes": 2}, {}, "device.process: no launcher"),
        ({"coordinator": "n:1", "processes": 2, "process": 2}, {}, "device.process: 2 is not one of 2"),
        ({"coordinator": "auto", "processes": 2, "process": 1}, {}, "device.coordinator: auto finds"),
    ],
)
def test_what_nobody_says_is_asked_for(keys: dict[str, Any], said: dict[str, str], says: str) -> None:
    with pytest.raises(UserError) as found:
        find_place(device(**keys), said)
    assert str(found.value).startswith(says)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"processes": 2}, "device.processes: needs device.coordinator=HOST:PORT"),
        ({"process": 1}, "device.process: needs device.coordinator=HOST:PORT"),
        ({"coordinator": "node1"}, "device.coordinator: 'node1' is no HOST:PORT"),
        ({"coordinator": "node1:99999"}, "device.coordinator: 'node1:99999' is no HOST:PORT"),
        ({"coordinator": ":80"}, "device.coordinator: ':80' is no HOST:PORT"),
    ],
)
def test_keys_that_cannot_be_meant_are_refused(keys: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as found:
        device(**keys)
    assert str(found.value).startswith(says)

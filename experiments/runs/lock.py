"""One process at a time on a run: a lock that the kernel drops when its holder ends, however it ends.

The lock lies on the file `.lock`, whose text says who holds it; what counts is the lock, not that the file is there.
Where the system or the disk knows no such locks, nothing is locked.
"""

import contextlib
import errno
import importlib
import importlib.util
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from markets.errors import UserError

__all__ = ["LOCK", "is_held", "only_one"]

LOCK = ".lock"
"""Name of the file in a run's folder."""

_PATIENCE, _PAUSE = 1.0, 0.05  # seconds; whoever only looks whether it is held holds it for an instant

_HELD = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}

_fcntl: ModuleType | None = importlib.import_module("fcntl") if importlib.util.find_spec("fcntl") else None


@contextlib.contextmanager
def only_one(folder: Path, what: str = "run") -> Iterator[None]:
    """Hold the lock of a folder; its file is gone afterwards.

    Args:
        folder: of a run, as a rule.
        what: it is the folder of, for messages.

    Raises:
        UserError: another process holds it.
        OSError: the folder cannot be written.
    """
    if _fcntl is None:
        yield
        return
    path = folder / LOCK
    handle = _take(_fcntl, path, what)
    try:
        with contextlib.suppress(OSError):  # on a full disk it goes unsigned
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()} on {platform.node()}\n".encode(), 0)
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        os.close(handle)


def is_held(folder: Path) -> bool | None:
    """Whether a process is at work on a run; None where that cannot be known."""
    if _fcntl is None:
        return None
    try:
        handle = os.open(folder / LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        _fcntl.flock(handle, _fcntl.LOCK_SH | _fcntl.LOCK_NB)
    except OSError as error:
        return True if error.errno in _HELD else None
    finally:
        os.close(handle)
    return False


def _take(locks: ModuleType, path: Path, what: str) -> int:
    """Open and lock the file, or give up after a moment."""
    until = time.monotonic() + _PATIENCE
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        if _locked(locks, handle) and _is_at(handle, path):
            return handle
        who = os.pread(handle, 200, 0).decode(errors="replace").strip()
        os.close(handle)
        if time.monotonic() > until:
            raise UserError(
                f"{path.parent}: another process{f' ({who})' if who else ''} is at work on this {what}; "
                "wait until it ends, or stop it first"
            )
        time.sleep(_PAUSE)


def _locked(locks: ModuleType, handle: int) -> bool:
    """Lock an open file; where the disk knows no locks it counts as done."""
    try:
        locks.flock(handle, locks.LOCK_EX | locks.LOCK_NB)
    except OSError as error:
        return error.errno not in _HELD
    return True


def _is_at(handle: int, path: Path) -> bool:
    """Whether the file that was locked still has its name: the one who held it before takes that away."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    mine = os.fstat(handle)
    return (there.st_ino, there.st_dev) == (mine.st_ino, mine.st_dev)

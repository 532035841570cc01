"""Stopping a run politely: Ctrl-C or a request to end lets the generation in hand be finished and kept."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["interruptible"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruptible(asked: Callable[[], None]) -> Iterator[threading.Event]:
    """Yield an event that is set when the run is asked to stop; a second request stops at once.

    Only the main thread of a process hears signals; elsewhere the event is never set.

    Args:
        asked: called at the first request.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: Any) -> None:
        del number, frame
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        asked()

    before = {number: signal.signal(number, ask) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)

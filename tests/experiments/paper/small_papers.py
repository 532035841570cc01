"""Paper accounts small enough for every test: made-up bars, a player that decides by what it was shown, and a process
that trades and can be killed (this file is its script).
"""

import math
import os
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import polars as pl

from agents.live import Account, Bar, Decision
from experiments.paper import journal as journal_module
from experiments.paper.account import Order, Standing
from experiments.paper.directory import opened, write_files
from experiments.paper.feeds import Feed, FileFeed
from experiments.paper.guard import Limits
from experiments.paper.past import Terms
from experiments.paper.roles import Ending
from experiments.paper.session import Session
from markets.bars import Bars
from markets.rules import BrokerRules

__all__ = [
    "LIMITS",
    "MANIFEST",
    "RULES",
    "TABLES",
    "TERMS",
    "Few",
    "Moody",
    "Seen",
    "make_bars",
    "never",
    "tables",
    "trade",
]

RULES = BrokerRules(
    commission=1e-4,
    slippage=2e-5,
    max_leverage=2.0,
    maintenance=0.02,
    trailing=True,
    calendar="crypto",
    financing_long=0.06,
    financing_short=-0.02,
)
TERMS = Terms("MADE", RULES, warm_up=8, seconds=3600.0)
LIMITS = Limits(
    max_drawdown=1.0, max_daily_loss=1.0, max_exposure=1.5, stale=60.0, grace=30.0, kill_file="/nowhere/kill"
)
MANIFEST = {"hash": "0" * 64, "champion": {"id": 7, "species": "stub", "run_id": "made"}}
TABLES = ("ledger", "fills", "trades", "bars", "targets")


def make_bars(count: int = 150, seed: int = 3) -> Bars:
    """Hourly quotes with a pause now and then."""
    rng = np.random.default_rng(seed)
    hours = np.cumsum(rng.choice([1, 1, 1, 1, 1, 1, 1, 1, 1, 30], count))
    close = 100 * np.exp(np.cumsum(0.01 * rng.standard_normal(count)))
    opened_at = np.append(100.0, close[:-1]) * np.exp(0.002 * rng.standard_normal(count))
    high, low = np.maximum(opened_at, close) * 1.003, np.minimum(opened_at, close) * 0.997
    time = np.datetime64("2024-01-01", "us") + hours * np.timedelta64(1, "h")
    prices = np.stack([opened_at, high, low, close], axis=1)
    return Bars.from_mid("MADE", time, prices, 0.03, rng.uniform(1, 9, count))


class Moody:
    """Decides by the closes of its window and by all that it is told of its account, so that nothing may differ."""

    def __init__(self, window: int = TERMS.warm_up) -> None:
        self.window, self.closes, self.seen = window, [], []

    def warm_up(self, bars: Iterable[Bar]) -> int:
        taken = list(bars)
        self.closes = [*self.closes, *(bar.bid[3] for bar in taken)][-self.window :]
        return len(taken)

    def on_bar(self, bar: Bar, account: Account) -> Decision:
        self.closes = [*self.closes, bar.bid[3]][-self.window :]
        self.seen.append(account)
        if len(self.closes) < self.window:
            return Decision.none("warming_up")
        told = (account.equity, account.units, account.entry, account.peak, account.held)
        mood = math.sin(sum(self.closes) + sum(told))
        if abs(mood) < 0.5:
            return Decision.none("undecided")
        action = 0 if abs(mood) < 0.7 else 1 if mood > 0 else 2
        target = (0.0, 1.0, -1.0)[action] * 2 * abs(mood)
        return Decision(action, target, 0.01 * abs(mood), 0.02, (0.0, mood, -mood), "calm_ranging", abs(mood))


class Seen:
    """Remembers what a person would have been shown."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.bars: list[tuple[Bar, Standing, Order | None]] = []

    def bar(self, bar: Bar, standing: Standing, peak: float, decision: Decision, order: Order | None) -> None:
        self.bars.append((bar, standing, order))

    def note(self, text: str) -> None:
        self.notes.append(text)


class Few:
    """Somebody who asks to stop after so many bars."""

    def __init__(self, bars: int) -> None:
        self.left = bars

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


def never() -> bool:
    return False


def trade(
    folder: Path,
    feed: Feed,
    *,
    terms: Terms = TERMS,
    limits: Limits = LIMITS,
    player: Moody | None = None,
    watcher: Seen | None = None,
    stop: Callable[[], bool] = never,
    again: bool = False,
    clock: Callable[[], float] = lambda: 0.0,
) -> Ending:
    """A session in a folder, with all that it leaves."""
    from experiments.paper.directory import identity

    wanted = identity(terms, MANIFEST)
    ending = None
    with opened(folder, wanted) as journal:
        session = Session(
            terms,
            limits,
            player or Moody(),
            feed,
            journal,
            watcher or Seen(),
            again=again,
            clock=clock,
            name=str(folder),
        )
        try:
            ending = session.run(stop)
        finally:
            if session.whole is not None:
                write_files(folder, wanted, session.whole, session.orders, ending, terms.rules)
    return ending


def tables(folder: Path) -> dict[str, pl.DataFrame]:
    """What a session left."""
    return {name: pl.read_parquet(folder / f"{name}.parquet") for name in TABLES}


def _mortal(folder: Path, kind: str, skip: int) -> None:
    """Trade until the `skip`-th event of a kind, and be killed there."""
    left = skip
    true_fsync, true_write = os.fsync, os.write

    def due(event: str) -> bool:
        nonlocal left
        left -= event == kind
        return event == kind and left < 0

    def fsync(handle: int) -> None:
        if due("before"):
            os.kill(os.getpid(), signal.SIGKILL)
        true_fsync(handle)
        if due("after"):
            os.kill(os.getpid(), signal.SIGKILL)

    def write(handle: int, content: memoryview) -> int:
        if due("half"):
            true_write(handle, content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return true_write(handle, content)

    journal_module.os.fsync, journal_module.os.write = fsync, write
    trade(folder, FileFeed(make_bars()))


if __name__ == "__main__":
    for line in sys.stdin:  # one life a line: its folder, the kind of event and how many to let pass
        child = os.fork()
        if not child:
            _mortal(Path(line.split()[0]), line.split()[1], int(line.split()[2]))
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)

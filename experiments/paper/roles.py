"""Who takes part in a session beside its feed: what decides, who looks on, and how it may end."""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from agents.live import Account, Bar, Decision
from experiments.paper.account import Order, Standing

__all__ = ["Ending", "Player", "Rememberer", "Watcher"]


class Player(Protocol):
    """What decides: a `Champion`, or whatever acts like one."""

    def warm_up(self, bars: Iterable[Bar], /) -> int:
        """Take bars without deciding."""

    def on_bar(self, bar: Bar, account: Account, /) -> Decision:
        """Take a closed bar and decide."""


@runtime_checkable
class Rememberer(Protocol):
    """A player that decides by what it said on earlier bars too, which nobody can work out from bars."""

    @property
    def said(self) -> str | None:
        """On the newest bar."""

    def recall(self, said: Sequence[str | None], /) -> None:
        """Take up what it said on the last bars, older first."""


class Watcher(Protocol):
    """Whoever is shown what happens."""

    def bar(self, bar: Bar, standing: Standing, peak: float, decision: Decision, order: Order | None) -> None:
        """A bar was gone through and decided on; the disk has it."""

    def note(self, text: str) -> None:
        """Something a person should know."""


class Ending(NamedTuple):
    """How a session ended."""

    how: Literal["ended", "interrupted", "stopped"]
    """The feed had no more; somebody asked to stop; the guard stopped it."""
    why: str

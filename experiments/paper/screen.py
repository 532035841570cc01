"""What a person sees of paper trading: a line for whatever happened, and in a terminal how things stand below them.

A line has the bar's open, what was asked for, and the account at its close; nothing is said of a bar at which nothing
happened. A pipe gets the same lines as plain text.
"""

from types import TracebackType
from typing import Self

from rich.live import Live
from rich.text import Text

from agents.live import Bar, Decision
from experiments.paper.account import Order, Standing
from experiments.paper.words import stamp, units
from experiments.terminal import console, say

__all__ = ["HEAD", "Screen"]

HEAD = "bar                  asked     equity  drawdown        units  what happened"


_USUAL = "undecided"
"""A reason that is none to look up: a champion with a threshold is so most of the time."""


class Screen:
    """Shows bars as they are decided on; a context manager.

    Args:
        actions: names of the champion's actions.
        quiet: nothing is shown.
    """

    def __init__(self, actions: tuple[str, ...], *, quiet: bool = False) -> None:
        self._actions, self._quiet = actions, quiet
        self._bars, self._reason = 0, ""
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        if not self._quiet:
            say(HEAD)
            if self._live:
                self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live and not self._quiet:
            self._live.__exit__(kind, error, traceback)

    def head(self, text: str) -> None:
        """What is about to trade."""
        if not self._quiet:
            say(Text(text, style="bold"))

    def bar(self, bar: Bar, standing: Standing, peak: float, decision: Decision, order: Order | None) -> None:
        """A bar was gone through and decided on."""
        if self._quiet:
            return
        self._bars += 1
        drawdown = 100 * (1 - standing.equity / peak)
        asked = "" if order is None else f"{order.target:+.3f}"
        account = f"{asked:>7}{standing.equity:>11,.2f}{drawdown:>8.2f} %{units(standing.units):>13}"
        happened = [f"{fill.reason} {units(fill.units, signed=True)} at {fill.price:g}" for fill in standing.fills]
        if order is not None and decision.action is not None:
            sure = "" if decision.confidence is None else f" ({decision.confidence:.0%} sure)"
            happened.append(f"wants {self._actions[decision.action]} in {decision.regime}{sure}")
        if decision.reason != self._reason:
            self._reason = decision.reason
            happened += [decision.reason] if decision.reason and not decision.reason.startswith(_USUAL) else []
        when = stamp(bar.time)
        if happened:
            say(f"{when}  {account}  {'; '.join(happened)}")
        if self._live:
            self._live.update(Text(f"{when}  {account}  bar {self._bars:,}", style="cyan"))

    def note(self, text: str) -> None:
        """Something a person should know."""
        if not self._quiet:
            say(Text(text, style="yellow"))

"""What a person sees of a run: its outline, a line a generation in a pipe, a live picture in a terminal, one table at
the end. Everything fits 80 columns, and a pipe gets plain text.
"""

import contextlib
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import NoReturn, Self

import polars as pl
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from arena.schemas import REGIME_NAMES

__all__ = ["Progression", "console", "duration", "outline", "say", "standings_lines", "steps"]

_PIPE_WIDTH = 80  # of a log, where nobody can be asked; whatever is longer stays on its line
_HEAD = "   gen  best bp/bar  median  deaths  scars  agent-bars/s  new champions"
_SHORT = dict(zip(REGIME_NAMES, ("bull", "bear", "vol", "calm", "all"), strict=True))
_LABEL, _SPLITS = 18, ("train", "validation")
_RECENT = 8  # generations that speed and the time left are taken from
_SOON = 15.0  # seconds; a log says no more of less than that


class _Console(Console):
    """Rich's console, but for a reader that goes away: Rich would end the program at once, with a code of its own."""

    def on_broken_pipe(self) -> NoReturn:
        """Leave it to `experiments.cli`, which is silent and answers with the code for it."""
        raise BrokenPipeError


console = _Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
"""Where everything that is not an error goes."""


def say(line: str | Text = "") -> None:
    """A line that stays, as it is: no markup, no wrapping."""
    console.print(Text(line) if isinstance(line, str) else line, soft_wrap=True)


def outline(title: str, rows: Mapping[str, Iterable[str]]) -> None:
    """What is about to run: a title, then labels with their lines beside them."""
    say(Text(title, style="bold"))
    for label, lines in rows.items():
        for index, line in enumerate(lines):
            say(Text.assemble((f"  {'' if index else label:<8}", "dim"), line))


@contextlib.contextmanager
def steps() -> Iterator[Callable[[str], None]]:
    """A function that is told what begins now, of a command that takes a while: a terminal shows it until the next one
    or the end, a log has a line of each.
    """
    if not console.is_terminal:
        yield say
        return
    with console.status("") as status:
        yield lambda step: status.update(Text(step, style="dim"))


def duration(seconds: float) -> str:
    """A time as people say it, in two figures at most: an estimate knows no more."""
    for unit, length, most in (("s", 1.0, 90), ("min", 60.0, 90), ("h", 3600.0, 48)):
        if seconds < most * length:
            count = seconds / length
            return f"{count:.0f} {unit}" if count >= 9.5 or f"{count:.1f}"[-1] == "0" else f"{count:.1f} {unit}"
    return f"{seconds / 86400:,.0f} days"


class Progression:
    """Shows generations as they are done, and how long the rest will take; a context manager.

    A terminal has the time left in its picture; a log is told each time that it has halved.

    Args:
        first: first generation to come.
        target: generations of the run.
        shown: whether anything is shown.
        expected: seconds a generation is thought to take, until it is known.
    """

    def __init__(self, first: int, target: int, *, shown: bool = True, expected: float | None = None) -> None:
        self._shown, self._first, self._target, self._live = shown, first, target, None
        self._seconds: list[float] = []
        self._told: float | None = None
        self._best: dict[str, tuple[int, float]] = {}
        self._deaths = self._scars = 0
        self._rate: list[float] = []
        if shown and console.is_terminal:
            self._bar = Progress(
                TextColumn("[bold]generation"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("[dim]{task.fields[left]}"),
                console=console,
            )
            left = "" if expected is None else f"about {duration((target - first) * expected)} left"
            self._task = self._bar.add_task("generation", total=target, completed=first, left=left)
            self._live = Live(self._picture(""), console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        if self._live:
            self._live.__enter__()
        elif self._shown:
            say(_HEAD)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live:
            self._live.__exit__(kind, error, traceback)
            say(self._totals())

    def _totals(self) -> str:
        """Speed of late, and what has come of the generations shown."""
        rate = sum(self._rate) / len(self._rate) / 1e6 if self._rate else 0.0
        since = f" since generation {self._first}" if self._first else ""
        return f"  {rate:.2f} M agent-bars/s   {self._deaths:,} deaths   {self._scars:,} scars{since}"

    def show(self, made: dict[str, pl.DataFrame]) -> None:
        """One generation, by its tables."""
        if not self._shown:
            return
        summary = made["generations"]
        generation = int(summary["generation"][0])
        rate = float(made["timings"]["agent_bars_per_second"][0])
        # The first of a session is forgotten as soon as there is another: the devices were waiting to be asked.
        known = self._seconds[1 - _RECENT :] if generation > self._first + 1 else []
        self._seconds = [*known, float(made["timings"]["seconds"][0])]
        improved = made["archive"].to_dicts()
        for row in improved:
            self._best[row["regime"]] = (row["id"], row["score"])
        deaths, scars = int(summary["deaths"].sum()), int(summary["scars"].sum())
        self._deaths, self._scars = self._deaths + deaths, self._scars + scars
        best, median = max(summary["best"].to_list()), statistics.median(summary["median"].to_list())
        gained = {row["regime"] for row in improved}
        names = " ".join(short for name, short in _SHORT.items() if name in gained)
        line = (
            f"{generation:>6}  {1e4 * best:>+11.3f}  {1e4 * median:>+6.3f}  {deaths:>6}  {scars:>5}  "
            f"{rate / 1e6:>10.2f} M  {names}"
        ).rstrip()
        left = (self._target - generation - 1) * statistics.median(self._seconds)
        if not self._live:
            say(line)
            if generation > self._first and left >= _SOON and (self._told is None or left <= self._told / 2):
                self._told = left
                say(f"{'':>6}  about {duration(left)} left")
            return
        self._rate = [*self._rate[1 - _RECENT :], rate]
        self._bar.update(self._task, completed=generation + 1, left=f"about {duration(left)} left" if left else "")
        self._live.update(self._picture(line))

    def _picture(self, line: str) -> Group:
        head = f"  {'best on validation':<20}{'agent':>10}{'bp/bar':>10}"
        rows = [Text(head, style="dim")]
        for regime in REGIME_NAMES:
            identity, score = self._best.get(regime, ("–", None))
            shown = "–" if score is None else f"{1e4 * score:+.3f}"
            rows.append(Text.assemble(f"  {regime:<20}{identity:>10}", _signed(f"{shown:>10}", score)))
        return Group(self._bar, Text(_HEAD, style="dim"), Text(line), *rows, Text(self._totals(), style="cyan"))


def standings_lines(table: pl.DataFrame, title: str) -> list[Text]:
    """Champions and benchmarks by regime, training beside validation, one line each.

    Args:
        table: of `arena.standings`.
        title: above them.
    """
    cells = f"{'bp/bar':>8}{'Sharpe':>7}{'drawdown':>9}{'trades':>7}"
    lines = [
        Text(),
        Text(title, style="bold"),
        Text("bp/bar is log return a bar, Sharpe is a year's, drawdown the worst of an episode", style="dim"),
        Text(f"{'':<{_LABEL}}{'training':>{len(cells)}}{'validation':>{len(cells)}}".rstrip(), style="dim"),
        Text(f"{'':<{_LABEL}}{cells}{cells}", style="dim"),
    ]
    rows = {(row["regime"], row["player"], row["split"]): row for row in table.to_dicts()}
    players = [p for p in table["player"].unique(maintain_order=True) if p != "champion"]
    for regime in REGIME_NAMES:
        lines.append(Text(regime, style="bold"))
        for player in ("champion", *players):
            own = [rows.get((regime, player, split)) for split in _SPLITS]
            known = next((row for row in own if row is not None), None)
            if known is None:
                lines.append(Text("  no champion yet"))
                continue
            label = f"  {player}" if known["id"] is None else f"  {player} {known['id']}"
            line = Text(f"{label:<{_LABEL}}", style="bold" if player == "champion" else "")
            for row in own:
                line.append_text(_cells(row))
            lines.append(line)
    return lines


def _cells(row: Mapping[str, float | None] | None) -> Text:
    if row is None or not row["bars"]:
        return Text(f"{'–':>8}{'–':>7}{'–':>9}{'–':>7}")
    per_bar, sharpe = 1e4 * (row["log_return"] or 0.0) / row["bars"], row["sharpe"]
    drawdown, trades = 100 * (row["max_drawdown"] or 0.0), row["trades"]
    shown = "–" if sharpe is None else f"{sharpe:.2f}"
    return Text.assemble(_signed(f"{per_bar:>+8.3f}", per_bar), f"{shown:>7}{drawdown:>7.1f} %{trades:>7}")


def _signed(text: str, value: float | None) -> Text:
    """Green where it gains, red where it loses."""
    if value is None or value == 0:
        return Text(text)
    return Text(text, style="green" if value > 0 else "red")

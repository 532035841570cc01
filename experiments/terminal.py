"""What a person sees of a run: a line a generation in a pipe, a live picture in a terminal, one table at the end."""

import statistics
import sys
from types import TracebackType
from typing import Self

import polars as pl
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from arena.schemas import REGIME_NAMES

_PIPE_WIDTH = 132  # of a log, where nobody can be asked

__all__ = ["Progression", "console", "standings_table"]

console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
"""Where everything that is not an error goes."""


class Progression:
    """Shows generations as they are done; a context manager.

    Args:
        title: what runs.
        first: first generation to come.
        target: generations of the run.
        shown: whether anything is shown.
    """

    def __init__(self, title: str, first: int, target: int, *, shown: bool = True) -> None:
        self._shown, self._live = shown, None
        self._best: dict[str, tuple[int, float]] = {}
        self._deaths = self._scars = 0
        self._rate: list[float] = []
        if shown and console.is_terminal:
            self._bar = Progress(
                TextColumn("[bold]generation"),
                BarColumn(bar_width=32),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
            )
            self._task = self._bar.add_task(title, total=target, completed=first)
            self._live = Live(self._picture(""), console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        if self._live:
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live:
            self._live.__exit__(kind, error, traceback)

    def say(self, line: str) -> None:
        """A line that stays."""
        if self._shown:
            console.print(line)

    def show(self, made: dict[str, pl.DataFrame]) -> None:
        """One generation, by its tables."""
        if not self._shown:
            return
        summary = made["generations"]
        generation = int(summary["generation"][0])
        rate = float(made["timings"]["agent_bars_per_second"][0])
        for row in made["archive"].iter_rows(named=True):
            self._best[row["regime"]] = (row["id"], row["score"])
        deaths, scars = int(summary["deaths"].sum()), int(summary["scars"].sum())
        self._deaths, self._scars = self._deaths + deaths, self._scars + scars
        best, median = max(summary["best"].to_list()), statistics.median(summary["median"].to_list())
        line = (
            f"generation {generation:>4}  best {1e4 * best:+8.3f}  median {1e4 * median:+8.3f} bp/bar  "
            f"deaths {deaths:>4}  scars {scars:>3}  {rate / 1e6:6.2f} M agent-bars/s"
        )
        if not self._live:
            gained = ", ".join(f"{row['regime']} {1e4 * row['score']:+.3f}" for row in made["archive"].to_dicts())
            console.print(line + (f"  archive: {gained}" if gained else ""))
            return
        self._rate = [*self._rate[-7:], rate]
        self._bar.update(self._task, completed=generation + 1)
        self._live.update(self._picture(line))

    def _picture(self, line: str) -> Group:
        table = Table(box=None, pad_edge=False, show_edge=False)
        for column in ("best on validation", "agent", "log return a bar"):
            table.add_column(column, justify="left" if column == "best on validation" else "right", style="dim")
        for regime in REGIME_NAMES:
            identity, score = self._best.get(regime, (None, None))
            shown = "–" if score is None else f"{1e4 * score:+.3f} bp"
            table.add_row(regime, "–" if identity is None else str(identity), _signed(shown, score))
        rate = sum(self._rate) / len(self._rate) / 1e6 if self._rate else 0.0
        totals = Text(f"{rate:.2f} M agent-bars/s   {self._deaths} deaths   {self._scars} scars", style="cyan")
        return Group(self._bar, Text(line), totals, table)


def standings_table(table: pl.DataFrame, title: str) -> Table:
    """Champions and benchmarks by regime, training beside validation.

    Args:
        table: of `arena.standings`.
        title: above it.
    """
    shown = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    shown.add_column("regime")
    shown.add_column("player")
    for split in ("train", "validation"):
        shown.add_column(f"{split} % a year", justify="right")
        shown.add_column("Sharpe", justify="right")
        shown.add_column("drawdown", justify="right")
        shown.add_column("trades", justify="right")
    for regime in REGIME_NAMES:
        own = table.filter(pl.col("regime") == regime)
        name = regime
        for player in own["player"].unique(maintain_order=True):
            cells = []
            for split in ("train", "validation"):
                found = own.filter((pl.col("player") == player) & (pl.col("split") == split)).to_dicts()
                cells.extend(_cells(found[0]) if found else [Text("–")] * 4)
            identity = own.filter(pl.col("player") == player)["id"][0]
            label = player if identity is None else f"{player} {identity}"
            shown.add_row(name, label, *cells, style="bold" if player == "champion" else "")
            name = ""
        shown.add_section()
    return shown


def _cells(row: dict[str, float | None]) -> list[Text]:
    annual, sharpe, drawdown = row["annual"], row["sharpe"], row["max_drawdown"]
    return [
        Text("–") if annual is None else _signed(f"{100 * annual:+.1f}", annual),
        Text("–" if sharpe is None else f"{sharpe:.2f}"),
        Text(f"{100 * (drawdown or 0.0):.1f} %"),
        Text(str(row["trades"])),
    ]


def _signed(text: str, value: float | None) -> Text:
    """Green where it gains, red where it loses."""
    if value is None or value == 0:
        return Text(text)
    return Text(text, style="green" if value > 0 else "red")

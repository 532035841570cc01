"""The study as a command carries it out: pilot, first wave, shams, verdict, page; told in a terminal or a log."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import polars as pl
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from experiments.runs.lock import only_one
from experiments.scars import results
from experiments.scars.page import write_page
from experiments.scars.pilot import choose, run_pilot
from experiments.scars.plan import ARMS, WORLDS, ScarPlan
from experiments.scars.plots import available
from experiments.scars.results import Findings, find, load, save
from experiments.scars.running import (
    Engine,
    Tables,
    begun_elsewhere,
    compute,
    keep_strength,
    open_folder,
    waves,
)
from experiments.scars.words import conclusion, criteria, table_lines
from experiments.terminal import console, duration, outline, say
from markets.settings import check

__all__ = ["carry_out", "describe", "load", "make_plan"]

_PILOT, _RUNS = "pilot", "runs"
_SOON = 15.0  # seconds; a log is not told of less


def make_plan(**changes: Any) -> ScarPlan:
    """A plan, checked.

    Raises:
        UserError: sizes that cannot be, or cannot be together.
    """
    plan = ScarPlan(**changes)
    check(plan, "scars")
    return plan


def describe(plan: ScarPlan, out: Path) -> None:
    """Say what the study is, and how much of it is left."""
    outline(f"scars {plan.fingerprint()}", dict(_rows(plan, out)))


def _rows(plan: ScarPlan, out: Path) -> Iterator[tuple[str, list[str]]]:
    runs = plan.seeds * len(WORLDS) * len(ARMS)
    passes = 2 if plan.learning else 1
    each = passes * plan.agents * plan.generations * plan.episodes * plan.bars
    yield "asks", ["whether damage by scars lets agents be ruined less often, in two made-up worlds"]
    yield (
        "runs",
        [
            f"{plan.seeds} seeds × {len(WORLDS)} worlds × {len(ARMS)} arms = {runs:,}, the shams after their pairs",
            f"{plan.agents} agents, {plan.generations} generations, {each:,} agent-bars each, {runs * each:,} together",
            "agents learn while they live" if plan.learning else "nobody learns: evolution alone acts",
        ],
    )
    strength = "the pilot says how far signs stand out" if plan.strength is None else f"a = {plan.strength:g}"
    yield "signs", [strength]
    yield "device", [f"{len(jax.devices())} × {jax.default_backend()}"]
    there = sum(1 for _ in (out / _RUNS).glob("*-generations.parquet"))
    yield "folder", [str(out) + (f", {there} parts are there" if there else "")]


def carry_out(
    plan: ScarPlan, out: Path, *, page: Path | None = None, beside: Findings | None = None, only_pilot: bool = False
) -> Findings | None:
    """Do what is left of the study, and tell what came out.

    Args:
        plan: of `make_plan`.
        out: folder of the results.
        page: folder of the page; `out` by default.
        beside: findings without learning, shown on the page too.
        only_pilot: stop when the strength is known.

    Returns:
        The findings; None after the pilot.

    Raises:
        UserError: a folder that holds something else, or runs that had more to spend than others.
    """
    plan = open_folder(out, plan)
    describe(plan, out)
    if begun_elsewhere(out):
        say("note: begun by another version of this program, so what is computed now may have other bits")
    with only_one(out, "study"):
        engine = Engine(plan, len(jax.devices()))
        pilot = pl.DataFrame()
        if plan.strength is None or (out / _PILOT).exists():
            with _progress("pilot") as told:
                pilot = run_pilot(plan, engine, out / _PILOT, told)
            for row in pilot.iter_rows(named=True):
                say(
                    f"  a = {row['strength']:<4g} ruined {row['ruined_first']:>4.0%} the first time, "
                    f"{row['ruined_second']:>4.0%} the second, {row['ruined']:>4.0%} from then on"
                )
            strength = choose(pilot) if plan.strength is None else plan.strength
            plan = dataclasses.replace(plan, strength=strength)
            keep_strength(out, strength)
            say(f"  a = {strength:g}")
        if only_pilot:
            return None
        tables = Tables(pl.DataFrame(), pl.DataFrame())
        for name, wave in zip(("runs", "shams"), waves(plan), strict=True):
            with _progress(name) as told:
                tables = compute(engine, wave, out / _RUNS, told)
        findings = find(plan, pilot, tables)
        save(findings, tables, out)
        written = write_page(findings, page or out, beside)
    _tell(findings)
    say(f"  {out / results.RESULTS}")
    say(f"  {written}" + ("" if available() else "; pictures want matplotlib: pip install 'lineage-arena[plots]'"))
    return findings


def _tell(findings: Findings) -> None:
    for line in table_lines(findings):
        say(line)
    say()
    for asked, found, met in criteria(findings):
        say(f"  {'yes' if met else 'no':<4}{asked}: {found}")
    say()
    for sentence in conclusion(findings):
        say(sentence.replace("**", ""))


@contextlib.contextmanager
def _progress(name: str) -> Iterator[Callable[[int, int], None]]:
    """What a wave is told with: a bar in a terminal, a line a batch in a log."""
    began: list[tuple[float, int]] = []

    def left(done: int, of: int) -> str:
        """Of time, once two batches have said how long one takes; the first of them compiled."""
        began.append((time.monotonic(), done))
        if len(began) < 3 or done == of:
            return ""
        (then, before), (now, _) = began[1], began[-1]
        seconds = (now - then) / (done - before) * (of - done)
        return f"about {duration(seconds)} left" if seconds >= _SOON else ""

    if not console.is_terminal:

        def line(done: int, of: int) -> None:
            say(f"  {name:<6} {done:>5} of {of}   {left(done, of)}".rstrip())

        yield line
        return
    columns = (
        TextColumn(f"[bold]{name:<6}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[left]}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(name, total=None, left="compiling")

        def show(done: int, of: int) -> None:
            bar.update(task, completed=done, total=of, left=left(done, of) or ("compiling" if len(began) < 2 else ""))

        yield show

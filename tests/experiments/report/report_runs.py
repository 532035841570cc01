"""Runs to report on: a small real one of both species, and what can be wrong with a run's folder."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from plainly import plainly
from small_runs import BOTH, arena, made_once, make_small

from experiments.configuration.compose import compose
from experiments.runs.champions import best_scores
from experiments.runs.directory import RunDirectory

__all__ = ["BOTH", "BREAKS", "facts_of", "made_once", "make_report", "make_small"]


def make_report(run: Path, folder: Path, *words: str) -> None:
    """Write a run's report into a folder, through the command; journeys and standings are compiled plainly."""
    with plainly():
        code, said, complaint = arena("report", str(run), "--out", str(folder / "report.html"), *words)
    assert code == 0, complaint or said


def facts_of(report: Path) -> dict[str, Any]:
    """What Python put into the page."""
    found = re.search(r'<script type="application/json" id="facts">(.*?)</script>', report.read_text(encoding="utf-8"))
    assert found is not None
    facts: dict[str, Any] = json.loads(found[1])
    return facts


def _without(name: str) -> Callable[[RunDirectory], None]:
    return lambda run: shutil.rmtree(run.table(name))


def _damaged(name: str) -> Callable[[RunDirectory], None]:
    def damage(run: RunDirectory) -> None:
        part = next(run.table(name).glob("*.parquet"))
        part.write_bytes(part.read_bytes()[:40] + b"torn")

    return damage


def _without_champions(run: RunDirectory) -> None:
    for part in run.table("archive").glob("*.parquet"):
        pl.read_parquet(part).clear().write_parquet(part)
    for path in run.genomes.iterdir():
        path.unlink()


def _without_a_genome(run: RunDirectory) -> None:
    """The genome of the best all-rounder is gone."""
    identity = best_scores(run)["all", 0][1]
    for path in run.genomes.glob(f"{identity}*.safetensors"):
        path.unlink()


def _killed_at_the_start(run: RunDirectory) -> None:
    """It never came to its first checkpoint."""
    for folder in (*run.root.glob("*.parquet"), run.genomes, run.checkpoints):
        shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
        if folder != run.lineage:
            folder.mkdir()
    run.note(state="running", generations=0, finished=None)


def _in_progress(run: RunDirectory) -> None:
    """Half of it is done."""
    run.lineage.unlink()
    run.note(state="running", target=12, finished=None)


def _without_bars(run: RunDirectory) -> None:
    """It traded a file of bars that has been moved away."""
    others = [word for word in BOTH if not word.startswith("market.")]
    config = compose([*others, "market=bars", f"market.path={run.root}/gone.parquet"])
    run.config.write_text(yaml.safe_dump(config), encoding="utf-8")


BREAKS: dict[str, Callable[[RunDirectory], None]] = {
    "no births": _without("births"),
    "no deaths": _without("deaths"),
    "no fitness": _without("fitness"),
    "no timings": _without("timings"),
    "damaged scars": _damaged("scars"),
    "damaged births": _damaged("births"),
    "no champions": _without_champions,
    "no genome": _without_a_genome,
    "no bars": _without_bars,
    "no manifest": lambda run: run.manifest.unlink(),
    "killed at the start": _killed_at_the_start,
    "in progress": _in_progress,
}
"""What is done to a copy of a run, by a word on what is wrong with it then."""

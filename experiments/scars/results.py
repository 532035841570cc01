"""What the experiment leaves in its folder: one row a run, all events, and a summary of numbers and verdict."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from experiments.runs.files import write_json, write_table
from experiments.runs.notes import read_json
from experiments.scars.outcomes import BUDGETS, outcomes, see_budgets, unmatched
from experiments.scars.plan import ScarPlan
from experiments.scars.records import KEYS
from experiments.scars.running import Tables
from experiments.scars.statistics import Comparison, Estimate, Verdict, compare, decide
from markets.errors import UserError

__all__ = ["Findings", "find", "load", "save"]

RESULTS, GENERATIONS, EVENTS, SUMMARY = "results.parquet", "generations.parquet", "events.parquet", "summary.json"


class Findings(NamedTuple):
    """All that the page and the plots are made of."""

    plan: ScarPlan
    pilot: pl.DataFrame
    """Of `experiments.scars.pilot.run_pilot`; empty where the strength was given."""
    runs: pl.DataFrame
    """Of `experiments.scars.outcomes.outcomes`."""
    generations: pl.DataFrame
    events: pl.DataFrame
    compared: Mapping[tuple[str, str], Comparison]
    verdict: Verdict


def find(plan: ScarPlan, pilot: pl.DataFrame, tables: Tables) -> Findings:
    """Judge finished runs.

    Args:
        plan: with its strength.
        pilot: see `Findings`.
        tables: of all runs, or of more seeds than the plan has.

    Raises:
        UserError: runs whose budgets differ.
    """
    seeds = range(plan.seed, plan.seed + plan.seeds)
    own = (pl.col("strength") == plan.strength) & pl.col("seed").is_in(list(seeds))
    generations = tables.generations.filter(own)
    runs = outcomes(generations)
    see_budgets(runs)
    compared = compare(runs)
    return Findings(plan, pilot, runs, generations, tables.events.filter(own), compared, decide(compared))


def save(findings: Findings, tables: Tables, out: Path) -> None:
    """Write `results.parquet`, `generations.parquet`, `events.parquet`, `pilot.parquet` and `summary.json`.

    Args:
        findings: of `find`.
        tables: they were made of.
        out: folder.
    """
    write_table(out / RESULTS, findings.runs)
    write_table(out / GENERATIONS, findings.generations)
    write_table(out / EVENTS, tables.events)
    if findings.pilot.height:
        write_table(out / "pilot.parquet", findings.pilot)
    verdict = findings.verdict
    write_json(
        out / SUMMARY,
        {
            "plan": dataclasses.asdict(findings.plan),
            "scars_help": verdict.scars_help,
            "nothing_in_n": verdict.nothing,
            "criteria": {
                "less_ruin_in_p": dict(verdict.less_ruin),
                "selectivity_rises_in_p": verdict.selective,
                "calm_return_kept_in_p": verdict.calm,
                "equal_ruin_in_n": dict(verdict.nothing_in_n),
            },
            "unmatched_sham_events": unmatched(findings.runs),
            "budget_of_each_run": {name: findings.runs[name][0] for name in BUDGETS},
            "arms": [
                {"world": world, "arm": arm, **_plain(comparison)}
                for (world, arm), comparison in findings.compared.items()
            ],
        },
    )


def load(out: Path) -> Findings:
    """The findings that a folder holds.

    Raises:
        UserError: no finished study.
    """
    try:
        plan = read_json(out / SUMMARY)["plan"]
        runs, generations, events = (pl.read_parquet(out / name) for name in (RESULTS, GENERATIONS, EVENTS))
    except (OSError, ValueError, KeyError, pl.exceptions.PolarsError):
        raise UserError(
            f"{out}: holds no finished study of scars; let `arena scars --out {out}` finish first"
        ) from None
    pilot = pl.read_parquet(out / "pilot.parquet") if (out / "pilot.parquet").exists() else pl.DataFrame()
    compared = compare(runs)
    known = ScarPlan(**{**plan, "hidden": tuple(plan["hidden"])})
    events = events.join(runs.select(KEYS), on=KEYS, how="semi", maintain_order="left")
    return Findings(known, pilot, runs, generations, events, compared, decide(compared))


def _plain(comparison: Comparison) -> dict[str, Any]:
    """An arm's numbers as JSON has them; what is not a number is null."""

    def told(value: Estimate) -> dict[str, float | None]:
        return {key: None if math.isnan(own) else own for key, own in value._asdict().items()}

    plain: dict[str, Any] = {}
    for name, value in comparison._asdict().items():
        plain[name] = told(value) if isinstance(value, Estimate) else {arm: told(own) for arm, own in value.items()}
    return plain

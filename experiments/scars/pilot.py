"""The pilot: how far a sign has to stand out of the noise so that crashes are neither hopeless nor harmless.

Agents without scars play world P on seeds that are used for nothing else, under a few strengths. Those count under
which 30 to 70 % of the accounts are ruined at a kind's second presentation; of them the one is taken whose R, over the
second and all later presentations, is nearest to one half, where a difference has most room both ways.
"""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from experiments.scars.outcomes import outcomes
from experiments.scars.plan import Arm, ScarPlan
from experiments.scars.records import Run
from experiments.scars.running import Engine, compute
from markets.errors import UserError

__all__ = ["PILOT_SEEDS", "STRENGTHS", "choose", "pilot_runs", "run_pilot"]

STRENGTHS = (3.0, 4.0, 5.0, 6.0, 7.0, 8.0)

PILOT_SEEDS = 8

_APART = 1_000_000
"""How far pilot seeds lie from those of the experiment."""

_LEAST, _MOST = 0.3, 0.7


def pilot_runs(plan: ScarPlan) -> list[Run]:
    """All runs of the pilot."""
    seeds = range(plan.seed + _APART, plan.seed + _APART + PILOT_SEEDS)
    return [Run(seed, "P", Arm.NONE, strength) for strength in STRENGTHS for seed in seeds]


def run_pilot(
    plan: ScarPlan, engine: Engine, folder: Path, told: Callable[[int, int], None] | None = None
) -> pl.DataFrame:
    """Compute the pilot, or what is left of it.

    Returns:
        One row a strength: `ruined_first`, `ruined_second`, `ruined` and `calm`, means over the pilot's seeds.
    """
    runs = outcomes(compute(engine, pilot_runs(plan), folder, told).generations)
    columns = ("ruined_first", "ruined_second", "ruined", "selectivity", "calm")
    return runs.group_by("strength").agg(pl.col(columns).mean()).sort("strength")


def choose(table: pl.DataFrame) -> float:
    """The strength that suits; of equals the lower.

    Args:
        table: of `run_pilot`.

    Raises:
        UserError: none does.
    """
    second, ruined = (dict(table.select("strength", name).iter_rows()) for name in ("ruined_second", "ruined"))
    suited = [each for each in sorted(second) if _LEAST <= second[each] <= _MOST]
    if not suited:
        told = ", ".join(f"{each:g}: {share:.0%}" for each, share in second.items())
        raise UserError(
            f"--strength: none of the pilot's ruins {_LEAST:.0%} to {_MOST:.0%} ({told}); give one yourself"
        )
    return float(min(suited, key=lambda each: abs(ruined[each] - 0.5)))

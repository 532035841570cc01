"""The trials behind a run's champions: what was tried on each record, and what luck alone would have made of it."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import polars as pl
from numpy.typing import NDArray

from arena.founding import found as founders
from arena.plan import Plan
from arena.rollout import Trader
from arena.state import ArenaState
from experiments.certificates.counting import (
    Sample,
    finite,
    luck,
    of_record,
    replay,
    sample_of,
    stack,
    unlucky_variance,
)
from experiments.certificates.family import MEMBERS, trader_forms
from experiments.certificates.ground import Ground
from experiments.certificates.openings import Opening
from experiments.certificates.performing import Performance
from experiments.configuration.study import Study
from experiments.evidence.overfitting import cscv
from experiments.evidence.sharpe import minimum_backtest, moments
from experiments.evidence.trials import Trials, effective_trials
from experiments.runs.checkpoint import last_checkpoint, load_checkpoint
from experiments.runs.directory import RunDirectory
from experiments.runs.genomes import champion_file
from experiments.runs.trees import load_tree
from markets.errors import UserError
from markets.preparation import Market

__all__ = ["Counted", "count_trials", "family_variance", "replayed"]

_BLOCKS = 16
_EDGES = 40


class Counted(NamedTuple):
    """What a certificate says of trials."""

    trials: dict[str, Any]
    luck: dict[str, Any] | None
    overfitting: dict[str, Any] | None
    minimum_backtest: float | None
    why: dict[str, str]
    """What is not known, and why."""


class Replayed(NamedTuple):
    """Agents that were tried, replayed on validation."""

    births: Sample | None
    """An even sample of all that were born; None where none was kept."""
    members: Sample | None
    """All that ever were in the archive."""
    why: str
    """Why there is no sample, where there is none."""


def replayed(
    directory: RunDirectory,
    study: Study,
    plan: Plan,
    market: Market,
    ground: Ground,
    births: pl.DataFrame,
    replicate: int,
) -> Replayed:
    """Replay what is left of those who were tried.

    Args:
        directory: of the run.
        study: of it.
        plan: of it.
        market: of its last fold, with all replicates.
        ground: of the replicate; validation is replayed.
        births: of the replicate.
        replicate: from 1.
    """
    kept, why = _kept(directory, plan, market, replicate)
    calendar = study.settings.broker.calendar

    def of_all(groups: Sequence[Trader | None]) -> Sample | None:
        some = [
            replay(setup, traders, ground.market, ground.parts["validation"], calendar)
            for setup, traders in zip(plan.rollouts, groups, strict=True)
            if traders is not None and len(traders.genes.size)
        ]
        if not some or not ground.parts["validation"]:
            return None
        return Sample(np.concatenate([own.columns for own in some], 1), np.concatenate([own.changes for own in some]))

    return Replayed(of_all(kept), of_all(_archived(directory, plan, births)), why)


def count_trials(
    known: Replayed,
    performance: Performance,
    opening: Opening,
    *,
    births: int,
    candidates: tuple[int, str],
    settings: int,
    days_per_year: float,
) -> Counted:
    """Count what was tried, and say what each record is worth against it.

    Args:
        known: agents replayed on validation.
        performance: of the family.
        opening: of the holdout.
        births: of the replicate.
        candidates: tried on validation, and how that is known.
        settings: of the grid that were tried there.
        days_per_year: of the venue.
    """
    why: dict[str, str] = {}
    effective: Trials | None = None
    if known.births is not None:
        effective = effective_trials(known.births.columns, known.births.changes, raw=births)
    else:
        why["trials.training"] = known.why
    spread = effective.variance if effective is not None else 0.0

    def record(part: Any, trials: float | None, variance: float) -> dict[str, Any]:
        returns = np.zeros((0, len(MEMBERS))) if part is None else part.returns
        return of_record(MEMBERS, returns, effective=trials, variance=variance, days=days_per_year)

    tried = candidates[0] + settings
    looks = len(MEMBERS) * opening.opening
    trials = {
        "training": {
            "raw": births,
            "active": effective.active if effective else None,
            "slope": effective.slope if effective else None,
            "path": [list(step) for step in effective.path] if effective else None,
            **record(performance.training, effective.effective if effective else None, spread),
        },
        "validation": {
            "raw": tried,
            "candidates": candidates[0],
            "known": candidates[1],
            "settings": settings,
            **record(performance.validation, float(tried), spread),
        },
        "holdout": {
            "raw": looks,
            "family": len(MEMBERS),
            "openings": opening.opening,
            **record(performance.holdout[0], float(looks), family_variance(performance.holdout[0].returns)),
        },
    }
    bests = {name: luck(own, days_per_year) for name, own in trials.items()}
    headline = next((name for name in ("training", "validation", "holdout") if bests[name] is not None), None)
    overfitting = _overfitting(known, why)
    return Counted(
        trials=trials,
        luck=None if headline is None else {"record": headline, **(bests[headline] or {}), "records": bests},
        overfitting=overfitting,
        minimum_backtest=finite(minimum_backtest(float(max(tried, 1)), 1.0) * days_per_year),
        why=why,
    )


def family_variance(returns: NDArray[np.float64]) -> float:
    """Variance of the daily Sharpe ratios of a family, at least that of an estimate without merit."""
    known = [own for own in (moments(column) for column in returns.T) if math.isfinite(own.sharpe)]
    if not known:
        return 1.0 / max(len(returns), 1)
    floor = max(unlucky_variance(own.autocorrelation, own.periods) for own in known)
    return max(floor, float(np.var([own.sharpe for own in known], ddof=1)) if len(known) > 1 else 0.0)


def _overfitting(known: Replayed, why: dict[str, str]) -> dict[str, Any] | None:
    """Probability of backtest overfitting of all that is known to have been tried on validation."""
    if known.births is None:
        why["overfitting"] = known.why
        return None
    columns = [own.columns for own in (known.births, known.members) if own is not None]
    table = np.concatenate(columns, axis=1)
    if len(table) < 2 * _BLOCKS:
        why["overfitting"] = f"validation has {len(table)} days, and {2 * _BLOCKS} are needed for {_BLOCKS} blocks"
        return None
    found = cscv(table, blocks=_BLOCKS)
    if not len(found.logits):
        why["overfitting"] = "fewer than two of those that were tried ever traded on validation"
        return None
    reach = max(float(np.abs(found.logits).max()), 1.0)
    counts, edges = np.histogram(found.logits, bins=_EDGES, range=(-reach, reach))
    return {
        "pbo": finite(found.pbo),
        "blocks": _BLOCKS,
        "splits": len(found.logits),
        "columns": found.columns,
        "idle": found.dropped_idle,
        "merged": found.merged,
        "edges": edges.tolist(),
        "counts": counts.tolist(),
    }


def _kept(directory: RunDirectory, plan: Plan, market: Market, replicate: int) -> tuple[list[Trader | None], str]:
    """The births that were kept at random, by species, and why there are none."""
    nobody: list[Trader | None] = [None] * len(plan.rollouts)
    if not plan.kept:
        return nobody, "the run kept no births at random (archive.trials), so nobody knows how many differed"
    path: Path | None = last_checkpoint(directory)
    if path is None:
        return nobody, "the last state of the run is gone, and with it the births that were kept at random"
    try:
        like: ArenaState = jax.eval_shape(lambda: founders(plan, market.tape))
        state = load_checkpoint(path, like)
    except UserError as error:
        return nobody, f"the last state of the run cannot be used: {error}"
    places = slice((replicate - 1) * plan.islands, replicate * plan.islands)
    return [sample_of(own, places) for own in state.reservoir], ""


def _archived(directory: RunDirectory, plan: Plan, births: pl.DataFrame) -> list[Trader | None]:
    """All that ever were in the archive and whose genomes are there, by species."""
    rows = directory.read("archive").select("id", "generation").unique(maintain_order=True)
    mine = rows.join(births.select("id", "species"), on="id", maintain_order="left")
    found: dict[str, list[Trader]] = {name: [] for name in plan.names}
    forms = trader_forms(plan)
    for identity, generation, species in mine.select("id", "generation", "species").rows():
        if species in found:
            try:
                path = champion_file(directory, identity, generation)
                trader, _ = load_tree(path, forms[species])
            except UserError:
                continue  # one that was freed is told by the others of its kind
            found[species].append(trader)
    return [stack(found[name]) if found[name] else None for name in plan.names]

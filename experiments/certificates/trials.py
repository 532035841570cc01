"""The trials behind a run's champions: what was tried on each record, and what luck alone would have made of it."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from arena.founding import found as founders
from arena.plan import Plan
from arena.rollout import Trader
from arena.state import ArenaState
from experiments.certificates.counting import Sample, finite, luck, of_record, replay, sample_of, unlucky_variance
from experiments.certificates.family import MEMBERS
from experiments.certificates.ground import Ground
from experiments.certificates.openings import Opening
from experiments.certificates.performing import Performance
from experiments.certificates.series import Record
from experiments.configuration.study import Study
from experiments.evidence.overfitting import cscv
from experiments.evidence.sharpe import minimum_backtest, moments
from experiments.evidence.trials import LEAST_PERIODS, Trials, effective_trials
from experiments.runs.checkpoint import last_checkpoint, load_checkpoint
from experiments.runs.directory import RunDirectory
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
    """Births that were kept at random, replayed on validation."""

    births: Sample | None
    """A sample of all that were born; None where none was kept."""
    why: str
    """Why there is no sample, where there is none."""


def replayed(
    directory: RunDirectory,
    study: Study,
    plan: Plan,
    market: Market,
    ground: Ground,
    replicate: int,
) -> Replayed:
    """Replay what was kept of those who were born.

    Those who came into the archive are among them by chance alone. They won on these very rows, and those whom they
    beat are gone: with them added, the best of one half of the rows would look too good in the other.

    Args:
        directory: of the run.
        study: of it.
        plan: of it.
        market: of its last fold, with all replicates.
        ground: of the replicate; validation is replayed.
        replicate: from 1.
    """
    if not ground.parts["validation"]:
        return Replayed(None, "validation has no bars of a known regime to replay anybody on")
    kept, why = _kept(directory, plan, market, replicate)
    if not kept:
        return Replayed(None, why)
    some = [
        replay(setup, traders, ground.market, ground.parts["validation"], study.settings.broker.calendar)
        for setup, traders in zip(plan.rollouts, kept, strict=True)
        if len(traders.genes.size)
    ]
    if not some:
        return Replayed(None, "no birth was kept at random")
    columns, changes = zip(*some, strict=True)
    return Replayed(Sample(np.concatenate(columns, 1), np.concatenate(changes)), "")


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
    replayed_days = 0 if known.births is None else len(known.births.columns)
    if known.births is None:
        why["trials.training"] = known.why
    elif replayed_days < LEAST_PERIODS:
        why["trials.training"] = (
            f"validation has {_days(replayed_days)}, and {LEAST_PERIODS} are needed to tell births apart"
        )
    else:
        effective = effective_trials(known.births.columns, known.births.changes, raw=births)

    def record(part: Record | None, trials: float | None, variance: float | None = None) -> dict[str, Any]:
        returns = np.zeros((0, len(MEMBERS))) if part is None else part.returns
        if variance is None:  # luck in a mean of T days has a variance of 1/T of a day's
            variance = 0.0 if effective is None else effective.variance * replayed_days / max(len(returns), 1)
        return of_record(MEMBERS, returns, effective=trials, variance=variance, days=days_per_year)

    tried = candidates[0] + settings
    looks = len(MEMBERS) * opening.opening
    trials = {
        "training": {
            "raw": births,
            "active": effective.active if effective else None,
            "slope": effective.slope if effective else None,
            "path": [list(step) for step in effective.path] if effective else None,
            **record(performance.training, effective.effective if effective else None),
        },
        "validation": {
            "raw": tried,
            "candidates": candidates[0],
            "known": candidates[1],
            "settings": settings,
            **record(performance.validation, float(tried)),
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


def _days(count: int) -> str:
    return f"{count} day{'' if count == 1 else 's'}"


def _overfitting(known: Replayed, why: dict[str, str]) -> dict[str, Any] | None:
    """Probability of backtest overfitting of what was born, by those births that were kept at random."""
    if known.births is None:
        why["overfitting"] = known.why
        return None
    table = known.births.columns
    if len(table) < 2 * _BLOCKS:
        why["overfitting"] = f"validation has {_days(len(table))}, and {2 * _BLOCKS} are needed for {_BLOCKS} blocks"
        return None
    found = cscv(table, blocks=_BLOCKS)
    if not len(found.logits):
        why["overfitting"] = "fewer than two different ones of the births that were kept ever traded on validation"
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


def _kept(directory: RunDirectory, plan: Plan, market: Market, replicate: int) -> tuple[list[Trader], str]:
    """The births that were kept at random, by species, or why there are none."""
    if not plan.kept:
        return [], "the run kept no births at random (archive.trials), so nobody knows how many differed"
    path: Path | None = last_checkpoint(directory)
    if path is None:
        return [], "the last state of the run is gone, and with it the births that were kept at random"
    try:
        like: ArenaState = jax.eval_shape(lambda: founders(plan, market.tape))
        state = load_checkpoint(path, like)
    except UserError as error:
        return [], f"the last state of the run cannot be used: {error}"
    places = slice((replicate - 1) * plan.islands, replicate * plan.islands)
    return [sample_of(own, places) for own in state.reservoir], ""

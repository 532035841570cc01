"""Telling: all that a certificate says, laid out as its file has it. What is undefined is null."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from arena.schemas import REGIME_NAMES
from arena.settings import Settings
from arena.tally import REGIMES
from experiments.certificates.counting import finite
from experiments.certificates.family import MEMBERS, ROUTER, Family
from experiments.certificates.ground import Ground
from experiments.certificates.holding import held
from experiments.certificates.judging import ALPHA, LEAST, SEED, Against, Judgement
from experiments.certificates.openings import Opening
from experiments.certificates.performing import COSTS, Performance
from experiments.certificates.reading import FORMAT, VERSION, certificate_hash
from experiments.certificates.series import Record, join
from experiments.certificates.shown import CONVENTIONS, costs_of, metrics_of, months, regimes, sharpe_of, symbols
from experiments.certificates.trials import Counted
from experiments.certificates.words import member_reasons, opening_words, population_reasons, vacancy_words
from experiments.evidence.metrics import CONVENTIONS as METRICS
from experiments.evidence.metrics import metrics
from experiments.evidence.superiority import Superiority

__all__ = ["told"]


def told(
    opening: Opening,
    earlier: Sequence[Opening],
    *,
    families: Sequence[Family],
    rules: Sequence[Mapping[str, Any]],
    grounds: Sequence[Ground],
    performance: Performance,
    judgement: Judgement,
    counted: Counted,
    settings: Settings,
) -> dict[str, Any]:
    """The certificate.

    Args:
        opening: as it is on record.
        earlier: openings that it overlaps.
        families: of each fold.
        rules: of each fold, the decision rule of each group beside its genome; a group that acts as bred is missing.
        grounds: of each fold.
        performance: of all folds.
        judgement: of that.
        counted: what was tried.
        settings: of the evolution.
    """
    year, judged = grounds[-1].days_per_year, performance.holdout[0]
    buy = join([held(ground, settings) for ground in grounds])
    members = [
        _member(place, families, rules, performance, judgement, counted, settings, year)
        for place in range(len(MEMBERS))
    ]
    reasons = {own["member"]: own["reasons"] for own in members}
    vacant = vacancy_words([bool(family.champions) for family in families])
    values: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "run_id": opening.run_id,
        "replicate": opening.replicate,
        "made": opening.time,
        "verdict": judgement.verdict,
        "reasons": [*population_reasons(judgement, MEMBERS, reasons), *vacant, opening_words(opening, len(earlier))],
        "plain": not any(rules),
        "level": {"alpha": ALPHA, "opening": opening.opening, "used": opening.level},
        "least": dict(LEAST),
        "champions": dict(opening.champions),
        "holdout": _holdout(opening, grounds, judged, year),
        "openings": [
            {key: getattr(own, key) for key in ("time", "run_id", "replicate", "opening", "level")}
            for own in (*earlier, opening)
        ],
        "family": members,
        "spa": {"flat": _spa(judgement.flat), "matched": _spa(judgement.matched)},
        "bootstrap": {"block": judgement.block, "draws": judgement.draws, "seed": SEED},
        "trials": counted.trials,
        "overfitting": counted.overfitting,
        "luck": counted.luck,
        "curves": _curves(judged, buy),
        "buy_and_hold": metrics(_steps(buy), periods_per_year=year),
        "minimum_backtest": counted.minimum_backtest,
        "why": counted.why,
        "conventions": {**METRICS, **CONVENTIONS},
    }
    clean: dict[str, Any] = _plain(values)
    return {**clean, "hash": certificate_hash(clean)}


def _holdout(opening: Opening, grounds: Sequence[Ground], judged: Record, year: float) -> dict[str, Any]:
    stretches = [own for ground in grounds for own in ground.parts["holdout"]]
    bars: dict[str, int] = {}
    for own in stretches:
        bars[own.name] = bars.get(own.name, 0) + own.stop - own.first - 1
    return {
        "first": min(first for first, _ in opening.spans.values()),
        "last": max(last for _, last in opening.spans.values()),
        "bars": max(bars.values()),
        "bars_by_symbol": bars,
        "days": len(judged.day),
        "symbols": list(opening.spans),
        "folds": len(grounds),
        "data_hash": opening.data_hash,
        "days_per_year": year,
    }


def _member(
    place: int,
    families: Sequence[Family],
    rules: Sequence[Mapping[str, Any]],
    performance: Performance,
    judgement: Judgement,
    counted: Counted,
    settings: Settings,
    year: float,
) -> dict[str, Any]:
    name, own, calendar = MEMBERS[place], judgement.members[place], settings.broker.calendar
    judged, shown = performance.holdout[0], performance.shown[0][place]
    returns = judged.returns[:, place]
    trials = counted.trials["holdout"]
    holders = [_holder(name, fold, family, rules[fold]) for fold, family in enumerate(families)]
    exposure = float(performance.exposure[place])
    everywhere = name in REGIME_NAMES[REGIMES:] or name == ROUTER
    return {
        "member": name,
        **{key: holders[-1][key] for key in ("id", "generation", "species", "genome_hash", "rule")},
        "folds": holders if len(holders) > 1 else None,
        "verdict": own.verdict,
        "idle": own.idle,
        "reasons": member_reasons(
            own,
            held=any(_holds(name, family) for family in families),
            earned=float(returns.mean()) * year,
            matched=float(judged.matched[:, place].mean()) * year,
            exposure=exposure,
            detectable=judgement.detectable,
            router=everywhere,
        ),
        "against": {"flat": _against(own.flat), "matched": _against(own.matched)},
        "lacks": {lack.what: lack.have for lack in own.lacks},
        "exposure": exposure,
        "earned": float(returns.mean()) * year,
        "matched": float(judged.matched[:, place].mean()) * year,
        "spells": int(performance.spells[place]),
        "trades": int(performance.trades[place]),
        "days": len(returns),
        "detectable_sharpe": finite(judgement.detectable),
        "metrics": {
            f"{cost:.0f}": metrics_of(performance.shown[index][place], performance.holdout[index], place, year)
            for index, cost in enumerate(COSTS)
        },
        "by_regime": regimes(shown, year, calendar),
        "by_symbol": symbols(shown, year, calendar),
        "by_month": months(shown, judged, place, year, calendar),
        "costs": costs_of(shown),
        "sharpe": sharpe_of(returns, year, trials["effective"], trials["variance"] or 1.0 / len(returns)),
    }


def _holds(name: str, family: Family) -> bool:
    return any(group in family.champions for group in (REGIME_NAMES[:REGIMES] if name == ROUTER else (name,)))


def _holder(name: str, fold: int, family: Family, rules: Mapping[str, Any]) -> dict[str, Any]:
    """Who stands for a member in one fold; the router is all of its regimes' champions, and nobody alone."""
    champion = family.champions.get(name)
    return {
        "fold": fold,
        "id": None if champion is None else champion.id,
        "generation": None if champion is None else champion.generation,
        "species": None if champion is None else champion.species,
        "genome_hash": family.genomes.get(name),
        "rule": rules.get(name),
    }


def _against(own: Against) -> dict[str, Any]:
    return {"statistic": own.statistic, "rejected": own.rejected}


def _spa(own: Superiority | None) -> dict[str, Any] | None:
    return None if own is None else {key: getattr(own, key) for key in ("p_lower", "p_consistent", "p_upper")}


def _curves(judged: Record, buy: Record) -> dict[str, Any]:
    place = np.searchsorted(buy.day, judged.day)
    return {
        "day": [str(day) for day in judged.day],
        "flat": [1.0] * len(judged.day),
        "buy_and_hold": buy.equity[np.minimum(place, len(buy.day) - 1), 0].tolist(),
        "members": {
            name: {"equity": judged.equity[:, m].tolist(), "matched": judged.matched_equity[:, m].tolist()}
            for m, name in enumerate(MEMBERS)
        },
    }


def _steps(buy: Record) -> Any:
    equity = np.append(1.0, buy.equity[:, 0])
    return np.diff(equity) / np.where(equity[:-1] > 0, equity[:-1], 1.0)


def _plain(value: Any) -> Any:
    """What JSON holds; a number that is none is null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(own) for own in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

"""A certificate and an inference grid made by hand, so that every part of their pages has something to show."""

import datetime
import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from arena.schemas import REGIME_NAMES
from experiments.certificates.reading import FORMAT, VERSION, certificate_hash
from experiments.evidence.metrics import CONVENTIONS
from experiments.runs.directory import RunDirectory

__all__ = ["certificate_of", "certified", "grid_of"]

MEMBERS = (*REGIME_NAMES, "router")
VERDICTS = ("fail", "insufficient", "fail", "fail", "pass", "pass")
DAYS = 320
LOOKBACKS, AVERAGES, ENSEMBLES = (None, 50, 100, 200), (1, 4), ("alone", "mean", "trust", "stacked")
METRICS = [name for name in CONVENTIONS if name != "null"]
BEATS = (
    "it earned 31.1 % a year and holding the same exposure (+0.21 of equity on average) lost 0.8 %: it beats both that "
    "and staying flat by more than luck"
)
_FIRST = datetime.date(2024, 3, 4)


def certificate_of(run_id: str, holders: dict[str, int], replicate: int = 1) -> dict[str, Any]:
    """A certificate of a population whose all-rounder and router pass.

    Args:
        run_id: of the run.
        holders: the champion of each regime; where one is missing, nobody holds the place.
        replicate: counted from 1.
    """
    rng = np.random.default_rng(replicate)
    family = [_member(rng, name, holders.get(name), VERDICTS[MEMBERS.index(name)]) for name in MEMBERS]
    days = [str(_FIRST + datetime.timedelta(days=day)) for day in range(DAYS)]
    hold = np.exp(np.cumsum(rng.normal(2e-4, 7e-3, DAYS)))
    curves = {}
    for one in family:
        gained = rng.normal(1.2e-3 if one["verdict"] == "pass" else -1e-4, 5e-3, DAYS)
        if one["member"] not in ("all", "router"):
            gained *= rng.random(DAYS) < 0.3
        curves[one["member"]] = {
            "equity": np.exp(np.cumsum(gained)).tolist(),
            "matched": (1 + one["exposure"] * (hold - 1)).tolist(),
        }
    logits = np.linspace(-6, 6, 25)
    counts = np.rint(12_870 * np.diff(1 / (1 + np.exp(-(logits - 2.2) / 0.9)))).astype(int)
    records = {
        "training": _luck(612.4, 2.9, 3.4),
        "validation": _luck(3_712.0, 3.2, 2.9),
        "holdout": _luck(12.0, 1.4, 2.6),
    }
    values = {
        "format": FORMAT,
        "version": VERSION,
        "run_id": run_id,
        "replicate": replicate,
        "made": "2026-02-03T10:11:12+00:00",
        "verdict": "pass",
        "reasons": [
            f"the all-rounder passes: {BEATS}",
            "these bars have been looked at once before: opening 2 is judged at 0.3 %",
        ],
        "plain": False,
        "level": {"alpha": 0.02, "opening": 2, "used": 6 * 0.02 / (np.pi**2 * 4)},
        "least": {"spells": 30, "trades": 100, "days": 250},
        "champions": dict.fromkeys(holders, "b" * 64),
        "holdout": {
            "first": "2024-03-04T00:00:00Z",
            "last": "2025-01-17T23:00:00Z",
            "bars": 24 * DAYS,
            "bars_by_symbol": {"SYN1": 24 * DAYS},
            "days": DAYS,
            "symbols": ["SYN1"],
            "folds": 1,
            "data_hash": "d" * 64,
            "days_per_year": 365.25,
        },
        "openings": [
            {
                "time": f"2026-02-0{k + 2}T10:11:12+00:00",
                "run_id": "0123456789ab" if k == 1 else run_id,
                "replicate": replicate,
                "opening": k,
                "level": 0.02 if k == 1 else 6 * 0.02 / (np.pi**2 * 4),
            }
            for k in (1, 2)
        ],
        "family": family,
        "spa": {
            "flat": {"p_lower": 0.001, "p_consistent": 0.0014, "p_upper": 0.002},
            "matched": {"p_lower": 0.002, "p_consistent": 0.003, "p_upper": 0.0042},
        },
        "bootstrap": {"block": 4, "draws": 5000, "seed": 0},
        "trials": {
            "training": {
                "raw": 10_240,
                "active": 8_192.5,
                "slope": 0.61,
                "path": [[16, 14.2], [2_048, 300.1]],
                **_record(records["training"]),
            },
            "validation": {
                "raw": 3_712,
                "candidates": 512,
                "known": "counted",
                "settings": 3_200,
                **_record(records["validation"]),
            },
            "holdout": {"raw": 12, "family": 6, "openings": 2, **_record(records["holdout"])},
        },
        "overfitting": {
            "pbo": 0.09,
            "blocks": 16,
            "splits": 12_870,
            "columns": 700,
            "idle": 31,
            "merged": 12,
            "edges": logits.tolist(),
            "counts": counts.tolist(),
        },
        "luck": {"record": "training", **records["training"], "records": records},
        "curves": {"day": days, "flat": [1.0] * DAYS, "buy_and_hold": hold.tolist(), "members": curves},
        "buy_and_hold": dict.fromkeys(METRICS, 0.1),
        "minimum_backtest": 2_512.0,
        "why": {},
        "conventions": {**CONVENTIONS, "luck": "what is expected of 10,000 bests of as many lucky trials"},
    }
    return {**values, "hash": certificate_hash(values)}


def _luck(trials: float, expected: float, observed: float) -> dict[str, Any]:
    """The distribution of lucky bests, about as it is."""
    edges = np.linspace(expected - 1.2, max(expected + 1.4, observed), 41)
    middle = (edges[1:] + edges[:-1]) / 2
    counts = np.exp(-((middle - expected) ** 2) / 0.16)
    return {
        "edges": edges.tolist(),
        "counts": (10_000 * counts / counts.sum()).tolist(),
        "of": trials,
        "observed": observed,
        "member": "all",
        "expected": expected,
    }


def _record(luck: dict[str, Any]) -> dict[str, Any]:
    year = np.sqrt(365.25)
    return {
        "effective": luck["of"],
        "variance": 0.0021,
        "expected_maximum": luck["expected"] / year,
        "member": luck["member"],
        "record": luck["observed"] / year,
        "sharpe_year": luck["observed"],
        "deflated": {"2012": 0.93, "2025": 0.928},
    }


def _member(rng: np.random.Generator, name: str, identity: int | None, verdict: str) -> dict[str, Any]:
    passed, regime = verdict == "pass", name not in ("all", "router")
    rule = {
        "lookback": 100,
        "average": 4,
        "ensemble": "mean",
        "threshold": 0.3,
        "gap": 0.0123,
        "groups": ["all"],
        "brains": [identity, 3],
        "weights": [[0.5, 0.5]] * 4,
    }
    shown = [
        {"regime": one, "days": 80, "bars": 900, "trades": 20,
         "total_return": float(rng.normal(0.05, 0.08)) * (not regime or one == name), "sharpe": 1.1}
        for one in REGIME_NAMES[:4]
    ]  # fmt: skip
    return {
        "member": name,
        "id": identity,
        "generation": None if identity is None else 5,
        "species": None if identity is None else "qnetwork",
        "genome_hash": None if identity is None else "b" * 64,
        "rule": rule if name == "all" else None,
        "folds": None,
        "verdict": verdict,
        "idle": False,
        "reasons": {
            "pass": [BEATS],
            "fail": ["it earned 2.1 % a year, which luck alone may explain"],
            "insufficient": ["too short a record: 41 trades (at least 100 are needed)"],
        }[verdict],
        "against": {
            "flat": {"statistic": 4.1 if passed else 0.9, "rejected": passed},
            "matched": {"statistic": 3.8 if passed else 0.8, "rejected": passed},
        },
        "lacks": {"trades": 41} if verdict == "insufficient" else {},
        "exposure": 0.21 if passed else -0.05,
        "earned": 0.311 if passed else 0.021,
        "matched": -0.008,
        "spells": 44 if regime else 1,
        "trades": 41 if verdict == "insufficient" else 512,
        "days": DAYS,
        "detectable_sharpe": 4.1,
        "metrics": {cost: {key: float(rng.normal(0.4 - 0.1 * int(cost), 0.05)) for key in METRICS} for cost in "123"},
        "by_regime": shown,
        "by_symbol": [{"symbol": "SYN1", "trades": 512, "total_return": 0.31, "sharpe": 2.6}],
        "by_month": [
            {"month": f"2024-{month:02d}", "trades": 9, "total_return": float(rng.normal(0.01, 0.03)), "sharpe": None}
            for month in range(3, 13)
        ],
        "costs": {"commission": 0.011, "slippage": 0.006, "fee": 0.0, "financing": -0.004, "spread": 0.027},
        "sharpe": {
            "day": 0.13,
            "year": 2.61,
            "probabilistic": {"2012": 0.991, "2025": 0.99},
            "deflated": {"2012": 0.93, "2025": 0.92},
            "minimum_track_record": {"2012": 161.0, "2025": None},
        },
    }


def grid_of(holders: dict[str, int], replicate: int = 0) -> pl.DataFrame:
    """A grid in which four bars averaged over the mean of all, at a threshold of 0.3, is best for everybody."""
    rows = []
    for group, identity in holders.items():
        for place, rule in enumerate(itertools.product(LOOKBACKS, AVERAGES, ENSEMBLES, range(10))):
            lookback, average, ensemble, tenth = rule
            best = rule == (100, 4, "mean", 3)
            for regime in REGIME_NAMES if group == "all" else (group,):
                rows.append(
                    {
                        "replicate": replicate,
                        "fold": 0,
                        "group": group,
                        "id": identity,
                        "lookback": lookback,
                        "average": average,
                        "ensemble": ensemble,
                        "threshold": tenth / 10,
                        "gap": 0.004 * tenth,
                        "regime": regime,
                        "bars": 500,
                        "log_return": 0.05 if best else 0.04 * np.sin(0.37 * place + identity),
                        "t": 2.1 if best else float(np.sin(0.37 * place)),
                        "trades": 0 if tenth == 9 else 60 - 5 * tenth,
                        "chosen": best and regime == group,
                    }
                )
    return pl.DataFrame(rows, schema_overrides={"lookback": pl.Int32})


def certified(run: Path, folder: Path, replicates: int = 1) -> RunDirectory:
    """A copy of a run in that folder, with certificates and a grid beside its tables.

    Of several replicates each has every nth id, as `report_twice` makes them.
    """
    copy = RunDirectory(folder)
    if run != folder:
        shutil.copytree(run, folder)
    archive, grids = copy.read("archive").sort("generation"), []
    for place in range(replicates):
        holders = dict(archive.filter(pl.col("id") % replicates == place).select("regime", "id").rows())
        name = f"certificate-{place + 1}.json" if place else "certificate.json"
        made = certificate_of(copy.read_manifest()["run_id"], holders, place + 1)
        (folder / name).write_text(json.dumps(made), encoding="utf-8")
        grids.append(grid_of(holders, place))
    pl.concat(grids).write_parquet(folder / "inference.parquet")
    return copy

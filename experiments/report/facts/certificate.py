"""The certificates of a run as its page shows them: what was judged on the holdout, and what its record is worth.

A certificate is a file of its own, which a hand may have changed or a copy cut short. Whatever the page relies on is
looked at here; a certificate that is damaged, or of another run, is left out and said.
"""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arena.schemas import REGIME_NAMES
from experiments.certificates.reading import certificate_path, read_certificate
from experiments.report.facts.archive import Archive
from experiments.report.facts.champions import short
from experiments.report.facts.sources import Sources
from experiments.report.facts.thinning import Thinning
from experiments.report.facts.world import sentence
from markets.errors import UserError

__all__ = ["Columns", "certificates"]

Columns = dict[str, dict[str, NDArray[Any]]]
"""Groups of columns that are packed beside the facts, by name."""

_VERDICTS = ("pass", "fail", "insufficient")
_KEPT = (
    "replicate",
    "made",
    "verdict",
    "reasons",
    "level",
    "least",
    "holdout",
    "openings",
    "spa",
    "bootstrap",
    "trials",
    "overfitting",
    "luck",
    "minimum_backtest",
    "why",
    "conventions",
    "hash",
)
"""What the page takes of a certificate as it is."""
_LEFT_OUT = ("genome_hash", "by_month", "by_regime", "by_symbol")
"""Of a member."""
_EPOCH = datetime.date(1970, 1, 1)


def certificates(sources: Sources, archive: Archive) -> tuple[list[dict[str, Any]] | None, Columns]:
    """The certificate of every replicate that has one, and the days of their curves.

    Returns:
        Facts in the order of replicates (see docs/report.md), None where there is no certificate; and their columns by
        the name that each says: `day` (since 1970), `hold` and, of the member in the k-th place, `equity-k` and
        `matched-k`, all but the days as shares of the capital at the start.
    """
    shown: list[dict[str, Any]] = []
    columns: Columns = {}
    for place in range(sources.replicates[0]):
        path = certificate_path(sources.directory, place + 1)
        if not path.exists():
            continue
        try:
            certificate = _read(path, str(sources.manifest.get("run_id", "")), place + 1)
            facts, days = _shown(certificate, place)
        except UserError as error:
            why = sentence(error).removeprefix(f"{path}: ")
            sources.missing.add("certificate", path.name, f"The certificate cannot be used: {why}.")
        except (ValueError, TypeError, KeyError, AttributeError, IndexError):
            why = "The certificate cannot be used: what it says is not what this version writes."
            sources.missing.add("certificate", path.name, why)
        else:
            facts["columns"] = f"certificate-{place + 1}"
            facts["former"] = _former(facts["family"], archive, place)
            columns[facts["columns"]] = days
            shown.append(facts)
    return shown or None, columns


def _read(path: Path, run_id: str, replicate: int) -> dict[str, Any]:
    """A certificate, of this run and replicate.

    Raises:
        UserError: it is damaged, or is of another.
    """
    found = read_certificate(path)
    if found.get("run_id") != run_id or found.get("replicate") != replicate:
        raise UserError(f"{path}: is of run {found.get('run_id')}, replicate {found.get('replicate')}")
    return found


def _former(family: list[dict[str, Any]], archive: Archive, replicate: int) -> bool:
    """Whether champions were judged that have lost their place since, because the run went on."""
    now = {row["regime"]: row["id"] for row in archive.current.iter_rows(named=True) if row["replicate"] == replicate}
    held = [member for member in family if member["regime"] is not None]
    return bool(now) and any(member["id"] != now.get(member["regime"]) for member in held)


def _shown(certificate: Mapping[str, Any], place: int) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Facts and columns of a certificate.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: something is not what it should be.
    """
    facts = {key: _plain(certificate[key]) for key in _KEPT}
    facts["replicate"] = place
    _see(facts["verdict"] in _VERDICTS and _words(facts["reasons"]))
    _see(all(isinstance(facts[key], dict) for key in ("level", "holdout", "spa", "trials", "why", "conventions")))
    facts["family"] = [_member(member) for member in certificate["family"]]
    _see(len({member["member"] for member in facts["family"]}) == len(facts["family"]) > 0)
    facts["luck"] = None if facts["luck"] is None else {key: facts["luck"][key] for key in ("record", "records")}
    for plot in (facts["overfitting"], *(facts["luck"]["records"].values() if facts["luck"] else ())):
        if plot is not None:
            _see(len(plot["edges"]) == len(plot["counts"]) + 1 > 1)
            _see(all(isinstance(value, int | float) for key in ("edges", "counts") for value in plot[key]))
    curves = certificate["curves"]
    dates = [datetime.date.fromisoformat(day[:10]) for day in curves["day"]]
    thin = Thinning(len(dates))
    last = np.minimum(thin.generations + thin.every, len(dates)) - 1
    days = {
        "day": np.array([(day - _EPOCH).days for day in dates], np.int32)[last],
        "hold": _curve(curves["buy_and_hold"], len(dates))[last],
    }
    for k, member in enumerate(facts["family"]):
        for key in ("equity", "matched"):
            days[f"{key}-{k}"] = _curve(curves["members"][member["member"]][key], len(dates))[last]
    facts["every"] = thin.every
    return facts, days


def _member(member: Mapping[str, Any]) -> dict[str, Any]:
    """One of the family, with the place of its regime; months by their return alone."""
    name = member["member"]
    _see(name in (*REGIME_NAMES, "router") and member["verdict"] in _VERDICTS and _words(member["reasons"]))
    _see(set(member["against"]) == {"flat", "matched"} and {"1", "2", "3"} <= set(member["metrics"]))
    kept = {key: _plain(value) for key, value in member.items() if key not in _LEFT_OUT}
    kept["regime"] = REGIME_NAMES.index(name) if name in REGIME_NAMES else None
    kept["by_regime"] = {row["regime"]: short(row["total_return"]) for row in member["by_regime"]}
    kept["by_month"] = [[str(row["month"])[:7], short(row["total_return"])] for row in member["by_month"]]
    return kept


def _curve(values: list[float | None], days: int) -> NDArray[np.float32]:
    curve = np.array([np.nan if value is None else value for value in values], np.float32)
    _see(curve.shape == (days,))
    return curve


def _words(reasons: object) -> bool:
    return isinstance(reasons, list) and all(isinstance(reason, str) for reason in reasons)


def _see(right: bool) -> None:
    """Raise ValueError where something is not what it should be."""
    if not right:
        raise ValueError


def _plain(value: Any) -> Any:
    """What JSON holds, numbers to six digits; an infinity or NaN is null."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return short(value) if isinstance(value, float) else value

"""Ancestors: what a certificate says where those who founded the run by bundles had seen bars of its holdout."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.certificates.reading import certificate_hash
from experiments.configuration.study import Study
from experiments.founders.seen import made_of, overlapping
from experiments.runs.directory import RunDirectory
from experiments.runs.origins import ancestors_saw

__all__ = ["ancestors_knew", "not_unseen"]


def ancestors_knew(
    directory: RunDirectory, study: Study, replicate: int, spans: Mapping[str, tuple[str, str]]
) -> list[str]:
    """Earlier runs whose champions founded this one and had been bred on bars that are about to be judged, each once.

    Args:
        directory: of the run.
        study: of the run.
        replicate: from 1.
        spans: first and last stamp of the judged rows, by symbol.

    Raises:
        UserError: the file of the founders is damaged.
    """
    made = made_of(study.market, study.settings.seed + replicate - 1)
    return list(dict.fromkeys(own.run_id for own in overlapping(ancestors_saw(directory), spans, made)))


def not_unseen(values: Mapping[str, Any], runs: Sequence[str]) -> dict[str, Any]:
    """The certificate where the holdout is not unseen: nothing passes there, and the first reason says why.

    Args:
        values: the certificate as it would be.
        runs: that bred ancestors on bars of the holdout.
    """
    why = f"ancestors of these champions had seen bars of this holdout ({', '.join(runs)}), so it is not unseen"

    def held_back(own: Mapping[str, Any]) -> dict[str, Any]:
        return (
            {**own, "verdict": "insufficient", "reasons": [why, *own["reasons"]]}
            if own["verdict"] == "pass"
            else {**own}
        )

    changed = held_back({key: own for key, own in values.items() if key != "hash"})
    reasons = changed["reasons"] if changed["reasons"][:1] == [why] else [*changed["reasons"], why]
    changed |= {"reasons": reasons, "family": [held_back(own) for own in values["family"]]}
    return {**changed, "hash": certificate_hash(changed)}

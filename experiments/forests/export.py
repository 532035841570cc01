"""Handing on: a tree ensemble as a file of ONNX or XGBoost, whole or not at all."""

from collections.abc import Callable, Mapping
from pathlib import Path

from experiments.exchange.canonical import canonical
from experiments.exchange.ensemble import Ensemble
from experiments.exchange.onnx_model import to_onnx
from experiments.exchange.xgboost_json import to_xgboost
from experiments.runs.files import check_out, write_whole
from markets.errors import UserError

__all__ = ["FORMATS", "check_model", "write_ensemble"]

FORMATS: Mapping[str, Callable[[Ensemble], bytes]] = {"onnx": to_onnx, "xgboost": to_xgboost}
"""What an ensemble can be written as."""


def check_model(out: Path, source: Path | None = None) -> None:
    """See that a file may be written there, before anything is read or made.

    Args:
        out: the file.
        source: the model's file that it is made from, where it is made from one.

    Raises:
        UserError: a folder, no regular file, the source itself, or a folder that is not there.
    """
    check_out(out)
    if source is not None and out.exists() and out.samefile(source):
        raise UserError(f"{out}: is the model itself; name another file")


def write_ensemble(ensemble: Ensemble, form: str, out: Path, *, whose: str) -> None:
    """Write an ensemble; a file that is there is replaced.

    Args:
        ensemble: of any library.
        form: one of `FORMATS`.
        out: the file.
        whose: the source, for messages.

    Raises:
        UserError: no canonical form, names that the format refuses, a package that is missing, or a place that cannot
            be written.
    """
    try:
        plain = canonical(ensemble)
    except UserError as error:
        raise UserError(f"{whose}: {error}") from None
    content = FORMATS[form](plain)
    try:
        write_whole(out, lambda temporary: temporary.write_bytes(content))
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror or error})") from None

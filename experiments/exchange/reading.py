"""Models of other libraries, told apart by what is in the file and never by its name."""

import json
import stat
from collections.abc import Callable
from pathlib import Path

from experiments.exchange import ubjson
from experiments.exchange.ensemble import Ensemble
from markets.errors import UserError

__all__ = ["FORMS", "read_content", "read_model"]

FORMS = "a model that XGBoost saved (JSON, UBJSON), LightGBM (text) or CatBoost (JSON, cbm)"

_LARGEST = 256 << 20
"""Bytes of a model's file. They take some five times as much memory while they are read."""

_KEYS = {
    "learner": "xgboost",
    **dict.fromkeys(("oblivious_trees", "trees", "features_info", "model_info", "scale_and_bias"), "catboost"),
}
"""Outermost keys of models in JSON, and whose they are."""

_STRANGERS = (
    (b"binf", "XGBoost's old binary form; load it there and save it as .ubj"),
    (b"\x80", "a pickle, which could run anything when read; save the model itself, with its save_model"),
    (b"\x1f\x8b", "packed with gzip; unpack it first"),
    (b"PK\x03\x04", "a zip archive; unpack it first"),
)
"""First bytes of what people have instead, and what to do."""


def read_model(path: Path) -> Ensemble:
    """The trees in a file that XGBoost (JSON, UBJSON), LightGBM (text) or CatBoost (JSON, cbm) saved.

    Raises:
        UserError: no such file, not readable, too large, damaged, or of no such form; one line names the file, where
            it can the tree, and what would be right.
    """
    return _reader(path)(path)


def read_content(path: Path) -> bytes:
    """What is in a model's file.

    Raises:
        UserError: no regular file, not readable, empty or larger than models are.
    """
    try:
        told = path.stat()
        if stat.S_ISDIR(told.st_mode):
            raise UserError(f"{path}: is a folder; name the file itself, {FORMS}")
        if not stat.S_ISREG(told.st_mode):
            raise UserError(f"{path}: is no regular file but a pipe or a device; right is {FORMS}")
        if told.st_size > _LARGEST:
            raise UserError(f"{path}: larger than {_LARGEST >> 20} MiB; right is {FORMS} with fewer trees")
        with path.open("rb") as file:
            content = file.read(told.st_size)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; right is {FORMS}") from None
    except UserError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{path}: cannot be read ({reason}); right is {FORMS}") from None
    if not content.strip():
        raise UserError(f"{path}: empty; right is {FORMS}")
    return content


def _reader(path: Path) -> Callable[[Path], Ensemble]:
    """The reader for what a file holds; a reader's own library is imported when it is needed, not here."""
    content = read_content(path)
    whose = _library(content, path)
    if whose == "xgboost":
        from experiments.exchange.xgboost_model import read_xgboost

        return read_xgboost
    if whose == "lightgbm":
        from experiments.exchange.lightgbm_model import read_lightgbm

        return read_lightgbm
    from experiments.exchange.catboost_model import read_catboost

    return read_catboost


def _library(content: bytes, path: Path) -> str:
    if content[:4] == b"CBM1":
        return "catboost"
    start = content[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith((b"tree\n", b"tree\r", b"version=")):
        return "lightgbm"
    if ubjson.begins(content):
        return "xgboost"
    for first, what in _STRANGERS:
        if start.startswith(first):
            raise UserError(f"{path}: is {what}; right is {FORMS}")
    if not start.startswith(b"{"):
        raise UserError(f"{path}: is not {FORMS}")
    try:
        whose = _of_json(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise UserError(f"{path}: is no JSON to its end, a damaged file perhaps; right is {FORMS}") from None
    if whose is None:
        raise UserError(f"{path}: is JSON but no model (none of {', '.join(_KEYS)} is in it); right is {FORMS}")
    return whose


def _of_json(text: str) -> str | None:
    """Whose model an object is, by the first of its outermost keys that says so; what follows is not looked at."""
    decoder, at = json.JSONDecoder(), text.index("{") + 1
    while True:
        at = _blank(text, at)
        if text[at : at + 1] == "}":
            return None
        key, at = decoder.raw_decode(text, at)
        if not isinstance(key, str):
            raise ValueError("a key is no text")
        if key in _KEYS:
            return _KEYS[key]
        at = _blank(text, at)
        if text[at : at + 1] != ":":
            raise ValueError("a key without a value")
        _, at = decoder.raw_decode(text, _blank(text, at + 1))
        at = _blank(text, at)
        if text[at : at + 1] not in (",", "}"):
            raise ValueError("a value without an end")
        at += text[at] == ","


def _blank(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\t", "\n", "\r"):
        at += 1
    return at

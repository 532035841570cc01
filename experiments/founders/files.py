"""Founders from files: saved models of any library, their columns matched to what agents see."""

import dataclasses
import difflib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agents.observation import ACCOUNT_VIEW
from experiments.exchange.ensemble import LEAF, Ensemble
from experiments.exchange.reading import read_model
from markets.errors import UserError

__all__ = ["input_names", "match_features", "named_files", "read_files"]

_UNNAMED = re.compile(r"(f|Column_|)[0-9]+")
"""What the libraries call columns without a name."""

_SHOWN = 8


def input_names(features: Sequence[str]) -> tuple[str, ...]:
    """Names of all that a tree may ask for: the market's features, then the account's numbers.

    A number of the account that shares its name with a user's column is called `account_…`.
    """
    return (*features, *(f"account_{name}" if name in features else name for name in ACCOUNT_VIEW))


def named_files(path: str | Sequence[str] | None, *, where: str = "training.path") -> list[str]:
    """The files that a key names, one or several.

    Raises:
        UserError: it names none, or one of them is empty.
    """
    paths = [path] if isinstance(path, str) else list(path or ())
    if not paths or not all(paths):
        raise UserError(f"{where}: founders from a file need one; name a saved model, or a list of them")
    return paths


def read_files(
    path: str | Sequence[str] | None, features: Sequence[str], *, where: str = "training.path"
) -> tuple[list[Ensemble], str]:
    """The models in these files, their columns those of the market.

    Args:
        path: one file, or one for each model.
        features: names of the market's features, in order.
        where: the key that names the files, for messages.

    Returns:
        The models, and a sentence that says what they are.

    Raises:
        UserError: no file is named, or one cannot be read or asks for what there is not.
    """
    paths = named_files(path, where=where)
    models = [match_features(read_model(Path(name)), features, whose=name) for name in paths]
    kinds = Counter(model.library for model in models)
    shown = ", ".join(f"{count} of {kind}" for kind, count in kinds.items())
    files = "1 file" if len(paths) == 1 else f"{len(paths)} files"
    return models, f"models from {files} ({shown}), at most {max(len(model.trees) for model in models)} trees"


def match_features(ensemble: Ensemble, features: Sequence[str], *, whose: str) -> Ensemble:
    """The same ensemble over the market's columns, and the account's where it asks for any of them.

    Columns are matched by name, in any order, where all of its names are known, and by place where it has no names
    and as many columns as the market.

    Args:
        ensemble: of any library.
        features: names of the market's features, in order.
        whose: the file or library, for messages.

    Raises:
        UserError: a column that is not known, or columns without names that are not as many.
    """
    known = input_names(features)
    if all(name in known for name in ensemble.features):
        place = np.asarray([known.index(name) for name in ensemble.features], np.int32)
        used = known if (place >= len(features)).any() else tuple(features)
    elif all(_UNNAMED.fullmatch(name) for name in ensemble.features):
        if len(ensemble.features) != len(features):
            raise UserError(
                f"{whose}: has {len(ensemble.features)} columns without names, and the market has {len(features)} "
                f"features: {_some(features)}; train it on those, in this order"
            )
        place, used = np.arange(len(features), dtype=np.int32), tuple(features)
    else:
        stranger = next(name for name in ensemble.features if name not in known)
        near = difflib.get_close_matches(stranger, known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UserError(f"{whose}: asks for {stranger!r}, which the market has not; {hint}there are: {_some(known)}")
    trees = tuple(
        dataclasses.replace(tree, feature=np.where(tree.feature == LEAF, LEAF, place[tree.feature]).astype(np.int32))
        for tree in ensemble.trees
    )
    return dataclasses.replace(ensemble, features=used, trees=trees)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"

"""Whether a champion of an earlier run fits into this one: the features it sees, and the room its brain needs."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from genomes.registry import settings_class
from markets.errors import UserError
from markets.features import Feature, FeatureSettings, features
from markets.settings import build, shown

__all__ = ["fitted_species", "see_features"]

_ROOM = ("depth", "market_trees", "state_trees")
"""Of a forest, what may be larger here."""


def fitted_species(name: str, own: Mapping[str, Any] | None, given: Sequence[tuple[str, Mapping[str, Any]]]) -> Any:
    """A species' settings where champions are to live, with the layout of trees that they need if nobody named one.

    A network's layers must be theirs. A forest may be deeper and have more trees, and ordinary where theirs is
    oblivious.

    Args:
        name: of the species.
        own: its settings; None is all defaults.
        given: bundles of it, each with the settings it was bred under.

    Raises:
        UserError: no room; the line names the bundle, and every key that would be right.
    """
    if not given or name not in ("qnetwork", "forest"):
        return own
    where = f"species.{name}"
    here = build(settings_class(name), own, where)
    if name == "qnetwork":
        for path, there in given:
            if list(there["hidden"]) != list(here.hidden):
                right = f"{where}.hidden={shown(list(there['hidden'])).replace(' ', '')}"
                if list(there["hidden"]) != list(given[0][1]["hidden"]):
                    right = f"one size: {given[0][0]} has {shown(list(given[0][1]['hidden']))}"
                raise UserError(
                    f"bundle.path: {path} has hidden layers of {shown(list(there['hidden']))}; right is {right}"
                )
        return own
    needs = {key: max(int(there[key]) for _, there in given) for key in _ROOM}
    ordinary = any(there["layout"] == "ordinary" for _, there in given)
    wrong = [f"{where}.{key}={least}" for key, least in needs.items() if getattr(here, key) < least]
    if ordinary and here.layout == "oblivious":
        wrong.append(f"{where}.layout=ordinary")
    if wrong:
        tight = next(
            path
            for path, there in given
            if any(getattr(here, key) < there[key] for key in _ROOM)
            or (there["layout"] == "ordinary" and here.layout == "oblivious")
        )
        raise UserError(f"bundle.path: {tight} needs more room than there is; right is {' '.join(wrong)}")
    return {**(own or {}), "layout": here.layout or ("ordinary" if ordinary else "oblivious")}


def see_features(seen: Mapping[str, Any], settings: FeatureSettings, whose: str) -> None:
    """See that a run sees all that a champion does, over as many bars.

    A feature is its name and its window: the same name cut off earlier (`features.lookback`) is another feature.
    Columns of the user's own are not looked at.

    Args:
        seen: by the champion: `features` of its manifest.
        settings: of the run.
        whose: the bundle, for messages.

    Raises:
        UserError: one that is missing or otherwise, with the keys that would be right.
    """
    known = {feature.name: feature for feature in features(settings)}
    for wanted in seen["list"]:
        name, window = wanted["name"], int(wanted["window"])
        if name in seen["columns"] or _same(known.get(name), window):
            continue
        there = build(FeatureSettings, seen["settings"], "features")
        what = (
            f"over {window} bars, and this run over {known[name].window}" if name in known else "and this run does not"
        )
        raise UserError(f"{whose} sees {name} {what}; right is {_right(settings, there, name, window)}")


def _same(feature: Feature | None, window: int) -> bool:
    return feature is not None and feature.window == window


def _right(here: FeatureSettings, there: FeatureSettings, name: str, window: int) -> str:
    """The one key that brings the feature, or all that differ."""
    differ = {}
    for field in dataclasses.fields(here):
        ours, theirs = getattr(here, field.name), getattr(there, field.name)
        if ours != theirs:
            both = sorted({*ours, *theirs}) if isinstance(ours, tuple) and isinstance(theirs, tuple) else theirs
            differ[field.name] = tuple(both) if isinstance(both, list) else both
    keys = [key for key, value in differ.items() if _brings(here, {key: value}, name, window)]
    chosen = {keys[0]: differ[keys[0]]} if keys else differ
    if not chosen:
        return "the version of this program that the bundle was made with"
    return " ".join(f"features.{key}={_word(value)}" for key, value in chosen.items())


def _brings(here: FeatureSettings, changed: Mapping[str, Any], name: str, window: int) -> bool:
    try:
        made = features(dataclasses.replace(here, **changed))
    except UserError:
        return False
    return any(feature.name == name and feature.window == window for feature in made)


def _word(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{','.join(map(str, value))}]"
    return "null" if value is None else str(value).lower()

"""The part of a manifest that says how a champion acts where that is not as it was bred: brains, and rules by regime.

Nothing here is passed over: an unknown key is refused, as it might change what the champion does.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from markets.errors import UserError
from markets.features import FeatureSettings
from markets.settings import setting, shown

__all__ = ["AVERAGED", "CHAMPION", "Brain", "Inference", "Rule", "check_inference", "check_species", "cut"]

CHAMPION = "champion.safetensors"
"""The file of the champion, which is the first brain of a bundle of several."""

AVERAGED = 16
"""Bars whose values may be averaged at most, as in the arena."""

_MANY = 1_000_000
"""Units of a layer, or trees, at most."""


@dataclasses.dataclass(frozen=True)
class Brain:
    """One of the brains that decision rules weigh: whose it is, as of which generation, what kind, and its file."""

    species: Literal["qnetwork", "forest"]
    settings: dict[str, Any]
    file: str
    id: int = setting(ge=0, le=2**63 - 1)
    generation: int = setting(ge=0)


@dataclasses.dataclass(frozen=True)
class Rule:
    """How it acts in one regime (`agents.live.rules` does it)."""

    acts: bool
    weights: tuple[float, ...]
    own: int = setting(ge=0)
    threshold: float = setting(ge=0.0)
    average: int = setting(ge=1, le=AVERAGED)
    lookback: int | None = setting(None, ge=8)


@dataclasses.dataclass(frozen=True)
class Inference:
    """Decision rules: whose they are, the brains, and how each regime is acted in."""

    who: str
    brains: tuple[Brain, ...]
    regimes: dict[str, Rule]


def cut(settings: FeatureSettings, lookback: int | None) -> FeatureSettings:
    """What is seen where no feature looks further back than so many bars, or than it does anyway."""
    if lookback is None or (settings.lookback is not None and settings.lookback <= lookback):
        return settings
    return dataclasses.replace(settings, lookback=lookback)


def check_inference(rules: Inference, regimes: Sequence[str], where: str) -> None:
    """See that decision rules say of each regime how it is acted in, and by brains that there are.

    Args:
        rules: that were read.
        regimes: that can be acted in.
        where: what messages call the file.

    Raises:
        UserError: they do not.
    """
    files = [brain.file for brain in rules.brains]
    if not files or files[0] != CHAMPION or len(set(files)) < len(files):
        raise UserError(f"{where}: inference.brains: expected {CHAMPION} first, and a file of its own for each")
    for place, brain in enumerate(rules.brains):
        check_species(brain.species, brain.settings, where, f"inference.brains[{place}]")
    if sorted(rules.regimes) != sorted(regimes):
        raise UserError(f"{where}: inference.regimes: expected {', '.join(regimes)}")
    for name, rule in rules.regimes.items():
        if rule.own >= len(files):
            raise UserError(f"{where}: inference.regimes.{name}.own: {rule.own} is none of the {len(files)} brains")
        if len(rule.weights) != len(files):
            raise UserError(f"{where}: inference.regimes.{name}.weights: expected one for each of {len(files)} brains")


def check_species(name: str, settings: Mapping[str, Any], where: str, key: str) -> None:
    """See that the settings of a species say how a brain is laid out.

    Args:
        name: of the species.
        settings: its own.
        where: what messages call the file.
        key: dotted, of the species in it.

    Raises:
        UserError: they do not.
    """
    counts: dict[str, tuple[Any, int, int]] = {}
    if name == "forest":
        if settings.get("layout") not in ("oblivious", "ordinary"):
            raise UserError(f"{where}: {key}.settings.layout: expected oblivious or ordinary")
        least = {"depth": (1, 16), "market_trees": (0, _MANY), "state_trees": (0, _MANY)}
        counts = {part: (settings.get(part), *span) for part, span in least.items()}
    else:
        hidden = settings.get("hidden")
        if not isinstance(hidden, list) or not hidden:
            raise UserError(f"{where}: {key}.settings.hidden: expected a list of layers, got {shown(hidden)}")
        counts = {f"hidden[{place}]": (units, 1, _MANY) for place, units in enumerate(hidden)}
    for part, (value, low, high) in counts.items():
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            wanted = f"a whole number from {low} to {high:,}"
            raise UserError(f"{where}: {key}.settings.{part}: expected {wanted}, got {shown(value)}")

"""Bundles made by hand whose champion acts by decision rules: several random brains, and rules by regime."""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hand_bundles import Hand, rewrite

from markets.features import features, relative_atr_window, warmup
from markets.regimes import REGIMES
from markets.settings import build

__all__ = ["PLAIN", "Ruled", "ruled_bundle", "rules_of"]

PLAIN: Mapping[str, Any] = {"acts": True, "own": 0, "threshold": 0.0, "average": 1, "lookback": None}
"""A rule that changes nothing, but for weights."""


class Ruled(NamedTuple):
    """A bundle with rules, and the bundles that its brains are of, the champion's first."""

    path: Path
    manifest: dict[str, Any]
    hands: tuple[Hand, ...]


def rules_of(brains: int, *rules: Mapping[str, Any], **usual: Any) -> dict[str, dict[str, Any]]:
    """Rules of the four regimes, in order; one that is not given, or says nothing of a key, is as usual."""
    alone = [1.0, *[0.0] * (brains - 1)]
    return {
        name: {**PLAIN, "weights": alone, **usual, **(rules[place] if place < len(rules) else {})}
        for place, name in enumerate(REGIMES[:-1])
    }


def ruled_bundle(
    out: Path, hands: Sequence[Hand], regimes: Mapping[str, Mapping[str, Any]], *, who: str = "router"
) -> Ruled:
    """Write a bundle whose brains are those of other bundles.

    Args:
        out: the folder to be.
        hands: bundles of one market and one set of features, the champion's first.
        regimes: the rules.
        who: whom they are of.
    """
    shutil.copytree(hands[0].path, out)
    manifest = {**hands[0].manifest, "files": dict(hands[0].manifest["files"]), "version": "2.0"}
    brains = []
    for place, hand in enumerate(hands):
        name = f"brains/{place}.safetensors" if place else "champion.safetensors"
        data = (hand.path / "champion.safetensors").read_bytes()
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_bytes(data)
        manifest["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        brains.append({"id": 12 + place, "generation": 3, **_species(hand), "file": name})
    manifest["inference"] = {
        "who": who,
        "brains": brains,
        "regimes": {name: dict(rule) for name, rule in regimes.items()},
    }
    manifest["warm_up"] = max(hands[0].warm_up, *(_window(manifest, rule["lookback"]) for rule in regimes.values()))
    rewrite(out, manifest)
    return Ruled(out, manifest, tuple(hands))


def _species(hand: Hand) -> dict[str, Any]:
    own = hand.manifest["species"]
    return {"species": own["name"], "settings": own["settings"]}


def _window(manifest: Mapping[str, Any], lookback: int | None) -> int:
    from markets.features import FeatureSettings

    own = manifest["features"]["settings"]
    settings = build(FeatureSettings, own if lookback is None else {**own, "lookback": lookback})
    return max(warmup(features(settings, manifest["features"]["columns"])), relative_atr_window())

"""What a bundle has to say in a line: what its certificate says of the champion, and what it does without."""

from collections.abc import Mapping
from typing import Any

from experiments.bundles.metatrader import without_expert

__all__ = ["MEMBERS", "certificate_words", "left_out", "whose"]

MEMBERS = {
    "bull_trending": "champion of bull trends, flat elsewhere",
    "bear_trending": "champion of bear trends, flat elsewhere",
    "volatile_ranging": "champion of volatile ranges, flat elsewhere",
    "calm_ranging": "champion of calm ranges, flat elsewhere",
    "all": "all-rounder",
    "router": "router, which sends each bar to its regime's champion",
}
"""What a member of a family is called, and does."""

_SAID = {"pass": "passed", "fail": "FAILED", "insufficient": "could not be judged"}


def whose(manifest: Mapping[str, Any]) -> str:
    """Whose bundle it is: an agent and what it is the champion of, and by what rules it acts."""
    champion, rules = manifest["champion"], manifest.get("inference")
    if rules is not None and rules["who"] == "router":
        return f"router of run {champion['run_id']}, over {_brains(rules)}"
    held = ", ".join(champion["regimes"]) or "nothing any more"
    said = f"{champion['species']} {champion['id']} of run {champion['run_id']}, champion of {held}"
    return said if rules is None else f"{said}, as {MEMBERS[rules['who']]}, by rules over {_brains(rules)}"


def _brains(rules: Mapping[str, Any]) -> str:
    count = len(rules["brains"])
    return f"{count} brain{'s' if count > 1 else ''}"


def certificate_words(manifest: Mapping[str, Any]) -> str:
    """What the certificate says of the champion in a bundle, in one line."""
    own = manifest["certificate"]
    if own is None:
        return "no certificate: nobody has tested whether what it earned was luck"
    said = f"certificate: the {MEMBERS[own['member']].partition(',')[0]} {_SAID[own['member_verdict']]}"
    said += "" if own.get("as_judged", True) else ", judged acting otherwise than here"
    return f"{said}: {own['reasons'][0]}" if own["reasons"] else said


def left_out(manifest: Mapping[str, Any]) -> dict[str, str]:
    """What a bundle does without, and why: what could not act as its champion does."""
    rules, left = manifest.get("inference"), {}
    if rules is not None and len(rules["brains"]) > 1:
        left["model.onnx"] = f"one model is one brain, and this champion decides by {len(rules['brains'])}"
    why = without_expert(manifest)
    return left | ({"mt5/": why} if why else {})

"""Asking: what an opening will look at, worked out before its line is written."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.certificates.ground import Rows
from experiments.inference.rules import Choice
from markets.bars import Bars
from markets.source import MarketSettings

__all__ = ["judged_spans", "recipe_of", "rules_hash"]

_HOW_MANY = ("bars", "symbols")
"""Settings of a made-up market that say how much of it there is: more of it begins with the same bars."""


def judged_spans(bars: Sequence[Bars], rows: Sequence[Sequence[Rows]], *, mode: str) -> dict[str, tuple[str, str]]:
    """First and last stamp of the rows that are about to be judged, by symbol; those without such rows are missing.

    Args:
        bars: of each symbol.
        rows: of each fold, parts of each segment.
        mode: `pool` or `basket`.
    """
    if mode == "basket":
        common: NDArray[np.datetime64] = bars[0].time
        for own in bars[1:]:
            common = np.intersect1d(common, own.time, assume_unique=True)
        clocks = [([own.symbol for own in bars], common)]
    else:
        clocks = [([own.symbol], own.time) for own in bars]
    found: dict[str, tuple[str, str]] = {}
    for place, (symbols, time) in enumerate(clocks):
        pieces = [own[place][2] for own in rows if len(own[place][2]) > 1]
        if pieces:
            first, last = (
                np.datetime_as_string(time[row], unit="s") + "Z" for row in (pieces[0].start, pieces[-1].stop - 1)
            )
            found |= dict.fromkeys(symbols, (first, last))
    return found


def recipe_of(market: MarketSettings, seed: int) -> str:
    """SHA-256 of what makes the bars of a made-up market, however many of them are taken; empty of real ones."""
    if not market.made_up:
        return ""
    source = {key: own for key, own in dataclasses.asdict(market.source).items() if key not in _HOW_MANY}
    return _hash({"name": market.name, "seed": seed, "source": source})


def rules_hash(choices: Sequence[Mapping[str, Choice]]) -> str:
    """SHA-256 of how members act beside their genomes, by fold and group."""
    return _hash([{group: dataclasses.asdict(own) for group, own in each.items()} for each in choices])


def _hash(said: Any) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

"""Seen: which bars bred the champions of earlier runs, so that a run knows whether its holdout is new to its founders.

A champion was bred on the bars up to the end of its run's validation; those of the holdout are counted where a
certificate was given on them, for then the champion was picked by somebody who knew how it did there. What founded that
run had seen its own, which a bundle hands on. Bars of a made-up market are the same only where all that makes them is.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from markets.errors import UserError
from markets.source import MarketSettings

__all__ = ["Seen", "made_of", "overlapping", "seen_by", "seen_in", "seen_words"]

_HOW_MANY = ("bars", "symbols")
"""Settings of a made-up market that say how much of it there is: more of it begins with the same bars."""


@dataclasses.dataclass(frozen=True)
class Seen:
    """Bars that a run bred its champions on.

    Attributes:
        run_id: the run.
        symbols: of its market, which are split by the same dates.
        first: stamp of the first bar.
        last: stamp of the last bar.
        made_up: what makes them, as of `made_of`; None of real bars.
    """

    run_id: str
    symbols: tuple[str, ...]
    first: str
    last: str
    made_up: Mapping[str, Any] | None = None


def made_of(market: MarketSettings, seed: int) -> dict[str, Any] | None:
    """What makes the bars of a made-up market, however many of them are taken; None of real ones."""
    if not market.made_up:
        return None
    source = {key: own for key, own in dataclasses.asdict(market.source).items() if key not in _HOW_MANY}
    made: dict[str, Any] = json.loads(json.dumps({"name": market.name, "seed": seed % 2**32, "source": source}))
    return made


def seen_by(manifest: Mapping[str, Any]) -> list[Seen]:
    """What the champion of a bundle was bred on, and before it those that founded its run.

    Args:
        manifest: of the bundle.

    Raises:
        UserError: it does not say so.
    """
    try:
        data, whole = manifest["data"], manifest.get("certificate") is not None
        ends = [span[1] for span in (data["validation"], data["holdout"] if whole else None) if span]
        own = {
            "run_id": manifest["champion"]["run_id"],
            "symbols": data["symbols"],
            "first": data["first"],
            "last": ends[-1] if ends else data["last"],
            "made_up": data.get("made_up"),
        }
        return seen_in([*(data.get("ancestors") or []), own])
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"data: does not say which bars its run saw ({error})") from None


def seen_in(entries: Iterable[Mapping[str, Any]]) -> list[Seen]:
    """The same, as JSON has it.

    Raises:
        KeyError, TypeError, ValueError: something is missing, or no time.
    """
    found = []
    for entry in entries:
        own = Seen(entry["run_id"], tuple(entry["symbols"]), entry["first"], entry["last"], entry.get("made_up"))
        _time(own.first), _time(own.last)
        found.append(own)
    return found


def overlapping(
    seen: Iterable[Seen], spans: Mapping[str, tuple[str, str]], made_up: Mapping[str, Any] | None
) -> list[Seen]:
    """What of it reaches into a holdout.

    Args:
        seen: by ancestors.
        spans: first and last stamp of the holdout's rows, by symbol.
        made_up: what makes its bars, as of `made_of`.
    """
    return [
        own
        for own in seen
        if own.made_up == made_up
        and any(
            symbol in own.symbols and _time(own.first) <= _time(last) and _time(first) <= _time(own.last)
            for symbol, (first, last) in spans.items()
        )
    ]


def seen_words(seen: Iterable[Seen]) -> str:
    """Whose ancestors saw the holdout, in a line; empty where none did."""
    runs = list(dict.fromkeys(own.run_id for own in seen))
    if not runs:
        return ""
    return (
        f"note: ancestors in {', '.join(runs)} were bred on bars of this run's holdout, so it is not unseen, and no "
        "certificate can pass"
    )


def _time(stamp: str) -> np.datetime64:
    time = np.datetime64(stamp.removesuffix("Z"), "us")
    if np.isnat(time):
        raise ValueError(f"{stamp!r} is not a time")
    return time

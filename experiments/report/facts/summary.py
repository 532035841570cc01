"""The run in one screen: what it is, how far it is, what it was made with, who lived and died, and how fast it was."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.lineage.tree import depth
from experiments.report.facts.agents import Agents
from experiments.report.facts.sources import Sources
from markets.preparation import Market
from markets.source import Supply

__all__ = ["market_facts", "run_facts"]

_SETTINGS_LEFT_OUT = ("runs_dir", "force", "check", "terminal")


def run_facts(sources: Sources, agents: Agents | None) -> dict[str, Any]:
    """What the run is; what is not known is None. Its market's dates are for whoever has its bars to add."""
    config, manifest = sources.config, sources.manifest
    timings = sources.frame("timings")
    replicates, islands = sources.replicates
    known = bool(config)
    device, versions = manifest.get("device"), manifest.get("versions")
    return {
        "id": str(manifest.get("run_id", sources.directory.root.resolve().name)),
        "state": sources.state,
        "done": sources.done,
        "target": _whole(manifest.get("target")),
        "seed": _whole(manifest.get("seed", config.get("seed"))),
        "started": _text(manifest.get("started")),
        "finished": _text(manifest.get("finished")),
        "market": {"symbols": _symbols(manifest), "kind": _text(sources.setting("market", "name", default="")) or None},
        "species": _species(sources, agents),
        "islands": islands if known else None,
        "replicates": replicates if known else None,
        "device": f"{device.get('count', '?')} × {device.get('kind', '?')}" if isinstance(device, dict) else None,
        "source": _text(manifest.get("source_hash")),
        "versions": {name: str(version) for name, version in versions.items()} if isinstance(versions, dict) else {},
        "born": len(agents) if agents else _born(sources),
        "died": _counts(sources, "deaths"),
        "scars": _counts(sources, "scars"),
        "deepest": int(depth(agents.tree).max()) if agents else None,
        "agent_bars_per_second": _number(timings["agent_bars_per_second"].median()),
        "compile_seconds": _number(timings["compile_seconds"].sum()) if timings.height else None,
        "seconds": _number(timings["seconds"].sum()) if timings.height else None,
        "settings": [[key, value] for key, value in _flat(config) if key.partition(".")[0] not in _SETTINGS_LEFT_OUT],
    }


def market_facts(supply: Supply, market: Market) -> dict[str, Any]:
    """From when to when there are bars, and which of them are training's and validation's; days of the holdout too.

    Where replicates have markets of their own, bars are those of the first: each trades as many, not all of them.

    Args:
        supply: bars of all symbols, whole.
        market: the tape made of them.
    """
    facts: dict[str, Any] = {
        "first": _stamp(min(bars.time[0] for bars in supply.bars)),
        "last": _stamp(max(bars.time[-1] for bars in supply.bars)),
    }
    segments = market.segments[: len(market.segments) // len(market.scalers)]
    for part in ("train", "validation"):
        ranges = [own for own in (getattr(segment.rows, part) for segment in segments) if len(own)]
        if ranges:
            first, last = min(market.time[own[0]] for own in ranges), max(market.time[own[-1]] for own in ranges)
            facts[part] = {"first": _stamp(first), "last": _stamp(last), "bars": sum(map(len, ranges))}
    return facts


def _stamp(time: np.datetime64) -> str:
    return f"{np.datetime_as_string(time, 'm')}Z"


def _species(sources: Sources, agents: Agents | None) -> list[dict[str, Any]]:
    """Each species, and how many agents of it live at a time in a replicate."""
    each = sources.setting("evolution", "agents", default=0)
    return [{"name": name, "agents": each or None} for name in (agents.names if agents else ())]


def _born(sources: Sources) -> int | None:
    """How many births are on record where they make no tree; None where the table is gone."""
    count = sum(frame.height for frame in sources.frames("births", ["id"]))
    return None if sources.gone("births") else count


def _counts(sources: Sources, name: str) -> dict[str, int] | None:
    """Rows of a table by cause, the most common first; None where the table is gone."""
    table = sources.frame(name, ["cause", "generation"])["cause"].value_counts()
    return None if sources.gone(name) else dict(table.sort("count", "cause", descending=[True, False]).rows())


def _symbols(manifest: Mapping[str, Any]) -> list[str]:
    symbols = manifest.get("symbols")
    return [str(symbol) for symbol in symbols] if isinstance(symbols, list) else []


def _flat(config: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    """Keys of a nested configuration with dots, and their values as words or numbers."""
    found: list[tuple[str, Any]] = []
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            found += _flat(value, f"{above}{key}.")
        else:
            simple = value is None or isinstance(value, bool | int | str) or _number(value) == value
            found.append((f"{above}{key}", value if simple else _shown(value)))
    return found


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return "{}" if value == {} else str(value)


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else None

"""The manifest of a bundle: all that is needed to act as the champion does, and to know where it comes from."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.live.inference import CHAMPION
from agents.live.manifest import FORMAT
from agents.observation import ACCOUNT_VIEW
from arena.rollout import Rollout
from experiments.bundles.acting import Handed, longest
from experiments.bundles.ancestry import ancestry, scores
from experiments.bundles.handing import Who
from experiments.champions.world import World
from experiments.configuration.study import Study
from experiments.founders.seen import made_of
from experiments.runs.directory import RunDirectory
from experiments.runs.identity import data_hash, source_hash, versions
from experiments.runs.origins import ancestors_saw, earlier
from genomes.forest import ForestSpecies
from markets.bars import Bars
from markets.features import features, relative_atr_window
from markets.regimes import REGIMES
from markets.rules import BrokerRules
from markets.settings import build, setting

__all__ = ["VERSION", "VERSION_BY_RULES", "Risk", "manifest_of", "warm_up"]

VERSION = "1.1"
VERSION_BY_RULES = "2.0"
"""Of bundles with decision rules, which a reader of version 1 would pass over, and act otherwise than was judged."""

_SECOND = np.timedelta64(1_000_000, "us")


@dataclasses.dataclass(frozen=True)
class Risk:
    """What a live bot must not go beyond, as fractions.

    Attributes:
        max_exposure: largest |exposure| as a multiple of equity; None is the broker's `max_leverage`.
        max_drawdown: fall of equity below its peak at which everything is closed.
        max_daily_loss: loss within a day at which everything is closed.
    """

    max_exposure: float | None = setting(None, gt=0)
    max_drawdown: float = setting(0.2, gt=0, le=1)
    max_daily_loss: float = setting(0.05, gt=0, le=1)


def warm_up(world: World, block: Mapping[str, Any] | None = None) -> int:
    """Bars that a first decision needs, its own included.

    Args:
        world: of the run.
        block: decision rules, where there are some.
    """
    return max(world.market.window, relative_atr_window(), longest(world, block))


def manifest_of(
    directory: RunDirectory,
    study: Study,
    world: World,
    handed: Handed,
    who: Who,
    *,
    segment: int,
    risk: Risk,
) -> dict[str, Any]:
    """The manifest, without its hash and files.

    Args:
        directory: of the run.
        study: of the run.
        world: of the run.
        handed: the champion that is handed on.
        who: that is, and what its certificate is.
        segment: of the tape: the symbol that it is to trade.
        risk: caps.

    Raises:
        UserError: the run's tables are damaged.
    """
    noted, settings = directory.read_manifest(), study.settings
    champion, setup = handed.champion, handed.setup
    run_id = str(noted.get("run_id", directory.root.name))
    line = ancestry(directory.read("births"), champion.id, run_id)
    line = [*earlier(directory, line[0]["id"]), *line]
    own, bars = world.market.segments[segment], world.supply.bars[segment]
    symbol = own.symbols[0]
    rules = _rules(settings.broker, settings.costs.get(symbol, {}))
    actions, memory = setup.species.shape.actions, setup.memory
    per_market = len(world.market.segments) // len(world.market.scalers)
    bound = rules.max_leverage if risk.max_exposure is None else risk.max_exposure
    return {
        "format": FORMAT,
        "version": VERSION if handed.block is None else VERSION_BY_RULES,
        "champion": {
            "id": champion.id,
            "species": champion.species,
            "run_id": run_id,
            "replicate": who.replicate,
            "generation": champion.generation,
            "born": line[-1]["generation"],
            "regimes": list(champion.scores),
        },
        "species": {"name": champion.species, "settings": _species_settings(setup)},
        "features": _features(study, world, segment // per_market),
        "account_view": list(ACCOUNT_VIEW),
        "regimes": {"settings": dataclasses.asdict(settings.regimes), "names": list(REGIMES)},
        "warm_up": warm_up(world, handed.block),
        "clock": _clock(bars[: own.last - own.first + 1].time),
        "actions": {"names": list(actions.names), "exposures": [float(value) for value in actions.exposures]},
        "decision": {
            "best": "largest value; ties go to the earlier action",
            "held": "asking for the side already held is no order",
            "when": "at the close of a bar, filled at the next open",
        },
        "genes": {name: float(value) for name, value in handed.trader.genes._asdict().items()},
        "stops": setup.stops,
        "memory": {
            "acts": memory.enabled and memory.strength > 0,
            "reach": memory.reach,
            "strength": memory.strength,
        },
        "trust": {
            "scales_capital": setup.trust.enabled and setup.trust.scales_capital,
            "floor": setup.trust.floor,
        },
        "broker": dataclasses.asdict(rules),
        "instrument": {
            "symbol": symbol,
            "trained_on": [each.symbols[0] for each in world.market.segments[:per_market]],
        },
        "risk": {**dataclasses.asdict(risk), "max_exposure": bound},
        "ancestry": line,
        "scores": scores(directory, champion),
        "data": {
            "hash": data_hash(world.supply.bars),
            "symbols": sorted({each.symbol for each in world.supply.bars}),
            **_spans(bars, own.first, own.rows),
            "made_up": made_of(study.market, settings.seed + who.replicate - 1),
            "ancestors": [dataclasses.asdict(seen) for seen in ancestors_saw(directory)],
        },
        "source_hash": noted.get("source_hash") or source_hash(),
        "versions": noted.get("versions") or versions(),
        "inference": _inference(handed),
        "certificate": _certificate(who),
    }


def _inference(handed: Handed) -> dict[str, Any] | None:
    """Brains and rules, each brain with its kind and its file."""
    if handed.block is None:
        return None
    brains = []
    for place, (known, (champion, _, setup)) in enumerate(zip(handed.block["brains"], handed.brains, strict=True)):
        file = f"brains/{champion.id}-{champion.generation}.safetensors" if place else CHAMPION
        brains.append({**known, "species": champion.species, "settings": _species_settings(setup), "file": file})
    return {**handed.block, "brains": brains}


def _certificate(who: Who) -> dict[str, Any] | None:
    """What the certificate says of whoever is handed on."""
    if who.certificate is None:
        return None
    whole, own = who.certificate, {entry["member"]: entry for entry in who.certificate["family"]}[str(who.member)]
    return {
        "verdict": whole["verdict"],
        "member": who.member,
        "member_verdict": own["verdict"],
        "as_judged": who.as_judged,
        "reasons": own["reasons"],
        "run_id": whole["run_id"],
        "level": whole["level"],
        "hash": whole["hash"],
    }


def _rules(rules: BrokerRules, costs: Mapping[str, float]) -> BrokerRules:
    """Rules with what differs for one symbol."""
    return build(BrokerRules, {**dataclasses.asdict(rules), **costs}, "broker")


def _species_settings(setup: Rollout) -> dict[str, Any]:
    """Every key of the species, with nothing left to be resolved."""
    species: Any = setup.species
    settings = json.loads(json.dumps(dataclasses.asdict(species.settings)))
    if isinstance(species, ForestSpecies):
        settings["layout"] = "oblivious" if species.layout.oblivious else "ordinary"
    return dict(settings)


def _features(study: Study, world: World, market: int) -> dict[str, Any]:
    """What is seen, in order, with the constants of its scaling."""
    bars, scaler = world.supply.bars, world.market.scalers[market]
    columns = sorted(set.intersection(*(set(each.columns) for each in bars)))
    chosen = features(study.settings.features, columns)
    return {
        "settings": json.loads(json.dumps(dataclasses.asdict(study.settings.features))),
        "columns": columns,
        "list": [
            {
                "name": feature.name,
                "window": feature.window,
                "scaled": feature.scaled,
                "centre": float(scaler.centre[place]),
                "scale": float(scaler.scale[place]),
            }
            for place, feature in enumerate(chosen)
        ],
        "clip": float(scaler.clip),
    }


def _clock(time: NDArray[np.datetime64]) -> dict[str, Any]:
    """How bars are stamped, and how far apart they are."""
    steps = np.sort(np.diff(time))
    shortest, usual, longest = steps[0], steps[(len(steps) - 1) // 2], steps[-1]
    return {
        "stamps": "open",
        "zone": "UTC",
        "seconds": float(usual / _SECOND),
        "shortest": float(shortest / _SECOND),
        "longest_gap": float(longest / _SECOND),
    }


def _spans(bars: Bars, first: int, rows: Any) -> dict[str, Any]:
    """Which bars of the symbol there are, and what each part of them is for."""

    def span(part: range) -> list[str] | None:
        if not len(part):
            return None
        return [stamp(bars.time[part.start - first]), stamp(bars.time[part.stop - 1 - first])]

    def stamp(time: np.datetime64) -> str:
        return f"{np.datetime_as_string(time, unit='us')}Z"

    return {
        "bars": len(bars),
        "first": stamp(bars.time[0]),
        "last": stamp(bars.time[-1]),
        "volume": bars.has_volume,
        **{name: span(getattr(rows, name)) for name in ("train", "validation", "holdout")},
    }

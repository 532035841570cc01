"""Bundles made by hand from random genomes, as small as the runner's rules allow, and bars to decide on."""

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from agents.live.bundle import canonical_hash
from agents.observation import ACCOUNT_VIEW
from genomes.forest import Forest
from genomes.genes import Genes, GeneSettings
from genomes.qnetwork import Layer, Network
from genomes.registry import make_species, settings_class
from genomes.species import Shape
from genomes.trees import Trees
from markets.bars import Bars
from markets.features import FeatureSettings, compute_features, features, relative_atr_window, warmup
from markets.regimes import REGIMES, RegimeSettings
from markets.rules import BrokerRules
from markets.scaling import Scaler, ScalingSettings, fit_scaler
from markets.settings import build
from markets.synthetic import SyntheticSettings, simulate

__all__ = ["REGIME_SETTINGS", "SMALL", "Hand", "bars_of", "hand_bundle", "rewrite"]

SMALL = FeatureSettings(
    returns=(1, 4),
    mean_distance=(8,),
    rsi=(),
    macd=False,
    atr=(),
    bollinger=(),
    volatility_ratio=False,
    range_position=(8,),
    volume_z=(8,),
    trend_strength=(),
    gap_usual=6,
)
REGIME_SETTINGS = RegimeSettings(returns=8, ranks=24)


@dataclasses.dataclass(frozen=True)
class Hand:
    """A bundle made by hand, and what it was made of."""

    path: Path
    species: Any
    genome: Any
    genes: Genes
    tensors: dict[str, NDArray[Any]]
    scaler: Scaler
    warm_up: int
    manifest: dict[str, Any]


def bars_of(count: int = 400, seed: int = 5) -> Bars:
    """Bars of the made-up market."""
    (bars,) = simulate(SyntheticSettings(bars=count, symbols=1), seed)
    return bars


def hand_bundle(
    out: Path,
    kind: str = "qnetwork",
    *,
    seed: int = 5,
    settings: Mapping[str, Any] | None = None,
    feature_settings: FeatureSettings = SMALL,
    regime_settings: RegimeSettings = REGIME_SETTINGS,
    columns: tuple[str, ...] = (),
    bars: Bars | None = None,
    rules: BrokerRules = BrokerRules(spread_rate=2e-4),  # noqa: B008 - frozen
    memory: bool = True,
    trust: bool = True,
    stops: bool = True,
    change: Callable[[dict[str, NDArray[Any]]], None] = lambda tensors: None,
) -> Hand:
    """Write a bundle of a random champion.

    Args:
        out: the folder to be.
        kind: of species.
        seed: of the champion.
        settings: of the species, beside its defaults.
        feature_settings: what it sees.
        regime_settings: how regimes are told apart.
        columns: of the user's own that it sees.
        bars: what its scaler is fitted on.
        rules: of the broker.
        memory: whether it remembers two scars.
        trust: whether trust scales its capital.
        stops: whether it places stops.
        change: of its tensors, before they are written.
    """
    bars = bars or bars_of()
    chosen = features(feature_settings, columns)
    quoted = bars.with_spread(rules.spread, rules.spread_rate)
    raw = compute_features(chosen, quoted)
    known = np.isfinite(raw).all(axis=1)
    names, scaled = [f.name for f in chosen], [f.scaled for f in chosen]
    scaler = fit_scaler(raw, known, names=names, scaled=scaled, settings=ScalingSettings())
    own = build(settings_class(kind), _settings(kind, settings or {}))
    species = make_species(kind, own, Shape(len(chosen), len(ACCOUNT_VIEW)))
    seen = scaler.apply(raw)
    rng = np.random.default_rng(seed)
    genome = _forest(rng, species, seen[known]) if kind == "forest" else _network(rng, species)
    ranges = GeneSettings()
    genes = Genes(*(np.asarray(rng.uniform(*getattr(ranges, name)), np.float32) for name in Genes._fields))
    tensors = _tensors("genome", genome) | _tensors("genes", genes)
    tensors["memory.features"] = np.ascontiguousarray(seen[known][[3, 40, 0, 0]])
    tensors["memory.weight"] = np.asarray([0.5, 0.25, 0.0, 0.0], np.float32)
    tensors["trust"] = np.asarray([0.9, 0.2, 0.0, 0.6], np.float32)
    change(tensors)
    step = np.diff(bars.time.astype(np.int64)) / 1e6
    warm_up = max(warmup(chosen), regime_settings.window, relative_atr_window())
    first, last = (f"{bars.time[place]}Z" for place in (0, -1))
    manifest: dict[str, Any] = {
        "format": "lineage-arena.bundle",
        "version": "1.0",
        "hash": "",
        "champion": {
            "id": 12,
            "species": kind,
            "run_id": "0123456789ab",
            "replicate": 1,
            "generation": 3,
            "born": 2,
            "regimes": ["all"],
        },
        "species": {"name": kind, "settings": _plain(dataclasses.asdict(species.settings))},
        "features": {
            "settings": _plain(dataclasses.asdict(feature_settings)),
            "columns": list(columns),
            "list": [
                {"name": f.name, "window": f.window, "scaled": f.scaled, "centre": float(c), "scale": float(s)}
                for f, c, s in zip(chosen, scaler.centre, scaler.scale, strict=True)
            ],
            "clip": scaler.clip,
        },
        "account_view": list(ACCOUNT_VIEW),
        "regimes": {"settings": dataclasses.asdict(regime_settings), "names": list(REGIMES)},
        "warm_up": warm_up,
        "clock": {
            "stamps": "open",
            "zone": "UTC",
            "seconds": float(np.median(step)),
            "shortest": float(step.min()),
            "longest_gap": float(step.max()),
        },
        "actions": {"names": ["neutral", "buy", "sell"], "exposures": [0.0, 1.0, -1.0]},
        "decision": {
            "best": "largest value; ties go to the earlier action",
            "held": "asking for the side already held is no order",
            "when": "at the close of a bar, filled at the next open",
        },
        "genes": {name: float(value) for name, value in genes._asdict().items()},
        "stops": stops,
        "memory": {"acts": memory, "reach": 0.5, "strength": 0.8},
        "trust": {"scales_capital": trust, "floor": 0.25},
        "broker": dataclasses.asdict(rules),
        "instrument": {"symbol": bars.symbol, "trained_on": [bars.symbol]},
        "risk": {"max_exposure": 1.0, "max_drawdown": 0.2, "max_daily_loss": 0.05},
        "ancestry": [_ancestor(4, None, 0), _ancestor(12, 4, 2)],
        "scores": [_score("all", "validation")],
        "data": {
            "hash": "0" * 64,
            "symbols": [bars.symbol],
            "bars": len(bars),
            "first": first,
            "last": last,
            "volume": bars.has_volume,
            "train": [first, last],
            "validation": [first, last],
            "holdout": None,
        },
        "source_hash": "0" * 64,
        "versions": {"lineage-arena": "0.1.0"},
        "certificate": None,
        "files": {},
    }
    out.mkdir(parents=True)
    for name, data in {"champion.safetensors": save(tensors), "README.md": b"By hand.\n"}.items():
        (out / name).write_bytes(data)
        manifest["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    rewrite(out, manifest)
    return Hand(out, species, genome, genes, tensors, scaler, warm_up, manifest)


def rewrite(path: Path, manifest: dict[str, Any]) -> None:
    """Write a manifest, with its own hash."""
    whole = manifest | {"hash": canonical_hash(manifest)}
    (path / "manifest.json").write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _settings(kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    usual: dict[str, Any] = {"hidden": [8, 6]} if kind == "qnetwork" else {"layout": "oblivious"}
    return usual | dict(settings)


def _network(rng: np.random.Generator, species: Any) -> Network:
    """A random network; made here, as compiling the arena's own founding takes seconds."""
    features, account, actions = species.shape.features, species.shape.account, len(species.shape.actions)
    sizes = species.settings.hidden

    def normal(*shape: int) -> NDArray[np.float32]:
        return (rng.normal(size=shape) * np.sqrt(2.0 / shape[0])).astype(np.float32)

    layers = [Layer(normal(a, b), 0.1 * normal(b)) for a, b in itertools.pairwise((*sizes, actions))]
    return Network(
        normal(features, sizes[0]), normal(account, sizes[0]), normal(sizes[0]), tuple(layers[:-1]), layers[-1]
    )


def _forest(rng: np.random.Generator, species: Any, seen: NDArray[np.float32]) -> Forest:
    """A random forest that asks about values which there are."""
    actions, layout, settings = len(species.shape.actions), species.layout, species.settings
    own = rng.uniform([-1.0, -2.0, 0.0, 0.0], [1.0, 2.0, 1.0, 1.5], (len(seen), 4)).astype(np.float32)
    inputs = np.concatenate([seen, own], axis=1)

    def trees(count: int, width: int) -> Trees:
        feature = rng.integers(0, width, (count, layout.nodes), np.int32)
        threshold = inputs[rng.integers(0, len(inputs), feature.shape), feature]
        leaf = rng.normal(size=(count, layout.leaves, actions)).astype(np.float32)
        return Trees(feature, threshold, rng.random(feature.shape) < 0.5, leaf)

    market, state = trees(settings.market_trees, seen.shape[1]), trees(settings.state_trees, inputs.shape[1])
    return Forest(rng.normal(size=actions).astype(np.float32), market, state)


def _tensors(prefix: str, tree: Any) -> dict[str, NDArray[Any]]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    named = (
        (".".join(str(getattr(step, "name", getattr(step, "idx", ""))) for step in path), leaf) for path, leaf in leaves
    )
    return {f"{prefix}.{name}": np.array(leaf, order="C") for name, leaf in named}


def _plain(values: Any) -> Any:
    return json.loads(json.dumps(values))


def _score(regime: str, split: str) -> dict[str, Any]:
    numbers = {"log_return_per_bar": 1e-5, "return": 0.01, "sharpe": 0.4, "max_drawdown": 0.1, "trades": 9}
    return {"regime": regime, "split": split, **numbers}


def _ancestor(identity: int, parent: int | None, generation: int) -> dict[str, Any]:
    return {
        "id": identity,
        "parent_id": parent,
        "second_parent_id": None,
        "generation": generation,
        "species": "qnetwork",
        "island": 0,
        "operator": "founder" if parent is None else "mutation",
        "mutation_strength": 0.1,
        "run_id": "0123456789ab",
    }

"""The MQL5 expert adviser of a bundle: `ChampionEA.mq5`, with the constants of one champion written into it.

MetaTrader runs the model but no Python, so the expert works out features, regime, account view and decision itself, by
the formulas of `markets.features`, `markets.regimes` and `agents`; nothing in it but the block of constants differs
from champion to champion.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from markets.features import FeatureSettings, features, relative_atr_window
from markets.features.catalogue import Feature
from markets.features.clock import SESSIONS
from markets.features.rolling import ema_window
from markets.regimes import REGIMES
from markets.settings import build

__all__ = ["expert", "without_expert"]

_TEMPLATE = Path(__file__).with_name("ChampionEA.mq5")
_PLACE = "@CONSTANTS@\n"
_ATR_PERIOD = 14
_PARAMETERS = 6
_WIDTH = 118

_KINDS = {
    "log_return": "LOG_RETURN",
    "mean_distance": "MEAN_DISTANCE",
    "rsi": "RSI",
    "macd_histogram": "MACD",
    "relative_atr": "ATR",
    "bollinger_position": "BOLLINGER",
    "volatility_ratio": "VOLATILITY_RATIO",
    "range_position": "RANGE_POSITION",
    "volume_z": "VOLUME_Z",
    "trend_strength": "TREND_STRENGTH",
    "gap_length": "GAP_LENGTH",
}
"""Function of `markets.features.indicators` → branch of the expert's `Feature`."""


def without_expert(manifest: Mapping[str, Any]) -> str:
    """Why no expert can be written; empty where one can.

    MetaTrader has no columns of the user's own, and the expert asks one model of one bar: it acts by a threshold and in
    some regimes only, but by no other decision rule.
    """
    if manifest["features"]["columns"]:
        return "the champion sees columns of your own, which MetaTrader does not have"
    rules = manifest.get("inference")
    if rules is None:
        return ""
    if len(rules["brains"]) > 1:
        return f"the expert asks one brain, and this champion decides by {len(rules['brains'])}"
    acting = [rule for rule in rules["regimes"].values() if rule["acts"]]
    if any(rule["average"] > 1 for rule in acting):
        return "the expert averages no values over bars, and this champion does"
    if any(rule["lookback"] is not None for rule in acting):
        return "the expert sees what the champion was bred on, and its rules look back less far"
    if any(rule["weights"] != [1.0] for rule in acting):
        return "the expert weighs no values, and this champion does"
    return ""


def expert(manifest: Mapping[str, Any], leaves: Mapping[str, NDArray[Any]]) -> str:
    """The source of the expert adviser of one bundle.

    Args:
        manifest: of the bundle; its own hash and the hashes of its files are not read.
        leaves: of `champion.safetensors`; memory and trust are read, where they act.

    Returns:
        MQL5 source, to be put beside `model.onnx`.

    Raises:
        ValueError: it cannot be written, see `without_expert`.
    """
    why = without_expert(manifest)
    if why:
        raise ValueError(why)
    source = _TEMPLATE.read_text(encoding="utf-8")
    return source.replace(_PLACE, "\n".join(_constants(manifest, leaves)) + "\n", 1)


def _constants(manifest: Mapping[str, Any], leaves: Mapping[str, NDArray[Any]]) -> Iterator[str]:
    seen, genes, broker, risk = (manifest[key] for key in ("features", "genes", "broker", "risk"))
    memory, trust, regimes = manifest["memory"], manifest["trust"], manifest["regimes"]["settings"]
    chosen = features(build(FeatureSettings, seen["settings"], "features"))
    names = [feature.name for feature in chosen]
    if names != [one["name"] for one in seen["list"]]:
        raise ValueError("the manifest's settings of features and its list of them differ")
    moments, weight = _memory(leaves, len(names)) if memory["acts"] else (np.zeros((1, len(names))), np.zeros(1))
    believed = np.zeros(len(REGIMES))
    if trust["scales_capital"]:
        own = np.asarray(leaves["trust"], np.float64).ravel()
        believed[: len(own)] = own
    champion = manifest["champion"]
    known = f"arena {champion['run_id']} {champion['id']}"
    yield f"#define BUNDLE {_text(known)}"
    yield f"#define INSTRUMENT {_text(manifest['instrument']['symbol'])}"
    for name, value in {
        "SECONDS": int(manifest["clock"]["seconds"]),
        "LONGEST_GAP": int(manifest["clock"]["longest_gap"]),
        "WINDOW": int(manifest["warm_up"]),
        "FEATURES": len(names),
        "CLIP": float(seen["clip"]),
        "ATR_PERIOD": _ATR_PERIOD,
        "ATR_TERMS": relative_atr_window(_ATR_PERIOD) - 1,
        "REGIME_RETURNS": int(regimes["returns"]),
        "REGIME_RANKS": int(regimes["ranks"]),
        "REGIME_TRENDING": float(regimes["trending"]),
        "REGIME_RANGING": float(regimes["ranging"]),
        "REGIME_VOLATILE": float(regimes["volatile"]),
        "ACTIONS": len(manifest["actions"]["names"]),
        "GENE_SIZE": float(genes["size"]),
        "GENE_STOP": float(genes["stop"]),
        "GENE_TAKE_PROFIT": float(genes["take_profit"]),
        "STOPS": bool(manifest["stops"]),
        "TRAILING": bool(broker["trailing"]),
        "MEMORY_ACTS": bool(memory["acts"]),
        "MEMORY_REACH": float(memory["reach"]),
        "MEMORY_STRENGTH": float(memory["strength"]),
        "MOMENTS": len(weight),
        "TRUST_SCALES": bool(trust["scales_capital"]),
        "TRUST_FLOOR": float(trust["floor"]),
        "SPREAD_SET": broker["spread"] is not None or broker["spread_rate"] is not None,
        "SPREAD": float(broker["spread"] or 0.0),
        "SPREAD_RATE": float(broker["spread_rate"] or 0.0),
        "VOLUME_SEEN": bool(manifest["data"]["volume"]),
        "MAX_EXPOSURE": float(min(risk["max_exposure"], broker["max_leverage"])),
        "MAX_DRAWDOWN": float(risk["max_drawdown"]),
        "MAX_DAILY_LOSS": float(risk["max_daily_loss"]),
    }.items():
        yield f"#define {name} {_number(value)}"
    yield _array("string FeatureName[FEATURES]", [_text(name) for name in names])
    yield _array("int FeatureKind[FEATURES]", [_kind(feature)[0] for feature in chosen])
    rows = ["{" + ", ".join(map(str, _kind(feature)[1])) + "}" for feature in chosen]
    yield _array(f"int FeatureParameter[FEATURES][{_PARAMETERS}]", rows)
    yield _array("double Centre[FEATURES]", [_number(float(one["centre"])) for one in seen["list"]])
    yield _array("double Scale[FEATURES]", [_number(float(one["scale"])) for one in seen["list"]])
    yield _array("double Exposure[ACTIONS]", [_number(float(one)) for one in manifest["actions"]["exposures"]])
    rules = [_rule(manifest, name) for name in REGIMES]
    yield _array("bool Acts[5]", [_number(bool(rule["acts"])) for rule in rules])
    yield _array("float Least[5]", [_number(float(rule["threshold"])) for rule in rules])
    yield _array("double Trust[5]", [_number(float(one)) for one in believed])
    yield _array("double MemoryWeight[MOMENTS]", [_number(float(one)) for one in weight])
    rows = ["{" + ", ".join(_number(float(one)) for one in row) + "}" for row in moments]
    yield _array("double MemoryFeatures[MOMENTS][FEATURES]", rows)


def _rule(manifest: Mapping[str, Any], regime: str) -> Mapping[str, Any]:
    """How it acts in a regime; as bred where there is no rule."""
    rules = manifest.get("inference") or {"regimes": {}}
    found: Mapping[str, Any] = rules["regimes"].get(regime, {"acts": True, "threshold": 0.0})
    return found


def _kind(feature: Feature) -> tuple[str, tuple[int, ...]]:
    """The expert's branch for a feature, and its parameters, filled up with zeros."""
    compute: Any = feature.compute
    name, words = compute.func.__name__, compute.keywords
    if name in _KINDS:
        kind, parameters = _KINDS[name], _parameters(name, words, feature.window)
    else:
        clock, _, last = words["name"].rpartition("_")
        if words["name"].startswith("session_"):
            kind, parameters = "SESSION", SESSIONS[words["name"].removeprefix("session_")]
        else:
            kind, parameters = clock.upper(), (("sin", "cos").index(last),)
    return kind, (*parameters, *([0] * (_PARAMETERS - len(parameters))))


def _parameters(name: str, words: Mapping[str, int], window: int) -> tuple[int, ...]:
    if name in ("rsi", "relative_atr"):
        return words["period"], window - 1
    if name == "macd_histogram":
        fast, slow, signal = words["fast"], words["slow"], words["signal"]
        longest = words["longest"]
        of_signal = ema_window(2 / (signal + 1))
        if longest is not None:
            of_signal = min(of_signal, max(1, longest // 3))
        of_slow = window + 1 - of_signal
        return fast, slow, signal, min(of_slow, ema_window(2 / (fast + 1))), of_slow, of_signal
    if name == "volatility_ratio":
        return words["short"], words["long"]
    (length,) = words.values()
    return (length,)


def _memory(leaves: Mapping[str, NDArray[Any]], width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    moments = np.asarray(leaves["memory.features"], np.float64).reshape(-1, width)
    return moments, np.asarray(leaves["memory.weight"], np.float64).ravel()


def _number(value: float | bool) -> str:
    """A literal; MQL5 wants a point in numbers that are no whole ones."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)


def _text(value: object) -> str:
    """A literal of plain characters."""
    plain = "".join(one if one.isprintable() and one not in '"\\' else "_" for one in str(value))
    return f'"{plain}"'


def _array(head: str, items: Sequence[str]) -> str:
    lines, line = [], "  "
    for index, item in enumerate(items):
        word = f" {item}" + ("," if index < len(items) - 1 else "")
        if len(line) + len(word) > _WIDTH and line.strip():
            lines.append(line)
            line = "  "
        line += word
    return "\n".join([f"const {head} =", "  {", *lines, line, "  };"])

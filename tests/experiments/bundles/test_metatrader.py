"""The expert adviser for MetaTrader does the arena's arithmetic: compiled as C++, it is compared bit by bit.

MetaTrader itself is not here. What can be checked without it is: the source is whole, every constant is the manifest's,
features and regimes are `markets`' own bits, and decisions are those of `agents` for the same account and values.
"""

import dataclasses
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jax.numpy as jnp
import numpy as np
import pytest
from mql5 import Expert
from small_bundles import small_bundle

from agents.decision import direction, order
from agents.memory import Memory, MemorySettings, caution
from agents.observation import account_view
from experiments.bundles.metatrader import expert
from genomes.genes import Genes
from genomes.species import DEFAULT_ACTIONS
from markets.account import Account
from markets.bars import CLOSE, Bars
from markets.features import FeatureSettings, compute_features, features, relative_atr, warmup
from markets.regimes import REGIMES, RegimeSettings, classify
from markets.scaling import fit_scaler
from markets.settings import build
from markets.synthetic import SyntheticSettings, simulate

GENES = {"size": 0.75, "stop": 3.25, "take_profit": 7.5}
ODD: dict[str, Any] = {
    "returns": [2],
    "rsi": [5],
    "macd_fast": 3,
    "macd_slow": 7,
    "macd_signal": 4,
    "atr": [3],
    "volatility_short": 5,
    "gap_usual": 7,
    "lookback": 40,
}
"""Other lengths, and windows cut short."""


def whole_bars(count: int = 900) -> Bars:
    """Made-up bars with one price, whole volumes and a few gaps, as MetaTrader would have them."""
    made = simulate(SyntheticSettings(bars=count), 5)[0]
    random = np.random.default_rng(1)
    hours = np.cumsum(np.where(random.random(count) < 0.02, 49, 1))
    time = np.datetime64("2021-02-26T03:00", "us") + hours * np.timedelta64(1, "h")
    return Bars("EURUSD", time, made.mid, made.mid, random.integers(1, 900, count).astype(np.float64))


def manifest_of(bars: Bars, settings: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What an expert reads of a manifest, for made-up bars."""
    chosen = features(build(FeatureSettings, settings))
    names = [one.name for one in chosen]
    matrix, regimes = compute_features(chosen, bars), RegimeSettings(returns=24, ranks=100)
    scaler = fit_scaler(matrix, np.ones(len(bars), bool), names=names, scaled=[one.scaled for one in chosen])
    listed = [
        {"name": one.name, "window": one.window, "scaled": one.scaled, "centre": float(centre), "scale": float(scale)}
        for one, centre, scale in zip(chosen, scaler.centre, scaler.scale, strict=True)
    ]
    found = {
        "champion": {"run_id": "0123456789ab", "id": 42},
        "instrument": {"symbol": bars.symbol},
        "clock": {"seconds": 3600, "longest_gap": 40 * 3600},
        "warm_up": max(warmup(chosen), regimes.window, 282),
        "features": {"settings": settings, "columns": [], "list": listed, "clip": scaler.clip},
        "regimes": {"settings": {key: getattr(regimes, key) for key in RegimeSettings.__dataclass_fields__}},
        "actions": {"names": list(DEFAULT_ACTIONS.names), "exposures": list(DEFAULT_ACTIONS.exposures)},
        "genes": GENES,
        "stops": True,
        "memory": {"acts": False, "reach": 0.5, "strength": 0.8},
        "trust": {"scales_capital": False, "floor": 0.25},
        "broker": {"spread": None, "spread_rate": None, "max_leverage": 1.0, "trailing": False},
        "data": {"volume": bars.has_volume},
        "risk": {"max_exposure": 1.0, "max_drawdown": 0.2, "max_daily_loss": 0.05},
    }
    return {**found, **changes}


@pytest.fixture(scope="module")
def compiler() -> str:
    found = shutil.which("g++") or shutil.which("clang++")
    if found is None:
        pytest.skip("no C++ compiler to try the expert adviser with")
    return found


@pytest.fixture(scope="module", params=["default", "odd"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, compiler: str) -> Any:
    """An expert with default features, and one with others that remembers, trusts and pays a spread."""
    bars, random = whole_bars(), np.random.default_rng(2)
    if request.param == "default":
        manifest, leaves = manifest_of(bars, {}), {}
    else:
        manifest = manifest_of(
            bars,
            ODD,
            memory={"acts": True, "reach": 1.5, "strength": 0.6},
            trust={"scales_capital": True, "floor": 0.3},
            broker={"spread": 0.01, "spread_rate": 2e-4, "max_leverage": 1.0, "trailing": True},
        )
        width = len(manifest["features"]["list"])
        leaves = {
            "memory.features": random.normal(size=(3, width)).astype(np.float32),
            "memory.weight": np.asarray([0.5, 0.1, 0.0], np.float32),
            "trust": random.random(4).astype(np.float32),
        }
    made = Expert(expert(manifest, leaves), tmp_path_factory.mktemp("expert"), compiler)
    return made, manifest, leaves, bars


def test_features_and_regimes_have_the_bits_of_markets(case: Any) -> None:
    made, manifest, _, bars = case
    window = manifest["warm_up"]
    broker = manifest["broker"]
    seen = bars.with_spread(broker["spread"], broker["spread_rate"])
    expected = compute_features(features(build(FeatureSettings, manifest["features"]["settings"])), seen)
    regime = classify(seen.mid[:, CLOSE], build(RegimeSettings, manifest["regimes"]["settings"]))
    start = len(bars) - 300
    assert window <= start
    made.start(bars[:start], seconds=3600, symbol="EURUSD", answer=lambda: np.zeros(3, np.float32))
    assert len(np.unique(regime[start:])) > 2
    for row in range(start, len(bars)):
        made.push(bars[row : row + 1])
        made.lib.load()
        found = [made.lib.feature(index) for index in range(expected.shape[1])]
        np.testing.assert_array_equal(np.asarray(found), expected[row])
        assert made.lib.regime() == regime[row]


def test_orders_are_those_of_the_arena_for_the_same_account_and_values(case: Any) -> None:
    made, manifest, leaves, bars = case
    random, count = np.random.default_rng(3), 150
    rows = slice(len(bars) - count, len(bars))
    seen = bars.with_spread(manifest["broker"]["spread"], manifest["broker"]["spread_rate"])
    listed, clip = manifest["features"]["list"], manifest["features"]["clip"]
    centre, scale = (np.asarray([one[key] for one in listed]) for key in ("centre", "scale"))
    matrix = compute_features(features(build(FeatureSettings, manifest["features"]["settings"])), seen)[rows]
    scaled = np.clip((matrix - centre) / scale, -clip, clip).astype(np.float32)
    regime = classify(seen.mid[:, CLOSE], build(RegimeSettings, manifest["regimes"]["settings"]))[rows]
    close, atr = seen.mid[rows, CLOSE], np.maximum(relative_atr(seen)[rows], 1e-6)
    values = random.normal(size=(count, 3)).astype(np.float32)
    values[::10, 1] = values[::10, 0]  # ties
    side = random.integers(-1, 2, count)
    equity, peak = 1000.0 * random.uniform(0.5, 1.0, count), np.full(count, 1000.0)
    held = np.where(side == 0, 0, random.integers(1, 90, count))
    units, entry = side * equity / close * random.uniform(0.2, 1.0, count), close * random.uniform(0.99, 1.01, count)
    view, asks = _arena(scaled, regime, atr, close, values, (equity, peak, units, entry, held), manifest, leaves)
    gap = np.diff(bars.time[rows.start - 1 :]) > np.timedelta64(manifest["clock"]["longest_gap"], "s")

    row, orders = 0, 0
    made.start(bars[: rows.start], seconds=3600, symbol="EURUSD", answer=lambda: values[row])
    for row in range(count):
        made.push(bars[rows.start + row : rows.start + row + 1])
        for name, value in (("equity", equity), ("ask", close * 1.0001), ("bid", close * 0.9999)):
            made.number(name, value[row])
        made.lib.set_input(5, peak[row])
        made.lib.hold(units[row], entry[row], int(held[row]))
        asked = made.tick()
        if gap[row]:
            assert (asked, made.said) == ([], "no order: gap")
            continue
        np.testing.assert_array_equal(made.asked[:-4], scaled[row])
        np.testing.assert_allclose(made.asked[-4:], view[row], rtol=2e-5, atol=2e-5)
        target, stop, take = (float(leaf[row]) for leaf in asks)
        expected = []
        if np.isfinite(target) and units[row]:
            expected.append((0.0, 0.0, 0.0, 0.0))
        if np.isfinite(target) and target:
            sign = np.sign(target)
            price = close[row] * (1 + sign * 0.0001)
            levels = price * (1 - sign * stop), price * (1 + sign * take)
            expected.append((sign, abs(target) * equity[row] / close[row], *levels))
        assert len(asked) == len(expected)
        for one, other in zip(asked, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=2e-8)
        orders += bool(expected)
    assert gap.any()
    assert count // 4 < orders < count


def ruled(**rules: dict[str, Any]) -> dict[str, Any]:
    """The decision rules of one brain; a regime that is not named acts as bred."""
    usual = {"acts": True, "own": 0, "weights": [1.0], "threshold": 0.0, "average": 1, "lookback": None}
    return {"brains": [{}], "regimes": {name: {**usual, **rules.get(name, {})} for name in REGIMES[:-1]}}


def test_thresholds_and_regimes_of_one_brain_are_followed(compiler: str, tmp_path: Path) -> None:
    bars, random, count = whole_bars(), np.random.default_rng(4), 120
    rules = ruled(calm_ranging={"acts": False}, bull_trending={"threshold": 0.5}, bear_trending={"threshold": 0.5})
    manifest = manifest_of(bars, {}, inference=rules)
    made = Expert(expert(manifest, {}), tmp_path, compiler)
    regime = classify(bars.mid[:, CLOSE], build(RegimeSettings, manifest["regimes"]["settings"]))
    values, row, first = random.normal(size=(count, 3)).astype(np.float32), 0, len(bars) - count
    made.start(bars[:first], seconds=3600, symbol="EURUSD", answer=lambda: values[row])
    told = {"rests": 0, "undecided": 0, "orders": 0}
    for row in range(count):
        close, side = float(bars.bid[first + row, CLOSE]), int(random.integers(-1, 2))
        made.push(bars[first + row : first + row + 1])
        for name, value in (("equity", 1000.0), ("ask", close), ("bid", close)):
            made.number(name, value)
        made.lib.hold(side * 1.0, close, abs(side))
        asked = [one[0] for one in made.tick()]
        if made.said:
            continue  # a gap
        rule, best = rules["regimes"][REGIMES[regime[first + row]]], np.sort(values[row])
        wanted = (0, 1, -1)[values[row].argmax()] if rule["acts"] else 0
        if rule["acts"] and best[-1] - best[-2] < np.float32(rule["threshold"]):
            assert asked == []
            told["undecided"] += 1
            continue
        turned = wanted != side
        assert asked == [0.0] * (turned and side != 0) + [float(wanted)] * (turned and wanted != 0)
        told["rests"] += not rule["acts"] and side != 0
        told["orders"] += bool(asked)
    assert min(told.values()) > 3, told


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ({**ruled(), "brains": [{}, {}]}, "asks one brain, and this champion decides by 2"),
        (ruled(calm_ranging={"average": 4}), "averages no values"),
        (ruled(calm_ranging={"lookback": 50}), "its rules look back less far"),
        (ruled(calm_ranging={"weights": [0.5]}), "weighs no values"),
    ],
)
def test_other_rules_have_no_expert(rules: dict[str, Any], why: str) -> None:
    manifest = manifest_of(whole_bars(700), {}, inference=rules)
    with pytest.raises(ValueError, match=why):
        expert(manifest, {})


def _arena(
    scaled: Any, regime: Any, atr: Any, close: Any, values: Any, own: Any, manifest: Any, leaves: Any
) -> tuple[np.ndarray, list[np.ndarray]]:
    """The arena's view of many accounts [rows, 4], and its orders: target, stop, take-profit [rows] each."""
    equity, peak, units, entry, held = (jnp.asarray(one, jnp.float32)[None] for one in own)
    empty = jnp.full_like(units[..., None], jnp.nan)
    books = (empty,) * 4
    account = Account(equity, 0 * equity, units[..., None], entry[..., None], *books, equity, equity > 0)
    distance = jnp.asarray(atr, jnp.float32)[:, None]
    view = account_view(account, jnp.asarray(close, jnp.float32)[:, None], distance, peak, held[..., None])
    factor = jnp.ones(len(scaled))
    if manifest["memory"]["acts"]:
        memory = Memory(jnp.asarray(leaves["memory.features"]), jnp.asarray(leaves["memory.weight"]))
        settings = MemorySettings(reach=manifest["memory"]["reach"], strength=manifest["memory"]["strength"])
        factor = factor * caution(memory, jnp.asarray(scaled), settings)
    if manifest["trust"]["scales_capital"]:
        floor = manifest["trust"]["floor"]
        factor = factor * (floor + (1 - floor) * leaves["trust"][regime])
    genes = Genes(*(jnp.asarray([GENES.get(name, 0.5)], jnp.float32) for name in Genes._fields))
    wanted = direction(jnp.asarray(values)[None, :, None], DEFAULT_ACTIONS)
    made = order(wanted, units[..., None], factor[None, :, None], distance, genes, stops=True)
    return np.asarray(view)[0, :, 0], [np.asarray(leaf)[0, :, 0] for leaf in made]


def test_the_guard_closes_and_stops_for_good(case: Any) -> None:
    made, manifest, _, bars = case
    start = manifest["warm_up"] + 5
    made.start(bars[:start], seconds=3600, symbol="EURUSD", answer=lambda: np.asarray([0, 1, 0], np.float32))
    made.lib.set_input(2, 0.2)
    made.lib.set_input(5, 1000.0)
    made.number("equity", 801.0)
    made.push(bars[start : start + 1])
    assert [one[0] for one in made.tick()] == [1.0]
    made.lib.hold(1.0, 1.0, 1)
    made.number("equity", 800.0)
    assert made.tick() == [(0.0, 0.0, 0.0, 0.0)]  # within the bar, not only at its close
    assert made.said.startswith("stopped: largest drawdown")
    assert made.lib.halted()
    made.number("equity", 1000.0)
    made.push(bars[start + 1 : start + 2])
    assert made.tick() == []


def test_no_order_before_the_window_is_full_nor_twice_in_a_bar(case: Any) -> None:
    made, manifest, _, bars = case
    window = manifest["warm_up"]
    made.start(bars[: window - 2], seconds=3600, symbol="EURUSD", answer=lambda: np.asarray([0, 0, 1], np.float32))
    made.number("equity", 1000.0)
    made.push(bars[window - 2 : window - 1])
    assert made.tick() == []
    assert made.said == "no order: warming_up"
    made.push(bars[window - 1 : window])
    assert [one[0] for one in made.tick()] == [-1.0]
    assert made.tick() == []


@pytest.mark.parametrize("side", [1, -1])
def test_a_trailing_stop_follows_the_extreme_of_each_closed_bar(case: Any, side: int) -> None:
    made, manifest, _, bars = case
    start = len(bars) - 12
    answer = np.asarray([0, side > 0, side < 0], np.float32)
    made.start(bars[:start], seconds=3600, symbol="EURUSD", answer=lambda: answer)
    made.lib.hold(0.0, 0.0, 0)
    door = float(bars.bid[start, CLOSE])
    for name, value in (("equity", 1000.0), ("ask", door), ("bid", door)):
        made.number(name, value)
    made.push(bars[start : start + 1])
    ((sign, _, stop, take),) = made.tick()
    assert sign == side
    distance, moved = abs(door - stop), 0
    made.lib.hold(side * 1.0, door, 1)
    made.lib.levels(stop, take)
    for row in range(start + 1, len(bars)):
        far = float(bars.bid[row, 1 if side > 0 else 2])
        for name in ("ask", "bid"):
            made.number(name, far)
        made.push(bars[row : row + 1])
        asked, wanted = made.tick(), far - side * distance
        if not manifest["broker"]["trailing"] or side * (wanted - stop) <= 1e-8:
            assert asked == []
            continue
        ((what, _, level, kept),) = asked
        assert (what, kept) == (2.0, take)
        assert level == pytest.approx(wanted, abs=2e-8)
        stop, moved = level, moved + 1
    assert moved == 0 if not manifest["broker"]["trailing"] else moved > 1
    if moved:
        far += side * 0.1 * far
        made.push(dataclasses.replace(bars[-1:], time=bars.time[-1:] + 3_600_000_000, bid=np.full((1, 4), far)))
        assert made.tick() == [(0.0, 0.0, 0.0, 0.0)]  # the price that is there has fallen behind the stop


@pytest.mark.parametrize(
    ("rule", "zone", "hours"), [(0, "UTC", 3.0), (1, "America/New_York", -5.0), (2, "Europe/Athens", 2.0)]
)
def test_the_servers_clock_becomes_utc(case: Any, rule: int, zone: str, hours: float) -> None:
    made = case[0]
    made.lib.set_input(0, hours)
    made.lib.set_input(1, rule)
    shift = timedelta(hours=hours) if zone == "UTC" else timedelta()
    for year in (2007, 2015, 2024):
        utc = datetime(year, 1, 1, tzinfo=UTC)
        while utc.year == year:
            local = (utc + shift).astimezone(ZoneInfo(zone)).replace(tzinfo=UTC)
            other = (utc + timedelta(hours=1)).astimezone(ZoneInfo(zone)).replace(tzinfo=UTC)
            twice = other == local or (utc - timedelta(hours=1)).astimezone(ZoneInfo(zone)).replace(tzinfo=UTC) == local
            if not twice:  # an hour that the clock shows twice cannot be told
                assert made.lib.utc(int(local.timestamp())) == int(utc.timestamp()), local
            utc += timedelta(minutes=60)


def test_the_source_is_whole_and_holds_the_manifest() -> None:
    bars = whole_bars(700)
    manifest = manifest_of(bars, {})
    source = expert(manifest, {})
    bare = re.sub(r"//.*", "", source)
    assert "@" not in source
    for first, last in ("{}", "()", "[]"):
        assert bare.count(first) == bare.count(last)
    assert all(line.count('"') % 2 == 0 for line in bare.splitlines())
    listed = manifest["features"]["list"]
    for key, name in (("centre", "Centre"), ("scale", "Scale")):
        assert [float(word) for word in _items(source, name)] == [one[key] for one in listed]
    assert [word.strip('"') for word in _items(source, "FeatureName")] == [one["name"] for one in listed]
    branches = set(re.findall(r"case (\w+):", source))
    assert set(_items(source, "FeatureKind")) == branches
    for name, value in {
        "GENE_SIZE": GENES["size"],
        "GENE_STOP": GENES["stop"],
        "GENE_TAKE_PROFIT": GENES["take_profit"],
        "WINDOW": manifest["warm_up"],
        "SECONDS": 3600,
        "MAX_DRAWDOWN": 0.2,
    }.items():
        assert float(re.search(rf"#define {name} (\S+)", source)[1]) == value
    assert '#define INSTRUMENT "EURUSD"' in source
    assert len(REGIMES) == len(re.search(r"enum REGIME \{(.*?)\}", source)[1].split(","))


def _items(source: str, name: str) -> list[str]:
    body = re.search(rf"const \w+ {name}\[\w+\] =\s*\{{(.*?)\}};", source, flags=re.S)[1]
    return [word.strip() for word in body.split(",")]


def test_a_bundles_expert_repeats_its_golden_decisions(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, compiler: str
) -> None:
    bundle = small_bundle(tmp_path_factory, "forest")
    source = (bundle / "mt5" / "ChampionEA.mq5").read_text(encoding="utf-8")
    golden = dict(np.load(bundle / "golden.npz"))
    mid = 0.5 * (golden["bid"] + golden["ask"])  # what counts of a quote; MetaTrader's spread is in whole points
    time = golden["time"].astype("datetime64[us]")
    bars = Bars("SYN1", time, mid, mid, golden["volume"])
    count = len(golden["action"])
    first, row = len(bars) - count, 0
    made = Expert(source, tmp_path, compiler)
    made.start(bars[:first], seconds=3600, symbol="SYN1", answer=lambda: golden["values"][row])
    orders = 0
    for row in range(count):
        made.push(bars[first + row : first + row + 1])
        close, side = mid[first + row, CLOSE], np.sign(golden["units"][row])
        for name, value in (("equity", golden["equity"][row]), ("ask", close), ("bid", close)):
            made.number(name, float(value))
        made.lib.set_input(5, float(golden["peak"][row]))
        made.lib.hold(float(golden["units"][row]), float(golden["entry"][row]), int(golden["held"][row]))
        asked, target = made.tick(), float(golden["target"][row])
        np.testing.assert_array_equal(made.asked[:-4], golden["features"][row])
        np.testing.assert_allclose(made.asked[-4:], golden["view"][row], rtol=1e-5, atol=1e-5)
        wanted = [0.0] if np.isfinite(target) and side else []
        wanted += [np.sign(target)] if np.isfinite(target) and target else []
        assert [one[0] for one in asked] == wanted
        if np.isfinite(target) and target:
            lots = abs(target) * golden["equity"][row] / close
            stop, take = (close * (1 + way * np.sign(target) * golden[name][row]) for way, name in _LEVELS)
            np.testing.assert_allclose(asked[-1][1:], (lots, stop, take), rtol=2e-6)
        orders += len(wanted)
    assert orders > 50


_LEVELS = ((-1, "stop"), (1, "take_profit"))


@pytest.mark.parametrize("volume", [True, False])
def test_whether_there_was_volume_is_what_the_manifest_says(volume: bool) -> None:
    """Without scaling, centres are 0 and scales 1 whatever the bars had."""
    manifest = manifest_of(whole_bars(700), {}, data={"volume": volume})
    for one in manifest["features"]["list"]:
        one["centre"], one["scale"] = (0.0, 1.0) if volume else (0.5, 2.0)
    assert f"#define VOLUME_SEEN {str(volume).lower()}\n" in expert(manifest, {})


def test_columns_of_the_users_own_are_refused() -> None:
    manifest = manifest_of(whole_bars(700), {})
    manifest["features"]["columns"] = ["funding"]
    with pytest.raises(ValueError, match="columns"):
        expert(manifest, {})


def example() -> str:
    """The expert that docs/live.md shows: default features, no scaling."""
    manifest = manifest_of(whole_bars(700), {})
    for one in manifest["features"]["list"]:
        one["centre"], one["scale"] = 0.0, 1.0
    manifest["warm_up"], manifest["data"] = 548, {"volume": False}
    manifest["regimes"]["settings"] = dataclasses.asdict(RegimeSettings())
    return expert(manifest, {})


def test_the_documentation_shows_it_whole() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "live.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```cpp\n(.*?)```", text, flags=re.DOTALL)
    assert shown == example(), "docs/live.md: its expert adviser is not what the template makes; paste example() there"

"""A champion among odd bars, gaps and restarts: it never raises, and decides as it would on a clean feed."""

import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hand_bundles import REGIME_SETTINGS, SMALL, Hand, bars_of, hand_bundle, rewrite
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from agents.live import REASONS, Account, Bar, Champion, Decision, Observation
from agents.live.bundle import canonical_hash
from markets.bars import Bars
from markets.errors import UserError
from markets.features import compute_features, features, relative_atr
from markets.regimes import classify
from markets.rules import BrokerRules

BARS = bars_of(330, seed=9)
FLAT = Account(10_000.0, 0.0)
HOUR = np.timedelta64(1, "h")


@pytest.fixture(scope="module")
def hand(tmp_path_factory: pytest.TempPathFactory) -> Hand:
    return hand_bundle(tmp_path_factory.mktemp("bundles") / "b", "qnetwork")


@pytest.fixture(scope="module")
def ready(hand: Hand) -> tuple[Champion, dict[str, Any]]:
    """A champion, and its state one bar before its first decision."""
    champion = Champion.load(hand.path)
    champion.warm_up(BARS[: hand.warm_up - 1])
    return champion, champion.state()


def bar_at(row: int, bars: Bars = BARS, **changes: Any) -> Bar:
    """A bar of the history, with other parts."""
    own = {name: float(column[row]) for name, column in bars.columns.items()}
    parts = {"time": bars.time[row], "bid": bars.bid[row], "ask": bars.ask[row], "volume": bars.volume[row]}
    return Bar(**(parts | {"columns": own} | changes))


def trading(champion: Champion, rows: Any) -> list[Decision]:
    """Decisions with an account that follows them, as a bot's would."""
    units, found = 0.0, []
    for row in rows:
        close = BARS.bid[row, 3]
        found.append(champion.on_bar(bar_at(row), Account(10_000.0 + row, units, close)))
        if found[-1].target is not None:
            units = found[-1].target * 10_000.0 / close
    return found


def test_it_decides_from_the_first_full_window_on(hand: Hand) -> None:
    champion = Champion.load(hand.path)
    found = [champion.on_bar(bar_at(row), FLAT) for row in range(hand.warm_up + 2)]
    assert [bool(decision.reason) for decision in found] == [True] * (hand.warm_up - 1) + [False] * 3
    assert found[0].reason == f"warming_up: 1 of {hand.warm_up} bars"
    assert champion.bars == hand.warm_up
    assert champion.last == BARS.time[hand.warm_up + 1]
    decided = found[-1]
    assert decided.values is not None
    assert decided.action == int(np.argmax(decided.values))
    assert 0.0 <= (decided.confidence or 0.0) <= 1.0


def test_what_it_observes_has_the_bits_of_the_whole_history(hand: Hand, ready: Any) -> None:
    champion, state = ready
    champion.restore(state)
    quoted = BARS.with_spread(None, 2e-4)
    chosen = features(SMALL, ())
    wanted = hand.scaler.apply(compute_features(chosen, quoted))
    regime, atr = classify(quoted.mid[:, 3], REGIME_SETTINGS), relative_atr(quoted).astype(np.float32)
    for row in range(hand.warm_up - 1, len(BARS)):
        seen = champion.observe(bar_at(row))
        assert isinstance(seen, Observation)
        np.testing.assert_array_equal(seen.features, wanted[row])
        assert (seen.regime, seen.atr) == (regime[row], max(atr[row], np.float32(1e-6)))


ODD = {
    "nan": lambda row: bar_at(row, bid=(math.nan,) * 4),
    "none": lambda row: bar_at(row, ask=(None,) * 4),
    "infinite": lambda row: bar_at(row, ask=(math.inf,) * 4),
    "negative": lambda row: bar_at(row, bid=-BARS.bid[row], ask=-BARS.ask[row]),
    "zero": lambda row: bar_at(row, bid=(0.0,) * 4, ask=(0.0,) * 4),
    "huge": lambda row: bar_at(row, bid=(1e300,) * 4, ask=(1e300,) * 4),
    "upside down": lambda row: bar_at(row, bid=BARS.bid[row][[0, 2, 1, 3]]),
    "crossed": lambda row: bar_at(row, bid=BARS.ask[row] * 1.1),
    "no volume": lambda row: bar_at(row, volume=math.nan),
    "less than no volume": lambda row: bar_at(row, volume=-1.0),
    "no time": lambda row: bar_at(row, time=math.nan),
    "the same time": lambda row: bar_at(row, time=BARS.time[row - 1]),
    "long ago": lambda row: bar_at(row, time=BARS.time[0]),
    "the year 1": lambda row: bar_at(row, time="0001-01-01T00:00Z"),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_bar_changes_nothing_and_has_a_reason(ready: Any, hand: Hand, name: str) -> None:
    champion, state = ready
    champion.restore(state)
    decision = champion.on_bar(ODD[name](hand.warm_up - 1), FLAT)
    assert (decision.action, decision.order, decision.values, decision.confidence) == (None, False, None, None)
    assert decision.reason.partition(":")[0] in ("not_finite", "bad_prices", "out_of_order")
    assert champion.state() == state


steps = st.lists(st.one_of(st.just("good"), st.sampled_from(sorted(ODD))), max_size=20)


@given(steps)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_among_odd_bars_it_decides_as_on_a_clean_feed(ready: Any, hand: Hand, feed: list[str]) -> None:
    champion, state = ready
    first = hand.warm_up - 1
    champion.restore(state)
    clean = trading(champion, range(first, first + feed.count("good")))
    champion.restore(state)
    row, units, found = first, 0.0, []
    for name in feed:
        account = Account(10_000.0 + row, units, BARS.bid[row, 3])
        decision = champion.on_bar(bar_at(row) if name == "good" else ODD[name](row), account)
        if name == "good":
            found.append(decision)
            units = units if decision.target is None else decision.target * 10_000.0 / BARS.bid[row, 3]
            row += 1
        else:
            assert decision.reason.partition(":")[0] in REASONS
    assert found == clean


def test_after_a_gap_it_waits_a_bar(ready: Any, hand: Hand) -> None:
    champion, state = ready
    champion.restore(state)
    row = hand.warm_up - 1
    longest = np.timedelta64(round(hand.manifest["clock"]["longest_gap"] * 1e6), "us")
    last = champion.last
    at_most = champion.on_bar(bar_at(row, time=last + longest), FLAT)
    assert at_most.reason == ""
    late = champion.on_bar(bar_at(row + 1, time=last + 2 * longest + np.timedelta64(1, "us")), FLAT)
    assert late.reason.startswith("gap: ")
    assert not late.order
    after = champion.on_bar(bar_at(row + 2, time=last + 2 * longest + HOUR + np.timedelta64(1, "us")), FLAT)
    assert after.reason == ""


FORMS = [np.timedelta64(seconds, "s") for seconds in (1, 60, 300, 1800, 2700, 3599)]


@pytest.mark.parametrize("length", FORMS)
def test_shorter_bars_are_never_traded(ready: Any, hand: Hand, length: np.timedelta64) -> None:
    champion, state = ready
    champion.restore(state)
    first, start = hand.warm_up - 1, champion.last + HOUR
    assert hand.manifest["clock"]["shortest"] == 3600.0
    found = [champion.on_bar(bar_at(first, time=start + place * length), FLAT) for place in range(40)]
    assert found[0].reason == ""  # the first one opens when a bar of the champion's would
    assert {decision.reason.partition(":")[0] for decision in found[1:]} == {"too_early"}
    assert not any(decision.order for decision in found[1:])


def test_a_bar_that_comes_too_early_is_not_taken_nor_is_the_next_decided_on(ready: Any, hand: Hand) -> None:
    champion, state = ready
    champion.restore(state)
    row = hand.warm_up - 1
    clean = trading(champion, range(row, row + 3))
    champion.restore(state)
    champion.on_bar(bar_at(row), FLAT)
    known = champion.bars, champion.last
    early = champion.on_bar(bar_at(row, time=BARS.time[row] + np.timedelta64(1, "s")), FLAT)
    assert early.reason == "too_early: 1 seconds since the bar before, at least 3600 known"
    assert (champion.bars, champion.last) == known
    saved = json.loads(json.dumps(champion.state(), allow_nan=False))
    champion.restore(state)
    champion.restore(saved)
    assert champion.state() == saved
    after = champion.on_bar(bar_at(row + 1), FLAT)
    assert after.reason == "too_early: a bar came less than 3600 seconds after the one before this"
    assert not after.order
    account = Account(10_000.0 + row + 2, 0.0)
    decided = champion.on_bar(bar_at(row + 2), account)
    assert decided.reason == ""
    if clean[0].target is None and clean[1].target is None:
        assert decided == clean[2]


@given(st.lists(st.sampled_from([-5, 0, 1, 1800, 3599, 3600, 3601, 7200]), max_size=30), st.integers(0, 30))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_history_is_taken_as_bars_one_by_one(ready: Any, hand: Hand, steps: list[int], cut: int) -> None:
    champion, state = ready
    champion.restore(state)
    stamps = champion.last + np.cumsum(np.asarray([3600, *steps])) * np.timedelta64(1, "s")
    bars = [bar_at(hand.warm_up + place, time=stamp) for place, stamp in enumerate(stamps)]
    for bar in bars:
        champion.observe(bar)
    wanted = champion.state()
    champion.restore(state)
    champion.warm_up(bars[:cut])
    champion.warm_up(bars[cut:])
    assert champion.state() == wanted


def test_mappings_do_for_bars_and_accounts(ready: Any, hand: Hand) -> None:
    champion, state = ready
    champion.restore(state)
    first = hand.warm_up - 1
    clean = champion.on_bar(bar_at(first), Account(1e4, 2.0, 1.5))
    sides = {
        f"{side}_{name}": repr(price)
        for side in ("bid", "ask")
        for name, price in zip(("open", "high", "low", "close"), getattr(BARS, side)[first].tolist(), strict=True)
    }
    told = {"timestamp": f"{BARS.time[first]}Z", "volume": BARS.volume[first], "note": "x", **sides}
    account = {"equity": "10000", "units": 2, "entry": "1.5"}
    champion.restore(state)
    assert champion.on_bar(told, account) == clean
    champion.restore(state)
    assert champion.warm_up([told]) == 1
    assert champion.last == BARS.time[first]
    with pytest.raises(UserError, match=r"^bar: open is missing; it has: 'timestamp'$"):
        champion.warm_up([{"timestamp": 1}])


def test_an_odd_account_gets_a_reason_and_the_market_goes_on(ready: Any, hand: Hand) -> None:
    champion, state = ready
    row = hand.warm_up - 1
    champion.restore(state)
    champion.on_bar(bar_at(row), FLAT)
    clean = champion.on_bar(bar_at(row + 1), FLAT)
    champion.restore(state)
    odd = champion.on_bar(bar_at(row), Account(-1.0, math.nan))
    assert odd.reason == "account: equity is -1.0"
    assert odd.regime != "unknown"
    assert champion.on_bar(bar_at(row + 1), FLAT) == clean


def test_a_market_that_never_moves_is_decided_on(hand: Hand) -> None:
    champion = Champion.load(hand.path)
    still = [Bar(BARS.time[row], (1.0,) * 4, (1.0,) * 4) for row in range(hand.warm_up)]
    champion.warm_up(still[:-1])
    decision = champion.on_bar(still[-1], FLAT)
    assert decision.reason == ""
    assert decision.values is not None
    assert np.isfinite(decision.values).all()


def test_histories_may_overlap_and_hold_odd_bars(hand: Hand) -> None:
    first, second = Champion.load(hand.path), Champion.load(hand.path)
    assert first.warm_up(BARS[:300]) == 300
    spoilt = [bar_at(row) for row in range(200)]
    spoilt[150:150] = [ODD[name](150) for name in ODD]
    assert second.warm_up(spoilt) == 200
    assert second.warm_up(BARS[:200]) == 0
    assert second.warm_up(BARS[100:300]) == 100
    assert second.warm_up([]) == 0
    assert first.state() == second.state()
    assert trading(first, range(300, 330)) == trading(second, range(300, 330))


def test_a_state_survives_json_and_a_restart(ready: Any, hand: Hand) -> None:
    champion, state = ready
    champion.restore(state)
    row = hand.warm_up - 1
    before = [
        champion.on_bar(bar_at(row), Account(10_000.0, 0.0)),
        champion.on_bar(bar_at(row + 1), Account(9e3, 5.0, 1.0)),
    ]
    saved = json.loads(json.dumps(champion.state(), allow_nan=False))
    after = [champion.on_bar(bar_at(place), Account(9.5e3, 5.0, 1.0)) for place in (row + 2, row + 3)]
    other = Champion.load(hand.path)
    other.restore(saved)
    assert other.state() == saved
    assert [other.on_bar(bar_at(place), Account(9.5e3, 5.0, 1.0)) for place in (row + 2, row + 3)] == after
    assert all(decision.reason == "" for decision in before + after)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.update(bundle="0" * 64), "state: of another bundle; load the one it was saved with"),
        (lambda state: state.update(format="x"), "state: not what Champion.state gives"),
        (lambda state: state.pop("market"), "state: damaged"),
        (lambda state: state["market"].update(bid="!"), "state: damaged"),
        (lambda state: state["market"].update(rows=3), "state: damaged"),
        (lambda state: state["market"].update(volume=""), "state: damaged"),
        (lambda state: state["account"].update(peak=None), "state: damaged"),
    ],
)
def test_a_state_that_does_not_belong_is_refused_and_nothing_is_lost(ready: Any, change: Any, words: str) -> None:
    champion, state = ready
    champion.restore(state)
    broken = copy.deepcopy(state)
    change(broken)
    with pytest.raises(UserError, match=f"^{words}"):
        champion.restore(broken)
    assert champion.state() == state


def test_own_columns_are_seen_with_holes_and_missed_when_missing(tmp_path: Path) -> None:
    mood = np.where(np.arange(330) % 7 == 0, np.nan, np.sin(np.arange(330)))
    own = Bars(BARS.symbol, BARS.time, BARS.bid, BARS.ask, BARS.volume, {"mood": mood, "other": mood})
    hand = hand_bundle(tmp_path / "b", columns=("mood",), bars=own)
    champion = Champion.load(tmp_path / "b")
    with pytest.raises(UserError, match=r"^bar: no column 'mood', which the champion sees; its columns: none$"):
        champion.warm_up(BARS)
    champion.warm_up(own[: hand.warm_up])
    with pytest.raises(UserError, match="no column 'mood'"):
        champion.on_bar(bar_at(hand.warm_up), FLAT)
    wanted = hand.scaler.apply(compute_features(features(SMALL, ("mood",)), own.with_spread(None, 2e-4)))
    for row in range(hand.warm_up, 330):
        seen = champion.observe(bar_at(row, own))
        assert isinstance(seen, Observation)
        np.testing.assert_array_equal(seen.features, wanted[row])
    saved = champion.state()
    champion.restore(saved)
    assert champion.state() == saved


@pytest.mark.parametrize(
    "rules", [BrokerRules(), BrokerRules(spread=0.001), BrokerRules(spread=0.001, spread_rate=1e-3)]
)
def test_spreads_are_put_on_as_the_arena_puts_them(rules: BrokerRules, tmp_path: Path) -> None:
    hand = hand_bundle(tmp_path / "b", rules=rules)
    champion, other = Champion.load(tmp_path / "b"), Champion.load(tmp_path / "b")
    champion.warm_up(BARS[: hand.warm_up])
    for row in range(hand.warm_up):
        other.observe(bar_at(row))
    assert champion.state() == other.state()
    close = BARS.with_spread(rules.spread, rules.spread_rate)
    seen = champion.observe(bar_at(hand.warm_up))
    assert isinstance(seen, Observation)
    sides = close.bid[hand.warm_up, 3].astype(np.float32), close.ask[hand.warm_up, 3].astype(np.float32)
    assert seen.close == np.float32(0.5) * (sides[0] + sides[1])


def _model(hand: Hand) -> bytes:
    """The network as a graph of its own: Gemm and Relu."""
    tensors = hand.tensors
    first = np.concatenate([tensors["genome.market"], tensors["genome.account"]])
    layers: list[tuple[NDArray[Any], NDArray[Any]]] = [
        (first, tensors["genome.bias"]),
        (tensors["genome.hidden.0.weight"], tensors["genome.hidden.0.bias"]),
        (tensors["genome.output.weight"], tensors["genome.output.bias"]),
    ]
    nodes, constants, at = [], [], "seen"
    for place, (weight, bias) in enumerate(layers):
        constants += [numpy_helper.from_array(weight, f"w{place}"), numpy_helper.from_array(bias, f"b{place}")]
        out = "values" if place == 2 else f"sum{place}"
        nodes.append(helper.make_node("Gemm", [at, f"w{place}", f"b{place}"], [out]))
        if place < 2:
            nodes.append(helper.make_node("Relu", [out], [f"out{place}"]))
            at = f"out{place}"
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])
        for name, size in (("seen", len(first)), ("values", 3))
    ]
    graph = helper.make_graph(nodes, "champion", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    serialized: bytes = model.SerializeToString()
    return serialized


def test_onnxruntime_decides_as_numpy_does(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="no onnxruntime: pip install '.[live]'")
    import hashlib

    hand = hand_bundle(tmp_path / "b")
    model = _model(hand)
    (tmp_path / "b" / "model.onnx").write_bytes(model)
    hand.manifest["files"]["model.onnx"] = {"sha256": hashlib.sha256(model).hexdigest(), "bytes": len(model)}
    rewrite(tmp_path / "b", hand.manifest)
    found = []
    for backend in ("numpy", "onnx"):
        champion = Champion.load(tmp_path / "b", backend=backend)
        champion.warm_up(BARS[: hand.warm_up - 1])
        found.append(trading(champion, range(hand.warm_up - 1, 330)))
    assert [d.action for d in found[0]] == [d.action for d in found[1]]
    np.testing.assert_allclose([d.values for d in found[0]], [d.values for d in found[1]], rtol=1e-5, atol=1e-6)
    assert {d.order for d in found[0]} == {True, False}
    rows = np.zeros((3, len(hand.scaler.names)), np.float32)
    assert champion.values(rows, np.zeros((3, 4), np.float32)).shape == (3, 3)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda model: b"no model", "not a model that onnxruntime takes"),
        (lambda model: _resized(model, 7), r"expected one input of float32 \[1, 19\]"),
    ],
)
def test_a_model_of_another_shape_is_refused(tmp_path: Path, spoil: Any, words: str) -> None:
    pytest.importorskip("onnxruntime", reason="no onnxruntime: pip install '.[live]'")
    from agents.live.onnx_brain import OnnxBrain

    hand = hand_bundle(tmp_path / "b")
    with pytest.raises(UserError, match=f"^model.onnx: {words}"):
        OnnxBrain(spoil(_model(hand)), "model.onnx", len(hand.scaler.names) + 4, 3)


def _resized(model: bytes, inputs: int) -> bytes:
    other = onnx.load_model_from_string(model)
    (weight,) = (constant for constant in other.graph.initializer if constant.name == "w0")
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight)[:inputs], "w0"))
    other.graph.input[0].type.tensor_type.shape.dim[1].dim_value = inputs
    serialized: bytes = other.SerializeToString()
    return serialized


def test_a_bundle_made_by_hand_obeys_the_schema(hand: Hand) -> None:
    import jsonschema

    root = Path(__file__).resolve().parents[3]
    schema = json.loads((root / "agents" / "live" / "manifest.schema.json").read_text(encoding="utf-8"))
    manifest = json.loads((hand.path / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["hash"] == canonical_hash(manifest)
    about = manifest["files"]["README.md"]
    manifest["files"] |= {"golden.npz": about, "model.onnx": about}  # which the runner does without
    jsonschema.Draft202012Validator(schema).validate(manifest)


def test_the_example_of_the_docs_trades(hand: Hand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "live.md").read_text(encoding="utf-8")
    block = text.partition("## The runner")[2].partition("```python\n")[2].partition("```")[0]
    (tmp_path / "champion").symlink_to(hand.path, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    broker = _Broker()
    first = hand.warm_up - 1
    feed = [bar_at(row) for row in range(first, first + 30)]
    exec(compile(block, "docs/live.md", "exec"), {"history": BARS[:first], "feed": feed, "broker": broker})
    assert broker.orders
    assert all(target is not None for target, _, _ in broker.orders)


class _Broker:
    """Fills every order at once and for nothing."""

    equity, units, entry = 10_000.0, 0.0, 1.0

    def __init__(self) -> None:
        self.orders: list[tuple[float, float | None, float | None]] = []

    def order(self, target: float, stop: float | None, take_profit: float | None) -> None:
        self.orders.append((target, stop, take_profit))
        self.units = target * self.equity

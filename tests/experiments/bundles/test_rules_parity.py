"""By decision rules too, the runner acts as the arena does: every kind of rule, bar by bar, on made-up bars.

All bundles are lanes of one call of `arena.inference.conduct`, so that one program is compiled; the packed runner is
then shown the arena's accounts. Brains are random networks and forests, whose values are far apart and often turn.
"""

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "agents" / "live"))

from arenas import tape_of, twin_of
from hand_bundles import SMALL, bars_of, hand_bundle
from parity import TIE, packed
from ruled_bundles import Ruled, ruled_bundle, rules_of

from agents.live.inference import AVERAGED as RUNNERS
from agents.live.inference import CHAMPION
from arena.inference import AVERAGED, conduct
from experiments.bundles.acting import Handed, seated
from experiments.bundles.golden import _held, _Kept, _kept
from experiments.champions.champions import Champion
from markets.bars import Bars
from markets.features import compute_features, features
from markets.regimes import REGIMES

pytestmark = pytest.mark.usefixtures("plainly_compiled")

WIDE = dataclasses.replace(SMALL, mean_distance=(24,), range_position=(20,))
LOOKBACK = 12
BARS = bars_of(1300, seed=9)
SEEDS = (("qnetwork", 5), ("forest", 6), ("qnetwork", 7), ("forest", 8))
MIXED = {"weights": [0.4, 0.15, 0.3, 0.6]}
RULES: Mapping[str, Any] = {
    "threshold": rules_of(4, {}, {"threshold": 0.9}, threshold=0.35),
    "averaging": rules_of(4, {"average": 1}, {"average": 2}, average=4),
    "look-back": rules_of(4, {"lookback": None}, lookback=LOOKBACK),
    "ensemble": rules_of(4, {"own": 2}, {"own": 1}, **MIXED, threshold=0.1),
    "one regime": rules_of(4, {"acts": False}, {"acts": False, "lookback": LOOKBACK}, {"average": 5}, {"acts": False}),
    "router": rules_of(
        4,
        {"own": 0, "threshold": 0.2},
        {"own": 1, "weights": [0.0, 1.0, 0.0, 0.0], "lookback": LOOKBACK},
        {"own": 2, "weights": [0.0, 0.0, 1.0, 0.0], "average": 4},
        {"own": 3, **MIXED, "average": 3},
    ),
}


class Lane(NamedTuple):
    """What the arena did with one bundle, from its first decision on."""

    seen: _Kept
    held: np.ndarray
    regime: np.ndarray


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ruled]:
    folder = tmp_path_factory.mktemp("rules")
    hands = [
        hand_bundle(
            folder / str(seed),
            kind,
            seed=seed,
            feature_settings=WIDE,
            settings={"hidden": [6]} if kind == "qnetwork" else {},
        )
        for kind, seed in SEEDS
    ]
    return {name: ruled_bundle(folder / name, hands, rules) for name, rules in RULES.items()}


def lanes_of(bundles: Mapping[str, Ruled], bars: Bars) -> dict[str, Lane]:
    """What the arena makes of all bundles at once."""
    first = next(iter(bundles.values()))
    market = tape_of(first.manifest, bars)
    twins = [twin_of(hand.manifest, hand.path) for hand in first.hands]
    who = [
        Champion(place, 0, 0, Path(), hand.manifest["species"]["name"], {}) for place, hand in enumerate(first.hands)
    ]
    brains = [(own, twin.trader, twin.setup) for own, twin in zip(who, twins, strict=True)]
    lanes = [seated(Handed(*brains[0], tuple(brains[1:]), own.manifest["inference"])) for own in bundles.values()]
    decider = jax.tree.map(lambda *leaves: np.concatenate(leaves), *(lane.decider for lane in lanes))
    quoted = bars.with_spread(None, 2e-4)
    cut = features(dataclasses.replace(WIDE, lookback=LOOKBACK))
    other = first.hands[0].scaler.apply(compute_features(cut, quoted))[:, None]
    views = jnp.stack([market.tape.features, jnp.asarray(other)])
    begin, stop = first.manifest["warm_up"] - 1, len(bars)
    ends = (np.full(len(lanes), row) for row in (begin, stop))
    parts = [
        part for _, part in conduct(lanes[0].setups, lanes[0].panel, decider, market.tape, views, *ends, keep=_kept)
    ]
    whole = jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
    found = {}
    for place, name in enumerate(bundles):
        seen = jax.tree.map(lambda leaf, place=place: leaf[:, place], whole)
        held = _held(seen.units_after[:, 0], seen.opened[:, 0])
        found[name] = Lane(seen, held, np.asarray(market.tape.regime)[begin:stop])
    return found


@pytest.fixture(scope="module")
def lanes(bundles: dict[str, Ruled]) -> dict[str, Lane]:
    return lanes_of(bundles, BARS)


def decisions(ruled: Ruled, lane: Lane, *, again: int | None = None) -> list[Any]:
    """What the runner decides, shown the arena's accounts; where `again` says, it is saved and loaded anew."""
    runner = packed()
    champion = runner.Champion.load(ruled.path)
    first, found, seen = ruled.manifest["warm_up"] - 1, [], lane.seen
    table = runner.Bars(BARS.symbol, BARS.time, BARS.bid, BARS.ask, BARS.volume)
    champion.warm_up(table[:first])
    peak = np.maximum.accumulate(seen.equity)
    for row in range(len(seen.equity)):
        if row == again:
            saved, champion = champion.state(), runner.Champion.load(ruled.path)
            champion.restore(saved)
        at = first + row
        bar = runner.Bar(BARS.time[at], BARS.bid[at], BARS.ask[at], BARS.volume[at])
        account = (seen.equity[row], seen.units[row, 0], seen.entry[row, 0], peak[row], lane.held[row])
        found.append(champion.on_bar(bar, runner.Account(*map(float, account))))
    return found


@pytest.mark.parametrize("name", RULES)
def test_the_runner_acts_by_rules_as_the_arena_does(
    bundles: dict[str, Ruled], lanes: dict[str, Lane], name: str
) -> None:
    lane, rules = lanes[name], RULES[name]
    seen, order = lane.seen, lane.seen.order
    told = {"orders": 0, "undecided": 0, "resting": 0, "flattened": 0}
    for row, decision in enumerate(decisions(bundles[name], lane)):
        rule, target = rules[REGIMES[lane.regime[row]]], order.target[row, 0]
        assert decision.regime == REGIMES[lane.regime[row]]
        assert decision.order == np.isfinite(target), (row, decision)
        if decision.order:
            wanted = [target, order.stop_loss[row, 0], order.take_profit[row, 0]]
            np.testing.assert_allclose([decision.target, decision.stop, decision.take_profit], wanted, rtol=1e-5)
        told["orders"] += decision.order
        if not rule["acts"]:
            told["resting"] += 1
            told["flattened"] += decision.order
            assert (decision.action, decision.values, decision.confidence) == (None, None, None)
            assert decision.reason.startswith("resting: flat but in ")
            assert decision.target == (0.0 if seen.units[row, 0] else None)
            continue
        values = seen.values[row, 0]
        np.testing.assert_allclose(decision.values, values, atol=1e-5 * np.abs(values).max())
        best = np.sort(values)
        assert decision.action == values.argmax() or best[-1] - best[-2] < TIE
        clear = best[-1] - best[-2] >= np.float32(rule["threshold"])
        assert decision.reason.partition(":")[0] == ("" if clear else "undecided")
        assert clear or not decision.order
        told["undecided"] += not clear
    assert told["orders"] > 20, told
    asks = any(rule["threshold"] for rule in rules.values())
    assert (told["undecided"] > 5) == asks, told
    rests = not all(rule["acts"] for rule in rules.values())
    assert (told["resting"] > 20, told["flattened"] > 2) == (rests, rests), told


def test_rules_make_a_difference(lanes: dict[str, Lane]) -> None:
    paths = [lane.seen.units[:, 0] for lane in lanes.values()]
    for place, one in enumerate(paths):
        assert not any(np.array_equal(one, other) for other in paths[:place])


@pytest.mark.parametrize("name", ["one regime", "router"])
def test_a_state_remembers_what_the_brains_said(bundles: dict[str, Ruled], lanes: dict[str, Lane], name: str) -> None:
    whole = decisions(bundles[name], lanes[name])
    regime = lanes[name].regime
    rows = [row for row in range(1, 600) if regime[row] == regime[row - 1] == 2]
    assert decisions(bundles[name], lanes[name], again=rows[len(rows) // 2]) == whole


def test_what_is_averaged_is_bounded_as_in_the_arena() -> None:
    assert (RUNNERS, CHAMPION) == (AVERAGED, "champion.safetensors")

"""Journeys by an independent route: the orders that champions gave go through the float64 replay, windows are added up
against what the run wrote down, and bins against loops."""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.journey import travel
from arena.rollout import Trader
from experiments.replay.replay import ReplayResult, replay_aligned
from experiments.replay.targets import Targets
from experiments.report.facts import journeys as journeys_module
from experiments.report.facts.champions import Champion, read_champions, read_traders
from experiments.report.facts.journeys import UNKNOWN, journeys, thinned
from experiments.report.facts.rides import Lane, lanes_of, ride
from experiments.report.facts.sources import Sources
from experiments.report.facts.world import World, load_study, load_world
from experiments.runs.directory import RunDirectory
from markets.account import REASONS
from markets.bars import CLOSE, HIGH, LOW, OPEN

pytestmark = pytest.mark.usefixtures("plainly_compiled")


class Looked(NamedTuple):
    """A run, looked at again."""

    sources: Sources
    world: World
    champions: list[Champion]


@pytest.fixture(scope="module")
def looked(small_run: Path) -> Looked:
    sources = Sources.of(RunDirectory(small_run))
    study = load_study(sources)
    assert study is not None
    world = load_world(sources, study)
    assert world is not None
    champions = read_traders(sources, read_champions(sources), study.settings)
    assert {champion.species for champion in champions} == {"qnetwork", "forest"}
    return Looked(sources, world, champions)


@pytest.fixture(scope="module")
def made(plainly_compiled: None, looked: Looked) -> dict[str, list[dict[str, object]]]:
    return journeys(looked.sources, looked.world, looked.champions)


def replayed(world: World, lane: Lane, targets: Targets) -> ReplayResult:
    """The lane's bars, as they came, under orders of float64."""
    (bars,) = world.supply.bars
    return replay_aligned(bars[lane.first : lane.stop], targets, world.plan.settings.broker)


def test_the_orders_of_champions_earn_the_same_by_replay(
    looked: Looked, made: dict[str, list[dict[str, object]]]
) -> None:
    world, lanes, closed = looked.world, lanes_of(looked.world, 0, 4), 0
    first, stop = (np.asarray([getattr(lane, end) for lane in lanes]) for end in ("first", "stop"))
    for place, name in enumerate(world.plan.names):
        mine = [champion for champion in looked.champions if champion.species == name]
        trader: Trader = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(champion.trader for champion in mine))
        ((_, passed),) = travel(world.plan.rollouts[place], trader, world.market.tape, first, stop)
        for agent, champion in enumerate(mine):
            for index, (lane, journey) in enumerate(zip(lanes, made[champion.key], strict=True)):
                asked = [
                    np.append(leaf[: lane.bars - 1, agent, index, 0].astype(np.float64), np.nan)
                    for leaf in passed.order
                ]
                result = replayed(world, lane, Targets(*asked))
                cash = world.plan.settings.broker.cash
                columns, trades = journey["columns"], journey["trades"]
                equity = result.ledger["equity"].to_numpy() / cash
                np.testing.assert_allclose(columns["equity"], equity, rtol=2e-5)
                np.testing.assert_allclose(columns["drawdown"], 1 - equity / np.maximum.accumulate(equity), atol=3e-5)
                exposure = result.ledger["units"].to_numpy() * world.supply.bars[0].mid[lane.first : lane.stop, CLOSE]
                np.testing.assert_allclose(columns["position"], exposure / (equity * cash), atol=1e-4)
                stamps = {time: row for row, time in enumerate(result.ledger["timestamp"])}
                own = result.trades
                closed += own.height
                np.testing.assert_array_equal(trades["entry"], [stamps[time] for time in own["entry_timestamp"]])
                np.testing.assert_array_equal(trades["exit"], [stamps[time] for time in own["exit_timestamp"]])
                np.testing.assert_array_equal(trades["side"], np.where(own["side"] == "long", 1, -1))
                assert [REASONS[reason] for reason in trades["reason"]] == own["reason"].to_list()
                np.testing.assert_allclose(trades["entry_price"], own["entry_price"], rtol=1e-6)
                np.testing.assert_allclose(trades["exit_price"], own["exit_price"], rtol=1e-6)
                before = equity[np.asarray(trades["entry"], int) - 1] * cash
                np.testing.assert_allclose(trades["profit"], own["profit"] / before, atol=2e-5)
    assert closed > 200


def test_prices_stamps_and_regimes_are_the_markets(looked: Looked, made: dict[str, list[dict[str, object]]]) -> None:
    lanes, (bars,) = lanes_of(looked.world, 0, 4), looked.world.supply.bars
    assert [lane.part for lane in lanes] == ["train", "validation"]
    (segment,) = looked.world.market.segments
    assert lanes[0].stop == segment.rows.train.stop
    assert (lanes[1].first, lanes[1].stop) == (segment.rows.validation.start, segment.rows.validation.stop)
    regime = np.asarray(looked.world.market.tape.regime)
    assert (regime[: lanes[0].first] == 4).all()
    for lane, journey in zip(lanes, next(iter(made.values())), strict=True):
        rows, columns = slice(lane.first, lane.stop), journey["columns"]
        stamps = columns["time"].astype("datetime64[m]")
        np.testing.assert_array_equal(stamps, bars.time[rows].astype("datetime64[m]"))
        for column, place in (("open", OPEN), ("high", HIGH), ("low", LOW), ("close", CLOSE)):
            np.testing.assert_allclose(columns[column], bars.mid[rows, place], rtol=1e-6)
        np.testing.assert_array_equal(columns["regime"], regime[rows])
        assert set(journey) == {"part", "symbol", "every", "columns", "trades", "note"}
        assert (journey["part"], journey["symbol"], journey["every"]) == (lane.part, "SYN1", 1)


def test_buy_and_hold_is_one_order_by_replay(looked: Looked, made: dict[str, list[dict[str, object]]]) -> None:
    for lane, journey in zip(lanes_of(looked.world, 0, 4), next(iter(made.values())), strict=True):
        empty = np.full(lane.bars, np.nan)
        once = empty.copy()
        once[0] = 1.0
        equity = replayed(looked.world, lane, Targets(once, empty, empty)).ledger["equity"].to_numpy()
        np.testing.assert_allclose(journey["columns"]["hold"], equity / equity[0], rtol=2e-5)


def test_over_validation_windows_champions_earn_what_the_run_wrote_down(looked: Looked) -> None:
    world = looked.world
    first, bars = np.asarray(world.market.tape.validation[0]), world.plan.settings.episodes.bars
    windows = [Lane("validation", ("SYN1",), int(row), int(row) + bars + 1) for row in first]
    fitness = looked.sources.frame("fitness").filter(split="validation", regime="all")
    seen = 0
    for place, name in enumerate(world.plan.names):
        mine = [champion for champion in looked.champions if champion.species == name]
        trader: Trader = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(champion.trader for champion in mine))
        pairs = [  # two lanes, as journeys have, so that nothing has to be compiled
            ride(world.plan.rollouts[place], trader, world, windows[at : at + 2]) for at in range(0, len(windows), 2)
        ]
        for agent, champion in enumerate(mine):
            rides = [one for pair in pairs for one in pair[agent]]
            row = fitness.filter(id=champion.id, generation=champion.generation).to_dicts()[0]
            earned = sum(float(np.log(one.equity[-1])) for one in rides)
            assert earned == pytest.approx(row["log_return"], abs=5e-6)
            assert sum(one.trades.height for one in rides) == row["trades"]
            seen += row["trades"]
    assert len(windows) == 4
    assert seen > 20


def test_long_journeys_are_drawn_in_bins_that_trades_point_to(
    looked: Looked, made: dict[str, list[dict[str, object]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journeys_module, "_ALL_POINTS", 400)
    drawn = journeys(looked.sources, looked.world, looked.champions)
    assert sum(len(one["columns"]["time"]) for own in drawn.values() for one in own) <= 400
    fewer = 0
    for key, own in drawn.items():
        for short, whole in zip(own, made[key], strict=True):
            every, count = short["every"], len(short["trades"]["entry"])
            assert every > 1
            assert short["note"].startswith(f"Each point stands for {every} bars.")
            np.testing.assert_array_equal(short["columns"]["time"], whole["columns"]["time"][::every])
            assert short["columns"]["equity"][-1] == whole["columns"]["equity"][-1]
            size = np.abs(
                whole["trades"]["profit"] * whole["columns"]["equity"][whole["trades"]["entry"].astype(int) - 1]
            )
            kept = np.sort(np.argsort(-size, kind="stable")[:count])
            for name, values in short["trades"].items():
                told = whole["trades"][name][kept]
                np.testing.assert_array_equal(values, told // every if name in ("entry", "exit") else told)
            if count < len(size):
                fewer += 1
                assert (
                    f"Of {len(size):,} trades those {count:,} with the largest profit or loss are drawn."
                    in short["note"]
                )
    assert fewer


COLUMNS = ("open", "high", "low", "close", "equity", "hold", "drawdown", "position")


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_bins_say_what_their_bars_say(bars: int, every: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    columns = {name: rng.normal(size=bars).astype(np.float32) for name in COLUMNS}
    columns["regime"] = rng.choice([0, 1, 3, UNKNOWN], bars).astype(np.uint8)
    found = thinned(columns, every)
    for place, start in enumerate(range(0, bars, every)):
        own = {name: values[start : start + every] for name, values in columns.items()}
        assert found["open"][place] == own["open"][0]
        assert found["high"][place] == own["high"].max()
        assert found["low"][place] == own["low"].min()
        assert found["drawdown"][place] == own["drawdown"].max()
        for name in ("close", "equity", "hold"):
            assert found[name][place] == own[name][-1]
        assert found["position"][place] == pytest.approx(own["position"].mean(), abs=1e-6)
        often = found["regime"][place]
        assert (own["regime"] == often).sum() == max((own["regime"] == one).sum() for one in own["regime"])
    assert {len(values) for values in found.values()} == {-(-bars // every)}

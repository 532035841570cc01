"""Journeys on other markets than one symbol: pools of which some are left out, replicates with markets of their own,
and baskets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_worlds import make_settings, market_of, small_bars

from agents.memory import Memory
from arena.journey import travel
from arena.plan import make_plan
from arena.rollout import Trader
from experiments.report.facts.champions import Champion
from experiments.report.facts.journeys import journeys
from experiments.report.facts.missing import Missings
from experiments.report.facts.rides import lanes_of
from experiments.report.facts.sources import Sources
from experiments.report.facts.world import World
from experiments.runs.directory import RunDirectory
from genomes.genes import Genes
from genomes.qnetwork import Layer, Network
from markets.bars import CLOSE, Bars
from markets.joining import join
from markets.preparation import Market
from markets.source import Supply

pytestmark = pytest.mark.usefixtures("plainly_compiled")

SETTINGS = make_settings(evolution={"agents": 8, "replicates": 2})


@pytest.fixture
def sources(tmp_path: str) -> Sources:
    """A run without anything in it, that only listens."""
    return Sources(RunDirectory(tmp_path), {}, {}, "finished", 0, {}, Missings())


def made(market: Market, bars: list[Bars]) -> tuple[World, list[Champion]]:
    """A world, and a champion of each replicate with a brain that trades a lot."""
    rng, champions = np.random.default_rng(5), []

    def drawn(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    for replicate in range(2):
        genome = Network(drawn(len(market.features), 4), drawn(4, 4), drawn(4), (), Layer(drawn(4, 3), drawn(3)))
        genes = Genes(*(np.float32(value) for value in (0.3, 3.0, 4.0, 0.1, 1e-3, 0.9, 0.1)))
        memory = Memory(np.zeros((4, len(market.features)), np.float32), np.zeros(4, np.float32))
        trader = Trader(genome, genes, memory, np.zeros(4, np.float32))
        champions.append(Champion(replicate, 0, replicate, {4: 0.0}, {4: 0}, {4: 0}, "qnetwork", trader))
    return World(Supply(bars), market, make_plan(SETTINGS, len(market.features))), champions


def test_each_replicate_travels_on_its_own_market_and_some_symbols_are_left_out(sources: Sources) -> None:
    supplies = [small_bars(symbols=6, seed=seed) for seed in (3, 4)]
    market = join([market_of(SETTINGS, bars) for bars in supplies])
    world, champions = made(market, [bars for own in supplies for bars in own])
    found = journeys(sources, world, champions)
    assert list(sources.missing.noted) == [
        "Champions' journeys are shown on SYN1, SYN2, SYN3, SYN4; left out of 6 symbols: SYN5, SYN6."
    ]
    for champion, own in zip(champions, supplies, strict=True):
        shown = found[champion.key]
        assert [(one["symbol"], one["part"]) for one in shown] == [
            (f"SYN{number}", part) for number in range(1, 5) for part in ("train", "validation")
        ]
        for journey, lane in zip(shown, lanes_of(world, champion.replicate, 4), strict=True):
            bars = next(one for one in own if one.symbol == journey["symbol"])
            rows = np.searchsorted(bars.time, journey["columns"]["time"].astype("datetime64[m]"))
            np.testing.assert_allclose(journey["columns"]["close"], bars.mid[rows, CLOSE], rtol=1e-6)
            assert len(rows) == lane.bars
    first, second = (found[champion.key][0]["columns"]["hold"] for champion in champions)
    assert not np.array_equal(first, second)


def test_of_a_basket_the_money_is_of_all_and_the_price_of_one(sources: Sources) -> None:
    bars = small_bars(symbols=3)
    market = market_of(SETTINGS, bars, mode="basket")
    world, champions = made(market, list(bars))
    found = journeys(sources, world, champions)
    assert not sources.missing.noted
    lanes = lanes_of(world, 0, 4)
    first, stop = (np.asarray([getattr(lane, end) for lane in lanes]) for end in ("first", "stop"))
    trader = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(champion.trader for champion in champions))
    ((_, passed),) = travel(world.plan.rollouts[0], trader, market.tape, first, stop)
    close = np.stack([own.mid[:, CLOSE] for own in bars], axis=1)
    for agent, champion in enumerate(champions):
        for place, (lane, journey) in enumerate(zip(lanes, found[champion.key], strict=True)):
            columns, bars_met = journey["columns"], lane.bars - 1
            equity = passed.equity[:bars_met, agent, place]
            held = (passed.units[:bars_met, agent, place] * close[lane.first + 1 : lane.stop]).sum(-1)
            np.testing.assert_allclose(columns["position"][1:], held / equity, atol=1e-5)
            np.testing.assert_allclose(columns["equity"], np.append(1.0, equity / SETTINGS.broker.cash), rtol=1e-6)
            np.testing.assert_allclose(columns["close"], close[lane.first : lane.stop, 0], rtol=1e-6)
            ends = (passed.closed.ended_at_open, passed.closed.ended_after)
            closed = sum(leaf[:bars_met, agent, place].sum(0) for leaf in ends)
            assert len(journey["trades"]["entry"]) == closed[0]
            assert journey["symbol"] == "SYN1 + SYN2 + SYN3"
            assert journey["note"] == (
                "Price is that of SYN1; equity and exposure are of all 3 instruments. "
                f"Trades are those in SYN1; {closed[1:].sum()} in other instruments are not drawn."
            )

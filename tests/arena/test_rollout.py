"""A rollout, lived a second time: agents that decide in plain NumPy, one bar and one account after another, and a
recount of every number of the tally by hand. Only the broker is shared; it has oracles of its own.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_worlds import make_settings, market_of, small_bars

from agents.memory import Memory
from arena.fitness import summarise
from arena.rollout import Rollout, Trader, roll_out
from arena.tally import GROUPS, REGIMES, Tally
from genomes.genes import Genes, init_genes
from genomes.qnetwork import QNetwork
from genomes.registry import make_species
from genomes.species import Shape
from markets.account import Order
from markets.broker import open_account, step
from markets.tape import MarketWindow, rules_at, window

pytestmark = pytest.mark.usefixtures("plainly_compiled")

AGENTS, EPISODES, BARS = 4, 6, 24


@dataclasses.dataclass
class Life:
    """A rollout and all that went into it."""

    setup: Rollout
    trader: Trader
    market: MarketWindow
    rules: Any
    tally: Tally
    trace: Any


def _traders(species: QNetwork, features: int, moments: int, rng: np.random.Generator) -> Trader:
    keys = jax.random.split(jax.random.key(5), AGENTS)
    genes = jax.vmap(lambda key: init_genes(key, make_settings().genes))(keys)
    genes = genes._replace(
        size=jnp.asarray([3.0, 0.5, 8.0, 1.0]),
        stop=jnp.asarray([2.0, 0.5, 30.0, 1.0]),
        take_profit=jnp.asarray([3.0, 0.7, 40.0, 1.0]),
    )
    memory = Memory(
        jnp.asarray(rng.normal(size=(AGENTS, moments, features)), jnp.float32),
        jnp.asarray(rng.integers(0, 2, (AGENTS, moments)), jnp.float32),
    )
    genome = jax.vmap(species.init, (0, None))(keys, jnp.zeros((features + 4, 2)))
    # An eager account part, so that what an agent sees of itself matters for what it does.
    genome = genome._replace(account=4.0 * genome.account)
    return Trader(genome, genes, memory, jnp.asarray(rng.uniform(size=(AGENTS, REGIMES)), jnp.float32))


@pytest.fixture(scope="module")
def life() -> Life:
    """Few agents on few windows of two symbols with costs of their own; some are liquidated and ruined."""
    settings = make_settings(
        broker={"commission": 2e-4, "spread_rate": 3e-4, "max_leverage": 8.0, "maintenance": 0.05, "ruin": 0.97},
        costs={"SYN2": {"commission": 1e-3, "slippage": 2e-4}},
        scars={"memory": {"enabled": True, "moments": 2, "reach": 1.0}},
        trust={"scales_capital": True},
    )
    market = market_of(settings, small_bars(900, 2, 4))
    shape = Shape(features=len(market.features), account=4)
    species = make_species("qnetwork", settings.species["qnetwork"], shape)
    assert isinstance(species, QNetwork)
    setup = Rollout(species, settings.broker, settings.scars.memory, settings.trust, chunk=8, stops=True)
    rng = np.random.default_rng(2)
    trader = _traders(species, shape.features, 2, rng)
    rows = np.asarray(market.tape.train.rows)
    first = jnp.asarray(rng.choice(rows, EPISODES, replace=False))
    assert len(set(np.asarray(market.tape.segment)[np.asarray(first)])) == 2, "windows of both symbols"
    played = window(market.tape, first, BARS)
    rules = rules_at(settings.broker, market.tape, first)
    tally, trace = jax.jit(lambda t, m, r: roll_out(setup, t, m, vary_from(setup, r), trace=True))(
        trader, played, _numbers(rules)
    )
    return Life(setup, trader, played, rules, jax.device_get(tally), jax.device_get(trace))


def _numbers(rules: Any) -> dict[str, Any]:
    """The keys of rules that are arrays."""
    return {name: value for name, value in vars(rules).items() if isinstance(value, jax.Array)}


def vary_from(setup: Rollout, numbers: dict[str, Any]) -> Any:
    from markets.broker import vary

    return vary(setup.rules, **numbers)


def _decide(life: Life, agent: int, features: np.ndarray, view: np.ndarray) -> float:
    """Direction that one agent asks for, from its weights in float64."""
    net = jax.tree.map(lambda x: np.asarray(x[agent], np.float64), life.trader.genome)
    layer = np.maximum(features @ net.market + view @ net.account + net.bias, 0.0)
    for hidden in net.hidden:
        layer = np.maximum(layer @ hidden.weight + hidden.bias, 0.0)
    values = layer @ net.output.weight + net.output.bias
    return (0.0, 1.0, -1.0)[int(np.argmax(values))]


def _factor(life: Life, agent: int, features: np.ndarray, regime: int) -> float:
    """Exposure factor of one agent at one bar, straight from the definitions of caution and trust."""
    memory, settings = life.setup.memory, life.setup.trust
    likeness = [0.0]
    for moment, weight in zip(
        np.asarray(life.trader.memory.features[agent]), np.asarray(life.trader.memory.weight[agent]), strict=True
    ):
        if weight > 0:
            distance = np.mean((features - moment) ** 2)
            likeness.append(math.exp(-distance / (2 * memory.reach**2)))
    caution = 1 - memory.strength * max(likeness)
    believed = float(life.trader.trust[agent, regime]) if regime < REGIMES else 0.0
    return caution * (settings.floor + (1 - settings.floor) * believed)


@pytest.fixture(scope="module")
def lived(life: Life) -> list[dict[str, Any]]:
    """What every agent saw, wanted and got, bar after bar, decided one by one."""
    rules = life.rules
    brokers = jax.jit(lambda account, order, bar, numbers: step(account, order, bar, vary_from(life.setup, numbers)))
    account = open_account(rules, (AGENTS, EPISODES), 1, jnp.float32)
    peak = np.full((AGENTS, EPISODES), rules.cash)
    held = np.zeros((AGENTS, EPISODES))
    bars: list[dict[str, Any]] = []
    features, atr = np.asarray(life.market.features, np.float64), np.asarray(life.market.atr, np.float64)
    regime = np.asarray(life.market.regime)
    genes: Genes = jax.tree.map(lambda x: np.asarray(x, np.float64), life.trader.genes)
    for t in range(BARS):
        bar = jax.tree.map(lambda x, t=t: x[t], life.market.bar)
        now = jax.tree.map(np.asarray, jax.device_get(account))
        close = np.asarray(bar.decision_close, np.float64)
        wanted = np.zeros((AGENTS, EPISODES))
        target, stop, take = (np.full((AGENTS, EPISODES, 1), np.nan) for _ in range(3))
        for a in range(AGENTS):
            for e in range(EPISODES):
                equity = max(float(now.equity[a, e]), 1e-6 * peak[a, e])
                units, entry = float(now.units[a, e, 0]), float(now.entry[a, e, 0])
                view = np.clip(
                    [
                        units * close[e, 0] / equity,
                        0.2 * np.sign(units) * (close[e, 0] - entry) / (close[e, 0] * atr[t, e, 0]),
                        5 * (1 - float(now.equity[a, e]) / peak[a, e]),
                        0.25 * math.log1p(held[a, e]),
                    ],
                    -5,
                    5,
                )
                wanted[a, e] = _decide(life, a, features[t, e, 0], view)
                if np.sign(wanted[a, e]) != np.sign(units):
                    factor = _factor(life, a, features[t, e, 0], int(regime[t, e]))
                    target[a, e, 0] = wanted[a, e] * genes.size[a] * factor
                stop[a, e, 0] = min(genes.stop[a] * atr[t, e, 0], 0.95)
                take[a, e, 0] = genes.take_profit[a] * atr[t, e, 0]
        order = Order(*(jnp.asarray(x, jnp.float32) for x in (target, stop, take)))
        outcome = jax.device_get(brokers(account, order, bar, _numbers(rules)))
        after = outcome.account
        for a in range(AGENTS):
            for e in range(EPISODES):
                if after.units[a, e, 0] == 0:
                    held[a, e] = 0
                elif outcome.closed.opened[a, e, 0]:
                    held[a, e] = 1
                else:
                    held[a, e] += 1
        bars.append({"before": now, "wanted": wanted, "outcome": outcome, "close": close, "regime": regime[t]})
        account = after
        peak = np.maximum(peak, np.asarray(after.equity, np.float64))
    return bars


def test_agents_decide_as_their_weights_say(life: Life, lived: list[dict[str, Any]]) -> None:
    for t, bar in enumerate(lived):
        np.testing.assert_array_equal(life.trace.wanted[t, ..., 0], bar["wanted"], err_msg=f"bar {t}")
    assert {-1.0, 0.0, 1.0} == set(np.unique(life.trace.wanted)), "the agents do all there is to do"


def test_accounts_stand_where_the_second_life_left_them(life: Life, lived: list[dict[str, Any]]) -> None:
    for t, bar in enumerate(lived):
        account = bar["outcome"].account
        np.testing.assert_allclose(life.trace.equity[t], account.equity, rtol=2e-5, err_msg=f"equity, bar {t}")
        np.testing.assert_allclose(life.trace.units[t], account.units, rtol=2e-4, atol=1e-6, err_msg=f"units, bar {t}")


def _recount(life: Life, lived: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Every number of the tally, one account and one bar after another."""
    shape = (GROUPS, AGENTS, EPISODES)
    names = ("bars", "log_return", "square", "downside", "drawdown", "exposure", "trades", "wins", "gross_profit")
    out = {name: np.zeros(shape) for name in (*names, "gross_loss")}
    out |= {name: np.zeros(shape[1:]) for name in ("liquidated", "ruined")}
    for a in range(AGENTS):
        for e in range(EPISODES):
            equity, entered = life.setup.rules.cash, None
            curves: list[list[float]] = [[0.0] for _ in range(GROUPS)]
            for bar in lived:
                mine = jax.tree.map(lambda x, a=a, e=e: np.asarray(x, np.float64)[a, e], _of_account(bar["outcome"]))
                regime = int(bar["regime"][e])
                groups = [] if regime >= REGIMES else [regime, REGIMES]
                before = bar["before"]
                alive = bool(before.alive[a, e])
                now = float(mine["equity"])
                gained = math.log(now / equity)
                held = float(before.units[a, e, 0] + mine["open_units"])
                for g in groups:
                    out["bars"][g, a, e] += alive
                    out["log_return"][g, a, e] += gained
                    out["square"][g, a, e] += gained**2
                    out["downside"][g, a, e] += min(gained, 0.0) ** 2
                    out["exposure"][g, a, e] += held * bar["close"][e, 0] / equity
                    curves[g].append(curves[g][-1] + gained)
                if mine["ended_at_open"]:
                    _count_trade(out, entered, a, e, float(mine["profit_at_open"]))
                if mine["opened"]:
                    entered = groups
                if mine["ended_after"]:
                    _count_trade(out, entered, a, e, float(mine["profit_after"]))
                out["liquidated"][a, e] = max(out["liquidated"][a, e], mine["liquidated"])
                out["ruined"][a, e] = max(out["ruined"][a, e], mine["ruined"])
                equity = now
            for g, curve in enumerate(curves):
                out["drawdown"][g, a, e] = max(max(curve[: i + 1]) - level for i, level in enumerate(curve))
    return out


def _count_trade(out: dict[str, np.ndarray], groups: list[int] | None, a: int, e: int, profit: float) -> None:
    assert groups is not None, "a trade ends that never began"
    for g in groups:
        out["trades"][g, a, e] += 1
        out["wins"][g, a, e] += profit > 0
        out["gross_profit"][g, a, e] += max(profit, 0.0)
        out["gross_loss"][g, a, e] += max(-profit, 0.0)


def _of_account(outcome: Any) -> dict[str, np.ndarray]:
    """What the recount reads, [agents, episodes] each."""
    closed = outcome.closed
    return {
        "equity": outcome.account.equity,
        "open_units": (outcome.fills.units[0] + outcome.fills.units[1])[..., 0],
        "ended_at_open": closed.ended_at_open[..., 0],
        "profit_at_open": closed.profit_at_open[..., 0],
        "opened": closed.opened[..., 0],
        "ended_after": closed.ended_after[..., 0],
        "profit_after": closed.profit_after[..., 0],
        "liquidated": outcome.liquidated,
        "ruined": outcome.ruined,
    }


@pytest.fixture(scope="module")
def recount(life: Life, lived: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    return _recount(life, lived)


def test_what_happened_covers_what_can_happen(recount: dict[str, np.ndarray]) -> None:
    assert recount["ruined"].any()
    assert not recount["ruined"].all()
    assert (recount["trades"][:REGIMES].sum((1, 2)) > 0).sum() >= 3, "trades in most regimes"
    assert recount["wins"][-1].sum() > 3
    assert recount["gross_loss"][-1].sum() > 0
    assert (recount["bars"][-1] < BARS).any(), "ruined accounts live fewer bars"


@pytest.mark.parametrize("name", ["bars", "trades", "wins", "liquidated", "ruined"])
def test_counts_are_exact(name: str, life: Life, recount: dict[str, np.ndarray]) -> None:
    np.testing.assert_array_equal(getattr(life.tally, name), recount[name])


@pytest.mark.parametrize("name", ["log_return", "square", "downside", "drawdown", "gross_profit", "gross_loss"])
def test_sums_are_those_of_the_recount(name: str, life: Life, recount: dict[str, np.ndarray]) -> None:
    tolerance = 1e-6 if name not in ("gross_profit", "gross_loss") else 0.05  # money of 10,000, in float32
    np.testing.assert_allclose(getattr(life.tally, name), recount[name], rtol=2e-3, atol=tolerance)


def test_exposure_is_what_was_held_after_each_open(life: Life, recount: dict[str, np.ndarray]) -> None:
    np.testing.assert_allclose(life.tally.exposure[..., 0], recount["exposure"], rtol=1e-4, atol=1e-5)


def test_profit_of_all_trades_is_the_change_of_equity(life: Life) -> None:
    """Every account is flat at the end, so what its trades earned is what it earned."""
    profit = life.tally.gross_profit[-1] - life.tally.gross_loss[-1]
    np.testing.assert_allclose(profit, life.trace.equity[-1] - life.setup.rules.cash, atol=0.05)


def test_regimes_add_up_to_all(life: Life) -> None:
    for name in ("bars", "log_return", "square", "downside", "exposure", "trades", "wins", "gross_profit"):
        leaf = getattr(life.tally, name)
        np.testing.assert_allclose(leaf[:REGIMES].sum(0), leaf[-1], rtol=1e-4, atol=2e-3, err_msg=name)


def test_stats_are_sums_over_episodes_and_the_worst_drawdown(life: Life) -> None:
    stats = jax.device_get(summarise(jax.tree.map(jnp.asarray, life.tally)))
    np.testing.assert_allclose(stats.log_return, life.tally.log_return.sum(-1).T, rtol=1e-5)
    np.testing.assert_allclose(stats.drawdown, -np.expm1(-life.tally.drawdown.max(-1)).T, rtol=1e-5)
    np.testing.assert_array_equal(stats.episodes, (life.tally.bars > 0).sum(-1).T)


def test_agents_and_episodes_do_not_see_each_other(life: Life) -> None:
    """Each agent alone on one window alone, with that segment's costs: the same as among all."""
    alone = jax.jit(lambda t, m, r: roll_out(life.setup, t, m, vary_from(life.setup, r))[0])
    for a, e in ((0, 0), (2, 3), (3, 5)):
        trader = jax.tree.map(lambda x, a=a: x[a : a + 1], life.trader)
        market = jax.tree.map(lambda x, e=e: x[:, e : e + 1], life.market)
        numbers = {name: value[e : e + 1] for name, value in _numbers(life.rules).items()}
        tally = jax.device_get(alone(trader, market, numbers))
        for name in ("log_return", "trades", "drawdown", "gross_profit"):
            np.testing.assert_allclose(
                getattr(tally, name)[:, 0, 0], getattr(life.tally, name)[:, a, e], rtol=1e-4, atol=1e-5, err_msg=name
            )


def test_the_chunk_changes_no_decision(life: Life) -> None:
    setup = dataclasses.replace(life.setup, chunk=3)
    tally, trace = jax.jit(lambda t, m, r: roll_out(setup, t, m, vary_from(setup, r), trace=True))(
        life.trader, life.market, _numbers(life.rules)
    )
    assert trace is not None
    np.testing.assert_array_equal(trace.wanted, life.trace.wanted)
    np.testing.assert_allclose(tally.log_return, life.tally.log_return, atol=1e-6)

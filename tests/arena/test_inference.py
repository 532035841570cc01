"""Decision rules: one brain alone is the plain journey, and what deciders say is what an explicit loop does."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array
from small_worlds import founded, make_settings, marked, market_of

from arena.inference import Conducted, Decider, Moment, Panel, conduct
from arena.journey import travel
from arena.plan import Plan
from arena.state import ArenaState
from arena.tally import REGIMES
from markets.account import Account, Order
from markets.preparation import Market

pytestmark = pytest.mark.usefixtures("plainly_compiled")

FOREST = {"forest": {"depth": 2, "market_trees": 3, "state_trees": 1}}
SETTINGS = make_settings(species={"qnetwork": {"hidden": [4]}, **FOREST})
BRAINS = 4
"""Two of each species."""


@pytest.fixture(scope="module")
def market(plainly_compiled: None) -> Market:
    return market_of(SETTINGS)


@pytest.fixture(scope="module")
def world(market: Market) -> tuple[Plan, ArenaState]:
    return founded(SETTINGS, market)


@pytest.fixture(scope="module")
def plan(world: tuple[Plan, ArenaState]) -> Plan:
    return world[0]


@pytest.fixture(scope="module")
def panel(world: tuple[Plan, ArenaState]) -> Panel:
    """Two founders of each species, with memories of scars and some trust."""
    return Panel(marked(world[1], 2))


def alone(brains: list[int], many: int = BRAINS, **changes: object) -> Decider:
    """Lanes that follow one brain each of so many, plainly."""
    shape = (len(brains), REGIMES)
    own = np.repeat(np.asarray(brains, np.int32)[:, None], REGIMES, 1)
    plain = Decider(
        acts=np.ones(shape, bool),
        own=own,
        weights=np.eye(many, dtype=np.float32)[own],
        threshold=np.zeros(shape, np.float32),
        average=np.ones(shape, np.int32),
        view=np.zeros(shape, np.int32),
    )
    return plain._replace(**changes)


def test_one_brain_alone_is_the_plain_journey(market: Market, plan: Plan, panel: Panel) -> None:
    rows = market.segments[0].rows.validation
    first, stop = np.asarray([rows.start, rows.start + 9]), np.asarray([rows.stop, rows.stop - 20])
    plain = []
    for setup, trader in zip(plan.rollouts, panel.traders, strict=True):
        pieces = [passed for _, passed in travel(setup, trader, market.tape, first, stop)]
        plain.append(jax.tree.map(lambda *leaves: np.concatenate(leaves), *pieces))
    lanes = alone([0, 1, 2, 3, 0, 1, 2, 3])
    told = conduct(
        plan.rollouts,
        panel,
        lanes,
        market.tape,
        market.tape.features[None],
        np.repeat(first, BRAINS),
        np.repeat(stop, BRAINS),
    )
    found: Conducted = jax.tree.map(lambda *leaves: np.concatenate(leaves), *(kept for _, kept in told))
    for lane in range(8):
        passed, agent, way = plain[lane % 4 // 2], lane % 2, lane // 4
        bars = int(stop[way] - first[way]) - 1
        np.testing.assert_array_equal(found.order.target[:bars, lane], passed.order.target[:bars, agent, way])
        np.testing.assert_array_equal(found.fills.reason[:bars, :, lane], passed.fills.reason[:bars, :, agent, way])
        np.testing.assert_allclose(found.equity[:bars, lane], passed.equity[:bars, agent, way], rtol=1e-6)
        np.testing.assert_allclose(found.units[:bars, lane], passed.units[:bars, agent, way], rtol=1e-6)
        np.testing.assert_allclose(found.financing[:bars, lane], passed.financing[:bars, agent, way], rtol=1e-6)
    assert (found.fills.reason[: stop[0] - first[0] - 1] > 0).sum((0, 1, 3)).min() > 2


def mixed(rng: np.random.Generator) -> Decider:
    """Lanes of all kinds: several brains, weights by regime, thresholds, averages, two views, flat in some regimes."""
    lanes = 8
    shape = (lanes, REGIMES)
    weights = rng.uniform(0.2, 2.0, (*shape, BRAINS)).astype(np.float32) * rng.integers(0, 2, (*shape, BRAINS))
    weights[..., 0] += weights.sum(-1) == 0
    acts = rng.uniform(size=shape) < 0.8
    acts[:, 0] = True
    return Decider(
        acts=acts,
        own=rng.integers(0, BRAINS, shape).astype(np.int32),
        weights=weights.astype(np.float32),
        threshold=rng.choice([0.0, 0.02, 0.2], shape).astype(np.float32),
        average=rng.choice([1, 2, 4], shape).astype(np.int32),
        view=rng.integers(0, 2, shape).astype(np.int32),
    )


def decision_inputs(now: Moment) -> tuple[Account, Array, Array, Order, Array]:
    """What the oracle is told, and what it is asked; compiled once for all that ask."""
    return now.account, now.view, now.chosen.gap, now.ask, now.chosen.values


def told_values(plan: Plan, panel: Panel, views: np.ndarray, rows: slice, accounts: np.ndarray) -> np.ndarray:
    """What every brain says on every bar, seeing each view, beside given accounts [bars, lanes, view] → [views, bars,
    lanes, brains, actions].
    """
    said = []
    for setup, trader in zip(plan.rollouts, panel.traders, strict=True):
        species = setup.species

        def one(genome: Any, seen: Array, account: Array, species: Any = species) -> Array:
            rows = jnp.broadcast_to(seen, (*account.shape[:2], seen.shape[-1]))
            values: Array = jax.vmap(lambda code, own: species.values(genome, code, own, ())[0])(
                species.encode(genome, rows), account
            )
            return values

        every = jax.jit(jax.vmap(jax.vmap(one, (None, 0, None)), (0, None, None)))  # [brains, views, bars, lanes, …]
        said.append(np.asarray(every(trader.genome, jnp.asarray(views[:, rows]), jnp.asarray(accounts))))
    return np.moveaxis(np.concatenate(said), 0, 3)


def test_every_lane_decides_as_an_explicit_loop_does(market: Market, plan: Plan, panel: Panel) -> None:
    rng = np.random.default_rng(8)
    lanes, pilot = mixed(rng), np.asarray([0, 1, 2, 3, 4, 5, 6, 3])
    part = market.segments[0].rows.validation
    first, stop = part.start, part.start + 90
    unknown = np.asarray([3, 20, 21])
    tape = market.tape._replace(regime=market.tape.regime.at[first + unknown].set(REGIMES))
    views = np.stack([tape.features, np.clip(np.asarray(tape.features) * 0.7 + 0.1, -5, 5)]).astype(np.float32)
    ends = (np.full(8, end) for end in (first, stop))
    pieces = conduct(plan.rollouts, panel, lanes, tape, views, *ends, pilot=pilot, piece=40, keep=decision_inputs)
    account, view, gap, ask, values = jax.tree.map(
        lambda *leaves: np.concatenate(leaves), *(kept for _, kept in pieces)
    )
    regime, atr = np.asarray(tape.regime), np.asarray(tape.atr)[:, 0]
    ordered = averaged = 0
    every = told_values(plan, panel, views, slice(first, stop - 1), view[:, :, 0])
    for lane in range(8):
        said = every[:, :, lane]
        thought: list[np.ndarray | None] = []  # what each brain said on each bar, with the view of that bar's regime
        for bar in range(stop - first - 1):
            now = int(regime[first + bar])
            if now == REGIMES:
                thought.append(None)
                assert np.isnan(ask.target[bar, lane, 0])
                continue
            thought.append(said[lanes.view[lane, now], bar])
            recent = [own for own in thought[-lanes.average[lane, now] :] if own is not None]
            averaged += len(recent) > 1
            mean = np.mean(recent, axis=0)
            total = sum(lanes.weights[lane, now, brain] * mean[brain] for brain in range(BRAINS))
            held = account.units[bar, lane, 0]
            target, best = np.nan, np.sort(total)[::-1]
            if not lanes.acts[lane, now]:
                target = 0.0 if held else np.nan
            else:
                np.testing.assert_allclose(values[bar, lane, 0], total, rtol=1e-4, atol=1e-5)
                np.testing.assert_allclose(gap[bar, lane, 0], best[0] - best[1], rtol=1e-4, atol=1e-5)
                threshold = lanes.threshold[lane, now]
                if min(best[0] - best[1], abs(best[0] - best[1] - threshold)) < 1e-5 and threshold:
                    continue  # too close to say
                wanted = (0.0, 1.0, -1.0)[int(total.argmax())]
                if best[0] - best[1] >= threshold and np.sign(wanted) != np.sign(held):
                    target = wanted * share_of(
                        plan, panel, lanes.own[lane, now], views[lanes.view[lane, now], first + bar, 0], now
                    )
            np.testing.assert_allclose(ask.target[bar, lane, 0], target, rtol=1e-4, err_msg=f"lane {lane}, bar {bar}")
            if not np.isnan(target):
                ordered += 1
                genes = jax.tree.map(np.asarray, panel.traders[lanes.own[lane, now] // 2].genes)
                stop_loss = min(genes.stop[lanes.own[lane, now] % 2] * atr[first + bar], 0.95)
                np.testing.assert_allclose(ask.stop_loss[bar, lane, 0], stop_loss, rtol=1e-5)
    assert ordered > 100
    assert averaged > 100
    np.testing.assert_array_equal(view[:, 7], view[:, 3])  # the last lane thinks beside the account of another
    assert (account.units[:, 7] != account.units[:, 3]).any()


def share_of(plan: Plan, panel: Panel, brain: int, features: np.ndarray, regime: int) -> float:
    """Size gene × caution × trust of the brain that orders."""
    trader, own = panel.traders[brain // 2], brain % 2
    setup = plan.rollouts[0]
    moments, weight = (np.asarray(leaf[own], np.float64) for leaf in trader.memory)
    distance = np.square(features - moments).mean(-1)
    likeness = np.where(weight > 0, np.exp(-distance / (2 * setup.memory.reach**2)), 0.0).max()
    assert setup.memory.enabled
    share = float(trader.genes.size[own]) * (1 - setup.memory.strength * likeness)
    if setup.trust.enabled and setup.trust.scales_capital:
        share *= setup.trust.floor + (1 - setup.trust.floor) * float(trader.trust[own, regime])
    return share


def test_costs_multiplied_are_those_of_a_world_that_has_them(plan: Plan, panel: Panel) -> None:
    cheap = {"commission": 1e-4, "spread_rate": 2e-4, "slippage": 5e-5, "commission_fixed": 0.1, "calendar": "crypto"}
    cheap |= {"financing_long": 0.4, "financing_short": -0.2}
    received = ("calendar", "financing_short")  # what is received is no cost
    dear = {key: value if key in received else 3.0 * value for key, value in cheap.items()}
    found = {}
    for name, broker, costs in (("dear", dear, 1.0), ("told", cheap, np.repeat([1.0, 3.0], 2))):
        settings = make_settings(species={"qnetwork": {"hidden": [4]}, **FOREST}, broker=broker)
        tape = market_of(settings).tape
        first = int(tape.validation[0, 0])
        setups, networks = (dataclasses.replace(plan.rollouts[0], rules=settings.broker),), Panel(panel.traders[:1])
        ends = (np.full(4, end) for end in (first, first + 60))
        pieces = conduct(
            setups, networks, alone([0, 1] * 2, 2), tape, tape.features[None], *ends, costs=costs, piece=64
        )
        found[name] = jax.tree.map(lambda *leaves: np.concatenate(leaves), *(kept for _, kept in pieces))
    told, world = found["told"], found["dear"]
    np.testing.assert_allclose(told.equity[:, 2:], world.equity[:, 2:], rtol=2e-5)
    np.testing.assert_allclose(told.financing[:, 2:], world.financing[:, 2:], rtol=1e-3, atol=1e-3)
    for name in ("commission", "slippage"):
        paid = [
            getattr(which.fills, name)[:, :, lanes].sum() for which, lanes in ((told, slice(2, 4)), (world, slice(2)))
        ]
        assert paid[0] > 0
        np.testing.assert_allclose(*paid, rtol=1e-4)
    assert (told.equity[-1, :2] > told.equity[-1, 2:] + 1).all()  # and the same lanes at costs as they are do better


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"own": np.full((2, REGIMES), 4)}, "decider.own: from 4 to 4; right is 0 to 3"),
        ({"average": np.zeros((2, REGIMES), np.int32)}, "decider.average: from 0 to 0; right is 1 to 16"),
        ({"view": np.ones((2, REGIMES), np.int32)}, "decider.view: from 1 to 1; right is 0 to 0"),
        ({"weights": np.ones((2, REGIMES, 3))}, r"decider.weights: of shape \(2, 4, 3\); right is \(2, 4, 4\)"),
        ({"weights": np.full((2, REGIMES, BRAINS), np.nan)}, "right are finite weights"),
    ],
)
def test_deciders_that_do_not_fit_are_refused(
    market: Market, plan: Plan, panel: Panel, changes: dict[str, Any], said: str
) -> None:
    ends = (np.full(2, end) for end in (100, 200))
    with pytest.raises(ValueError, match=said):
        next(conduct(plan.rollouts, panel, alone([0, 1], **changes), market.tape, market.tape.features[None], *ends))


def test_impossible_costs_and_an_empty_panel_are_refused(market: Market, plan: Plan, panel: Panel) -> None:
    ends = [np.full(2, end) for end in (100, 200)]
    views = market.tape.features[None]
    with pytest.raises(ValueError, match="costs: -1"):
        next(conduct(plan.rollouts, panel, alone([0, 1]), market.tape, views, *ends, costs=-1.0))
    nobody = jax.tree.map(lambda leaf: leaf[:0], panel)
    with pytest.raises(ValueError, match="has no brains"):
        next(conduct(plan.rollouts, nobody, alone([0, 1]), market.tape, views, *ends))

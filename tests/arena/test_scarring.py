"""Scars: who is hurt, when it began, and that each of their effects has a switch of its own."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_worlds import founded, make_settings, market_of

from agents.exploration import ExplorationSettings
from agents.memory import MemorySettings
from agents.observation import input_quantiles
from agents.population import Population
from agents.scars import Scars, ScarSettings
from arena.fitness import harm
from arena.rollout import Rollout, Trader, roll_out
from arena.scarring import scar
from markets.tape import rules_at, window

pytestmark = pytest.mark.usefixtures("plainly_compiled")

BARS, COUNT = 24, 3
NOTHING = ScarSettings(
    enabled=True,
    count=COUNT,
    damage=False,
    memory=MemorySettings(enabled=False),
    explore=False,
    distrust=False,
    drawdown=0.001,
)
STILL = ExplorationSettings(enabled=False)


@dataclasses.dataclass
class World:
    """One island judged, and what the scars are made of."""

    population: Population
    trader: Trader
    setup: Rollout
    tape: Any
    first: Any
    severity: Any
    cause: Any
    trace: Any


@pytest.fixture(scope="module")
def world() -> World:
    settings = make_settings()
    market = market_of(settings)
    plan, state = founded(settings, market)
    own = jax.tree.map(lambda x: x[0], state.populations[0])
    trader = Trader(own.genome, own.genes, own.memory, jnp.zeros((plan.slots, 4)))
    setup, first = plan.rollouts[0], market.tape.train.rows[::60][:6]
    played = window(market.tape, first, BARS)
    run = jax.jit(lambda t: roll_out(setup, t, played, rules_at(setup.rules, market.tape, first), trace=True))
    tally, trace = run(trader)
    severity, cause = harm(tally, NOTHING.drawdown)
    assert (np.asarray(severity).max(1) > 0).sum() > COUNT, "more agents are harmed than can be scarred"
    return World(own, trader, setup, market.tape, first, severity, cause, jax.device_get(trace))


def hurt(world: World, settings: ScarSettings, exploration: ExplorationSettings = STILL) -> tuple[Population, Scars]:
    won = jnp.asarray(np.arange(len(world.severity)) % 2 == 0)
    run = jax.jit(
        lambda p: scar(
            p, world.trader, world.severity, world.cause, won, world.first, world.tape,
            input_quantiles(world.tape.quantiles[0]), BARS, jnp.uint32(1),
            jnp.int32(4), world.setup, settings, exploration,
        )
    )  # fmt: skip
    made: tuple[Population, Scars] = jax.device_get(run(world.population))
    return made


def changed(before: Any, after: Any) -> np.ndarray:
    """Which slots differ in any leaf."""
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
    return np.any([(np.asarray(a) != np.asarray(b)).reshape(len(b), -1).any(1) for a, b in pairs], axis=0)


@pytest.fixture(scope="module")
def damaged(world: World) -> tuple[Population, Scars]:
    return hurt(world, dataclasses.replace(NOTHING, damage=True))


def test_the_worst_harmed_are_scarred_by_their_worst_episode(world: World, damaged: Any) -> None:
    _, scars = damaged
    severity = np.asarray(world.severity)
    worst = np.argsort(-severity.max(1), kind="stable")[:COUNT]
    assert scars.made.all()
    np.testing.assert_array_equal(scars.slot, worst)
    np.testing.assert_array_equal(scars.id, np.asarray(world.population.id)[worst])
    np.testing.assert_array_equal(scars.episode, severity[worst].argmax(1))
    np.testing.assert_array_equal(scars.severity, severity[worst].max(1))


def test_the_onset_is_the_peak_before_the_deepest_fall(world: World, damaged: Any) -> None:
    _, scars = damaged
    for place, episode, row, regime in zip(scars.slot, scars.episode, scars.row, scars.regime, strict=True):
        equity = np.concatenate([[world.setup.rules.cash], world.trace.equity[:, place, episode]])
        bottom = int(np.argmax(1 - equity / np.maximum.accumulate(equity)))
        onset = int(np.argmax(equity[: bottom + 1]))
        assert row == int(world.first[episode]) + onset
        assert regime == int(world.tape.regime[row])


def test_damage_changes_brains_of_the_scarred_and_nothing_else(world: World, damaged: Any) -> None:
    after, scars = damaged
    scarred = np.isin(np.arange(len(world.severity)), scars.slot)
    np.testing.assert_array_equal(changed(world.population.genome, after.genome), scarred)
    for name in ("memory", "reputation", "epsilon", "genes", "standing"):
        assert not changed(getattr(world.population, name), getattr(after, name)).any(), name
    assert (scars.units.sum(1) >= 1).all()


def test_memory_keeps_the_market_at_the_onset_and_nothing_else_changes(world: World) -> None:
    after, scars = hurt(world, dataclasses.replace(NOTHING, memory=MemorySettings(enabled=True, moments=4)))
    scarred = np.isin(np.arange(len(world.severity)), scars.slot)
    np.testing.assert_array_equal(changed(world.population.memory, after.memory), scarred)
    np.testing.assert_array_equal(after.memory.weight[scars.slot, 0], scars.severity)
    np.testing.assert_array_equal(after.memory.features[scars.slot, 0], np.asarray(world.tape.features)[scars.row, 0])
    for name in ("genome", "reputation", "epsilon"):
        assert not changed(getattr(world.population, name), getattr(after, name)).any(), name
    assert (scars.units == 0).all()


def test_distrust_and_exploration_have_switches_of_their_own(world: World) -> None:
    """One program for both: each leaves its own mark and no other."""
    exploration = ExplorationSettings(step=0.0, scar=0.2, floor=0.0, ceiling=1.0)
    after, scars = hurt(world, dataclasses.replace(NOTHING, explore=True, distrust=True), exploration)
    raised = np.asarray(after.epsilon) - np.asarray(world.population.epsilon)
    want = np.zeros(len(raised))
    want[scars.slot] = 0.2 * scars.severity
    np.testing.assert_allclose(raised, want, atol=1e-6)
    failures = np.zeros_like(after.reputation.failure)
    failures[scars.slot, scars.regime] = world.setup.trust.worst * scars.severity
    np.testing.assert_allclose(after.reputation.failure, failures, rtol=1e-6)
    assert (after.reputation.blocks == 0).all()
    assert (after.reputation.success == 0).all()
    for name in ("genome", "memory"):
        assert not changed(getattr(world.population, name), getattr(after, name)).any(), name


def test_scars_that_are_off_leave_everything(world: World) -> None:
    after, scars = hurt(world, ScarSettings(enabled=False))
    assert scars.made.size == 0
    assert not changed(world.population, after).any()


def test_the_unharmed_are_never_scarred(world: World) -> None:
    calm = dataclasses.replace(world, severity=jnp.zeros_like(world.severity).at[2, 1].set(0.4))
    after, scars = hurt(calm, dataclasses.replace(NOTHING, damage=True))
    np.testing.assert_array_equal(scars.made, [True, False, False])
    assert (scars.units[1:] == 0).all()
    np.testing.assert_array_equal(np.flatnonzero(changed(world.population, after)), [2])

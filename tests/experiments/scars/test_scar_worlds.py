"""Scar worlds: schedules, signs and gaps as they are said to be, and what the house's broker pays in them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plainly import plainly

from agents.memory import forget
from arena.rollout import Trader, roll_out
from arena.tally import REGIMES
from experiments.scars.plan import Parts, ScarPlan, make_parts
from experiments.scars.worlds import (
    DRIFT,
    FEATURES,
    GAP,
    KINDS,
    NOWHERE,
    World,
    draw_schedule,
    draw_world,
    expected,
    presentations,
    tape_of,
)
from genomes.genes import Genes
from genomes.qnetwork import Layer, Network
from markets.tape import window

PLAN = ScarPlan(hidden=(4,))


def world_of(seed: int, kind: str, *, generations: int = 12, strength: float = 6.0, rare: bool = False) -> World:
    return draw_world(
        seed, kind, strength=strength, generations=generations, episodes=16, bars=128, crashes=4, rare=rare
    )


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_kinds_take_turns(seed: int) -> None:
    schedule = draw_schedule(np.random.default_rng(seed), 40, rare=False)
    assert sorted(schedule[:KINDS]) == list(range(KINDS))
    assert (schedule[KINDS:] == schedule[:-KINDS]).all()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_rare_kinds_come_back_after_4_to_12_generations(seed: int) -> None:
    schedule = draw_schedule(np.random.default_rng(seed), 60, rare=True)
    for kind in range(KINDS):
        times = np.flatnonzero(schedule == kind)
        assert times[0] < 2 * KINDS
        assert set(np.diff(times)) <= set(range(4, 13))
        assert 60 - times[-1] <= 12


def test_presentations_are_counted() -> None:
    assert presentations(np.asarray([2, NOWHERE, 0, 2, 2], np.int32)).tolist() == [1, 0, 1, 2, 3]


@pytest.mark.parametrize("rare", [False, True])
def test_gaps_and_signs_are_where_they_are_said_to_be(rare: bool) -> None:
    told, other = world_of(3, "P", rare=rare), world_of(3, "N", rare=rare)
    kind, gap = np.asarray(told.kind), np.asarray(told.gap)
    assert ((gap >= 0).sum(1) == np.where(kind >= 0, 4, 0)).all()
    assert ((gap == NOWHERE) | ((gap >= 32) & (gap <= 80))).all()
    assert (np.asarray(told.sign) == gap).all()
    ratio = np.asarray(told.opening)[..., 1:] / np.asarray(told.close)[..., :-1]
    at = np.arange(1, 129) == gap[..., None]
    np.testing.assert_allclose(ratio, np.where(at, GAP, 1.0), rtol=1e-5)
    returns = np.log(np.asarray(told.close) / np.asarray(told.opening))[..., 1:]
    assert np.abs(returns - 0.001).max() <= 0.012 + 1e-5

    same = ("opening", "close", "noise", "kind", "gap", "lean")
    assert all((getattr(told, name) == getattr(other, name)).all() for name in same)
    sign = np.asarray(other.sign)
    assert ((sign >= 0).sum(1) == (gap >= 0).sum(1)).all()
    for generation, episode in zip(*np.nonzero((sign >= 0) & (gap >= 0)), strict=True):
        bars = np.arange(sign[generation, episode] - 8, sign[generation, episode] - 1)
        assert bars.min() >= 0
        assert bars.max() < 128
        assert np.abs(bars - gap[generation, episode]).min() >= 24
    assert (sign != np.asarray(told.sign)).any()


def test_directions_are_orthonormal_and_shown_on_seven_bars() -> None:
    world = world_of(4, "P", strength=5.0)
    own = np.asarray(world.lean) / 5.0
    np.testing.assert_allclose(own @ own.T, np.eye(KINDS), atol=1e-6)
    tape, first = jax.jit(tape_of)(jax.tree.map(jnp.asarray, world), jnp.int32(2))
    lean = np.asarray(tape.features).reshape(16, 129, FEATURES) - world.noise[2]
    shown = np.asarray(lean @ own[world.kind[2]])
    for episode, gap in enumerate(np.asarray(world.gap[2])):
        bars = np.flatnonzero(np.abs(shown[episode]) > 1e-3)
        assert bars.tolist() == ([] if gap < 0 else list(range(gap - 8, gap - 1)))
        np.testing.assert_allclose(shown[episode, bars], 5.0, rtol=1e-4)
    assert np.asarray(first).tolist() == [129 * episode for episode in range(16)]


def brain(parts: Parts, directions: Any, *, heeds: bool) -> Network:
    """Always long; or flat where a bar leans more than half way in any of the four directions."""
    units = parts.species.units
    market = np.zeros((FEATURES, units), np.float32)
    if heeds:
        market[:, :KINDS] = np.asarray(directions).T
    weight = np.zeros((units, 3), np.float32)
    weight[:KINDS, 1] = -10.0 if heeds else 0.0
    leaves: dict[str, Any] = {
        "market": market,
        "account": np.zeros((4, units), np.float32),
        "bias": np.full(units, -3.0, np.float32),
        "hidden": (),
        "output": Layer(*map(jnp.asarray, (weight, np.asarray([0.0, 1.0, -1.0], np.float32)))),
    }
    return Network(**leaves)


@pytest.mark.parametrize(("heeds", "player", "ruin"), [(False, "long", 1.0), (True, "heeding", 0.0)])
def test_best_and_naive_play_earn_the_closed_form(heeds: bool, player: str, ruin: float) -> None:
    """Without any noise every window earns what its bars drift, less the gap for who is long."""
    parts = make_parts(PLAN, FEATURES)
    world = world_of(11, "P", generations=40)
    gap = np.asarray(world.gap)
    returns = np.full((*gap.shape, 128), DRIFT)
    falls = np.where(np.arange(1, 129) == gap[..., None], np.log(GAP), 0.0)
    after = np.cumsum(returns + falls, -1)
    begun = np.zeros((*gap.shape, 1))
    # Units are counted at the close before the gap: who is to hold all of his money again comes back a bar later.
    noise = np.zeros_like(world.noise)
    for generation, episode in zip(*np.nonzero(gap >= 0), strict=True):
        noise[generation, episode, gap[generation, episode] - 1] = world.lean[world.kind[generation]]
    quiet: dict[str, Any] = {
        "noise": noise,
        "close": np.exp(np.concatenate([begun, after], -1)).astype(np.float32),
        "opening": np.exp(np.concatenate([begun, after - returns], -1)).astype(np.float32),
    }
    world = world._replace(**quiet)
    one = jnp.ones(1)
    genome = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], brain(parts, world.lean / 6.0, heeds=heeds))
    trader = Trader(genome, Genes(*(one for _ in Genes._fields)), forget((1,), 4, FEATURES), jnp.zeros((1, REGIMES)))
    world = jax.tree.map(jnp.asarray, world)

    def of(generation: Any) -> tuple[Any, Any]:
        tape, first = tape_of(world, generation)
        tally, _ = roll_out(parts.rollout, trader, window(tape, first, 128), parts.rollout.rules)
        return tally.log_return[-1, 0], tally.ruined[0]

    with plainly():
        earned, ruined = map(np.asarray, jax.jit(lambda: jax.lax.map(of, jnp.arange(40)))())
    crash = gap >= 0
    assert ruined[crash].mean() == ruin
    assert ruined[~crash].sum() == 0
    drawn = DRIFT * (gap[crash].mean() - 56) / 4 * (not heeds)  # gaps come at bar 56 on average, not in each sample
    assert earned.mean() == pytest.approx(expected()[player] + drawn, abs=2e-5)

"""Scar worlds: schedules, signs and gaps as they are said to be, and what the house's broker pays in them."""

from typing import Any, NamedTuple

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
from experiments.scars.measures import WHOLE, Played, Record, measure
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


PLAYERS = ("long", "heeding", "shorting")


def brain(parts: Parts, directions: Any, player: str) -> Network:
    """Always long; or flat, or short, where a bar leans more than half way in any of the four directions."""
    units = parts.species.units
    market = np.zeros((FEATURES, units), np.float32)
    if player != "long":
        market[:, :KINDS] = np.asarray(directions).T
    weight = np.zeros((units, 3), np.float32)
    weight[:KINDS, 1] = 0.0 if player == "long" else -10.0
    weight[:KINDS, 2] = 10.0 if player == "shorting" else 0.0
    leaves: dict[str, Any] = {
        "market": market,
        "account": np.zeros((4, units), np.float32),
        "bias": np.full(units, -3.0, np.float32),
        "hidden": (),
        "output": Layer(weight, np.asarray([0.0, 1.0, -1.0], np.float32)),
    }
    return Network(**leaves)


class Season(NamedTuple):
    """What became of each player in each generation and window, and what is recorded of each alone."""

    log_return: np.ndarray
    ruined: np.ndarray
    crash: np.ndarray
    late: float
    """Bars by which gaps come later in this world than at bar 56, where they come on average."""
    records: list[Record]


@pytest.fixture(scope="module")
def season() -> Season:
    """Forty generations without any noise, in which every window earns what its bars drift, but for the gap."""
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
    count = len(PLAYERS)
    ones = jnp.ones(count)
    brains = [brain(parts, world.lean / 6.0, player) for player in PLAYERS]
    genome = jax.tree.map(lambda *leaves: jnp.stack(leaves), *brains)
    memory = forget((count,), 4, FEATURES)
    trader = Trader(genome, Genes(*(ones for _ in Genes._fields)), memory, jnp.zeros((count, REGIMES)))
    world = jax.tree.map(jnp.asarray, world)

    def of(generation: Any) -> tuple[Any, Any, Any]:
        tape, first = tape_of(world, generation)
        market = window(tape, first, 128)
        tally, trace = roll_out(parts.rollout, trader, market, parts.rollout.rules, trace=True)
        where = world.gap[generation]
        none = jnp.zeros(())

        def alone(player: int) -> Record:
            played = Played(none, none, none, none, tally.log_return[-1, player, None], tally.ruined[player, None])
            seen: Any = jax.tree.map(lambda leaf: leaf[:, player, None], trace)
            return measure(market, played, seen, where, (where != NOWHERE).astype(jnp.float32))

        return tally.log_return[-1], tally.ruined, [alone(player) for player in range(count)]

    with plainly():
        earned, ruined, records = jax.device_get(jax.jit(lambda: jax.lax.map(of, jnp.arange(40)))())
    return Season(earned, ruined, gap >= 0, gap[gap >= 0].mean() - 56, records)


@pytest.mark.parametrize(("player", "ruin"), [("long", 1.0), ("heeding", 0.0), ("shorting", 0.0)])
def test_naive_and_best_play_earn_the_closed_form(season: Season, player: str, ruin: float) -> None:
    own = PLAYERS.index(player)
    assert season.ruined[:, own][season.crash].mean() == ruin
    assert season.ruined[:, own][~season.crash].sum() == 0
    drawn = DRIFT * season.late / 4 * (player == "long")
    assert season.log_return[:, own].mean() == pytest.approx(expected()[player] + drawn, abs=2e-5)


@pytest.mark.parametrize(("player", "before", "ruin"), [("long", 1.0, 1.0), ("heeding", 0.0, 0.0)])
def test_ruin_and_exposure_of_known_players_are_recorded(
    season: Season, player: str, before: float, ruin: float
) -> None:
    record = season.records[PLAYERS.index(player)]
    assert record.faced.tolist() == [4.0] * 40
    assert record.places.tolist() == [48.0] * 40
    np.testing.assert_allclose(record.before / WHOLE / record.faced, before, atol=1e-3)
    np.testing.assert_allclose(record.place / WHOLE / record.places, 1.0, atol=1e-3)
    assert (record.ruined / record.faced).tolist() == [ruin] * 40
    assert record.ruined_calm.sum() == 0
    np.testing.assert_allclose(record.calm / WHOLE / record.quiet, DRIFT * 128, atol=1e-4)


def test_who_goes_short_on_the_sign_has_less_than_no_exposure(season: Season) -> None:
    record = season.records[PLAYERS.index("shorting")]
    assert (record.before / WHOLE / record.faced < -0.9).all()
    np.testing.assert_allclose(record.place / WHOLE / record.places, 1.0, atol=1e-3)

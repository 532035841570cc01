"""A life with learning: what an update is given, what is random in it, and that judged windows are acted in greedily.

The trajectory is put together a second time, in NumPy and from the trace of an ordinary roll-out.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_worlds import founded, make_settings, market_of

from agents.learning import Batch, LearningSettings, update
from arena.life import Chances, between_updates, draw_chances, explored, judged_windows, live
from arena.rollout import Rollout, Trader, roll_out
from arena.tally import of_windows
from markets.errors import UserError
from markets.tape import rules_at, window

pytestmark = pytest.mark.usefixtures("plainly_compiled")

BARS, EPISODES, AGENTS, STEPS, RUIN = 24, 8, 8, 2, 0.998
LEARNING = LearningSettings("lamarckian", every=BARS, batch=96, steps=STEPS, explored=0.5)
JUDGED = np.asarray([0, 1, 6, 7])


class World(NamedTuple):
    setup: Rollout
    trader: Trader
    optimiser: Any
    market: Any
    scale: Any
    chances: Chances
    life: Any
    """(trader, ε) → tally and what was learned, by one update at the end."""
    trace: Any
    tally: Any


@pytest.fixture(scope="module")
def world(plainly_compiled: None) -> World:
    settings = make_settings(learning={"inheritance": "lamarckian"}, broker={"ruin": RUIN})
    prepared = market_of(settings)
    plan, state = founded(settings, prepared)
    tape, setup = prepared.tape, plan.rollouts[0]
    own = jax.tree.map(lambda x: x[0], state.populations[0])
    trader = Trader(own.genome, own.genes, own.memory, jnp.zeros((AGENTS, 4)))
    first = tape.train.rows[jnp.linspace(0, len(tape.train.rows) - 1, EPISODES).astype(int)]
    market, rules = window(tape, first, BARS), rules_at(setup.rules, tape, first)
    chances = draw_chances(jnp.uint32(1), jnp.int32(2), jnp.int32(0), setup, LEARNING, BARS, EPISODES, 1)

    @jax.jit
    def life(trader: Trader, epsilon: jax.Array) -> Any:
        optimiser = own.learner.optimiser
        return live(setup, trader, epsilon, optimiser, market, rules, LEARNING, chances, tape.scale[0])

    tally, trace = jax.jit(lambda trader: roll_out(setup, trader, market, rules, trace=True))(trader)
    told = jax.device_get((market, tape.scale[0], chances))
    return World(setup, trader, own.learner.optimiser, *told, life, jax.device_get(trace), tally)


def test_an_update_is_given_what_was_seen_done_and_earned(world: World) -> None:
    _, learned = jax.device_get(world.life(world.trader, jnp.zeros(AGENTS)))  # ε of 0: nobody strays
    cash, bar, row = world.setup.rules.cash, world.chances.bar[0], world.chances.row[0]
    equity = np.concatenate([np.full((1, AGENTS, EPISODES), cash), world.trace.equity.astype(float)])
    alive = np.cumprod(equity >= RUIN * cash, axis=0)[:-1]  # at each decision
    assert 0 < alive[bar + STEPS, :, row].mean() < 1, "some accounts are ruined"
    discount = np.asarray(world.trader.genes.discount, float)
    reward = np.log(equity[1:] / equity[:-1]) / world.scale
    view = world.trace.view[:, :, :, 0]
    direction = world.trace.wanted[:, :, :, 0][bar, :, row].astype(int)
    batch = Batch(
        features=world.market.features[bar, row, 0][None],
        later=world.market.features[bar + STEPS, row, 0][None],
        view=view[bar, :, row],
        later_view=view[bar + STEPS, :, row],
        action=np.asarray([0, 1, 2])[direction],  # −1 is the last of neutral, buy, sell
        reward=(reward[bar, :, row] + discount * reward[bar + 1, :, row]).astype(np.float32),
        discount=(discount**STEPS * alive[bar + STEPS, :, row]).astype(np.float32),
        weight=alive[bar, :, row].astype(np.float32),
    )

    def one(genome: Any, optimiser: Any, batch: Batch, rate: Any) -> Any:
        return update(world.setup.species, genome, genome, optimiser, batch, rate, LEARNING)

    axes = Batch._make([None, None, 1, 1, 1, 1, 1, 1])
    trader, rate = world.trader, world.trader.genes.learning_rate
    genome, optimiser, lesson = jax.jit(jax.vmap(one, (0, 0, axes, 0)))(trader.genome, world.optimiser, batch, rate)
    np.testing.assert_allclose(learned.lesson.loss, lesson.loss, rtol=1e-4)
    np.testing.assert_allclose(learned.lesson.td_error, lesson.td_error, rtol=1e-4)
    assert np.ptp(lesson.loss) > 0
    for ours, theirs in zip(learned.optimiser.mu, optimiser.mu, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)
    for ours, theirs, moments in zip(*map(jax.tree.leaves, (learned.genome, genome, optimiser.mu)), strict=True):
        told = np.abs(moments) > 1e-4  # Adam's first step is a sign, which rounding may settle where there is no slope
        np.testing.assert_allclose(ours[told], theirs[told], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(learned.optimiser.count, 1)


def test_random_actions_are_learned_from_and_not_judged(world: World) -> None:
    greedy, strayed = (jax.device_get(world.life(world.trader, jnp.full(AGENTS, ε))) for ε in (0.0, 1.0))
    alone = jax.device_get(of_windows(world.tally, JUDGED))
    for tally in (greedy[0], strayed[0]):
        np.testing.assert_allclose(tally.log_return, alone.log_return, atol=2e-6)
        np.testing.assert_array_equal(tally.trades, alone.trades)
    assert (greedy[1].lesson.loss != strayed[1].lesson.loss).all()


def test_nobody_matters_to_what_another_learns(world: World) -> None:
    back = np.arange(AGENTS)[::-1]
    epsilon = jnp.linspace(0.0, 1.0, AGENTS)
    forth = jax.device_get(world.life(world.trader, epsilon))[1]
    other = jax.device_get(world.life(jax.tree.map(lambda x: x[back], world.trader), epsilon[back]))[1]
    for ours, theirs in zip(jax.tree.leaves(forth.lesson), jax.tree.leaves(other.lesson), strict=True):
        np.testing.assert_allclose(ours, theirs[back], rtol=1e-4)


def test_a_rate_next_to_nothing_moves_next_to_nothing(world: World) -> None:
    still = world.trader._replace(genes=world.trader.genes._replace(learning_rate=jnp.zeros(AGENTS)))
    learned = world.life(still, jnp.zeros(AGENTS))[1]
    jax.tree.map(np.testing.assert_array_equal, learned.genome, still.genome)
    moved = world.life(world.trader, jnp.zeros(AGENTS))[1].genome
    assert all(
        (np.asarray(a) != np.asarray(b)).any()
        for a, b in zip(*map(jax.tree.leaves, (moved, still.genome)), strict=True)
    )


@pytest.mark.parametrize("every", [24, 12, 8])
def test_only_what_has_been_decided_can_be_drawn(world: World, every: int) -> None:
    settings = LearningSettings("lamarckian", every=every, batch=500, steps=3, explored=0.25)
    drawn = [
        draw_chances(jnp.uint32(7), jnp.int32(now), jnp.int32(island), world.setup, settings, BARS, EPISODES, 2)
        for now, island in ((0, 0), (0, 0), (1, 0), (0, 1))
    ]
    first, same, *others = jax.device_get(drawn)
    jax.tree.map(np.testing.assert_array_equal, first, same)
    for other in others:
        assert (first.bar != other.bar).mean() > 0.5
        assert (first.chance[:, 3] != other.chance[:, 3]).all()
    decided = every * (1 + np.arange(BARS // every))[:, None]
    assert first.bar.shape == (BARS // every, 500)
    assert (first.bar >= 0).all()
    assert (first.bar + 3 < decided).all()
    assert (first.bar.max(1) == decided[:, 0] - 4).all(), "and all of that is"
    assert set(np.unique(first.row)) == set(range(2 * EPISODES))
    random = explored(EPISODES, settings)
    assert (first.chance[:, ~random] == 1).all()
    assert (first.chance[:, random] < 1).all()
    assert set(np.unique(first.direction)) == {-1.0, 0.0, 1.0}


@given(st.integers(4, 64), st.floats(0.0, 0.99))
def test_both_halves_have_as_many_judged_windows_and_one_at_least(half: int, share: float) -> None:
    settings = LearningSettings("lamarckian", explored=share)
    judged = judged_windows(2 * half, settings)
    first, second = judged[judged < half], judged[judged >= half]
    np.testing.assert_array_equal(first, np.arange(len(first)))
    np.testing.assert_array_equal(second, 2 * half - 1 - first[::-1])
    assert len(first) == max(half - np.ceil(share * half), 1)
    for strata in range(1, 5):  # which take turns among the windows
        of_each = np.bincount(judged % strata, minlength=strata) - np.bincount(np.arange(2 * half) % strata)
        assert np.ptp(of_each) <= 1, "no regime gives up two windows more than another"
    np.testing.assert_array_equal(
        judged_windows(2 * half, LearningSettings("none", explored=share)), np.arange(2 * half)
    )


@given(st.integers(1, 500), st.integers(1, 500))
def test_updates_part_a_window_evenly_and_come_no_later_than_asked(bars: int, every: int) -> None:
    found = between_updates(bars, LearningSettings("lamarckian", every=every))
    assert bars % found == 0
    assert found <= every
    assert all(bars % longer for longer in range(found + 1, min(bars, every) + 1))


def test_settings_say_what_leaves_nothing_to_learn_from_or_to_judge() -> None:
    own = {"inheritance": "baldwinian", "every": 5}  # brought down to 4, a divisor of 24
    assert make_settings(learning={**own, "steps": 3}).learning.enabled
    assert not make_settings(learning={**own, "steps": 4, "inheritance": "none"}).learning.enabled
    with pytest.raises(UserError, match=r"^learning.steps: 4 bars must be fewer than the 4 between updates"):
        make_settings(learning={**own, "steps": 4})
    few = {"episodes": 2}
    with pytest.raises(UserError, match=r"^episodes.episodes: 2 windows leave none to explore in"):
        make_settings(learning=own, episodes=few)
    assert make_settings(learning={**own, "explored": 0.0}, episodes=few).learning.enabled

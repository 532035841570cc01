"""The three markets for learning: what they pay, checked by another way of solving them, and their bars."""

import dataclasses
import itertools

import numpy as np
import pytest

from markets.bars import CLOSE, HIGH, LOW, OPEN
from markets.chains import Chain, follow, worth
from markets.errors import UserError
from markets.lessons import (
    FEATURE,
    LESSONS,
    LessonSettings,
    MomentumSettings,
    PrecursorSettings,
    ReversionSettings,
    lesson_of,
    lesson_paths,
)
from markets.oracle import EXPOSURES
from markets.settings import build
from markets.source import market_settings, supply

BEST = {"momentum": 0.00068, "reversion": 0.0004375, "precursor": 0.0001848}
"""ρ* as it is defined, to the digits that are given."""

OTHERS: list[LessonSettings] = [
    MomentumSettings(stay=0.9, step=0.001, cost=0.0015),
    MomentumSettings(stay=0.6, step=0.001, cost=0.001),  # not worth its cost
    ReversionSettings(cost=0.0),
    ReversionSettings(step=0.01, cost=0.004),  # the dearest
    PrecursorSettings(begin=1.0, chance=0.3),
    PrecursorSettings(jump=0.001, cost=0.00095),  # not worth its cost
]


def best_by_policy_iteration(chain: Chain) -> float:
    """The largest average reward a bar, by Howard's policy iteration on the chain with its periods broken.

    Staying put with probability 1/2 leaves every average reward as it is and makes the best chain converge.
    """
    states = len(chain.mean)
    reward = chain.mean[:, None, None] * EXPOSURES - chain.cost * np.abs(EXPOSURES - EXPOSURES[:, None])
    policy = np.broadcast_to(np.arange(3), (states, 3))
    here = np.arange(3 * states)
    for _ in range(100):
        steps = np.zeros((3 * states, 3 * states))
        for (state, held), taken in np.ndenumerate(policy):
            steps[3 * state + held, taken::3] = chain.steps[state]
        # Discounted so little that the average is all that counts, and what a start is worth beside it.
        fade = 1.0 - 1e-7
        earned = reward[here // 3, here % 3, policy.ravel()]
        value = np.linalg.solve(np.eye(3 * states) - fade * (0.5 * steps + 0.5 * np.eye(3 * states)), earned)
        later = chain.steps @ value.reshape(states, 3)
        options = reward + 0.5 * fade * later[:, None, :]
        better = options.argmax(-1)
        now = np.take_along_axis(options, policy[..., None], -1)[..., 0]
        improved = np.where(options.max(-1) > now + 1e-9, better, policy)
        if np.array_equal(improved, policy):
            return float((1.0 - fade) * value.mean())
        policy = improved
    raise AssertionError("policy iteration did not settle")


@pytest.mark.parametrize(("name", "best"), BEST.items())
def test_the_best_play_earns_what_is_written(name: str, best: float) -> None:
    lesson = lesson_of(LESSONS[name]())
    assert lesson.reward == pytest.approx(best, abs=5e-8)
    assert worth(lesson.chain, lesson.best) == pytest.approx(lesson.reward, rel=1e-12)


@pytest.mark.parametrize("settings", [*(kind() for kind in LESSONS.values()), *OTHERS], ids=str)
def test_no_table_earns_more(settings: LessonSettings) -> None:
    lesson = lesson_of(settings)
    assert worth(lesson.chain, lesson.best) == pytest.approx(lesson.reward, abs=1e-15)
    assert best_by_policy_iteration(lesson.chain) == pytest.approx(lesson.reward, abs=1e-8)


def test_of_all_tables_of_two_states_the_best_is_the_one_that_is_named() -> None:
    lesson = lesson_of(MomentumSettings())
    every = [np.array(table).reshape(2, 3) for table in itertools.product(EXPOSURES, repeat=6)]
    assert max(worth(lesson.chain, table) for table in every) == pytest.approx(lesson.reward, rel=1e-12)


def test_beyond_the_dearest_another_table_earns_more_and_the_cost_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"market\.cost: 0\.0009 must be at most 0\.4 of market\.step = 0\.002"
    ) as caught:
        build(ReversionSettings, {"cost": 0.0009}, "market")
    assert "\n" not in str(caught.value)
    lesson = lesson_of(ReversionSettings())
    dear = dataclasses.replace(lesson.chain, cost=0.0009)
    assert best_by_policy_iteration(dear) > worth(dear, lesson.best) + 1e-6


class TestWorth:
    """Average reward of a table on chains whose answer is plain."""

    two = Chain(np.array([-1.0, 1.0]), np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([-0.01, 0.03]), 0.004)

    def test_of_staying_flat_is_nothing(self) -> None:
        assert worth(self.two, np.zeros((2, 3))) == 0.0

    def test_a_chain_that_goes_round_counts_its_states_alike(self) -> None:
        sign = np.repeat(np.array([[-1.0], [1.0]]), 3, axis=1)
        assert worth(self.two, sign) == pytest.approx((0.01 + 0.03) / 2 - 2 * 0.004, rel=1e-12)

    def test_what_is_never_left_counts_as_often_as_it_is_entered(self) -> None:
        """Flat at the first state buys, at the second sells, and both keep: half of all starts end long."""
        table = np.array([[-1.0, 1.0, 1.0], [-1.0, -1.0, 1.0]])
        assert worth(self.two, table) == pytest.approx(0.0, abs=1e-15)
        uneven = np.array([[-1.0, 1.0, 1.0], [-1.0, 0.0, 1.0]])  # waits where it sold: all starts end long
        assert worth(self.two, uneven) == pytest.approx(0.01, rel=1e-12)

    def test_costs_on_the_way_to_a_class_do_not_count(self) -> None:
        long = np.ones((2, 3))
        assert worth(self.two, long) == pytest.approx(0.01, rel=1e-12)

    def test_it_is_what_a_long_walk_earns(self) -> None:
        lesson, rng = lesson_of(PrecursorSettings()), np.random.default_rng(4)
        table = rng.choice(EXPOSURES, lesson.best.shape)
        table[:, 1] = 1.0
        path = lesson_paths(PrecursorSettings(bars=150_000), 5)[0]
        taken = follow(table, path.state)
        mid = path.bars.mid
        gain = taken[:-1] * (mid[1:, CLOSE] / mid[1:, OPEN] - 1)
        paid = lesson.chain.cost * np.abs(np.diff(taken, prepend=0.0))[:-1]
        assert (gain - paid).mean() == pytest.approx(worth(lesson.chain, table), abs=2e-5)

    def test_another_shape_or_exposure_is_refused(self) -> None:
        for table in (np.zeros((3, 3)), np.full((2, 3), 0.5)):
            with pytest.raises(ValueError, match="expected a table"):
                worth(self.two, table)


@pytest.mark.parametrize("kind", LESSONS.values(), ids=list(LESSONS))
class TestBars:
    def test_a_bar_opens_at_the_close_before_and_has_no_wicks(self, kind: type[LessonSettings]) -> None:
        (path,) = lesson_paths(kind(bars=2_000), 1)
        mid = path.bars.mid
        np.testing.assert_array_equal(mid[1:, OPEN], mid[:-1, CLOSE])
        np.testing.assert_array_equal(mid[:, HIGH], mid[:, [OPEN, CLOSE]].max(1))
        np.testing.assert_array_equal(mid[:, LOW], mid[:, [OPEN, CLOSE]].min(1))
        cost = lesson_of(kind()).chain.cost
        np.testing.assert_allclose(path.bars.ask / mid - 1, cost, rtol=1e-9)
        np.testing.assert_allclose(1 - path.bars.bid / mid, cost, rtol=1e-9)

    def test_bars_are_drawn_from_the_chain(self, kind: type[LessonSettings]) -> None:
        (path,) = lesson_paths(kind(bars=40_000), 2)
        chain, mid = lesson_of(kind()).chain, path.bars.mid
        np.testing.assert_array_equal(path.bars.columns[FEATURE], chain.shown[path.state])
        now, after = path.state[:-1], path.state[1:]
        seen = np.zeros_like(chain.steps)
        np.add.at(seen, (now, after), 1)
        for state, count in enumerate(seen.sum(1)):
            assert count > 20
            error = np.sqrt(chain.steps[state] * (1 - chain.steps[state]) / count)
            assert np.all(np.abs(seen[state] / count - chain.steps[state]) <= 4.5 * error + 1e-12)
            returns = (mid[1:, CLOSE] / mid[1:, OPEN] - 1)[now == state]
            assert abs(returns.mean() - chain.mean[state]) <= 4.5 * returns.std() / np.sqrt(count) + 1e-12

    def test_the_oracle_earns_its_reward(self, kind: type[LessonSettings]) -> None:
        (path,) = lesson_paths(kind(bars=100_000), 3)
        lesson, mid = lesson_of(kind()), path.bars.mid
        taken = path.oracle
        earned = taken[:-1] * (mid[1:, CLOSE] / mid[1:, OPEN] - 1)
        paid = lesson.chain.cost * np.abs(np.diff(taken, prepend=0.0))[:-1]
        assert (earned - paid).mean() == pytest.approx(lesson.reward, rel=0.05)

    def test_a_longer_run_begins_with_the_bars_of_a_shorter_one(self, kind: type[LessonSettings]) -> None:
        short, long = lesson_paths(kind(bars=300), 4), lesson_paths(kind(bars=900, symbols=2), 4)
        np.testing.assert_array_equal(long[0].bars.bid[:300], short[0].bars.bid)
        np.testing.assert_array_equal(long[0].oracle[:300], short[0].oracle)
        assert not np.array_equal(long[1].bars.bid, long[0].bars.bid)
        assert not np.array_equal(lesson_paths(kind(bars=300), 5)[0].bars.bid, short[0].bars.bid)

    def test_it_is_a_market_with_an_oracle(self, kind: type[LessonSettings]) -> None:
        name = next(name for name, own in LESSONS.items() if own is kind)
        settings = market_settings({"name": name, "bars": 200, "symbols": 2})
        assert settings.made_up
        made, paths = supply(settings, 6), lesson_paths(kind(bars=200, symbols=2), 6)
        assert made.oracle is not None
        for bars, told, path in zip(made.bars, made.oracle, paths, strict=True):
            np.testing.assert_array_equal(bars.ask, path.bars.ask)
            np.testing.assert_array_equal(told, path.oracle)


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("momentum", {"stay": 1.0}, "market.stay: 1.0 must be below 1"),
        ("momentum", {"begin": 0.1}, "market.begin: unknown key"),
        ("precursor", {"begin": 0.0}, "market.begin: 0.0 must be above 0"),
        ("reversion", {"start": "soon"}, "market.start: 'soon' is not a date"),
        ("reversion", {"step": 0.05, "bars": 400_000}, "market.bars: over 400,000 bars prices run to zero or infinity"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(name: str, values: dict[str, object], says: str) -> None:
    with pytest.raises(UserError) as caught:
        supply(market_settings({"name": name, **values}), 0)
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)

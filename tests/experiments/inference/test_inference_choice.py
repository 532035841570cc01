"""Which rule a champion is to act by: the best on validation, if separate blocks say that it is better than as bred."""

import jax.numpy as jnp
import numpy as np
import pytest

from arena.archive import paired_t
from arena.schemas import REGIME_NAMES
from arena.tally import GROUPS
from experiments.inference.rules import PLAIN, RULES, Rule, rule_words
from experiments.inference.trying import Tried, best_of, paired

BLOCKS = 12
GROUP = "volatile_ranging"
PLACE = REGIME_NAMES.index(GROUP)
AS_BRED = RULES.index(PLAIN)


def made(returns: np.ndarray, trades: np.ndarray | None = None) -> Tried:
    """Results of a regime's champion; those of all blocks but the last count."""
    every = np.zeros((len(RULES), GROUPS, BLOCKS))
    every[:, PLACE] = returns
    bars = np.full((GROUPS, BLOCKS), 40)
    bars[PLACE, -1] = 3
    begun = np.ones((len(RULES), GROUPS), np.int64)
    if trades is not None:
        begun[:, PLACE] = trades
    return Tried(every, bars, begun)


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(-0.01, 0.001, (len(RULES), BLOCKS))


def test_there_are_as_many_settings_as_promised() -> None:
    assert len(RULES) == len(set(RULES)) == 320
    assert AS_BRED == 0


def test_t_is_that_of_the_archive() -> None:
    rng = np.random.default_rng(2)
    ours, theirs = rng.normal(size=(7, 9)), rng.normal(size=9)
    single = [jnp.asarray(results, jnp.float32) for results in (ours, np.broadcast_to(theirs, (7, 9)))]
    np.testing.assert_allclose(paired(ours, theirs), paired_t(*single, jnp.ones((7, 9), bool)), rtol=1e-4)
    np.testing.assert_array_equal(paired(ours[:, :1], theirs[:1]), 0)
    np.testing.assert_array_equal(
        paired(np.asarray([[2.0] * 9, [3.0] * 9, [1.0] * 9]), np.full(9, 2.0)), [0, np.inf, -np.inf]
    )
    np.testing.assert_array_equal(paired(ours[:, :0], theirs[:0]), 0)


def test_a_rule_that_is_better_in_most_blocks_is_chosen() -> None:
    returns = noise()
    returns[AS_BRED] = -0.01
    returns[77] = -0.002 + 0.003 * np.arange(BLOCKS) % 0.002
    place, t = best_of(made(returns), GROUP, least=16, t=1.0)
    assert place == 77
    assert t[77] > 1
    assert t[AS_BRED] == 0
    assert best_of(made(returns), GROUP, least=16, t=1e6)[0] == AS_BRED


def test_one_lucky_block_is_not_enough() -> None:
    returns = np.full((len(RULES), BLOCKS), -0.01)
    returns[77, 4] = 0.5
    place, t = best_of(made(returns), GROUP, least=16, t=1.0)
    assert place == AS_BRED
    assert 0 < t[77] <= 1 + 1e-9


def test_blocks_with_few_bars_of_the_regime_say_nothing() -> None:
    returns = np.full((len(RULES), BLOCKS), -0.01)
    returns[77, -1] = 1.0
    place, t = best_of(made(returns), GROUP, least=16, t=0.0)
    assert place == AS_BRED
    assert t[77] == 0


def test_a_rule_that_never_trades_is_not_chosen() -> None:
    returns = noise()
    returns[AS_BRED] = -0.01 - 1e-4 * np.arange(BLOCKS)
    returns[77] = 0.0
    trades = np.where(np.arange(len(RULES)) == 77, 0, 5)
    assert best_of(made(returns), GROUP, least=16, t=1.0)[0] == 77
    assert best_of(made(returns, trades), GROUP, least=16, t=1.0)[0] != 77
    assert best_of(made(returns, 0 * trades), GROUP, least=16, t=1.0)[0] == AS_BRED


def test_of_equal_ones_the_plain_rule_stays_and_then_the_first() -> None:
    returns = np.full((len(RULES), BLOCKS), -0.01)
    assert best_of(made(returns), GROUP, least=16, t=0.0)[0] == AS_BRED
    returns[[90, 40]] = np.linspace(-0.003, -0.002, BLOCKS)
    assert best_of(made(returns), GROUP, least=16, t=1.0)[0] == 40


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (PLAIN, "as bred"),
        (Rule("mean", 50, 4, 0.4), "mean of all, 50 bars back, over 4 bars, clearest 60 %"),
        (Rule("trust", None, 1, 0.9), "by trust, clearest 10 %"),
    ],
)
def test_rules_are_told_in_words(rule: Rule, words: str) -> None:
    assert rule_words(rule) == words

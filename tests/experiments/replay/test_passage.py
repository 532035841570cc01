"""The passage: one program for many bars and for one, whose bits are the same however bars are divided into calls."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.replay.passage import ACCOUNT, BLOCK, OUTCOME, Passage, outcome_of, rows_of
from experiments.replay.targets import Targets
from markets.account import Bar, Order, Outcome
from markets.bars import Bars
from markets.broker import open_account, step
from markets.rules import BrokerRules

RULES = BrokerRules(
    commission=1e-4, slippage=1e-5, maintenance=0.1, max_leverage=3.0, trailing=True, ruin=0.1, liquidation_fee=1e-3
)


def rows(bars: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(0.01 * rng.standard_normal(bars)))
    open = np.append(100.0, close[:-1])
    high, low = np.maximum(open, close) * 1.004, np.minimum(open, close) * 0.996
    time = np.datetime64("2020-01-01", "us") + np.arange(bars) * np.timedelta64(1, "h")
    quotes = Bars.from_mid("X", time, np.stack([open, high, low, close], axis=1), 0.02, np.full(bars, 3.0))
    targets = Targets(rng.choice([np.nan, -2.0, 0.0, 1.0], bars), np.full(bars, 0.02), np.full(bars, 0.03))
    return rows_of(quotes, targets, days=np.full(bars, 1 / 24), has_volume=True, closes=True)


def test_outcomes_are_laid_out_as_the_kernel_makes_them():
    number = jnp.zeros(1)
    bar = Bar(*[number + 1.0] * 11, last=jnp.zeros((), bool))
    made = jax.eval_shape(lambda: step(open_account(RULES, (), 1), Order(number, number, number), bar, RULES))
    laid: Outcome = outcome_of(np.zeros((5, OUTCOME)))
    assert jax.tree.structure(laid) == jax.tree.structure(made)
    for one, other in zip(jax.tree.leaves(laid), jax.tree.leaves(made), strict=True):
        assert one.shape == (5, *other.shape)
        assert one.dtype == (np.float64 if other.dtype == np.float32 else other.dtype)


@pytest.mark.parametrize("rules", [RULES, dataclasses.replace(RULES, maintenance=0.0, trailing=False)])
def test_bits_do_not_depend_on_how_bars_are_divided(rules: BrokerRules):
    met = rows(BLOCK + 200)
    passage = Passage(rules)
    whole = passage.through(passage.open(), met)
    assert len(np.unique(whole[:, 0])) > 100  # it trades
    for divided in (np.arange(1, 200), np.array([7, BLOCK, BLOCK + 3])):
        account, parts = passage.open(), []
        for part in np.split(met, divided):
            parts.append(passage.through(account, part))
            account = parts[-1][-1, :ACCOUNT]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_whether_the_end_closes_changes_nothing_before_it():
    met = rows(300)
    passage = Passage(RULES)
    closed = passage.through(passage.open(), met)
    met[-1, 11] = 0.0
    np.testing.assert_array_equal(passage.through(passage.open(), met)[:-1], closed[:-1])
    assert Passage(dataclasses.replace(RULES, close_at_end=False))._terms == passage._terms

"""Fitness from tallies, against NumPy written out."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from agents.population import Standing
from arena.fitness import (
    CASES,
    CAUSES,
    FitnessSettings,
    by_group,
    case_scores,
    excess_return,
    harm,
    judge,
    overall,
    shrunk,
    summarise,
)
from arena.tally import GROUPS, REGIMES, Tally, empty_tally, groups_of

pytestmark = pytest.mark.usefixtures("plainly_compiled")

AGENTS, EPISODES, BARS = 3, 6, 40


def played(seed: int = 0) -> tuple[Tally, np.ndarray, np.ndarray, np.ndarray]:
    """A tally made of known returns: returns [agents, episodes, bars], regimes [episodes, bars], exposures."""
    rng = np.random.default_rng(seed)
    returns = rng.normal(0, 0.01, (AGENTS, EPISODES, BARS))
    regime = rng.integers(0, REGIMES + 1, (EPISODES, BARS))
    regime[regime == 2] = 0  # one regime never comes
    exposure = rng.uniform(-1, 1, (AGENTS, EPISODES, BARS))
    groups = [*(regime == g for g in range(REGIMES)), regime < REGIMES]

    def total(values: np.ndarray) -> Any:
        return jnp.asarray(np.stack([(values * g).sum(-1) for g in groups]), jnp.float32)

    drawdown = np.zeros((GROUPS, AGENTS, EPISODES))
    for g, mask in enumerate(groups):
        curve = np.cumsum(returns * mask, -1)
        drawdown[g] = (np.maximum.accumulate(np.maximum(curve, 0.0), -1) - curve).max(-1)
    tally = empty_tally(AGENTS, EPISODES, 1)._replace(
        bars=total(np.ones_like(returns)),
        log_return=total(returns),
        square=total(returns**2),
        downside=total(np.minimum(returns, 0) ** 2),
        drawdown=jnp.asarray(drawdown, jnp.float32),
        exposure=total(exposure)[..., None],
    )
    return tally, returns, regime, exposure


def bars_of(regime: np.ndarray) -> Any:
    return groups_of(jnp.asarray(regime.T, jnp.int32)).sum(1)


@pytest.mark.parametrize("measure", ["log_return", "sharpe"])
def test_a_case_is_the_mean_of_its_regimes_bars_in_its_half(measure: Any) -> None:
    tally, returns, regime, _ = played()
    scores, valid = case_scores(tally, bars_of(regime), FitnessSettings(measure=measure, bars=20))
    assert scores.shape == (AGENTS, CASES)
    for half in range(2):
        episodes = slice(half * EPISODES // 2, (half + 1) * EPISODES // 2)
        for group in range(GROUPS):
            mask = regime[episodes] < REGIMES if group == REGIMES else regime[episodes] == group
            case = half * GROUPS + group
            assert bool(valid[case]) == (mask.sum() >= 20)
            for agent in range(AGENTS):
                own = returns[agent, episodes][mask]
                want = 0.0
                if len(own) > 1:
                    want = own.mean() / (own.std(ddof=1) if measure == "sharpe" else 1.0)
                np.testing.assert_allclose(scores[agent, case], want, rtol=2e-3, atol=1e-7)


def test_an_idle_agent_scores_zero_by_either_measure() -> None:
    _, _, regime, _ = played()
    for measure in ("log_return", "sharpe"):
        scores, _ = case_scores(empty_tally(1, EPISODES, 1), bars_of(regime), FitnessSettings(measure=measure, bars=2))
        np.testing.assert_array_equal(scores, 0.0)


def test_excess_is_above_holding_the_mean_exposure() -> None:
    tally, returns, regime, exposure = played(1)
    tally = tally._replace(square=tally.square.at[:, 2, 1].set(0.0))  # one flat block
    market = np.random.default_rng(9).normal(0, 0.01, (EPISODES, BARS))
    masks = np.stack([regime == g for g in range(REGIMES)] + [regime < REGIMES])
    gain = jnp.asarray((market * masks).sum(-1)[..., None], jnp.float32)
    least = 8
    excess = np.asarray(excess_return(tally, gain, bars_of(regime), least))
    assert excess.shape == (AGENTS, EPISODES, REGIMES)
    for agent in range(AGENTS):
        for episode in range(EPISODES):
            for group in range(REGIMES):
                mask = masks[group, episode]
                if mask.sum() < least or (agent, episode) == (2, 1):
                    assert np.isnan(excess[agent, episode, group])
                    continue
                held = exposure[agent, episode][mask].mean()
                want = (returns[agent, episode] - held * market[episode])[mask].sum()
                np.testing.assert_allclose(excess[agent, episode, group], want, rtol=1e-4, atol=1e-6)


def test_harm_is_how_far_the_drawdown_went_beyond_the_bound() -> None:
    depths = np.asarray([0.0, 0.05, 0.1, 0.19, 0.55, 1.0 - 1e-6])
    tally = empty_tally(1, EPISODES, 1)
    tally = tally._replace(drawdown=tally.drawdown.at[-1, 0].set(jnp.asarray(-np.log1p(-depths), jnp.float32)))
    severity, cause = harm(tally, 0.1)
    np.testing.assert_allclose(severity[0], [0, 0, 0, 0.1, 0.5, 1.0], atol=2e-6)
    assert [CAUSES[c] for c in np.asarray(cause[0])][3:] == ["drawdown"] * 3
    assert [CAUSES[c] for c in np.asarray(cause[0])][:2] == ["none"] * 2


def test_ruin_outweighs_liquidation_and_either_harms_without_a_drawdown() -> None:
    tally = empty_tally(1, 3, 1)._replace(
        liquidated=jnp.asarray([[1.0, 1.0, 0.0]]), ruined=jnp.asarray([[0.0, 1.0, 0.0]])
    )
    severity, cause = harm(tally, 0.1)
    assert [CAUSES[c] for c in np.asarray(cause[0])] == ["liquidation", "ruin", "none"]
    assert (np.asarray(severity[0, :2]) > 0).all()
    assert severity[0, 2] == 0


def test_standing_is_a_running_mean_that_forgets_beyond_the_horizon() -> None:
    settings = FitnessSettings(horizon=3)
    rng = np.random.default_rng(2)
    standing, mean, count = Standing.new((2,), CASES), np.zeros((2, CASES)), np.zeros((2, CASES))
    for _ in range(6):
        scores, valid = rng.normal(size=(2, CASES)), rng.uniform(size=CASES) > 0.3
        trades = rng.integers(0, 5, 2)
        standing = judge(
            standing, jnp.asarray(scores, jnp.float32), jnp.asarray(valid), jnp.asarray(trades, jnp.float32), settings
        )
        for case in np.flatnonzero(valid):
            count[:, case] = np.minimum(count[:, case] + 1, 3)
            mean[:, case] += (scores[:, case] - mean[:, case]) / count[:, case]
        np.testing.assert_allclose(standing.mean, mean, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(standing.generations, count)
        np.testing.assert_array_equal(standing.trades, trades)


def test_the_first_generations_within_the_horizon_weigh_alike() -> None:
    standing = Standing.new((1,), CASES)
    for score in (1.0, 2.0, 6.0):
        standing = judge(
            standing, jnp.full((1, CASES), score), jnp.ones(CASES, bool), jnp.ones(1), FitnessSettings(horizon=5)
        )
    np.testing.assert_allclose(standing.mean, 3.0, rtol=1e-6)


def test_young_standings_are_drawn_toward_the_islands_mean() -> None:
    generations = np.asarray([0.0, 1.0, 3.0, 5.0])
    mean = np.asarray([0.0, 4.0, -2.0, 1.0])
    standing = Standing(
        jnp.asarray(np.repeat(mean[:, None], CASES, 1), jnp.float32),
        jnp.asarray(np.repeat(generations[:, None], CASES, 1), jnp.float32),
        jnp.ones(4),
    )
    centre = mean[1:].mean()  # of those who have been judged
    want = [centre, *(centre + n / (n + 2.0) * (m - centre) for n, m in zip(generations[1:], mean[1:], strict=True))]
    scores = shrunk(standing, FitnessSettings(shrinkage=2.0))
    np.testing.assert_allclose(scores, np.repeat(np.asarray(want)[:, None], CASES, 1), rtol=1e-5)
    unshrunk = shrunk(standing, FitnessSettings(shrinkage=0.0))
    np.testing.assert_allclose(unshrunk[1:], np.repeat(mean[1:, None], CASES, 1), rtol=1e-5)


def test_group_and_overall_scores_are_means_of_the_halves() -> None:
    scores = jnp.arange(2 * CASES, dtype=jnp.float32).reshape(2, CASES)
    want = np.asarray(scores).reshape(2, 2, GROUPS).mean(1)
    np.testing.assert_allclose(by_group(scores), want)
    np.testing.assert_allclose(overall(scores), want[:, -1])


def test_bars_of_unknown_regime_count_nowhere() -> None:
    groups = np.asarray(groups_of(jnp.asarray([[0, 3], [4, 2]], jnp.int32)))
    assert groups.shape == (GROUPS, 2, 2)
    np.testing.assert_array_equal(groups[:, 1, 0], 0.0)
    np.testing.assert_array_equal(groups.sum(0), [[2.0, 2.0], [0.0, 2.0]])
    np.testing.assert_array_equal(groups[:, 1, 1], [0, 0, 1, 0, 1])


def test_an_episode_counts_where_it_has_bars() -> None:
    tally, _, regime, _ = played()
    stats = summarise(tally)
    np.testing.assert_array_equal(stats.episodes[0, :REGIMES], [(regime == g).any(1).sum() for g in range(REGIMES)])

"""The oracle: its check values, its optimality by another method, and what it earns on bars."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from scipy import optimize, sparse, stats

from markets.bars import CLOSE, OPEN
from markets.errors import UserError
from markets.oracle import EXPOSURES, NODES, Law, Oracle, mean_shape, oracle_targets, solve, stationary, theta_for_edge
from markets.synthetic import SyntheticPath, SyntheticSettings, law_of, oracle_exposures, oracle_of, simulate_paths

LAW = law_of(SyntheticSettings())
PLAIN = dataclasses.replace(LAW, scales=(1.0,), transition=((1.0,),), hours=(1.0,))
"""The same market with one volatility throughout."""

CHECK_VALUES = {2.0: 0.0435, 4.0: 0.0674, 6.0: 0.0887, 8.0: 0.1077}
"""θ by edge for c = 0.05, to four digits."""


@pytest.mark.parametrize(("edge", "theta"), CHECK_VALUES.items())
@pytest.mark.parametrize("law", [LAW, PLAIN], ids=["four states", "one volatility"])
def test_the_check_values_hold_to_four_digits(edge, theta, law):
    assert round(theta_for_edge(edge, law), 4) == theta
    assert solve(theta_for_edge(edge, law), law).sharpe == pytest.approx(edge, abs=1e-4)


def test_no_edge_is_no_mean_and_the_oracle_stays_flat():
    assert theta_for_edge(0.0, LAW) == 0.0
    oracle = solve(0.0, LAW)
    assert (oracle.reward, oracle.sharpe, oracle.turnover) == pytest.approx((0, 0, 0), abs=1e-9)
    z = np.linspace(-5, 5, 101)
    assert not oracle_targets(oracle, z, np.zeros(101, int)).any()


def test_an_edge_out_of_reach_is_refused():
    with pytest.raises(UserError, match=r"market\.edge: 300 is out of reach"):
        theta_for_edge(300.0, LAW)


def test_the_edge_grows_with_the_mean_and_shrinks_with_the_cost():
    by_mean = [solve(theta, PLAIN).sharpe for theta in (0.02, 0.04, 0.06, 0.1)]
    assert by_mean == sorted(by_mean)
    by_cost = [solve(0.05, dataclasses.replace(PLAIN, cost=cost)).sharpe for cost in (0.2, 0.1, 0.05, 0.0)]
    assert by_cost == sorted(by_cost)
    turnover = [solve(0.05, dataclasses.replace(PLAIN, cost=cost)).turnover for cost in (0.2, 0.1, 0.05, 0.0)]
    assert turnover == sorted(turnover)
    assert len({*by_mean, *by_cost, *turnover}) == 12


def test_without_cost_the_oracle_takes_the_sign_of_the_mean():
    law = dataclasses.replace(LAW, cost=0.0)
    oracle = solve(0.06, law)
    z = np.array([-2.5, -1.05, -0.95, -0.1, 0.1, 0.95, 1.05, 2.5])
    np.testing.assert_array_equal(oracle_targets(oracle, z, np.zeros(8, int)), np.sign(mean_shape(z)))


def test_a_mean_that_no_holding_time_pays_for_is_not_traded():
    oracle = solve(0.01, dataclasses.replace(PLAIN, cost=5.0))
    assert oracle.turnover == pytest.approx(0.0, abs=1e-9)
    assert oracle.sharpe == pytest.approx(0.0, abs=1e-6)


def test_longs_and_shorts_mirror_each_other():
    oracle = oracle_of(SyntheticSettings(edge=4.0))
    rng = np.random.default_rng(0)
    z, state = rng.standard_normal(3_000), rng.integers(0, 4, 3_000)
    targets = oracle_targets(oracle, z, state)
    np.testing.assert_array_equal(oracle_targets(oracle, -z, state), -targets)
    assert set(targets.tolist()) <= set(EXPOSURES.tolist())


def test_what_is_held_is_kept_where_the_mean_is_too_small_to_pay_for_a_change():
    oracle = oracle_of(SyntheticSettings(edge=2.0))
    quiet, state = np.array([0.02]), np.array([1])
    assert oracle_targets(oracle, quiet, state, held=1.0)[0] == 1.0
    assert oracle_targets(oracle, quiet, state, held=-1.0)[0] == -1.0


def quadrature_steps(theta: float, law: Law) -> tuple[np.ndarray, np.ndarray]:
    """Transitions on the same grid from quantiles of scipy's Student's t, shared between the nearest nodes."""
    nodes = np.linspace(-4.5, 4.5, NODES)
    levels = (np.arange(20_000) + 0.5) / 20_000
    shock = stats.t.ppf(levels, law.tail) * math.sqrt((law.tail - 2) / law.tail)
    steps = np.zeros((NODES, NODES))
    for row, (z, f) in enumerate(zip(nodes, mean_shape(nodes), strict=True)):
        e = np.clip(theta * f + shock, -4, 4)
        after = np.clip(law.memory * z + math.sqrt(1 - law.memory**2) * e, nodes[0], nodes[-1])
        place = (after - nodes[0]) / (nodes[1] - nodes[0])
        left = np.minimum(place.astype(int), NODES - 2)
        np.add.at(steps[row], left, 1 - (place - left))
        np.add.at(steps[row], left + 1, place - left)
    return nodes, steps / len(levels)


@pytest.mark.parametrize("theta", [0.0435, 0.1077])
def test_no_policy_earns_more_by_linear_programming(theta):
    """The best average reward is that of the best stationary distribution over (z, held) and choices (Manne 1960)."""
    nodes, steps = quadrature_steps(theta, PLAIN)
    triples = list(itertools.product(range(NODES), range(3), range(3)))  # z, held, chosen
    f = mean_shape(nodes)
    gain = [theta * f[z] * EXPOSURES[y] - PLAIN.cost * abs(EXPOSURES[y] - EXPOSURES[x]) for z, x, y in triples]
    flow = np.zeros((3 * NODES, len(triples)))
    for column, (z, x, y) in enumerate(triples):
        flow[3 * z + x, column] += 1.0
        flow[y::3, column] -= steps[z]
    equal = sparse.csr_matrix(np.vstack([flow, np.ones(len(triples))]))
    wanted = np.append(np.zeros(3 * NODES), 1.0)
    best = optimize.linprog(-np.array(gain), A_eq=equal, b_eq=wanted, method="highs")
    assert solve(theta, PLAIN).reward == pytest.approx(-best.fun, rel=2e-3)


def test_a_stationary_distribution_stays_as_it_is():
    chain = np.array([[0.9, 0.1, 0.0], [0.3, 0.5, 0.2], [0.0, 0.6, 0.4]])
    weight = stationary(chain)
    np.testing.assert_allclose(weight @ chain, weight, atol=1e-12)
    assert weight.sum() == pytest.approx(1.0)


def earned(path: SyntheticPath, exposure: np.ndarray, cost: float) -> tuple[np.ndarray, np.ndarray]:
    """Simple returns of bars 1… at an exposure decided at the close before and filled at the open, after costs.

    Returns:
        The returns as they come, and in units of σ_t.
    """
    mid, sigma = path.bars.mid, path.sigma[:-1]
    before, opened, close = mid[:-1, CLOSE], mid[1:, OPEN], mid[1:, CLOSE]
    held = np.concatenate([[0.0], exposure[:-2]])
    asked = exposure[:-1]
    gain = held * (opened - before) + asked * (close - opened)
    returns = gain / before - cost * sigma * np.abs(asked - held)
    return returns, returns / sigma


def sharpe(returns: np.ndarray) -> float:
    return float(returns.mean() / returns.std() * math.sqrt(LAW.periods))


def realised(oracle: Oracle, settings: SyntheticSettings, seed: int) -> tuple[float, float, float, float]:
    """Sharpe ratio in units of σ, as it comes, its standard error, and turnover, on bars."""
    parts, turnover = [], []
    for path in simulate_paths(settings, seed):
        exposure = oracle_targets(oracle, path.z, path.state)
        parts.append(earned(path, exposure, settings.cost))
        turnover.append(np.abs(np.diff(exposure)).mean())
    plain, scaled = (np.concatenate(column) for column in zip(*parts, strict=True))
    return sharpe(scaled), sharpe(plain), math.sqrt(LAW.periods / len(plain)), float(np.mean(turnover))


@pytest.mark.slow
@pytest.mark.parametrize("edge", [2.0, 8.0])
def test_on_bars_the_oracle_earns_its_edge_after_costs(edge):
    settings = SyntheticSettings(bars=100_000, symbols=10, edge=edge)
    oracle = oracle_of(settings)
    scaled, plain, error, turnover = realised(oracle, settings, 17)
    assert abs(scaled - edge) < 3 * error
    assert abs(plain - oracle.plain_sharpe) < 3 * error
    assert turnover == pytest.approx(oracle.turnover, rel=0.05)
    assert 0.95 * edge <= oracle.plain_sharpe <= edge


def test_on_bars_no_simple_rule_beats_the_oracle():
    settings = SyntheticSettings(bars=60_000, symbols=2, edge=4.0)
    for path in simulate_paths(settings, 5):
        f = np.where(np.abs(path.z) > 1, np.sign(path.z), -np.sign(path.z))
        best = sharpe(earned(path, oracle_exposures(settings, path), settings.cost)[1])
        others = (f, np.sign(path.z), -np.sign(path.z), np.ones(len(f)), -np.ones(len(f)))
        scores = [sharpe(earned(path, exposure, settings.cost)[1]) for exposure in others]
        assert best > max(scores) + 0.3


def test_the_oracle_knows_only_what_is_known_at_the_close():
    settings = SyntheticSettings(bars=600, edge=4.0)
    longer = dataclasses.replace(settings, bars=900)
    short, long = (simulate_paths(each, 2)[0] for each in (settings, longer))
    np.testing.assert_array_equal(oracle_exposures(settings, short), oracle_exposures(longer, long)[:600])

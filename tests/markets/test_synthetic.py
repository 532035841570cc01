"""The synthetic market follows its definition: martingales, wicks, volatility, tails, costs, and an edge's mean."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import special, stats

from markets.bars import CLOSE, HIGH, LOW, OPEN
from markets.errors import UserError
from markets.oracle import mean_shape, theta_for_edge
from markets.settings import build
from markets.synthetic import STATES, SyntheticPath, SyntheticSettings, law_of, simulate, simulate_paths

SIGNIFICANT = 4.5
"""Standard errors; a test that looks at tens of numbers cries wolf once in thousands."""

STEADY = SyntheticSettings(
    bars=60_000, scales=(1.0, 1.0, 1.0, 1.0), day=0.0, tail=1e7, volatility=0.003, gap=0.1, cost=0.0
)
"""One volatility throughout, so that the variance inside every bar is known."""


def shocks(path: SyntheticPath) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns of bars 1… in units of σ: to the open, from the open to the close, and the whole."""
    mid, sigma = path.bars.mid, path.sigma[:-1]
    before = mid[:-1, CLOSE]
    gap = mid[1:, OPEN] / before - 1
    inside = mid[1:, CLOSE] / mid[1:, OPEN] - 1
    return gap / sigma, inside / sigma, (mid[1:, CLOSE] / before - 1) / sigma


def standard_errors(sample: np.ndarray) -> float:
    """How many standard errors the mean is away from zero."""
    return float(sample.mean() / sample.std() * math.sqrt(len(sample)))


def test_the_same_seed_gives_the_same_bars_and_another_seed_others():
    settings = SyntheticSettings(bars=300, symbols=2, edge=4.0)
    first, again, other = (simulate(settings, seed) for seed in (5, 5, 6))
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a.bid, b.bid)
        np.testing.assert_array_equal(a.ask, b.ask)
        assert not np.array_equal(a.bid, c.bid)


def test_longer_runs_with_more_symbols_begin_with_the_same_bars():
    short = simulate_paths(SyntheticSettings(bars=200, symbols=1, edge=4.0), 3)[0]
    long = simulate_paths(SyntheticSettings(bars=900, symbols=12, edge=4.0), 3)[0]
    np.testing.assert_array_equal(short.bars.ask, long.bars.ask[:200])
    np.testing.assert_array_equal(short.bars.time, long.bars.time[:200])
    np.testing.assert_array_equal(short.z, long.z[:200])
    np.testing.assert_array_equal(short.sigma, long.sigma[:200])


def test_symbols_are_named_apart_and_move_independently():
    settings = SyntheticSettings(bars=20_000, symbols=3)
    bars = simulate(settings, 0)
    assert [b.symbol for b in bars] == ["SYN1", "SYN2", "SYN3"]
    returns = np.array([np.diff(np.log(b.mid[:, CLOSE])) for b in bars])
    assert np.abs(np.corrcoef(returns) - np.eye(3)).max() < 4 / math.sqrt(settings.bars)


def test_bars_follow_each_other_day_and_night():
    bars = simulate(SyntheticSettings(bars=24 * 9, start="2020-02-26"), 1)[0]
    assert bars.time[0] == np.datetime64("2020-02-26T00:00")
    assert np.all(np.diff(bars.time) == np.timedelta64(1, "h"))
    quick = simulate(SyntheticSettings(bars=50, bar_minutes=15), 1)[0]
    assert np.all(np.diff(quick.time) == np.timedelta64(15, "m"))


@pytest.mark.parametrize("edge", [0.0, 8.0])
def test_high_and_low_enclose_open_and_close_on_both_sides(edge):
    bars = simulate(SyntheticSettings(bars=20_000, edge=edge), 2)[0]
    for side in (bars.bid, bars.ask):
        assert np.all(side[:, HIGH] >= side[:, [OPEN, CLOSE]].max(axis=1))
        assert np.all(side[:, LOW] <= side[:, [OPEN, CLOSE]].min(axis=1))
    assert np.all(bars.bid > 0)
    assert not bars.has_volume


def test_half_the_spread_is_the_cost_times_the_volatility_known_before_times_the_close_before():
    settings = SyntheticSettings(bars=500, cost=0.08)
    path = simulate_paths(settings, 4)[0]
    half = 0.5 * (path.bars.ask - path.bars.bid)[1:]
    wanted = 0.08 * path.sigma[:-1] * path.bars.mid[:-1, CLOSE]
    np.testing.assert_allclose(half, np.repeat(wanted[:, None], 4, axis=1), rtol=1e-9)


def test_volatility_is_base_times_state_times_hour():
    settings = SyntheticSettings(bars=2_000, volatility=0.002, scales=(0.5, 1.0, 2.0, 4.0), day=0.3)
    path = simulate_paths(settings, 9)[0]
    next_hour = (path.bars.time.astype("datetime64[h]").astype(int) + 1) % 24
    hour_factor = 1 + 0.3 * np.cos(2 * np.pi * (next_hour - 14) / 24)
    np.testing.assert_allclose(path.sigma, 0.002 * np.array(settings.scales)[path.state] * hour_factor, rtol=1e-12)
    assert set(path.state.tolist()) == set(range(len(STATES)))


FAIR = SyntheticSettings(bars=50_000, symbols=8)
PAYING = dataclasses.replace(FAIR, edge=8.0)


@pytest.fixture(scope="module")
def paths():
    return simulate_paths(FAIR, 11)


@pytest.fixture(scope="module")
def fair(paths):
    """Gap, inside and whole shocks, with z and state known before, over all symbols."""
    parts = [(*shocks(p), p.z[:-1], p.state[:-1]) for p in paths]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


@pytest.fixture(scope="module")
def paying():
    """The same of a market with an edge, with z and the mean known before, in units of σ."""
    parts = [(*shocks(p), p.z[:-1], (p.mean / p.sigma)[:-1]) for p in simulate_paths(PAYING, 13)]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


@pytest.fixture(scope="module")
def inside():
    """d, ln(H/O), ln(O/L) of each bar where volatility is steady."""
    mid = np.log(simulate(STEADY, 21)[0].mid)
    return mid[:, CLOSE] - mid[:, OPEN], mid[:, HIGH] - mid[:, OPEN], mid[:, OPEN] - mid[:, LOW]


class TestWithoutAnEdge:
    """Edge 0: open and path are martingales, whatever one conditions on."""

    def test_the_mean_is_zero(self, paths):
        assert all(np.all(path.mean == 0.0) for path in paths)

    def test_open_and_close_are_fair(self, fair):
        for sample in fair[:3]:
            assert abs(standard_errors(sample)) < SIGNIFICANT

    def test_they_are_fair_in_every_state_and_for_every_z(self, fair):
        gap, inside, whole, z, state = fair
        for sample in (gap, inside, whole):
            for k in range(len(STATES)):
                assert abs(standard_errors(sample[state == k])) < SIGNIFICANT
            for low, high in zip((-9, -2, -1, -0.5, 0, 0.5, 1, 2), (-2, -1, -0.5, 0, 0.5, 1, 2, 9), strict=True):
                assert abs(standard_errors(sample[(z > low) & (z <= high)])) < SIGNIFICANT

    def test_the_gap_says_nothing_about_the_path_after_it(self, fair):
        gap, inside = fair[:2]
        assert abs(standard_errors(np.sign(gap) * inside)) < SIGNIFICANT
        # Both share V, so that their sizes go together although their signs do not.
        assert np.corrcoef(np.abs(gap), np.abs(inside))[0, 1] > 0.1

    def test_returns_are_students_t_of_unit_variance(self, fair):
        nu = FAIR.tail
        unit = math.sqrt(nu / (nu - 2))
        # Simple returns, σ small: the distribution of the logarithm to first order.
        sample = fair[2][::7]
        assert stats.kstest(sample * unit, stats.t(nu).cdf).pvalue > 1e-3
        assert stats.kstest(fair[0][::7] * unit / math.sqrt(FAIR.gap), stats.t(nu).cdf).pvalue > 1e-3
        assert stats.kstest(fair[2] * unit, stats.t(nu + 2).cdf).pvalue < 1e-6

    def test_volatility_clusters(self, paths):
        for path in paths[:3]:
            size = np.abs(shocks(path)[2] * path.sigma[:-1])
            size = np.minimum(size, np.quantile(size, 0.99))
            lagged = [np.corrcoef(size[k:], size[:-k])[0, 1] for k in (1, 6)]
            assert min(lagged) * math.sqrt(len(size)) > SIGNIFICANT
            calm = np.abs(shocks(path)[2])
            assert abs(np.corrcoef(calm[1:], calm[:-1])[0, 1]) * math.sqrt(len(calm)) < SIGNIFICANT

    def test_states_are_as_frequent_and_last_as_long_as_the_chain_says(self, paths):
        state = np.stack([p.state for p in paths])
        frequency = np.bincount(state.ravel(), minlength=4) / state.size
        np.testing.assert_allclose(frequency, np.array([1, 2, 2, 1]) / 6, atol=0.03)
        steps = state[:, 1:].astype(int) - state[:, :-1]
        assert np.abs(steps).max() == 1
        stays = np.mean(steps == 0)
        assert abs(stays - FAIR.stay) < SIGNIFICANT * math.sqrt(0.02 * 0.98 / steps.size)

    def test_z_is_what_a_trader_can_see_in_past_bars(self, paths):
        path, memory = paths[0], FAIR.memory
        seen, now = [], 0.0
        for shock in shocks(path)[2]:
            now = memory * now + math.sqrt(1 - memory**2) * min(max(shock, -4.0), 4.0)
            seen.append(now)
        # What was before the first bar is forgotten as λ^n.
        np.testing.assert_allclose(path.z[1:][400:], seen[400:], atol=1e-7)


def test_simple_returns_are_fair_not_logarithms():
    """At 5 % a bar the drift of −½ of the variance, in the gap and after it, is many standard errors large."""
    settings = dataclasses.replace(STEADY, volatility=0.05, gap=0.5, bars=200_000)
    for sample in shocks(simulate_paths(settings, 6)[0]):
        assert abs(standard_errors(sample)) < SIGNIFICANT
        assert standard_errors(np.log1p(0.05 * sample)) < -SIGNIFICANT


def test_fewer_degrees_of_freedom_are_fatter_tails():
    """Excess kurtosis of Student's t is 6/(ν − 4); steady volatility leaves nothing else."""
    settings = dataclasses.replace(STEADY, tail=12.0, bars=400_000, volatility=0.0005)
    shock = shocks(simulate_paths(settings, 1)[0])[2]
    assert stats.kurtosis(shock) == pytest.approx(6 / 8, abs=0.1)
    assert shock.var() == pytest.approx(1.0, abs=0.01)
    thin = dataclasses.replace(settings, tail=1e7)
    assert stats.kurtosis(shocks(simulate_paths(thin, 1)[0])[2]) == pytest.approx(0.0, abs=0.04)


class TestWicks:
    """High and low are the extremes of a Brownian bridge; known in closed form where w is."""

    w = (1 - STEADY.gap) * STEADY.volatility**2

    def test_given_the_ends_a_level_is_reached_with_the_bridge_probability(self, inside):
        """P(max ≥ b | d) = exp(−2b(b − d)/w), so that this of the extreme itself is uniform."""
        d, up, down = inside
        assert stats.kstest(np.exp(-2 * up * (up - d) / self.w), "uniform").pvalue > 1e-3
        assert stats.kstest(np.exp(-2 * down * (down + d) / self.w), "uniform").pvalue > 1e-3

    @pytest.mark.parametrize("level", [0.3, 1.0, 2.0])
    def test_a_level_is_reached_as_often_as_by_a_brownian_path(self, inside, level):
        """Reflection principle with drift −w/2, in logarithms; what happens to a stop or a target."""
        _, up, down = inside
        root = math.sqrt(self.w)
        b = level * root
        for reached, drift in ((up >= b, -0.5 * self.w), (down >= b, 0.5 * self.w)):
            wanted = special.ndtr((drift - b) / root) + math.exp(2 * drift * b / self.w) * special.ndtr(
                (-drift - b) / root
            )
            error = math.sqrt(wanted * (1 - wanted) / len(reached))
            assert abs(reached.mean() - wanted) < SIGNIFICANT * error

    def test_a_stop_or_a_target_at_its_level_is_a_fair_bet(self):
        """Optional stopping, with fat tails and changing volatility: out at the level, else at the close."""
        mids = [bars.mid for bars in simulate(SyntheticSettings(bars=50_000, symbols=4), 8)]
        mid = np.concatenate(mids)
        opened, close = mid[:, OPEN], mid[:, CLOSE]
        for distance in (0.0005, 0.001, 0.003):
            below, above = 1 - distance, 1 + distance
            stopped = np.where(mid[:, LOW] <= opened * below, below, close / opened) - 1
            taken = np.where(mid[:, HIGH] > opened * above, above, close / opened) - 1
            assert abs(standard_errors(stopped)) < SIGNIFICANT
            assert abs(standard_errors(taken)) < SIGNIFICANT
            # The same bars with wicks cut short would pay whoever sets a stop.
            short = np.where(np.minimum(opened, close) <= opened * below, below, close / opened) - 1
            assert standard_errors(short) > 2 * SIGNIFICANT


class TestWithAnEdge:
    def test_the_known_mean_is_theta_times_f(self, paying):
        _, _, _, z, mean = paying
        theta = theta_for_edge(8.0, law_of(PAYING))
        f = np.where(np.abs(z) > 1, np.clip(z, -2, 2), -z)
        np.testing.assert_allclose(mean, theta * f, rtol=1e-9, atol=1e-15)
        np.testing.assert_array_equal(mean_shape(np.array([-3.0, -1.5, -0.5, 1.0, 1.5])), [-2.0, -1.5, 0.5, -1.0, 1.5])

    def test_the_mean_lies_after_the_open(self, paying):
        gap, inside, whole, _, mean = paying
        assert abs(standard_errors(gap * np.sign(mean))) < SIGNIFICANT
        for part in (inside, whole):
            assert abs(standard_errors(part - mean)) < SIGNIFICANT
            slope = np.sum(part * mean) / np.sum(mean * mean)
            assert slope == pytest.approx(1.0, abs=SIGNIFICANT / math.sqrt(np.sum(mean * mean)))

    def test_it_holds_for_every_z(self, paying):
        _, _, whole, z, mean = paying
        for low in np.arange(-3.0, 3.0, 0.5):
            chosen = (z > low) & (z <= low + 0.5)
            assert abs(standard_errors((whole - mean)[chosen])) < SIGNIFICANT

    def test_only_the_edge_differs_from_a_market_without_one(self):
        """Same seed, same chance: the gap and the spread do not know of the edge."""
        fair = simulate_paths(dataclasses.replace(PAYING, edge=0.0, symbols=1, bars=5_000), 13)[0]
        paid = simulate_paths(dataclasses.replace(PAYING, symbols=1, bars=5_000), 13)[0]
        np.testing.assert_array_equal(fair.sigma, paid.sigma)
        np.testing.assert_allclose(shocks(fair)[0], shocks(paid)[0], atol=1e-9)
        ratio = (1 + shocks(paid)[1] * paid.sigma[:-1]) / (1 + shocks(fair)[1] * fair.sigma[:-1])
        np.testing.assert_allclose(ratio, 1 + paid.mean[:-1], rtol=1e-9)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"edge": -1}, "market.edge"),
        ({"bars": 0}, "market.bars"),
        ({"tail": 2.0}, "market.tail"),
        ({"gap": 1.0}, "market.gap"),
        ({"scales": [1.0, 1.0]}, "four states"),
        ({"start": "soon"}, "market.start: 'soon' is not a date"),
        ({"edge": 500.0}, "market.edge: 500 is out of reach"),
        ({"volatility": 0.05, "scales": [4.0] * 4, "bars": 60_000}, "market.volatility"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(values, words):
    with pytest.raises(UserError, match=words) as caught:
        simulate(build(SyntheticSettings, values, "market"), 0)
    assert "\n" not in str(caught.value)


def test_a_negative_seed_is_refused():
    with pytest.raises(UserError, match="seed"):
        simulate(SyntheticSettings(bars=10), -1)

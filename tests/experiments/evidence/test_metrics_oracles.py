"""Metrics against empyrical-reloaded and quantstats: equal to 1e-9, and where they define otherwise, exactly how.

docs/metrics.md tells the differences in words; each has its test here.
"""

import math
import warnings

import numpy as np
import pytest

from experiments.evidence.metrics import metrics

empyrical = pytest.importorskip("empyrical", reason="the [oracles] extra is not installed")
quantstats = pytest.importorskip("quantstats.stats", reason="the [oracles] extra is not installed")
pd = pytest.importorskip("pandas")

YEAR = 365.25 * 5 / 7
SAME = {"rel": 1e-9, "abs": 1e-12}


def record(seed: int, *, flat: float = 0.0) -> np.ndarray:
    """Days of skewed, fat-tailed returns, some of them flat."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(30, 700))
    returns = 0.01 * rng.standard_t(4, count) + 0.0005 * rng.standard_normal()
    returns[rng.random(count) < flat] = 0.0
    return np.clip(returns, -0.5, 0.5)


RECORDS = [record(seed, flat=flat) for seed in range(6) for flat in (0.0, 0.3)]
many = pytest.mark.parametrize("returns", RECORDS, ids=range(len(RECORDS)))


def series(returns: np.ndarray) -> object:
    return pd.Series(returns, pd.date_range("2020-01-01", periods=len(returns)))


def of(returns: np.ndarray, **more: object) -> dict[str, float | None]:
    return metrics(returns, periods_per_year=YEAR, **more)  # type: ignore[arg-type]


@many
def test_empyrical_agrees(returns: np.ndarray):
    found, year = of(returns), {"annualization": YEAR}
    theirs = {
        "total_return": empyrical.cum_returns_final(returns),
        "cagr": empyrical.annual_return(returns, **year),
        "volatility": empyrical.annual_volatility(returns, **year),
        "sharpe": empyrical.sharpe_ratio(returns, **year),
        "calmar": empyrical.calmar_ratio(returns, **year),
        "omega": empyrical.omega_ratio(returns),
        "tail_ratio": empyrical.tail_ratio(returns),
        "max_drawdown": -empyrical.max_drawdown(returns),
        "value_at_risk": -empyrical.value_at_risk(returns),
        "conditional_value_at_risk": -empyrical.conditional_value_at_risk(returns),
    }
    assert {name: found[name] for name in theirs} == pytest.approx(theirs, **SAME)


@many
def test_quantstats_agrees(returns: np.ndarray):
    found, days = of(returns), series(returns)
    theirs = {
        "total_return": quantstats.comp(days),
        "cagr": quantstats.cagr(days, periods=YEAR),
        "volatility": quantstats.volatility(days, periods=YEAR),
        "sharpe": quantstats.sharpe(days, periods=YEAR),
        "calmar": quantstats.calmar(days, periods=YEAR),
        "omega": quantstats.omega(days, periods=YEAR),
        "tail_ratio": quantstats.tail_ratio(days),
        "max_drawdown": -quantstats.max_drawdown(days),
        "ulcer": quantstats.ulcer_index(days),
    }
    assert {name: found[name] for name in theirs} == pytest.approx(theirs, **SAME)


@many
def test_quantstats_agrees_on_the_length_of_the_deepest_fall(returns: np.ndarray):
    days = series(np.append(0.01, returns))  # it finds no fall that begins on the first day
    spells = quantstats.drawdown_details(quantstats.to_drawdown_series(days))
    deepest = spells["days"][spells["max drawdown"].idxmin()]
    assert of(np.append(0.01, returns))["max_drawdown_days"] == deepest


def test_quantstats_counts_calendar_days_and_does_not_see_a_fall_from_the_first_day_to_the_last():
    returns = np.array([0.01, -0.02, 0.001, 0.001, 0.03])  # Thursday to Wednesday, under water from Friday to Tuesday
    days = pd.Series(returns, pd.bdate_range("2024-01-04", periods=5))
    assert quantstats.drawdown_details(quantstats.to_drawdown_series(days))["days"].tolist() == [5]
    assert of(returns)["max_drawdown_days"] == 3
    sinking = np.array([-0.02, 0.01, 0.005])
    assert quantstats.drawdown_details(quantstats.to_drawdown_series(series(sinking))).empty
    assert of(sinking)["max_drawdown_days"] == 3


@many
def test_sortino_differs_by_the_root_of_n_less_one_over_n(returns: np.ndarray):
    factor = math.sqrt((len(returns) - 1) / len(returns))
    ours = of(returns)["sortino"]
    assert ours == pytest.approx(factor * empyrical.sortino_ratio(returns, annualization=YEAR), **SAME)
    assert ours == pytest.approx(factor * quantstats.sortino(series(returns), periods=YEAR), **SAME)


@many
def test_quantstats_takes_value_at_risk_from_a_normal_distribution_and_counts_ties_into_the_tail(returns: np.ndarray):
    days, found = series(returns), of(returns)
    parametric = -(returns.mean() + returns.std(ddof=1) * -1.6448536269514722)
    assert -quantstats.value_at_risk(days) == pytest.approx(parametric, **SAME)
    assert abs(found["value_at_risk"] - parametric) > 1e-5
    historical = -quantstats.conditional_value_at_risk(days, method="historical")
    assert found["conditional_value_at_risk"] == pytest.approx(historical, **SAME), "no ties here"


def test_a_champion_that_is_mostly_flat_has_its_losses_counted_and_not_all_its_zeros():
    returns = np.zeros(101)
    returns[:3], returns[50] = -0.02, 0.05
    assert of(returns)["conditional_value_at_risk"] == pytest.approx(3 * 0.02 / 6)
    assert -empyrical.conditional_value_at_risk(returns) == pytest.approx(3 * 0.02 / 6)
    historical = -quantstats.conditional_value_at_risk(series(returns), method="historical")
    assert historical == pytest.approx(3 * 0.02 / 100)


@pytest.mark.parametrize("seed", range(4))
def test_quantstats_agrees_on_trades_taken_for_its_periods(seed: int):
    profits = np.random.default_rng(seed).normal(0.3, 1, 80)
    found, theirs = of(profits / 100, trades=profits), series(profits)
    assert found["win_rate"] == pytest.approx(quantstats.win_rate(theirs, prepare_returns=False), **SAME)
    assert found["profit_factor"] == pytest.approx(quantstats.profit_factor(theirs, prepare_returns=False), **SAME)


def test_a_trade_that_broke_even_is_no_win_here_and_not_counted_there():
    profits = np.array([1.0, 2.0, -1.0, 0.0])
    assert of(profits / 100, trades=profits)["win_rate"] == 2 / 4
    assert quantstats.win_rate(series(profits), prepare_returns=False) == 2 / 3


def test_what_is_undefined_here_is_infinite_missing_or_an_error_there():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        still, rising = np.full(9, 0.01), np.linspace(0.001, 0.009, 9)
        assert of(still)["sharpe"] is None
        assert empyrical.sharpe_ratio(still) == math.inf
        assert of(rising)["sortino"] is None
        assert empyrical.sortino_ratio(rising) == math.inf
        assert math.isnan(quantstats.sortino(series(rising)))
        assert of(rising)["calmar"] is None
        assert math.isnan(empyrical.calmar_ratio(rising))
        with pytest.raises(ZeroDivisionError):
            quantstats.calmar(series(rising))
        assert of(rising)["omega"] is None
        assert math.isnan(empyrical.omega_ratio(rising))
        assert math.isnan(quantstats.omega(series(rising)))
        assert of(rising, trades=rising)["profit_factor"] is None
        assert quantstats.profit_factor(series(rising)) == math.inf
        lost = np.array([0.1, -1.0, 0.0])
        assert of(lost)["cagr"] is None
        assert empyrical.annual_return(lost) == quantstats.cagr(series(lost)) == -1.0


def test_exposure_is_a_size_here_and_a_share_of_days_there():
    returns = np.array([0.01, 0.0, -0.01, 0.02, 0.0, 0.0])
    found = of(returns, positions=np.array([2.0, 0.0, -1.0, 1.0, 0.0, 0.0]))
    assert found["exposure"] == pytest.approx(4 / 6)
    assert quantstats.exposure(series(returns)) == 0.5


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")  # its beta, of a price that stands still
@pytest.mark.parametrize("seed", range(3))
def test_backtesting_agrees_on_the_system_quality_number(seed: int):
    stats = pytest.importorskip("backtesting._stats", reason="the [oracles] extra is not installed")
    rng = np.random.default_rng(seed)
    profits, count = rng.normal(5, 40, 30), 60
    index = pd.date_range("2020-01-01", periods=count)
    prices = pd.DataFrame(dict.fromkeys(("Open", "High", "Low", "Close"), np.full(count, 100.0)), index)
    trades = pd.DataFrame(
        {
            "Size": 1,
            "EntryBar": np.arange(30),
            "ExitBar": np.arange(30) + 1,
            "EntryPrice": 100.0,
            "ExitPrice": 100.0 + profits,
            "PnL": profits,
            "Commission": 0.0,
            "ReturnPct": profits / 1e4,
            "EntryTime": index[:30],
            "ExitTime": index[1:31],
        }
    )
    trades["Duration"] = trades["ExitTime"] - trades["EntryTime"]
    equity = 1e4 + np.append(np.zeros(count - 30), np.cumsum(profits))
    theirs = stats.compute_stats(trades, equity, prices, None)
    found = of(np.diff(equity) / equity[:-1], trades=profits)
    assert found["sqn"] == pytest.approx(theirs["SQN"], **SAME)
    assert 100 * found["win_rate"] == pytest.approx(theirs["Win Rate [%]"], **SAME)
    assert found["max_drawdown"] == pytest.approx(-theirs["Max. Drawdown [%]"] / 100, **SAME)

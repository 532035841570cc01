"""Metrics: closed forms by hand, what is undefined, and what must hold of any record."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from experiments.evidence.metrics import CONVENTIONS, SOURCES, metrics

NAMES = {
    *("total_return", "cagr", "volatility", "sharpe", "sortino", "calmar", "max_drawdown", "max_drawdown_days"),
    *("win_rate", "profit_factor", "expectancy", "sqn", "exposure", "turnover", "costs"),
    *("value_at_risk", "conditional_value_at_risk", "ulcer", "omega", "tail_ratio"),
}

records = hnp.arrays(np.float64, st.integers(3, 60), elements=st.integers(-90, 100).map(lambda n: n / 1000))
some = settings(max_examples=30, deadline=None)


def of(returns: object, **more: object) -> dict[str, float | None]:
    return metrics(np.asarray(returns, np.float64), **{"periods_per_year": 252.0, **more})  # type: ignore[arg-type]


def like(value: float | None) -> object:
    """None, or about the number."""
    return None if value is None else pytest.approx(value, rel=1e-9, abs=1e-12)


def test_every_metric_has_its_convention_and_its_source():
    assert list(of([0.1, -0.1])) == list(SOURCES)
    assert set(SOURCES) == NAMES
    assert set(CONVENTIONS) == {*NAMES, "returns", "null"}


def test_a_record_by_hand():
    found = of([0.5, -0.5, 0.2, -0.1, 0.6], periods_per_year=4.0)
    # equity 1, 1.5, 0.75, 0.9, 0.81, 1.296: under 1.5 from the second period to the end
    assert found["total_return"] == pytest.approx(0.296)
    assert found["cagr"] == pytest.approx(1.296 ** (4 / 5) - 1)
    mean, squares = 0.14, 0.36**2 + 0.64**2 + 0.06**2 + 0.24**2 + 0.46**2
    assert found["volatility"] == pytest.approx(2 * math.sqrt(squares / 4))
    assert found["sharpe"] == pytest.approx(2 * mean / math.sqrt(squares / 4))
    assert found["sortino"] == pytest.approx(2 * mean / math.sqrt((0.25 + 0.01) / 4))
    assert found["max_drawdown"] == pytest.approx(0.5)
    assert found["max_drawdown_days"] == 4
    assert found["calmar"] == pytest.approx((1.296 ** (4 / 5) - 1) / 0.5)
    assert found["ulcer"] == pytest.approx(math.sqrt((0.5**2 + 0.4**2 + 0.46**2 + 0.136**2) / 4))
    assert found["omega"] == pytest.approx(1.3 / 0.6)
    # sorted −0.5, −0.1, 0.2, 0.5, 0.6: a fifth of the way into the first gap, and so from above
    assert found["value_at_risk"] == pytest.approx(0.42)
    assert found["conditional_value_at_risk"] == pytest.approx(0.5)
    assert found["tail_ratio"] == pytest.approx(0.58 / 0.42)


def test_trades_by_hand():
    found = of([0.01, 0.02], trades=np.array([30.0, -10.0, 0.0, 20.0]))
    assert found["win_rate"] == 0.5
    assert found["profit_factor"] == 5.0
    assert found["expectancy"] == 10.0
    assert found["sqn"] == pytest.approx(2 * 10 / math.sqrt((400 + 400 + 100 + 100) / 3))


def test_what_an_account_did_by_hand():
    equity = np.array([100.0, 110.0, 99.0])
    found = of([0.1, -0.1], equity=equity, years=0.5, positions=np.array([1.0, -2.0, 0.0]), traded=600.0, paid=3.0)
    assert found["exposure"] == 1.0
    assert found["turnover"] == pytest.approx(600 / 103 / 0.5)
    assert found["costs"] == pytest.approx(0.03)
    assert found["cagr"] == pytest.approx(0.99**2 - 1)


def test_the_peak_of_a_drawdown_includes_the_starting_capital():
    found = of([-0.2, 0.1, -0.05])
    assert found["max_drawdown"] == pytest.approx(1 - 0.8)
    assert found["max_drawdown_days"] == 3


@pytest.mark.parametrize(
    ("returns", "periods"),
    [
        ([0.1, -0.5, 1.0, 0.1], 1),  # back exactly at its peak in the second period after the fall
        ([0.1, -0.5, 0.0, 1.5], 2),
        ([0.1, -0.1, 0.2, -0.5, -0.1, 0.2], 3),  # the deepest counts, not the first; it never ends
        ([0.5, -0.5, 1.0, 0.0, -0.5, 0.5], 1),  # the first of equals
        ([0.1, 0.2], 0),
    ],
)
def test_the_length_of_the_deepest_fall_is_the_periods_under_its_peak(returns: list[float], periods: int):
    assert of(returns)["max_drawdown_days"] == periods


def test_equity_given_decides_growth_and_falls_but_no_ratio_of_returns():
    returns = np.array([0.1, -0.1, 0.1])
    plain, given_ = of(returns), of(returns, equity=np.array([100.0, 110.0, 80.0, 120.0]))
    assert given_["total_return"] == pytest.approx(0.2)
    assert given_["max_drawdown"] == pytest.approx(3 / 11)
    assert {name for name in NAMES if plain[name] != given_[name]} == {
        "total_return",
        "cagr",
        "calmar",
        "max_drawdown",
        "max_drawdown_days",
        "ulcer",
    }


def test_what_is_undefined_is_none_and_never_zero_or_infinite():
    rising, still, nothing, one = of([0.1, 0.2, 0.3]), of(np.zeros(9)), of([]), of([0.1])
    assert {name for name, value in rising.items() if value is None} == {
        *("sortino", "calmar", "omega"),  # nothing was lost
        *("win_rate", "profit_factor", "expectancy", "sqn", "exposure", "turnover", "costs"),  # nothing was said
    }
    assert still["volatility"] == 0
    assert all(still[name] is None for name in ("sharpe", "sortino", "calmar", "omega", "tail_ratio"))
    assert still["value_at_risk"] == still["conditional_value_at_risk"] == still["max_drawdown"] == 0
    assert {name for name, value in nothing.items() if value is not None} == {
        *("total_return", "max_drawdown", "max_drawdown_days"),
    }
    assert one["volatility"] is None
    assert one["sharpe"] is None


def test_equal_returns_have_no_spread_though_their_mean_misses_them_by_a_digit():
    returns = np.full(7, 0.1)
    assert returns.std(ddof=1) > 0, "else this tests nothing"
    assert of(returns)["sharpe"] is None
    assert of(returns, trades=returns)["sqn"] is None
    assert of(returns)["volatility"] == 0


def test_trades_that_never_lost_have_no_profit_factor_and_none_at_all_have_nothing():
    won = of([0.1], trades=np.array([1.0, 2.0]))
    assert (won["win_rate"], won["profit_factor"]) == (1.0, None)
    none = of([0.1], trades=np.array([]))
    assert none["win_rate"] is None
    assert none["expectancy"] is None


def test_an_account_that_lost_all_has_no_growth_a_year():
    found = of([0.1, -1.0, 0.0])
    assert found["total_return"] == -1.0
    assert found["cagr"] is None
    assert found["max_drawdown"] == 1.0


def test_a_return_that_is_no_number_leaves_undefined_what_stands_on_it():
    assert all(value is None for value in of([0.1, math.nan, 0.2]).values())
    json.dumps(of([0.1, math.inf]), allow_nan=False)


def test_an_equity_that_does_not_fit_its_returns_is_refused():
    with pytest.raises(ValueError, match="equity of 2 moments with 2 returns"):
        of([0.1, 0.2], equity=np.array([1.0, 1.1]))


@some
@given(records)
def test_numbers_are_json_and_bounded(returns: np.ndarray):
    found = of(returns, trades=returns, positions=returns, traded=1.0, paid=1.0)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert 0 <= found["max_drawdown"] < 1
    assert 0 <= found["max_drawdown_days"] <= len(returns)
    assert (found["max_drawdown"] == 0) == (found["max_drawdown_days"] == 0)
    assert found["ulcer"] <= found["max_drawdown"] * math.sqrt(len(returns) / (len(returns) - 1)) + 1e-15
    assert found["conditional_value_at_risk"] >= found["value_at_risk"] - 1e-15
    assert 0 <= found["win_rate"] <= 1


@some
@given(records, st.randoms())
def test_the_order_of_returns_matters_to_falls_alone(returns: np.ndarray, random: object):
    shuffled = returns.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = of(returns), of(shuffled)
    for name in NAMES - {"max_drawdown", "max_drawdown_days", "ulcer", "calmar"}:
        assert one[name] == like(other[name]), name


@some
@given(records, st.sampled_from((0.25, 0.5, 2.0, 4.0)))
def test_ratios_do_not_depend_on_leverage_and_risks_are_proportional_to_it(returns: np.ndarray, leverage: float):
    one, other = of(returns, trades=returns), of(returns * leverage, trades=returns * leverage)
    for name in ("sharpe", "sortino", "omega", "tail_ratio", "win_rate", "profit_factor", "sqn"):
        assert other[name] == like(one[name]), name
    for name in ("volatility", "value_at_risk", "conditional_value_at_risk", "expectancy"):
        assert other[name] == like(one[name] * leverage), name


@some
@given(records)
def test_omega_exceeds_one_exactly_where_the_mean_is_above_zero(returns: np.ndarray):
    total, omega = math.fsum(returns.tolist()), of(returns)["omega"]
    if omega is not None and abs(total) > 1e-9:
        assert (omega > 1) == (total > 0)


@some
@given(records, records)
def test_growth_of_two_records_joined_is_that_of_both(first: np.ndarray, second: np.ndarray):
    both = of(np.concatenate([first, second]))
    grown = (1 + of(first)["total_return"]) * (1 + of(second)["total_return"])
    assert 1 + both["total_return"] == pytest.approx(grown)
    assert both["max_drawdown"] >= max(of(first)["max_drawdown"], of(second)["max_drawdown"]) - 1e-12


@some
@given(records)
def test_a_year_of_four_times_the_periods_doubles_what_goes_with_its_root(returns: np.ndarray):
    one, other = of(returns), of(returns, periods_per_year=4 * 252.0)
    for name in ("volatility", "sharpe", "sortino"):
        assert other[name] == like(None if one[name] is None else 2 * one[name])
    same = NAMES - {"volatility", "sharpe", "sortino", "cagr", "calmar", "turnover"}
    assert {name: one[name] for name in same} == {name: other[name] for name in same}

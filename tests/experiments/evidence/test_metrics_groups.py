"""A record by month and symbol: the groups are the record, and each row is the metrics of its own periods."""

import json

import numpy as np
import pytest

from experiments.evidence.groups import GROUPED, by_month, by_symbol
from experiments.evidence.metrics import metrics

YEAR = 252.0
RNG = np.random.default_rng(3)
DAY = np.datetime64("2023-11-20") + np.arange(60)
RETURNS = RNG.normal(0, 0.01, 60)


def test_months_are_the_record_taken_apart():
    rows = by_month(DAY, RETURNS, periods_per_year=YEAR)
    assert [row["month"] for row in rows] == ["2023-11", "2023-12", "2024-01"]
    assert [row["periods"] for row in rows] == [11, 31, 18]
    growth = np.prod([1 + row["total_return"] for row in rows])
    assert growth == pytest.approx(np.prod(1 + RETURNS))
    own = metrics(RETURNS[11:42], periods_per_year=YEAR)
    assert {name: rows[1][name] for name in GROUPED} == {name: own[name] for name in GROUPED}
    assert rows[1]["trades"] is None


def test_trades_count_in_the_month_they_were_closed():
    closed = np.array(["2023-11-25", "2023-12-01", "2023-12-31"], "datetime64[D]")
    rows = by_month(DAY, RETURNS, periods_per_year=YEAR, trades=(closed, np.array([1.0, -1.0, 3.0])))
    assert [row["trades"] for row in rows] == [1, 2, 0]
    assert [row["profit_factor"] for row in rows] == [None, 3.0, None]
    assert [row["win_rate"] for row in rows] == [1.0, 0.5, None]


def test_symbols_keep_their_order():
    accounts = {"B": RETURNS[:30], "A": RETURNS[30:]}
    rows = by_symbol(accounts, periods_per_year=YEAR, trades={"A": np.ones(2), "B": -np.ones(3)})
    assert [(row["symbol"], row["trades"], row["win_rate"]) for row in rows] == [("B", 3, 0.0), ("A", 2, 1.0)]
    assert rows[1]["total_return"] == metrics(RETURNS[30:], periods_per_year=YEAR)["total_return"]


def test_rows_are_plain_numbers():
    rows = by_month(DAY, RETURNS, periods_per_year=YEAR, positions=np.ones(60))
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


def test_days_that_do_not_fit_their_returns_are_refused():
    with pytest.raises(ValueError, match="59 days of 60 returns"):
        by_month(DAY[1:], RETURNS, periods_per_year=YEAR)

"""Pieces of a record and its parts, on accounts made by hand: what folds join to, and what regimes and months are."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from arena.schemas import REGIME_NAMES
from experiments.certificates.ground import Stretch
from experiments.certificates.passes import Pass, Trades
from experiments.certificates.performing import Performance, joined
from experiments.certificates.series import Record, join
from experiments.certificates.shown import Shown, costs_of, metrics_of, months, regimes
from experiments.evidence.groups import GROUPED
from experiments.evidence.metrics import metrics
from markets.calendars import venue_days

YEAR = 252.0
DAY = np.datetime64("2024-01-01")


def trades(profit: ArrayLike = (), begun: ArrayLike = (), ended: ArrayLike = ()) -> Trades:
    """Each closed within its last bar."""
    first, last = np.asarray(begun, np.int64), np.asarray(ended, np.int64)
    return Trades(np.asarray(profit, np.float64), first, last, last - first + 1)


def account(returns: np.ndarray, own: Trades, *, turnover: float = 0.0, costs: float = 0.0) -> Pass:
    equity = np.append(1.0, np.cumprod(1 + returns))
    return Pass(equity, np.ones((len(returns), 1)), own, turnover, np.asarray([costs, 0, 0, 0, costs / 2]))


def days_of(returns: np.ndarray, first: int = 0) -> Record:
    """A record of one member, a bar a day."""
    table = returns[:, None]
    equity = np.cumprod(1 + table, axis=0)
    return Record(DAY + first + np.arange(len(table)), table, table, equity, equity)


def performance(returns: np.ndarray, passes: list[Pass], first: int = 0) -> Performance:
    """Of one member, whose symbols do alike, a symbol a pass."""
    stretches: list[Any] = [(None, Stretch((f"S{k}",), k, 0, len(returns) + 1)) for k in range(len(passes))]
    shown = Shown(stretches, passes, [1 / len(passes)] * len(passes), [1.0] * len(passes))
    record = days_of(returns, first)
    return Performance((record,), None, None, ((shown,),), np.zeros(1), np.zeros(1, np.int64))


@pytest.mark.parametrize("symbols", [(2, 2), (2, 1)])
def test_turnover_and_costs_of_pieces_are_those_of_one_pass(symbols: tuple[int, int]) -> None:
    """A piece trades by what it began with, which is what the one before it came to; a symbol may be missing in one."""
    returns = np.random.default_rng(1).normal(0.004, 0.01, 100)
    worth = float(np.prod(1 + returns[:60]))
    first = performance(returns[:60], [account(returns[:60], trades(), turnover=20.0, costs=0.2)] * symbols[0])
    second = performance(returns[60:], [account(returns[60:], trades(), turnover=10.0, costs=0.1)] * symbols[1], 60)
    whole = account(returns, trades(), turnover=20.0 + 10.0 * worth, costs=0.2 + 0.1 * worth)
    one, two = performance(returns, [whole, whole]), joined([first, second])
    shown, expected = (metrics_of(own.shown[0][0], own.holdout[0], 0, YEAR) for own in (two, one))
    assert shown == pytest.approx(expected, nan_ok=True)
    assert costs_of(two.shown[0][0]) == pytest.approx(costs_of(one.shown[0][0]))
    assert expected["costs"] == pytest.approx(1.5 * (0.2 + 0.1 * worth))


def test_pieces_that_share_days_are_worth_what_both_gained() -> None:
    """The one ends while the other has begun: a symbol of other hours, or one with holes."""
    first, second, third = days_of(np.full(4, 0.1)), days_of(np.full(5, 0.2), 2), days_of(np.full(2, -0.5), 9)
    whole = join([first, second, third])
    assert whole.returns[:, 0] == pytest.approx([0.1, 0.1, 0.3, 0.3, 0.2, 0.2, 0.2, -0.5, -0.5])
    gains = [1.1, 1.1, 1.1 * 1.2, 1.1 * 1.2, 1.2, 1.2, 1.2, 0.5, 0.5]
    np.testing.assert_allclose(whole.equity[:, 0], np.cumprod(gains))
    np.testing.assert_allclose(whole.matched_equity[:, 0], np.cumprod(gains))
    assert (np.diff(whole.day) == np.asarray([1, 1, 1, 1, 1, 1, 3, 1], "timedelta64[D]")).all()


def hourly(start: str, regime: np.ndarray) -> Any:
    """A market of one symbol, its first bar a decision that meets the second."""
    time = np.datetime64(start, "us") + np.arange(len(regime)) * np.timedelta64(1, "h")
    return SimpleNamespace(time=time, tape=SimpleNamespace(regime=regime.astype(np.int32)))


def test_regimes_are_what_a_loop_over_bars_says() -> None:
    random = np.random.default_rng(3)
    lengths, starts = (60, 47, 80), ("2024-03-01T00", "2024-03-01T05", "2024-04-01T00")
    stretches, passes, weights = [], [], (0.5, 0.5, 1.0)  # two symbols, and a later piece with one of them
    for place, (length, start) in enumerate(zip(lengths, starts, strict=True)):
        regime = np.repeat(random.integers(0, 3, 1 + length // 9), 9)[:length]  # never calm
        stretches.append((hourly(start, regime), Stretch((f"S{place % 2}",), place, 0, length)))
        begun = np.sort(random.choice(length - 4, 5, replace=False))
        own = account(random.normal(0, 0.01, length - 1), trades(random.normal(0, 1, 5), begun, begun + 1))
        passes.append(own._replace(exposure=random.normal(0, 1, (length - 1, 1))))
    rows = regimes(Shown(stretches, passes, weights, (1.0, 1.0, 1.3)), YEAR, "crypto")
    assert [row["regime"] for row in rows] == list(REGIME_NAMES[:4])
    for index, row in enumerate(rows):
        days: dict[Any, float] = {}
        profits, held = [], []
        for (market, stretch), each, weight in zip(stretches, passes, weights, strict=True):
            gains = each.equity[1:] / each.equity[:-1] - 1
            for bar in range(stretch.stop - 1):
                if market.tape.regime[bar] == index:  # of the decision, which the bar behind it met
                    day = market.time[bar + 1].astype("datetime64[D]")
                    days[day] = days.get(day, 0.0) + weight * gains[bar]
                    held.append(each.exposure[bar, 0])
            for profit, bar in zip(each.trades.profit, each.trades.begun, strict=True):
                if market.tape.regime[bar] == index:
                    profits.append(profit)
        returns = np.asarray([days[day] for day in sorted(days)])
        expected = metrics(
            returns, periods_per_year=YEAR, trades=np.asarray(profits), positions=np.abs(np.asarray(held))
        )
        assert (row["days"], row["bars"], row["trades"]) == (len(days), len(held), len(profits))
        assert {key: row[key] for key in GROUPED} == pytest.approx({key: expected[key] for key in GROUPED})
    assert rows[3]["days"] == 0
    assert rows[3]["sharpe"] is None
    assert min(row["trades"] for row in rows[:3]) > 0


def test_a_trade_belongs_to_the_month_of_the_venues_day_on_which_its_last_bar_lies() -> None:
    """A day of fx ends at 17:00 New York, so the evening of Wednesday 31 January is Thursday's."""
    market = hourly("2024-01-31T17", np.zeros(9))
    time = market.time[1:]  # from 18:00 on; 22:00 UTC is 17:00 in New York
    own = trades([0.01, 0.02, 0.03], [0, 1, 3], [0, 3, 4])  # within 18:00, 21:00 and 22:00
    shown = Shown([(market, Stretch(("S",), 0, 0, 9))], [account(np.full(8, 0.01), own)], [1.0], [1.0])
    day = np.unique(venue_days(time, "fx"))
    assert day.tolist() == np.asarray(["2024-01-31", "2024-02-01"], "datetime64[D]").tolist()
    flat = np.zeros((2, 1))
    record = Record(day, flat, flat, 1 + flat, 1 + flat)
    rows = months(shown, record, 0, YEAR, "fx")
    assert [(row["month"], row["trades"], row["expectancy"]) for row in rows] == [
        ("2024-01", 2, pytest.approx(0.015)),
        ("2024-02", 1, pytest.approx(0.03)),
    ]

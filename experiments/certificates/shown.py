"""What a certificate shows beside its verdict: metrics at one, two and three times the costs, by regime, symbol and
month, what trading cost, and Sharpe ratios against luck. None of it decides anything.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arena.schemas import REGIME_NAMES
from arena.tally import REGIMES
from experiments.certificates.counting import finite
from experiments.certificates.ground import Stretch
from experiments.certificates.passes import CHARGES, Pass
from experiments.certificates.series import Record
from experiments.evidence.days import daily
from experiments.evidence.groups import GROUPED, by_month, by_symbol
from experiments.evidence.metrics import metrics
from experiments.evidence.sharpe import Convention, deflated, minimum_track_record, moments, probabilistic
from markets.calendars import Calendar, venue_days
from markets.preparation import Market

__all__ = [
    "CONVENTIONS",
    "Shown",
    "costs_of",
    "holding_days",
    "metrics_of",
    "months",
    "regimes",
    "sharpe_of",
    "symbols",
]

_PAPERS: tuple[Convention, ...] = ("2012", "2025")

CONVENTIONS = {
    "judged": "simple returns of bars, summed to the venue's days, mean over symbols; one account a symbol, from flat, "
    "in one contiguous pass",
    "metrics": "daily returns of equity, the mean of the symbols' accounts, each 1 at its start",
    "matched": "mean net exposure on validation, over the bars the member may act on, times the mid's return on those "
    "bars; rebalanced at every close, without costs",
    "by_regime": "days are those with a bar of the regime, and their returns those of such bars alone",
    "costs of a member": "shares of the starting capital, mean over symbols, sum over folds, each by what the record "
    "had come to at its start; financing is positive when paid, spread is half of it at every fill",
    "trades": "closed trades of all symbols; profits are shares of the capital that a symbol's account began with",
    "sharpe.2012": "Bailey and Lopez de Prado (2012, 2014): variance at the observed Sharpe ratio, T - 1; kurtosis raw",
    "sharpe.2025": "Lopez de Prado, Lipton and Zoonekynd (2025): variance at the null Sharpe ratio, T, first-order "
    "autocorrelation; kurtosis raw",
    "deflated": "by the trials whose maximum was taken on the same record: training by all genomes, validation by the "
    "candidates and the grid, the holdout by the family and its openings",
    "detectable_sharpe": "smallest Sharpe ratio of a year that a holdout this long finds with probability 0.8",
    "luck": "what is expected of 10,000 bests of as many lucky trials: normal Sharpe ratios, exactly, nothing is drawn",
    "minimum_backtest": "days within which the best of as many lucky trials as validation saw shows a yearly "
    "Sharpe ratio of 1",
}
"""How everything beside the metrics is to be read."""


class Shown(NamedTuple):
    """One member on the stretches of a part."""

    stretches: Sequence[tuple[Market, Stretch]]
    passes: Sequence[Pass]
    weight: Sequence[float]
    """Of each account in the record: one part of as many as there are symbols in its piece."""
    start: Sequence[float]
    """What the record had come to when each account began; 1 but in later pieces."""


def metrics_of(own: Shown, record: Record, place: int, days_per_year: float) -> dict[str, float | None]:
    """All metrics of one member.

    Args:
        own: its passes.
        record: of all members.
        place: of the member.
        days_per_year: of the venue.
    """
    equity = np.append(1.0, record.equity[:, place])
    return metrics(
        _steps(equity),
        periods_per_year=days_per_year,
        equity=equity,
        trades=np.concatenate([each.trades.profit for each in own.passes]),
        positions=np.concatenate([np.abs(each.exposure).sum(1) for each in own.passes]),
        traded=sum(share * each.turnover for share, each in zip(_shares(own), own.passes, strict=True)),
        paid=sum(costs_of(own).values()),
    )


def costs_of(own: Shown) -> dict[str, float]:
    """What trading cost, by kind, as shares of the starting capital: mean over symbols, sum over pieces."""
    paid = np.sum([share * each.costs for share, each in zip(_shares(own), own.passes, strict=True)], axis=0)
    return dict(zip(CHARGES, paid.tolist(), strict=True))


def holding_days(own: Shown, calendar: Calendar) -> float:
    """Median time a trade was held, in days of as many bars as the stretches have on average; NaN without any."""
    bars = np.concatenate([each.trades.bars for each in own.passes])
    if not len(bars):
        return float("nan")
    times = [market.time[stretch.first + 1 : stretch.stop] for market, stretch in own.stretches]
    days = sum(len(np.unique(venue_days(time, calendar))) for time in times)
    return float(np.median(bars)) * days / sum(map(len, times))


def sharpe_of(returns: NDArray[np.float64], days_per_year: float, trials: float, variance: float) -> dict[str, Any]:
    """Sharpe ratio of a record of days against chance, in both published conventions.

    Args:
        returns: by day, [days].
        days_per_year: of the venue.
        trials: whose maximum was taken on this record.
        variance: of their daily Sharpe ratios.
    """
    own = moments(returns)
    year = own.sharpe * np.sqrt(days_per_year)
    known = np.isfinite(own.sharpe)
    return {
        "day": finite(own.sharpe),
        "year": finite(float(year)),
        "probabilistic": {paper: finite(probabilistic(own, convention=paper)) if known else None for paper in _PAPERS},
        "deflated": {
            paper: finite(deflated(own, trials=trials, variance=variance, convention=paper)) if known else None
            for paper in _PAPERS
        },
        "minimum_track_record": {
            paper: finite(minimum_track_record(own, convention=paper)) if known else None for paper in _PAPERS
        },
    }


def regimes(own: Shown, days_per_year: float, calendar: Calendar) -> list[dict[str, Any]]:
    """Metrics by the regime known at the decision, a row each.

    Days are those with a bar of the regime in any symbol, and their returns those of such bars alone, weighed as in the
    record; a trade belongs to the regime in which it was opened.
    """
    rows = []
    for index, name in enumerate(REGIME_NAMES[:REGIMES]):
        parts, profits, held, bars = [], [], [], 0
        for (market, stretch), each, weight in zip(own.stretches, own.passes, own.weight, strict=True):
            here = np.asarray(market.tape.regime)[stretch.first : stretch.stop - 1] == index
            time = market.time[stretch.first + 1 : stretch.stop]
            day, summed = daily(time, np.stack([np.where(here, each.returns, 0.0), here], 1), calendar)
            parts.append((day, weight * summed))
            profits.append(each.trades.profit[here[each.trades.begun]])
            held.append(np.abs(each.exposure[here]).sum(1))
            bars += int(here.sum())
        days = np.unique(np.concatenate([day for day, _ in parts]))
        total = np.zeros((len(days), 2))
        for day, summed in parts:
            total[np.searchsorted(days, day)] += summed
        returns = total[total[:, 1] > 0, 0]
        found = metrics(
            returns,
            periods_per_year=days_per_year,
            trades=np.concatenate(profits),
            positions=np.concatenate(held),
        )
        row = {"regime": name, "days": len(returns), "bars": bars, "trades": int(sum(map(len, profits)))}
        rows.append(row | {key: found[key] for key in GROUPED})
    return rows


def symbols(own: Shown, days_per_year: float, calendar: Calendar) -> list[dict[str, Any]]:
    """Metrics by symbol, a row each."""
    returns: dict[str, NDArray[np.float64]] = {}
    trades: dict[str, NDArray[np.float64]] = {}
    positions: dict[str, NDArray[np.float64]] = {}
    for name in dict.fromkeys(stretch.name for _, stretch in own.stretches):
        mine = [place for place, (_, stretch) in enumerate(own.stretches) if stretch.name == name]
        steps = []
        for place in mine:
            market, stretch = own.stretches[place]
            _, counts = daily(
                market.time[stretch.first + 1 : stretch.stop], np.ones((stretch.stop - stretch.first - 1, 1)), calendar
            )
            ends = np.cumsum(counts[:, 0]).astype(np.intp)
            steps.append(_steps(own.passes[place].equity[np.append(0, ends)]))
        returns[name] = np.concatenate(steps)
        trades[name] = np.concatenate([own.passes[place].trades.profit for place in mine])
        positions[name] = np.concatenate([np.abs(own.passes[place].exposure).sum(1) for place in mine])
    return list(by_symbol(returns, periods_per_year=days_per_year, trades=trades, positions=positions))


def months(own: Shown, record: Record, place: int, days_per_year: float, calendar: Calendar) -> list[dict[str, Any]]:
    """Metrics by calendar month, a row each; a trade belongs to the month of the venue's day on which it was closed."""
    closed, profits = [np.zeros(0, "datetime64[D]")], [np.zeros(0)]
    for (market, stretch), each in zip(own.stretches, own.passes, strict=True):
        time = market.time[stretch.first + 1 : stretch.stop]
        closed.append(venue_days(time, calendar)[each.trades.ended])
        profits.append(each.trades.profit)
    return list(
        by_month(
            record.day,
            _steps(np.append(1.0, record.equity[:, place])),
            periods_per_year=days_per_year,
            trades=(np.concatenate(closed), np.concatenate(profits)),
        )
    )


def _shares(own: Shown) -> list[float]:
    """The part of the record's starting capital that each account began with."""
    return [weight * start for weight, start in zip(own.weight, own.start, strict=True)]


def _steps(equity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Simple returns of equity; 0 once there is nothing left."""
    before = equity[:-1]
    return np.where(before > 0, np.diff(equity) / np.where(before > 0, before, 1.0), 0.0)

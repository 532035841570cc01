"""What a record is worth: the numbers traders ask for, one definition each for the whole arena.

A record is a row of simple returns, one a period (a day, a bar). What is asked of equity on its way (growth, drawdown)
is asked of the account's own equity where that is given, else of the returns compounded from 1. A number that is
undefined (no trade, no spread of returns, no loss to divide by) is None, never 0 or infinity.
"""

import math

import numpy as np
from numpy.typing import NDArray

from experiments.evidence.conventions import CONVENTIONS, SOURCES

__all__ = ["CONVENTIONS", "SOURCES", "TAIL", "metrics"]

TAIL = 0.05
"""Share of periods in either tail: of value at risk, conditional value at risk and the tail ratio."""

Array = NDArray[np.float64]


def metrics(
    returns: Array,
    *,
    periods_per_year: float,
    years: float | None = None,
    equity: Array | None = None,
    trades: Array | None = None,
    positions: Array | None = None,
    traded: float | None = None,
    paid: float | None = None,
) -> dict[str, float | None]:
    """All metrics of one record; `CONVENTIONS` has the formula of each, `SOURCES` who published it.

    Args:
        returns: simple, one a period, [periods]. One that is not finite leaves undefined what stands on it.
        periods_per_year: of the venue's calendar (`markets.calendars.days_per_year` for days).
        years: the record's length; None for periods / periods_per_year.
        equity: before the first period and after each, in money, [periods + 1]; None compounds the returns from 1.
        trades: profit of each closed trade after all costs, in money or as a share of equity, [trades]; None leaves
            win_rate, profit_factor, expectancy and sqn undefined.
        positions: exposure, position over equity, at any moments that lie evenly, such as bars, [moments]; the sign
            does not count.
        traded: notional of all fills, in the unit of equity.
        paid: all costs, in the unit of equity.

    Returns:
        Numbers by name, in the order of `CONVENTIONS`; None where undefined.

    Raises:
        ValueError: equity is not one longer than returns.

    Example:
        >>> import numpy as np
        >>> record = metrics(np.array([0.10, -0.05, 0.02]), periods_per_year=252)
        >>> round(record["max_drawdown"], 12), record["max_drawdown_days"], record["win_rate"]
        (0.05, 2.0, None)
    """
    values = np.asarray(returns, np.float64)
    with np.errstate(all="ignore"):  # what is not finite is None below
        path = np.cumprod(np.append(1.0, 1.0 + values)) if equity is None else np.asarray(equity, np.float64)
        if len(path) != len(values) + 1:
            raise ValueError(
                f"equity of {len(path)} moments with {len(values)} returns; right is one more than returns"
            )
        length = len(values) / periods_per_year if years is None else years
        found = {
            **_of_growth(path, length),
            **_of_returns(values, periods_per_year),
            **_of_trades(None if trades is None else np.asarray(trades, np.float64)),
            "exposure": math.nan if positions is None else _mean(np.abs(np.asarray(positions, np.float64))),
            "turnover": math.nan if traded is None else _over(_over(traded, _mean(path)), length),
            "costs": math.nan if paid is None else _over(paid, float(path[0])),
        }
    found["calmar"] = _over(found["cagr"], found["max_drawdown"])
    return {name: found[name] if math.isfinite(found[name]) else None for name in SOURCES}


def _of_growth(equity: Array, years: float) -> dict[str, float]:
    """Measures of equity on its way, [periods + 1]."""
    end = float(equity[-1])
    growth = _over(end, float(equity[0]))
    fall = 1 - equity / np.maximum.accumulate(equity)
    deepest = int(np.argmax(fall))
    under = 0.0 if math.isfinite(fall[deepest]) else math.nan
    if fall[deepest] > 0:
        level = fall <= 0  # at a peak
        peak = int(np.flatnonzero(level[:deepest])[-1])
        back = np.flatnonzero(level[deepest:])
        under = float((deepest + int(back[0]) if len(back) else len(equity)) - peak - 1)
    count = len(equity) - 1
    return {
        "total_return": growth - 1,
        "cagr": _yearly(growth, years) if years > 0 and end > 0 else math.nan,
        "max_drawdown": float(fall.max()),
        "max_drawdown_days": under,
        "ulcer": math.sqrt(float((fall**2).sum()) / (count - 1)) if count > 1 else math.nan,
    }


def _of_returns(returns: Array, periods_per_year: float) -> dict[str, float]:
    """Measures of returns whatever their order, [periods]."""
    if not np.isfinite(returns).all():
        returns = np.full(len(returns), math.nan)
    count = len(returns)
    mean = _mean(returns)
    deviation = _deviation(returns)
    downside = math.sqrt(float((np.minimum(returns, 0) ** 2).sum()) / (count - 1)) if count > 1 else math.nan
    yearly = math.sqrt(periods_per_year)
    low, high = np.quantile(returns, (TAIL, 1 - TAIL)).tolist() if count else (math.nan, math.nan)
    tail = int(TAIL * (count - 1)) + 1
    return {
        "volatility": deviation * yearly,
        "sharpe": _over(mean, deviation) * yearly,
        "sortino": _over(mean, downside) * yearly,
        "value_at_risk": -low,
        "conditional_value_at_risk": -_mean(np.partition(returns, tail - 1)[:tail]) if count else math.nan,
        "omega": _over(float(np.maximum(returns, 0).sum()), -float(np.minimum(returns, 0).sum())),
        "tail_ratio": _over(abs(high), abs(low)),
    }


def _of_trades(profits: Array | None) -> dict[str, float]:
    """Measures of closed trades, [trades]."""
    if profits is None or not len(profits):
        return dict.fromkeys(("win_rate", "profit_factor", "expectancy", "sqn"), math.nan)
    mean = _mean(profits)
    return {
        "win_rate": float((profits > 0).mean()),
        "profit_factor": _over(float(profits[profits > 0].sum()), -float(profits[profits < 0].sum())),
        "expectancy": mean,
        "sqn": math.sqrt(len(profits)) * _over(mean, _deviation(profits)),
    }


def _mean(values: Array) -> float:
    """The mean, NaN of nothing."""
    return float(values.mean()) if len(values) else math.nan


def _deviation(values: Array) -> float:
    """Standard deviation (n − 1): exactly 0 of equal values, whose computed mean may miss them by a last digit."""
    if len(values) < 2:
        return math.nan
    return 0.0 if (values == values[0]).all() else float(values.std(ddof=1))


def _yearly(growth: float, years: float) -> float:
    """Growth of a year, NaN where minutes of gain make it larger than any number."""
    try:
        return float(growth ** (1 / years)) - 1
    except OverflowError:
        return math.nan


def _over(number: float, divisor: float) -> float:
    """A ratio, NaN where it is undefined."""
    return number / divisor if divisor > 0 else math.nan

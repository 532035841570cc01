"""What a ledger is worth: performance of one account over bars, with the conventions it was computed by.

A number that is undefined (no trade, no spread of returns) is None, never 0 or infinity.
"""

import math
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

__all__ = ["CONVENTIONS", "performance", "spread_paid"]

CONVENTIONS = {
    "returns": "simple, E_t / E_(t-1) - 1, one per bar after the first; equity at mid",
    "total_return": "last equity / first equity - 1",
    "cagr": "(last equity / first equity) ^ (1 / years) - 1; years of 365.25 days from the first to the last stamp",
    "volatility": "standard deviation (n - 1) of returns, times the root of periods_per_year",
    "sharpe": "mean / standard deviation (n - 1) of returns, risk-free rate 0, times the root of periods_per_year",
    "sortino": "mean / downside deviation of returns (root of the sum of squared negative returns / (n - 1)), "
    "target 0, times the root of periods_per_year",
    "max_drawdown": "largest fall of equity from its running peak, as a positive share of that peak; the peak includes "
    "the starting capital",
    "win_rate": "share of closed trades with a profit above 0, after all costs and financing",
    "profit_factor": "sum of profits / sum of losses of closed trades, in money",
    "trades": "closed trades; a flip closes one and opens the next",
    "exposure": "mean over bars of |units| x close / equity, at mid",
    "time_in_market": "share of bars at whose close a position is held",
    "turnover": "traded notional / mean equity / years",
    "costs": "commission + slippage + fee + financing + spread, in account currency",
    "financing": "positive when paid",
    "spread": "traded units x half the spread where they were filled",
    "null": "undefined",
}


def performance(
    equity: NDArray[np.float64],
    gross: NDArray[np.float64],
    *,
    years: float,
    periods_per_year: float,
    profits: NDArray[np.float64],
    traded: float,
) -> dict[str, Any]:
    """Metrics of one account.

    Args:
        equity: after each bar, the first included, [bars].
        gross: |units| · close at mid after each bar, [bars].
        years: Julian years from the first to the last stamp.
        periods_per_year: bars the venue trades in a year.
        profits: of closed trades, in money, [trades].
        traded: notional of all fills, in money.

    Returns:
        Numbers by name, None where undefined; `CONVENTIONS` says how each is computed.
    """
    start, end = float(equity[0]), float(equity[-1])
    before = equity[:-1]
    returns = np.where(before > 0, np.diff(equity) / np.where(before > 0, before, 1.0), 0.0)
    count = len(returns)
    mean = float(returns.mean()) if count else math.nan
    deviation = float(returns.std(ddof=1)) if count > 1 else math.nan
    downside = math.sqrt(float((np.minimum(returns, 0) ** 2).sum()) / (count - 1)) if count > 1 else math.nan
    yearly = math.sqrt(periods_per_year)
    peak = np.maximum.accumulate(equity)
    losses = -float(profits[profits < 0].sum())
    mean_equity = float(equity.mean())
    solvent = equity > 0
    metrics = {
        "total_return": end / start - 1,
        "cagr": _yearly(end / start, years) if years > 0 and end > 0 else math.nan,
        "volatility": deviation * yearly,
        "sharpe": _over(mean, deviation) * yearly,
        "sortino": _over(mean, downside) * yearly,
        "max_drawdown": float((1 - equity / peak).max()),
        "win_rate": float((profits > 0).mean()) if len(profits) else math.nan,
        "profit_factor": _over(float(profits[profits > 0].sum()), losses),
        "trades": len(profits),
        "exposure": float(np.where(solvent, gross / np.where(solvent, equity, 1.0), 0.0).mean()),
        "time_in_market": float((gross != 0).mean()),
        "turnover": _over(_over(traded, mean_equity), years),
    }
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def _yearly(growth: float, years: float) -> float:
    """Growth of a year, NaN where minutes of gain make it larger than any number."""
    try:
        return float(growth ** (1 / years)) - 1
    except OverflowError:
        return math.nan


def _over(number: float, divisor: float) -> float:
    """A ratio, NaN where it is undefined."""
    return number / divisor if divisor > 0 else math.nan


def spread_paid(
    fills: pl.DataFrame,
    slot: NDArray[np.int64],
    row: NDArray[np.int64],
    bid: NDArray[np.float64],
    ask: NDArray[np.float64],
) -> float:
    """Money that fills lost to half the spread of the quote they met.

    Args:
        fills: with `reason` and `units`.
        slot: of each fill in its bar, [fills]: 0 and 1 at the open, 2 inside the bar, 3 at the close.
        row: of each fill's bar, [fills].
        bid: open, high, low, close of every bar, [bars, 4].
        ask: the same, on the ask side.
    """
    units = fills["units"].to_numpy()
    target = (fills["reason"] == "take_profit").to_numpy()
    high = target == (units < 0)  # a long's target and a short's stop are met at the high
    column = np.select([slot <= 1, slot == 3, high], [0, 3, 1], 2)
    return float((np.abs(units) * 0.5 * (ask[row, column] - bid[row, column])).sum())

"""What a ledger is worth: performance of one account over bars, with the conventions it was computed by.

The definitions are those of every record (`experiments.evidence.metrics`), taken bar by bar.
"""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from experiments.evidence.metrics import CONVENTIONS as SHARED
from experiments.evidence.metrics import metrics

__all__ = ["CONVENTIONS", "performance", "spread_paid"]

CONVENTIONS = {
    "returns": "simple, E_t / E_(t-1) - 1, one per bar after the first; equity at mid",
    "total_return": SHARED["total_return"],
    "cagr": "(last equity / first equity) ^ (1 / years) - 1; years of 365.25 days from the first to the last stamp",
    "volatility": SHARED["volatility"],
    "sharpe": SHARED["sharpe"],
    "sortino": SHARED["sortino"],
    "max_drawdown": SHARED["max_drawdown"],
    "win_rate": SHARED["win_rate"],
    "profit_factor": "sum of profits / sum of losses of closed trades, in money",
    "trades": "closed trades; a flip closes one and opens the next",
    "exposure": "mean over bars of |units| x close / equity, at mid",
    "time_in_market": "share of bars at whose close a position is held",
    "turnover": SHARED["turnover"],
    "costs": "commission + slippage + fee + financing + spread, in account currency",
    "financing": "positive when paid",
    "spread": "traded units x half the spread where they were filled",
    "null": SHARED["null"],
}

_BEFORE_TRADES = (
    "total_return",
    "cagr",
    "volatility",
    "sharpe",
    "sortino",
    "max_drawdown",
    "win_rate",
    "profit_factor",
)


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
    before = equity[:-1]
    returns = np.where(before > 0, np.diff(equity) / np.where(before > 0, before, 1.0), 0.0)
    solvent = equity > 0
    found = metrics(
        returns,
        periods_per_year=periods_per_year,
        years=years,
        equity=equity,
        trades=profits,
        positions=np.where(solvent, gross / np.where(solvent, equity, 1.0), 0.0),
        traded=traded,
    )
    return {
        **{name: found[name] for name in _BEFORE_TRADES},
        "trades": len(profits),
        "exposure": found["exposure"],
        "time_in_market": float((gross != 0).mean()),
        "turnover": found["turnover"],
    }


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

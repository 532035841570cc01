"""A record taken apart: the same metrics by month and by symbol, as rows of plain numbers.

A group's periods are taken as a record of their own, as if the others had not been: its drawdown is that of its own
periods joined.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from experiments.evidence.metrics import metrics

__all__ = ["GROUPED", "Row", "by_month", "by_symbol"]

Array = NDArray[np.float64]
Row = dict[str, str | int | float | None]

GROUPED = (
    "total_return",
    "volatility",
    "sharpe",
    "sortino",
    "max_drawdown",
    "win_rate",
    "profit_factor",
    "expectancy",
    "exposure",
)
"""Metrics of a group. Growth a year is left out: of a month it says nothing."""


def by_month(
    day: NDArray[np.datetime64],
    returns: Array,
    *,
    periods_per_year: float,
    trades: tuple[NDArray[np.datetime64], Array] | None = None,
    positions: Array | None = None,
) -> list[Row]:
    """Rows by calendar month, oldest first.

    Args:
        day: of each period, never decreasing, [periods].
        returns: simple, [periods].
        periods_per_year: of the venue's calendar.
        trades: the day each trade was closed on, and its profit, [trades] both.
        positions: exposure in each period, [periods].

    Returns:
        `month` ("2024-01"), `periods`, `trades` (None where none were given) and the metrics `GROUPED`.

    Raises:
        ValueError: as many days as returns were not given.

    Example:
        >>> import numpy as np
        >>> day = np.array(["2024-01-30", "2024-01-31", "2024-02-01"], "datetime64[D]")
        >>> rows = by_month(day, np.array([0.5, -0.5, 0.25]), periods_per_year=252)
        >>> [(row["month"], row["periods"], row["total_return"]) for row in rows]
        [('2024-01', 2, -0.25), ('2024-02', 1, 0.25)]
    """
    labels = _months(day)
    if len(labels) != len(returns):
        raise ValueError(f"{len(labels)} days of {len(returns)} returns; right is one each")
    closed = None if trades is None else _months(trades[0])
    rows = []
    for month in np.unique(labels).tolist():
        own = labels == month
        profits = None if trades is None else trades[1][closed == month]
        held = None if positions is None else positions[own]
        rows.append(_row({"month": month}, returns[own], periods_per_year, profits, held))
    return rows


def by_symbol(
    returns: Mapping[str, Array],
    *,
    periods_per_year: float,
    trades: Mapping[str, Array] | None = None,
    positions: Mapping[str, Array] | None = None,
) -> list[Row]:
    """Rows by symbol, in the order given.

    Args:
        returns: simple, of each symbol's own account, [periods] each.
        periods_per_year: of the venue's calendar.
        trades: profits by symbol, [trades] each.
        positions: exposure by symbol, [moments] each.

    Returns:
        `symbol`, `periods`, `trades` (None where none were given) and the metrics `GROUPED`.
    """
    return [
        _row(
            {"symbol": symbol},
            values,
            periods_per_year,
            None if trades is None else trades[symbol],
            None if positions is None else positions[symbol],
        )
        for symbol, values in returns.items()
    ]


def _row(head: Row, returns: Array, periods_per_year: float, trades: Array | None, positions: Array | None) -> Row:
    found = metrics(returns, periods_per_year=periods_per_year, trades=trades, positions=positions)
    counts: Row = {"periods": len(returns), "trades": None if trades is None else len(trades)}
    return {**head, **counts, **{name: found[name] for name in GROUPED}}


def _months(day: NDArray[np.datetime64]) -> NDArray[np.str_]:
    return np.asarray(day, "datetime64[M]").astype(np.str_)

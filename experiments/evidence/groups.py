"""A record taken apart: the same metrics by month, by symbol and by regime, as rows of plain numbers.

A group's periods are taken as a record of their own, as if the others had not been: its drawdown is that of its own
periods joined.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.evidence.metrics import metrics

__all__ = ["GROUPED", "Row", "by_month", "by_regime", "by_symbol", "unknown"]

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

unknown = "unknown"
"""The regime of periods that have none."""


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

    Example:
        >>> import numpy as np
        >>> day = np.array(["2024-01-30", "2024-01-31", "2024-02-01"], "datetime64[D]")
        >>> rows = by_month(day, np.array([0.5, -0.5, 0.25]), periods_per_year=252)
        >>> [(row["month"], row["periods"], row["total_return"]) for row in rows]
        [('2024-01', 2, -0.25), ('2024-02', 1, 0.25)]
    """
    labels = _months(day)
    closed = None if trades is None else (_months(trades[0]), trades[1])
    names = np.unique(labels).tolist()
    return _rows("month", names, labels, returns, periods_per_year, closed, positions)


def by_regime(
    regime: NDArray[np.integer],
    returns: Array,
    names: Sequence[str],
    *,
    periods_per_year: float,
    trades: tuple[NDArray[np.integer], Array] | None = None,
    positions: Array | None = None,
) -> list[Row]:
    """Rows by market regime, in the order of `names`; those of no regime last, where there are any.

    Args:
        regime: of each period, a place in `names`, any other number for none, [periods].
        returns: simple, [periods].
        names: of the regimes.
        periods_per_year: of the venue's calendar; a ratio by the year is then of a year spent in that regime.
        trades: the regime each trade was opened in, and its profit, [trades] both.
        positions: exposure in each period, [periods].

    Returns:
        `regime`, `periods`, `trades` (None where none were given) and the metrics `GROUPED`.
    """
    labels = _named(regime, names)
    closed = None if trades is None else (_named(trades[0], names), trades[1])
    shown = [*names, unknown] if (labels == unknown).any() else list(names)
    return _rows("regime", shown, labels, returns, periods_per_year, closed, positions)


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


def _rows(
    key: str,
    names: Sequence[str],
    labels: NDArray[np.str_],
    returns: Array,
    periods_per_year: float,
    trades: tuple[NDArray[np.str_], Array] | None,
    positions: Array | None,
) -> list[Row]:
    """One row a name, of the periods with that label.

    Raises:
        ValueError: as many labels as returns were not given.
    """
    if len(labels) != len(returns):
        raise ValueError(f"{len(labels)} labels of {len(returns)} returns; right is one each")
    rows = []
    for name in names:
        own = labels == name
        profits = None if trades is None else trades[1][trades[0] == name]
        rows.append(
            _row({key: name}, returns[own], periods_per_year, profits, None if positions is None else positions[own])
        )
    return rows


def _row(head: Row, returns: Array, periods_per_year: float, trades: Array | None, positions: Array | None) -> Row:
    found = metrics(returns, periods_per_year=periods_per_year, trades=trades, positions=positions)
    counts: Row = {"periods": len(returns), "trades": None if trades is None else len(trades)}
    return {**head, **counts, **{name: found[name] for name in GROUPED}}


def _months(day: NDArray[np.datetime64]) -> NDArray[np.str_]:
    return np.asarray(day, "datetime64[M]").astype(np.str_)


def _named(regime: NDArray[np.integer], names: Sequence[str]) -> NDArray[np.str_]:
    """Names of regimes by their places."""
    places = np.asarray(regime, np.int64)
    within = (places >= 0) & (places < len(names))
    return np.where(within, np.array([*names, unknown])[np.where(within, places, len(names))], unknown)

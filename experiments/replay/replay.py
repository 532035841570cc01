"""Replay: explicit orders through the broker in float64, and what that leaves on disk.

The same kernel as in evolution, one account, one instrument, every bar of a file. The ledger has a row a bar, so that
anyone can check the money by hand.
"""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from experiments.replay.metrics import CONVENTIONS, performance, spread_paid
from experiments.replay.passage import Passage, outcome_of, rows_of
from experiments.replay.targets import Targets, align_targets
from experiments.replay.trades import marks_of, trades_of
from experiments.runs.files import see_free, write_folder
from markets.account import REASONS, Closed
from markets.bars import CLOSE, Bars
from markets.calendars import financing_days, periods_per_year
from markets.errors import UserError
from markets.rules import BrokerRules

__all__ = ["ReplayResult", "quoted", "replay", "replay_aligned", "result_of", "write"]

_FILLS = ("units", "price", "commission", "slippage", "fee")
_EXTREME = "prices of the bars, or keys of --set such as cash, commission or max_leverage, are too extreme"
_JULIAN_YEAR = np.timedelta64(31_557_600, "s")


class ReplayResult(NamedTuple):
    """What a replay leaves; each frame becomes a Parquet file of its name, `metrics` a JSON file."""

    ledger: pl.DataFrame
    """`timestamp, units, cash, equity, financing`: one row a bar, the first included, after the bar. cash is net of the
    financing charged so far, so that equity = cash + units · close at mid; financing is the bar's own charge.
    """
    fills: pl.DataFrame
    """`timestamp, reason, units, price, commission, slippage, fee`, in order; units are signed changes."""
    trades: pl.DataFrame
    """Closed trades, oldest first; see `experiments.replay.trades`."""
    metrics: dict[str, Any]
    """Numbers by name, None where undefined, beside their conventions and the rules."""


def replay(bars: Bars, targets: pl.DataFrame, rules: BrokerRules | None = None) -> ReplayResult:
    """Send explicit orders through the broker, in float64 on the CPU.

    Args:
        bars: of one symbol; the keys `spread` and `spread_rate` replace their own spread.
        targets: `timestamp, target[, stop_loss, take_profit]`; a target is decided at the close of the bar with that
            open stamp and fills at the next row's open. Every target that is not null is an order; the last bar's
            cannot fill and is ignored.
        rules: the broker's; None for the defaults.

    Raises:
        UserError: targets that cannot be meant, named by row.

    Example:
        >>> import numpy as np, polars as pl
        >>> from markets.bars import Bars
        >>> time = np.arange("2024-01-01", "2024-01-05", dtype="datetime64[D]")
        >>> prices = np.array([[100, 101, 99, 100], [100, 106, 99, 105], [105, 111, 104, 110], [110, 111, 109, 110]])
        >>> targets = pl.DataFrame({"timestamp": time[:1], "target": [1.0]})
        >>> result = replay(Bars.from_mid("X", time, prices), targets)
        >>> result.metrics["total_return"]
        0.1
    """
    return replay_aligned(bars, align_targets(targets, bars), rules or BrokerRules())


def write(result: ReplayResult, out: str | Path) -> None:
    """Write a result as a directory that appears whole or not at all.

    Args:
        result: of `replay`.
        out: the directory to make; one that exists must be empty.

    Raises:
        UserError: `out` holds something already.
    """

    def fill(folder: Path) -> None:
        for name in ("ledger", "fills", "trades"):
            getattr(result, name).write_parquet(folder / f"{name}.parquet", compression="zstd")
        text = json.dumps(result.metrics, indent=2, ensure_ascii=False, allow_nan=False)
        (folder / "metrics.json").write_text(f"{text}\n", encoding="utf-8")

    write_folder(see_free(out), fill)


def replay_aligned(own_bars: Bars, targets: Targets, rules: BrokerRules) -> ReplayResult:
    """Do as `replay` does with targets that are aligned with the bars already.

    Raises:
        UserError: spreads that leave no price, or money beyond any number.
    """
    bars = quoted(own_bars, rules)
    passage = Passage(rules)
    rows = rows_of(
        bars,
        targets,
        days=financing_days(bars.time, rules.calendar),
        has_volume=bars.has_volume,
        closes=rules.close_at_end,
    )
    return result_of(bars, passage.through(passage.open(), rows), rules)


def result_of(bars: Bars, done: NDArray[np.float64], rules: BrokerRules) -> ReplayResult:
    """The result of bars that an account was taken through.

    Args:
        bars: with the spread that was paid.
        done: what came of every bar but the first, of `Passage.through`, [bars − 1, OUTCOME].
        rules: the broker's.

    Raises:
        UserError: money beyond any number.
    """
    outcome = outcome_of(done)
    account = outcome.account
    close = bars.mid[:, CLOSE]
    units = np.append(0.0, account.units[:, 0])
    with np.errstate(over="ignore", invalid="ignore"):
        cash = np.append(rules.cash, account.balance - account.financing - account.units[:, 0] * account.entry[:, 0])
    equity = np.append(rules.cash, account.equity)
    financing = np.append(0.0, outcome.financing)
    _see_finite(bars, units=units, cash=cash, equity=equity, financing=financing)
    time = pl.Series("timestamp", bars.time).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    ledger = pl.DataFrame({"timestamp": time, "units": units, "cash": cash, "equity": equity, "financing": financing})

    step_of, slot = np.nonzero(outcome.fills.reason[:, :, 0])
    row = step_of + 1
    reasons = np.array(REASONS)[outcome.fills.reason[step_of, slot, 0]]
    columns = {name: getattr(outcome.fills, name)[step_of, slot, 0] for name in _FILLS}
    fills = pl.DataFrame({"timestamp": time.gather(row), "reason": pl.Series(reasons, dtype=pl.String), **columns})

    marks = marks_of(row, slot, Closed(*(leaf[step_of, 0] for leaf in outcome.closed)))
    trades = trades_of(fills, row, slot, **marks._asdict(), financing=financing, stamps=time)
    yearly = periods_per_year(bars.time, rules.calendar)
    with np.errstate(all="ignore"):  # what is not finite is null in the metrics, or refused below
        measured = performance(
            equity,
            np.abs(units) * close,
            years=float((bars.time[-1] - bars.time[0]) / _JULIAN_YEAR),
            periods_per_year=yearly,
            profits=trades["profit"].to_numpy(),
            traded=float((np.abs(columns["units"]) * columns["price"]).sum()),
        )
        costs = {name: float(columns[name].sum()) for name in ("commission", "slippage", "fee")}
        costs["financing"] = float(financing.sum())
        costs["spread"] = spread_paid(fills, slot, row, bars.bid, bars.ask)
    metrics = {
        "symbol": bars.symbol,
        "bars": len(bars),
        "first": f"{bars.time[0].astype('datetime64[s]')}Z",
        "last": f"{bars.time[-1].astype('datetime64[s]')}Z",
        "start_equity": rules.cash,
        "end_equity": float(equity[-1]),
        **measured,
        "fills": len(fills),
        "liquidated": bool(outcome.liquidated.any()),
        "ruined": bool(outcome.ruined.any()),
        "costs": sum(costs.values()),
        **costs,
        "costless": rules.costless and bool(np.all(bars.bid == bars.ask)),
        "periods_per_year": yearly if math.isfinite(yearly) else None,
        "rules": dataclasses.asdict(rules),
        "conventions": CONVENTIONS,
    }
    for name, value in metrics.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{bars.symbol}: {name} of the whole replay is beyond any number; {_EXTREME}")
    return ReplayResult(ledger, fills, trades, metrics)


def quoted(own_bars: Bars, rules: BrokerRules) -> Bars:
    """Bars with the spread that the rules ask for.

    Raises:
        UserError: no positive bid is left, or no finite ask.
    """
    if rules.spread is None and rules.spread_rate is None:
        return own_bars
    with np.errstate(over="ignore", invalid="ignore"):
        bars = own_bars.with_spread(rules.spread, rules.spread_rate)
    wide = ~np.logical_and.reduce((bars.bid > 0) & np.isfinite(bars.ask), axis=1)
    if wide.any():
        key, when = "spread" if rules.spread else "spread_rate", _stamp(bars.time[int(np.argmax(wide))])
        raise UserError(
            f"{key}: {getattr(rules, key)} leaves no positive bid at {when}; right is a spread well below the price"
        )
    return bars


def _see_finite(bars: Bars, **columns: NDArray[np.float64]) -> None:
    """See that the money stayed within float64.

    Raises:
        UserError: it did not; names the first bar.
    """
    wrong = ~np.logical_and.reduce([np.isfinite(values) for values in columns.values()])
    if wrong.any():
        row = int(np.argmax(wrong))
        name = next(name for name, values in columns.items() if not np.isfinite(values[row]))
        raise UserError(f"{bars.symbol}: {name} at {_stamp(bars.time[row])} is beyond any number; {_EXTREME}")


def _stamp(time: np.datetime64) -> str:
    return f"{time.astype('datetime64[s]')}".replace("T", " ")

"""`experiments.replay.replay` against the reference: the same fills and ledger from files' columns to the last row.

The kernel is compared with the reference elsewhere; here it is the way to it: which row decides and which fills, whose
volume caps an order, which days are charged to which bar, and where the spread comes from.
"""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from reference.books import Result
from reference.broker import replay as reference
from reference.calendars import financing_days
from reference.random_markets import random_scenario

from experiments.replay.replay import ReplayResult, replay
from markets.bars import Bars
from markets.rules import BrokerRules

BARS = 300
EVERYTHING = {
    "commission": 0.0004,
    "commission_per_unit": 0.003,
    "commission_fixed": 0.7,
    "slippage": 0.0002,
    "max_leverage": 5.0,
    "maintenance": 0.05,
    "liquidation_fee": 0.01,
    "lot_size": 0.1,
    "min_units": 1.0,
    "participation": 0.2,
    "financing_long": 0.3,
    "financing_short": -0.1,
}


@pytest.mark.parametrize(
    ("calendar", "keys"),
    [
        ("fx", {"spread": 0.02, "trailing": True}),
        ("us_equity", {"spread_rate": 0.0005, "close_at_end": False}),
        ("crypto", {"spread": 0.01, "spread_rate": 0.0001, "ruin": 0.5}),
        ("none", {}),
    ],
)
def test_replay_is_the_reference_row_by_row(calendar: str, keys: dict[str, float]) -> None:
    rng = np.random.default_rng(len(calendar))
    rules = BrokerRules(**EVERYTHING | {"calendar": calendar} | keys)
    found = None
    while found is None or len(found.fills) < 30:  # a market that does not ruin the account at once
        one = random_scenario(rng, 1, BARS, 1, rules, grid=False)
        gaps = rng.choice([1, 1, 1, 4, 60], BARS - 1)
        time = np.datetime64("2023-10-20T03", "us") + np.concatenate([[0], np.cumsum(gaps)]).astype("timedelta64[h]")
        arrays = one.bid[0], one.ask[0], one.volume[0], financing_days(time, calendar)
        found = reference(*arrays, one.targets[0], one.stops[0], one.takes[0], rules)

    bars = Bars("TEST", time, one.bid[0, :, 0], one.ask[0, :, 0], one.volume[0, :, 0])
    asked = {"target": one.targets, "stop_loss": one.stops, "take_profit": one.takes}
    targets = pl.DataFrame({"timestamp": time} | {name: column[0, :, 0] for name, column in asked.items()})
    same(replay(bars, targets, rules), found, time)


def test_replay_is_the_reference_on_real_quotes_over_weekends(shared_data: Path) -> None:
    frame = pl.read_parquet(shared_data / "fx" / "EURUSD_H1_bidask.parquet").slice(20_000, 3_000)
    time = frame["timestamp"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
    names = ("open", "high", "low", "close")
    bid, ask = (np.stack([frame[side + name].to_numpy() for name in names], axis=1) for side in ("", "ask_"))
    rng = np.random.default_rng(0)
    asked = {
        "target": np.where(rng.random(len(time)) < 0.1, rng.uniform(-10, 10, len(time)), np.nan),
        "stop_loss": np.where(rng.random(len(time)) < 0.7, rng.uniform(5e-4, 5e-3, len(time)), np.nan),
        "take_profit": np.where(rng.random(len(time)) < 0.7, rng.uniform(5e-4, 5e-3, len(time)), np.nan),
    }
    rules = BrokerRules(
        max_leverage=10.0, maintenance=0.02, slippage=2e-5, lot_size=1000.0, calendar="fx", financing_long=0.02
    )
    quiet = np.zeros((len(time), 1))
    columns = [column[:, None] for column in asked.values()]
    found = reference(bid[:, None], ask[:, None], quiet, financing_days(time, "fx"), *columns, rules)
    assert len(found.trades) > 100
    assert found.financing.sum() > 0
    bars = Bars("EURUSD", time, bid, ask, np.zeros(len(time)))
    same(replay(bars, pl.DataFrame({"timestamp": time} | asked), rules), found, time)


def same(result: ReplayResult, found: Result, time: np.ndarray) -> None:
    """Every row of the ledger, every fill and every trade."""
    ledger = {name: result.ledger[name].to_numpy() for name in ("units", "cash", "equity", "financing")}
    assert len(ledger["units"]) == len(time)
    np.testing.assert_allclose(ledger["units"], found.units[:, 0], rtol=1e-9, atol=1e-9)
    for name in ("cash", "equity", "financing"):
        np.testing.assert_allclose(ledger[name], getattr(found, name), rtol=1e-9, atol=1e-5)
    fills = result.fills
    assert fills["reason"].to_list() == [fill.reason for fill in found.fills]
    assert fills["timestamp"].dt.replace_time_zone(None).to_list() == [time[fill.bar].item() for fill in found.fills]
    for name in ("units", "price", "commission", "slippage", "fee"):
        np.testing.assert_allclose(
            fills[name].to_numpy(), [getattr(fill, name) for fill in found.fills], rtol=1e-9, atol=1e-9
        )
    np.testing.assert_allclose(
        result.trades["profit"].to_numpy(), [trade.profit for trade in found.trades], rtol=1e-9, atol=1e-5
    )

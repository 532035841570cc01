"""Replay from files: what it writes, checked by hand, and every refusal in one line that leaves nothing behind."""

import argparse
import dataclasses
import json
import math
import re
from pathlib import Path
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest

from experiments import cli
from experiments.commands import data_check
from experiments.commands import replay as replay_command
from experiments.replay.metrics import performance
from experiments.replay.replay import ReplayResult, replay, write
from markets.bars import Bars
from markets.errors import UserError
from markets.readers import ReadSettings
from markets.rules import BrokerRules

FILES = {"ledger.parquet", "fills.parquet", "trades.parquet", "metrics.json"}


def bars_of(bars: int = 240, seed: int = 1, spread: float = 0.04) -> Bars:
    """Hourly bars that stand still over weekends."""
    rng = np.random.default_rng(seed)
    time = np.datetime64("2021-01-04", "us") + np.arange(2 * bars) * np.timedelta64(1, "h")
    time = time[np.is_busday(time.astype("datetime64[D]"))][:bars]
    close = 100 * np.exp(np.cumsum(0.004 * rng.standard_normal(bars)))
    open = np.concatenate([[100.0], close[:-1]]) * np.exp(0.001 * rng.standard_normal(bars))
    high = np.maximum(open, close) + 0.3 * rng.random(bars)
    low = np.minimum(open, close) - 0.3 * rng.random(bars)
    return Bars.from_mid("TEST", time, np.stack([open, high, low, close], axis=1), spread, np.full(bars, 500.0))


def targets_of(bars: Bars, seed: int = 2) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    count = len(bars)
    return pl.DataFrame(
        {
            "timestamp": bars.time,
            "target": np.where(rng.random(count) < 0.7, np.nan, rng.choice([-2.0, -1.0, 0.0, 1.0, 2.0], count)),
            "stop_loss": np.where(rng.random(count) < 0.3, np.nan, 0.01),
            "take_profit": np.where(rng.random(count) < 0.3, np.nan, 0.01),
        }
    )


def parquet_of(bars: Bars) -> pl.DataFrame:
    sides = zip(("", "ask_"), (bars.bid, bars.ask), strict=True)
    prices = {f"{side}{name}": q[:, c] for side, q in sides for c, name in enumerate(("open", "high", "low", "close"))}
    return pl.DataFrame({"timestamp": bars.time, **prices, "volume": bars.volume})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    bars = bars_of()
    parquet_of(bars).write_parquet(tmp_path / "TEST.parquet")
    targets_of(bars).write_parquet(tmp_path / "targets.parquet")
    return tmp_path


def arena(*words: object) -> int:
    return cli.main(["replay", *map(str, words)])


RULES = BrokerRules(
    commission=1e-4,
    commission_fixed=0.5,
    slippage=1e-4,
    max_leverage=2.0,
    financing_long=0.05,
    financing_short=0.02,
    calendar="fx",
)


@pytest.fixture(scope="module")
def result() -> ReplayResult:
    bars = bars_of()
    return replay(bars, targets_of(bars), RULES)


def test_a_week_across_five_rollovers_pays_seven_day_charges():
    time = np.datetime64("2021-01-04", "us") + np.arange(5 * 24) * np.timedelta64(1, "h")
    bars = Bars.from_mid("FX", time, np.full((120, 4), 1.25))
    rules = BrokerRules(calendar="fx", financing_long=0.0365)
    ledger = replay(bars, pl.DataFrame({"timestamp": time[:1], "target": [1.0]}), rules).ledger
    assert ledger["financing"].sum() == pytest.approx(7 * 10_000 * 0.0365 / 365, rel=1e-12)
    assert (ledger["financing"] != 0).sum() == 5


def test_the_ledger_has_a_row_a_bar_and_adds_up(result: ReplayResult):
    bars = bars_of()
    ledger = result.ledger
    assert ledger.columns == ["timestamp", "units", "cash", "equity", "financing"]
    assert ledger.schema["timestamp"] == pl.Datetime("us", "UTC")
    assert len(ledger) == len(bars)
    assert ledger.row(0)[1:] == (0.0, 10_000.0, 10_000.0, 0.0)
    worth = ledger["cash"].to_numpy() + ledger["units"].to_numpy() * bars.mid[:, 3]
    np.testing.assert_allclose(ledger["equity"].to_numpy(), worth, rtol=1e-12)
    assert ledger["units"][-1] == 0


def test_fills_move_the_units_and_the_cash_of_the_ledger(result: ReplayResult):
    """Cash is the starting cash less all that was paid: units · price, commission, fees and financing."""
    fills, ledger = result.fills, result.ledger
    assert fills.columns == ["timestamp", "reason", "units", "price", "commission", "slippage", "fee"]
    assert {"order", "stop", "take_profit"} <= set(fills["reason"].unique())
    spent = fills.group_by("timestamp").agg(
        pl.col("units").sum().alias("moved"),
        (pl.col("units") * pl.col("price") + pl.col("commission") + pl.col("fee")).sum().alias("paid"),
    )
    joined = ledger.join(spent, on="timestamp", how="left").fill_null(0.0).sort("timestamp")
    np.testing.assert_allclose(joined["units"], joined["moved"].cum_sum(), atol=1e-9)
    np.testing.assert_allclose(joined["cash"], 10_000 - (joined["paid"] + joined["financing"]).cum_sum(), atol=1e-8)
    assert (fills["timestamp"].diff().drop_nulls().dt.total_microseconds() >= 0).all()
    assert (fills.select("commission", "slippage", "fee").min_horizontal() >= 0).all()


def test_an_order_decided_at_a_bar_fills_at_the_next_rows_open(result: ReplayResult):
    bars, targets = bars_of(), targets_of(bars_of())
    asked = targets.filter(pl.col("target").is_not_nan())["timestamp"].to_numpy()
    next_row = dict(zip(bars.time[:-1].tolist(), bars.time[1:].tolist(), strict=True))
    may_fill = {next_row[stamp] for stamp in asked.tolist() if stamp in next_row}
    ordered = result.fills.filter(pl.col("reason") == "order")
    stamps = ordered["timestamp"].dt.replace_time_zone(None).to_list()
    assert set(stamps) <= may_fill
    row = np.searchsorted(bars.time, np.array(stamps, "datetime64[us]"))
    buys = ordered["units"].to_numpy() > 0
    quote = np.where(buys, bars.ask[row, 0] * (1 + 1e-4), bars.bid[row, 0] * (1 - 1e-4))
    np.testing.assert_allclose(ordered["price"], quote, rtol=1e-13)


def test_trades_explain_the_whole_result(result: ReplayResult):
    trades, ledger = result.trades, result.ledger
    assert trades["profit"].sum() == pytest.approx(ledger["equity"][-1] - 10_000, abs=1e-7)
    assert trades["financing"].sum() == pytest.approx(ledger["financing"].sum(), abs=1e-9)
    for cost in ("commission", "slippage", "fee"):
        assert trades[cost].sum() == pytest.approx(result.fills[cost].sum(), abs=1e-9)
    assert (trades["exit_timestamp"] >= trades["entry_timestamp"]).all()
    assert set(trades["side"].unique()) == {"long", "short"}


def test_a_trades_profit_is_its_price_difference_less_its_costs():
    """One trade with an addition, a reduction and a flip, by hand."""
    time = np.datetime64("2021-01-04", "us") + np.arange(6) * np.timedelta64(1, "D")
    opens = np.array([100.0, 100, 110, 120, 130, 130])
    bars = Bars.from_mid("X", time, np.repeat(opens[:, None], 4, axis=1))
    targets = pl.DataFrame({"timestamp": time[:4], "target": [0.5, 1.0, 0.5, -0.5]})
    out = replay(bars, targets, BrokerRules(commission_fixed=4.0))
    first, second = out.trades.rows(named=True)
    size = out.fills["units"].to_list()
    assert [first["side"], second["side"], first["reason"], second["reason"]] == ["long", "short", "order", "end"]
    assert first["units"] == pytest.approx(size[0] + size[1])
    assert first["entry_price"] == pytest.approx((100 * size[0] + 110 * size[1]) / (size[0] + size[1]))
    left = size[0] + size[1] + size[2]
    assert first["exit_price"] == pytest.approx((120 * -size[2] + 130 * left) / (left - size[2]))
    assert first["commission"] == pytest.approx(12 + 4 * left / -size[3])
    gross = first["units"] * (first["exit_price"] - first["entry_price"])
    assert first["profit"] == pytest.approx(gross - first["commission"])
    assert second["profit"] == pytest.approx(-second["commission"])
    assert (first["bars"], second["bars"]) == (3, 2)


def test_a_missing_row_a_null_and_a_nan_are_no_order_and_the_last_bar_takes_none():
    bars = bars_of(40)
    rows = [3, 5, 7, 39]
    targets = pl.DataFrame({"timestamp": bars.time[rows], "target": [1.0, None, float("nan"), 0.0]})
    out = replay(bars, targets, BrokerRules(close_at_end=False))
    assert out.fills["reason"].to_list() == ["order"]
    assert (out.ledger["units"] != 0).to_list() == [row >= 4 for row in range(40)]
    assert out.trades.is_empty()
    assert out.metrics["win_rate"] is None
    assert out.metrics["profit_factor"] is None


def test_targets_may_stand_in_any_order_and_any_unit(result: ReplayResult):
    bars = bars_of()
    targets = targets_of(bars)
    shuffled = targets.sample(fraction=1.0, shuffle=True, seed=3).with_columns(
        pl.col("timestamp").cast(pl.Datetime("ms")).dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo")
    )
    assert replay(bars, shuffled, RULES).ledger.equals(result.ledger)


def test_the_spread_keys_replace_the_bars_own():
    bars = bars_of()
    targets = pl.DataFrame({"timestamp": bars.time[:1], "target": [1.0]})
    fill = replay(bars, targets, BrokerRules(spread=1.0, spread_rate=0.01)).fills.row(0, named=True)
    mid = bars.mid[1, 0]
    assert fill["price"] == pytest.approx(mid + 0.5 + 0.005 * mid)
    own = replay(bars, targets, BrokerRules()).fills.row(0, named=True)
    assert own["price"] == pytest.approx(bars.ask[1, 0])


def test_float32_work_in_the_same_process_is_untouched():
    bars = bars_of()
    replay(bars, targets_of(bars), RULES)
    assert jnp.ones(3).dtype == jnp.float32
    assert not jax.config.jax_enable_x64


def test_metrics_follow_their_conventions(result: ReplayResult):
    metrics, equity = result.metrics, result.ledger["equity"].to_numpy()
    returns = equity[1:] / equity[:-1] - 1
    yearly = 365.25 * 24 * 5 / 7
    assert metrics["periods_per_year"] == pytest.approx(yearly)
    assert metrics["total_return"] == pytest.approx(equity[-1] / 10_000 - 1)
    assert metrics["sharpe"] == pytest.approx(returns.mean() / returns.std(ddof=1) * math.sqrt(yearly))
    falls = [max(0.0, 1 - value / max(equity[: row + 1])) for row, value in enumerate(equity)]
    assert metrics["max_drawdown"] == pytest.approx(max(falls))
    downside = math.sqrt(sum(min(value, 0) ** 2 for value in returns) / (len(returns) - 1))
    assert metrics["sortino"] == pytest.approx(returns.mean() / downside * math.sqrt(yearly))
    profits = result.trades["profit"].to_list()
    won, lost = [p for p in profits if p > 0], [-p for p in profits if p < 0]
    assert metrics["trades"] == len(profits)
    assert metrics["win_rate"] == pytest.approx(len(won) / len(profits))
    assert metrics["profit_factor"] == pytest.approx(sum(won) / sum(lost))
    days = (bars_of().time[-1] - bars_of().time[0]) / np.timedelta64(1, "D")
    assert metrics["cagr"] == pytest.approx((equity[-1] / 10_000) ** (365.25 / days) - 1)
    parts = ("commission", "slippage", "fee", "financing", "spread")
    assert metrics["costs"] == pytest.approx(sum(metrics[part] for part in parts))
    half_spreads = result.fills["units"].abs().sum() * 0.02
    assert metrics["spread"] == pytest.approx(half_spreads)
    assert metrics["costless"] is False
    assert set(metrics["conventions"]) >= {"sharpe", "sortino", "max_drawdown", "profit_factor", "exposure", "turnover"}


def test_what_is_undefined_is_null_never_infinite():
    equity = np.full(5, 100.0)
    flat = performance(
        equity, 0 * equity, years=0.1, periods_per_year=float("nan"), profits=np.array([3.0]), traded=0.0
    )
    assert {name for name, value in flat.items() if value is None} == {
        "volatility",
        "sharpe",
        "sortino",
        "profit_factor",
    }
    assert (flat["win_rate"], flat["max_drawdown"], flat["turnover"]) == (1.0, 0.0, 0.0)


def test_a_lone_bar_gives_a_ledger_of_one_row():
    bars = bars_of(1)
    out = replay(bars, targets_of(bars), RULES)
    assert (len(out.ledger), len(out.fills), len(out.trades)) == (1, 0, 0)
    json.dumps(out.metrics, allow_nan=False)


# --- The command ------------------------------------------------------------------------------------------------


def test_the_command_writes_four_files_and_nothing_beside(folder: Path, capsys: pytest.CaptureFixture[str]):
    out = folder / "deep" / "out"
    keys = ["commission=1e-4", "max_leverage=2", "calendar=fx", "financing_long=0.05"]
    assert arena(folder / "TEST.parquet", "--targets", folder / "targets.parquet", "--out", out, "--set", *keys) == 0
    assert {path.name for path in out.iterdir()} == FILES
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    bars = bars_of()
    rules = BrokerRules(commission=1e-4, max_leverage=2.0, calendar="fx", financing_long=0.05)
    expected = replay(bars, targets_of(bars), rules)
    assert pl.read_parquet(out / "ledger.parquet").equals(expected.ledger)
    assert pl.read_parquet(out / "trades.parquet").equals(expected.trades)
    assert json.loads((out / "metrics.json").read_text())["rules"]["max_leverage"] == 2.0
    assert capsys.readouterr().out.splitlines()[-1] == str(out)


def test_csv_targets_say_the_same_as_parquet(folder: Path):
    targets_of(bars_of()).with_columns(pl.col("target").fill_nan(None)).write_csv(folder / "targets.csv")
    for name in ("targets.parquet", "targets.csv"):
        assert arena(folder / "TEST.parquet", "--targets", folder / name, "--out", folder / f"out-{name}") == 0
    one, other = (pl.read_parquet(folder / f"out-targets.{kind}" / "ledger.parquet") for kind in ("parquet", "csv"))
    assert one.equals(other)


STAMP = "2021-01-04 05:00:00"
BAD_TARGETS = {
    "unknown stamp": (
        "timestamp,target\n2021-01-09 00:00:00,1",
        r"row 2: timestamp 2021-01-09 00:00:00 is no bar's open",
    ),
    "duplicate stamp": (f"timestamp,target\n{STAMP},1\n{STAMP},", "row 3: timestamp .* stands in an earlier row"),
    "unreadable stamp": (f"timestamp,target\n{STAMP},1\nsoon,1", "row 3: timestamp soon is not a time"),
    "no stamp": (f"timestamp,target\n{STAMP},1\n,1", "row 3: timestamp None is not a time"),
    "text target": (f"timestamp,target\n{STAMP},long", "row 2: target long is not a number"),
    "infinite target": (f"timestamp,target\n{STAMP},inf", "row 2: target inf is not finite"),
    "zero stop": (f"timestamp,target,stop_loss\n{STAMP},1,0", "row 2: stop_loss 0 must be above 0"),
    "negative target distance": (
        f"timestamp,target,take_profit\n{STAMP},,-0.1",
        "row 2: take_profit -0.1 must be above 0",
    ),
    "no target column": (f"timestamp,size\n{STAMP},1", "no column target; right is timestamp, target"),
    "misspelt column": (f"timestamp,target,stoploss\n{STAMP},1,0.1", "column stoploss: did you mean stop_loss"),
    "empty file": ("", "empty; targets are Parquet or CSV"),
}


@pytest.mark.parametrize("case", BAD_TARGETS)
def test_bad_targets_get_one_line_and_leave_nothing(case: str, folder: Path, capsys: pytest.CaptureFixture[str]):
    text, message = BAD_TARGETS[case]
    (folder / "bad.csv").write_text(text)
    before = sorted(folder.iterdir())
    assert arena(folder / "TEST.parquet", "--targets", folder / "bad.csv", "--out", folder / "out") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "bad.csv" in line
    assert re.search(message, line), line
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("comission=1", "comission: unknown key; did you mean commission?"),
        ("commission", "--set commission: expected key=value"),
        ("commission=-1", "commission: -1.0 must be at least 0"),
        ("commission=high", "commission: expected a number, got 'high'"),
        ("calendar=mars", "calendar: 'mars' is not one of"),
        ("maintenance=1", "maintenance: 1.0 must be below 1"),
        ("trailing=1", "trailing: expected true or false, got 1"),
    ],
)
def test_bad_keys_get_one_line(key: str, message: str, folder: Path, capsys: pytest.CaptureFixture[str]):
    words = (folder / "TEST.parquet", "--targets", folder / "targets.parquet", "--out", folder / "out", "--set", key)
    assert arena(*words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (folder / "out").exists()


def test_a_directory_that_holds_something_is_refused_and_an_empty_one_is_filled(folder: Path, result: ReplayResult):
    out = folder / "out"
    out.mkdir()
    write(result, out)
    assert {path.name for path in out.iterdir()} == FILES
    with pytest.raises(UserError, match="exists and is not empty"):
        write(result, out)


def test_a_replay_that_fails_while_writing_leaves_nothing(tmp_path: Path, result: ReplayResult):
    broken = result._replace(metrics={"sharpe": math.inf})
    with pytest.raises(ValueError):
        write(broken, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_table_of_many_symbols_asks_for_one(folder: Path, capsys: pytest.CaptureFixture[str]):
    frame = parquet_of(bars_of())
    many = pl.concat([frame.with_columns(symbol=pl.lit(name)) for name in ("AAA", "BBB")])
    many.write_parquet(folder / "many.parquet")
    words = (folder / "many.parquet", "--targets", folder / "targets.parquet", "--out", folder / "out")
    assert arena(*words) == 2
    assert "2 symbols (AAA, BBB" in capsys.readouterr().err
    assert arena(*words, "--symbol", "BBB") == 0
    assert json.loads((folder / "out" / "metrics.json").read_text())["symbol"] == "BBB"


@pytest.mark.parametrize(("prices", "paid"), [((), 100.02), (("--prices", "bid"), 100.04)])
def test_bars_of_any_form_are_read_as_they_are_meant(prices: tuple[str, ...], paid: float, tmp_path: Path):
    rows = [f"2021.01.04\t{hour:02}:00:00\t100.00\t101.00\t99.00\t100.00\t5\t0\t4" for hour in range(2, 6)]
    head = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"
    (tmp_path / "bars.csv").write_text("\n".join([head, *rows]) + "\n")
    (tmp_path / "targets.csv").write_text("timestamp,target\n2021-01-04T00:00:00,1\n")
    words = (tmp_path / "bars.csv", "--targets", tmp_path / "targets.csv", "--out", tmp_path / "out")
    said = ("--point", "0.01", "--timezone", "Europe/Athens", "--symbol", "MINE", *prices)
    assert arena(*words, *said) == 0
    fills = pl.read_parquet(tmp_path / "out" / "fills.parquet")
    assert fills["timestamp"][0].isoformat() == "2021-01-04T01:00:00+00:00"
    assert fills["price"][0] == pytest.approx(paid, abs=1e-12)
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["symbol"] == "MINE"


def test_what_a_date_does_not_settle_can_be_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rows = [f"0{day}/02/2021 00:00,100,101,99,100" for day in (1, 2, 3)]
    (tmp_path / "bars.csv").write_text("\n".join(["timestamp,open,high,low,close", *rows]) + "\n")
    (tmp_path / "targets.csv").write_text("timestamp,target\n2021-02-01,1\n")
    words = (tmp_path / "bars.csv", "--targets", tmp_path / "targets.csv", "--out", tmp_path / "out", "--day-first")
    assert arena(*words, "maybe") == 2
    assert capsys.readouterr().err == "arena: day_first: 'maybe' is not one of true, false\n"
    assert arena(*words, "true") == 0
    ledger = pl.read_parquet(tmp_path / "out" / "ledger.parquet")
    assert [str(stamp.date()) for stamp in ledger["timestamp"]] == ["2021-02-01", "2021-02-02", "2021-02-03"]


def test_bars_are_read_by_the_same_options_as_data_check_has():
    def options(module: ModuleType) -> set[str]:
        parser = argparse.ArgumentParser()
        module.add_arguments(parser)
        return {name for action in parser._actions for name in action.option_strings}

    reading = {f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(ReadSettings)} - {"--columns"}
    assert reading <= options(data_check)
    assert reading <= options(replay_command)


@pytest.mark.slow
def test_years_of_real_quotes_add_up(shared_data: Path):
    source = pl.read_parquet(shared_data / "fx" / "EURUSD_H1_bidask.parquet")
    names = ("open", "high", "low", "close")
    bid, ask = (source.select(f"{side}{name}" for name in names).to_numpy() for side in ("", "ask_"))
    stamps = source["timestamp"].to_numpy().astype("datetime64[us]")
    bars = Bars("EURUSD", stamps, bid, ask, source["volume"].to_numpy().astype(float))
    rng = np.random.default_rng(4)
    asked = rng.random(len(bars)) < 0.05
    distances = {"stop_loss": np.full(asked.sum(), 0.004), "take_profit": np.full(asked.sum(), 0.006)}
    targets = pl.DataFrame({"timestamp": stamps[asked], "target": rng.choice([-1.0, 0, 1], asked.sum()), **distances})
    out = replay(bars, targets, BrokerRules(calendar="fx", financing_long=0.01, financing_short=0.01))
    assert len(out.ledger) == len(bars)
    assert out.trades["profit"].sum() == pytest.approx(out.ledger["equity"][-1] - 10_000, abs=1e-6)
    worth = out.ledger["cash"].to_numpy() + out.ledger["units"].to_numpy() * bars.mid[:, 3]
    np.testing.assert_allclose(out.ledger["equity"].to_numpy(), worth, rtol=1e-11)

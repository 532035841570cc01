"""The same orders through `backtesting` (an independent package) on the EURUSD bars it ships: equal to the cent.

Where its rules are ours, whole runs must agree bar by bar. Where they are not, a small market shows the difference
alone, so that each one is known, counted and explained (docs/accounting.md, "Against backtesting.py").
"""

import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import pytest

from experiments.replay.replay import ReplayResult, replay
from markets.bars import Bars
from markets.rules import BrokerRules

backtesting = pytest.importorskip("backtesting", reason="the [oracles] extra is not installed")
pd = pytest.importorskip("pandas")

CENT = 0.005
CASH = 10_000.0
NOT_BINDING = 50.0
"""A leverage that no order of these tests reaches, on either side."""


@dataclass
class Run:
    """What `backtesting` did: equity after each bar, closed trades, and the targets that its strategy decided on."""

    equity: np.ndarray
    trades: Any
    final_cash: float
    targets: list[dict[str, Any]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    """Orders that the strategy did not send, by the rule that differs."""

    def frame(self, times: np.ndarray) -> pl.DataFrame:
        rows = [{**row, "timestamp": times[row["timestamp"]]} for row in self.targets]
        schema = {"timestamp": pl.Datetime("us", "UTC")} | dict.fromkeys(
            ("target", "stop_loss", "take_profit"), pl.Float64
        )
        columns = {name: [row.get(name) for row in rows] for name in schema}
        columns["timestamp"] = np.array(columns["timestamp"], "datetime64[us]")
        return pl.DataFrame(columns).with_columns(pl.col("timestamp").dt.replace_time_zone("UTC")).cast(schema)


Decide = Callable[[Any, int, Run], None]


def theirs(frame: Any, decide: Decide, **options: Any) -> Run:
    """Run `decide(strategy, bar, run)` at every bar's close from the second on."""
    run = Run(np.empty(0), None, 0.0)

    class Decided(backtesting.Strategy):
        def init(self) -> None:
            pass

        def next(self) -> None:
            decide(self, len(self.data) - 1, run)

    settings = {"cash": CASH, "margin": 1 / NOT_BINDING, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        statistics = backtesting.Backtest(frame, Decided, **settings).run()
    run.equity = statistics["_equity_curve"]["Equity"].to_numpy()
    run.trades = statistics["_trades"]
    run.final_cash = float(statistics["_strategy"]._broker._cash)
    return run


def ours(frame: Any, run: Run, *, bid: float = 1.0, ask: float = 1.0, **keys: Any) -> ReplayResult:
    """The targets of a run through our broker; the sides are multiples of the frame's prices."""
    bars = as_bars(frame, bid=bid, ask=ask)
    rules = BrokerRules(**{"cash": CASH, "max_leverage": NOT_BINDING, "lot_size": 1.0, "close_at_end": False} | keys)
    return replay(bars, run.frame(bars.time), rules)


def as_bars(frame: Any, *, bid: float = 1.0, ask: float = 1.0) -> Bars:
    quotes = frame[["Open", "High", "Low", "Close"]].to_numpy(float)
    time = frame.index.to_numpy().astype("datetime64[us]")
    return Bars("EURUSD", time, quotes * bid, quotes * ask, np.zeros(len(frame)))


def equity_of(result: ReplayResult) -> np.ndarray:
    return result.ledger["equity"].to_numpy()


@pytest.fixture(scope="module")
def eurusd() -> Any:
    from backtesting.test import EURUSD

    return EURUSD


def small(*rows: tuple[float, float, float, float]) -> Any:
    """A market of a few hours, prices as open, high, low, close."""
    index = pd.date_range("2024-01-01", periods=len(rows), freq="h")
    return pd.DataFrame(list(rows), columns=["Open", "High", "Low", "Close"], index=index)


def units_for(strategy: Any, target: float, mid: float = 1.0) -> int:
    """Whole units of an exposure at the close; `mid` is the mid price as a multiple of theirs."""
    return int(target * strategy.equity / (float(strategy.data.Close[-1]) * mid) * (1 + 1e-9))


def send(strategy: Any, units: int, **levels: float | None) -> None:
    if units:
        (strategy.buy if units > 0 else strategy.sell)(size=abs(units), **levels)


# --- The same rules ---------------------------------------------------------------------------------------------


def at_market(seed: int) -> Decide:
    """Random targets: opening, adding, reducing, flipping and closing, at the next open."""
    rng = np.random.default_rng(seed)

    def decide(strategy: Any, bar: int, run: Run) -> None:
        if rng.random() < 0.15:
            target = float(rng.choice([0.0, rng.uniform(-5, 5)], p=[0.2, 0.8]))
            send(strategy, units_for(strategy, target) - strategy.position.size)
            run.targets.append({"timestamp": bar, "target": target})

    return decide


@pytest.mark.parametrize("commission", [0.0, 0.0002], ids=["free", "charged"])
def test_market_orders_agree_to_the_cent_on_every_bar(eurusd: Any, commission: float) -> None:
    run = theirs(eurusd, at_market(1), commission=commission)
    result = ours(eurusd, run, commission=commission)
    assert len(run.targets) > 300
    np.testing.assert_allclose(equity_of(result), run.equity, rtol=0, atol=CENT)
    assert abs(run.equity[-1] - CASH) > 100, "the run must move money"


def bracketed(
    frame: Any, seed: int, *, entry: float = 1.0, mid: float = 1.0, sides: tuple[int, ...] = (1, -1)
) -> Decide:
    """Positions with stop and take-profit, left to them or closed or flipped at the market.

    Our levels are measured from the fill, theirs are given with the order; so this strategy looks at the next open.
    `entry` is by how much a buy's price is raised over it (and a sale's lowered). What would add to a position is not
    asked (see the test of adding), nor are levels which the market has passed at the decision: theirs refuses them.
    """
    rng = np.random.default_rng(seed)
    opens = frame["Open"].to_numpy()

    def decide(strategy: Any, bar: int, run: Run) -> None:
        held = strategy.position.size
        if bar + 1 >= len(opens) or rng.random() > (0.03 if held else 0.3):
            return
        if held and rng.random() < 0.5:
            strategy.position.close()
            run.targets.append({"timestamp": bar, "target": 0.0})
            return
        side = int(rng.choice(sides))
        if held * side > 0:
            run.left_out["adding to a position with levels"] += 1
            return
        stop, take = rng.uniform(3e-4, 5e-3, 2)
        fill = opens[bar + 1] * (1 + side * (entry - 1))
        sl = fill * (1 - side * stop) if rng.random() < 0.8 else None
        tp = fill * (1 + side * take) if rng.random() < 0.8 else None
        now = float(strategy.data.Close[-1]) * (1 + side * (entry - 1))
        if any(level is not None and (now - level) * (fill - level) <= 0 for level in (sl, tp)):
            run.left_out["level passed at the decision"] += 1
            return
        target = side * float(rng.uniform(0.5, 8))
        if held:
            strategy.position.close()
        send(strategy, units_for(strategy, target, mid), sl=sl, tp=tp)
        run.targets.append(
            {
                "timestamp": bar,
                "target": target,
                "stop_loss": None if sl is None else stop,
                "take_profit": None if tp is None else take,
            }
        )

    return decide


def test_stops_and_take_profits_agree_to_the_cent_on_every_bar(eurusd: Any) -> None:
    run = theirs(eurusd, bracketed(eurusd, 2), commission=0.0001)
    result = ours(eurusd, run, commission=0.0001)
    np.testing.assert_allclose(equity_of(result), run.equity, rtol=0, atol=CENT)
    reasons = result.fills["reason"].to_list()
    assert reasons.count("stop") > 30
    assert reasons.count("take_profit") > 30
    assert reasons.count("order") > 100
    assert result.trades.height == len(run.trades)
    assert run.left_out["level passed at the decision"] < 0.05 * len(run.targets)
    assert run.left_out["adding to a position with levels"] < 0.2 * len(run.targets)


@pytest.mark.parametrize(("side", "bid", "ask"), [(1, 1.0, 1.0003), (-1, 0.9997, 1.0)])
def test_their_spread_is_ours_when_all_of_it_is_paid_at_entry(eurusd: Any, side: int, bid: float, ask: float) -> None:
    decide = bracketed(eurusd, 3, entry=1.0003, mid=(bid + ask) / 2, sides=(side,))
    run = theirs(eurusd, decide, spread=0.0003, commission=0.0001)
    result = ours(eurusd, run, bid=bid, ask=ask, commission=0.0001)
    flat = result.ledger["units"].to_numpy() == 0
    assert flat.sum() > 100
    assert result.fills.height > 200
    # While a position is open theirs is marked at the side it leaves on, ours half a spread higher: at mid.
    units, close = result.ledger["units"].to_numpy(), eurusd["Close"].to_numpy()
    at_mid = run.equity + np.abs(units) * close * 0.0003 / 2
    np.testing.assert_allclose(equity_of(result), at_mid, rtol=0, atol=CENT)


# --- Rules that differ, each alone ------------------------------------------------------------------------------


def orders(by_bar: dict[int, Callable[[Any], None]]) -> Decide:
    """What to do at the close of which bar."""

    def decide(strategy: Any, bar: int, run: Run) -> None:
        if bar in by_bar:
            by_bar[bar](strategy)

    return decide


def ask_for(frame: Any, *rows: dict[str, Any], **keys: Any) -> ReplayResult:
    """Targets by hand through our broker."""
    return ours(frame, Run(np.empty(0), None, 0.0, list(rows)), **keys)


def at_100(units: float) -> float:
    """The exposure that is so many units at a price of 100 with the cash that everyone starts with."""
    return units * 100 / CASH


CALM = (100.0, 101.0, 99.0, 100.0)


def test_take_profit_that_is_only_touched_fills_theirs_and_not_ours() -> None:
    market = small(CALM, CALM, (100, 105, 99, 104), (104, 104.5, 103, 104), CALM)
    run = theirs(market, orders({1: lambda s: s.buy(size=10, tp=105)}))
    result = ask_for(market, {"timestamp": 1, "target": at_100(10), "take_profit": 0.05})
    assert run.trades["ExitPrice"].to_list() == [105]
    assert result.fills["reason"].to_list() == ["order"]
    beyond = small(CALM, CALM, (100, 105.01, 99, 104), (104, 104.5, 103, 104), CALM)
    run = theirs(beyond, orders({1: lambda s: s.buy(size=10, tp=105)}))
    result = ask_for(beyond, {"timestamp": 1, "target": at_100(10), "take_profit": 0.05})
    assert run.trades["ExitPrice"].to_list() == [105]
    assert result.fills["price"].to_list() == pytest.approx([100, 105])


def test_stop_and_take_profit_in_one_bar_is_the_stop_in_both() -> None:
    market = small(CALM, CALM, CALM, (100, 106, 94, 100), CALM)
    run = theirs(market, orders({1: lambda s: s.buy(size=10, sl=95, tp=105)}))
    result = ask_for(market, {"timestamp": 1, "target": at_100(10), "stop_loss": 0.05, "take_profit": 0.05})
    assert run.trades["ExitPrice"].to_list() == [95]
    assert result.fills["price"].to_list() == pytest.approx([100, 95])


def test_the_entry_bar_counts_in_both() -> None:
    market = small(CALM, CALM, (100, 101, 94, 100), CALM)
    run = theirs(market, orders({1: lambda s: s.buy(size=10, sl=95)}))
    result = ask_for(market, {"timestamp": 1, "target": at_100(10), "stop_loss": 0.05})
    assert run.trades["ExitPrice"].to_list() == [95]
    assert run.trades["EntryBar"].to_list() == run.trades["ExitBar"].to_list() == [2]
    assert result.fills["price"].to_list() == pytest.approx([100, 95])


def test_their_stop_goes_before_an_order_at_the_open() -> None:
    """An order to sell what is held, and a stop that the same bar reaches later: ours sells at the open and is done,
    theirs is stopped first and then sells again, from flat.
    """
    market = small(CALM, CALM, CALM, (100, 101, 94, 100), CALM)
    run = theirs(market, orders({1: lambda s: s.buy(size=10, sl=95), 2: lambda s: s.sell(size=10)}))
    result = ask_for(
        market,
        {"timestamp": 1, "target": at_100(10), "stop_loss": 0.05},
        {"timestamp": 2, "target": 0.0},
    )
    assert run.trades["ExitPrice"].to_list() == [95]
    assert run.equity[-1] == pytest.approx(CASH - 50)
    assert result.fills["price"].to_list() == pytest.approx([100, 100])
    assert equity_of(result)[-1] == pytest.approx(CASH)


def test_adding_moves_our_levels_and_leaves_theirs() -> None:
    """Theirs keeps two trades with a stop each; ours is one position, whose levels the last addition sets."""
    market = small(CALM, CALM, (100, 101, 99, 100), (110, 111, 109, 110), (110, 110, 96, 100), CALM)
    run = theirs(market, orders({1: lambda s: s.buy(size=10, sl=95), 2: lambda s: s.buy(size=10, sl=99)}))
    result = ask_for(
        market,
        {"timestamp": 1, "target": at_100(10), "stop_loss": 0.05},
        {"timestamp": 2, "target": at_100(20), "stop_loss": 0.06},
    )
    assert run.trades["ExitPrice"].to_list() == [99]
    assert run.trades["Size"].to_list() == [10]
    assert result.fills["units"].to_list() == pytest.approx([10, 10, -20])
    assert result.fills["price"].to_list() == pytest.approx([100, 110, 105 * 0.94])


def test_a_flip_is_two_fixed_commissions_there_and_one_here() -> None:
    market = small(CALM, CALM, CALM, CALM, CALM)
    run = theirs(market, orders({1: lambda s: s.buy(size=10), 2: lambda s: s.sell(size=20)}), commission=(3.0, 0.0))
    result = ask_for(
        market, {"timestamp": 1, "target": at_100(10)}, {"timestamp": 2, "target": -at_100(10.01)}, commission_fixed=3.0
    )
    assert result.fills["units"].to_list() == pytest.approx([10, -20])
    assert run.equity[-1] == pytest.approx(CASH - 9)
    assert equity_of(result)[-1] == pytest.approx(CASH - 6)


def test_their_last_trade_is_finalized_at_the_last_open_ours_at_the_last_close() -> None:
    market = small(CALM, CALM, CALM, (103, 108, 102, 107))
    run = theirs(market, orders({1: lambda s: s.buy(size=10)}), finalize_trades=True)
    result = ask_for(market, {"timestamp": 1, "target": at_100(10)}, close_at_end=True)
    assert run.trades["ExitPrice"].to_list() == [103]
    assert result.fills["price"].to_list() == pytest.approx([100, 107])


def test_an_order_beyond_the_leverage_is_refused_there_and_clipped_here() -> None:
    market = small(CALM, CALM, (200, 201, 199, 200), (200, 201, 199, 200))
    run = theirs(market, orders({1: lambda s: s.buy(size=100)}), margin=1.0)
    result = ask_for(market, {"timestamp": 1, "target": 1.0}, max_leverage=1.0)
    assert run.equity[-1] == CASH
    assert len(run.trades) == 0
    assert result.fills["units"].to_list() == [50]


def test_insolvency_ends_theirs_at_the_close_and_ours_where_equity_is_nothing() -> None:
    market = small(CALM, CALM, CALM, (100, 101, 70, 95), CALM)
    run = theirs(market, orders({1: lambda s: s.buy(size=500)}))
    result = ask_for(market, {"timestamp": 1, "target": at_100(500)})
    assert run.equity[3] == pytest.approx(CASH - 500 * 5), "theirs looks at the close only"
    assert result.fills["reason"].to_list() == ["order", "liquidation"]
    assert result.fills["price"].to_list() == pytest.approx([100, 80])
    gone = small(CALM, CALM, CALM, (100, 101, 70, 75), CALM)
    run = theirs(gone, orders({1: lambda s: s.buy(size=500)}))
    assert run.equity[3] == 0, "and calls what is below nothing nothing"


def test_their_spread_is_paid_once_at_entry_and_ours_half_on_each_side() -> None:
    market = small(CALM, CALM, CALM, CALM, CALM)
    by_bar = {1: lambda s: s.buy(size=10), 2: lambda s: s.position.close()}
    run = theirs(market, orders(by_bar), spread=0.002)
    result = ask_for(market, {"timestamp": 1, "target": at_100(10)}, {"timestamp": 2, "target": 0.0}, spread=0.2)
    assert run.trades[["EntryPrice", "ExitPrice"]].to_numpy()[0] == pytest.approx([100.2, 100])
    assert result.fills["price"].to_list() == pytest.approx([100.1, 99.9])
    assert run.equity[-1] == pytest.approx(equity_of(result)[-1])

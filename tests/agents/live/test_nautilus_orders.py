"""What becomes of single orders of the NautilusTrader strategy, and where its engine does otherwise than the arena."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nautilus_trader", reason="NautilusTrader (extra `nautilus`) is not installed")

from hand_bundles import hand_bundle
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.enums import AccountType, OmsType
from nautilus_worlds import PAIR, Traded, bar_types, in_the_engine, market_data, replayed

from agents.live import Bar, Champion, Decision
from agents.live.nautilus import ChampionStrategy, ChampionStrategyConfig
from markets.bars import Bars
from markets.errors import UserError
from markets.rules import BrokerRules

pytestmark = pytest.mark.usefixtures("plainly_compiled")

RULES = BrokerRules(cash=100_000.0, lot_size=1.0, commission=2e-5, max_leverage=2.0, close_at_end=False)
SPREAD = 0.0002


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hand_bundle(tmp_path_factory.mktemp("hand") / "champion", rules=RULES).path


def hours(*mid: tuple[float, float, float, float]) -> Bars:
    """Hourly bars of those prices at mid; the first and the last stand still around them."""
    rows = np.asarray([(1.3,) * 4, *mid, (mid[-1][3],) * 4])
    time = np.datetime64("2024-01-02T00:00", "us") + np.arange(len(rows)) * np.timedelta64(1, "h")
    return Bars("EURUSD", time, np.round(rows - SPREAD / 2, 5), np.round(rows + SPREAD / 2, 5), np.zeros(len(rows)))


def asks(bars: Bars, **wanted: tuple[float, float | None, float | None]) -> dict[np.datetime64, Decision]:
    """Decisions at the close of bars: `at_0=(target, stop, take_profit)`."""
    return {
        bars.time[int(name.removeprefix("at_"))]: Decision(1, *order, (0.0, 1.0, 0.0), "calm_ranging", 1.0)
        for name, order in wanted.items()
    }


def fills_of(traded: Traded) -> list[tuple[str, float, float]]:
    return [(fill.reason, fill.units, fill.price) for fill in traded.fills]


def test_a_stop_that_a_gap_has_passed_fills_at_its_level_there_and_at_the_open_here(bundle: Path) -> None:
    bars = hours((1.3, 1.301, 1.299, 1.3), (1.27, 1.271, 1.269, 1.27))
    script = asks(bars, at_0=(1.0, 0.01, None))
    traded = in_the_engine(bundle, bars, RULES, script=script)
    ours, _ = replayed(bars, RULES, script)
    level = 1.28709  # 1.3001 · 0.99 = 1.287099, to the tick away from the entry
    assert fills_of(traded) == [("entry", 76923.0, 1.3001), ("stop", -76923.0, level)]
    assert [(fill.reason, fill.units, fill.price) for fill in ours] == [
        ("order", 76923.0, 1.3001),
        ("stop", -76923.0, 1.2699),
    ]


@pytest.mark.parametrize(("side", "theirs"), [(1.0, "take_profit"), (-1.0, "stop")])
def test_a_bar_that_meets_both_levels_goes_by_its_high_first_there(bundle: Path, side: float, theirs: str) -> None:
    bars = hours((1.3, 1.301, 1.299, 1.3), (1.3, 1.32, 1.28, 1.3))
    script = asks(bars, at_0=(side, 0.01, 0.01))
    assert fills_of(in_the_engine(bundle, bars, RULES, script=script))[1][0] == theirs
    assert replayed(bars, RULES, script)[0][1].reason == "stop"


def test_a_stop_within_the_spread_is_refused_and_its_position_closed_at_the_same_price_as_here(bundle: Path) -> None:
    bars = hours((1.3, 1.301, 1.299, 1.3), (1.3, 1.301, 1.299, 1.3))
    script = asks(bars, at_0=(1.0, 0.0001, 0.02))
    ours, _ = replayed(bars, RULES, script)
    assert fills_of(in_the_engine(bundle, bars, RULES, script=script)) == [
        ("entry", 76923.0, 1.3001),
        ("exit", -76923.0, 1.2999),
    ]
    assert [(fill.units, fill.price) for fill in ours] == [(76923.0, 1.3001), (-76923.0, 1.2999)]


@pytest.mark.parametrize("oms", [OmsType.NETTING, OmsType.HEDGING])
@pytest.mark.parametrize("lists", [True, False])
def test_a_turn_closes_with_its_levels_and_opens_with_new_ones(bundle: Path, oms: OmsType, lists: bool) -> None:
    bars = hours(*[(1.3, 1.301, 1.299, 1.3)] * 3, (1.3, 1.301, 1.27, 1.275))
    script = asks(bars, at_0=(1.0, 0.01, 0.02), at_2=(-0.5, 0.01, 0.02))
    traded = in_the_engine(bundle, bars, RULES, script=script, oms=oms, order_lists=lists)
    sold = traded.fills[2].units
    assert fills_of(traded) == [
        ("entry", 76923.0, 1.3001),
        ("exit", -76923.0, 1.2999),
        ("entry", sold, 1.2999),
        ("take_profit", -sold, 1.2739),  # 1.2999 · 0.98 = 1.273902
    ]
    assert sold == -38457.0


def test_a_turn_whose_position_was_stopped_at_that_very_open_opens_no_more_than_was_asked(bundle: Path) -> None:
    bars = hours(*[(1.3, 1.301, 1.299, 1.3)] * 2, (1.28, 1.281, 1.279, 1.28))
    script = asks(bars, at_0=(1.0, 0.01, None), at_2=(-0.5, 0.05, None))
    traded = in_the_engine(bundle, bars, RULES, script=script)
    assert [fill.reason for fill in traded.fills] == ["entry", "stop", "entry"]
    assert traded.seen[-1].account.units == traded.fills[2].units == -38457.0


def test_without_latency_the_engine_fills_at_the_close_that_was_decided_at(bundle: Path) -> None:
    bars = hours((1.3, 1.305, 1.299, 1.304), (1.31, 1.311, 1.309, 1.31))
    script = asks(bars, at_1=(1.0, None, None))
    traded = in_the_engine(bundle, bars, RULES, script=script, latency=None, opens=False)
    assert traded.fills[0].price == 1.3041
    assert in_the_engine(bundle, bars, RULES, script=script).fills[0].price == 1.3101


def test_a_cash_account_is_flat_where_the_champion_is_short(bundle: Path) -> None:
    bars = hours(*[(1.3, 1.301, 1.299, 1.3)] * 4)
    script = asks(bars, at_0=(0.5, None, None), at_2=(-0.5, None, None))
    traded = in_the_engine(bundle, bars, RULES, script=script, account=AccountType.CASH)
    assert fills_of(traded) == [("entry", 38461.0, 1.3001), ("exit", -38461.0, 1.2999)]


def test_a_cap_closes_everything_and_nothing_is_traded_any_more(bundle: Path) -> None:
    bars = hours((1.3, 1.301, 1.299, 1.3), *[(1.2, 1.201, 1.199, 1.2)] * 4)
    script = asks(bars, at_0=(1.0, None, None), at_4=(1.0, None, None))
    traded = in_the_engine(bundle, bars, RULES, script=script, max_drawdown=0.05)
    assert [(fill.reason, fill.time) for fill in traded.fills] == [("entry", bars.time[1]), ("exit", bars.time[3])]
    assert traded.fills[-1].units == -76923.0
    assert in_the_engine(bundle, bars, RULES, script=script, max_exposure=0.5).fills[0].units == 38461.0


def test_levels_can_be_watched_by_nautilus_itself(bundle: Path) -> None:
    bars = hours((1.3, 1.301, 1.299, 1.3), (1.3, 1.301, 1.28, 1.281))
    traded = in_the_engine(bundle, bars, RULES, script=asks(bars, at_0=(1.0, 0.01, 0.02)), emulate=True)
    assert [fill.reason for fill in traded.fills] == ["entry", "stop"]


def strategy(bundle: Path, **config: object) -> ChampionStrategy:
    usual = {"bundle": str(bundle), "instrument_id": PAIR, "bar_types": bar_types()}
    return ChampionStrategy(ChampionStrategyConfig(**usual | config))


def test_what_is_remembered_can_be_gone_on_from(bundle: Path) -> None:
    first, second = strategy(bundle, max_drawdown=0.1), strategy(bundle, max_drawdown=0.1)
    first.champion.warm_up([Bar.from_mid(3600.0 * row, *[1.3 + 0.001 * (row % 7)] * 4) for row in range(1, 40)])
    for row, equity in enumerate([100.0, 110.0, 98.0]):
        first.caps.check(np.datetime64(row, "D").astype("datetime64[us]"), equity)
    second.on_load(first.on_save())
    assert second.champion.state() == first.champion.state()
    assert second.caps.tripped == first.caps.tripped == "drawdown of 10.91% reached max_drawdown 10.00%"


def test_bars_of_a_file_are_a_history(bundle: Path, tmp_path: Path) -> None:
    lines = [{"timestamp": 3600 * row, "open": 1.3, "high": 1.3, "low": 1.3, "close": 1.3} for row in range(-60, 0)]
    bars = hours(*[(1.3, 1.301, 1.299, 1.3)] * 2)
    for line, row in zip(lines, range(-60, 0), strict=True):
        line["timestamp"] = str(bars.time[0] + row * np.timedelta64(1, "h"))
    (tmp_path / "history.jsonl").write_text("\n".join(map(json.dumps, lines)))
    known = len(lines) + len(bars)
    told = in_the_engine(bundle, bars, RULES, history=str(tmp_path / "history.jsonl"), request_history=False).seen
    assert told[-1].decision.reason == f"warming_up: {known} of {Champion.load(bundle).manifest['warm_up']} bars"


@pytest.mark.parametrize(
    ("line", "why"),
    [("{}", "bar: timestamp is missing"), ("5", "expected an object such as"), ("[" * 200_000, "nested too deep")],
)
def test_a_line_that_is_no_bar_is_named(bundle: Path, tmp_path: Path, line: str, why: str) -> None:
    (tmp_path / "broken.jsonl").write_text(f"{line}\n")
    with pytest.raises(UserError, match=rf"broken.jsonl: line 1: {why}[^\n]*$"):
        in_the_engine(bundle, hours((1.3, 1.301, 1.299, 1.3)), RULES, history=str(tmp_path / "broken.jsonl"))


def test_a_bar_that_closes_between_two_answers_costs_no_history(bundle: Path) -> None:
    bars, both = hours(*[(1.3, 1.301, 1.299, 1.3)] * 4), strategy(bundle)
    data = market_data(bars, bar_types(), opens=False)
    past, live = data[:-2], data[-2:]
    both._awaited.add(UUID4())
    for bar in past[0::2]:
        both.on_historical_data(bar)
    for bar in live:
        both.on_bar(bar)
    for bar in past[1::2]:
        both.on_historical_data(bar)
    assert sorted(bar.time for bar in both._history) == list(bars.time)


TRAILING = dataclasses.replace(RULES, trailing=True)


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("how", [{}, {"order_lists": False}, {"oms": OmsType.HEDGING}, {"emulate": True}])
def test_a_trailing_stop_follows_the_bars_as_in_the_arena(tmp_path: Path, side: float, how: dict[str, Any]) -> None:
    """Bars that rise for its holder, fall a little, and then down to where the stop has gone but not where it was."""
    shape = [(0, 2, -1, 1), (1, 12, 0, 11), (11, 13, 6, 8), (8, 9, -1, -1), (-1, 0, -2, -1)]
    rows = [tuple(round(1.3 + side * 0.001 * step, 5) for step in row) for row in shape]
    bars = hours(*[(opened, max(far), min(far), close) for opened, *far, close in rows])
    trailing = hand_bundle(tmp_path / "champion", rules=TRAILING).path
    script = asks(bars, at_0=(side, 0.01, 0.05))
    ours, _ = replayed(bars, TRAILING, script)
    traded = in_the_engine(trailing, bars, TRAILING, script=script, **how)
    assert [fill.reason for fill in traded.fills] == ["entry", "stop"]
    if "emulate" in how:  # it sees the quotes of opens alone
        assert traded.fills[1].time == bars.time[5]
        return
    (entry, stop), (mine, level) = ours, traded.fills
    assert (mine.time, mine.price, level.time) == (entry.time, entry.price, stop.time)
    assert stop.time == bars.time[4]
    assert abs(level.price - stop.price) <= 1e-5
    assert side * (level.price - entry.price) > -0.002  # a fixed one would lie at 0.013 from it


def test_a_stop_that_the_close_has_passed_is_met_at_once(tmp_path: Path) -> None:
    bars = hours((1.3, 1.301, 1.299, 1.3), (1.3, 1.33, 1.299, 1.302), (1.302, 1.303, 1.301, 1.302))
    trailing = hand_bundle(tmp_path / "champion", rules=TRAILING).path
    script = asks(bars, at_0=(1.0, 0.01, 0.05))
    ours, _ = replayed(bars, TRAILING, script)
    theirs = in_the_engine(trailing, bars, TRAILING, script=script).fills
    assert [(fill.time, fill.price) for fill in theirs] == [(fill.time, fill.price) for fill in ours]
    assert (ours[1].reason, theirs[1].reason, theirs[1].time) == ("stop", "exit", bars.time[3])


def test_one_price_gets_the_bundles_spread_and_a_lost_side_is_left_out(bundle: Path) -> None:
    bars = hours(*[(1.3, 1.301, 1.299, 1.3)] * 3)
    middle = in_the_engine(bundle, bars, RULES, kinds=bar_types("MID"), script=asks(bars, at_0=(1.0, None, None)))
    assert fills_of(middle) == [("entry", 76923.0, 1.3001)]
    both = strategy(bundle)
    bid, _, later_bid, later_ask = market_data(bars[:2], bar_types(), opens=False)
    assert [both._side(bid, both._sides), both._side(later_ask, both._sides)] == [None, None]
    whole = both._side(later_bid, both._sides)
    assert whole is not None
    assert (whole.time, whole.bid, whole.ask) == (bars.time[1], tuple(bars.bid[1]), tuple(bars.ask[1]))
    assert both._sides.lost == [bars.time[0]]


@pytest.mark.parametrize(
    ("kinds", "why"),
    [
        (bar_types("BID"), "one of BID and one of ASK, or one of MID or LAST"),
        (bar_types("BID ASK", minutes=30), r"lasts 1800 s; this bundle's bars last 3600 s"),
    ],
)
def test_bar_types_that_are_not_the_bundles_are_refused(bundle: Path, kinds: list, why: str) -> None:
    with pytest.raises(UserError, match=why):
        strategy(bundle, bar_types=kinds)

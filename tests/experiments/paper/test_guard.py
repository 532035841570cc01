"""The risk guard: what stops a paper account, that it is flat then, and that it stays stopped until somebody looked."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from small_papers import LIMITS, TERMS, Moody, Seen, make_bars, tables, trade

from agents.live import Account, Bar, Decision
from agents.live.caps import Caps
from experiments.paper.feeds import EndOfFeedError, FileFeed, bars_in
from experiments.paper.guard import Limits
from experiments.paper.words import units
from experiments.replay.replay import replay
from markets.bars import Bars
from markets.errors import UserError
from markets.rules import BrokerRules
from markets.settings import check

COSTLESS = dataclasses.replace(TERMS, rules=BrokerRules(max_leverage=3.0), warm_up=1)


class Long(Moody):
    """Wants to be long, always."""

    def on_bar(self, bar: Bar, account: Account) -> Decision:
        return Decision(1, None if account.units > 0 else 1.0, None, None, (0.0, 1.0, 0.0), "calm_ranging", 1.0)


def falling(step: float = 0.01, count: int = 60) -> Bars:
    close = 100 * (1 - step) ** np.arange(count)
    opens = np.append(100.0, close[:-1])
    time = np.datetime64("2024-01-01", "us") + np.arange(count) * np.timedelta64(1, "h")
    prices = np.stack([opens, np.maximum(opens, close), np.minimum(opens, close), close], axis=1)
    return Bars.from_mid("MADE", time, prices)


def limits(**changes: object) -> Limits:
    return dataclasses.replace(LIMITS, **changes)


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "journal.jsonl").open()]


def test_a_drawdown_flattens_at_the_next_open_and_stops(tmp_path: Path):
    ending = trade(tmp_path / "a", FileFeed(falling()), terms=COSTLESS, limits=limits(max_drawdown=0.05), player=Long())
    assert ending == ("stopped", "drawdown of 5.85% reached max_drawdown 5.00%")
    ledger = tables(tmp_path / "a")["ledger"]
    equity = ledger["equity"].to_numpy()
    assert 1 - equity[-2] / 1e4 >= 0.05 > 1 - equity[-3] / 1e4
    assert ledger["units"][-1] == 0 != ledger["units"][-2]
    assert tables(tmp_path / "a")["fills"]["reason"].to_list() == ["order", "order"]
    assert tables(tmp_path / "a")["targets"]["target"].to_list()[-2:] == [0.0, None]
    paper = json.loads((tmp_path / "a" / "paper.json").read_text())
    assert (paper["state"], paper["reason"]) == ("stopped", "drawdown of 5.85% reached max_drawdown 5.00%")


def test_what_the_guard_stopped_is_refused_in_one_line_until_again(tmp_path: Path):
    bars, folder = falling(), tmp_path / "a"
    hard = {"terms": COSTLESS, "limits": limits(max_drawdown=0.05)}
    trade(folder, FileFeed(bars), player=Long(), **hard)
    before = (folder / "journal.jsonl").read_bytes()
    with pytest.raises(
        UserError, match=r"its guard stopped it: drawdown of 5\.85% reached max_drawdown 5\.00%; .* --again"
    ):
        trade(folder, FileFeed(bars), player=Long(), **hard)
    assert (folder / "journal.jsonl").read_bytes() == before
    once = len(tables(folder)["ledger"])
    assert trade(folder, FileFeed(bars), player=Long(), again=True, **hard).how == "stopped"
    found = tables(folder)
    assert len(found["ledger"]) == 2 * once  # as far down again, counted from where it went on
    rules = dataclasses.replace(COSTLESS.rules, close_at_end=False)
    assert replay(bars[: len(found["bars"])], found["targets"], rules).ledger.equals(found["ledger"])


def test_a_days_loss_counts_from_the_close_before_the_day():
    guard = limits(max_daily_loss=0.03).caps(100.0)
    day = np.datetime64("2024-01-01T00", "us")
    equities = [100.0, 99.0, 97.5, 97.1, 95.0, 94.3, 94.1]
    hours = [0, 5, 23, 24, 30, 47, 49]
    said = [guard.look(day + np.timedelta64(h, "h"), e) for h, e in zip(hours, equities, strict=True)]
    assert said == ["", "", "", "", "", "loss of 3.28% on 2024-01-02 reached max_daily_loss 3.00%", ""]


def test_the_guard_goes_by_the_caps_of_a_live_bot_whatever_comes():
    rng = np.random.default_rng(3)
    hard = {"max_drawdown": 0.2, "max_daily_loss": 0.1, "max_exposure": 1.5}
    for _ in range(20):
        guard, caps = limits(**hard).caps(100.0), Caps(**hard)
        equity = 100 * np.exp(np.cumsum(np.append(0.0, 0.03 * rng.standard_normal(60))))
        time = np.datetime64("2024-01-01", "us") + np.cumsum(rng.integers(-3, 9, 61)) * np.timedelta64(1, "h")
        for when, worth in zip(time, equity, strict=True):
            said = guard.look(when, float(worth))
            assert said == caps.check(when, float(worth))
            if said:
                break


def test_an_account_without_money_is_stopped_not_divided_by():
    guard = limits().caps(0.0)
    assert guard.look(np.datetime64("2024-01-01", "us"), 0.0) == "drawdown of 100.00% reached max_drawdown 100.00%"


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (17488.1, "+17,488.10"),
        (16796.0, "+16,796.00"),
        (-8735.56, "-8,735.56"),
        (0.012345678, "+0.0123457"),
        (0.0, "+0"),
    ],
)
def test_units_have_one_form(number: float, said: str):
    assert units(number, signed=True) == said
    assert units(number) == said.removeprefix("+")


@pytest.mark.parametrize(("asked", "allowed"), [(0.5, 0.5), (2.0, 1.5), (-9.0, -1.5), (0.0, 0.0)])
def test_exposure_is_cut_to_what_is_allowed(asked: float, allowed: float):
    assert limits(max_exposure=1.5).caps(1.0).clip(asked) == allowed


def test_a_cut_is_said_and_is_what_is_written(tmp_path: Path):
    watcher = Seen()
    trade(tmp_path / "a", FileFeed(make_bars()), limits=limits(max_exposure=0.8), watcher=watcher)
    assert any("exposure of +1.4" in note and "cut to +0.800" in note for note in watcher.notes), watcher.notes
    targets = tables(tmp_path / "a")["targets"]["target"].drop_nulls().to_numpy()
    assert np.abs(targets).max() == 0.8


def test_the_kill_file_stops_it_and_what_was_pending_gives_way(tmp_path: Path):
    kill = tmp_path / "kill"

    class Killing(Long):
        def on_bar(self, bar: Bar, account: Account) -> Decision:
            if str(bar.time).startswith("2024-01-01T06"):
                kill.touch()
                return Decision(2, -2.0, None, None, (0.0, 0.0, 1.0), "calm_ranging", 1.0)
            return super().on_bar(bar, account)

    hard = {"terms": COSTLESS, "limits": limits(kill_file=str(kill))}
    watcher = Seen()
    ending = trade(tmp_path / "a", FileFeed(falling()), player=Killing(), watcher=watcher, **hard)
    assert ending == ("stopped", f"kill file {kill} is there")
    assert watcher.notes[-1] == f"2024-01-01 06:00:00: guard: kill file {kill} is there"
    found = tables(tmp_path / "a")
    assert found["targets"]["target"].to_list() == [1.0, *[None] * 5, 0.0, None]
    assert found["ledger"]["units"].to_list()[-1] == 0
    assert [line["kind"] for line in lines(tmp_path / "a")][-3:] == ["guard", "bar", "stopped"]


class Silent(FileFeed):
    """A live feed that falls silent after so many bars, for so long by its clock, and goes on perhaps."""

    live = True

    def __init__(self, bars: Bars, after: int, silence: float) -> None:
        super().__init__(bars)
        self.after_bars, self.silence, self.time = after, silence, 0.0

    def next(self, timeout: float) -> Bar | None:
        if self._place == self.after_bars and self.silence > 0:
            self.silence -= 10.0
            self.time += 10.0
            return None
        return super().next(timeout)

    def clock(self) -> float:
        return self.time


def test_a_stale_feed_flattens_at_the_bar_that_comes_within_the_grace(tmp_path: Path):
    feed = Silent(falling(), after=10, silence=80.0)
    ending = trade(tmp_path / "a", feed, terms=COSTLESS, player=Long(), clock=feed.clock)
    assert ending == ("stopped", "stale feed: no bar for 60 s")
    assert tables(tmp_path / "a")["ledger"]["units"].to_list()[-1] == 0
    assert len(tables(tmp_path / "a")["bars"]) == 11


def test_a_feed_that_brings_the_same_bar_for_ever_is_stale(tmp_path: Path):
    class Frozen(Silent):
        def next(self, timeout: float) -> Bar | None:
            return super().next(timeout) or bars_in(self._bars[self._place - 1 : self._place])[0]

    feed = Frozen(falling(), after=10, silence=1e6)
    ending = trade(tmp_path / "a", feed, terms=COSTLESS, player=Long(), clock=feed.clock)
    assert ending.why.startswith("stale feed: no bar for 60 s but those passed over (out_of_order); no bar came to")
    assert feed.time == 90.0
    assert [line["kind"] for line in lines(tmp_path / "a")].count("passed") == 1


def test_a_feed_that_stays_silent_is_given_up_with_the_position_open(tmp_path: Path):
    folder, bars = tmp_path / "a", falling()
    feed = Silent(bars, after=10, silence=1e6)
    ending = trade(folder, feed, terms=COSTLESS, player=Long(), clock=feed.clock)
    assert ending.how == "stopped"
    assert ending.why.startswith("stale feed: no bar for 60 s; no bar came to flatten at, the position of 1")
    assert ending.why.endswith("units is still open")
    assert feed.time == 90.0
    assert tables(folder)["ledger"]["units"].to_list()[-1] > 0
    # The order to flatten rests: it is filled first of all when somebody goes on.
    trade(folder, FileFeed(bars), terms=COSTLESS, player=Long(), again=True)
    units = tables(folder)["ledger"]["units"].to_list()
    assert units[9] > 0 == units[10] < units[11]


def test_a_file_is_never_stale_and_a_flat_account_stops_at_once(tmp_path: Path):
    feed = Silent(make_bars(), after=7, silence=1e6)
    ending = trade(tmp_path / "flat", feed, clock=feed.clock)
    assert ending == ("stopped", "stale feed: no bar for 60 s")
    feed = Silent(make_bars(), after=20, silence=200.0)
    feed.live = False
    assert trade(tmp_path / "file", feed, clock=feed.clock).how == "ended"


def test_a_ruined_account_is_stopped(tmp_path: Path):
    class Bold(Long):
        def on_bar(self, bar: Bar, account: Account) -> Decision:
            return dataclasses.replace(super().on_bar(bar, account), target=None if account.units else 3.0)

    bars = falling(0.2)
    terms = dataclasses.replace(COSTLESS, rules=BrokerRules(max_leverage=3.0, ruin=0.5))
    ending = trade(tmp_path / "a", FileFeed(bars), terms=terms, player=Bold(), limits=limits(max_exposure=3.0))
    assert ending == ("stopped", "the account is ruined")
    found = tables(tmp_path / "a")
    assert found["fills"]["reason"].to_list()[-1] == "ruin"


def test_killed_between_the_guards_word_and_its_end_it_still_stops(tmp_path: Path):
    """A journal that ends anywhere behind the guard's word ends in the same ledger."""
    bars, whole = make_bars(), tmp_path / "whole"
    hard = {"limits": limits(max_drawdown=0.04)}
    assert trade(whole, FileFeed(bars), **hard).how == "stopped"
    raw = (whole / "journal.jsonl").read_text().splitlines(keepends=True)
    tripped = next(row for row, line in enumerate(raw) if json.loads(line).get("guard"))
    for end in range(tripped, len(raw)):
        folder = tmp_path / str(end)
        folder.mkdir()
        (folder / "paper.json").write_bytes((whole / "paper.json").read_bytes())
        (folder / "journal.jsonl").write_text("".join(raw[:end]))
        assert trade(folder, FileFeed(bars), **hard).how == "stopped"
        assert tables(folder)["ledger"].equals(tables(whole)["ledger"])


def test_the_end_of_a_feed_while_flattening_says_what_is_open(tmp_path: Path):
    class Ends(FileFeed):
        def next(self, timeout: float) -> Bar | None:
            if self._place >= 7:
                raise EndOfFeedError
            return super().next(timeout)

    hard = {"terms": COSTLESS, "limits": limits(max_drawdown=0.05)}
    ending = trade(tmp_path / "a", Ends(falling()), player=Long(), **hard)
    assert ending.how == "stopped"
    assert "the feed ended before it was flat, the position of 1" in ending.why
    assert tables(tmp_path / "a")["ledger"]["units"].to_list()[-1] > 0


@pytest.mark.parametrize(("name", "value"), [("max_drawdown", 0.0), ("max_daily_loss", 1.5), ("stale", -1.0)])
def test_limits_that_cannot_be_are_refused(name: str, value: float):
    with pytest.raises(UserError, match=name):
        check(limits(**{name: value}))

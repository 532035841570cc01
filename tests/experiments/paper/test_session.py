"""A paper session: the same ledger as a replay of its orders, bit for bit, through stops, kills and torn journals."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import small_papers
from small_papers import LIMITS, RULES, TABLES, TERMS, Few, Moody, Seen, make_bars, tables, trade

from agents.live import Bar
from experiments import cli
from experiments.paper.account import Order, PaperAccount
from experiments.paper.directory import settings_words
from experiments.paper.feeds import EndOfFeedError, FileFeed, Prefaced, bars_in
from experiments.paper.journal import Journal
from experiments.replay.replay import replay
from markets.bars import Bars
from markets.errors import UserError
from markets.rules import BrokerRules


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paper") / "account"
    assert trade(folder, FileFeed(make_bars())).how == "ended"
    return folder


def same(folder: Path, other: Path) -> None:
    for name, table in tables(folder).items():
        assert table.equals(tables(other)[name], null_equal=True), name
    assert (folder / "metrics.json").read_bytes() == (other / "metrics.json").read_bytes()


def test_the_command_it_names_gives_its_ledger_bit_for_bit(undisturbed: Path, tmp_path: Path):
    command = json.loads((undisturbed / "paper.json").read_text())["replay"].split()
    assert command[:2] == ["arena", "replay"]
    place = command.index("--out") + 1
    assert cli.main([*command[1:place], str(tmp_path / "again"), *command[place + 1 :]]) == 0
    for name in ("ledger", "fills", "trades"):
        paper, again = (pl.read_parquet(folder / f"{name}.parquet") for folder in (undisturbed, tmp_path / "again"))
        assert paper.equals(again, null_equal=True), name
    assert (undisturbed / "metrics.json").read_bytes() == (tmp_path / "again" / "metrics.json").read_bytes()
    fills = tables(undisturbed)["fills"]
    assert {"order", "stop", "take_profit", "end"} <= set(fills["reason"])
    assert tables(undisturbed)["ledger"]["financing"].n_unique() > 20  # pauses were charged as they turned out


def test_at_every_bar_the_account_is_what_a_replay_so_far_leaves():
    bars, rng = make_bars(60), np.random.default_rng(5)
    rules = dataclasses.replace(RULES, close_at_end=False)
    account, orders = PaperAccount("MADE", rules, has_volume=True), [None]
    for row, bar in enumerate(bars_in(bars)):
        standing = account.meet(bar, orders[-1])
        asked = pl.DataFrame(
            {
                "timestamp": bars.time[: row + 1],
                "target": [None if o is None else o.target for o in [*orders[1:], None]],
            },
            schema_overrides={"target": pl.Float64},
        )
        if row % 7 == 0:
            ledger = replay(bars[: row + 1], asked, rules).ledger
            assert (standing.equity, standing.units) == (ledger["equity"][-1], ledger["units"][-1])
        orders.append(Order(float(rng.normal())) if rng.random() < 0.3 else None)
    begun = PaperAccount("MADE", rules, has_volume=True)
    assert begun.begin(bars_in(bars), [*orders[1:]]) == standing
    assert begun.result(closes=True).ledger.equals(account.result(closes=True).ledger)


@pytest.mark.parametrize("after", [1, 9, 60])
def test_stopped_and_gone_on_with_it_ends_as_if_it_had_not_been(after: int, undisturbed: Path, tmp_path: Path):
    folder = tmp_path / "account"
    assert trade(folder, FileFeed(make_bars()), stop=Few(after)).how == "interrupted"
    if after > 1:
        ledger, units = tables(folder)["ledger"], json.loads((folder / "metrics.json").read_text())["rules"]
        assert len(ledger) == after
        assert units["close_at_end"] is False
    assert trade(folder, FileFeed(make_bars())).how == "ended"
    same(folder, undisturbed)


def test_a_file_that_grew_goes_on_with_the_position_that_its_end_closed_in_the_files(undisturbed: Path, tmp_path: Path):
    folder = tmp_path / "account"
    for count in (70, 110, 150):
        assert trade(folder, FileFeed(make_bars()[:count])).how == "ended"
    same(folder, undisturbed)


def test_what_it_is_told_of_its_account_does_not_depend_on_stops(tmp_path: Path):
    whole, first, second = Moody(), Moody(), Moody()
    trade(tmp_path / "whole", FileFeed(make_bars()), player=whole)
    trade(tmp_path / "parts", FileFeed(make_bars()), player=first, stop=Few(50))
    trade(tmp_path / "parts", FileFeed(make_bars()), player=second)
    assert first.seen + second.seen == whole.seen
    assert {account.held for account in whole.seen} > {0.0, 1.0, 2.0}


def test_a_journal_cut_anywhere_is_gone_on_with_to_the_same_end(undisturbed: Path, tmp_path: Path):
    raw = (undisturbed / "journal.jsonl").read_bytes()
    rng = np.random.default_rng()
    ends = np.flatnonzero(np.frombuffer(raw, np.uint8) == ord("\n")) + 1
    cuts = [0, 1, int(ends[20]), int(ends[40]) - 1, *rng.integers(0, len(raw), 6).tolist()]
    for cut in cuts:
        folder = tmp_path / str(cut)
        folder.mkdir(exist_ok=True)
        (folder / "paper.json").write_bytes((undisturbed / "paper.json").read_bytes())
        (folder / "journal.jsonl").write_bytes(raw[:cut])
        assert trade(folder, FileFeed(make_bars())).how == "ended", cut
        same(folder, undisturbed)


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """A process whose children trade and are killed; what one of them has compiled the next one finds."""
    compiled = {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("compiled")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    packages = os.pathsep.join([str(Path(__file__).parents[3]), *sys.path])
    with subprocess.Popen(
        [sys.executable, small_papers.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **compiled, "PYTHONPATH": packages},
    ) as process:
        yield process
        process.stdin.close()


def test_killed_at_named_moments_no_order_is_lost_or_repeated(
    lives: subprocess.Popen[str], undisturbed: Path, tmp_path: Path
):
    folder = tmp_path / "account"
    moments = [("before", 1), ("half", 1), ("half", 4), ("before", 9), ("after", 12), ("half", 30), ("after", 25)]
    for kind, skip in moments:
        print(folder, kind, skip, file=lives.stdin, flush=True)
        assert int(lives.stdout.readline()) == -9, (kind, skip)
    lines = (folder / "journal.jsonl").read_text().splitlines()
    assert len(lines) > 60
    assert trade(folder, FileFeed(make_bars())).how == "ended"
    same(folder, undisturbed)
    stamps = [line["bar"]["time"] for line in map(json.loads, (folder / "journal.jsonl").open()) if "bar" in line]
    assert len(stamps) == len(set(stamps)) == len(make_bars())


class Oddities(FileFeed):
    """Bars with odd ones in between."""

    live = True

    def __init__(self) -> None:
        super().__init__(make_bars(40))
        self.count = 0

    def next(self, timeout: float) -> Bar | None:
        self.count += 1
        if self.count % 5 == 0:
            now = self._bars.time[self._place - 1]
            return [
                Bar(now + np.timedelta64(1, "m"), [np.nan] * 4, [1.0] * 4),
                Bar(now, [1.0] * 4, [1.0] * 4),
                Bar(now + np.timedelta64(1, "m"), [100.0, 90.0, 95.0, 100.0], [101.0] * 4),
            ][self.count // 5 % 3]
        return super().next(timeout)


def test_odd_bars_are_passed_over_and_the_order_waits_for_the_next_sound_one(tmp_path: Path):
    watcher = Seen()
    trade(tmp_path / "odd", Oddities(), watcher=watcher)
    trade(tmp_path / "plain", FileFeed(make_bars(40)))
    for name, table in tables(tmp_path / "odd").items():
        assert table.equals(tables(tmp_path / "plain")[name], null_equal=True), name
    said = " ".join(watcher.notes)
    assert all(reason in said for reason in ("not_finite", "bad_prices", "out_of_order"))


def test_what_is_passed_over_again_and_again_is_journaled_once_until_a_bar_is_taken(tmp_path: Path):
    class Stuttering(FileFeed):
        count = 0

        def next(self, timeout: float) -> Bar | None:
            self.count += 1
            place = self._place - 1
            if place >= 20 and self.count < 5000:
                self.count += 1
                return bars_in(self._bars[place - self.count % 2 : place + 1])[0]
            return super().next(timeout)

    watcher = Seen()
    trade(tmp_path / "odd", Stuttering(make_bars(40)), watcher=watcher)
    trade(tmp_path / "plain", FileFeed(make_bars(40)))
    same(tmp_path / "odd", tmp_path / "plain")
    passed = [line for line in map(json.loads, (tmp_path / "odd" / "journal.jsonl").open()) if line["kind"] == "passed"]
    assert [line["reason"][:12] for line in passed] == ["out_of_order"] * 2
    assert passed[1]["more"] > 2000
    assert f"{passed[1]['more']} more bars passed over: out_of_order" in watcher.notes
    assert sum("out_of_order" in note for note in watcher.notes) == 2


def test_a_journal_is_read_line_by_line_and_its_torn_end_goes_with_the_next_line(tmp_path: Path):
    path = tmp_path / "journal.jsonl"
    whole = b'{"kind": "a"}\n{"kind": "b", "x": "' + b"x" * 200_000 + b'"}\n'
    path.write_bytes(whole + b'{"kind": "c' + b"c" * 100_000)
    journal = Journal(path)
    assert (journal.torn, path.stat().st_size) == (100_011, len(whole) + 100_011)
    assert [line["kind"] for line in journal.lines()] == ["a", "b"]
    journal.append([{"kind": "d", "name": "\ud800é"}])
    journal.append([{"kind": "e"}])
    journal.close()
    again = Journal(path)
    assert again.torn == 0
    assert [line["kind"] for line in again.lines()] == ["a", "b", "d", "e"]
    assert path.read_bytes().startswith(whole + b'{"kind": "d", "name": "\\ud800\\u00e9", "at": ')
    again.close()
    path.write_bytes(b"torn")
    torn = Journal(path)
    assert (torn.torn, list(torn.lines())) == (4, [])
    torn.close()
    path.write_bytes(b"[" * 100_000 + b"\n")
    deep = Journal(path)
    with pytest.raises(UserError, match="line 1 is damaged"):
        list(deep.lines())
    deep.close()


def test_a_cap_by_volume_holds_as_it_does_in_a_replay(tmp_path: Path):
    rules = dataclasses.replace(RULES, participation=0.5, cash=1e3)
    for name, volume in (("never", 0.0), ("late", np.arange(80) > 40), ("rare", np.arange(80) % 3 == 0)):
        bars = dataclasses.replace(make_bars(80), volume=np.full(80, 4.0) * volume)
        terms = dataclasses.replace(TERMS, rules=rules)
        trade(tmp_path / name, FileFeed(bars), terms=terms)
        found = tables(tmp_path / name)
        written = found["bars"]
        given = dataclasses.replace(bars[7:], volume=written["volume"].to_numpy())
        again = replay(given, found["targets"], rules)
        assert again.ledger.equals(found["ledger"]), name
        assert len(again.fills) > 5, name


def test_the_first_decision_is_at_the_last_bar_of_the_warm_up(undisturbed: Path):
    assert (
        tables(undisturbed)["bars"]["timestamp"][0].replace(tzinfo=None) == make_bars().time[TERMS.warm_up - 1].item()
    )
    kinds = [json.loads(line)["kind"] for line in (undisturbed / "journal.jsonl").open()]
    assert kinds.count("warm_up") == TERMS.warm_up - 1


def test_a_start_takes_the_bars_before_it_to_warm_up_with(tmp_path: Path):
    bars = make_bars()
    trade(tmp_path / "from", FileFeed(bars, bars.time[50]))
    assert tables(tmp_path / "from")["bars"]["timestamp"][0].replace(tzinfo=None) == bars.time[50].item()


def test_settings_are_said_so_that_they_come_back_exactly():
    rules = BrokerRules(commission=1 / 3e4, spread=0.1, participation=0.3, trailing=True, close_at_end=False)
    from experiments.commands.broker_keys import key_values

    assert BrokerRules(**key_values(settings_words(rules))) == rules
    assert settings_words(BrokerRules()) == []


MISTAKES = {
    "other rules": (
        dataclasses.replace(TERMS, rules=BrokerRules(commission=0.5)),
        r"rules\.commission 0\.0001, not 0\.5",
    ),
    "other symbol": (dataclasses.replace(TERMS, symbol="ELSE"), "symbol MADE, not ELSE"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_folder_is_one_accounts(case: str, undisturbed: Path):
    terms, message = MISTAKES[case]
    before = {path: path.read_bytes() for path in undisturbed.iterdir()}
    with pytest.raises(UserError, match=message):
        trade(undisturbed, FileFeed(make_bars()), terms=terms)
    assert {path: path.read_bytes() for path in undisturbed.iterdir()} == before


def test_another_bundle_another_folder_and_another_process_are_refused(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        patch.setitem(small_papers.MANIFEST, "hash", "1" * 64)
        with pytest.raises(
            UserError,
            match=r"of stub 7 of run made \(bundle 0{12}\), not of stub 7 of run made \(bundle 1{12}\); name",
        ):
            trade(undisturbed, FileFeed(make_bars()))
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is no paper account"):
        trade(tmp_path, FileFeed(make_bars()))

    class Inside(FileFeed):
        def next(self, timeout: float) -> Bar | None:
            trade(tmp_path / "held", FileFeed(make_bars()))
            raise EndOfFeedError

    with pytest.raises(UserError, match=r"another process .* is at work on this paper account; wait"):
        trade(tmp_path / "held", Inside(make_bars()))


def test_bars_of_another_length_and_a_damaged_journal_are_refused(undisturbed: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"MADE: bars come 3600 s apart, but this champion's are 60 s"):
        trade(tmp_path / "clock", FileFeed(make_bars()), terms=dataclasses.replace(TERMS, seconds=60.0))
    assert [path.name for path in (tmp_path / "clock").iterdir() if path.suffix == ".parquet"] == []
    folder = tmp_path / "damaged"
    folder.mkdir()
    (folder / "paper.json").write_bytes((undisturbed / "paper.json").read_bytes())
    lines = (undisturbed / "journal.jsonl").read_text().splitlines()
    (folder / "journal.jsonl").write_text("\n".join([*lines[:30], lines[30][:20], *lines[31:], ""]))
    with pytest.raises(UserError, match="line 31 is damaged"):
        trade(folder, FileFeed(make_bars()))


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("equity", 20000.0, "do not follow from its bars and orders"),
        ("units", 1.5, "do not follow from its bars and orders"),
        ("equity", "much", "equity is no number"),
        ("order", ["buy", None, None], "order is no number"),
        ("bar", None, ""),
    ],
)
def test_a_journal_that_was_edited_is_refused_with_the_line(
    key: str, value: object, why: str, undisturbed: Path, tmp_path: Path
):
    folder = tmp_path / "edited"
    folder.mkdir()
    (folder / "paper.json").write_bytes((undisturbed / "paper.json").read_bytes())
    lines = [json.loads(line) for line in (undisturbed / "journal.jsonl").open()]
    lines[60][key] = value
    (folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(UserError, match=rf"journal.jsonl: line 61 is damaged .*{why}.*; bring the file back"):
        trade(folder, FileFeed(make_bars()))


class Handed(FileFeed):
    """Further bars in between, as a live feed may hand them on."""

    live = True

    def __init__(self, bars: Bars, more: list[Bar]) -> None:
        super().__init__(bars)
        self.more = sorted(more, key=lambda bar: bar.time)

    def next(self, timeout: float) -> Bar | None:
        if self.more and self._place < len(self._bars) and self.more[0].time < self._bars.time[self._place]:
            return self.more.pop(0)
        return super().next(timeout)


def moved(bar: Bar, minutes: int) -> Bar:
    return Bar(bar.time + np.timedelta64(minutes, "m"), bar.bid, bar.ask, bar.volume)


class Told(Moody):
    """Remembers what it was shown without deciding."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Bar] = []

    def warm_up(self, bars: Iterable[Bar]) -> int:
        self.shown += list(bars)
        return super().warm_up([])


def test_bars_that_come_too_early_are_passed_over_shown_to_the_champion_and_end_it_where_they_go_on(tmp_path: Path):
    bars, strict = make_bars(40), dataclasses.replace(TERMS, shortest=3600.0)
    after = bars_in(bars[20:21])[0]
    early = [moved(after, 5), moved(after, 10)]
    player, watcher = Told(), Seen()
    assert trade(tmp_path / "two", Handed(bars, early), terms=strict, player=player, watcher=watcher).how == "ended"
    assert player.shown[-2:] == early
    assert not any(bar in early for bar, *_ in watcher.bars)
    when = str(early[0].time.astype("datetime64[s]")).replace("T", " ")
    assert f"{when}: too_early: 300 s after the bar before, at least 3600 s is right" in watcher.notes
    again = Told()  # gone on with before the next bar came, the champion knows of it still
    trade(tmp_path / "stopped", Handed(bars[:21], []), terms=strict)
    lines = (tmp_path / "two" / "journal.jsonl").read_text().splitlines(keepends=True)
    cut = next(row for row, line in enumerate(lines) if json.loads(line)["kind"] == "passed")
    (tmp_path / "stopped" / "journal.jsonl").write_text("".join(lines[: cut + 1]))
    trade(tmp_path / "stopped", FileFeed(bars), terms=strict, player=again)
    assert again.shown[-1] == early[0]
    with pytest.raises(UserError, match="MADE: bars come 300 s apart, but this champion's are 3600 s long"):
        trade(tmp_path / "three", Handed(bars, [*early, moved(after, 15)]), terms=strict)
    halves = [moved(bar, 30) for bar in bars_in(bars[20:24])]
    with pytest.raises(UserError, match="MADE: bars come 1800 s apart"):
        trade(tmp_path / "halves", Handed(bars, halves), terms=strict)
    assert len(tables(tmp_path / "three")["bars"]) == 21 - TERMS.warm_up + 1


def test_a_history_is_journaled_with_the_first_bar_behind_it(tmp_path: Path):
    bars = make_bars(40)
    trade(tmp_path / "a", Prefaced(FileFeed(bars[:5]), bars[:20]))
    assert [json.loads(line)["kind"] for line in (tmp_path / "a" / "journal.jsonl").open()] == ["session"]
    assert trade(tmp_path / "a", FileFeed(bars)).how == "ended"
    assert len(tables(tmp_path / "a")["bars"]) == 40 - TERMS.warm_up + 1


def test_all_of_its_tables_are_there(undisturbed: Path):
    names = {f"{name}.parquet" for name in TABLES} | {"metrics.json", "paper.json", "journal.jsonl"}
    assert {path.name for path in undisturbed.iterdir()} == names
    assert LIMITS.max_exposure >= tables(undisturbed)["targets"]["target"].abs().max()

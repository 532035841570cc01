"""Feeds: files, lines of JSON, and an exchange that CCXT asks over HTTP, from a server in this process."""

import dataclasses
import io
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from small_papers import LIMITS, Seen, make_bars, tables, trade

from agents.live import Bar
from experiments.paper.exchange import ExchangeFeed, open_exchange
from experiments.paper.feeds import EndOfFeedError, Feed, FileFeed, LinesFeed, Prefaced, bars_in
from markets.errors import UserError


def drained(feed: Feed) -> list[Bar]:
    found = []
    while True:
        try:
            bar = feed.next(0.5)
        except EndOfFeedError:
            return found
        if bar is not None:
            found.append(bar)


def test_a_file_gives_its_first_bars_or_those_before_a_start_to_warm_up_with():
    bars = make_bars(30)
    every = bars_in(bars)
    feed = FileFeed(bars)
    assert feed.history(7) == every[:7]
    assert drained(feed) == every[7:]
    feed = FileFeed(bars, bars.time[20] - np.timedelta64(1, "m"))
    assert feed.history(7) == every[13:20]
    assert drained(feed) == every[20:]
    feed.after(bars.time[27])
    assert drained(feed) == []
    later = Prefaced(FileFeed(bars), bars[:10])
    assert later.history(4) == every[6:10]
    later.after(bars.time[9])
    assert drained(later) == every[10:]


def line(**changes: object) -> str:
    values = {"timestamp": "2024-05-01T13:00:00Z", "open": 1.5, "high": 1.6, "low": 1.4, "close": 1.5, "volume": 2}
    return json.dumps(values | changes) + "\n"


def test_lines_are_bars_and_those_known_already_are_passed_over():
    text = line() + "\n" + line(timestamp="2024-05-01T14:00:00Z", spread=0.2) + line(timestamp=1714575600, high=None)
    feed = LinesFeed(io.StringIO(text))
    feed.after(np.datetime64("2024-05-01T13:00:00", "us"))
    first, odd = drained(feed)
    assert (str(first.time), first.bid[0], first.ask[0], first.volume) == ("2024-05-01T14:00:00.000000", 1.4, 1.6, 2.0)
    assert np.isnan(odd.bid[1])  # a market's oddity, for the session to pass over
    assert feed.notes == ["standard input: 1 bars were known already and are passed over"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("soon", r"standard input: line 2 is no object of JSON; right is such as \{"),
        ("[1, 2]", "line 2 is no object of JSON"),
        (json.dumps({"timestamp": 0, "open": 1}), "line 2: bar: high is missing"),
        (line(timestamp="soon").strip(), "line 2: bar: 'soon' is no ISO 8601 time"),
        ("[" * 200_000, "line 2 is no object of JSON"),
    ],
)
def test_a_line_that_is_no_bar_is_named(text: str, message: str):
    feed = LinesFeed(io.StringIO(line() + text + "\n"))
    with pytest.raises(UserError, match=message):
        drained(feed)


def test_of_a_line_only_prices_and_what_the_champion_sees_are_kept():
    text = line(exchange="kraken", mood=0.5, **{"\ud800": 1}) + line(timestamp=1714575600, mood=None)
    feed = LinesFeed(io.StringIO(text), columns=("mood",))
    first, second = drained(feed)
    assert first.columns == {"mood": 0.5}
    assert list(second.columns) == ["mood"]
    assert np.isnan(second.columns["mood"])
    with pytest.raises(UserError, match="line 1: bar: mood is missing; it has: 'timestamp'"):
        drained(LinesFeed(io.StringIO(line()), columns=("mood",)))


def test_a_line_of_another_symbol_is_refused():
    text = line(symbol="MADE") + line(timestamp=1714575600) + line(timestamp=1714579200, symbol="ELSE")
    with pytest.raises(UserError, match=r"line 3: symbol 'ELSE', but the account is of MADE; .* --any-symbol"):
        drained(LinesFeed(io.StringIO(text), symbol="MADE"))
    assert len(drained(LinesFeed(io.StringIO(text)))) == 3


def test_no_line_yet_is_no_bar():
    class Slow(io.StringIO):
        def __iter__(self) -> Iterator[str]:
            time.sleep(0.2)
            yield line()

    feed = LinesFeed(Slow())
    assert feed.next(0.01) is None
    assert feed.next(5.0) is not None


# --- An exchange ------------------------------------------------------------------------------------------------------

NOW = 1_714_575_600 + 1_800.0  # 15:30 on 2024-05-01, in the middle of a candle
HOUR = 3600


class Kraken:
    """What the public REST of Kraken answers, of one market; candles as they would be at the time of asking."""

    def __init__(self) -> None:
        self.now, self.asked, self.trouble, self.holes, self.page = NOW, [], [], set(), 720
        self.fast = 0.0  # seconds that the clock of whoever asks is ahead
        self.times = 0

    def clock(self) -> float:
        return self.now + self.fast

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        if "OHLC" in path:
            self.asked.append(query)
            if self.trouble:
                return self.trouble.pop(0)
            return 200, {"error": [], "result": {"XXBTZUSD": self.candles(int(query.get("since", 0))), "last": 0}}
        if path.endswith("/Time"):
            self.times += 1
            return 200, {"error": [], "result": {"unixtime": int(self.now)}}
        if "AssetPairs" in path:
            pair = {
                "altname": "XBTUSD",
                "wsname": "XBT/USD",
                "aclass_base": "currency",
                "base": "XXBT",
                "aclass_quote": "currency",
                "quote": "ZUSD",
                "lot": "unit",
                "pair_decimals": 1,
                "lot_decimals": 8,
                "cost_decimals": 5,
                "lot_multiplier": 1,
                "leverage_buy": [2],
                "leverage_sell": [2],
                "fees": [[0, 0.4]],
                "fees_maker": [[0, 0.25]],
                "fee_volume_currency": "ZUSD",
                "margin_call": 80,
                "margin_stop": 40,
                "ordermin": "0.0001",
                "costmin": "0.5",
                "tick_size": "0.1",
                "status": "online",
            }
            return 200, {"error": [], "result": {"XXBTZUSD": pair}}
        names = {"XXBT": ("XBT", 10), "ZUSD": ("USD", 4)}
        assets = {
            key: {"aclass": "currency", "altname": name, "decimals": digits, "display_decimals": 2, "status": "enabled"}
            for key, (name, digits) in names.items()
        }
        return 200, {"error": [], "result": assets if "Assets" in path else {}}

    def candles(self, since: int) -> list[list[Any]]:
        """Up to a page of candles behind a time, the last one still growing."""
        first = max(since // HOUR + 1, int(self.now) // HOUR - 719)
        opens = [hour * HOUR for hour in range(first, int(self.now) // HOUR + 1) if hour not in self.holes]
        return [[at, *map(str, prices(at)), "0.0", str(1.0 + at % 7), 10] for at in opens[: self.page]]


def prices(at: int) -> tuple[float, float, float, float]:
    base = 60_000.0 + at // HOUR % 100
    return base, base + 30.5, base - 20.5, base + 10.0


@pytest.fixture
def kraken() -> Iterator[tuple[Kraken, Any]]:
    """The exchange, and CCXT's face of it that asks this machine instead."""
    pytest.importorskip("ccxt")
    world = Kraken()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            code, content = world.answer(parts.path, {k: v[0] for k, v in parse_qs(parts.query).items()})
            body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    exchange = open_exchange("kraken")
    exchange.urls["api"]["public"] = f"http://127.0.0.1:{server.server_port}"
    exchange.enableRateLimit = False
    yield world, exchange
    exchange.session.close()
    server.shutdown()
    server.server_close()


def feed_of(world: Kraken, exchange: Any) -> ExchangeFeed:
    return ExchangeFeed(exchange, "BTC/USD", "1h", clock=world.clock, sleep=world.sleep)


def opens(bars: list[Bar]) -> list[int]:
    return [int(bar.time.astype("datetime64[s]").astype(int)) for bar in bars]


def test_an_exchange_gives_closed_candles_alone_as_they_close(kraken: tuple[Kraken, Any]):
    world, exchange = kraken
    feed = feed_of(world, exchange)
    assert feed.seconds == HOUR
    history = feed.history(50)
    growing = int(NOW) // HOUR * HOUR
    assert opens(history) == list(range(growing - 50 * HOUR, growing, HOUR))
    assert history[3].bid == history[3].ask == prices(growing - 47 * HOUR)
    assert history[3].volume == 1.0 + (growing - 47 * HOUR) % 7
    feed.after(history[-1].time)
    assert feed.next(0.5) is None  # the next is not over
    came = [bar for _ in range(30_000) if (bar := feed.next(0.5)) is not None][:3]
    assert opens(came) == [growing, growing + HOUR, growing + 2 * HOUR]
    assert len(world.asked) < 9  # it asks when a candle can be over, not all the time


@pytest.mark.parametrize(("fast", "told"), [(1900.0, True), (-1900.0, True), (1900.0, False)])
def test_a_growing_candle_is_never_handed_on_whatever_the_clock_here_says(
    fast: float, told: bool, kraken: tuple[Kraken, Any]
):
    world, exchange = kraken
    world.fast = fast
    exchange.has["fetchTime"] = told
    feed = feed_of(world, exchange)
    assert [note for note in feed.notes if "does not tell its time" in note] == feed.notes[: not told]
    growing = int(NOW) // HOUR * HOUR
    assert opens(feed.history(5)) == [growing - back * HOUR for back in (5, 4, 3, 2, 1)]
    feed.after(np.datetime64(growing - HOUR, "s").astype("datetime64[us]"))
    came = []
    while len(came) < 3:
        bar = feed.next(20.0)
        if bar is not None:
            assert opens([bar])[0] + HOUR <= world.now
            came.append(bar)
            if told:
                assert world.now <= opens([bar])[0] + HOUR + 30.0
    assert opens(came) == [growing, growing + HOUR, growing + 2 * HOUR]
    assert world.times <= told * 12  # it is asked now and then alone


def test_a_clock_that_is_set_while_it_runs_is_noticed(kraken: tuple[Kraken, Any]):
    world, exchange = kraken
    feed = feed_of(world, exchange)
    growing = int(NOW) // HOUR * HOUR
    feed.after(np.datetime64(growing - HOUR, "s").astype("datetime64[us]"))
    assert feed.next(0.5) is None
    world.fast = 3000.0
    assert [bar for _ in range(20) if (bar := feed.next(20.0)) is not None] == []


def test_what_was_missed_comes_page_by_page_once_each_and_in_order(kraken: tuple[Kraken, Any]):
    world, exchange = kraken
    feed = feed_of(world, exchange)
    growing = int(NOW) // HOUR * HOUR
    world.page, world.holes = 7, {growing // HOUR - 9, growing // HOUR - 8}
    feed.after(np.datetime64(growing - 30 * HOUR, "s").astype("datetime64[us]"))
    found = [bar for _ in range(60) if (bar := feed.next(0.5)) is not None]
    wanted = [at for at in range(growing - 29 * HOUR, growing, HOUR) if at // HOUR not in world.holes]
    assert opens(found) == wanted
    assert opens(feed.history(20)) == wanted[-20:]


def test_trouble_is_waited_out_longer_each_time_and_said(kraken: tuple[Kraken, Any]):
    world, exchange = kraken
    feed = feed_of(world, exchange)
    growing = int(NOW) // HOUR * HOUR
    feed.after(np.datetime64(growing - 3 * HOUR, "s").astype("datetime64[us]"))
    world.trouble = [
        (503, "busy"),
        (200, {"error": ["EAPI:Rate limit exceeded"]}),
        (200, {"error": ["EService:Unavailable"]}),
    ]
    began, asked = world.now, []
    found: list[Bar] = []
    while len(found) < 2:
        before = len(world.asked)
        bar = feed.next(0.25)
        found += [] if bar is None else [bar]
        if len(world.asked) > before:
            asked.append(world.now - began)
    assert asked == [0.0, 1.0, 3.0, 7.0]
    assert opens(found) == [growing - 2 * HOUR, growing - HOUR]
    assert len(feed.notes) == 3
    assert all(note.startswith("kraken: ") and note.endswith("; trying again") for note in feed.notes)


def test_an_answer_that_is_none_is_asked_for_again(kraken: tuple[Kraken, Any], monkeypatch: pytest.MonkeyPatch):
    import ccxt

    world, exchange = kraken
    feed = feed_of(world, exchange)
    growing = int(NOW) // HOUR * HOUR
    true, answers = exchange.fetch_ohlcv, [ccxt.BadResponse("half"), ccxt.NullResponse("nothing")]

    def fetch(*words: Any) -> Any:
        if answers:
            raise answers.pop()
        return true(*words)

    monkeypatch.setattr(exchange, "fetch_ohlcv", fetch)
    assert opens(feed.history(2)) == [growing - 2 * HOUR, growing - HOUR]
    answers.append(ccxt.BadResponse("half"))
    feed.after(np.datetime64(growing - 2 * HOUR, "s").astype("datetime64[us]"))
    assert opens([bar for _ in range(9) if (bar := feed.next(0.5)) is not None]) == [growing - HOUR]
    assert [note.split(": ")[1] for note in feed.notes] == ["NullResponse", "BadResponse", "BadResponse"]


def test_what_waiting_does_not_mend_is_one_line(kraken: tuple[Kraken, Any]):
    world, exchange = kraken
    feed = feed_of(world, exchange)
    feed.after(np.datetime64(int(NOW) - 9 * HOUR, "s").astype("datetime64[us]"))
    world.trouble = [(200, {"error": ["EQuery:Unknown asset pair"]})]
    with pytest.raises(UserError, match=r"kraken: ExchangeError: .*Unknown asset pair"):
        feed.next(0.5)
    world.trouble = [(503, "busy")] * 10
    with pytest.raises(UserError, match="kraken: does not answer: "):
        feed.history(5)
    with pytest.raises(UserError, match="kraken has no market 'BTC/USX'; did you mean BTC/USD"):
        ExchangeFeed(exchange, "BTC/USX", "1h", clock=world.clock, sleep=world.sleep)
    with pytest.raises(UserError, match="kraken has no candles of '7m'; it has 1m"):
        ExchangeFeed(exchange, "BTC/USD", "7m", clock=world.clock, sleep=world.sleep)
    with pytest.raises(UserError, match="no exchange 'krakn'; did you mean kraken"):
        open_exchange("krakn")
    assert not exchange.apiKey


def test_a_session_on_an_exchange_goes_on_after_a_pause_as_if_it_had_listened(
    kraken: tuple[Kraken, Any], tmp_path: Path
):
    world, exchange = kraken
    patient = dataclasses.replace(LIMITS, stale=1e6)

    def listen(folder: Path, until: float) -> list[str]:
        feed = ExchangeFeed(exchange, "BTC/USD", "1h", clock=world.clock, sleep=lambda _: world.sleep(900.0))
        watcher = Seen()
        ending = trade(
            folder, feed, limits=patient, stop=lambda: world.now >= until, clock=world.clock, watcher=watcher
        )
        assert ending.how == "interrupted"
        return watcher.notes

    listen(tmp_path / "whole", NOW + 40 * HOUR)
    world.now = NOW
    listen(tmp_path / "paused", NOW + 9 * HOUR)
    world.now += 12 * HOUR
    world.trouble = [(503, "busy")]
    assert any("trying again" in note for note in listen(tmp_path / "paused", NOW + 40 * HOUR))
    whole, paused = tables(tmp_path / "whole"), tables(tmp_path / "paused")
    assert len(whole["ledger"]) == 40
    assert len(whole["fills"]) > 3
    for name, table in whole.items():
        assert table.equals(paused[name], null_equal=True), name

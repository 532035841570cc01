"""The feed of an exchange: public candles of any exchange that CCXT knows. No keys, no orders, closed bars alone.

An exchange also shows the candle that is still growing; a bar counts as closed once its time is over and a moment has
passed, by the exchange's clock: this machine's may be fast. Where an exchange does not tell its time, a candle is
closed only when a newer one is there as well. What was missed while nobody listened is fetched first, page by page.
Trouble on the way (no network, a rate limit, an answer that is none) is waited out, longer each time, and said.
"""

import collections
import difflib
import functools
import importlib
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from agents.live import Bar
from markets.errors import UserError

__all__ = ["ExchangeFeed", "open_exchange"]

T = TypeVar("T")

_SETTLE = 2.0  # seconds after its end before a candle counts as final
_CLOCK_HOLDS = 600.0  # seconds before the exchange is asked for its time again
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0  # seconds between tries while there is trouble
_TRIES = 6  # before the first bar, where somebody sits and waits


def open_exchange(name: str) -> Any:
    """CCXT's public face of an exchange.

    Raises:
        UserError: CCXT is not installed, or knows no such exchange with candles.
    """
    try:
        ccxt = importlib.import_module("ccxt")
    except ImportError:
        raise UserError("--feed ccxt: needs CCXT; install lineage-arena[live]") from None
    if name not in ccxt.exchanges:
        close = difflib.get_close_matches(name, ccxt.exchanges, n=1)
        raise UserError(f"--feed ccxt: no exchange {name!r}{f'; did you mean {close[0]}?' if close else ''}")
    exchange = getattr(ccxt, name)({"enableRateLimit": True})
    if exchange.has.get("fetchOHLCV") is not True:
        raise UserError(f"--feed ccxt: {name} has no candles of its own; right is an exchange that has")
    return exchange


class ExchangeFeed:
    """Closed candles of one market.

    Args:
        exchange: of `open_exchange`.
        symbol: of the market, as CCXT writes it, such as BTC/USDT.
        timeframe: such as 1h.
        clock: seconds since 1970, as this machine has them.
        sleep: waits so many seconds.

    Attributes:
        seconds: length of a bar.

    Raises:
        UserError: an unknown symbol or timeframe, or an exchange that does not answer.
    """

    live = True

    def __init__(
        self,
        exchange: Any,
        symbol: str,
        timeframe: str,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.notes: list[str] = []
        self._errors = importlib.import_module("ccxt")
        self._exchange, self._symbol, self._timeframe = exchange, symbol, timeframe
        self._clock, self._sleep = clock, sleep
        known = list(exchange.timeframes or ())
        if timeframe not in known:
            raise UserError(f"--feed ccxt: {exchange.id} has no candles of {timeframe!r}; it has {', '.join(known)}")
        self.seconds = float(exchange.parse_timeframe(timeframe))
        self._ready: collections.deque[Bar] = collections.deque()
        self._last: int | None = None  # open of the newest bar that was handed on, in milliseconds
        self._due, self._wait = 0.0, _FIRST_WAIT
        self._tells_time = exchange.has.get("fetchTime") is True
        self._ahead = 0.0  # seconds that this machine's clock is ahead of the exchange's
        self._asked: float | None = None  # when it was last asked for its time
        markets = self._patiently(exchange.load_markets)
        if symbol not in markets:
            close = difflib.get_close_matches(symbol, markets, n=1)
            hint = f"did you mean {close[0]}?" if close else "right is CCXT's name of it, such as BTC/USDT"
            raise UserError(f"--feed ccxt: {exchange.id} has no market {symbol!r}; {hint}")

        self._patiently(self._set_clock)
        if not self._tells_time:
            self.notes.append(f"{exchange.id}: does not tell its time; a candle is taken when a newer one is there")

    def history(self, count: int) -> list[Bar]:
        """The last closed bars, as far back as the exchange goes."""
        length = round(1000 * self.seconds)
        self._patiently(self._set_clock)
        since = (round(1000 * self._now()) // length - count - 2) * length
        found: list[Bar] = []
        while True:
            page = self._patiently(functools.partial(self._page, since))
            if not page:
                return found[-count:] if count else []
            found += page
            since = _milliseconds(page[-1]) + 1

    def after(self, time: np.datetime64) -> None:
        """Leave out bars that do not open later, and fetch those that do."""
        self._last = int(time.astype("datetime64[ms]").astype(np.int64))
        self._ready.clear()
        self._due = 0.0

    def next(self, timeout: float) -> Bar | None:
        """The next closed bar, asked for when it can be there."""
        if not self._ready:
            wait = self._due - self._now()
            if wait > 0:
                self._sleep(min(wait, timeout))
                if self._now() < self._due:
                    return None
            self._fetch()
        if not self._ready:
            return None
        bar = self._ready.popleft()
        self._last = _milliseconds(bar)
        return bar

    def close(self) -> None:
        """Let go of the connection."""
        session = getattr(self._exchange, "session", None)
        if session is not None:
            session.close()

    def _fetch(self) -> None:
        """Ask for what is new; where it fails, put the next try off."""
        since = None if self._last is None else self._last + 1
        try:
            self._set_clock()
            self._ready.extend(self._page(since))
        except self._errors.OperationFailed as error:
            self._trouble(error)
            self._due = self._now() + self._wait
            self._wait = min(2 * self._wait, _LONGEST_WAIT)
            return
        except self._errors.BaseError as error:
            raise UserError(f"{self._exchange.id}: {_first_line(error)}") from None
        self._wait = _FIRST_WAIT
        newest = _milliseconds(self._ready[-1]) if self._ready else self._last
        over = 0.0 if newest is None else newest / 1000 + 2 * self.seconds + _SETTLE
        if self._ready or over > self._now():
            self._due = over
        else:  # a market in which nothing was traded may show its candle late, or never
            self._due = self._now() + min(max(self.seconds / 20, 1.0), 30.0)

    def _page(self, since: int | None) -> list[Bar]:
        """Closed bars of one answer that open at `since` or later, each once, older first."""
        rows = self._exchange.fetch_ohlcv(self._symbol, self._timeframe, since)
        over = 1000 * (self._now() - self.seconds - _SETTLE)
        if not self._tells_time:
            over = min(over, max((row[0] for row in rows), default=0.0) - 1)
        closed = {int(row[0]): row for row in rows if row[0] <= over and (since is None or row[0] >= since)}
        return [_bar(closed[stamp]) for stamp in sorted(closed)]

    def _now(self) -> float:
        """Seconds since 1970 by the exchange's clock, as far as it is known."""
        return self._clock() - self._ahead

    def _set_clock(self) -> None:
        """Ask for the exchange's time at the beginning and now and then: either clock may be set or drift."""
        if not self._tells_time or (self._asked is not None and 0 <= self._clock() - self._asked < _CLOCK_HOLDS):
            return
        try:
            told = self._exchange.fetch_time()
        except self._errors.OperationFailed:
            raise
        except self._errors.BaseError:
            told = None
        if told is None:
            self._tells_time = False
            return
        self._asked = self._clock()
        self._ahead = self._asked - told / 1000  # the answer's way counts as skew, so that a candle is never early

    def _patiently(self, ask: Callable[[], T]) -> T:
        """Ask until there is an answer, a few times."""
        wait = _FIRST_WAIT
        for left in range(_TRIES - 1, -1, -1):
            try:
                return ask()
            except self._errors.OperationFailed as error:
                if not left:
                    raise UserError(f"{self._exchange.id}: does not answer: {_first_line(error)}") from None
                self._trouble(error)
                self._sleep(wait)
                wait *= 2
            except self._errors.BaseError as error:
                raise UserError(f"{self._exchange.id}: {_first_line(error)}") from None
        raise AssertionError

    def _trouble(self, error: Exception) -> None:
        self.notes.append(f"{self._exchange.id}: {_first_line(error)}; trying again")


def _bar(row: Sequence[Any]) -> Bar:
    """The bar of a candle: milliseconds, open, high, low, close, volume."""
    stamp, opened, high, low, close, volume = row
    return Bar.from_mid(np.datetime64(int(stamp), "ms"), opened, high, low, close, volume or 0.0)


def _milliseconds(bar: Bar) -> int:
    return int(bar.time.astype("datetime64[ms]").astype(np.int64))


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:160]}" if lines else type(error).__name__

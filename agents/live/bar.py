"""One closed bar, as a feed hands it over, and what may be wrong with it.

A bar can be made of anything that has the form of one: odd numbers are a market's oddity and are told by `fault`, not
raised. What has not the form of a bar (a stamp that is none, three prices for four) is the program's mistake.
"""

import datetime
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, SupportsFloat

import numpy as np
from numpy.typing import NDArray

from markets.bars import HIGH, LOW, Bars
from markets.errors import UserError
from markets.settings import shown

__all__ = ["Bar", "Prices", "bars_in", "bars_of", "fault", "mended", "newer", "quoted", "sound"]

Stamp = np.datetime64 | np.integer[Any] | datetime.datetime | str | float
Number = SupportsFloat | str | None
Prices = tuple[float, float, float, float]

_PRICES = ("open", "high", "low", "close")

_ROUNDING = 1e-9
"""Relative distance below which a high under a close is the rounding of whoever made the prices, as readers have it."""

_LEAST, _MOST = 1e-30, 1e30
"""Prices between these fit float32 with room for what is made of them."""

_COUNTS = ((10**11, 10**6), (10**14, 10**3), (10**17, 1))
"""Counts since 1970 below these are of seconds, milliseconds and microseconds, as readers of files tell them; and the
microseconds of one."""

_COUNTED = re.compile(r"(\d{9,13}|\d{15,16})(\.\d*)?|\d{18,19}", re.ASCII)
"""A count since 1970 as text; other lengths may be dates."""

_MOST_COUNT = 10**20
"""No stamp is further away, in whatever it is counted."""

_EVER = np.iinfo(np.int64).min
"""Before any stamp, as a number."""

_NOT_A_TIME = np.datetime64("NaT", "us")


@dataclass(frozen=True, slots=True, init=False)
class Bar:
    """A closed bar of one instrument.

    Attributes:
        time: its open, UTC, `datetime64[us]`.
        bid: open, high, low, close on the bid side, in price.
        ask: the same on the ask side.
        volume: units traded in it; 0 in a market without volume.
        columns: the user's own columns by name; NaN where there is no value.
    """

    time: np.datetime64
    bid: Prices
    ask: Prices
    volume: float
    columns: Mapping[str, float]

    def __init__(
        self,
        time: Stamp,
        bid: Iterable[Number],
        ask: Iterable[Number],
        volume: Number = 0.0,
        columns: Mapping[str, Number] | None = None,
    ) -> None:
        """Take a bar in any form a feed may have it. A number may be written as text, as in "1.12".

        Args:
            time: of its open: `datetime64`, `datetime` (UTC where it names no zone), ISO 8601 text, or a count since
                1970 in s, ms, µs or ns, told by its size.
            bid: open, high, low, close; None is a missing one.
            ask: the same.
            volume: units traded.
            columns: the user's own columns.

        Raises:
            UserError: no stamp, not four prices, or something that is no number.
        """
        put = object.__setattr__
        put(self, "time", _stamp(time))
        put(self, "bid", _prices(bid, "bid"))
        put(self, "ask", _prices(ask, "ask"))
        put(self, "volume", _number(volume, "volume"))
        if columns and not isinstance(columns, Mapping):
            raise UserError(f"bar: columns: expected a mapping of names to numbers, got {shown(columns)}")
        put(self, "columns", {name: _number(value, name) for name, value in columns.items()} if columns else {})

    @classmethod
    def from_mid(
        cls,
        time: Stamp,
        open: Number,
        high: Number,
        low: Number,
        close: Number,
        volume: Number = 0.0,
        *,
        spread: Number = 0.0,
        columns: Mapping[str, Number] | None = None,
    ) -> "Bar":
        """A bar of one price, with a full spread, in price, put around it."""
        mid, half = _prices((open, high, low, close), "prices"), 0.5 * _number(spread, "spread")
        return cls(time, [price - half for price in mid], [price + half for price in mid], volume, columns)

    @classmethod
    def of(cls, given: Any, columns: Iterable[str] | None = None) -> "Bar":
        """A bar as it is, or `from_mapping` of a mapping.

        Raises:
            UserError: neither of them, or a mapping that is no bar.
        """
        if isinstance(given, Mapping):
            return cls.from_mapping(given, columns=columns)
        if not all(hasattr(given, name) for name in cls.__slots__):
            raise UserError(f"bar: expected a Bar, or a mapping with timestamp and prices, got {shown(given)}")
        bar: Bar = given
        return bar

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], *, columns: Iterable[str] | None = None) -> "Bar":
        """A bar of a line of JSON or a row of a table.

        Args:
            values: `timestamp`, and `open, high, low, close` (with `spread` where there is one), or the same with
                `bid_` or nothing before it and `ask_open … ask_close` (a `spread` beside them is not used); `volume`
                where there is one. `symbol` is passed over; whatever else is there is a column of the user's own.
            columns: names of the columns that are wanted; whatever else is there is then passed over, whatever it is.

        Raises:
            UserError: a missing key, prices in a mixture of forms, or something that is no number.
        """
        if not isinstance(values, Mapping):
            raise UserError(f"bar: expected a mapping with timestamp and prices, got {shown(values)}")
        keys = _price_keys(values)
        wanted = None if columns is None else tuple(columns)
        for key in ("timestamp", *keys, *(wanted or ())):
            if key not in values:
                raise UserError(f"bar: {key} is missing; it has: {', '.join(map(shown, values)) or 'nothing'}")
        known = {"timestamp", "symbol", "volume", "spread", *keys}
        names = wanted if wanted is not None else [name for name in values if name not in known]
        own = {name: values[name] for name in names}
        time, volume, prices = values["timestamp"], values.get("volume", 0.0), [values[key] for key in keys]
        if len(prices) > 4:
            return cls(time, prices[:4], prices[4:], volume, own)
        opened, high, low, close = prices
        return cls.from_mid(time, opened, high, low, close, volume, spread=values.get("spread", 0.0), columns=own)


def fault(bar: Bar) -> str:
    """Why a bar is not taken: a reason, a colon and what is wrong; empty where nothing is."""
    (bo, bh, bl, bc), (ao, ah, al, ac) = bar.bid, bar.ask
    # One chain of comparisons passes the sound bar; a NaN fails it wherever it stands.
    if (
        _LEAST < bl <= bo <= bh < _MOST
        and bl <= bc <= bh
        and bl <= al <= ao <= ah < _MOST
        and al <= ac <= ah
        and bo <= ao
        and bh <= ah
        and bc <= ac
        and 0.0 <= bar.volume < math.inf
        and not np.isnat(bar.time)
        and not any(map(math.isinf, bar.columns.values()))
    ):
        return ""
    return _fault(bar)


def sound(bars: Bars) -> NDArray[np.bool_]:
    """Which of many bars `fault` has nothing to say of [bars]."""
    good = np.isfinite(bars.volume) & (bars.volume >= 0) & ~np.isnat(bars.time) & (bars.bid <= bars.ask).all(axis=1)
    for prices in (bars.bid, bars.ask):
        opened, high, low, close = prices.T
        slack = _ROUNDING * high
        good &= ((prices > _LEAST) & (prices < _MOST)).all(axis=1) & (low <= high + slack)
        good &= (np.maximum(opened, close) <= high + slack) & (np.minimum(opened, close) >= low - slack)
    for column in bars.columns.values():
        good &= ~np.isinf(column)
    return np.asarray(good)


def newer(bars: Bars, last: np.datetime64 | None, shortest: float = 0.0) -> NDArray[np.bool_]:
    """Which of many bars a champion takes whose newest bar is `last` [bars].

    They are sound, newer than all before, and open at least `shortest` seconds after the one that is taken before.
    """
    good = sound(bars)
    stamps = np.where(good, bars.time.astype("datetime64[us]").astype(np.int64), _EVER)
    first = _EVER if last is None else int(last.astype("datetime64[us]").astype(np.int64))
    before = np.maximum.accumulate(np.concatenate([[first], stamps]))[:-1]
    rows = np.flatnonzero(good & (stamps > before))
    step, kept = round(shortest * 1e6), list[int]()
    if last is not None:
        rows = rows[stamps[rows] - first >= step]
    if len(rows) and (np.diff(stamps[rows]) < step).any():
        least = _EVER
        for row, stamp in zip(rows.tolist(), stamps[rows].tolist(), strict=True):
            if stamp >= least:
                kept.append(row)
                least = stamp + step
        rows = np.asarray(kept)
    taken = np.zeros(len(bars), bool)
    taken[rows] = True
    return taken


def bars_of(bars: Sequence[Bar], columns: Iterable[str]) -> Bars:
    """Many bars as one table, with these columns of the user's own."""
    return Bars(
        "",
        np.asarray([bar.time for bar in bars], "datetime64[us]"),
        np.asarray([bar.bid for bar in bars], np.float64).reshape(-1, 4),
        np.asarray([bar.ask for bar in bars], np.float64).reshape(-1, 4),
        np.asarray([bar.volume for bar in bars], np.float64),
        {name: np.asarray([bar.columns[name] for bar in bars], np.float64) for name in columns},
    )


def bars_in(bars: Bars) -> list[Bar]:
    """The bars of a table, one by one."""
    columns = {name: column.tolist() for name, column in bars.columns.items()}
    rows = zip(bars.time, bars.bid.tolist(), bars.ask.tolist(), bars.volume.tolist(), strict=True)
    return [Bar(*row, {name: own[place] for name, own in columns.items()}) for place, row in enumerate(rows)]


def quoted(bid: Prices, ask: Prices, spread: float | None, rate: float | None) -> tuple[Prices, Prices]:
    """Highs and lows around opens and closes, and the spread of a broker's rules, as `Bars.with_spread` puts it.

    Plain numbers, as arrays of four would take most of a decision's time.

    Args:
        bid: open, high, low, close as they come.
        ask: the same.
        spread: of the rules, in price; None with no `rate` leaves the quotes' own.
        rate: of the rules, as a fraction of the price; it adds to `spread`.
    """
    bid, ask = (bid[0], max(bid), min(bid), bid[3]), (ask[0], max(ask), min(ask), ask[3])
    if spread is None and rate is None:
        return bid, ask
    whole, share, low, high = spread or 0.0, rate or 0.0, [], []
    for below, above in zip(bid, ask, strict=True):
        mid = 0.5 * (below + above)
        half = 0.5 * (whole + share * mid)
        low.append(mid - half)
        high.append(mid + half)
    return (low[0], low[1], low[2], low[3]), (high[0], high[1], high[2], high[3])


def mended(prices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Prices [bars, 4] with high and low exactly around open and close, as readers mend what rounding left."""
    whole = np.array(prices, np.float64)
    if len(whole):
        whole[:, HIGH], whole[:, LOW] = whole.max(axis=1), whole.min(axis=1)
    return whole


def _fault(bar: Bar) -> str:
    if np.isnat(bar.time):
        return "not_finite: the bar has no time"
    numbers = {f"{side} {name}": value for side in ("bid", "ask") for name, value in _named(getattr(bar, side))}
    for name, value in (*numbers.items(), ("volume", bar.volume)):
        if not math.isfinite(value):
            return f"not_finite: {name} is {value}"
    for name, value in bar.columns.items():
        if math.isinf(value):
            return f"not_finite: {shown(name)} is {value}"
    for name, value in numbers.items():
        if not _LEAST < value < _MOST:
            return f"bad_prices: {name} is {value}"
    for side in ("bid", "ask"):
        opened, high, low, close = getattr(bar, side)
        slack = _ROUNDING * high
        if max(opened, low, close) > high + slack or min(opened, close) < low - slack:
            return f"bad_prices: {side} open, high, low, close are {opened}, {high}, {low}, {close}"
    for name, low, high in zip(_PRICES, bar.bid, bar.ask, strict=True):
        if high < low:
            return f"bad_prices: {name} is {high} ask, below {low} bid"
    return f"bad_prices: volume is {bar.volume}" if bar.volume < 0 else ""


def _price_keys(values: Mapping[str, Any]) -> list[str]:
    """Names of the prices of a mapping: four, or four of the bid and four of the ask."""
    plain, bid, ask = ([f"{side}{name}" for name in _PRICES] for side in ("", "bid_", "ask_"))
    there = [[key for key in keys if key in values] for keys in (plain, bid, ask)]
    if there[0] and there[1]:
        found = ", ".join([*there[0], *there[1]])
        raise UserError(f"bar: {found}: expected open, high, low, close or bid_open … bid_close, not both")
    if there[1] or there[2]:
        return [*(plain if there[0] else bid), *ask]
    return plain


def _named(prices: Prices) -> list[tuple[str, float]]:
    return list(zip(_PRICES, prices, strict=True))


def _prices(values: Iterable[Number], what: str) -> Prices:
    given = values.tolist() if isinstance(values, np.ndarray) else values
    if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
        raise UserError(f"bar: {what}: expected open, high, low, close, got {shown(given)}")
    found = [_number(value, what) for value in given]
    if len(found) != 4:
        raise UserError(f"bar: {what}: expected open, high, low, close, got {len(found)} numbers")
    return found[0], found[1], found[2], found[3]


def _number(value: Number, what: str) -> float:
    if type(value) is float:
        return value
    if value is None:
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf
    except (TypeError, ValueError):
        raise UserError(f"bar: {shown(what)[1:-1]}: expected a number, got {shown(value)}") from None


def _stamp(time: Stamp) -> np.datetime64:
    if isinstance(time, np.datetime64):
        stamp: np.datetime64 = time.astype("datetime64[us]")
        return stamp
    if isinstance(time, str):
        text = time.strip()
        if _COUNTED.fullmatch(text):
            return _counted(float(text) if "." in text else int(text))
        try:
            time = datetime.datetime.fromisoformat(text)
        except ValueError:
            raise UserError(f"bar: {shown(time)} is no ISO 8601 time, such as 2024-05-01T13:00:00Z") from None
    if isinstance(time, datetime.datetime):
        if time.tzinfo is not None:
            try:
                time = time.astimezone(datetime.UTC).replace(tzinfo=None)
            except OverflowError:  # a zone that reaches before the year 1 or beyond 9999
                return _NOT_A_TIME
        return np.datetime64(time, "us")
    if isinstance(time, bool) or not isinstance(time, int | float | np.integer | np.floating):
        raise UserError(f"bar: {shown(time)} is no time; give a datetime, ISO 8601 text or a count since 1970")
    return _counted(int(time) if isinstance(time, int | np.integer) else float(time))


def _counted(count: float) -> np.datetime64:
    """Seconds, milliseconds, microseconds or nanoseconds since 1970, each told by its size."""
    size = abs(count)
    if not size < _MOST_COUNT:
        return _NOT_A_TIME
    micros = next((count * each for below, each in _COUNTS if size < below), None)
    if micros is None:
        micros = count // 1000
    return np.datetime64(round(micros), "us")

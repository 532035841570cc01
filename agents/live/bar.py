"""One closed bar, in whatever form a feed hands it over.

A bar can be made of anything that has the form of one: odd numbers are a market's oddity and are not raised, see
`agents.live.quotes`. What has not the form of a bar (a stamp that is none, three prices for four) is the program's
mistake.
"""

import datetime
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, SupportsFloat

import numpy as np

from markets.bars import Bars
from markets.errors import UserError
from markets.settings import shown

__all__ = ["PRICES", "Bar", "Prices", "bars_in", "bars_of"]

Stamp = np.datetime64 | np.integer[Any] | datetime.datetime | str | float
Number = SupportsFloat | str | None
Prices = tuple[float, float, float, float]

PRICES = ("open", "high", "low", "close")
"""Names of a side's prices, in order."""

_COUNTS = ((10**11, 10**6), (10**14, 10**3), (10**17, 1))
"""Counts since 1970 below these are of seconds, milliseconds and microseconds, as readers of files tell them; and the
microseconds of one."""

_COUNTED = re.compile(r"(\d{9,13}|\d{15,16})(\.\d*)?|\d{18,19}", re.ASCII)
"""A count since 1970 as text; other lengths may be dates."""

_MOST_COUNT = 10**20
"""No stamp is further away, in whatever it is counted."""

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


def bars_of(bars: Sequence[Bar], columns: Iterable[str], symbol: str = "") -> Bars:
    """Many bars as one table, with these columns of the user's own."""
    return Bars(
        symbol,
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


def _price_keys(values: Mapping[str, Any]) -> list[str]:
    """Names of the prices of a mapping: four, or four of the bid and four of the ask."""
    plain, bid, ask = ([f"{side}{name}" for name in PRICES] for side in ("", "bid_", "ask_"))
    there = [[key for key in keys if key in values] for keys in (plain, bid, ask)]
    if there[0] and there[1]:
        found = ", ".join([*there[0], *there[1]])
        raise UserError(f"bar: {found}: expected open, high, low, close or bid_open … bid_close, not both")
    if there[1] or there[2]:
        return [*(plain if there[0] else bid), *ask]
    return plain


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

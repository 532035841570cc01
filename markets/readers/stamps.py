"""Timestamps: from whatever a file writes to microseconds, and from the source's clock to UTC.

A column of stamps is read in ONE family of formats, the one that fits most of its first rows; a stamp that does not fit
is a bad row, never a guess in another format.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from markets.errors import UserError

__all__ = ["Stamps", "bar_length", "opens_of_closes", "parse_stamps", "to_utc"]

DAY = np.timedelta64(86_400_000_000, "us")

_SAMPLE = 256
_DATES = {
    "%Y-%m-%d": r"\d{4}-\d{1,2}-\d{1,2}",
    "%Y.%m.%d": r"\d{4}\.\d{1,2}\.\d{1,2}",
    "%Y/%m/%d": r"\d{4}/\d{1,2}/\d{1,2}",
    "%Y%m%d": r"\d{8}",
    "%d.%m.%Y": r"\d{1,2}\.\d{1,2}\.\d{4}",
    "%d/%m/%Y": r"\d{1,2}/\d{1,2}/\d{4}",
    "%d-%m-%Y": r"\d{1,2}-\d{1,2}-\d{4}",
}
_MONTH_FIRST = {"%d/%m/%Y": "%m/%d/%Y", "%d-%m-%Y": "%m-%d-%Y"}
_TIMES = {
    " %H:%M:%S%.f": r" \d{1,2}:\d{2}:\d{2}(\.\d*)?",
    " %H:%M": r" \d{1,2}:\d{2}",
    "": r"",
    " %H%M%S": r" \d{6}",
    " %H%M": r" \d{4}",
    "%H%M%S": r"\d{6}",
    " %I:%M %p": r" \d{1,2}:\d{2} [AP]M",
    " %I:%M:%S %p": r" \d{1,2}:\d{2}:\d{2} [AP]M",
}
_EPOCH = r"^\d{9,13}(\.\d*)?$|^\d{15,16}(\.\d*)?$|^\d{18,19}$"
_OFFSET = r"(?::\d{2}(?:\.\d+)?)\s*(?:GMT|UTC)?([+-]\d{2}):?(\d{2})?$"
_OFFSET_TAIL = r"\s*(?:GMT|UTC)?[+-]\d{2}:?(?:\d{2})?$"
_UTC_TAIL = r"\s*(?:Z|UTC|GMT)$"
_EPOCH_START, _NANOS_A_DAY = np.datetime64(0, "us"), 86_400 * 10**9
_FIRST, _LAST = np.datetime64("1800-01-01", "us"), np.datetime64("2200-01-01", "us")


@dataclasses.dataclass(frozen=True, slots=True)
class Stamps:
    """A column of stamps.

    Attributes:
        time: `datetime64[us]` [rows], NaT where unreadable.
        kind: `local` without any zone, `counted` from 1970, or `zoned`, that is written with an offset.
    """

    time: NDArray[np.datetime64]
    kind: Literal["local", "counted", "zoned"]


def parse_stamps(columns: Sequence[pl.Series], *, day_first: bool | None, source: object, key: str) -> Stamps:
    """Read one column of stamps, or a column of dates and one of times.

    Args:
        columns: one or two columns of text, numbers, dates or datetimes.
        day_first: order of `01/02/2012` where the column does not settle it.
        source: name of the file, for messages.
        key: dotted key of `day_first`, for messages.

    Raises:
        UserError: a column of a type that is no time, or dates whose day and month cannot be told apart.
    """
    columns = [_of_time(column, source) for column in columns]
    first = columns[0]
    if isinstance(first.dtype, pl.Datetime):
        zoned = first.dtype.time_zone is not None
        moments = first.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zoned else first
        return Stamps(_plausible(moments), "zoned" if zoned else "local")
    if first.dtype == pl.Date and len(columns) == 1:
        return Stamps(_plausible(first.cast(pl.Datetime("us"))), "local")
    texts = [_text(column) for column in columns]
    text = texts[0] if len(texts) == 1 else texts[0] + " " + texts[1]
    sample = text.drop_nulls().head(_SAMPLE)
    if _mostly(sample, _EPOCH):
        return Stamps(_plausible(_from_epoch(text)), "counted")
    if _mostly(sample, _UTC_TAIL):
        stripped = pl.select(pl.when(text.str.contains(_UTC_TAIL)).then(text.str.replace(_UTC_TAIL, ""))).to_series()
        return Stamps(_plausible(_from_text(stripped, day_first, source, key)), "zoned")
    if _mostly(sample, _OFFSET):
        local = _from_text(text.str.replace(_OFFSET_TAIL, ""), day_first, source, key)
        return Stamps(_plausible(local - _offsets(text)), "zoned")
    return Stamps(_plausible(_from_text(text, day_first, source, key)), "local")


def _of_time(column: pl.Series, source: object) -> pl.Series:
    """A column of a type that may hold times; null where the moment is beyond what any market has seen.

    Far moments must go before polars moves, rescales or writes them out, which it can not.
    """
    kind = column.dtype
    if isinstance(kind, pl.Datetime):
        unit = np.timedelta64(1, kind.time_unit)
    elif kind == pl.Date:
        unit = DAY
    elif kind == pl.Time:
        return pl.select(
            pl.when(column.to_physical().is_between(0, _NANOS_A_DAY, closed="left")).then(column)
        ).to_series()
    elif kind in (pl.String, pl.Null) or kind.is_integer() or kind.is_float():
        return column
    else:
        raise UserError(f"{source}: the column of times holds {kind}; right is times, dates, numbers or text")
    low, high = (int((moment - _EPOCH_START) // unit) for moment in (_FIRST, _LAST))
    inside = column.to_physical().is_between(low, high, closed="left")
    return pl.select(pl.when(inside).then(column)).to_series()


def _mostly(sample: pl.Series, pattern: str) -> bool:
    return 2 * int(sample.str.contains(pattern).sum() or 0) > len(sample)


def _offsets(text: pl.Series) -> pl.Series:
    """How far stamps such as `… +02:00` or `… GMT-0500` are ahead of UTC; null where they do not say."""
    hours = text.str.extract(_OFFSET, 1)
    minutes = 60 * hours.cast(pl.Int64, strict=False).abs()
    minutes = minutes + text.str.extract(_OFFSET, 2).fill_null("0").cast(pl.Int64, strict=False)
    ahead = pl.when(hours.str.starts_with("-")).then(-minutes).otherwise(minutes)
    return pl.select((60_000_000 * ahead).cast(pl.Duration("us"))).to_series()


def _text(column: pl.Series) -> pl.Series:
    if column.dtype.is_float():
        column = column.cast(pl.Int64, strict=False)
    return column.cast(pl.String, strict=False).str.strip_chars()


def _plausible(column: pl.Series) -> NDArray[np.datetime64]:
    """As NumPy, without the years no market has seen."""
    time = column.cast(pl.Datetime("us")).to_numpy().astype("datetime64[us]")
    return np.where((time >= _FIRST) & (time < _LAST), time, np.datetime64("NaT", "us"))


def _from_epoch(text: pl.Series) -> pl.Series:
    """Seconds, milliseconds, microseconds or nanoseconds since 1970, each told by its magnitude."""
    plain = text.str.replace(r"\.\d*$", "")
    count = pl.select(pl.when(text.str.contains(_EPOCH)).then(plain.cast(pl.Int64, strict=False))).to_series()
    micros = (
        pl.when(count < 10**11)
        .then(count * 10**6)
        .when(count < 10**14)
        .then(count * 10**3)
        .when(count < 10**17)
        .then(count)
        .otherwise(count // 1000)
    )
    return pl.select(micros.cast(pl.Datetime("us"))).to_series()


def _from_text(text: pl.Series, day_first: bool | None, source: object, key: str) -> pl.Series:
    text = text.str.replace("T", " ", literal=True)
    if _mostly(text.drop_nulls().head(_SAMPLE), "-[AP]M$"):
        text = text.str.replace("-([AP]M)$", ":00 $1")
    sample = text.drop_nulls().head(_SAMPLE).to_list()
    date = _most_frequent(sample, _DATES)
    if date in _MONTH_FIRST:
        date = _day_or_month(text, date, day_first, source, key)
    return _coalesced(text, date)


def _most_frequent(sample: list[str], shapes: Mapping[str, str]) -> str:
    """The key whose shape most of the texts have, from their first letter on; the first key where none has any."""
    hits = {key: sum(re.match(shape, text) is not None for text in sample) for key, shape in shapes.items()}
    return max(hits, key=lambda key: hits[key])


def _coalesced(text: pl.Series, date: str) -> pl.Series:
    """Stamps with this way of writing the date and any way of writing the time; null where none fits."""
    sample = text.drop_nulls().head(_SAMPLE).to_list()
    shape = _DATES.get(date) or _DATES[next(day for day, month in _MONTH_FIRST.items() if month == date)]
    usual = _most_frequent(sample, {time: shape + tail + "$" for time, tail in _TIMES.items()})
    stamps = _strict(text, date + usual)
    for time in _TIMES:
        if not (stamps.is_null() & text.is_not_null()).any():
            break
        stamps = pl.select(pl.coalesce(stamps, _strict(text, date + time))).to_series()
    return stamps


def _strict(text: pl.Series, form: str) -> pl.Series:
    return text.str.to_datetime(form, time_unit="us", strict=False)


def _day_or_month(text: pl.Series, date: str, day_first: bool | None, source: object, key: str) -> str:
    """Which of the two the first number is: what the user said, else what fits more rows."""
    month_first = _MONTH_FIRST[date]
    if day_first is not None:
        return date if day_first else month_first
    day, month = (int(_coalesced(text, form).is_not_null().sum()) for form in (date, month_first))
    if day == month:
        example = text.drop_nulls().head(1).to_list()
        raise UserError(
            f"{source}: {''.join(example)!r} may begin with the day or the month; {key} says which (true or false)"
        )
    return date if day > month else month_first


def to_utc(
    time: NDArray[np.datetime64], timezone: str | None
) -> tuple[NDArray[np.datetime64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Turn local stamps into UTC.

    Returns:
        UTC stamps (NaT where there is none), which stamps are ambiguous (their hour is repeated when clocks go back)
        and which do not exist (their hour is skipped when clocks go forward), each [rows].
    """
    nothing = np.zeros(len(time), bool)
    if timezone is None or timezone == "UTC":
        return time, nothing, nothing
    local = pl.Series(time)

    def moments(*, earliest: bool) -> NDArray[np.datetime64]:
        zoned = local.dt.replace_time_zone(timezone, ambiguous="earliest" if earliest else "null", non_existent="null")
        return zoned.dt.convert_time_zone("UTC").dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")

    sure, some = moments(earliest=False), moments(earliest=True)
    known = ~np.isnat(time)
    return sure, known & np.isnat(sure) & ~np.isnat(some), known & np.isnat(some)


def bar_length(time: NDArray[np.datetime64]) -> np.timedelta64 | None:
    """The most frequent distance between neighbouring stamps, the smaller on a tie; None for fewer than two bars."""
    if len(time) < 2:
        return None
    lengths, counts = np.unique(np.diff(time), return_counts=True)
    length: np.timedelta64 = lengths[np.argmax(counts)]
    return length


def opens_of_closes(
    local: NDArray[np.datetime64], utc: NDArray[np.datetime64], timezone: str | None
) -> NDArray[np.datetime64]:
    """The opens, in UTC, of bars stamped at their close; strictly increasing like the stamps.

    An open is its own close less the length of a bar, so gaps do not matter: the bar after a weekend opens one length
    before its close, not at the close of the bar before. Days and weeks are taken off the local clock (a day in which
    clocks change is not 24 h long), months off the calendar.

    Args:
        local: stamps in the source's clock, sorted [bars]; at least two.
        utc: the same in UTC.
        timezone: the source's clock, None for UTC.
    """
    length, elapsed = bar_length(local), bar_length(utc)
    assert length is not None
    assert elapsed is not None
    if length < DAY or length % DAY != np.timedelta64(0, "us"):
        return utc - elapsed
    earlier = _a_month_before(local) if 28 * DAY <= length <= 31 * DAY else local - length
    opens, ambiguous, skipped = to_utc(earlier, timezone)
    opens = np.where(ambiguous | skipped, utc - elapsed, opens)
    return opens if np.all(np.diff(opens) > np.timedelta64(0, "us")) else utc - elapsed


def _a_month_before(time: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """The same day and time one month earlier; month ends go to month ends."""
    month, day = time.astype("datetime64[M]"), time.astype("datetime64[D]")
    days_before = month.astype("datetime64[D]") - (month - 1).astype("datetime64[D]")
    month_ends = np.all((day + 1).astype("datetime64[M]") > month)
    place = days_before - 1 if month_ends else np.minimum(day - month.astype("datetime64[D]"), days_before - 1)
    before: NDArray[np.datetime64] = ((month - 1).astype("datetime64[D]") + place).astype("datetime64[us]") + (
        time - day
    )
    return before

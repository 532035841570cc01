"""Where what stands in a table: the layout a family of formats recognises.

`Head` is what a family sees (the names and the first cells), `Layout` what it answers. `by_name` reads any header that
calls its columns by the usual names, so that a family adds only what is peculiar to it.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence

__all__ = ["ASK", "PRICES", "Head", "Layout", "by_name", "plain_name", "unnamed"]

PRICES = ("open", "high", "low", "close")
ASK = ("ask_open", "ask_high", "ask_low", "ask_close")

_STAMPS = (
    "timestamp",
    "datetime",
    "date_time",
    "gmt_time",
    "utc_time",
    "local_time",
    "time_utc",
    "time_gmt",
    "time_eet",
    "open_time",
    "unix",
    "unix_timestamp",
    "date",
    "dtyyyymmdd",
    "time",
    "index_level_0",
    "index",
    "",
)
_UTC = {"gmt_time", "utc_time", "time_utc", "time_gmt", "open_time", "unix", "unix_timestamp"}
_ALIASES = {
    **{f"bid_{name}": name for name in PRICES},
    "ticker": "symbol",
    "vol": "volume",
    "adjclose": "adj_close",
    "adjusted_close": "adj_close",
}
_ROLES = {*PRICES, *ASK, "volume", "spread", "adj_factor", "adj_close", "symbol"}


@dataclasses.dataclass(frozen=True, slots=True)
class Head:
    """The beginning of a table.

    Attributes:
        raw: names of the columns as written; empty where the file has no header.
        names: the same as `plain_name` makes them.
        cells: text of the first row of data.
    """

    raw: tuple[str, ...]
    names: tuple[str, ...]
    cells: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """What a family makes of a table.

    Attributes:
        form: name of the form, for people.
        stamp: positions of the timestamp, or of date and time.
        roles: positions of `open`, `high`, `low`, `close` and what else there is.
        names: name of every column, for users' own columns and for messages.
        volumes: positions of volume, the better first; the first with any trade in it counts.
        utc: whether stamps without a zone are UTC by the form's own definition.
        clock: what is known of the form's clock where it is not UTC, for people.
        points: whether the spread is written in points.
    """

    form: str
    stamp: tuple[int, ...]
    roles: Mapping[str, int]
    names: tuple[str, ...]
    volumes: tuple[int, ...] = ()
    utc: bool = False
    clock: str = ""
    points: bool = False


def plain_name(raw: str) -> str:
    """A header cell in lower case, words joined by `_`: `<OPEN>` is `open`, `Adj Close` is `adj_close`."""
    return re.sub(r"[^0-9a-z]+", "_", raw.lower()).strip("_")


def by_name(head: Head, form: str) -> Layout | None:
    """The layout of a header with the usual names; None where a price or the timestamp is missing."""
    names = head.names
    roles: dict[str, int] = {}
    for position, name in enumerate(names):
        role = _ALIASES.get(name, name)
        if role in _ROLES and (role not in roles or name == role):
            roles[role] = position
    stamp = _stamp(names)
    if not stamp or any(name not in roles for name in PRICES):
        return None
    return Layout(
        form=form,
        stamp=stamp,
        roles=roles,
        names=head.raw,
        volumes=(roles["volume"],) if "volume" in roles else (),
        utc=len(stamp) == 1 and names[stamp[0]] in _UTC,
    )


def _stamp(names: Sequence[str]) -> tuple[int, ...]:
    for name in _STAMPS:
        if name in names:
            position = names.index(name)
            if name in ("date", "dtyyyymmdd") and "time" in names:
                return position, names.index("time")
            return (position,)
    return ()


def unnamed(form: str, names: Sequence[str], *, utc: bool = False, clock: str = "", points: bool = False) -> Layout:
    """The layout of a table without header whose columns are known to be `names`."""
    return Layout(
        form=form,
        stamp=_stamp(names),
        roles={name: position for position, name in enumerate(names) if name in _ROLES},
        names=tuple(names),
        volumes=tuple(names.index(name) for name in ("volume", "tick_volume") if name in names),
        utc=utc,
        clock=clock,
        points=points,
    )

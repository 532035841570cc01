"""Where bars come from: the ready-made markets and files, by the name under `market` in configuration."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from markets.bars import Bars
from markets.errors import UserError
from markets.lessons import LESSONS, LessonSettings, lesson_paths
from markets.readers import ReadSettings, read_bars
from markets.settings import build, setting, shown
from markets.sp500 import sp500_bars
from markets.synthetic import SyntheticSettings, oracle_exposures, simulate_paths

__all__ = ["FileSettings", "IndexSettings", "MarketSettings", "Supply", "market_settings", "supply"]


@dataclasses.dataclass(frozen=True)
class FileSettings(ReadSettings):
    """`market=bars`: files, and what they do not say about themselves.

    Attributes:
        path: a file, or several whose symbols are pooled.
    """

    path: tuple[str, ...] = setting(())


@dataclasses.dataclass(frozen=True)
class IndexSettings:
    """`market=sp500`: nothing to choose."""


@dataclasses.dataclass(frozen=True)
class MarketSettings:
    """A market: which, and how its symbols are traded.

    Attributes:
        name: `synthetic`, `momentum`, `reversion`, `precursor`, `sp500` or `bars`.
        mode: `pool` or `basket`.
        source: settings of its own.
    """

    name: str
    mode: Literal["pool", "basket"]
    source: SyntheticSettings | LessonSettings | IndexSettings | FileSettings

    @property
    def made_up(self) -> bool:
        """Whether a seed makes its bars."""
        return isinstance(self.source, SyntheticSettings | LessonSettings)


@dataclasses.dataclass(frozen=True, eq=False)
class Supply:
    """Bars of all symbols, and what only a made-up market knows.

    Attributes:
        bars: by symbol.
        oracle: what the best possible player asks for at each close, −1, 0 or 1, by symbol; None where nobody knows.
    """

    bars: list[Bars]
    oracle: list[NDArray[np.float64]] | None = None


_SOURCES: dict[str, type[Any]] = {
    "synthetic": SyntheticSettings,
    **LESSONS,
    "sp500": IndexSettings,
    "bars": FileSettings,
}


def market_settings(values: object) -> MarketSettings:
    """The settings of a market from its configuration group.

    Raises:
        UserError: an unknown market, key or value.
    """
    if not isinstance(values, Mapping):
        raise UserError(f"market: expected a group of keys, got {shown(values)}; choose one of {', '.join(_SOURCES)}")
    own = dict(values)
    name, mode = own.pop("name", None), own.pop("mode", "pool")
    if not isinstance(name, str) or name not in _SOURCES:
        raise UserError(f"market: {shown(name)} is not a market; there are: {', '.join(_SOURCES)}")
    if mode not in ("pool", "basket"):
        raise UserError(f"market.mode: {shown(mode)} is not one of pool, basket")
    if isinstance(own.get("path"), str):
        own["path"] = [own["path"]]
    source = build(_SOURCES[name], own, "market")
    if name == "bars" and not all(source.path or ("",)):
        raise UserError("market.path: missing; name a file of bars, such as market.path=EURUSD.parquet")
    return MarketSettings(name, mode, source)


def supply(settings: MarketSettings, seed: int) -> Supply:
    """The bars of a market.

    Args:
        settings: which market.
        seed: of a made-up one.

    Raises:
        UserError: a file that cannot be used, or a symbol that two files bring.
    """
    source = settings.source
    if isinstance(source, SyntheticSettings):
        return _synthetic(source, seed)
    if isinstance(source, LessonSettings):
        lessons = lesson_paths(source, seed)
        return Supply([path.bars for path in lessons], [path.oracle for path in lessons])
    if isinstance(source, FileSettings):
        return Supply(_files(source))
    return Supply([sp500_bars()])


def _synthetic(settings: SyntheticSettings, seed: int) -> Supply:
    paths = simulate_paths(settings, seed)
    return Supply([path.bars for path in paths], [oracle_exposures(settings, path) for path in paths])


def _files(settings: FileSettings) -> list[Bars]:
    reading = ReadSettings(**{f.name: getattr(settings, f.name) for f in dataclasses.fields(ReadSettings)})
    found: dict[str, str] = {}
    every = []
    for path in settings.path:
        for bars in read_bars(path, reading):
            if bars.symbol in found:
                raise UserError(
                    f"{path}: brings {bars.symbol}, which {found[bars.symbol]} brings too; name each symbol once"
                )
            found[bars.symbol] = path
            every.append(bars)
    return every

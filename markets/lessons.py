"""Three markets for learning: small enough that the best play is known in closed form, each with something of its own.

Momentum asks to follow, reversion to turn against and to hold, precursor to remember: what it shows must be acted upon
before it pays, and kept when it shows nothing. Each is a finite chain with one feature. Their bars go through the
broker like any others: each opens at the close before it, has no wicks, and its half spread is the cost, a fraction of
the price. The definition is in docs/worlds.md.
"""

import bisect
import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from markets.bars import Bars
from markets.chains import Chain, follow
from markets.errors import UserError
from markets.oracle import EXPOSURES
from markets.settings import check, setting

__all__ = [
    "FEATURE",
    "LESSONS",
    "Lesson",
    "LessonPath",
    "LessonSettings",
    "MomentumSettings",
    "PrecursorSettings",
    "ReversionSettings",
    "lesson_of",
    "lesson_paths",
]

Array = NDArray[np.float64]

FEATURE = "signal"
"""The column of these markets' bars that agents see: known at the close of its bar, about the bar after it."""

_LEVELS = np.arange(-4, 5)
"""y of the reversion market."""
_SHARE = 35 / 256
"""How often a bar of the reversion market begins at y = 0 and one side of it is left for the other: half of 70/256."""
_COUNTDOWN = 3
_DEAREST = 0.4
"""Cost beyond which, as a share of the step, it pays to wait for y = ±2 before turning."""


@dataclasses.dataclass(frozen=True)
class LessonSettings:
    """What the three markets have in common.

    Attributes:
        bars: bars a symbol.
        symbols: how many symbols, independent of each other.
        start: open of the first bar, UTC.
        bar_minutes: length of a bar; bars follow each other day and night.
        price: close before the first bar, in price.
    """

    bars: int = setting(48_000, ge=1)
    symbols: int = setting(1, ge=1)
    start: str = setting("2018-01-01")
    bar_minutes: int = setting(60, ge=1, le=1440)
    price: float = setting(100.0, gt=0)

    def problems(self, where: str) -> Iterator[str]:
        """What the keys cannot mean together, one line each."""
        try:
            np.datetime64(self.start, "us")
        except ValueError:
            yield f"{_dotted(where, 'start')}: {self.start!r} is not a date such as 2018-01-01"


@dataclasses.dataclass(frozen=True)
class MomentumSettings(LessonSettings):
    """`market=momentum`: each bar goes on as the one before more often than not.

    Attributes:
        stay: p, how often a bar has the sign of the one before.
        step: δ, size of every bar's simple return.
        cost: c, paid for each unit of exposure changed; the half spread as a fraction of the price.
    """

    stay: float = setting(0.7, ge=0.5, lt=1)
    step: float = setting(0.002, gt=0, le=0.05)
    cost: float = setting(0.0002, ge=0, le=0.05)


@dataclasses.dataclass(frozen=True)
class ReversionSettings(LessonSettings):
    """`market=reversion`: a level from −4 to 4 that is drawn back to 0 the harder the further it is away (Ehrenfest).

    Attributes:
        step: δ, simple return of a bar on which the level rises by one.
        cost: c, as in `MomentumSettings`.
    """

    step: float = setting(0.002, gt=0, le=0.05)
    cost: float = setting(0.0004, ge=0, le=0.05)

    def problems(self, where: str) -> Iterator[str]:
        """What the keys cannot mean together, one line each."""
        yield from super().problems(where)
        if self.cost > _DEAREST * self.step * (1 + 1e-12):
            yield (
                f"{_dotted(where, 'cost')}: {self.cost:g} must be at most {_DEAREST:g} of {_dotted(where, 'step')} = "
                f"{self.step:g}, up to where the best play is known"
            )


@dataclasses.dataclass(frozen=True)
class PrecursorSettings(LessonSettings):
    """`market=precursor`: now and then a sign counts down to a jump, and between these nothing moves.

    Attributes:
        begin: q, how often an idle bar is followed by the beginning of a countdown.
        jump: J, size of the jump.
        chance: how often it comes.
        cost: c, as in `MomentumSettings`.
    """

    begin: float = setting(0.05, gt=0, le=1)
    jump: float = setting(0.005, gt=0, le=0.05)
    chance: float = setting(0.9, gt=0, le=1)
    cost: float = setting(0.00025, ge=0, le=0.05)


LESSONS: dict[str, type[LessonSettings]] = {
    "momentum": MomentumSettings,
    "reversion": ReversionSettings,
    "precursor": PrecursorSettings,
}
"""Name in configuration → settings."""


@dataclasses.dataclass(frozen=True, eq=False)
class Lesson:
    """What is known of such a market.

    Attributes:
        chain: states, steps and means.
        best: exposure the best player takes in each state with each of `EXPOSURES` held [states, 3].
        reward: ρ*, what that earns a bar in the mean.
    """

    chain: Chain
    best: Array
    reward: float


@dataclasses.dataclass(frozen=True, eq=False)
class LessonPath:
    """One symbol with what drives it.

    Attributes:
        bars: the bars, with the feature among their columns.
        state: of the chain at the close of each bar, about the bar after it, [bars].
        oracle: what the best player asks for at that close: −1, 0 or 1, float64 [bars].
    """

    bars: Bars
    state: NDArray[np.intp]
    oracle: Array


def lesson_of(settings: LessonSettings) -> Lesson:
    """The market as a chain, its best player, and what that earns.

    Raises:
        UserError: settings out of bounds.
    """
    check(settings, "market")
    match settings:
        case MomentumSettings():
            return _momentum(settings)
        case ReversionSettings():
            return _reversion(settings)
        case PrecursorSettings():
            return _precursor(settings)
    raise TypeError(f"{type(settings).__name__} is not a market for learning")


def lesson_paths(settings: LessonSettings, seed: int) -> list[LessonPath]:
    """Every symbol's bars, with what drives them; the same seed gives the same bars.

    Longer runs and runs with more symbols begin with the same bars as shorter ones of the same seed.

    Args:
        settings: the market.
        seed: a whole number, at least 0.

    Raises:
        UserError: settings out of bounds, or prices that leave what numbers hold.
    """
    lesson = lesson_of(settings)
    if seed < 0:
        raise UserError(f"seed: {seed} must be at least 0")
    name = next(name for name, kind in LESSONS.items() if isinstance(settings, kind))
    digits = len(str(settings.symbols))
    return [
        _path(settings, lesson, seed, number, f"{name[:3].upper()}{number + 1:0{digits}d}")
        for number in range(settings.symbols)
    ]


def _momentum(settings: MomentumSettings) -> Lesson:
    sign, p, drift = np.array([-1.0, 1.0]), settings.stay, (2 * settings.stay - 1) * settings.step
    reward = drift - 2 * settings.cost * (1 - p)
    chain = Chain(sign, np.array([[p, 1 - p], [1 - p, p]]), sign * drift, settings.cost)
    return _lesson(chain, np.repeat(sign[:, None], 3, axis=1), reward)


def _reversion(settings: ReversionSettings) -> Lesson:
    rises = 0.5 * (1 - _LEVELS / 4)
    steps = np.diag(rises[:-1], 1) + np.diag(1 - rises[1:], -1)
    chain = Chain(_LEVELS / 4, steps, -settings.step * _LEVELS / 4, settings.cost)
    held = np.where(_LEVELS[:, None] == 0, EXPOSURES, -np.sign(_LEVELS)[:, None].astype(float))
    # E|y| = 280/256: y + 4 is the number of heads of eight coins.
    return _lesson(chain, held, settings.step * (280 / 256) / 4 - 2 * settings.cost * _SHARE)


def _precursor(settings: PrecursorSettings) -> Lesson:
    """States: idle, then the countdown 3, 2, 1 downwards, then 3, 2, 1 upwards."""
    q, paid = settings.begin, settings.chance * settings.jump
    count = np.arange(_COUNTDOWN, 0, -1)
    shown = np.concatenate([[0.0], -count / _COUNTDOWN, count / _COUNTDOWN])
    steps = np.zeros((len(shown), len(shown)))
    steps[0, [0, 1, 1 + _COUNTDOWN]] = 1 - q, q / 2, q / 2
    for first in (1, 1 + _COUNTDOWN):
        for state in range(first, first + _COUNTDOWN - 1):
            steps[state, state + 1] = 1.0
        steps[first + _COUNTDOWN - 1, 0] = 1.0
    last = np.isclose(np.abs(shown), 1 / _COUNTDOWN)
    chain = Chain(shown, steps, np.where(last, np.sign(shown) * paid, 0.0), settings.cost)
    held = np.where(last[:, None], np.sign(shown)[:, None], EXPOSURES)
    return _lesson(chain, held, (paid - settings.cost) / (1 / q + _COUNTDOWN))


def _lesson(chain: Chain, best: Array, reward: float) -> Lesson:
    """A lesson, or staying flat where the play would not earn what it costs."""
    return Lesson(chain, best, reward) if reward > 0 else Lesson(chain, np.zeros_like(best), 0.0)


def _returns(settings: LessonSettings, chain: Chain, states: NDArray[np.intp], uniform: Array) -> Array:
    """Simple returns of bars from the states before the first bar and after each [bars + 1]."""
    shown = chain.shown[states]
    match settings:
        case MomentumSettings():
            return np.asarray(settings.step * shown[1:])
        case ReversionSettings():
            return np.asarray(settings.step * 4 * np.diff(shown))
        case PrecursorSettings():
            sign = np.sign(chain.mean[states[:-1]])
            return np.asarray(np.where(uniform < settings.chance, sign * settings.jump, 0.0))
    raise TypeError(f"{type(settings).__name__} is not a market for learning")


def _path(settings: LessonSettings, lesson: Lesson, seed: int, number: int, symbol: str) -> LessonPath:
    count, chain = settings.bars, lesson.chain
    draws, jumps = (
        np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number, stream))) for stream in range(2)
    )
    states = _walk(chain, draws.random(count + 1))
    returns = _returns(settings, chain, states, jumps.random(count))
    with np.errstate(over="ignore", under="ignore"):
        price = np.concatenate([[settings.price], settings.price * np.cumprod(1 + returns)])
    if not np.all(np.isfinite(price) & (price > np.finfo(np.float32).tiny) & (price < np.finfo(np.float32).max)):
        raise UserError(f"market.bars: over {count:,} bars prices run to zero or infinity; fewer bars or smaller steps")
    opened, close = price[:-1], price[1:]
    mid = np.stack([opened, np.maximum(opened, close), np.minimum(opened, close), close], axis=1)
    time = np.datetime64(settings.start, "us") + np.arange(count) * np.timedelta64(settings.bar_minutes, "m")
    known = states[1:]
    bars = Bars.from_mid(symbol, time, mid, 2 * chain.cost * mid, columns={FEATURE: chain.shown[known]})
    return LessonPath(bars, known, follow(lesson.best, known))


def _walk(chain: Chain, uniform: Array) -> NDArray[np.intp]:
    """A path of states from the stationary distribution, one for each number drawn."""
    rows = np.cumsum(chain.steps, axis=1)[:, :-1].tolist()
    now = bisect.bisect_right(np.cumsum(chain.start())[:-1].tolist(), float(uniform[0]))
    states = [now]
    for draw in uniform[1:].tolist():
        now = bisect.bisect_right(rows[now], draw)
        states.append(now)
    return np.array(states)


def _dotted(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key

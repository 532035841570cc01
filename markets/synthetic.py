"""The synthetic market: bars with an edge of known size, or with none at all.

Claims about learning are proved where the answer is known. Here a bar's open and its path are martingales but for a
mean that past bars reveal, and `edge` says how much the best possible player earns from it (`markets.oracle`). With
`edge` 0 nothing that can be ordered earns anything before costs. The definition is in docs/worlds.md.
"""

import bisect
import dataclasses
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from markets.bars import Bars
from markets.errors import UserError
from markets.oracle import Law, Oracle, mean_shape, oracle_targets, solve, stationary, theta_for_edge
from markets.settings import check, setting

__all__ = [
    "STATES",
    "SyntheticPath",
    "SyntheticSettings",
    "law_of",
    "oracle_exposures",
    "oracle_of",
    "simulate",
    "simulate_paths",
]

Array = NDArray[np.float64]

STATES = ("calm", "normal", "busy", "stormy")
"""Names of the volatility states, in the order of `SyntheticSettings.scales`."""

_SHOCK_LIMIT = 4.0
_YEAR_MINUTES = 365 * 24 * 60
_BUSIEST_HOUR = 14
_STREAMS = ("start", "state", "variance", "gap", "inside", "high", "low")
"""What is drawn, each from a generator of its own, so that longer runs begin with the same draws as shorter ones."""


@dataclasses.dataclass(frozen=True)
class SyntheticSettings:
    """The synthetic market, `market=synthetic`.

    Attributes:
        bars: bars a symbol.
        symbols: how many symbols, independent of each other.
        edge: annualised Sharpe ratio of the oracle after costs; 0 is a market that pays nobody.
        cost: c, half spread in units of σ_t.
        start: open of the first bar, UTC.
        bar_minutes: length of a bar; bars follow each other day and night.
        price: close before the first bar, in price.
        volatility: σ̄, base volatility a bar, as a fraction of price.
        scales: s_k, volatility of the states calm, normal, busy and stormy relative to σ̄.
        stay: probability of staying in a state for another bar; otherwise a neighbour is next.
        day: a, how much the hour matters: q(hour) = 1 + a·cos(2π(hour − 14)/24).
        memory: λ, how much of z the next bar keeps; beyond 0.99 a step is too short for the plan's grid of z.
        tail: ν, degrees of freedom of a bar's return; fewer are fatter tails.
        gap: γ, share of a bar's variance that falls between the close before and its open.
    """

    bars: int = setting(48_000, ge=1)
    symbols: int = setting(1, ge=1)
    edge: float = setting(0.0, ge=0)
    cost: float = setting(0.05, ge=0)
    start: str = setting("2018-01-01")
    bar_minutes: int = setting(60, ge=1, le=1440)
    price: float = setting(100.0, gt=0)
    volatility: float = setting(0.003, gt=0, le=0.05)
    scales: tuple[float, ...] = setting((0.75, 0.9, 1.1, 1.5), gt=0, le=4)
    stay: float = setting(0.98, ge=0, lt=1)
    day: float = setting(0.15, ge=0, lt=1)
    memory: float = setting(0.95, ge=0, le=0.99)
    tail: float = setting(4.9, gt=2)
    gap: float = setting(0.1, ge=0, lt=1)

    def problems(self, where: str) -> Iterator[str]:
        """What the keys cannot mean together, one line each."""
        prefix = f"{where}." if where else ""
        if len(self.scales) != len(STATES):
            yield f"{prefix}scales: {len(self.scales)} given, but there are four states: {', '.join(STATES)}"
        try:
            np.datetime64(self.start, "us")
        except ValueError:
            yield f"{prefix}start: {self.start!r} is not a date such as 2018-01-01"


@dataclasses.dataclass(frozen=True, eq=False)
class SyntheticPath:
    """One symbol with what drives it. Row t is what is known at the close of t, about the bar after it.

    Attributes:
        bars: the bars.
        z: z_t, which past bars reveal, float64 [bars].
        state: volatility state that governs bar t+1, uint8 [bars].
        sigma: σ_t, volatility of bar t+1 as a fraction of price, float64 [bars].
        mean: m_t, expected simple return of bar t+1, float64 [bars].
    """

    bars: Bars
    z: Array
    state: NDArray[np.uint8]
    sigma: Array
    mean: Array


def simulate(settings: SyntheticSettings, seed: int) -> list[Bars]:
    """Bars of every symbol; the same seed gives the same bars.

    Longer runs and runs with more symbols begin with the same bars as shorter ones of the same seed.

    Raises:
        UserError: settings out of bounds.
    """
    return [path.bars for path in simulate_paths(settings, seed)]


def simulate_paths(settings: SyntheticSettings, seed: int) -> list[SyntheticPath]:
    """The same bars together with what drives them.

    Args:
        settings: the market.
        seed: a whole number, at least 0.

    Raises:
        UserError: settings out of bounds.
    """
    check(settings, "market")
    if seed < 0:
        raise UserError(f"seed: {seed} must be at least 0")
    theta = theta_for_edge(settings.edge, law_of(settings))
    digits = len(str(settings.symbols))
    return [_path(settings, theta, seed, k, f"SYN{k + 1:0{digits}d}") for k in range(settings.symbols)]


def law_of(settings: SyntheticSettings) -> Law:
    """The market as its oracle sees it, in units of σ."""
    hour = np.arange(24)
    return Law(
        cost=settings.cost,
        memory=settings.memory,
        scales=settings.scales,
        transition=tuple(map(tuple, _transition(settings).tolist())),
        tail=settings.tail,
        hours=tuple(_hour_factor(settings, hour).tolist()),
        periods=_YEAR_MINUTES / settings.bar_minutes,
    )


def oracle_of(settings: SyntheticSettings) -> Oracle:
    """The best possible player of this market.

    Raises:
        UserError: settings out of bounds, or an edge out of reach.
    """
    check(settings, "market")
    law = law_of(settings)
    return solve(theta_for_edge(settings.edge, law), law)


def oracle_exposures(settings: SyntheticSettings, path: SyntheticPath) -> Array:
    """What the oracle asks for at the close of each bar of a path: −1, 0 or 1, float64 [bars]."""
    return oracle_targets(oracle_of(settings), path.z, path.state)


def _path(settings: SyntheticSettings, theta: float, seed: int, number: int, symbol: str) -> SyntheticPath:
    n, nu, gamma = settings.bars, settings.tail, settings.gap
    rng = {
        name: np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number, stream)))
        for stream, name in enumerate(_STREAMS)
    }
    time = np.datetime64(settings.start, "us") + np.arange(n + 1) * np.timedelta64(settings.bar_minutes, "m")
    hour = (time - time.astype("datetime64[D]")) // np.timedelta64(1, "h")
    state = _states(settings, rng["start"].random(), rng["state"].random(n))
    sigma = settings.volatility * np.array(settings.scales)[state] * _hour_factor(settings, hour)

    variance = sigma[:-1] ** 2 * (nu - 2.0) / rng["variance"].chisquare(nu, n)
    w = (1.0 - gamma) * variance
    gap = -0.5 * gamma * variance + np.sqrt(gamma * variance) * rng["gap"].standard_normal(n)
    inside = -0.5 * w + np.sqrt(w) * rng["inside"].standard_normal(n)
    z = _drivers(np.exp(gap + inside), sigma, theta, settings.memory, rng["start"].standard_normal())
    mean = theta * sigma * mean_shape(z)

    d = np.log1p(mean[:-1]) + inside
    close = settings.price * np.exp(np.cumsum(gap + d))
    before = np.concatenate([[settings.price], close[:-1]])
    opened = before * np.exp(gap)
    # 1 − random() lies in (0, 1], so that its logarithm is finite.
    high = opened * np.exp(0.5 * (d + np.sqrt(d * d - 2.0 * w * np.log(1.0 - rng["high"].random(n)))))
    low = opened * np.exp(0.5 * (d - np.sqrt(d * d - 2.0 * w * np.log(1.0 - rng["low"].random(n)))))
    # Rounding may leave an extreme a last digit short of the close or the open.
    high = np.maximum(high, np.maximum(opened, close))
    low = np.minimum(low, np.minimum(opened, close))
    mid = np.stack([opened, high, low, close], axis=1)
    spread = 2.0 * settings.cost * sigma[:-1] * before
    if not (np.all(np.isfinite(mid)) and np.all(low > 0.5 * spread)):
        raise UserError(f"market.volatility: {settings.volatility:g} lets prices run to zero or infinity; lower it")
    bars = Bars.from_mid(symbol, time[:-1], mid, spread)
    return SyntheticPath(bars, z[1:], state[1:].astype(np.uint8), sigma[1:], mean[1:])


def _drivers(factor: Array, sigma: Array, theta: float, memory: float, first: float) -> Array:
    """Every z, before the first bar and after each, [bars + 1], from each bar's return factor without its mean.

    Sequential, because with an edge the return that moves z depends on z; plain floats are fastest here.
    """
    spread = math.sqrt(1.0 - memory * memory)
    now = first
    z = [now]
    for growth, scale in zip(factor.tolist(), sigma.tolist(), strict=False):
        shape = max(-2.0, min(2.0, now)) if abs(now) > 1.0 else -now
        shock = ((1.0 + theta * scale * shape) * growth - 1.0) / scale
        now = memory * now + spread * max(-_SHOCK_LIMIT, min(_SHOCK_LIMIT, shock))
        z.append(now)
    return np.array(z)


def _states(settings: SyntheticSettings, first: float, uniform: Array) -> NDArray[np.intp]:
    """The chain before the first bar, drawn from its stationary distribution, and after every bar, [bars + 1]."""
    transition = _transition(settings)
    rows = np.cumsum(transition, axis=1)[:, :-1].tolist()
    now = bisect.bisect_right(np.cumsum(stationary(transition))[:-1].tolist(), first)
    states = [now]
    for draw in uniform.tolist():
        now = bisect.bisect_right(rows[now], draw)
        states.append(now)
    return np.array(states)


def _transition(settings: SyntheticSettings) -> Array:
    """Probability of state column after state row: stay, or move to a neighbour, each as likely."""
    count = len(settings.scales)
    beside = np.eye(count, k=1) + np.eye(count, k=-1)
    moves = beside / beside.sum(axis=1, keepdims=True)
    return np.asarray(settings.stay * np.eye(count) + (1.0 - settings.stay) * moves)


def _hour_factor(settings: SyntheticSettings, hour: NDArray[np.integer]) -> Array:
    """q(hour): volatility over the day, UTC, 1 on average and highest in the early afternoon."""
    return np.asarray(1.0 + settings.day * np.cos(2.0 * math.pi * (hour - _BUSIEST_HOUR) / 24.0))

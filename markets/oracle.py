"""The best possible player of the synthetic market, by average-reward dynamic programming.

The market of `markets.synthetic` is a Markov chain that a trader can see: z, what past bars say about the next mean;
the volatility state; and the exposure already held, because changing it costs. Mean, noise and cost are all
proportional to σ_t, so that the plan is solved once, in units of σ, and holds at any price level.

The Sharpe ratio that names an edge is likewise one of returns in units of σ_t: what the oracle earns at constant
risk. Returns as they come, at constant exposure, have a slightly lower one, because stormy bars weigh more in their
deviation; `Oracle.plain_sharpe` gives it.

Two questions are answered here: how large must θ, the size of the mean, be for the oracle to reach a given Sharpe
ratio (`theta_for_edge`), and what does the oracle ask for at each bar (`oracle_targets`).
"""

import dataclasses
import functools
import math

import numpy as np
from numpy.typing import NDArray

from markets.errors import UserError

__all__ = [
    "EXPOSURES",
    "NODES",
    "Law",
    "Oracle",
    "mean_shape",
    "oracle_targets",
    "solve",
    "stationary",
    "theta_for_edge",
]

Array = NDArray[np.float64]

NODES = 91
"""Points of the grid on which z is planned."""

EXPOSURES: Array = np.array([-1.0, 0.0, 1.0])
"""The oracle's choices, as signed multiples of equity."""

_FLAT = 1
_SHOCK_LIMIT = 4.0
_LIMIT = 4.5
_TAIL_NODES = 24
_SPAN_TOLERANCE = 1e-9
_CATCH_UP = 20
_SWEEPS = 20_000
_THETA_TOLERANCE = 1e-6
_THETA_LIMIT = 0.5


def mean_shape(z: Array) -> Array:
    """f(z) of the mean m = θ·σ·f(z): momentum clip(z, ±2) where |z| > 1, reversion −z otherwise."""
    return np.where(np.abs(z) > 1.0, np.clip(z, -2.0, 2.0), -z)


@dataclasses.dataclass(frozen=True)
class Law:
    """What the oracle plans against: the synthetic market in units of its base volatility σ̄.

    Attributes:
        cost: c, half spread in units of σ_t.
        memory: λ of z' = λz + √(1−λ²)·e'.
        scales: s_k, volatility of each state relative to σ̄.
        transition: probability of state column after state row; rows sum to one.
        tail: ν, degrees of freedom of a bar's return.
        hours: q(hour) over a day; known in advance but no state of the plan.
        periods: bars a year.
    """

    cost: float
    memory: float
    scales: tuple[float, ...]
    transition: tuple[tuple[float, ...], ...]
    tail: float
    hours: tuple[float, ...]
    periods: float


@dataclasses.dataclass(frozen=True, eq=False)
class Oracle:
    """The optimal plan for one θ.

    Attributes:
        theta: size of the mean in units of σ_t.
        nodes: z at which the plan is solved, ascending, float64 [91].
        later: value of going on optimally after the next bar with exposure y, in units of σ̄, up to a constant,
            float64 [nodes, states, 3].
        scales: s_k, float64 [states].
        cost: c, half spread in units of σ_t.
        reward: mean return a bar after costs, in units of σ_t.
        deviation: standard deviation of the same.
        sharpe: annualised Sharpe ratio of the same, risk-free rate zero: the edge.
        plain_sharpe: annualised Sharpe ratio of the returns as they come.
        turnover: mean |change of exposure| a bar.
    """

    theta: float
    nodes: Array
    later: Array
    scales: Array
    cost: float
    reward: float
    deviation: float
    sharpe: float
    plain_sharpe: float
    turnover: float


@functools.lru_cache(maxsize=64)
def solve(theta: float, law: Law) -> Oracle:
    """The plan with the best average reward for one θ.

    Relative value iteration (White 1963) over (z, state, exposure held): at the close of t the exposure of bar t+1 is
    chosen, c·σ_t is paid per unit of exposure changed, and θ·σ_t·f(z_t) per unit held is earned in the mean.

    Args:
        theta: size of the mean, in units of σ_t, at least 0.
        law: the market.
    """
    nodes, steps = _steps(theta, law)
    scales, chain = np.array(law.scales), np.array(law.transition)
    earned = scales[:, None] * (theta * mean_shape(nodes))[:, None, None] * EXPOSURES  # [nodes, states, y]
    paid = law.cost * scales[:, None, None] * np.abs(EXPOSURES[:, None] - EXPOSURES)  # [states, x, y]
    drift = np.kron(chain.T, np.eye(len(EXPOSURES)))
    seen = stationary(steps)
    catch_up = np.linalg.pinv(np.eye(len(scales)) - chain) @ (np.eye(len(scales)) - stationary(chain))
    value = np.zeros(earned.shape)
    later = value
    for sweep in range(_SWEEPS):
        later = _expect(steps, value, drift)
        better = np.max((earned + later)[:, :, None, :] - paid, axis=3)
        change = better - value
        value = better - better[len(nodes) // 2, 0, _FLAT]
        if np.ptp(change) < _SPAN_TOLERANCE:
            break
        if sweep % _CATCH_UP == _CATCH_UP - 1:
            # States last long and learn of each other slowly: solve for their common part at once.
            value = value + (catch_up @ np.einsum("z,zkx->k", seen, change) / len(EXPOSURES))[:, None]
    policy = np.argmax((earned + later)[:, :, None, :] - paid, axis=3)
    return _judge(theta, law, nodes, steps, later, policy)


@functools.lru_cache(maxsize=64)
def theta_for_edge(edge: float, law: Law) -> float:
    """The θ for which the oracle's annualised Sharpe ratio after costs is `edge`, by bisection; 0 for edge 0.

    Raises:
        UserError: no reasonable θ reaches that edge.
    """
    if edge == 0.0:
        return 0.0
    low, high = 0.0, 0.125
    while solve(high, law).sharpe < edge:
        low, high = high, 2.0 * high
        if high > _THETA_LIMIT:
            raise UserError(f"market.edge: {edge:g} is out of reach for the oracle; ask for less")
    while high - low > _THETA_TOLERANCE:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if solve(middle, law).sharpe < edge else (low, middle)
    return 0.5 * (low + high)


def oracle_targets(oracle: Oracle, z: Array, state: NDArray[np.integer], *, held: float = 0.0) -> Array:
    """What the oracle asks for at the close of each bar.

    The mean of the next bar is taken at z_t itself, jumps of f included; only what comes later is interpolated between
    nodes. So the plan switches at thresholds of z, not at nodes.

    Args:
        oracle: the plan.
        z: z_t at each close, float64 [bars].
        state: volatility state that governs the next bar, [bars].
        held: exposure before the first decision, one of −1, 0, 1.

    Returns:
        Exposure from the next open on, one of −1, 0, 1, float64 [bars].
    """
    z, state = np.asarray(z, np.float64), np.asarray(state, np.intp)
    left, share = _between(oracle.nodes, z)
    later = oracle.later[left, state] * (1.0 - share)[:, None] + oracle.later[left + 1, state] * share[:, None]
    scale = oracle.scales[state][:, None]
    worth = scale * oracle.theta * mean_shape(z)[:, None] * EXPOSURES + later
    paid = oracle.cost * scale[..., None] * np.abs(EXPOSURES[:, None] - EXPOSURES)
    choice = np.argmax(worth[:, None, :] - paid, axis=2).tolist()  # [bars, x]
    at = int(np.flatnonzero(held == EXPOSURES)[0])
    taken = np.empty(len(choice), np.intp)
    for bar, options in enumerate(choice):
        at = options[at]
        taken[bar] = at
    return EXPOSURES[taken]


def _between(nodes: Array, z: Array) -> tuple[NDArray[np.intp], Array]:
    """The node at or below each z and the share of the way to the next one; clamped at both ends."""
    left = np.clip(np.searchsorted(nodes, z, side="right") - 1, 0, len(nodes) - 2)
    share = (z - nodes[left]) / (nodes[left + 1] - nodes[left])
    return left, np.clip(share, 0.0, 1.0)


def _expect(steps: Array, value: Array, drift: Array) -> Array:
    """E[value(z', state', ·) | z, state] for value [nodes, states, 3]; `drift` moves (state, ·) as columns."""
    return np.asarray((steps @ value.reshape(len(steps), -1) @ drift).reshape(value.shape))


def _steps(theta: float, law: Law) -> tuple[Array, Array]:
    """Nodes of z and the probabilities of moving between them in one bar.

    The mass at z' is shared between the two nodes next to it, in proportion to nearness. A node's share is the second
    difference of the call prices G(g) = E max(z' − g, 0) over the nodes, which keeps E z' exact; what leaves the grid
    stays at its ends.
    """
    nodes = np.linspace(-_LIMIT, _LIMIT, NODES)
    mean = theta * mean_shape(nodes)
    spread = math.sqrt(1.0 - law.memory**2)
    strike = (nodes - law.memory * nodes[:, None]) / spread
    price = spread * _clipped_call(strike, mean[:, None], law.tail)
    slope = np.diff(price, axis=1) / np.diff(nodes)
    ends = np.full((len(nodes), 1), -1.0), np.zeros((len(nodes), 1))
    return nodes, np.diff(np.concatenate([ends[0], slope, ends[1]], axis=1), axis=1)


def _clipped_call(strike: Array, mean: Array, tail: float) -> Array:
    """E max(e' − strike, 0) for e' = clip(mean + shock, ±4)."""
    capped = _call(_SHOCK_LIMIT - mean, tail)
    within = _call(np.clip(strike, -_SHOCK_LIMIT, _SHOCK_LIMIT) - mean, tail) - capped
    return np.asarray(within + np.maximum(-_SHOCK_LIMIT - strike, 0.0))


def _call(strike: Array, tail: float) -> Array:
    """E max(shock − strike, 0) for a shock of Student's t with ν degrees of freedom, scaled to unit variance.

    For T with ν degrees of freedom, E max(T − a, 0) = p(a)·(ν + a²)/(ν − 1) − a·P(T > a), p its density.
    """
    scale = math.sqrt((tail - 2.0) / tail)
    a = strike / scale
    height = math.exp(math.lgamma((tail + 1.0) / 2.0) - math.lgamma(tail / 2.0)) / math.sqrt(tail * math.pi)
    density = height * (1.0 + a**2 / tail) ** (-(tail + 1.0) / 2.0)
    return np.asarray(scale * (density * (tail + a**2) / (tail - 1.0) - a * _upper_tail(a, tail)))


def _upper_tail(a: Array, tail: float) -> Array:
    """P(T > a) for Student's t: with T = √ν·tan φ the density is cos^(ν−1) φ, which a few nodes integrate."""
    first = np.arctan(a / math.sqrt(tail))
    x, weight = np.polynomial.legendre.leggauss(_TAIL_NODES)
    half = 0.5 * (0.5 * math.pi - first)
    angle = first[..., None] + half[..., None] * (x + 1.0)
    height = math.exp(math.lgamma((tail + 1.0) / 2.0) - math.lgamma(tail / 2.0)) / math.sqrt(math.pi)
    return np.asarray(height * half * (np.cos(angle) ** (tail - 1.0) @ weight))


def _judge(theta: float, law: Law, nodes: Array, steps: Array, later: Array, policy: NDArray[np.intp]) -> Oracle:
    """Mean and deviation of a policy's returns under the stationary distribution of (z, state, exposure held)."""
    scales, chain = np.array(law.scales), np.array(law.transition)
    chosen = (policy[..., None] == np.arange(len(EXPOSURES))).astype(float)  # [nodes, states, x, y]
    drift = np.kron(chain, np.eye(len(EXPOSURES)))
    # Neither z nor the state heeds what is held: only the exposure has yet to settle, from flat.
    weight = np.zeros(policy.shape)
    weight[..., _FLAT] = stationary(steps)[:, None] * stationary(chain)
    for _ in range(_SWEEPS):
        following = _expect(steps.T, (weight[..., None, :] @ chosen)[..., 0, :], drift)
        moved = np.abs(following - weight).sum()
        weight = following
        if moved < _SPAN_TOLERANCE:
            break
    exposure = EXPOSURES[policy]
    change = np.abs(exposure - EXPOSURES)
    mean = theta * mean_shape(nodes)[:, None, None] * exposure - law.cost * change
    square = mean**2 + exposure**2
    hours = np.array(law.hours)
    year = math.sqrt(law.periods)
    for shared in (nodes, later, scales):
        shared.flags.writeable = False  # the plan is remembered and handed out again
    reward, deviation = _moments(np.sum(weight * mean), np.sum(weight * square))
    scaled, spread = _moments(
        hours.mean() * np.sum(weight * scales[:, None] * mean),
        np.mean(hours**2) * np.sum(weight * scales[:, None] ** 2 * square),
    )
    return Oracle(
        theta=theta,
        nodes=nodes,
        later=later,
        scales=scales,
        cost=law.cost,
        reward=reward,
        deviation=deviation,
        sharpe=reward / deviation * year if deviation > 0.0 else 0.0,
        plain_sharpe=scaled / spread * year if spread > 0.0 else 0.0,
        turnover=float(np.sum(weight * change)),
    )


def stationary(transition: Array) -> Array:
    """The distribution that a chain with these transition probabilities (rows sum to one) settles in."""
    count = len(transition)
    system = np.concatenate([transition.T - np.eye(count), np.ones((1, count))])
    return np.asarray(np.linalg.lstsq(system, np.append(np.zeros(count), 1.0))[0])


def _moments(mean: float, square: float) -> tuple[float, float]:
    """Mean and standard deviation from the first two moments."""
    return float(mean), math.sqrt(max(float(square - mean * mean), 0.0))

"""Markets that are finite chains: what a table of decisions earns on them, exactly.

A chain says what the market shows now, what it shows next, and what the next bar pays in the mean. A table says which
exposure to take in each state with each exposure held. What it earns a bar in the long run follows from the chain of
both together, without a draw of chance.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from markets.oracle import EXPOSURES, stationary

__all__ = ["Chain", "follow", "worth"]

Array = NDArray[np.float64]

_NEVER = 1e-15
"""A step less likely than this is none: sums of probabilities leave such remains."""


@dataclasses.dataclass(frozen=True, eq=False)
class Chain:
    """A market as a Markov chain, one state a bar.

    Attributes:
        shown: what the market's feature says in each state [states].
        steps: probability of state column after state row [states, states].
        mean: expected simple return of the bar after each state [states].
        cost: paid for each unit of exposure changed, as a fraction of the position's value.
    """

    shown: Array
    steps: Array
    mean: Array
    cost: float

    def start(self) -> Array:
        """How likely each state is in the long run [states]; bars begin so."""
        return stationary(self.steps)


def worth(chain: Chain, table: Array) -> float:
    """Average reward a bar of a table: exposure times return, less what its changes cost.

    The chain of (state, exposure held) may fall apart into classes that are never left. Each is worth the mean over its
    own stationary distribution, periodic or not, and counts as often as it is entered from the start.

    Args:
        chain: the market.
        table: exposure to take, −1, 0 or 1, in each state with each of `EXPOSURES` held [states, 3]; flat at the start.

    Raises:
        ValueError: a table of another shape, or an exposure there is none of.
    """
    states, held = len(chain.mean), len(EXPOSURES)
    if table.shape != (states, held) or not np.isin(table, EXPOSURES).all():
        raise ValueError(f"expected a table of −1, 0 and 1 [{states}, {held}]")
    reward = (table * chain.mean[:, None] - chain.cost * np.abs(table - EXPOSURES)).ravel()
    moves = np.zeros((states, held, states, held))
    state, place = np.indices(table.shape)
    moves[state, place, :, np.searchsorted(EXPOSURES, table)] = chain.steps[state]
    steps = moves.reshape(states * held, states * held)
    start = np.zeros((states, held))
    start[:, held // 2] = chain.start()
    total = 0.0
    for members, chance in _ends(steps, start.ravel()):
        total += chance * float(stationary(steps[np.ix_(members, members)]) @ reward[members])
    return total


def follow(table: Array, states: NDArray[np.intp]) -> Array:
    """The exposures that a table takes along a path of states, flat at first [bars]."""
    place = {float(exposure): index for index, exposure in enumerate(EXPOSURES)}
    rows, now, taken = table.tolist(), 0.0, []
    for state in states.tolist():
        now = rows[state][place[now]]
        taken.append(now)
    return np.array(taken, np.float64)


def _ends(steps: Array, start: Array) -> list[tuple[NDArray[np.intp], float]]:
    """The classes of states that are never left once entered, and how likely each is to be entered from the start."""
    count = len(steps)
    reach = (steps > _NEVER) | np.eye(count, dtype=bool)
    for _ in range(int(count).bit_length()):
        reach = reach.astype(int) @ reach.astype(int) > 0
    mutual = reach & reach.T
    closed = (reach <= mutual).all(axis=1)
    passing = np.flatnonzero(~closed)
    inside = np.eye(len(passing)) - steps[np.ix_(passing, passing)]
    ends, seen = [], np.zeros(count, bool)
    for first in np.flatnonzero(closed):
        if seen[first]:
            continue
        members = np.flatnonzero(mutual[first])
        seen[members] = True
        entered = np.linalg.solve(inside, steps[np.ix_(passing, members)].sum(axis=1))
        ends.append((members, float(start[members].sum() + start[passing] @ entered)))
    return ends

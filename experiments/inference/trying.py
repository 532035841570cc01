"""The grid itself: every rule of every champion on the whole of validation, all at once, and what is chosen of it.

Each symbol's validation rows are one stretch that each lane walks once, from flat. What is kept of a lane is its log
return by block of bars and regime, and how many trades it began in each regime.
"""

import dataclasses
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from arena.inference import Decider, Moment, conduct
from arena.rollout import Rollout
from arena.schemas import REGIME_NAMES
from arena.tally import GROUPS, REGIMES
from experiments.inference.brains import Bench, lanes_of
from experiments.inference.rules import PLAIN, RULES, Rule
from experiments.inference.training import known_rows
from markets.preparation import Market

__all__ = ["Tried", "best_of", "paired", "try_rules"]


@dataclasses.dataclass(frozen=True)
class Tried:
    """How all rules of one champion fared on validation, in the order of `RULES`.

    Attributes:
        returns: log return by block, of the regime or of all [rules, groups, blocks]. A regime's champion is flat
            outside its regime: what leaving costs counts for it, and its other regimes are empty.
        bars: of each regime and of all, in each block [groups, blocks].
        trades: begun in the regime, and at all [rules, groups].
    """

    returns: NDArray[np.float64]
    bars: NDArray[np.int64]
    trades: NDArray[np.int64]


class _Walked(NamedTuple):
    """What lanes made of one stretch."""

    returns: NDArray[np.float64]
    """Log returns [lanes, regimes + 1, blocks]; the last of the regimes is `unknown`."""
    bars: NDArray[np.int64]
    """[regimes + 1, blocks]."""
    trades: NDArray[np.int64]
    """Begun [lanes, regimes + 1, blocks]."""


def try_rules(
    setups: tuple[Rollout, ...],
    bench: Bench,
    market: Market,
    views: Any,
    weights: Mapping[str, NDArray[np.float32]],
    gaps: Mapping[tuple[str, Rule], float],
    *,
    block: int,
    tell: Callable[[str], None] | None = None,
) -> dict[str, Tried]:
    """Let every champion of a bench act by every rule on validation.

    Args:
        setups: how brains of each species act.
        bench: the brains.
        market: prepared, with one scaler.
        views: of `views_of`.
        weights: of each ensemble but `alone`.
        gaps: of `gaps_of`.
        block: bars of a block.
        tell: is told which symbol is being walked.

    Returns:
        By group.
    """
    rules = [(group, rule, gaps[group, rule]) for group in bench.seat for rule in RULES]
    decider = lanes_of(bench, rules, weights)
    parts = []
    for first, stop in known_rows(market, "validation"):
        if tell is not None:
            segment = next(own for own in market.segments if own.first <= first <= own.last)
            tell(f"{len(rules):,} lanes of {stop - first - 1:,} bars of {' + '.join(segment.symbols)}")
        walked = partial(_walked, setups, bench, market, views, first, stop, block)
        parts.append(_side_by_side(walked, decider))
    returns, bars, trades = (np.concatenate(leaves, -1) for leaves in zip(*parts, strict=True))
    found = {}
    for place, group in enumerate(bench.seat):
        own = slice(place * len(RULES), (place + 1) * len(RULES))
        gained, regime = _by_group(returns[own]), REGIME_NAMES.index(group)
        if regime < REGIMES:
            gained[:, regime] = gained[:, REGIMES]  # flat elsewhere: all of it is the regime's
            gained[:, [other for other in range(GROUPS) if other != regime]] = 0.0
        found[group] = Tried(gained, _by_group(bars), _by_group(trades[own]).sum(-1))
    return found


def paired(challenger: NDArray[np.float64], incumbent: NDArray[np.float64]) -> NDArray[np.float64]:
    """Student's t of paired differences over blocks, as `arena.archive.paired_t` has it of windows.

    Args:
        challenger: results [*batch, blocks].
        incumbent: results [blocks].

    Returns:
        0 with fewer than two blocks; infinite where every difference is the same and none is 0.
    """
    difference = challenger - incumbent
    n = difference.shape[-1]
    mean = difference.mean(-1) if n else np.zeros(difference.shape[:-1])
    if n < 2:
        return np.zeros_like(mean)
    error = difference.std(-1, ddof=1) / np.sqrt(n)
    sure = np.where(mean > 0, np.inf, np.where(mean < 0, -np.inf, 0.0))
    return np.where(error > 0, mean / np.where(error > 0, error, 1.0), sure)


def best_of(tried: Tried, group: str, *, least: int, t: float) -> tuple[int, NDArray[np.float64]]:
    """Which rule a champion is to act by, and each rule's t against the plain one.

    The rule with the highest log return on its regime that trades at all challenges the plain one, and replaces it if
    its paired t over separate blocks exceeds `t`. Of equal ones the first in the order of `RULES` is taken, and the
    plain one before all.

    Args:
        tried: of the champion.
        group: its regime, or `all`.
        least: bars a block needs in the regime to count.
        t: see above.

    Returns:
        Index into `RULES`, and t [rules].
    """
    place = REGIME_NAMES.index(group)
    counts = tried.bars[place] >= least
    plain = RULES.index(PLAIN)
    returns = tried.returns[:, place]
    against = paired(returns[:, counts], returns[plain, counts])
    total = np.where(tried.trades[:, place] > 0, returns.sum(-1), -np.inf)
    best = int(np.argmax(total))
    wins = np.isfinite(total[best]) and returns[best].sum() > returns[plain].sum() and against[best] > t
    return (best if wins else plain), against


def _by_group(by_regime: NDArray[Any]) -> NDArray[Any]:
    """[…, keys, blocks] with keys regimes and unknown → groups: the regimes, and all bars."""
    return np.concatenate([by_regime[..., :REGIMES, :], by_regime.sum(-2, keepdims=True)], axis=-2)


def _side_by_side(walked: Callable[[Decider], _Walked], decider: Decider) -> _Walked:
    """What all lanes come to, every second one on a thread of its own: a compiled program keeps one core busy.

    Neighbours differ in threshold alone, so both halves are of one shape and one program serves them.

    Args:
        walked: what some lanes come to.
        decider: of all lanes, an even number of them.
    """
    halves = [Decider(*(leaf[half::2] for leaf in decider)) for half in range(2)]
    with ThreadPoolExecutor(2) as threads:
        ours, theirs = threads.map(walked, halves)

    def woven(ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[Any]:
        return np.stack([ours, theirs], 1).reshape(-1, *ours.shape[1:])

    return _Walked(woven(ours.returns, theirs.returns), ours.bars, woven(ours.trades, theirs.trades))


def _walked(
    setups: tuple[Rollout, ...],
    bench: Bench,
    market: Market,
    views: Any,
    first: int,
    stop: int,
    block: int,
    decider: Decider,
) -> _Walked:
    """Let lanes walk one stretch."""
    lanes, bars = len(decider.acts), stop - first - 1
    blocks, keys = -(-bars // block), REGIMES + 1
    regime = np.asarray(market.tape.regime[first : stop - 1])
    key = regime * blocks + np.arange(bars) // block
    gained, begun = np.zeros((keys * blocks, lanes)), np.zeros((keys * blocks, lanes))
    ends = (np.full(lanes, end, np.int32) for end in (first, stop))
    for before, (reward, opened) in conduct(setups, bench.panel, decider, market.tape, views, *ends, keep=_gains):
        own, at = np.unique(key[before : before + len(reward)], return_inverse=True)
        into = (at == np.arange(len(own))[:, None]).astype(np.float64)
        gained[own] += into @ reward
        begun[own] += into @ opened
    shape = (keys, blocks)
    counted = np.bincount(key, minlength=keys * blocks).reshape(shape)
    known = [leaf.T.reshape(lanes, *shape) for leaf in (gained, begun)]
    return _Walked(known[0], counted, known[1].astype(np.int64))


def _gains(now: Moment) -> tuple[Any, Any]:
    """Log return of each lane's bar, and trades begun in it."""
    opened = now.outcome.closed.opened
    return now.outcome.reward, opened.sum(-1).astype(jnp.float32)

"""What rules are fitted on: the champions' thoughts and the rules' gaps on training rows, and on nothing else.

One pass walks all training rows of every segment, from flat, as the champions were bred to act. Gaps of every ensemble,
look-back and averaging are worked out beside the account that the champion has in that pass.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from arena.inference import Moment, conduct
from arena.rollout import Rollout
from arena.schemas import REGIME_NAMES
from arena.tally import REGIMES
from experiments.inference.brains import Bench, lanes_of
from experiments.inference.rules import AVERAGES, ENSEMBLES, LOOKBACKS, PLAIN, RULES, THRESHOLDS, Rule
from experiments.inference.weights import Thought
from markets.bars import CLOSE
from markets.preparation import Market

__all__ = ["gaps_of", "known_rows", "think"]

_KEPT = 2**17
"""Gaps that are kept of a rule at most, evenly spaced; quantiles of so many are exact enough."""


def known_rows(market: Market, part: str) -> list[tuple[int, int]]:
    """First and one past the last row of a part of each segment, from its first known regime on; none too short."""
    found = []
    for segment in market.segments:
        rows = getattr(segment.rows, part)
        known = np.flatnonzero(np.asarray(market.tape.regime[rows.start : rows.stop]) < REGIMES)
        if len(known) and rows.stop - rows.start - known[0] >= 2:
            found.append((rows.start + int(known[0]), rows.stop))
    return found


def think(setups: tuple[Rollout, ...], bench: Bench, market: Market, views: Any) -> Thought:
    """What each brain thinks on training rows, deciding alone and on every bar.

    Args:
        setups: how brains of each species act.
        bench: the brains.
        market: prepared, with one scaler.
        views: of `views_of`.
    """
    brains = len(bench.groups)
    # Everybody acts everywhere here, as in training.
    rules = [(group, PLAIN, 0.0) for group in bench.groups]
    lanes = lanes_of(bench, rules, {})
    decider = lanes._replace(acts=np.ones_like(lanes.acts))
    stretches = known_rows(market, "train")
    values, regime, gain = [], [], []
    for (first, stop), kept in zip(
        stretches, _walked(_values, setups, bench, market, views, decider, stretches), strict=True
    ):
        bars, instruments = kept[0].shape[0], kept[0].shape[2]
        values.append(np.moveaxis(kept[0], 2, 1).reshape(bars * instruments, brains, -1))
        regime.append(np.repeat(kept[1][:, 0], instruments))
        rows = slice(first, stop)
        sides = (np.asarray(side[rows, :, CLOSE], np.float64) for side in (market.tape.bid, market.tape.ask))
        step = np.diff(np.log(0.5 * sum(sides)), axis=0) / float(market.tape.scale[0])
        gain.append(step.reshape(-1))
    return Thought(np.concatenate(values), np.concatenate(regime), np.concatenate(gain))


def gaps_of(
    setups: tuple[Rollout, ...],
    bench: Bench,
    market: Market,
    views: Any,
    weights: Mapping[str, NDArray[np.float32]],
) -> dict[tuple[str, Rule], float]:
    """The gap that each rule of each champion wants: a quantile of those it has on training rows of its regime.

    Args:
        setups: how brains of each species act.
        bench: the brains.
        market: prepared, with one scaler.
        views: of `views_of`.
        weights: of each ensemble but `alone`.

    Returns:
        By group and rule; 0 for the quantile 0, and where there is no training row of its regime.
    """
    always = [Rule(*values, 0.0) for values in itertools.product(ENSEMBLES, LOOKBACKS, AVERAGES)]
    rules = [(group, rule, 0.0) for group in bench.seat for rule in always]
    decider = lanes_of(bench, rules, weights)
    own = np.asarray([rules.index((group, PLAIN, 0.0)) for group, _, _ in rules])
    stretches = known_rows(market, "train")
    stride = max(1, -(-sum(stop - first for first, stop in stretches) * views.shape[2] // _KEPT))
    parts = _walked(_gaps, setups, bench, market, views, decider, stretches, pilot=own, stride=stride)
    gap, regime = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
    found = {}
    for lane, (group, rule, _) in enumerate(rules):
        place = REGIME_NAMES.index(group)
        rows = regime[:, lane] < REGIMES if place == REGIMES else regime[:, lane] == place
        seen = gap[rows, lane].astype(np.float64).ravel()
        seen = seen[np.isfinite(seen)]
        for threshold in THRESHOLDS:
            wanted = np.quantile(seen, threshold) if threshold and len(seen) else 0.0
            found[group, rule._replace(threshold=threshold)] = float(np.float32(wanted))
    assert len(found) == len(RULES) * len(bench.seat)
    return found


def _walked(
    keep: Any,
    setups: tuple[Rollout, ...],
    bench: Bench,
    market: Market,
    views: Any,
    decider: Any,
    stretches: Sequence[tuple[int, int]],
    *,
    pilot: NDArray[np.int64] | None = None,
    stride: int = 1,
) -> list[tuple[NDArray[Any], ...]]:
    """What is kept of the deciders' lanes on each stretch, which are walked beside each other; every so many bars."""
    lanes, many = len(decider.acts), len(stretches)
    first, stop = (np.repeat(ends, lanes) for ends in np.asarray(stretches, np.int32).T)
    everywhere = type(decider)(*(np.tile(leaf, (many, *(1,) * (leaf.ndim - 1))) for leaf in decider))
    if pilot is not None:
        pilot = (pilot + lanes * np.arange(many)[:, None]).ravel()
    kept: list[list[tuple[NDArray[Any], ...]]] = [[] for _ in stretches]
    for before, piece in conduct(
        setups, bench.panel, everywhere, market.tape, views, first, stop, pilot=pilot, keep=keep
    ):
        for place, (start, end) in enumerate(stretches):
            bars = np.arange(len(piece[0]))
            inside = (before + bars < end - start - 1) & ((before + bars) % stride == 0)
            own = slice(place * lanes, (place + 1) * lanes)
            kept[place].append(tuple(leaf[inside, own] for leaf in piece))
    return [tuple(np.concatenate(leaves) for leaves in zip(*parts, strict=True)) for parts in kept]


def _values(now: Moment) -> tuple[Any, Any]:
    """What is thought, and the regime."""
    return now.chosen.values, now.regime


def _gaps(now: Moment) -> tuple[Any, Any]:
    """The gap of each rule [lanes, instruments], and the regime."""
    return jnp.where(jnp.isfinite(now.chosen.gap), now.chosen.gap, jnp.nan), now.regime

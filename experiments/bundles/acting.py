"""Champions that act by decision rules: what a manifest says of them, and the same as the arena conducts it.

A decider of the arena is a row of arrays over a panel of brains; a bundle names brains and rules by regime. Both say
the same: `block_of` writes a decider down, `seated` takes what was written to the arena again.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from agents.live.inference import cut
from arena.inference import Decider, Panel
from arena.rollout import Rollout, Trader
from experiments.champions.champions import Champion
from experiments.champions.world import World
from markets.features import compute_features, features, warmup
from markets.regimes import REGIMES

__all__ = ["Handed", "Seated", "as_bred", "block_of", "longest", "lookbacks_of", "seated", "views_of"]

_KNOWN = REGIMES[:-1]


@dataclasses.dataclass(frozen=True)
class Handed:
    """A champion that is handed on.

    Attributes:
        champion: whose bundle it is; of a router that of the first regime it acts in.
        trader: how it acts, leaves in NumPy.
        setup: of its species.
        further: champions whose brains are weighed too, how they act, and their species'.
        block: `inference` of the manifest; None acts as bred.
    """

    champion: Champion
    trader: Trader
    setup: Rollout
    further: tuple[tuple[Champion, Trader, Rollout], ...] = ()
    block: Mapping[str, Any] | None = None

    @property
    def brains(self) -> tuple[tuple[Champion, Trader, Rollout], ...]:
        """All of them, the champion first."""
        return ((self.champion, self.trader, self.setup), *self.further)


class Seated:
    """What `arena.inference.conduct` takes of a champion: one lane.

    Attributes:
        setups: of the species that take part.
        panel: their brains.
        decider: leaves [1, …].
        lookbacks: of the views; None is the tape's own, and the first.
    """

    def __init__(
        self, setups: tuple[Rollout, ...], panel: Panel, decider: Decider, lookbacks: tuple[int | None, ...]
    ) -> None:
        self.setups, self.panel, self.decider, self.lookbacks = setups, panel, decider, lookbacks


def block_of(
    who: str, decider: Decider, lane: int, lookbacks: Sequence[int | None], panel: Sequence[Champion]
) -> tuple[dict[str, Any], list[int]]:
    """A decider's lane as the `inference` of a manifest; species, settings and files of its brains are still to come.

    Args:
        who: whose it is: a regime, `all` or `router`.
        decider: leaves [lanes, …].
        lane: of them.
        lookbacks: of the views it sees.
        panel: whose brains there are, in their order; one that is there twice takes part once.

    Returns:
        The block, and which of the panel's brains take part, the champion's first.
    """
    own: Decider = jax.tree.map(lambda leaf: np.asarray(leaf)[lane], decider)
    known = [(brain.id, brain.generation) for brain in panel]
    same = [known.index(each) for each in known]
    acting = np.flatnonzero(own.acts)
    heeded = np.flatnonzero((own.weights[acting] != 0).any(0))
    order = list(dict.fromkeys(same[int(brain)] for brain in (*own.own[acting], *heeded)))
    regimes = {}
    for place, name in enumerate(_KNOWN):
        acts = bool(own.acts[place])
        weights = np.zeros(len(order), np.float32)
        for brain in heeded if acts else ():
            weights[order.index(same[brain])] += own.weights[place, brain]
        regimes[name] = {
            "acts": acts,
            "own": order.index(same[int(own.own[place])]) if acts else 0,
            "weights": weights.tolist(),
            "threshold": float(own.threshold[place]) if acts else 0.0,
            "average": int(own.average[place]) if acts else 1,
            "lookback": lookbacks[int(own.view[place])],
        }
    brains = [{"id": panel[brain].id, "generation": panel[brain].generation} for brain in order]
    return {"who": who, "brains": brains, "regimes": regimes}, order


def as_bred(block: Mapping[str, Any]) -> bool:
    """Whether rules say nothing else than a champion does by itself."""
    usual = {"acts": True, "own": 0, "weights": [1.0], "threshold": 0.0, "average": 1, "lookback": None}
    return all(rule == usual for rule in block["regimes"].values())


def lookbacks_of(block: Mapping[str, Any] | None) -> tuple[int | None, ...]:
    """The look-backs that a block's rules have, that of the settings first."""
    rules = {} if block is None else block["regimes"]
    return tuple(dict.fromkeys([None, *(rule["lookback"] for rule in rules.values())]))


def longest(world: World, block: Mapping[str, Any] | None) -> int:
    """Longest window of the features that a champion sees, in bars."""
    return max(warmup(_features(world, back)) for back in lookbacks_of(block))


def seated(handed: Handed) -> Seated:
    """A champion as the arena conducts it.

    Args:
        handed: whose block is there.
    """
    assert handed.block is not None
    lookbacks, rules = lookbacks_of(handed.block), [handed.block["regimes"][name] for name in _KNOWN]
    setups = tuple(dict.fromkeys(setup for _, _, setup in handed.brains))
    by_species = [[place for place, own in enumerate(handed.brains) if own[2] == setup] for setup in setups]
    order = [place for own in by_species for place in own]
    traders = tuple(
        jax.tree.map(lambda *leaves: np.stack(leaves), *(handed.brains[place][1] for place in own))
        for own in by_species
    )
    leaves: dict[str, Any] = {
        "acts": np.asarray([[rule["acts"] for rule in rules]]),
        "own": np.asarray([[order.index(rule["own"]) for rule in rules]], np.int32),
        "weights": np.asarray([[[rule["weights"][place] for place in order] for rule in rules]], np.float32),
        "threshold": np.asarray([[rule["threshold"] for rule in rules]], np.float32),
        "average": np.asarray([[rule["average"] for rule in rules]], np.int32),
        "view": np.asarray([[lookbacks.index(rule["lookback"]) for rule in rules]], np.int32),
    }
    decider = Decider(**leaves)
    return Seated(setups, Panel(traders), decider, lookbacks)


def views_of(
    world: World, segment: int, lookbacks: Sequence[int | None]
) -> Float[NDArray[np.float32], "variants rows 1 features"]:
    """What is seen of one symbol under each look-back, scaled as the tape is; other symbols' rows are the tape's."""
    own, settings = world.market.segments[segment], world.plan.settings
    bars, tape = world.supply.bars[segment], np.asarray(world.market.tape.features)
    costs = settings.costs.get(bars.symbol, {})
    spread = (costs.get(key, getattr(settings.broker, key)) for key in ("spread", "spread_rate"))
    quoted = bars[: own.last - own.first + 1].with_spread(*spread)
    scaler = world.market.scalers[segment // (len(world.market.segments) // len(world.market.scalers))]
    views = np.repeat(tape[None], len(lookbacks), axis=0)
    for place, back in enumerate(lookbacks):
        if back is not None:
            seen = scaler.apply(compute_features(_features(world, back), quoted))
            views[place, own.first : own.last + 1, 0] = seen
    return views


def _features(world: World, lookback: int | None) -> Any:
    columns = sorted(set.intersection(*(set(bars.columns) for bars in world.supply.bars)))
    return features(cut(world.plan.settings.features, lookback), columns)

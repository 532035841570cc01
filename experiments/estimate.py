"""What a run will need, from its sizes alone: said before anything is compiled."""

import dataclasses
import math
from typing import Any

import jax

from arena.founding import found
from arena.plan import Plan
from arena.schemas import REGIME_NAMES
from experiments.study import RecordSettings
from markets.preparation import Market

__all__ = ["Estimate", "estimate"]

_FITNESS_BYTES = 34.0  # a fitness row on disk, compressed; measured on default runs
_OTHER_BYTES = 40.0  # a birth and a death


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Needs of a run.

    Attributes:
        agent_bars: rolled out in training, a generation.
        state: bytes of the arena's state.
        memory: bytes on all devices at the peak, roughly: two states, a generation's record, windows and blocks.
        disk: bytes of the run directory at its end, roughly.
    """

    agent_bars: int
    state: int
    memory: int
    disk: int


def estimate(plan: Plan, market: Market, record: RecordSettings, generations: int) -> Estimate:
    """Needs of a run of that many generations."""
    settings = plan.settings
    episodes, bars = settings.episodes.episodes, settings.episodes.bars
    state = _bytes(jax.eval_shape(lambda: found(plan, len(market.tape.validation))))
    agents = plan.places * plan.slots * len(plan.names)
    block = plan.block * episodes * (60 * len(REGIME_NAMES) + plan.rollouts[0].chunk * 64) * 4
    windows = episodes * bars * (plan.features + 24) * 4
    devices = plan.mesh.devices.size
    judged = agents * episodes * 6 * 4
    tape = _bytes(market.tape) * devices
    memory = 2 * state + 2 * judged + tape + devices * (block + 2 * windows)
    share = {"all": 1.0, "births": settings.turnover.culled, "archive": 0.05}[record.fitness]
    rows = agents * len(REGIME_NAMES) * share
    disk = generations * (rows * _FITNESS_BYTES + agents * settings.turnover.culled * _OTHER_BYTES)
    disk += record.keep * state
    return Estimate(agents * episodes * bars, state, int(memory), int(disk))


def _bytes(tree: Any) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))

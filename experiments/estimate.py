"""What a run will need, from its sizes alone: said before anything is compiled."""

import dataclasses
import math
import os
import shutil
from pathlib import Path
from typing import Any

import jax

from arena.founding import found
from arena.plan import Plan
from arena.schemas import REGIME_NAMES
from experiments.study import RecordSettings
from markets.errors import UserError
from markets.preparation import Market

__all__ = ["Estimate", "check_room", "estimate"]

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
    state = _bytes(jax.eval_shape(lambda: found(plan, market.tape.validation.shape[1])))
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


def check_room(needs: Estimate, folder: Path) -> None:
    """See that the run fits this machine.

    Args:
        needs: of the run.
        folder: where it is written; it need not be there yet.

    Raises:
        UserError: more memory or disk than there is.
    """
    memory = _memory()
    if memory is not None and needs.memory > memory:
        raise UserError(
            f"evolution.agents: needs about {needs.memory / 2**20:,.0f} MiB of memory, {memory / 2**20:,.0f} are "
            "there; fewer evolution.agents, episodes.episodes or a smaller device.block"
        )
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    free = shutil.disk_usage(there).free
    if needs.disk > free:
        raise UserError(
            f"runs_dir: needs about {needs.disk / 2**20:,.0f} MiB of disk, {free / 2**20:,.0f} are free at {there}; "
            "name another folder, or keep less with record.fitness=archive"
        )


def _memory() -> int | None:
    """Bytes of all devices together, where they can be known."""
    stats = [device.memory_stats() for device in jax.local_devices()]
    if all(each and "bytes_limit" in each for each in stats):
        return sum(int(each["bytes_limit"]) for each in stats)
    try:
        return int(os.sysconf("SC_PHYS_PAGES")) * int(os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return None


def _bytes(tree: Any) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))

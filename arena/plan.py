"""The plan of a run: every size and static choice that the compiled program is built from.

Made once from settings and the tape; it fixes how agents lie over islands, blocks and devices.
"""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array

from agents.observation import ACCOUNT_VIEW
from arena.rollout import Rollout
from arena.settings import Settings
from arena.turnover import Breeder
from genomes.registry import make_species
from genomes.species import Shape
from markets.errors import UserError

__all__ = ["Plan", "devices_each", "largest_divisor", "make_plan", "suited_block"]

_CACHED = 32
"""Agents whose accounts, tallies and weights stay in the cache of a core."""

_RESIDENT = 2**20
"""Accounts (agents times episodes) of a block on a GPU at most: a few GiB, and more than enough to keep it busy."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """Sizes and static parts.

    Attributes:
        settings: of the evolution.
        names: of the species, in order.
        rollouts: how each species acts.
        breeders: how each species breeds.
        features: market features a bar.
        slots: agents of one species on one island.
        islands: of one replicate.
        places: islands of all replicates.
        block: agents rolled out at once.
        kept: births of one species that each island keeps at random.
        mesh: devices the islands are divided over, those of all processes.
    """

    settings: Settings
    names: tuple[str, ...]
    rollouts: tuple[Rollout, ...]
    breeders: tuple[Breeder, ...]
    features: int
    slots: int
    islands: int
    places: int
    block: int
    kept: int
    mesh: Mesh

    @property
    def replicates(self) -> int:
        """Copies of the study."""
        return self.places // self.islands

    def market_of(self, place: Array, markets: int) -> Array:
        """The market that an island plays on: its replicate's own where each has one, else the only one there is.

        Args:
            place: number of the island, over all replicates.
            markets: on the tape.
        """
        return place // self.islands if markets > 1 else place * 0

    @property
    def compiler_options(self) -> dict[str, bool | int | str]:
        """What XLA is told beside the program.

        On CPUs vectors as wide as the hardware has: 512 bits where there are so many, no change where there are not.
        """
        cpu = self.mesh.devices.flat[0].platform == "cpu"
        return {"xla_cpu_prefer_vector_width": 512} if cpu else {}


def largest_divisor(number: int, most: int) -> int:
    """The largest divisor of `number` that is at most `most`."""
    return next(d for d in range(min(number, most), 0, -1) if number % d == 0)


def suited_block(mesh: Mesh, episodes: int) -> int:
    """Agents to roll out at once on such devices where nobody says how many."""
    return _CACHED if mesh.devices.flat[0].platform == "cpu" else max(1, _RESIDENT // episodes)


def make_plan(settings: Settings, features: int) -> Plan:
    """The plan of a run on a tape with that many features a bar.

    Raises:
        UserError: more devices asked for than there are, or islands that the processes cannot share.
    """
    evolution, device = settings.evolution, settings.device
    slots = evolution.agents // evolution.islands
    places = evolution.islands * evolution.replicates
    shape = Shape(features=features, account=len(ACCOUNT_VIEW), seen=settings.observation.places)
    chunk = largest_divisor(settings.episodes.bars, device.chunk)
    mesh = _mesh(places, device.count)
    rollouts, breeders = [], []
    for name, own in settings.species.items():
        species = make_species(name, own, shape)
        memory, seen = settings.scars.memory, settings.observation.account
        rollouts.append(Rollout(species, settings.broker, memory, settings.trust, chunk, evolution.stops, seen))
        breeders.append(
            Breeder(species, settings.genes, settings.selection, settings.turnover, settings.scars, settings.learning)
        )
    return Plan(
        settings=settings,
        names=tuple(settings.species),
        rollouts=tuple(rollouts),
        breeders=tuple(breeders),
        features=features,
        slots=slots,
        islands=evolution.islands,
        places=places,
        kept=-(-settings.archive.trials // (evolution.islands * len(rollouts))) if settings.archive.enabled else 0,
        block=largest_divisor(slots, device.block or suited_block(mesh, settings.episodes.episodes)),
        mesh=mesh,
    )


def _mesh(places: int, count: int | None) -> Mesh:
    """A mesh whose one axis, `islands`, takes equally many devices of every process.

    Args:
        places: islands to be divided over them.
        count: devices of each process; None takes as many as divide its islands.

    Raises:
        UserError: more devices asked for than a process has, or islands that cannot be shared by the processes.
    """
    own: dict[int, list[jax.Device]] = {}
    for device in jax.devices():
        own.setdefault(device.process_index, []).append(device)
    used = devices_each([len(devices) for devices in own.values()], places, count)
    return Mesh(np.asarray([device for process in sorted(own) for device in own[process][:used]]), ("islands",))


def devices_each(own: Sequence[int], places: int, count: int | None) -> int:
    """How many devices each process gives, so that all of them have equally many islands.

    Args:
        own: devices that each process has.
        places: islands to be divided over them.
        count: how many each shall give; None is as many as divide its islands.

    Raises:
        UserError: see `_mesh`.
    """
    there = min(own)
    if count is not None and count > there:
        raise UserError(f"device.count: {count} devices asked for, {there} there; at most that many")
    if places % len(own):
        raise UserError(
            f"evolution.islands: {places} islands of all replicates cannot be shared evenly by {len(own)} processes; "
            f"give a multiple of {len(own)}"
        )
    return largest_divisor(places // len(own), count or there)

"""Settings of an evolution: one frozen group for each part, checked before anything is compiled."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from agents.exploration import ExplorationSettings
from agents.learning import LearningSettings
from agents.observation import ObservationSettings
from agents.scars import ScarSettings
from agents.trust import TrustSettings
from arena.archive import ArchiveSettings
from arena.episodes import EpisodeSettings
from arena.fitness import FitnessSettings
from arena.life import between_updates, explored
from arena.migration import MigrationSettings
from arena.selection import SelectionSettings
from arena.turnover import TurnoverSettings
from genomes.genes import GeneSettings
from genomes.registry import SPECIES, settings_class
from markets.errors import UserError
from markets.features import FeatureSettings
from markets.regimes import RegimeSettings
from markets.rules import BrokerRules
from markets.scaling import ScalingSettings
from markets.settings import build, check, setting
from markets.splits import SplitSettings

__all__ = ["DeviceSettings", "EvolutionSettings", "Settings"]


@dataclasses.dataclass(frozen=True)
class EvolutionSettings:
    """How many live, where, and for how long.

    Attributes:
        generations: generations of the run.
        agents: agents of each species, over all islands of a replicate.
        islands: islands of a replicate, between which a few migrate.
        replicates: copies of the whole study with seeds of their own (seed, seed + 1, …) that never meet.
        stops: whether agents place stops and take-profits.
        migration: how islands talk.
    """

    generations: int = setting(40, ge=1)
    agents: int = setting(1024, ge=2)
    islands: int = setting(4, ge=1)
    replicates: int = setting(1, ge=1)
    stops: bool = True
    migration: MigrationSettings = setting(factory=MigrationSettings)

    def problems(self, where: str) -> Iterator[str]:
        """What the keys cannot mean together."""
        if self.agents % self.islands or self.agents // self.islands < 2:
            yield (
                f"{where}.agents: {self.agents} agents cannot live on {self.islands} islands; "
                f"give a multiple of {where}.islands, at least two an island"
            )


@dataclasses.dataclass(frozen=True)
class DeviceSettings:
    """What fixes the bits and the speed of a run, and nothing of its meaning.

    Attributes:
        count: devices of each process that its islands are divided over; None takes all that divide them.
        block: agents rolled out at once, brought down to a divisor of an island's agents; None takes what suits the
            devices (`arena.plan.suited_block`): few on a CPU, so that they fit its cache, and all there are on a GPU.
        chunk: bars encoded at once; brought down to a divisor of a window's bars.
        precision: of matrix products: `highest` is full float32, `default` is the hardware's fastest (TF32 on a GPU).
        coordinator: HOST:PORT where process 0 awaits the others; `auto` is the first machine of a SLURM job; None is a
            run of one process.
        processes: that share the islands, each started by a command of its own; None is as many as a launcher says.
        process: the number of this one, from 0; None is what a launcher says.
        timeout: seconds to wait for the other processes at the start.
    """

    count: int | None = setting(None, ge=1)
    block: int | None = setting(None, ge=1)
    chunk: int = setting(16, ge=1)
    precision: Literal["highest", "default"] = "highest"
    coordinator: str | None = None
    processes: int | None = setting(None, ge=1)
    process: int | None = setting(None, ge=0)
    timeout: int = setting(300, ge=1)

    def problems(self, where: str) -> Iterator[str]:
        """What the keys cannot mean together."""
        if self.coordinator is None:
            for key, alone in (("processes", 1), ("process", 0)):
                if getattr(self, key) not in (None, alone):
                    yield f"{where}.{key}: needs {where}.coordinator=HOST:PORT, where process 0 awaits the others"
        elif self.coordinator != "auto":
            host, _, port = self.coordinator.rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
                yield f"{where}.coordinator: {self.coordinator!r} is no HOST:PORT such as node1:4711, nor auto"


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything an evolution is made of, beside the bars themselves."""

    seed: int = setting(0, ge=0, lt=2**32)
    features: FeatureSettings = setting(factory=FeatureSettings)
    regimes: RegimeSettings = setting(factory=RegimeSettings)
    split: SplitSettings = setting(factory=SplitSettings)
    scaling: ScalingSettings = setting(factory=ScalingSettings)
    observation: ObservationSettings = setting(factory=ObservationSettings)
    broker: BrokerRules = setting(factory=BrokerRules)
    costs: dict[str, dict[str, float]] = setting(factory=dict)
    """Numeric broker keys that differ for some symbols: symbol → key → value."""
    species: dict[str, Any] = setting(factory=lambda: {"qnetwork": settings_class("qnetwork")()})
    """Settings of each species that takes part, by name."""
    genes: GeneSettings = setting(factory=GeneSettings)
    episodes: EpisodeSettings = setting(factory=EpisodeSettings)
    fitness: FitnessSettings = setting(factory=FitnessSettings)
    scars: ScarSettings = setting(factory=ScarSettings)
    trust: TrustSettings = setting(factory=TrustSettings)
    learning: LearningSettings = setting(factory=LearningSettings)
    exploration: ExplorationSettings = setting(factory=ExplorationSettings)
    selection: SelectionSettings = setting(factory=SelectionSettings)
    turnover: TurnoverSettings = setting(factory=TurnoverSettings)
    archive: ArchiveSettings = setting(factory=ArchiveSettings)
    evolution: EvolutionSettings = setting(factory=EvolutionSettings)
    device: DeviceSettings = setting(factory=DeviceSettings)

    @classmethod
    def build(cls, values: Mapping[str, Any] | None = None) -> "Settings":
        """Settings from a mapping of plain values, such as configuration brings.

        Raises:
            UserError: the first key that is unknown, of the wrong type, or impossible.
        """
        made = build(cls, values or {})
        if not made.species:
            raise UserError(f"species: none takes part; there are: {', '.join(sorted(SPECIES))}")
        return dataclasses.replace(made, species=_species(made.species))

    def problems(self, where: str) -> Iterator[str]:
        """What the groups cannot mean together."""
        numeric = {f.name for f in dataclasses.fields(BrokerRules) if f.type in (float, float | None)}
        allowed = sorted(numeric - {"cash", "ruin", "participation"})
        for symbol, own in self.costs.items():
            for key in own:
                if key not in allowed:
                    yield f"costs.{symbol}.{key}: cannot differ by symbol; these can: {', '.join(allowed)}"
        yield from self._learning_problems()
        if self.evolution.generations < self.split.least:
            yield (
                f"evolution.generations: {self.evolution.generations} generations do not fill {self.split.folds} folds "
                f"of {self.split.generations}; give {self.split.least} or more, or fewer split.folds or "
                "split.generations"
            )
        born = self.evolution.agents * self.evolution.replicates * max(len(self.species), 1)
        if born * (1 + self.evolution.generations) >= 2**32 - 1:
            yield (
                f"evolution.generations: {self.evolution.generations} generations of {born} agents could need more "
                "than 2^32 ids; fewer agents or generations"
            )
        del where

    def _learning_problems(self) -> Iterator[str]:
        """What learning and episodes cannot mean together."""
        own, episodes = self.learning, self.episodes
        if not own.enabled:
            return
        every = between_updates(episodes.bars, own)
        if own.steps >= every:
            yield (
                f"learning.steps: {own.steps} bars must be fewer than the {every} between updates "
                f"(learning.every = {own.every}, brought down to a divisor of episodes.bars = {episodes.bars})"
            )
        if own.explored > 0 and not explored(episodes.episodes, own).any():
            yield (
                f"episodes.episodes: {episodes.episodes} windows leave none to explore in beside those judged; "
                "give 4 or more, or learning.explored=0"
            )


def _species(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of each species, of its own class."""
    made = {}
    for name, own in values.items():
        if name not in SPECIES:
            raise UserError(f"species.{name}: not a species; there are: {', '.join(sorted(SPECIES))}")
        cls = settings_class(name)
        if isinstance(own, cls):
            check(own, f"species.{name}")
            made[name] = own
        else:
            made[name] = build(cls, own, f"species.{name}")
    return made

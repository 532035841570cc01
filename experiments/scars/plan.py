"""What the experiment is made of: its sizes, its arms and its worlds, and the house's parts set up for it.

Everything that shapes the compiled program stands here; worlds, seeds and arms are data to it.
"""

import dataclasses
import enum
import hashlib
import json
from typing import Any

from agents.exploration import ExplorationSettings
from agents.learning import LearningSettings
from agents.memory import MemorySettings
from agents.observation import ACCOUNT_VIEW
from agents.scars import ScarSettings
from agents.trust import TrustSettings
from arena.fitness import FitnessSettings
from arena.plan import largest_divisor
from arena.rollout import Rollout
from arena.selection import SelectionSettings
from arena.turnover import Breeder, TurnoverSettings
from genomes.genes import GeneSettings
from genomes.qnetwork import QNetwork, Settings
from genomes.species import Shape
from markets.rules import BrokerRules
from markets.settings import setting

__all__ = ["ARMS", "FIRST_WAVE", "WORLDS", "Arm", "Parts", "ScarPlan", "make_parts"]


_PROGRAM = 1
"""Version of what a generation does; counted on when results change under the same plan."""


class Arm(enum.IntEnum):
    """What is done to whom; the number is data to the compiled program."""

    NONE = 0
    """Nothing is done to anyone."""
    SCARS = 1
    """The worst hit lose the units that spoke most while the drawdown lasted."""
    SHAM = 2
    """The same events happen to agents that were not ruined."""
    PERMUTED = 3
    """The worst hit lose as many units of the same layers, drawn at random."""
    INVERTED = 4
    """The worst hit lose as many units of the same layers, those that spoke least."""
    DORMANT = 5
    """On a schedule everybody's dormant units are drawn anew (ReDo, Sokar et al. 2023)."""
    SHRINK = 6
    """On a schedule everybody's weights shrink and are perturbed (Ash and Adams 2020)."""
    MEMORY = 7
    """The worst hit remember what the market looked like, and are careful when it looks so again."""
    CULLING = 8
    """The worst hit die, in place of those who would have died by rank."""


ARMS = tuple(arm.name.lower() for arm in Arm)
"""Names in tables, by number."""

FIRST_WAVE = tuple(arm for arm in Arm if arm is not Arm.SHAM)
"""Arms that need no other run; the sham needs the events of its pair."""

WORLDS = ("P", "N")
"""P: the sign comes before the gap. N: the same prices, the signs elsewhere."""


@dataclasses.dataclass(frozen=True)
class ScarPlan:
    """Sizes and choices of the experiment; all of it is part of its fingerprint.

    Attributes:
        seeds: paired seeds.
        seed: the first of them.
        learning: whether agents learn while they live, or evolution alone acts.
        generations: of each run.
        agents: of each run.
        episodes: windows a generation.
        bars: decisions a window.
        crashes: windows of a generation that carry a gap.
        rare: whether kinds of crash come back after 4 to 12 generations, with none in between, or take turns.
        hidden: units of each hidden layer.
        scars: agents scarred a generation at most; the worst hit are.
        drawdown: fraction of the peak beyond which a drawdown scars.
        damage: share of the units that a scar of severity 1 hits.
        births: agents replaced a generation, once grace has run out for enough of them.
        grace: generations after a birth, or after an event, in which rank does not kill.
        every: generations between two scheduled treatments, of the arms that have a schedule.
        dormant: share of its layer's mean activity at or below which a unit is dormant.
        shrink: factor on all weights when they shrink; a fresh network times 1 − `shrink` is added.
        reach: h of scar memory; unrelated bars of this market lie √2 apart, the house's default of 0.5 would never act.
        strength: a, how far the sign stands out of the noise; None before the pilot has found it.
        batch: runs computed at once, over all devices.
    """

    seeds: int = setting(32, ge=2)
    seed: int = setting(0, ge=0)
    learning: bool = True
    generations: int = setting(40, ge=2)
    agents: int = setting(64, ge=4)
    episodes: int = setting(16, ge=4)
    bars: int = setting(128, ge=96)
    crashes: int = setting(4, ge=1)
    rare: bool = False
    hidden: tuple[int, ...] = (16, 16)
    scars: int = setting(6, ge=1)
    drawdown: float = 0.1
    damage: float = 0.25
    births: int = setting(6, ge=1)
    grace: int = 3
    every: int = setting(4, ge=1)
    dormant: float = 0.1
    shrink: float = 0.9
    reach: float = 1.0
    strength: float | None = None
    batch: int = setting(16, ge=2)

    def problems(self, where: str) -> list[str]:
        """What the sizes cannot mean together."""
        del where
        if self.grace * (self.births + 2 * self.scars) + self.births > self.agents:
            return ["agents: too few for that many births and scars: grace would leave nobody to be culled"]
        return []

    def fingerprint(self) -> str:
        """What tells the results of one plan from those of another; how many runs are computed at once is no part."""
        told = {key: value for key, value in dataclasses.asdict(self).items() if key not in ("batch", "seeds")}
        told["program"] = _PROGRAM
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class Parts:
    """The house's parts, set up for the experiment; static.

    Attributes:
        species: of the agents: networks whose damage takes any number of units.
        rollout: how agents act.
        breeder: how children are made.
        fitness: how agents are scored.
        turnover: who dies.
        exploration: how ε moves; scars have no part in it.
        learning: how agents learn.
        genes: of founders and children.
        block: agents rolled out at once.
    """

    species: QNetwork
    rollout: Rollout
    breeder: Breeder
    fitness: FitnessSettings
    turnover: TurnoverSettings
    exploration: ExplorationSettings
    learning: LearningSettings
    genes: GeneSettings
    block: int


def make_parts(plan: ScarPlan, features: int) -> Parts:
    """The parts of a plan.

    Exposure is ±1 or 0: the size gene has a range of one point, and there are no stops. Trust is off. An account is
    ruined at 0.85 of its start, and ruin itself kills nobody. Targets add up eight bars, as long as a sign stands
    before its gap, for nothing on the bar before the gap tells it from any other.
    """
    species = QNetwork(Settings(hidden=plan.hidden, damage=1.0), Shape(features=features, account=len(ACCOUNT_VIEW)))
    memory = MemorySettings(enabled=True, reach=plan.reach)
    trust = TrustSettings(enabled=False)
    scars = ScarSettings(
        enabled=True, drawdown=plan.drawdown, count=plan.scars, damage=True, memory=memory, inherit="memory"
    )
    genes = GeneSettings(size=(1.0, 1.0), stop=(1.0, 1.0), take_profit=(1.0, 1.0))
    turnover = TurnoverSettings(culled=(plan.births + 0.5) / plan.agents, ruined=1.0, grace=plan.grace)
    inheritance: Any = "lamarckian" if plan.learning else "none"
    learning = LearningSettings(inheritance=inheritance, steps=8)
    return Parts(
        species=species,
        rollout=Rollout(species, BrokerRules(ruin=0.85), memory, trust, largest_divisor(plan.bars, 16), stops=False),
        breeder=Breeder(species, genes, SelectionSettings(), turnover, scars, learning),
        fitness=FitnessSettings(),
        turnover=turnover,
        exploration=ExplorationSettings(),
        learning=learning,
        genes=genes,
        block=largest_divisor(plan.agents, 32),
    )

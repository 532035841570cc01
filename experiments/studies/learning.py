"""The learning study: does evolution with learning inside a life do better than either alone, at equal agent-bars?

For each species four arms that differ in nothing but who learns, who dies and what children receive. Seeds are
replicates of one compiled run an arm, each on a made-up market of its own, the same market in every arm. The champion
that each seed ends with trades markets that nobody had seen, as in the edge study, and the same ones in every arm; so
differences between arms are of pairs.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from experiments.configuration.compose import compose
from experiments.configuration.study import make_study
from experiments.runs.directory import RunDirectory
from experiments.runs.job import Job
from experiments.studies.edge import EdgeStudy, judge_seeds
from experiments.studies.seeds import see_judgeable, see_own_keys
from markets.errors import UserError

__all__ = ["ARMS", "SPECIES", "Arm", "Budget", "LearningStudy", "budget_of", "judge_arm", "make_arms", "see_equal"]

SPECIES = ("qnetwork", "forest")
"""Species that learn inside a life."""

_EVOLUTION, _LEARNING = "evolution", "learning"

ARMS: Mapping[str, tuple[str, ...]] = {
    _EVOLUTION: ("learning=none",),
    _LEARNING: ("learning=lamarckian", "turnover.culled=0", "turnover.ruined=1", "turnover.age=null"),
    "lamarckian": ("learning=lamarckian",),
    "baldwinian": ("learning=baldwinian",),
}
"""What makes each arm. In `learning` nobody is culled and so nobody is born: founders learn from the first generation
to the last. Lamarckian and Baldwinian are both at once."""

_OWN = ("record.fitness=archive", "scars=none", "evolution.agents=128", "evolution.islands=2")
"""What all arms share before the user's own overrides. Scars are a question of their own, and are left out."""

_OWN_KEYS = {
    "species": "--species",
    "learning": "",
    "learning.inheritance": "",
    "market.edge": "--edge",
    "evolution.replicates": "--seeds",
}
"""Keys that the study gives its arms, and what says them instead."""


@dataclasses.dataclass(frozen=True)
class LearningStudy:
    """The study.

    Attributes:
        species: each with arms of its own.
        seeds: how many, from the configuration's own on.
        edge: annualised Sharpe ratio of the oracle.
        fresh: fresh markets that each seed is judged on.
        overrides: of the configuration, beside these; those of learning go to the arms that learn.
    """

    species: tuple[str, ...]
    seeds: int
    edge: float
    fresh: int
    overrides: tuple[str, ...] = ()


class Arm(NamedTuple):
    """One run of the study."""

    species: str
    name: str
    config: dict[str, Any]


class Budget(NamedTuple):
    """What an arm played, as its records say it."""

    replicates: int
    agents: int
    """Alive in every generation, of all replicates together."""
    episodes: int
    bars: int
    """Decisions of an episode."""
    generations: int

    @property
    def agent_bars(self) -> int:
        """Of the whole run."""
        return self.agents * self.episodes * self.bars * self.generations


def make_arms(study: LearningStudy) -> list[Arm]:
    """The configurations of all runs, species after species.

    Raises:
        UserError: overrides that make no such study.
    """
    for name in study.species:
        if name not in SPECIES:
            raise UserError(f"--species: {name} does not learn inside a life; those that do: {', '.join(SPECIES)}")
    see_own_keys(study.overrides, _OWN_KEYS, "learning")
    taught = [line for line in study.overrides if line.lstrip("+").startswith("learning.")]
    shared = [line for line in study.overrides if line not in taught]
    last = (f"market.edge={study.edge}", f"evolution.replicates={study.seeds}")
    arms = []
    for species in study.species:
        mine = [line for line in shared if _concerns(line, species)]
        for name, own in ARMS.items():
            learned = [] if name == _EVOLUTION else taught
            config = compose([f"species={species}", *_OWN, *mine, *last, own[0], *learned, *own[1:]])
            see_judgeable(make_study(config), "learning", "a basket has no oracle to compare with")
            arms.append(Arm(species, name, config))
    return arms


def _concerns(line: str, species: str) -> bool:
    """Whether an override is no key of another species."""
    key = line.lstrip("+").partition("=")[0]
    return not any(key.startswith(f"species.{other}.") for other in SPECIES if other != species)


def judge_arm(study: LearningStudy, arm: Arm, job: Job, directory: RunDirectory) -> Iterator[pl.DataFrame]:
    """Let an arm's champions, the best of its founders, holding and the oracle trade fresh markets, seed after seed.

    Yields:
        For each seed `species, arm`, and what `experiments.studies.edge.judge_seeds` says.

    Raises:
        UserError: a file of the run that is damaged.
    """
    for table in judge_seeds(EdgeStudy(study.edge, study.seeds, study.fresh), job, directory):
        yield table.select(pl.lit(arm.species).alias("species"), pl.lit(arm.name).alias("arm"), pl.all())


def budget_of(directory: RunDirectory, arm: Arm) -> Budget:
    """What a finished arm played: agents by births and deaths, generations by their rows.

    Raises:
        UserError: a part of its tables is damaged, or somebody died in the arm where nobody is to die.
    """
    births, deaths = directory.read("births"), directory.read("deaths")
    if arm.name == _LEARNING and deaths.height:
        raise UserError(
            f"broker.ruin: {deaths.height} agents of the arm {_LEARNING} died of ruin, though nobody is to die there; "
            "lower it"
        )
    config = directory.read_config()
    generations = directory.read("generations")["generation"].n_unique()
    turns = np.arange(generations)
    born, gone = (np.sort(table["generation"].to_numpy()) for table in (births, deaths))
    alive = np.searchsorted(born, turns, side="right") - np.searchsorted(gone, turns, side="left")
    assert (alive == alive[0]).all(), "every slot is always taken"
    episodes = config["episodes"]
    replicates = int(config["evolution"]["replicates"])
    return Budget(replicates, int(alive[0]), int(episodes["episodes"]), int(episodes["bars"]), generations)


def see_equal(budgets: Sequence[tuple[Arm, Budget]]) -> None:
    """See that all arms played the same agents, episodes, bars and generations.

    Raises:
        UserError: one went on for longer than another, as only a run that was there before can have.
    """
    (first, want), *others = budgets
    for arm, got in others:
        if got.generations != want.generations:
            raise UserError(
                f"evolution.generations: {first.species}, {first.name} went {want.generations} generations and "
                f"{arm.species}, {arm.name} went {got.generations}; give {max(got.generations, want.generations)}, and "
                "all go as far"
            )
        assert got == want, "arms are configured alike"

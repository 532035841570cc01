"""Learning works: on markets whose best play is known, agents that only learn come to play it.

Ten seeds of each of the three markets are replicates of one compiled generation. Nobody dies, is scarred or tried, and
genes do not differ; what is learned is read off the brain as a table and scored by its exact average reward.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_worlds import FEATURES

from agents.learning import action_values
from arena.api import make_market
from arena.founding import found, spread
from arena.generation import make_generation
from arena.plan import make_plan
from arena.settings import Settings
from genomes.registry import SPECIES
from genomes.species import Species
from markets.chains import worth
from markets.joining import join
from markets.lessons import LESSONS, lesson_of
from markets.oracle import EXPOSURES
from markets.source import market_settings, supply

pytestmark = pytest.mark.usefixtures("plainly_compiled")

SEEDS, PASSED, SHARE = 10, 8, 0.9


@dataclasses.dataclass(frozen=True)
class Course:
    """How long a species learns, and how."""

    generations: int
    rate: float
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    learning: dict[str, Any] = dataclasses.field(default_factory=dict)


COURSES = {
    "qnetwork": Course(5, 0.002, {"hidden": [32]}, {"every": 4}),
    "forest": Course(8, 0.002, {"depth": 2, "market_trees": 48, "state_trees": 6}, {"every": 8, "huber": 2.0}),
}
"""Small brains, so that they are soon compiled; a species that is not named learns as networks do, with defaults."""


def settings_of(name: str, course: Course) -> Settings:
    """One market feature, the position, and nothing but learning."""
    return Settings.build(
        {
            "features": {**FEATURES, "returns": [], "mean_distance": []},
            "regimes": {"returns": 8, "ranks": 24},
            "observation": {"account": ["position"]},
            "species": {name: course.settings},
            "genes": {
                "size": [1.0, 1.0],
                "exploration": [0.5, 0.5],
                "learning_rate": [course.rate] * 2,
                "discount": [0.6, 0.6],
            },
            "episodes": {"episodes": 32, "bars": 256, "validation": 1, "stratum": 10**6},
            "learning": {
                "inheritance": "lamarckian",
                "batch": 256,
                "target": 4,
                "explored": 0.9,
                **course.learning,
            },
            "scars": {"enabled": False, "memory": {"enabled": False}},
            "trust": {"enabled": False},
            "exploration": {"enabled": False},
            "turnover": {"culled": 0.0},
            "archive": {"enabled": False},
            "evolution": {"agents": 2, "islands": 1, "replicates": SEEDS * len(LESSONS), "stops": False},
            "device": {"count": 1},
        }
    )


def table_of(species: Species, genome: Any, shown: np.ndarray) -> np.ndarray:
    """What a brain takes, greedily, at each value of the feature and exposure held [states, 3]."""
    features = jnp.repeat(jnp.asarray(shown), len(EXPOSURES))[None, :, None]
    position = jnp.tile(jnp.asarray(EXPOSURES, jnp.float32), len(shown))
    view = jnp.stack([position, *[jnp.zeros_like(position)] * (species.shape.account - 1)], axis=-1)
    best = np.asarray(action_values(species, genome, features, view)).argmax(-1)
    return species.shape.actions.directions()[best].reshape(len(shown), len(EXPOSURES)).astype(float)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    # Leaves of forests learn for a minute; what they learn is held to an explicit loop in `agents/test_learning.py`.
    [pytest.param(name, marks=[pytest.mark.soak] if name == "forest" else []) for name in SPECIES],
)
def test_a_species_that_only_learns_comes_to_the_best_play(name: str) -> None:
    course = COURSES.get(name, Course(5, 0.002))
    settings = settings_of(name, course)
    bars = {market: market_settings({"name": market, "bars": 6_000}) for market in LESSONS}
    markets = [
        make_market(supply(own, seed).bars, settings, mode=own.mode) for own in bars.values() for seed in range(SEEDS)
    ]
    market = join(markets)
    plan = make_plan(settings, len(market.features))
    state = spread(plan, found(plan, market.tape))
    generation = make_generation(plan)
    for _ in range(course.generations):
        state, _ = generation(state, market.tape)
    genomes = jax.device_get(state.populations[0].genome)
    shares: dict[str, list[float]] = {}
    for place, scaler in enumerate(market.scalers):
        lesson_name = list(LESSONS)[place // SEEDS]
        lesson = lesson_of(LESSONS[lesson_name]())
        shown = scaler.apply(lesson.chain.shown[:, None])[:, 0]
        own = jax.tree.map(lambda leaf, place=place: jnp.asarray(leaf[place, 0]), genomes)
        table = table_of(plan.rollouts[0].species, own, shown)
        shares.setdefault(lesson_name, []).append(worth(lesson.chain, table) / lesson.reward)
    passed = {lesson: sum(share >= SHARE for share in found) for lesson, found in shares.items()}
    assert min(passed.values()) >= PASSED, {name: (passed, shares)}

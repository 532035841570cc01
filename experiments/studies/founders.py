"""The founders study: do founders from other libraries help, and does evolution add to what the library found?

Two runs alike but for their founders, one from models of a library and one drawn at random, many seeds as replicates of
one compiled program each. What they end with, what they began with, and the library's models as they came, are judged
on bars that nobody had seen: fresh markets of each seed where bars are made up, else the last part of the bars before
the holdout.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from experiments.configuration.study import make_study
from experiments.founders.founding import RANDOM, suited_layout
from experiments.founders.libraries import LIBRARIES
from experiments.runs.directory import RunDirectory
from experiments.runs.job import Job
from experiments.runs.start import compose_run
from experiments.studies.judged_part import JudgedPart, dates_of, judged_market, judged_part
from experiments.studies.judging import (
    Entrants,
    Ground,
    benchmarks,
    champions,
    first_champions,
    judge,
    last_state,
    own_windows,
    table_of,
)
from experiments.studies.library import library_alone
from experiments.studies.seeds import (
    fresh_ground,
    go_or_describe,
    quiet_job,
    see_judgeable,
    see_own_keys,
    seed_of,
)
from markets.errors import UserError
from markets.source import supply
from markets.synthetic import SyntheticSettings

__all__ = ["Arm", "FoundersStudy", "Terms", "caption", "evolve_arms", "judge_arms", "make_arms", "make_terms", "scores"]

_EDGE, _FRESH = 8.0, 2

_OWN_KEYS = {"species.founders": "--from", "market.edge": "--edge", "evolution.replicates": "--seeds"}
"""Keys that the study gives both arms, and what says them instead."""


@dataclasses.dataclass(frozen=True)
class FoundersStudy:
    """The study.

    Attributes:
        source: library that the founders of one arm come from.
        seeds: how many, from the configuration's own on.
        edge: annualised Sharpe ratio of the oracle of a made-up market; None is 8.
        fresh: fresh markets that each seed of a made-up market is judged on; None is 2.
        overrides: of the configuration, beside these.
    """

    source: str
    seeds: int
    edge: float | None = None
    fresh: int | None = None
    overrides: tuple[str, ...] = ()


class Terms(NamedTuple):
    """What a study comes to before anything runs."""

    configs: tuple[dict[str, Any], dict[str, Any]]
    """Of the two runs: founders from the library, and at random."""
    part: JudgedPart | None
    """The rows of real bars that are judged on; None where markets are made up."""


class Arm(NamedTuple):
    """One of the two runs."""

    source: str
    job: Job
    directory: RunDirectory


def make_terms(study: FoundersStudy) -> Terms:
    """Both configurations, and on real bars the rows to judge on.

    Raises:
        UserError: a source that trains no models, overrides that make no such study, or real bars that are too few.
    """
    if study.source not in LIBRARIES:
        raise UserError(f"--from: {study.source} is no library that trains founders; there are: {', '.join(LIBRARIES)}")
    own, layout = ["species=forest", "record.fitness=archive"], suited_layout(study.source, {})["layout"]
    last = [*study.overrides, f"evolution.replicates={study.seeds}"]
    begun = compose_run([*own, *last, f"species.founders={study.source}"])  # no layout yet: there may be no forests
    see_own_keys(study.overrides, _OWN_KEYS, "founders")
    if set(begun["species"]) != {"forest", "founders"}:
        raise UserError("species: the founders study breeds forests alone; leave it out, or give species=forest")
    made = make_study(begun)
    see_judgeable(made, "founders", "the founders study judges one symbol an account")
    fixed = [*own, *([f"species.forest.layout={layout}"] if layout else []), *last]
    part = None
    if made.market.made_up:
        fixed.append(f"market.edge={_EDGE if study.edge is None else study.edge}")
    else:
        for name, value in (("edge", study.edge), ("fresh", study.fresh)):
            if value is not None:
                raise UserError(f"--{name}: only a made-up market has one; leave it out with market={made.market.name}")
        part = judged_part(supply(made.market, made.settings.seed).bars, made.settings)
        fixed += dates_of(part)
    configs = [compose_run([*fixed, f"species.founders={source}"]) for source in (study.source, RANDOM)]
    for config in configs:
        make_study(config)
    return Terms((configs[0], configs[1]), part)


def make_arms(study: FoundersStudy, terms: Terms) -> tuple[Arm, Arm]:
    """Both runs made ready, that of the library first: it may find that its models do not suit.

    Raises:
        UserError: bars that cannot be read, or are too few.
    """
    first, second = (
        Arm(source, *quiet_job(config)) for source, config in zip((study.source, RANDOM), terms.configs, strict=True)
    )
    return first, second


def evolve_arms(arms: tuple[Arm, Arm]) -> Iterator[tuple[Arm, int]]:
    """Evolve one arm after the other to the end, each a run like any other; or describe it, where `check` asks for it.

    Yields:
        The arm and its exit code, 0 once it is finished.

    Raises:
        UserError: what stops a run.
    """
    for arm in arms:
        yield arm, go_or_describe(arm.job, arm.directory)


def caption(study: FoundersStudy, arms: tuple[Arm, Arm], part: JudgedPart | None) -> Iterator[str]:
    """What is judged, and on what, in lines above the table."""
    job, known = arms[0].job, arms[0].job.study.market.source
    layouts = [arm.job.study.settings.species["forest"].layout or "oblivious" for arm in arms]
    alike = f"trees of both are {layouts[0]}" if layouts[0] == layouts[1] else f"trees are {layouts[0]}, {layouts[1]}"
    yield f"founders from {study.source} and at random, {study.seeds} seeds, {alike}"
    if isinstance(known, SyntheticSettings):
        count = _FRESH if study.fresh is None else study.fresh
        yield f"judged on {count} fresh market{'s' * (count > 1)} of edge {known.edge:g} a seed, which nobody had seen"
    elif part is not None:
        times = [own.time[rows.start : rows.stop] for own, rows in zip(job.supply.bars, part.rows, strict=True)]
        ends = min(own[0] for own in times if len(own)), max(own[-1] for own in times if len(own))
        begin, end = (np.datetime_as_string(stamp, "D") for stamp in ends)
        yield f"judged on bars of {', '.join(job.symbols[:4])} from {begin} to {end}, which nobody had seen;"
        yield "the holdout behind them stays shut; seeds differ in evolution alone, not in bars or models"


def judge_arms(study: FoundersStudy, arms: tuple[Arm, Arm], part: JudgedPart | None) -> Iterator[pl.DataFrame]:
    """Let everybody trade bars that nobody had seen, seed after seed.

    Yields:
        For each seed one row a player and regime (or `all`), see `experiments.studies.judging.table_of`; `player` is
        `evolved`, `library`, `founder_library`, `evolved_random`, `founder_random`, `hold` or `oracle`. The id of
        `library` is the number of the model.

    Raises:
        UserError: a file of a run that is damaged, or runs of different lengths.
    """
    states = [last_state(arm.job, arm.directory) for arm in arms]
    lengths = [int(state.generation) for state in states]
    if lengths[0] != lengths[1]:
        raise UserError(
            f"evolution.generations: one arm went {lengths[0]} generations and the other {lengths[1]}; "
            f"give {max(lengths)}, and both go as far"
        )
    ended = [champions(arm.job, state) for arm, state in zip(arms, states, strict=True)]
    begun = [first_champions(arm.job, arm.directory, state) for arm, state in zip(arms, states, strict=True)]
    job = arms[0].job
    edge = job.study.market.source.edge if isinstance(job.study.market.source, SyntheticSettings) else None
    for replicate, ground in zip(range(job.plan.replicates), _grounds(study, job, part), strict=False):
        own = own_windows(job, replicate)
        players: dict[str, list[Entrants]] = {
            "evolved": ended[0][replicate],
            "library": library_alone(job, arms[0].directory, own, replicate),
            "founder_library": begun[0][replicate],
            "evolved_random": ended[1][replicate],
            "founder_random": begun[1][replicate],
        }
        rows = [part for player, entrants in players.items() for part in judge(player, entrants, ground.market, own)]
        rows += benchmarks(job.study.settings, ground)
        periods = float(np.mean([segment.periods for segment in ground.market.segments]))
        yield table_of(rows, edge=edge, seed=seed_of(job, replicate), periods=periods)


def _grounds(study: FoundersStudy, job: Job, part: JudgedPart | None) -> Iterator[Ground]:
    """What each seed is judged on, in turn."""
    source = job.study.market.source
    if not isinstance(source, SyntheticSettings):
        assert part is not None
        market = judged_market(job.supply.bars, part, job.study.settings, job.market.scalers[0])
        while True:
            yield Ground(market, None)
    for replicate in range(job.plan.replicates):
        yield fresh_ground(job, source, replicate, _FRESH if study.fresh is None else study.fresh)


def scores(arm: Arm) -> pl.DataFrame:
    """The score of the champion of all regimes on validation, a row a seed: `seed, first, last`, log return a bar.

    `first` is after the first generation; 0, as flat, where there was no champion.

    Raises:
        UserError: a part of the archive is damaged.
    """
    plan, seed = arm.job.plan, arm.job.study.settings.seed
    born = arm.directory.read("births").select("id", replicate=pl.col("island") // plan.islands)
    archive = arm.directory.read("archive").filter(regime="all")
    known = archive.join(born, on="id", how="left", maintain_order="left").group_by("replicate", maintain_order=True)
    found = known.agg(
        first=pl.col("score").filter(pl.col("generation") == 0).last().cast(pl.Float64),
        last=pl.col("score").last().cast(pl.Float64),
    )
    every = pl.DataFrame({"replicate": range(plan.replicates)}, schema={"replicate": pl.UInt32})
    seeds = every.with_columns(seed=((pl.col("replicate").cast(pl.UInt64) + seed) % 2**32).cast(pl.UInt32))
    joined = seeds.join(found.with_columns(pl.col("replicate").cast(pl.UInt32)), on="replicate", how="left")
    return joined.sort("replicate").select("seed", pl.col("first", "last").fill_null(0.0))

"""The evidence study: does a certificate tell noise from edge?

Two halves, each a run whose replicates are populations that never meet, every one on a market of its own: one without
an edge, one with an edge of known size. Each population's family is certified on its own holdout by the rules of
`arena certify`, as bred; then, frozen as it is, on fresh markets of the same kind and length that nobody had seen.
Without an edge whoever passes is an error of the first kind, with one whoever does not is an error of the second. Where
there is no edge costs alone make most populations fail, so they trade the fresh markets once more without any: what is
left is a martingale, and the level of the test shows.
Populations are small, so that many can be bred; births are not sampled and no grid is tried, for the one is only shown
and the other settled before a holdout is opened.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agents.population import NOBODY
from experiments.certificates.family import MEMBERS, Family, acts_in, plain_decider, read_family, seated
from experiments.certificates.ground import Ground, ground_of, prepare_ground
from experiments.certificates.judging import ALPHA, Evidence, Judgement, judge
from experiments.certificates.passes import Lane, passes
from experiments.certificates.performing import Cast, evidence_of, perform
from experiments.certificates.series import record, spells
from experiments.certificates.shown import Shown, holding_days
from experiments.runs.directory import RunDirectory
from experiments.runs.files import make_folder, write_table
from experiments.runs.job import Job
from experiments.studies.edge import EdgeStudy
from experiments.studies.judging import last_state
from experiments.studies.seeds import fresh_paths, seed_of
from markets.bars import Bars
from markets.features import features, relative_atr_window, warmup
from markets.scaling import Scaler
from markets.synthetic import SyntheticSettings

__all__ = ["BASE", "certify_seeds", "half"]

BASE = (
    "seed=1000",
    "market.bars=49656",
    "split.train=24000",
    "split.validation=8000",
    "split.holdout=16000",
    "evolution.agents=64",
    "evolution.islands=1",
    "archive.trials=0",
)
"""Of both halves: 24,000 bars to train on, 8,000 to choose by, 16,000 to be judged on, and the gaps between them."""


def half(edge: float, seeds: int, fresh: int, overrides: tuple[str, ...]) -> EdgeStudy:
    """One half of the study, as `experiments.studies.edge.evolve_seeds` takes it.

    Args:
        edge: annualised Sharpe ratio of the best possible player, or 0.
        seeds: populations.
        fresh: holdouts that each is judged on beside its own.
        overrides: of the configuration, beside `BASE`.
    """
    return EdgeStudy(edge, seeds, fresh, (*BASE, *overrides))


def certify_seeds(study: EdgeStudy, job: Job, directory: RunDirectory) -> Iterator[pl.DataFrame]:
    """Certify each population on its own holdout and on fresh ones.

    What was judged before is read again: a part of the folder `evidence` of the run for each seed.

    Args:
        study: the half.
        job: the run.
        directory: of it, finished.

    Yields:
        For each seed a row a holdout (0 is its own), multiple of costs and member: `edge, seed, holdout, costs,
        population` (its verdict), `member, id, verdict, days, spells, trades, exposure, sharpe` (a year's), `flat,
        matched` (statistics; null where a member never differs from the benchmark, or the test could change nothing).

    Raises:
        UserError: a file of the run that is damaged.
    """
    holders = np.asarray(last_state(job, directory).archive.id)
    folder = directory.root / "evidence"
    make_folder(folder)
    for replicate in range(job.plan.replicates):
        seed = seed_of(job, replicate)
        part = folder / f"{seed:08d}-{study.fresh}.parquet"
        if not part.exists():
            vacant = bool((holders[replicate] == NOBODY).all())
            rows = [] if vacant else list(_judged(job, directory, replicate, study.fresh))
            write_table(part, _table(study.edge, seed, rows))
        yield pl.read_parquet(part)


def _judged(job: Job, directory: RunDirectory, replicate: int, fresh: int) -> Iterator[pl.DataFrame]:
    """One population on every holdout, a table each."""
    study, segment = job.study, job.market.segments[replicate]
    source, calendar = study.market.source, study.settings.broker.calendar
    assert isinstance(source, SyntheticSettings)
    family = read_family(directory, job.plan, replicate + 1, 0)
    cast = _cast(job, family)
    train, validation, own_rows = (
        range(part.start - segment.first, part.stop - segment.first)
        for part in (segment.rows.train, segment.rows.validation, segment.rows.holdout)
    )
    bars = job.supply.bars[replicate]
    scaler = job.market.scalers[replicate % len(job.market.scalers)]
    ground = _ground(job, scaler, [bars], (train, validation, own_rows))
    own = perform(ground, cast, ground.market.tape.features[None], calendar, costs=(1.0,), training=False)
    yield _rows(0, 1.0, family, evidence_of(own, calendar), ground.days_per_year, own.exposure)
    if not fresh:
        return
    ahead = _warm_up(job)
    like = dataclasses.replace(source, bars=ahead + len(own_rows))
    paths = fresh_paths(like, seed_of(job, replicate), fresh)
    judged = (range(0), range(0), range(ahead, like.bars))
    ground = _ground(job, scaler, [path.bars for path in paths], judged)
    for costs in (1.0,) if source.edge > 0 else (1.0, 0.0):
        for holdout, evidence in enumerate(_evidence(ground, cast, own.exposure, costs, job), start=1):
            yield _rows(holdout, costs, family, evidence, ground.days_per_year, own.exposure)


def _ground(job: Job, scaler: Scaler, bars: Sequence[Bars], rows: tuple[range, range, range]) -> Ground:
    """Markets that are divided alike."""
    market = prepare_ground(bars, job.study.settings, mode=job.study.market.mode, scaler=scaler)
    return ground_of(market, [rows] * len(bars), job.study.settings)


def _cast(job: Job, family: Family) -> Cast:
    own = seated(family, job.plan)
    return Cast(job.plan.rollouts, own.panel, plain_decider(family, own), acts_in(list(family.champions)))


def _warm_up(job: Job) -> int:
    """Bars that features and regimes read before a first decision."""
    settings = job.study.settings
    longest = max(warmup(features(settings.features)), settings.regimes.window, relative_atr_window())
    return longest - 1 + max(setup.species.context for setup in job.plan.rollouts)


def _evidence(ground: Ground, cast: Cast, exposure: NDArray[np.float64], costs: float, job: Job) -> Iterator[Evidence]:
    """What is judged of every fresh holdout; each is a population's only one."""
    members, market, calendar = len(cast.acts), ground.market, job.study.settings.broker.calendar
    stretches = ground.parts["holdout"]
    lanes = [Lane(member, stretch, costs) for stretch in stretches for member in range(members)]
    walked = iter(passes(cast.setups, cast.panel, cast.decider, market, market.tape.features[None], lanes))
    for stretch in stretches:
        found = [next(walked) for _ in range(members)]
        held = {stretch.name: exposure[:, None]}
        whole = record([found], held, cast.acts, market, [stretch], calendar)
        yield Evidence(
            returns=whole.returns,
            matched=whole.matched,
            spells=spells(cast.acts, market, stretch).tolist(),
            trades=[len(each.trades.profit) for each in found],
            holding=[holding_days(Shown([(market, stretch)], [each], [1.0], [1.0]), calendar) for each in found],
        )


def _rows(
    holdout: int, costs: float, family: Family, evidence: Evidence, days_per_year: float, exposure: NDArray[np.float64]
) -> pl.DataFrame:
    judgement: Judgement = judge(evidence, level=ALPHA, days_per_year=days_per_year, thrifty=True)
    deviation = evidence.returns.std(0, ddof=1)
    ratio = np.sqrt(days_per_year) * evidence.returns.mean(0) / np.where(deviation > 0, deviation, np.inf)
    champions = [family.champions.get(name) for name in MEMBERS]
    return pl.DataFrame(
        {
            "holdout": [holdout] * len(MEMBERS),
            "costs": [costs] * len(MEMBERS),
            "population": [judgement.verdict] * len(MEMBERS),
            "member": list(MEMBERS),
            "id": [None if own is None else own.id for own in champions],
            "verdict": [own.verdict for own in judgement.members],
            "days": [len(evidence.returns)] * len(MEMBERS),
            "spells": list(evidence.spells),
            "trades": list(evidence.trades),
            "exposure": exposure.tolist(),
            "sharpe": ratio.tolist(),
            "flat": [own.flat.statistic for own in judgement.members],
            "matched": [own.matched.statistic for own in judgement.members],
        },
        schema=_SCHEMA,
    )


_SCHEMA = {
    "holdout": pl.UInt32,
    "costs": pl.Float64,
    "population": pl.String,
    "member": pl.String,
    "id": pl.UInt64,
    "verdict": pl.String,
    "days": pl.UInt32,
    "spells": pl.UInt32,
    "trades": pl.UInt32,
    "exposure": pl.Float64,
    "sharpe": pl.Float64,
    "flat": pl.Float64,
    "matched": pl.Float64,
}


def _table(edge: float, seed: int, rows: list[pl.DataFrame]) -> pl.DataFrame:
    """The rows of one seed; a population without champions has one that says it failed."""
    nobody = dict.fromkeys(_SCHEMA) | {"holdout": 0, "costs": 1.0, "population": "fail"}
    table = pl.concat(rows) if rows else pl.DataFrame([nobody], schema=_SCHEMA)
    return table.select(pl.lit(edge, pl.Float64).alias("edge"), pl.lit(seed, pl.UInt32).alias("seed"), pl.all())

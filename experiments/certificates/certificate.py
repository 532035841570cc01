"""The certificate: what `arena certify` does, in the order in which it must happen.

The run is looked at first, so that nothing that could be refused costs an opening; then the line is written; only then
the holdout is prepared and traded. Killed anywhere behind the line, it is judged again at the same level, to the same
certificate.
"""

import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import polars as pl

from arena.plan import Plan, make_plan
from experiments.certificates.ancestors import ancestors_knew, not_unseen
from experiments.certificates.asking import judged_spans, recipe_of, rules_hash
from experiments.certificates.counting import candidates_tried
from experiments.certificates.family import Family, acts_in, champion_hashes, read_family, ruled, seated
from experiments.certificates.ground import Ground, Rows, ground_of, judgeable, prepare_ground
from experiments.certificates.judging import ALPHA, STRICTEST, judge
from experiments.certificates.openings import Opening, register
from experiments.certificates.performing import Cast, Performance, evidence_of, joined, perform
from experiments.certificates.reading import certificate_path, put_aside, read_certificate, same_wish
from experiments.certificates.telling import told
from experiments.certificates.trials import count_trials, replayed
from experiments.champions.world import alone
from experiments.configuration.study import Study, fold_market, joined_supply, load_supplies
from experiments.inference.files import read_choices, settings_tried
from experiments.inference.grid import run_grid
from experiments.inference.rules import Choice
from experiments.inference.views import views_of
from experiments.runs.champions import replicates
from experiments.runs.directory import RunDirectory
from experiments.runs.files import write_json
from experiments.runs.identity import data_hash
from experiments.runs.lock import only_one
from markets.bars import Bars
from markets.errors import UserError
from markets.preparation import Market, Segment

__all__ = ["Given", "certify"]

Tell = Callable[[str], None]


class Given(NamedTuple):
    """What came of asking for a certificate."""

    path: Path
    values: dict[str, Any]
    again: bool
    """Whether it had been given before."""


@dataclasses.dataclass(frozen=True, eq=False)
class _Case:
    """All that is known of a replicate before its holdout is opened."""

    directory: RunDirectory
    study: Study
    plan: Plan
    replicate: int
    bars: Sequence[Bars]
    """Of the replicate, all of them."""
    markets: Sequence[Market]
    """Of each fold, with all replicates, as evolution had them."""
    families: Sequence[Family]
    """Of each fold."""
    births: pl.DataFrame
    generations: int


def certify(directory: RunDirectory, *, replicate: int = 1, plain: bool = False, tell: Tell | None = None) -> Given:
    """Judge a replicate's champions on its holdout, or return the certificate that was given.

    Args:
        directory: of the run.
        replicate: from 1.
        plain: whether champions act as bred, and no grid of decision rules is run for them.
        tell: told what begins now.

    Raises:
        UserError: the run is not finished, has no champions or no holdout, its bars are gone, have changed or have been
            looked at too often, or the certificate that was given is of another way of acting.
        OSError: the log or the certificate cannot be written.
    """
    tell = tell or _silent
    tell("reading the run")
    study = _study(directory, replicate)
    path = certificate_path(directory, replicate)
    champions = champion_hashes(directory, replicate, study.settings.split.folds)
    given = read_certificate(path) if path.exists() else None
    if given is not None and given.get("champions") == champions:
        same_wish(path, given, plain=plain)
        return Given(path, given, again=True)
    case = _case(directory, study, replicate)
    choices = [{} for _ in case.families] if plain else _choices(case, tell)
    with only_one(directory.root):
        values = _judged(case, choices, tell)
        if given is not None:
            put_aside(path, given)
        write_json(path, values)
    return Given(path, values, again=False)


def _judged(case: _Case, choices: Sequence[Mapping[str, Choice]], tell: Tell) -> dict[str, Any]:
    candidates, settings = _candidates(case), _settings_tried(case, choices)  # a damaged table is told before the line
    known = ancestors_knew(case.directory, case.study, case.replicate, _spans(case))
    wanted = Opening(
        time=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        run_id=str(case.directory.read_manifest().get("run_id", case.directory.root.name)),
        replicate=case.replicate,
        data_hash=data_hash(case.bars),
        made_up=case.study.market.made_up,
        spans=_spans(case),
        champions=champion_hashes(case.directory, case.replicate, len(case.families)),
        rules=rules_hash(choices),
        recipe=recipe_of(case.study.market, (case.study.settings.seed + case.replicate - 1) % 2**32),
    )
    opening, earlier = register(case.directory.root.resolve().parent, wanted, ALPHA, strictest=STRICTEST)
    tell("opening the holdout")
    grounds = _grounds(case)
    tell("trading it")
    performance = joined([_performed(case, *own) for own in zip(grounds, case.families, choices, strict=True)])
    calendar = case.study.settings.broker.calendar
    year = grounds[-1].days_per_year
    judgement = judge(evidence_of(performance, calendar), level=opening.level, days_per_year=year)
    tell("counting what was tried")
    tried = replayed(case.directory, case.study, case.plan, case.markets[-1], grounds[-1], case.replicate)
    counted = count_trials(
        tried,
        performance,
        opening,
        births=case.births.height,
        candidates=candidates,
        settings=settings,
        days_per_year=year,
    )
    values = told(
        opening,
        earlier,
        families=case.families,
        rules=[{group: dataclasses.asdict(own) for group, own in each.items()} for each in choices],
        grounds=grounds,
        performance=performance,
        judgement=judgement,
        counted=counted,
        settings=case.study.settings,
    )
    return not_unseen(values, known) if known else values


def _study(directory: RunDirectory, replicate: int) -> Study:
    """What the run is made of.

    Raises:
        UserError: it cannot be certified; one line says why.
    """
    manifest = directory.read_manifest()
    state = directory.state(manifest)
    if state != "finished":
        raise UserError(
            f"{directory.root}: the run is {state}, and only what is finished is judged; arena resume {directory.root} "
            "first"
        )
    count = replicates(directory)[0]
    if not 1 <= replicate <= count:
        raise UserError(
            f"--replicate: {replicate} of a run that has {count}; right is {'1' if count == 1 else f'1 to {count}'}"
        )
    study = alone(directory.read_config())
    if not study.settings.archive.enabled:
        raise UserError(f"{directory.root}: kept no archive (archive=none), so it has no champions to certify")
    return study


def _case(directory: RunDirectory, study: Study, replicate: int) -> _Case:
    """All that is known before the holdout is opened.

    Raises:
        UserError: bars that are gone or have changed, no champions, or no holdout.
    """
    manifest = directory.read_manifest()
    try:
        supplies = load_supplies(study)
        markets = [fold_market(study, supplies, fold) for fold in range(study.settings.split.folds)]
    except UserError as error:
        line = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"the bars that the run traded cannot be used: {line}") from None
    known = manifest.get("data_hash")
    if known != data_hash(joined_supply(supplies).bars):
        raise UserError(
            f"{directory.root}: the bars of its market have changed since (data_hash of its manifest); bring back "
            "those that the run was made with"
        )
    plan = make_plan(study.settings, len(markets[0].features))
    births = directory.read("births")
    return _Case(
        directory=directory,
        study=study,
        plan=plan,
        replicate=replicate,
        bars=supplies[replicate - 1 if study.market.made_up else 0].bars,
        markets=markets,
        families=[read_family(directory, plan, replicate, fold) for fold in range(len(markets))],
        births=births.filter(pl.col("island") // plan.islands == replicate - 1),
        generations=directory.done(manifest),
    )


def _segments(case: _Case, market: Market) -> Sequence[Segment]:
    """Those of the replicate."""
    count = len(market.segments) // len(market.scalers)
    own = case.replicate - 1 if len(market.scalers) > 1 else 0
    return market.segments[own * count : (own + 1) * count]


def _rows(case: _Case, market: Market) -> list[Rows]:
    """Parts of each segment of the replicate, as rows of the segment's own bars."""
    made = []
    for segment in _segments(case, market):
        parts = (segment.rows.train, segment.rows.validation, segment.rows.holdout)
        first, second, third = (range(rows.start - segment.first, rows.stop - segment.first) for rows in parts)
        made.append((first, second, third))
    return made


def _grounds(case: _Case) -> list[Ground]:
    """The ground of each fold: one tape of all bars, and the fold's parts of it."""
    scalers = case.markets[0].scalers
    scaler = scalers[case.replicate - 1 if len(scalers) > 1 else 0]
    market = prepare_ground(case.bars, case.study.settings, mode=case.study.market.mode, scaler=scaler)
    return [ground_of(market, _rows(case, own), case.study.settings) for own in case.markets]


def _spans(case: _Case) -> dict[str, tuple[str, str]]:
    """First and last stamp of the rows that are about to be judged, by symbol.

    Raises:
        UserError: there are none in one of the folds.
    """
    rows = [_rows(case, market) for market in case.markets]
    for fold, market in enumerate(case.markets):
        if not any(judgeable(market, segment) for segment in _segments(case, market)):
            where = f"fold {fold}: " if len(rows) > 1 else ""
            raise UserError(f"{case.directory.root}: {where}no symbol has a holdout to be judged on (split.holdout)")
    return judged_spans(case.bars, rows, mode=case.study.market.mode)


def _choices(case: _Case, tell: Tell) -> list[dict[str, Choice]]:
    """The decision rules of each fold's champions, by the grid, which is run where it was not."""
    found: list[dict[str, Choice]] = []
    for fold, family in enumerate(case.families):
        if not family.champions:
            found.append({})
            continue
        run_grid(case.directory, replicate=case.replicate, fold=fold, tell=tell)
        found.append(dict(read_choices(case.directory, case.replicate, fold)))
    return found


def _settings_tried(case: _Case, choices: Sequence[Mapping[str, Choice]]) -> int:
    """Of the grid, on the validation rows of the last fold."""
    return settings_tried(case.directory, case.replicate, len(choices) - 1) if choices[-1] else 0


def _performed(case: _Case, ground: Ground, family: Family, choices: Mapping[str, Choice]) -> Performance:
    # Where nobody came into a fold's archive, brains of another one sit there, and nobody may act.
    own = seated(next(each for each in (family, *case.families) if each.champions), case.plan)
    settings = case.study.settings
    decider, lookbacks = ruled(family, own, choices)
    views = views_of(ground.market, case.bars, settings, mode=case.study.market.mode, lookbacks=lookbacks)
    cast = Cast(case.plan.rollouts, own.panel, decider, acts_in(list(family.champions)))
    return perform(ground, cast, jnp.asarray(views), settings.broker.calendar)


def _candidates(case: _Case) -> tuple[int, str]:
    settings = case.study.settings
    return candidates_tried(
        case.directory.read("fitness").filter(pl.col("fold") == len(case.families) - 1),
        case.births,
        settings.archive,
        kept=case.study.record.fitness,
        tries=case.generations * case.plan.islands * len(case.plan.names),
    )


def _silent(step: str) -> None:
    """Tell nobody."""
